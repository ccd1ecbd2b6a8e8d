"""Which rows a user gets after reconciling, and what each of them shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import pytest

from shared.domain.assignment import AssignmentOptions, GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import DirectoryUser, LicenseError, LicenseState, NotAUser, ReadFailed, UserRead
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, GroupId, OperationId, SkuId, UserId
from shared.domain.initiator import SYSTEM
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_rows import member_rows
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, Operation, OperationKind, Target
from shared.domain.outcomes import Applied, Failed, Problem, Result, RetryAt, Skipped, SkipReason, Unchanged, Waiting
from shared.domain.plan import UserPlan
from shared.domain.plan_draft import Note, NoteKind
from shared.domain.read_models import MemberRow
from shared.domain.reconciliation import Attempted, Planned, Read, Recorded, Work
from tests.support.builders import (
    DAY,
    E3,
    FROM_A,
    FROM_B,
    GROUP_A,
    GROUP_B,
    HOUR,
    MINUTE,
    NOW,
    PHONE,
    TEAMS,
    USER,
    VISIO,
    direct,
    grant,
    ledger,
    managed,
    person,
    plans,
)

UNMANAGED = GroupId("cccccccc-0000-0000-0000-000000000000")
OTHER_USER = UserId("a0000000-0000-0000-0000-000000000002")
IN_GRACE = Source(SourceKind.GRACE, GROUP_A)
HELD = Source(SourceKind.HELD, GROUP_A)
RETRY = RetryAt(NOW + MINUTE, "Graph throttles writes")
NO_SEAT = Problem(
    LicenseError.COUNT_VIOLATION,
    "No seat of this product is free; the user waits for one.",
    "Buy licenses of this product or take some from users who do not need them.",
    E3,
)


def gives(*skus: SkuId, group: GroupId = GROUP_A, options: AssignmentOptions | None = None) -> GroupLicenseAssignment:
    return GroupLicenseAssignment(
        group, tuple(SkuAssignment(each, NO_PLANS) for each in skus), options or AssignmentOptions()
    )


def work(*assignments: GroupLicenseAssignment, attempts: Mapping[UserId, int] | None = None) -> Work:
    """The work of an event, which has no operation."""
    return Work("test", False, {each.group_id: each for each in assignments}, NOW, attempts=attempts or {})


def for_group_a(of: Work) -> Work:
    """The same work as part of an operation on the group."""
    change = LicenseChange()
    operation = Operation(
        OperationId("op"), OperationKind.ASSIGN, Target(GROUP_A), change, SYSTEM, created_at=NOW, started_at=NOW
    )
    return replace(of, operation=operation)


def recorded(
    answer: UserRead,
    result: Result,
    *,
    plan: UserPlan | None = None,
    row: LedgerRow | None = None,
    grants: tuple[Grant, ...] = (),
    waiting: tuple[SkuId, ...] = (),
    came_from: frozenset[GroupId] = frozenset(),
) -> Recorded:
    row = row or ledger()
    read = Read(USER, answer, row, row, grants, came_from=came_from)
    attempted = Attempted(
        Planned(read, row, grants, plan=plan or UserPlan(USER)),
        read.user,
        row,
        row,
        wrote=False,
        waiting=waiting,
        result=result,
    )
    return Recorded(attempted)


def row_of_a(of: Recorded, where: Work) -> MemberRow:
    (row,) = member_rows(of, where, NOW)
    assert row.group_id == GROUP_A
    return row


def problem(sku_id: SkuId | None) -> Problem:
    return Problem(LicenseError.DEPENDENCY, "No.", "Do it.", sku_id)


def in_a(*skus: SkuId) -> DirectoryUser:
    return person(*map(direct, skus), groups=[GROUP_A])


class TestWhichRows:
    def test_a_user_has_a_row_in_each_managed_group_and_no_other(self) -> None:
        user = person(groups=[GROUP_B, UNMANAGED, GROUP_A])
        rows = member_rows(recorded(user, Unchanged()), work(gives(E3), gives(VISIO, group=GROUP_B)), NOW)
        assert [row.group_id for row in rows] == [GROUP_A, GROUP_B]
        assert {row.user_id for row in rows} == {USER}

    def test_the_group_of_the_operation_has_a_row_for_who_is_not_in_it(self) -> None:
        both = work(gives(E3), gives(VISIO, group=GROUP_B))
        assert member_rows(recorded(person(), Unchanged()), both, NOW) == []
        (row,) = member_rows(recorded(person(), Unchanged()), for_group_a(both), NOW)
        assert (row.group_id, row.state, row.operation_id) == (GROUP_A, MemberState.REMOVED, OperationId("op"))

    def test_a_group_that_a_managed_license_came_from_has_a_row(self) -> None:
        row = ledger(
            {E3: managed(source=FROM_A), VISIO: managed(source=FROM_B), PHONE: managed(source=Source(SourceKind.HR))}
        )
        rows = member_rows(recorded(person(), Unchanged(), row=row), work(gives(E3), gives(VISIO, group=GROUP_B)), NOW)
        assert [(each.group_id, each.state) for each in rows] == [
            (GROUP_A, MemberState.REMOVED),
            (GROUP_B, MemberState.REMOVED),
        ]

    def test_a_group_whose_last_license_was_just_removed_has_a_row(self) -> None:
        removed = recorded(person(), Applied(), came_from=frozenset({GROUP_A, UNMANAGED}))
        assert row_of_a(removed, work(gives(E3))).state is MemberState.REMOVED


class TestStates:
    @pytest.mark.parametrize(
        ("result", "has", "state", "problems"),
        [
            pytest.param(Applied(), [E3], MemberState.ACTIVE, [], id="written"),
            pytest.param(Unchanged(), [E3], MemberState.ACTIVE, [], id="nothing to do"),
            pytest.param(RETRY, [], MemberState.PENDING, [], id="goes on"),
            pytest.param(Failed((problem(E3),)), [], MemberState.ERROR, [problem(E3)], id="without the license"),
            pytest.param(
                Failed((problem(E3),)), [E3], MemberState.ACTIVE_WITH_ERROR, [problem(E3)], id="with the license"
            ),
            pytest.param(Failed((problem(None),)), [], MemberState.ERROR, [problem(None)], id="of the user as a whole"),
            pytest.param(Failed((problem(VISIO),)), [E3], MemberState.ACTIVE, [], id="of another group's product"),
        ],
    )
    def test_the_state_of_a_member(
        self, result: Result, has: list[SkuId], state: MemberState, problems: list[Problem]
    ) -> None:
        row = row_of_a(recorded(in_a(*has), result), work(gives(E3)))
        assert (row.state, list(row.problems), list(row.sku_ids)) == (state, problems, has)

    def test_each_of_two_groups_shows_its_own_problem(self) -> None:
        user = person(direct(E3), groups=[GROUP_A, GROUP_B])
        failed = recorded(user, Failed((problem(E3), problem(VISIO))))
        first, second = member_rows(failed, work(gives(E3), gives(VISIO, group=GROUP_B)), NOW)
        assert (first.state, first.problems, first.sku_ids) == (
            MemberState.ACTIVE_WITH_ERROR,
            (problem(E3),),
            (E3,),
        )
        assert (second.state, second.problems, second.sku_ids) == (MemberState.ERROR, (problem(VISIO),), ())

    def test_a_license_that_does_not_count_is_not_shown_as_had(self) -> None:
        user = person(direct(E3, state=LicenseState.DISABLED), groups=[GROUP_A])
        row = row_of_a(recorded(user, Failed((problem(E3),))), work(gives(E3)))
        assert (row.state, row.sku_ids) == (MemberState.ERROR, ())

    def test_a_member_left_out_by_the_options_is_disabled(self) -> None:
        guest = person(groups=[GROUP_A], user_type="Guest")
        no_guests = AssignmentOptions(include_guests=False)
        row = row_of_a(recorded(guest, Skipped(SkipReason.GUEST)), work(gives(E3, options=no_guests)))
        assert row.state is MemberState.DISABLED

    def test_a_waiting_member_shows_the_product_and_since_when(self) -> None:
        since = replace(ledger(), waiting_since={E3: NOW - HOUR})
        of = recorded(in_a(), Waiting((E3,)), plan=UserPlan(USER, waiting=(E3,)), row=since)
        row = row_of_a(of, work(gives(E3)))
        assert (row.state, row.problems, row.waiting_since) == (MemberState.WAITING, (NO_SEAT,), NOW - HOUR)

    def test_a_member_who_begins_to_wait_does_so_now(self) -> None:
        row = row_of_a(recorded(in_a(), Waiting((E3,)), waiting=(E3,)), work(gives(E3)))
        assert (row.state, row.waiting_since) == (MemberState.WAITING, NOW)

    def test_waiting_concerns_only_the_group_that_gives_the_product(self) -> None:
        user = person(direct(VISIO), groups=[GROUP_A, GROUP_B])
        of = recorded(user, Waiting((E3,)), waiting=(E3,))
        rows = member_rows(of, work(gives(E3), gives(VISIO, group=GROUP_B)), NOW)
        assert [(row.state, row.waiting_since) for row in rows] == [
            (MemberState.WAITING, NOW),
            (MemberState.ACTIVE, None),
        ]

    def test_a_wait_is_shown_beside_an_error_of_another_product(self) -> None:
        row = row_of_a(recorded(in_a(), Failed((problem(VISIO),)), waiting=(E3,)), work(gives(E3, VISIO)))
        assert (row.state, row.problems) == (MemberState.ERROR, (problem(VISIO), NO_SEAT))

    def test_who_goes_back_does_not_show_a_wait(self) -> None:
        row = row_of_a(recorded(in_a(), RETRY, waiting=(E3,)), work(gives(E3)))
        assert (row.state, row.problems, row.waiting_since) == (MemberState.PENDING, (), None)

    @pytest.mark.parametrize(
        ("source", "until"), [(IN_GRACE, NOW + DAY), (HELD, None)], ids=["in grace", "held for approval"]
    )
    def test_who_left_is_removed_only_when_the_license_is_gone(self, source: Source, until: datetime | None) -> None:
        left = recorded(
            person(direct(E3)),
            Unchanged(),
            row=ledger({E3: managed()}),
            grants=(grant(E3, source=source, until=until),),
        )
        row = row_of_a(left, work(gives(E3)))
        assert (row.state, row.removal_at) == (MemberState.PENDING, until)

    @pytest.mark.parametrize("due", [str(E3), f"{E3}/{TEAMS}"], ids=["the license", "a plan of it"])
    def test_who_left_is_not_removed_while_a_removal_is_due(self, due: str) -> None:
        left = recorded(
            person(direct(E3)), Unchanged(), row=replace(ledger({E3: managed()}), removal_seen_at={due: NOW})
        )
        assert row_of_a(left, work(gives(E3))).state is MemberState.PENDING

    def test_the_first_of_two_graces_is_shown(self) -> None:
        of = recorded(
            person(direct(E3), direct(VISIO)),
            Unchanged(),
            row=ledger({E3: managed(), VISIO: managed()}),
            grants=(grant(E3, source=IN_GRACE, until=NOW + 2 * DAY), grant(VISIO, source=IN_GRACE, until=NOW + DAY)),
        )
        assert row_of_a(of, work(gives(E3, VISIO))).removal_at == NOW + DAY

    def test_a_grace_that_this_plan_begins_counts_and_one_that_it_ends_does_not(self) -> None:
        grace = grant(E3, source=IN_GRACE, until=NOW + DAY)
        left = person(direct(E3))
        begun = recorded(left, Unchanged(), row=ledger({E3: managed()}), plan=UserPlan(USER, new_grants=(grace,)))
        over = recorded(
            person(),
            Unchanged(),
            row=ledger({E3: managed()}),
            grants=(grace,),
            plan=UserPlan(USER, ended_grants=(grace,)),
        )
        states = [
            (row_of_a(of, work(gives(E3))).state, row_of_a(of, work(gives(E3))).removal_at) for of in (begun, over)
        ]
        assert states == [(MemberState.PENDING, NOW + DAY), (MemberState.REMOVED, None)]


class TestNotes:
    def test_the_notes_of_the_plan_are_shown_in_order(self) -> None:
        plan = UserPlan(
            USER, notes=(Note(NoteKind.TURNED_OFF_BY_HAND, E3, plans(TEAMS)), Note(NoteKind.UNMANAGED, VISIO))
        )
        row = row_of_a(recorded(in_a(E3), Unchanged(), plan=plan), work(gives(E3, VISIO)))
        assert row.notes == (
            "appsTurnedOffManually 50000000-0000-0000-0000-000000000002 00000000-0000-0000-0000-000000000006",
            "unmanaged 50000000-0000-0000-0000-000000000005",
        )

    def test_why_the_work_goes_on_comes_before_the_notes_of_the_plan(self) -> None:
        plan = UserPlan(USER, notes=(Note(NoteKind.SECOND_READ, E3),))
        row = row_of_a(recorded(in_a(E3), RETRY, plan=plan), work(gives(E3), attempts={USER: 3, OTHER_USER: 5}))
        assert row.notes == ("Graph throttles writes", "secondRead 50000000-0000-0000-0000-000000000002")
        assert (row.next_check_at, row.attempts) == (NOW + MINUTE, 3)

    def test_a_member_with_whom_nothing_is_wrong_has_none(self) -> None:
        row = row_of_a(recorded(in_a(E3), Applied()), work(gives(E3)))
        assert row == MemberRow(GROUP_A, USER, "ada@example.com", "Ada", MemberState.ACTIVE, NOW, sku_ids=(E3,))


class TestUnread:
    GIVES_E3 = work(gives(E3), attempts={USER: 2})

    def test_an_event_leaves_no_row_of_a_user_who_could_not_be_read(self) -> None:
        assert member_rows(recorded(ReadFailed("no answer"), RETRY), self.GIVES_E3, NOW) == []

    def test_an_operation_shows_that_the_read_is_repeated(self) -> None:
        retry = RetryAt(NOW + MINUTE, "no answer", unread=True)
        row = row_of_a(recorded(ReadFailed("no answer"), retry), for_group_a(self.GIVES_E3))
        assert row == MemberRow(
            GROUP_A,
            USER,
            "",
            "",
            MemberState.PENDING,
            NOW,
            notes=("no answer",),
            attempts=2,
            next_check_at=NOW + MINUTE,
            operation_id=OperationId("op"),
        )

    def test_an_operation_shows_the_error_that_was_left(self) -> None:
        row = row_of_a(recorded(ReadFailed("no answer"), Failed((problem(None),))), for_group_a(self.GIVES_E3))
        assert (row.state, row.problems, row.notes, row.next_check_at) == (
            MemberState.ERROR,
            (problem(None),),
            (),
            None,
        )

    def test_what_is_no_user_is_disabled(self) -> None:
        device = recorded(NotAUser("device"), Skipped(SkipReason.NOT_A_USER))
        row = row_of_a(device, for_group_a(self.GIVES_E3))
        assert (row.state, row.problems, row.notes) == (MemberState.DISABLED, (), ())
