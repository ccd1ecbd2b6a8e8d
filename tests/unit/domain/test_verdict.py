"""Who must not be written, how each user's part ends, and which comes first where several reasons hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.assignment import AssignmentOptions, GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import AssignedLicense, LicenseError, NotAUser, ReadFailed, UserGone, UserRead
from shared.domain.ids import NO_PLANS, GroupId, OperationId, SkuId, UserId
from shared.domain.initiator import SYSTEM, Initiator
from shared.domain.ledger_row import Intent, LedgerRow, ObservedEvent
from shared.domain.operation import LicenseChange, Operation, OperationKind, Target
from shared.domain.outcomes import Applied, Failed, Problem, Result, RetryAt, Skipped, SkipReason, Unchanged, Waiting
from shared.domain.plan import WAITS, UserPlan
from shared.domain.plan_draft import Note, NoteKind
from shared.domain.reconciliation import Attempted, Planned, Read, Recorded, Work
from shared.domain.retry import GIVEN_UP_REMEDY
from shared.domain.verdict import (
    after_apply,
    after_record,
    before_apply,
    contradicts_event,
    contradicts_snapshot,
)
from tests.support.builders import (
    DAY,
    E1,
    E3,
    GROUP_A,
    GROUP_B,
    MINUTE,
    NOW,
    TEAMS,
    USER,
    VISIO,
    direct,
    ledger,
    person,
    plans,
)

MOMENT = timedelta(microseconds=1)
OTHER_USER = UserId("a0000000-0000-0000-0000-000000000002")
ON_GROUP_A = Target(GROUP_A)

ADDS_E3 = UserPlan(USER, add=(AssignedLicense(E3),))
REMOVES_E3 = UserPlan(USER, remove=(E3,))
TURNS_TEAMS_OFF = UserPlan(USER, add=(AssignedLicense(E3, plans(TEAMS)),), plans_off={E3: plans(TEAMS)})
NOTHING = UserPlan(USER)

NO_MEMBERSHIP_YET = "the directory does not show the membership yet"
LOCKED = "another write to this user has not been resolved"
EVENT_NOT_SHOWN = "the directory does not show yet what the event said"
LOST_RACE = "another write to this user was quicker"


def seconds(count: float) -> datetime:
    """This many seconds after NOW."""
    return NOW + timedelta(seconds=count)


def operation(target: Target = ON_GROUP_A, *, started_at: datetime | None = NOW, cancelled: bool = False) -> Operation:
    return Operation(
        OperationId("op"),
        OperationKind.ASSIGN,
        target,
        LicenseChange(),
        SYSTEM,
        created_at=NOW,
        started_at=started_at,
        cancel_requested_by=Initiator("1", "Grace") if cancelled else None,
    )


def assignment(
    *skus: SkuId, group: GroupId = GROUP_A, options: AssignmentOptions | None = None
) -> GroupLicenseAssignment:
    return GroupLicenseAssignment(
        group, tuple(SkuAssignment(each, NO_PLANS) for each in skus), options or AssignmentOptions()
    )


def work(
    of: Operation | None = None,
    *assignments: GroupLicenseAssignment,
    observed: Mapping[UserId, Mapping[GroupId, bool]] | None = None,
    observed_at: datetime | None = None,
    attempts: Mapping[UserId, int] | None = None,
    first_sent_at: datetime | None = None,
) -> Work:
    return Work(
        cause="test",
        urgent=False,
        assignments={each.group_id: each for each in assignments},
        began=NOW,
        operation=of,
        attempts=attempts or {},
        first_sent_at=first_sent_at,
        observed=observed or {},
        observed_at=observed_at,
    )


def notified_that_user_came_into(group: GroupId, at: datetime = NOW) -> Work:
    return work(observed={USER: {group: True}}, observed_at=at)


def planned(
    answer: UserRead,
    plan: UserPlan | None = None,
    *,
    row: LedgerRow | None = None,
    locked_until: datetime | None = None,
    wrote: bool = False,
    result: Result | None = None,
    user_id: UserId = USER,
) -> Planned:
    row = row or ledger()
    return Planned(
        Read(user_id, answer, row, row, locked_until=locked_until, wrote=wrote), row, plan=plan, result=result
    )


def attempted(
    of: Planned,
    *,
    wrote: bool = False,
    retry: RetryAt | None = None,
    problems: tuple[Problem, ...] = (),
    waiting: tuple[SkuId, ...] = (),
    result: Result | None = None,
) -> Attempted:
    return Attempted(
        of, of.read.user, of.row, of.row, wrote, retry=retry, problems=problems, waiting=waiting, result=result
    )


def problem(error: LicenseError = LicenseError.DEPENDENCY, sku_id: SkuId | None = E3) -> Problem:
    return Problem(error, "No.", "Do it.", sku_id)


class TestBeforeApply:
    def test_a_user_with_nothing_against_it_is_written(self) -> None:
        assert before_apply(work(), planned(person(), ADDS_E3), NOW, doubted=False) is None
        assert before_apply(work(), planned(person(), REMOVES_E3), NOW, doubted=False) is None
        assert before_apply(work(operation()), planned(person(), ADDS_E3), NOW, doubted=False) is None

    def test_a_cancelled_operation_skips_who_was_not_written(self) -> None:
        cancelled = work(operation(cancelled=True))
        found = before_apply(cancelled, planned(person(), ADDS_E3), NOW, doubted=False)
        assert found == Skipped(SkipReason.CANCELLED)

    def test_a_cancelled_operation_does_not_skip_who_was_written_already(self) -> None:
        cancelled = work(operation(cancelled=True))
        assert before_apply(cancelled, planned(person(), ADDS_E3, wrote=True), NOW, doubted=False) is None

    @pytest.mark.parametrize("answer", [ReadFailed("no answer"), UserGone(), NotAUser("device"), person()])
    def test_a_cancelled_operation_comes_before_everything_else(self, answer: UserRead) -> None:
        cancelled = work(operation(cancelled=True), observed={USER: {GROUP_A: True}}, observed_at=NOW)
        user = planned(answer, REMOVES_E3, locked_until=seconds(60))
        assert before_apply(cancelled, user, NOW, doubted=True) == Skipped(SkipReason.CANCELLED)

    def test_a_failed_read_is_repeated_when_the_directory_asks_for_it(self) -> None:
        user = planned(ReadFailed("throttled", retry_after_s=7.5))
        assert before_apply(work(), user, NOW, doubted=False) == RetryAt(seconds(7.5), "throttled", unread=True)

    def test_a_failed_read_without_retry_after_is_repeated_after_30_seconds(self) -> None:
        user = planned(ReadFailed("no answer"))
        assert before_apply(work(), user, NOW, doubted=False) == RetryAt(seconds(30), "no answer", unread=True)

    def test_a_read_that_graph_rejected_counts_as_an_attempt(self) -> None:
        user = planned(ReadFailed("bad request", rejected=True))
        found = before_apply(work(), user, NOW, doubted=False)
        assert found == RetryAt(seconds(30), "bad request", rejected=True, unread=True)

    def test_a_read_without_a_permission_is_waited_for_and_is_no_attempt(self) -> None:
        found = before_apply(work(), planned(ReadFailed("Insufficient privileges.", denied=True)), NOW, doubted=False)
        assert isinstance(found, RetryAt)
        assert (found.at, found.rejected, found.unread) == (seconds(60), False, True)
        assert found.error is LicenseError.PERMISSION

    def test_an_unknown_user_is_read_again_and_ends_as_not_found(self) -> None:
        assert before_apply(work(), planned(UserGone()), NOW, doubted=False) == RetryAt(
            seconds(30), "the directory does not know the user", rejected=True, error=LicenseError.NOT_FOUND
        )

    def test_an_object_that_is_no_user_is_skipped(self) -> None:
        found = before_apply(work(), planned(NotAUser("device")), NOW, doubted=False)
        assert found == Skipped(SkipReason.NOT_A_USER)

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [
            (ReadFailed("no answer"), RetryAt(seconds(30), "no answer", unread=True)),
            (
                UserGone(),
                RetryAt(
                    seconds(30), "the directory does not know the user", rejected=True, error=LicenseError.NOT_FOUND
                ),
            ),
            (NotAUser("device"), Skipped(SkipReason.NOT_A_USER)),
        ],
    )
    def test_what_the_directory_answered_comes_before_a_lock_and_a_doubt(
        self, answer: UserRead, expected: Result
    ) -> None:
        user = planned(answer, locked_until=seconds(300))
        assert before_apply(work(operation()), user, NOW, doubted=True) == expected

    @pytest.mark.parametrize(
        ("locked_since", "locked_until", "checked"),
        [
            pytest.param(NOW, seconds(300), seconds(3), id="at first after 3 seconds"),
            pytest.param(seconds(-12), seconds(300), seconds(12), id="then after as long as the lock is old"),
            pytest.param(seconds(-200), seconds(100), seconds(30), id="at most after 30 seconds"),
            pytest.param(seconds(-298), seconds(2), seconds(2), id="never later than the lock ends"),
        ],
    )
    def test_a_locked_user_is_read_again(
        self, locked_since: datetime, locked_until: datetime, checked: datetime
    ) -> None:
        intent = Intent("id", "another cause", {E3: None}, {E3: NO_PLANS}, locked_since)
        user = planned(person(), row=replace(ledger(), intent=intent), locked_until=locked_until)
        assert before_apply(work(), user, NOW, doubted=False) == RetryAt(checked, LOCKED)

    def test_a_locked_user_without_an_intent_is_read_again_after_3_seconds(self) -> None:
        user = planned(person(), locked_until=seconds(300))
        assert before_apply(work(), user, NOW, doubted=False) == RetryAt(seconds(3), LOCKED)

    def test_a_lock_comes_before_a_doubt(self) -> None:
        user = planned(person(), locked_until=seconds(1))
        assert before_apply(work(operation()), user, NOW, doubted=True) == RetryAt(seconds(1), LOCKED)

    @pytest.mark.parametrize(
        ("started_at", "checked"),
        [(NOW, seconds(3)), (seconds(-20), seconds(20)), (seconds(-90), seconds(30)), (None, seconds(3))],
    )
    def test_a_doubted_user_is_read_again(self, started_at: datetime | None, checked: datetime) -> None:
        found = before_apply(work(operation(started_at=started_at)), planned(person(), NOTHING), NOW, doubted=True)
        assert found == RetryAt(checked, NO_MEMBERSHIP_YET)

    def test_a_doubt_without_an_operation_waits_the_shortest_time(self) -> None:
        found = before_apply(work(), planned(person(), NOTHING), NOW, doubted=True)
        assert found == RetryAt(seconds(3), NO_MEMBERSHIP_YET)

    def test_a_doubt_comes_before_a_contradicted_event(self) -> None:
        observed = notified_that_user_came_into(GROUP_A, at=seconds(-20))
        found = before_apply(observed, planned(person(), REMOVES_E3), NOW, doubted=True)
        assert found == RetryAt(seconds(3), NO_MEMBERSHIP_YET)

    @pytest.mark.parametrize("plan", [REMOVES_E3, TURNS_TEAMS_OFF])
    def test_nothing_is_taken_while_the_read_contradicts_the_event(self, plan: UserPlan) -> None:
        observed = notified_that_user_came_into(GROUP_A, at=seconds(-20))
        assert before_apply(observed, planned(person(), plan), NOW, doubted=False) == RetryAt(
            seconds(20), EVENT_NOT_SHOWN
        )

    @pytest.mark.parametrize("plan", [ADDS_E3, NOTHING, None])
    def test_an_addition_goes_out_although_the_read_contradicts_the_event(self, plan: UserPlan | None) -> None:
        observed = notified_that_user_came_into(GROUP_A)
        assert before_apply(observed, planned(person(), plan), NOW, doubted=False) is None

    def test_a_removal_that_agrees_with_the_event_goes_out(self) -> None:
        went = work(observed={USER: {GROUP_A: False}}, observed_at=NOW)
        assert before_apply(went, planned(person(groups=[GROUP_B]), REMOVES_E3), NOW, doubted=False) is None


class TestContradictsSnapshot:
    GIVES_E3 = work(operation(), assignment(E3))
    NO_MEMBER = planned(person(), NOTHING)

    def doubts(self, of: Work, user: Planned, at: datetime = NOW) -> bool:
        return contradicts_snapshot(of, user, MINUTE, at)

    def test_a_user_of_the_snapshot_who_is_read_as_no_member_and_lacks_the_license_is_doubted(self) -> None:
        assert self.doubts(self.GIVES_E3, self.NO_MEMBER)

    def test_one_of_two_licenses_is_not_enough(self) -> None:
        gives_two = work(operation(), assignment(E3, VISIO))
        assert self.doubts(gives_two, planned(person(direct(E3)), NOTHING))
        assert not self.doubts(gives_two, planned(person(direct(E3), direct(VISIO)), NOTHING))

    def test_the_doubt_ends_two_minutes_after_the_snapshot(self) -> None:
        assert self.doubts(self.GIVES_E3, self.NO_MEMBER, seconds(120))
        assert not self.doubts(self.GIVES_E3, self.NO_MEMBER, seconds(120) + MOMENT)

    def test_a_member_is_not_doubted(self) -> None:
        assert not self.doubts(self.GIVES_E3, planned(person(groups=[GROUP_A]), NOTHING))
        assert self.doubts(self.GIVES_E3, planned(person(groups=[GROUP_B]), NOTHING))

    def test_a_user_with_something_to_write_or_written_is_not_doubted(self) -> None:
        assert not self.doubts(self.GIVES_E3, planned(person(), ADDS_E3))
        assert not self.doubts(self.GIVES_E3, planned(person(), NOTHING, wrote=True))

    def test_a_user_without_a_read_or_a_plan_is_not_doubted(self) -> None:
        assert not self.doubts(self.GIVES_E3, planned(UserGone()))
        assert not self.doubts(self.GIVES_E3, planned(person()))

    def test_only_a_started_operation_on_a_group_has_a_snapshot(self) -> None:
        assert not self.doubts(work(None, assignment(E3)), self.NO_MEMBER)
        assert not self.doubts(work(operation(started_at=None), assignment(E3)), self.NO_MEMBER)
        assert not self.doubts(work(operation(Target(user_ids=(USER,))), assignment(E3)), self.NO_MEMBER)

    def test_a_group_that_gives_nothing_leaves_no_doubt(self) -> None:
        assert not self.doubts(work(operation(), assignment()), self.NO_MEMBER)
        assert not self.doubts(work(operation(), assignment(E3, group=GROUP_B)), self.NO_MEMBER)


class TestContradictsEvent:
    OUTSIDE = planned(person(groups=[GROUP_B]), NOTHING)
    INSIDE = planned(person(groups=[GROUP_A, GROUP_B]), NOTHING)

    def test_a_read_without_the_group_contradicts_that_the_user_came(self) -> None:
        came = notified_that_user_came_into(GROUP_A)
        assert contradicts_event(came, self.OUTSIDE, NOW)
        assert not contradicts_event(came, self.INSIDE, NOW)

    def test_a_read_with_the_group_contradicts_that_the_user_went(self) -> None:
        went = work(observed={USER: {GROUP_A: False}}, observed_at=NOW)
        assert contradicts_event(went, self.INSIDE, NOW)
        assert not contradicts_event(went, self.OUTSIDE, NOW)

    def test_one_of_two_groups_is_enough(self) -> None:
        moved = work(observed={USER: {GROUP_A: True, GROUP_B: False}}, observed_at=NOW)
        assert contradicts_event(moved, planned(person(groups=[GROUP_A, GROUP_B]), NOTHING), NOW)
        assert contradicts_event(moved, planned(person(), NOTHING), NOW)
        assert not contradicts_event(moved, planned(person(groups=[GROUP_A]), NOTHING), NOW)

    def test_an_event_about_another_user_contradicts_nothing(self) -> None:
        assert not contradicts_event(work(observed={OTHER_USER: {GROUP_A: True}}, observed_at=NOW), self.OUTSIDE, NOW)

    def test_the_directory_wins_after_ten_minutes(self) -> None:
        came = notified_that_user_came_into(GROUP_A)
        assert contradicts_event(came, self.OUTSIDE, seconds(600))
        assert not contradicts_event(came, self.OUTSIDE, seconds(600) + MOMENT)

    def test_an_event_without_a_time_contradicts_nothing(self) -> None:
        assert not contradicts_event(work(observed={USER: {GROUP_A: True}}), self.OUTSIDE, NOW)

    def test_a_user_without_a_read_or_a_plan_contradicts_nothing(self) -> None:
        came = notified_that_user_came_into(GROUP_A)
        assert not contradicts_event(came, planned(UserGone()), NOW)
        assert not contradicts_event(came, planned(person()), NOW)

    @pytest.mark.parametrize(
        ("newest", "contradicts"),
        [
            pytest.param(ObservedEvent(False, seconds(1)), False, id="newer and the opposite"),
            pytest.param(ObservedEvent(True, seconds(1)), True, id="newer and the same"),
            pytest.param(ObservedEvent(False, NOW), True, id="of the same time"),
            pytest.param(ObservedEvent(False, seconds(-1)), True, id="older"),
        ],
    )
    def test_a_newer_event_that_says_the_opposite_makes_the_directory_win(
        self, newest: ObservedEvent, contradicts: bool
    ) -> None:
        user = planned(person(), NOTHING, row=replace(ledger(), observed={GROUP_A: newest}))
        assert contradicts_event(notified_that_user_came_into(GROUP_A), user, NOW) is contradicts

    def test_a_newer_event_about_another_group_changes_nothing(self) -> None:
        user = planned(person(), NOTHING, row=replace(ledger(), observed={GROUP_B: ObservedEvent(False, seconds(1))}))
        assert contradicts_event(notified_that_user_came_into(GROUP_A), user, NOW)


class TestAfterApply:
    REJECTED = RetryAt(seconds(10), "conflict", rejected=True)

    def test_what_was_decided_before_the_write_wins(self) -> None:
        held = Skipped(SkipReason.CANCELLED)
        user = attempted(planned(person(), ADDS_E3, result=held), wrote=True, retry=self.REJECTED)
        assert after_apply(work(), user, NOW) == held

    def test_a_retry_comes_before_problems(self) -> None:
        user = attempted(planned(person(), ADDS_E3), wrote=True, retry=self.REJECTED, problems=(problem(),))
        assert after_apply(work(), user, NOW) == self.REJECTED

    def test_a_retry_comes_before_a_missing_plan(self) -> None:
        assert after_apply(work(), attempted(planned(person()), retry=self.REJECTED), NOW) == self.REJECTED

    def test_a_user_without_a_plan_is_an_error(self) -> None:
        assert after_apply(work(), attempted(planned(person())), NOW) == Failed(
            (
                Problem(
                    LicenseError.OTHER,
                    "The user was not planned.",
                    "Read Graph's message; when its cause is corrected, reprocess the user.",
                ),
            )
        )

    def test_problems_of_the_plan_come_before_those_of_the_calls(self) -> None:
        first, second = problem(sku_id=E1), problem(sku_id=E3)
        user = attempted(planned(person(), replace(ADDS_E3, problems=(first,))), problems=(second,))
        assert after_apply(work(), user, NOW) == Failed((first, second))

    def test_a_problem_comes_before_waiting_and_before_what_was_written(self) -> None:
        user = attempted(planned(person(), ADDS_E3), wrote=True, problems=(problem(),), waiting=(VISIO,))
        assert after_apply(work(), user, NOW) == Failed((problem(),))

    def test_a_user_waits_once_for_each_product(self) -> None:
        user = attempted(planned(person(), replace(ADDS_E3, waiting=(E1, VISIO))), waiting=(VISIO, E3))
        assert after_apply(work(), user, NOW) == Waiting((E1, VISIO, E3))

    def test_waiting_comes_before_what_was_written(self) -> None:
        assert after_apply(work(), attempted(planned(person(), ADDS_E3), wrote=True, waiting=(E3,)), NOW) == Waiting(
            (E3,)
        )

    def test_a_second_read_comes_before_problems_and_waiting(self) -> None:
        notes = (Note(NoteKind.SECOND_READ, E1),)
        plan = replace(ADDS_E3, problems=(problem(),), waiting=(E1,), check_again=seconds(60), notes=notes)
        user = attempted(planned(person(), plan), wrote=True, problems=(problem(),), waiting=(VISIO,))
        assert after_apply(work(), user, NOW) == RetryAt(seconds(60), WAITS)

    def test_a_write_of_this_message_or_an_earlier_one_is_applied(self) -> None:
        assert after_apply(work(), attempted(planned(person(), ADDS_E3), wrote=True), NOW) == Applied()
        assert after_apply(work(), attempted(planned(person(), NOTHING), wrote=True), NOW) == Applied()

    def test_nothing_to_do_is_unchanged(self) -> None:
        assert after_apply(work(), attempted(planned(person(), NOTHING)), NOW) == Unchanged()

    def test_a_held_removal_is_skipped(self) -> None:
        held = replace(NOTHING, notes=(Note(NoteKind.HELD, E3),))
        assert after_apply(work(), attempted(planned(person(), held)), NOW) == Skipped(SkipReason.HELD)

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (AssignmentOptions(include_guests=False), SkipReason.GUEST),
            (AssignmentOptions(include_disabled_accounts=False), SkipReason.ACCOUNT_DISABLED),
            (AssignmentOptions(excluded_groups=frozenset({GROUP_B})), SkipReason.EXCLUDED),
        ],
    )
    def test_a_member_left_out_by_the_assignment_is_skipped_with_the_reason(
        self, options: AssignmentOptions, reason: SkipReason
    ) -> None:
        of = work(operation(), assignment(E3, options=options))
        user = person(groups=[GROUP_A, GROUP_B], user_type="Guest", enabled=False)
        assert after_apply(of, attempted(planned(user, NOTHING)), NOW) == Skipped(reason)

    def test_a_member_left_out_who_was_written_is_applied(self) -> None:
        of = work(operation(), assignment(E3, options=AssignmentOptions(include_guests=False)))
        user = attempted(planned(person(user_type="Guest"), NOTHING), wrote=True)
        assert after_apply(of, user, NOW) == Applied()

    def test_a_guest_of_a_group_without_licenses_or_of_another_group_is_unchanged(self) -> None:
        no_guests = AssignmentOptions(include_guests=False)
        guest = attempted(planned(person(user_type="Guest"), NOTHING))
        assert after_apply(work(operation(), assignment(options=no_guests)), guest, NOW) == Unchanged()
        assert after_apply(work(None, assignment(E3, options=no_guests)), guest, NOW) == Unchanged()
        other = assignment(E3, group=GROUP_B, options=no_guests)
        assert after_apply(work(operation(), other), guest, NOW) == Unchanged()

    @pytest.mark.parametrize("wrote", [True, False])
    @pytest.mark.parametrize("plan", [NOTHING, replace(NOTHING, notes=(Note(NoteKind.HELD, E3),))])
    def test_a_good_end_is_doubted_while_the_read_contradicts_the_event(self, plan: UserPlan, wrote: bool) -> None:
        observed = notified_that_user_came_into(GROUP_A, at=seconds(-25))
        user = attempted(planned(person(), plan), wrote=wrote)
        assert after_apply(observed, user, NOW) == RetryAt(seconds(25), EVENT_NOT_SHOWN)

    def test_errors_and_waiting_are_not_doubted(self) -> None:
        observed = notified_that_user_came_into(GROUP_A)
        assert after_apply(observed, attempted(planned(person(), ADDS_E3), problems=(problem(),)), NOW) == Failed(
            (problem(),)
        )
        assert after_apply(observed, attempted(planned(person(), ADDS_E3), waiting=(E3,)), NOW) == Waiting((E3,))

    def test_what_was_decided_before_the_write_is_not_doubted(self) -> None:
        observed = notified_that_user_came_into(GROUP_A)
        user = attempted(planned(person(), NOTHING, result=Skipped(SkipReason.CANCELLED)))
        assert after_apply(observed, user, NOW) == Skipped(SkipReason.CANCELLED)

    def test_the_eighth_attempt_of_this_user_is_the_last(self) -> None:
        user = attempted(planned(person(), ADDS_E3), retry=self.REJECTED)
        given_up = Failed((Problem(LicenseError.UNAVAILABLE, "Given up after 8 attempts: conflict", GIVEN_UP_REMEDY),))
        assert after_apply(work(attempts={USER: 6, OTHER_USER: 7}), user, NOW) == self.REJECTED
        assert after_apply(work(attempts={USER: 7, OTHER_USER: 0}), user, NOW) == given_up

    def test_a_rejection_24_hours_after_the_first_one_is_the_last(self) -> None:
        user = attempted(planned(person(), ADDS_E3), retry=self.REJECTED)
        assert after_apply(work(first_sent_at=NOW - DAY), user, NOW) == self.REJECTED
        assert after_apply(work(first_sent_at=NOW - DAY - MOMENT), user, NOW) == Failed(
            (Problem(LicenseError.UNAVAILABLE, "Given up after 24 hours: conflict", GIVEN_UP_REMEDY),)
        )

    def test_an_unknown_user_ends_as_not_found(self) -> None:
        why = "the directory does not know the user"
        gone = RetryAt(seconds(30), why, rejected=True, error=LicenseError.NOT_FOUND)
        found = after_apply(work(attempts={USER: 7}), attempted(planned(UserGone(), result=gone)), NOW)
        assert isinstance(found, Failed)
        assert [(each.error, each.text) for each in found.problems] == [
            (LicenseError.NOT_FOUND, "Given up after 8 attempts: the directory does not know the user")
        ]


class TestAfterRecord:
    @pytest.mark.parametrize("result", [Applied(), Unchanged(), Waiting((E3,)), Failed((problem(),)), None])
    def test_who_lost_the_race_is_read_again_after_5_seconds(self, result: Result | None) -> None:
        user = attempted(planned(person(), ADDS_E3), result=result)
        assert after_record(user, NOW, lost=True) == RetryAt(seconds(5), LOST_RACE)

    def test_a_retry_keeps_its_own_time_and_reason(self) -> None:
        retry = RetryAt(seconds(10), "conflict", rejected=True)
        user = attempted(planned(person()), result=retry)
        assert Recorded(user, after_record(user, NOW, lost=True)).result == retry

    def test_without_a_race_the_result_stays(self) -> None:
        user = attempted(planned(person()), result=Applied())
        assert Recorded(user, after_record(user, NOW, lost=False)).result == Applied()
        assert Recorded(attempted(planned(person()))).result == Unchanged()
