"""When a managed license, or a service plan in one, may be removed: grace first, then two reads, then a permit.

In the catalog of the tests, E3 has EXCHANGE_2, SHAREPOINT_2 and TEAMS; E5 also has CALLING. SHAREPOINT_1 (in E1),
SHAREPOINT_2 (in E3 and E5) and SHAREPOINT_KIOSK (in F3) exclude each other. PHONE has only CALLING.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

import pytest

from shared.domain.assignment import GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import AssignedLicense, LicenseAssignmentState
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, GroupId, Plans, UserId
from shared.domain.keeping_grants import grants_that_count
from shared.domain.ledger_row import ManagedLicense
from shared.domain.permit import Claim, leaver_permits
from shared.domain.plan import plan_user
from shared.domain.plan_draft import Note, NoteKind, PermitRequest
from shared.domain.removals import valid_permits
from tests.support.builders import (
    CALLING,
    CLAIM_A,
    CLAIM_B,
    DAY,
    E3,
    E5,
    EXCHANGE_2,
    F3,
    FROM_A,
    FROM_B,
    GROUP_A,
    GROUP_B,
    HOUR,
    LONG_AGO,
    MINUTE,
    NOW,
    PHONE,
    SHAREPOINT_2,
    TEAMS,
    USER,
    VISIO,
    context,
    direct,
    grant,
    ledger,
    managed,
    native,
    permit,
    person,
    plans,
    sku_id,
)

SECOND = timedelta(seconds=1)
EARLIER = NOW - MINUTE
HELD, KEPT, IN_GRACE, LISTED = map(Source, (SourceKind.HELD, SourceKind.KEPT, SourceKind.GRACE, SourceKind.LIST))
JOINED = Source(SourceKind.JOINED, GROUP_A)


def from_both(disabled: Plans = NO_PLANS) -> ManagedLicense:
    return replace(managed(disabled), sources=(FROM_A, FROM_B))


class TestGrace:
    def test_keeps_the_license_as_it_is_until_the_longest_grace_of_its_sources_ends(self) -> None:
        where = context(grace={FROM_A: 30 * DAY, FROM_B: 60 * DAY})
        plan = plan_user(person(direct(E3, plans(TEAMS))), (), ledger({E3: from_both()}), where)
        assert plan.new_grants == (Grant(E3, plans(TEAMS), IN_GRACE, NOW + 60 * DAY),)
        assert plan.notes == (Note(NoteKind.IN_GRACE, E3),)
        assert (plan.removal_seen_at, plan.check_again) == ({}, None)

    def test_of_a_source_without_one_is_none(self) -> None:
        plan = plan_user(person(direct(E3)), (), ledger({E3: managed(source=FROM_A)}), context(grace={FROM_B: DAY}))
        assert (plan.new_grants, plan.notes) == ((), (Note(NoteKind.SECOND_READ, E3),))

    def test_of_service_plans_keeps_those_on_that_a_group_gave_which_the_user_left(self) -> None:
        where = context(grace={FROM_A: 30 * DAY, FROM_B: 60 * DAY})
        user, narrow = person(direct(E3, plans(EXCHANGE_2))), grant(E3, plans(TEAMS, EXCHANGE_2), FROM_B)
        plan = plan_user(user, (narrow,), ledger({E3: from_both(plans(EXCHANGE_2))}), where)
        assert plan.new_grants == (Grant(E3, plans(EXCHANGE_2), IN_GRACE, NOW + 30 * DAY),)
        assert plan.notes == (Note(NoteKind.IN_GRACE, E3, plans(TEAMS)),)
        assert (plan.removal_seen_at, plan.add) == ({}, ())

    def test_of_service_plans_is_given_once(self) -> None:
        grants = (grant(E3, source=IN_GRACE, until=NOW), grant(E3, plans(TEAMS), FROM_B))
        plan = plan_user(person(direct(E3)), grants, ledger({E3: from_both()}), context(grace={FROM_A: DAY}))
        assert (plan.new_grants, plan.notes) == ((), (Note(NoteKind.SECOND_READ, E3, plans(TEAMS)),))

    def test_of_service_plans_is_none_where_the_group_narrows_what_it_gives(self) -> None:
        where = context(grace={FROM_A: DAY})
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS)),), ledger({E3: managed()}), where)
        assert (plan.new_grants, plan.notes) == ((), (Note(NoteKind.SECOND_READ, E3, plans(TEAMS)),))

    def test_does_not_protect_a_plan_that_a_person_turned_on_and_an_approval_names(self) -> None:
        row = ledger({E3: from_both(plans(EXCHANGE_2))})
        approval = permit(E3, disabling=plans(EXCHANGE_2), by_approval=True)
        where = context(grace={FROM_A: DAY}, permits=(approval,))
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS, EXCHANGE_2), FROM_B),), row, where)
        assert plan.add == (AssignedLicense(E3, plans(EXCHANGE_2)),)
        assert plan.notes == (Note(NoteKind.IN_GRACE, E3, plans(TEAMS)),)


class TestTwoReads:
    def test_the_first_read_of_a_removal_is_remembered_and_asks_for_a_second_a_minute_later(self) -> None:
        plan = plan_user(person(direct(E3)), (), ledger({E3: managed()}), context(permits=(permit(E3),)))
        assert plan.notes == (Note(NoteKind.SECOND_READ, E3),)
        assert (plan.removal_seen_at, plan.check_again) == ({str(E3): NOW}, NOW + MINUTE)

    def test_a_second_read_that_comes_too_soon_decides_nothing(self) -> None:
        row = ledger({E3: managed()}, seen={str(E3): EARLIER + SECOND})
        plan = plan_user(person(direct(E3)), (), row, context(permits=(permit(E3),)))
        assert (plan.remove, plan.removal_seen_at) == ((), {str(E3): EARLIER + SECOND})
        assert plan.check_again == NOW + SECOND

    def test_the_second_read_keeps_the_time_of_the_first_and_asks_for_no_third(self) -> None:
        row = ledger({E3: managed()}, seen={str(E3): EARLIER})
        plan = plan_user(person(direct(E3)), (), row, context())
        assert (plan.removal_seen_at, plan.check_again) == ({str(E3): EARLIER}, None)

    def test_each_service_plan_is_read_twice(self) -> None:
        row = ledger({E3: managed()}, seen={f"{E3}/{TEAMS}": EARLIER})
        plan = plan_user(
            person(direct(E3)), (grant(E3, plans(TEAMS, EXCHANGE_2)),), row, context(permits=(permit(E3),))
        )
        assert plan.add == (AssignedLicense(E3, plans(TEAMS)),)
        assert plan.notes == (Note(NoteKind.SECOND_READ, E3, plans(EXCHANGE_2)),)
        assert plan.removal_seen_at == {f"{E3}/{TEAMS}": EARLIER, f"{E3}/{EXCHANGE_2}": NOW}


class TestPermits:
    twice: ClassVar = {str(E3): EARLIER, f"{E3}/{TEAMS}": EARLIER, f"{E3}/{EXCHANGE_2}": EARLIER}

    def test_a_removal_without_one_asks_for_every_claim_that_ended(self) -> None:
        plan = plan_user(person(direct(E3)), (), ledger({E3: from_both()}, seen=self.twice), context())
        assert (plan.wants_permit, plan.notes) == ((PermitRequest(USER, E3, CLAIM_A | CLAIM_B, EARLIER),), ())

    def test_a_removal_that_is_seen_for_the_first_time_asks_before_its_window_is_over(self) -> None:
        plan = plan_user(person(direct(E3)), (), ledger({E3: managed()}), context())
        assert plan.wants_permit == (PermitRequest(USER, E3, CLAIM_A, NOW, ripe=False),)
        grants, row = (grant(E3, plans(TEAMS, EXCHANGE_2)),), ledger({E3: managed()}, seen={f"{E3}/{TEAMS}": EARLIER})
        plan = plan_user(person(direct(E3)), grants, row, context())
        assert plan.wants_permit == (PermitRequest(USER, E3, CLAIM_A, NOW, plans(TEAMS, EXCHANGE_2), ripe=False),)

    def test_a_license_without_a_source_is_one_that_was_asked_for_by_list(self) -> None:
        row, listed = ledger({E3: ManagedLicense(plans(), LONG_AGO)}, seen=self.twice), frozenset({Claim(LISTED)})
        assert plan_user(person(direct(E3)), (), row, context()).wants_permit == (
            PermitRequest(USER, E3, listed, EARLIER),
        )
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS), LISTED),), row, context())
        assert plan.wants_permit == (PermitRequest(USER, E3, listed, EARLIER, plans(TEAMS)),)

    def test_a_removal_that_was_denied_is_held_with_the_plans_that_are_off_now(self) -> None:
        where = context(denied=frozenset({E3}))
        plan = plan_user(person(direct(E3, plans(TEAMS))), (), ledger({E3: managed()}, seen=self.twice), where)
        assert plan.new_grants == (Grant(E3, plans(TEAMS), HELD),)
        assert (plan.notes, plan.wants_permit) == ((Note(NoteKind.HELD, E3),), ())

    def test_service_plans_without_one_ask_for_it_and_those_that_were_denied_are_held(self) -> None:
        grants, row = (grant(E3, plans(TEAMS, EXCHANGE_2)),), ledger({E3: managed()}, seen=self.twice)
        permits = (permit(E3, disabling=plans(TEAMS)),)
        plan = plan_user(person(direct(E3)), grants, row, context(permits=permits))
        assert (plan.plans_off, plan.notes) == ({E3: plans(TEAMS)}, ())
        assert plan.wants_permit == (PermitRequest(USER, E3, CLAIM_A, EARLIER, plans(EXCHANGE_2)),)
        plan = plan_user(person(direct(E3)), grants, row, context(permits=permits, denied=frozenset({E3})))
        assert (plan.plans_off, plan.wants_permit) == ({E3: plans(TEAMS)}, ())
        assert plan.notes == (Note(NoteKind.HELD, E3, plans(EXCHANGE_2)),)

    def test_plans_of_several_permits_add_up(self) -> None:
        permits = (permit(E3, disabling=plans(TEAMS)), permit(E3, disabling=plans(EXCHANGE_2, SHAREPOINT_2)))
        row = ledger({E3: managed()}, seen=self.twice)
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS, EXCHANGE_2)),), row, context(permits=permits))
        assert (plan.plans_off, plan.wants_permit) == ({E3: plans(TEAMS, EXCHANGE_2)}, ())

    def test_of_plans_turned_on_by_hand_only_those_go_off_that_an_approval_names(self) -> None:
        row = ledger({E3: managed(plans(TEAMS, EXCHANGE_2))}, seen=self.twice)
        permits = (
            permit(E3, disabling=plans(TEAMS, SHAREPOINT_2), by_approval=True),
            permit(E3, disabling=plans(EXCHANGE_2)),
        )
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS, EXCHANGE_2)),), row, context(permits=permits))
        assert (plan.plans_off, plan.wants_permit) == ({E3: plans(TEAMS)}, ())
        assert plan.notes == (Note(NoteKind.TURNED_ON_BY_HAND, E3, plans(EXCHANGE_2)),)

    def test_plans_turned_on_by_hand_and_others_go_off_together_each_by_its_own_permit(self) -> None:
        row = ledger({E3: managed(plans(EXCHANGE_2))}, seen=self.twice)
        approval = permit(E3, disabling=plans(EXCHANGE_2), by_approval=True)
        grants = (grant(E3, plans(TEAMS, EXCHANGE_2)),)
        plan = plan_user(person(direct(E3)), grants, row, context(permits=(approval, permit(E3))))
        assert (plan.plans_off, plan.notes) == ({E3: plans(TEAMS, EXCHANGE_2)}, ())

    def test_only_permits_of_the_user_and_the_product_count_given_after_the_license_and_for_seven_days(self) -> None:
        license = managed(at=NOW - 8 * DAY)
        good = (permit(E3, at=NOW - 7 * DAY), permit(E3, at=NOW))
        bad = (
            permit(E3, at=NOW - 7 * DAY - SECOND),
            permit(E5),
            replace(permit(E3), user_id=UserId("somebody else")),
        )
        assert valid_permits(USER, E3, license, context(permits=(bad[0], good[0], *bad[1:], good[1]))) == list(good)
        young = managed(at=NOW - HOUR)
        permits = (permit(E3, at=NOW - HOUR), permit(E3, at=NOW - HOUR + SECOND))
        assert valid_permits(USER, E3, young, context(permits=permits)) == [permits[1]]


class TestClaims:
    """A permit names the claims that ended, each with its version; nothing else is removed by it."""

    twice: ClassVar = {str(E3): EARLIER, f"{E3}/{TEAMS}": EARLIER}

    def test_a_permit_for_one_of_two_groups_that_let_go_removes_nothing(self) -> None:
        row = ledger({E3: from_both()}, seen=self.twice)
        for source, lacking in ((FROM_A, CLAIM_B), (FROM_B, CLAIM_A)):
            plan = plan_user(person(direct(E3)), (), row, context(permits=(permit(E3, source=source),)))
            assert (plan.remove, plan.wants_permit) == ((), (PermitRequest(USER, E3, lacking, EARLIER),))
        both = (permit(E3, source=FROM_A), permit(E3, source=FROM_B))
        assert plan_user(person(direct(E3)), (), row, context(permits=both)).remove == (E3,)

    def test_a_permit_for_a_former_version_of_the_group_removes_nothing(self) -> None:
        def removes(version: int, pauses: int = 0) -> bool:
            known = {GROUP_A: GroupLicenseAssignment(GROUP_A, version=version, pauses=pauses)}
            where = context(assignments=known, permits=(replace(permit(E3), claims=frozenset({Claim(FROM_A, 4)})),))
            return plan_user(person(direct(E3)), (), ledger({E3: managed()}, seen=self.twice), where).remove == (E3,)

        assert [removes(3), removes(4), removes(5), removes(6, pauses=2)] == [False, True, False, True]

    def test_a_license_is_held_until_a_permit_names_one_of_its_claims(self) -> None:
        held = (grant(E3, source=HELD),)
        row = ledger({E3: from_both()})
        for of, counts in ((FROM_A, False), (FROM_B, False), (LISTED, True)):
            given = context(permits=(permit(E3, source=of),))
            assert bool(grants_that_count(person(), held, row, given)) is counts

    def test_a_membership_that_hr_has_just_written_is_the_claim_of_its_group(self) -> None:
        row = ledger({E3: replace(managed(), sources=(FROM_A, JOINED))}, seen=self.twice)
        assert plan_user(person(direct(E3)), (), row, context()).wants_permit == (
            PermitRequest(USER, E3, CLAIM_A, EARLIER),
        )

    @pytest.mark.parametrize(("narrowed_last", "claims"), [(GROUP_A, CLAIM_A), (GROUP_B, CLAIM_B)])
    def test_of_plans_is_that_of_the_group_that_turned_them_off_last(
        self, narrowed_last: GroupId, claims: object
    ) -> None:
        known = {
            group: GroupLicenseAssignment(group, (SkuAssignment(E3, plans(TEAMS), changed_at=at),))
            for group, at in ((GROUP_A, NOW - DAY), (GROUP_B, NOW - DAY), (narrowed_last, NOW - HOUR))
        }
        grants = (grant(E3, plans(TEAMS)), grant(E3, plans(TEAMS), FROM_B))
        row = ledger({E3: from_both()}, seen=self.twice)
        plan = plan_user(person(direct(E3)), grants, row, context(assignments=known))
        assert [each.claims for each in plan.wants_permit] == [claims]

    def test_of_plans_are_those_of_the_groups_that_the_user_left(self) -> None:
        row = ledger({E3: from_both()}, seen=self.twice)
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS), FROM_B),), row, context())
        assert [each.claims for each in plan.wants_permit] == [CLAIM_A]

    def test_leaver_permits_name_all_that_ends_and_no_group_that_is_joined_later(self) -> None:
        hr = Source(SourceKind.HR, "sales")
        known = {
            GROUP_A: GroupLicenseAssignment(GROUP_A, (SkuAssignment(E3, plans()),), version=2),
            GROUP_B: GroupLicenseAssignment(GROUP_B, (SkuAssignment(VISIO, plans()),), version=7),
        }
        row = ledger({E3: managed(source=LISTED), VISIO: managed(source=FROM_B)})
        found = leaver_permits(row, [GROUP_A, GROUP_B], [grant(E3, source=hr)], known, hr, NOW, "Mia")
        assert {each.sku_id: each.claims for each in found} == {
            E3: frozenset({Claim(LISTED), Claim(FROM_A, 2), Claim(hr)}),
            VISIO: frozenset({Claim(FROM_B, 7)}),
        }


class TestUpgrades:
    """A removal that keeps every enabled plan on needs two reads, and no permit."""

    twice: ClassVar = {str(E3): EARLIER, str(E5): EARLIER, f"{E3}/{TEAMS}": EARLIER}

    @pytest.mark.parametrize(
        ("other", "grants", "goes"),
        [
            pytest.param((), (grant(E5, source=FROM_B),), True, id="replaced in the same call"),
            pytest.param((), (grant(E5, plans(TEAMS), FROM_B),), False, id="replaced without a plan that is on"),
            pytest.param((direct(E5),), (grant(E5, source=FROM_B),), True, id="another managed license has all of it"),
            pytest.param((direct(E5),), (), True, id="an unmanaged license has all of it"),
            pytest.param((native(E5),), (), True, id="an inherited license has all of it"),
            pytest.param((native(E5, plans(EXCHANGE_2)),), (), False, id="an inherited license lacks a plan"),
            pytest.param((direct(PHONE),), (), False, id="another license has other plans"),
        ],
    )
    def test_are_licenses_whose_plans_stay_on(
        self, other: tuple[LicenseAssignmentState, ...], grants: tuple[Grant, ...], *, goes: bool
    ) -> None:
        owning = {E3: managed(), E5: managed(source=FROM_B)} if grants and other else {E3: managed()}
        plan = plan_user(person(direct(E3), *other), grants, ledger(owning, seen=self.twice), context())
        assert (plan.remove == (E3,), bool(plan.wants_permit)) == (goes, not goes)

    def test_are_not_two_licenses_that_both_go(self) -> None:
        row = ledger({E3: managed(), E5: managed()}, seen=self.twice)
        plan = plan_user(person(direct(E3), direct(E5)), (), row, context())
        assert (plan.remove, [each.sku_id for each in plan.wants_permit]) == ((), [E3, E5])

    def test_are_not_two_licenses_that_both_lose_the_plan(self) -> None:
        seen = {f"{E3}/{TEAMS}": EARLIER, f"{E5}/{TEAMS}": EARLIER}
        grants = (grant(E3, plans(TEAMS)), grant(E5, plans(TEAMS)))
        row = ledger({E3: managed(), E5: managed()}, seen=seen)
        plan = plan_user(person(direct(E3), direct(E5)), grants, row, context())
        assert (plan.plans_off, [each.sku_id for each in plan.wants_permit]) == ({}, [E3, E5])

    def test_are_plans_that_stay_on_in_another_license(self) -> None:
        grants = (grant(E3, plans(TEAMS)), grant(E5))
        row = ledger({E3: managed(), E5: managed()}, seen=self.twice)
        plan = plan_user(person(direct(E3), direct(E5)), grants, row, context())
        assert (plan.plans_off, plan.wants_permit) == ({E3: plans(TEAMS)}, ())

    def test_are_not_products_of_which_nothing_is_known(self) -> None:
        unknown = sku_id(99)
        row = ledger({unknown: managed()}, seen={str(unknown): EARLIER})
        assert plan_user(person(direct(unknown)), (), row, context()).remove == ()


class TestWaitingForRemovals:
    """An addition that replaces something that may not go yet waits for it."""

    def test_for_the_second_read_and_says_so(self) -> None:
        plan = plan_user(person(direct(E3)), (grant(E5),), ledger({E3: managed()}), context())
        assert (plan.add, plan.notes) == ((), (Note(NoteKind.SECOND_READ, E3), Note(NoteKind.AFTER_REMOVAL, E5)))

    def test_for_a_permit_and_says_so(self) -> None:
        row = ledger({E5: managed()}, seen={str(E5): EARLIER})
        plan = plan_user(person(direct(E5)), (grant(E3),), row, context())
        assert (plan.add, plan.notes) == ((), (Note(NoteKind.PENDING_APPROVAL, E3),))

    def test_for_a_permit_also_when_another_removal_waits_only_for_its_second_read(self) -> None:
        row = ledger({E3: managed(), PHONE: managed()}, seen={str(E3): EARLIER})
        plan = plan_user(person(direct(E3), direct(PHONE)), (grant(E5, plans(TEAMS)),), row, context())
        assert plan.notes == (Note(NoteKind.SECOND_READ, PHONE), Note(NoteKind.PENDING_APPROVAL, E5))

    def test_while_unrelated_additions_before_and_after_it_go_out(self) -> None:
        user, row = person(direct(E5)), ledger({E5: managed()})
        plan = plan_user(user, (grant(E3), grant(VISIO), grant(F3), grant(PHONE)), row, context())
        assert plan.add == (AssignedLicense(VISIO),)
        assert plan.notes == (
            Note(NoteKind.SECOND_READ, E5),
            Note(NoteKind.AFTER_REMOVAL, E3),
            Note(NoteKind.AFTER_REMOVAL, F3),
            Note(NoteKind.AFTER_REMOVAL, PHONE),
        )

    def test_and_with_it_another_removal_that_it_replaces_stays(self) -> None:
        row = ledger({E3: managed(), PHONE: managed()}, seen={str(PHONE): EARLIER})
        where = context(permits=(permit(E3), permit(PHONE)))
        plan = plan_user(person(direct(E3), direct(PHONE)), (grant(E5),), row, where)
        assert (plan.add, plan.remove) == ((), ())
        assert plan.notes == (
            Note(NoteKind.SECOND_READ, E3),
            Note(NoteKind.KEPT_UNTIL_REPLACED, PHONE),
            Note(NoteKind.AFTER_REMOVAL, E5),
        )

    def test_only_for_the_plans_that_are_to_go_off_where_the_product_stays(self) -> None:
        user, row = person(direct(E5)), ledger({E5: managed()})
        waits = plan_user(user, (grant(E5, plans(CALLING)), grant(PHONE)), row, context())
        assert (waits.add, waits.notes[1:]) == ((), (Note(NoteKind.AFTER_REMOVAL, PHONE),))
        goes = plan_user(user, (grant(E5, plans(TEAMS)), grant(PHONE)), row, context())
        assert goes.add == (AssignedLicense(PHONE),)
        off = plan_user(user, (grant(E5, plans(SHAREPOINT_2)), grant(E3, plans(SHAREPOINT_2))), row, context())
        assert off.add == (AssignedLicense(E3, plans(SHAREPOINT_2)),)

    def test_for_a_permit_of_plans_and_says_so(self) -> None:
        row = ledger({E5: managed()}, seen={f"{E5}/{CALLING}": EARLIER})
        plan = plan_user(person(direct(E5)), (grant(E5, plans(CALLING)), grant(PHONE)), row, context())
        assert (plan.add, plan.notes) == ((), (Note(NoteKind.PENDING_APPROVAL, PHONE),))

    def test_a_change_of_a_license_that_the_user_has_does_not_wait(self) -> None:
        user = person(direct(E3), direct(E5, plans(CALLING)))
        row = ledger({E3: managed(), E5: managed(plans(CALLING))})
        assert plan_user(user, (grant(E5),), row, context()).add == (AssignedLicense(E5),)


class TestGrantsThatCount:
    def test_without_grants_that_can_end_are_all_of_them(self) -> None:
        grants = (grant(E3), grant(E5, source=JOINED, until=NOW))
        assert grants_that_count(person(), grants, ledger(), context()) is grants

    @pytest.mark.parametrize("by_approval", [False, True])
    def test_a_hold_counts_until_there_is_a_permit(self, by_approval: bool) -> None:
        grants = (grant(E3, source=HELD), grant(VISIO))
        given = context(permits=(permit(E3, by_approval=by_approval),))
        assert grants_that_count(person(), grants, ledger({E3: managed()}), context()) == grants
        assert grants_that_count(person(), grants, ledger({E3: managed()}), given) == grants[1:]
        assert grants_that_count(person(), grants, ledger(), given) == grants

    def test_what_a_person_kept_counts_until_there_is_an_approval(self) -> None:
        grants = (grant(E3, source=KEPT), grant(VISIO))
        for permits, counting in (
            ((), grants),
            ((permit(E3),), grants),
            ((permit(E3), permit(E3, by_approval=True)), grants[1:]),
        ):
            assert grants_that_count(person(), grants, ledger({E3: managed()}), context(permits=permits)) == counting
        assert grants_that_count(person(), grants, ledger(), context(permits=(permit(E3, by_approval=True),))) == grants


class TestGrantsThatEnded:
    def test_a_membership_that_was_written_ends_when_its_time_is_over_and_others_do_not(self) -> None:
        grants = (
            grant(E3, source=JOINED, until=NOW),
            grant(E5, source=JOINED, until=NOW + SECOND),
            grant(VISIO, until=NOW),
        )
        assert plan_user(person(), grants, ledger(), context()).ended_grants == grants[:1]
        gone = grant(F3, source=HELD)
        assert plan_user(person(), (gone, *grants), ledger(), context()).ended_grants == (grants[0], gone)

    def test_a_hold_ends_when_a_person_keeps_the_license_and_what_is_kept_does_not(self) -> None:
        grants = (grant(E3, source=HELD), grant(E3, source=KEPT), grant(E5, source=HELD))
        user, row = person(direct(E3), direct(E5)), ledger({E3: managed(), E5: managed()})
        assert plan_user(user, grants, row, context()).ended_grants == grants[:1]

    def test_a_hold_ends_when_a_group_gives_the_license_and_a_decision_when_it_gives_every_plan(self) -> None:
        held, kept = grant(E3, source=HELD), grant(E3, source=KEPT)
        user, row = person(direct(E3)), ledger({E3: managed()})
        for group, ended in ((grant(E3), (held,)), (grant(E3, plans(TEAMS)), (held,)), (grant(E3, adds=False), ())):
            assert plan_user(user, (held, group), row, context()).ended_grants == ended
        for group, ended in ((grant(E3), (kept,)), (grant(E3, plans(TEAMS)), ()), (grant(E3, adds=False), ())):
            assert plan_user(user, (kept, group), row, context()).ended_grants == ended

    def test_it_does_not_end_while_the_license_is_managed_though_a_read_lacks_it(self) -> None:
        grants = (grant(E3, source=HELD), grant(E5, source=KEPT), grant(VISIO, source=IN_GRACE, until=NOW + DAY))
        row = ledger({E3: managed(), E5: managed(), VISIO: managed()})
        assert plan_user(person(), grants, row, context()).ended_grants == ()
        assert plan_user(person(direct(E3), direct(E5), direct(VISIO)), grants, ledger(), context()).ended_grants == ()
        assert plan_user(person(), grants, ledger(), context()).ended_grants == grants

    def test_a_grace_ends_when_the_group_gives_all_that_it_keeps(self) -> None:
        grace = grant(E3, plans(TEAMS), IN_GRACE, until=NOW + DAY)
        user, row = person(direct(E3, plans(TEAMS))), ledger({E3: managed(plans(TEAMS))})
        assert plan_user(user, (grace, grant(E3, plans(TEAMS))), row, context()).ended_grants == (grace,)
        narrower = grant(E3, plans(TEAMS, EXCHANGE_2))
        assert plan_user(user, (grace, narrower), row, context()).ended_grants == ()

    def test_a_grace_of_plans_that_is_over_ends_when_they_are_off_or_given_and_not_before(self) -> None:
        grace, narrow = grant(E3, source=IN_GRACE, until=NOW), grant(E3, plans(TEAMS))
        row = ledger({E3: managed()}, seen={f"{E3}/{TEAMS}": EARLIER})
        at_first_read = plan_user(person(direct(E3)), (grace, narrow), ledger({E3: managed()}), context())
        assert at_first_read.ended_grants == ()
        without_permit = plan_user(person(direct(E3)), (grace, narrow), row, context())
        assert without_permit.ended_grants == ()
        allowed = plan_user(person(direct(E3)), (grace, narrow), row, context(permits=(permit(E3),)))
        assert allowed.ended_grants == (grace,)
