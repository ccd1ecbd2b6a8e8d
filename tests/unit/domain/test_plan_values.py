"""The plan of one user in full: every field that a rule sets, with the value it should have."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import AssignedLicense, LicenseError, LicenseState
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import SkuId
from shared.domain.ledger_row import RejectionRecord
from shared.domain.outcomes import Applied, Failed, Problem, RetryAt, Skipped, SkipReason, Unchanged, Waiting
from shared.domain.plan import IDLE_REMEDY, UNMANAGED_REMEDY, WAITS, UserPlan, plan_user
from shared.domain.plan_draft import Note, NoteKind, PermitRequest
from shared.domain.write_results import LicenseCall
from tests.support.builders import (
    CALLING,
    CLAIM_A,
    DAY,
    E1,
    E3,
    E5,
    EXCHANGE_2,
    FROM_A,
    FROM_B,
    GROUP_A,
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
    rejection_of,
)

SECOND = timedelta(seconds=1)
EARLIER = NOW - MINUTE
KEPT = Source(SourceKind.KEPT)
WEEK = timedelta(days=7)
PROBLEM = Problem(LicenseError.OTHER, "text", "remedy", E3)


class TestThePlan:
    def test_with_nothing_to_do_is_empty(self) -> None:
        assert plan_user(person(), (), ledger(), context()) == UserPlan(USER)

    def test_of_a_swap_has_both_halves_sorted_with_their_sources_and_reads(self) -> None:
        row = ledger(
            {E1: managed(), PHONE: managed()}, seen={str(E1): EARLIER, str(PHONE): EARLIER, str(VISIO): EARLIER}
        )
        where = context(permits=(permit(PHONE), permit(E1)), usage_location="CH")
        user = person(direct(PHONE), direct(E1), location=None)
        plan = plan_user(user, (grant(VISIO), grant(E5), grant(E5, source=FROM_B)), row, where)
        assert plan == UserPlan(
            USER,
            add=(AssignedLicense(E5), AssignedLicense(VISIO)),
            remove=(E1, PHONE),
            usage_location="CH",
            sources={E5: (FROM_A, FROM_B), VISIO: (FROM_A,)},
            removal_seen_at={str(E1): EARLIER, str(PHONE): EARLIER},
            wished=LicenseCall((AssignedLicense(E5), AssignedLicense(VISIO)), (E1, PHONE)),
        )

    def test_of_a_removal_that_waits_names_the_read_and_the_permit_that_it_waits_for(self) -> None:
        row = ledger({E3: managed(), VISIO: managed()}, seen={str(E3): EARLIER})
        plan = plan_user(person(direct(E3), direct(VISIO)), (), row, context())
        assert plan == UserPlan(
            USER,
            notes=(Note(NoteKind.SECOND_READ, VISIO),),
            wants_permit=(
                PermitRequest(USER, E3, CLAIM_A, EARLIER),
                PermitRequest(USER, VISIO, CLAIM_A, NOW, ripe=False),
            ),
            removal_seen_at={str(E3): EARLIER, str(VISIO): NOW},
            check_again=NOW + MINUTE,
        )

    def test_counts_a_write_for_licenses_and_one_for_the_usage_location_before_it(self) -> None:
        adding = UserPlan(USER, add=(AssignedLicense(E3),))
        assert (UserPlan(USER).writes, UserPlan(USER).write_count) == (False, 0)
        assert (adding.writes, adding.write_count) == (True, 1)
        assert (UserPlan(USER, remove=(E3,)).writes, UserPlan(USER, remove=(E3,)).write_count) == (True, 1)
        assert replace(adding, usage_location="CH").write_count == 2

    @pytest.mark.parametrize("kind", NoteKind)
    def test_is_held_by_a_hold_and_by_a_pending_approval(self, kind: NoteKind) -> None:
        held = UserPlan(USER, notes=(Note(NoteKind.UNMANAGED, VISIO), Note(kind, E3))).held
        assert held is (kind in (NoteKind.HELD, NoteKind.PENDING_APPROVAL))


class TestTheResult:
    def test_is_the_worst_of_what_the_plan_says_whatever_was_written(self) -> None:
        plan = UserPlan(
            USER,
            problems=(PROBLEM,),
            waiting=(E3,),
            check_again=NOW,
            notes=(Note(NoteKind.HELD, E3),),
        )
        assert plan.result(Applied()) == Failed((PROBLEM,))
        plan = replace(plan, problems=())
        assert plan.result(Applied()) == Waiting((E3,))
        plan = replace(plan, waiting=())
        assert plan.result(Applied()) == RetryAt(NOW, "the directory does not show yet what was written")
        waits = replace(plan, notes=(Note(NoteKind.SECOND_READ, E3),))
        assert waits.result(Applied()) == RetryAt(NOW, WAITS)

    def test_is_what_was_written_else_held_or_unchanged(self) -> None:
        plan = UserPlan(USER, notes=(Note(NoteKind.HELD, E3),))
        assert plan.result(Applied()) == Applied()
        assert plan.result() == Skipped(SkipReason.HELD)
        assert UserPlan(USER).result() == Unchanged()


class TestUnmanagedLicenses:
    def test_one_that_lacks_plans_is_an_error_that_names_them_by_name(self) -> None:
        user = person(direct(E5, plans(TEAMS, CALLING, EXCHANGE_2)))
        plan = plan_user(user, (grant(E5, plans(EXCHANGE_2, SHAREPOINT_2)),), ledger(), context())
        text = (
            "The license was assigned outside this app and lacks service plans that the group grants: CALLING, TEAMS."
        )
        assert plan.problems == (Problem(LicenseError.OTHER, text, UNMANAGED_REMEDY, E5),)
        assert plan.notes == (Note(NoteKind.UNMANAGED_LACKS_PLANS, E5, plans(TEAMS, CALLING)),)
        assert (plan.add, plan.unmanaged) == ((), frozenset())

    def test_one_in_which_a_person_enables_the_missing_plans_gets_them_and_stays_unmanaged(self) -> None:
        user = person(direct(E5, plans(TEAMS, CALLING, EXCHANGE_2)), direct(E3, plans(TEAMS)))
        grants = (grant(E5, plans(EXCHANGE_2)), grant(VISIO))
        plan = plan_user(user, grants, ledger(), context(enable=frozenset({E5, VISIO})))
        assert plan.add == (AssignedLicense(E5, plans(EXCHANGE_2)), AssignedLicense(VISIO))
        assert (set(plan.unmanaged), plan.problems) == ({E5}, ())
        assert plan.notes == (Note(NoteKind.UNMANAGED_LACKS_PLANS, E5, plans(TEAMS, CALLING)),)

    def test_one_whose_missing_plans_are_enabled_and_that_was_rejected_is_not_in_the_call(self) -> None:
        user, where = person(direct(E3, plans(TEAMS))), context(enable=frozenset({E3}))
        wished = plan_user(user, (grant(E3),), ledger(), where)
        row = replace(ledger(), rejections={E3: rejection_of(wished, E3, user=user)})
        plan = plan_user(user, (grant(E3),), row, where)
        assert (plan.add, plan.unmanaged) == ((), frozenset())

    def test_one_that_has_all_that_is_granted_is_noted(self) -> None:
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS)),), ledger(), context())
        assert (plan.notes, plan.problems) == ((Note(NoteKind.UNMANAGED, E3),), ())

    def test_one_that_a_grant_only_keeps_lacks_nothing(self) -> None:
        plan = plan_user(person(direct(E3, plans(TEAMS))), (grant(E3, source=KEPT),), ledger(), context())
        assert plan.notes == (Note(NoteKind.UNMANAGED, E3),)

    def test_one_that_the_user_cannot_use_is_an_error_that_names_its_state(self) -> None:
        user = person(direct(E3, state=LicenseState.DISABLED))
        plan = plan_user(user, (grant(E3),), ledger(), context())
        text = "The license was assigned outside this app and is in state Disabled."
        assert plan.problems == (Problem(LicenseError.OTHER, text, IDLE_REMEDY, E3),)
        assert (plan.notes, plan.add) == ((Note(NoteKind.UNMANAGED, E3),), ())

    def test_one_that_the_user_cannot_use_and_nothing_gives_is_not_mentioned(self) -> None:
        user = person(direct(E3, state=LicenseState.DISABLED))
        assert plan_user(user, (grant(E3, adds=False),), ledger(), context()).notes == ()

    def test_one_that_was_removed_here_a_moment_ago_is_a_stale_read_and_is_read_again(self) -> None:
        row = replace(ledger(), removed_at={E3: NOW - 5 * SECOND})
        plan = plan_user(person(direct(E3, plans(TEAMS))), (grant(E3),), row, context())
        assert (plan.add, plan.problems) == ((), ())
        assert plan.notes == (Note(NoteKind.NOT_VISIBLE_YET, E3),)
        assert plan.check_again == NOW + 5 * SECOND


class TestInheritedLicenses:
    where = context(count_inherited=frozenset({E3}))

    def test_several_count_together(self) -> None:
        """Each of two groups disables one plan: the user has both."""
        user = person(native(E3, plans(TEAMS)), native(E3, plans(EXCHANGE_2), group=GROUP_A))
        plan = plan_user(user, (grant(E3),), ledger(), self.where)
        assert (plan.add, plan.notes) == ((), (Note(NoteKind.DEPENDS_ON_NATIVE, E3),))

    def test_count_when_only_plans_are_off_that_the_grant_disables_too(self) -> None:
        user = person(native(E3, plans(TEAMS)))
        assert plan_user(user, (grant(E3, plans(TEAMS)),), ledger(), self.where).add == ()
        wanted = (AssignedLicense(E3, plans(EXCHANGE_2)),)
        assert plan_user(user, (grant(E3, plans(EXCHANGE_2)),), ledger(), self.where).add == wanted

    def test_of_another_product_or_none_do_not_count(self) -> None:
        assert plan_user(person(native(E5)), (grant(E3),), ledger(), self.where).add == (AssignedLicense(E3),)
        assert plan_user(person(native(E5)), (grant(E5),), ledger(), self.where).add == (AssignedLicense(E5),)


class TestManagedLicenses:
    def test_plans_that_are_granted_since_go_on_without_a_note(self) -> None:
        user, row = person(direct(E3, plans(TEAMS, EXCHANGE_2))), ledger({E3: managed(plans(TEAMS, EXCHANGE_2))})
        plan = plan_user(user, (grant(E3, plans(EXCHANGE_2)),), row, context())
        assert (plan.add, plan.notes) == ((AssignedLicense(E3, plans(EXCHANGE_2)),), ())

    def test_of_plans_that_go_on_those_are_noted_that_were_turned_off_by_hand(self) -> None:
        user, row = person(direct(E3, plans(TEAMS, EXCHANGE_2))), ledger({E3: managed(plans(TEAMS))})
        plan = plan_user(user, (grant(E3),), row, context())
        assert plan.add == (AssignedLicense(E3),)
        assert plan.notes == (Note(NoteKind.TURNED_OFF_BY_HAND, E3, plans(EXCHANGE_2)),)

    def test_some_plans_go_on_and_others_off_in_one_write(self) -> None:
        row = ledger({E3: managed(plans(EXCHANGE_2))}, seen={f"{E3}/{TEAMS}": EARLIER})
        user, where = person(direct(E3, plans(EXCHANGE_2))), context(permits=(permit(E3),))
        plan = plan_user(user, (grant(E3, plans(TEAMS)),), row, where)
        assert (plan.add, plan.plans_off) == ((AssignedLicense(E3, plans(TEAMS)),), {E3: plans(TEAMS)})

    def test_plans_that_are_off_already_stay_off_when_others_go_off(self) -> None:
        row = ledger({E3: managed(plans(EXCHANGE_2))}, seen={f"{E3}/{TEAMS}": EARLIER})
        user, where = person(direct(E3, plans(EXCHANGE_2))), context(permits=(permit(E3),))
        plan = plan_user(user, (grant(E3, plans(TEAMS, EXCHANGE_2)),), row, where)
        assert plan.add == (AssignedLicense(E3, plans(TEAMS, EXCHANGE_2)),)
        assert plan.plans_off == {E3: plans(TEAMS)}

    def test_that_are_as_granted_are_left_alone(self) -> None:
        user, row = person(direct(E3, plans(TEAMS))), ledger({E3: managed(plans(TEAMS))})
        plan = plan_user(user, (grant(E3, plans(TEAMS)),), row, context())
        assert plan == UserPlan(USER, sources={E3: (FROM_A,)})

    def test_that_a_grant_only_keeps_are_left_alone(self) -> None:
        user, row = person(direct(E3, plans(TEAMS))), ledger({E3: managed()})
        plan = plan_user(user, (grant(E3, source=KEPT),), row, context())
        assert plan == UserPlan(USER, sources={E3: (KEPT,)})

    def test_that_were_written_a_moment_ago_and_do_not_show_are_noted_once(self) -> None:
        for grants in ((grant(E3),), ()):
            plan = plan_user(person(), grants, ledger({E3: managed(at=NOW - 5 * SECOND)}), context())
            assert plan.notes == (Note(NoteKind.NOT_VISIBLE_YET, E3),)
            assert (plan.add, plan.check_again) == ((), NOW + 5 * SECOND)

    def test_that_only_a_hold_keeps_and_that_do_not_show_are_not_assigned(self) -> None:
        plan = plan_user(person(), (grant(E3, source=KEPT),), ledger({E3: managed(at=NOW)}), context())
        assert (plan.add, plan.notes, plan.check_again) == ((), (), None)


class TestWithoutAFreeLicense:
    def test_a_product_waits_and_the_others_go_out(self) -> None:
        where = context(closed_skus=frozenset({E3, PHONE}))
        plan = plan_user(person(), (grant(VISIO), grant(PHONE), grant(E3)), ledger(), where)
        assert (plan.add, plan.waiting) == ((AssignedLicense(VISIO),), (E3, PHONE))

    def test_a_change_of_plans_needs_none(self) -> None:
        user, row = person(direct(E3, plans(TEAMS))), ledger({E3: managed(plans(TEAMS))})
        plan = plan_user(user, (grant(E3),), row, context(closed_skus=frozenset({E3})))
        assert (plan.add, plan.waiting) == ((AssignedLicense(E3),), ())


class TestRejectedWork:
    grants = (grant(E3), grant(VISIO))

    def rejected(self, sku: SkuId, **age: float) -> RejectionRecord:
        plan = plan_user(person(), self.grants, ledger(), context())
        return rejection_of(plan, sku, error=LicenseError.UNIQUENESS, at=NOW - timedelta(**age))

    def test_is_an_error_with_graphs_text_and_what_a_person_can_do(self) -> None:
        row = replace(ledger(), rejections={E3: self.rejected(E3)})
        (problem,) = plan_user(person(), self.grants, row, context()).problems
        assert (problem.error, problem.text, problem.sku_id) == (LicenseError.UNIQUENESS, "because", E3)
        assert problem.remedy.startswith("Another object uses one of the user's proxy addresses")

    def test_is_tried_again_on_the_seventh_day_and_each_product_is_judged_alone(self) -> None:
        rejections = {
            E1: self.rejected(E1),
            E3: self.rejected(E3, days=7),
            E5: replace(self.rejected(E3), fingerprint="other work"),
            VISIO: self.rejected(VISIO, days=7, seconds=-1),
        }
        plan = plan_user(person(), self.grants, replace(ledger(), rejections=rejections), context())
        assert plan.add == (AssignedLicense(E3),)
        assert [problem.sku_id for problem in plan.problems] == [VISIO]

    def test_of_a_product_that_is_not_wished_has_no_fingerprint_and_is_no_error(self) -> None:
        assert self.rejected(E1).fingerprint == ""
        assert len(self.rejected(E3).fingerprint) == 16
        row = replace(ledger(), rejections={E1: self.rejected(E1)})
        assert plan_user(person(), self.grants, row, context()).problems == ()

    def test_is_compared_with_the_call_and_not_with_the_time(self) -> None:
        plan = plan_user(person(), self.grants, ledger(), context())
        later = plan_user(person(), self.grants, ledger(), context(NOW + DAY))
        assert later.wished == plan.wished == LicenseCall((AssignedLicense(E3), AssignedLicense(VISIO)), ())


class TestTheUsageLocation:
    def test_that_is_missing_is_one_error_for_the_user_and_no_addition_goes_out(self) -> None:
        plan = plan_user(person(location=None), (grant(E3), grant(VISIO)), ledger(), context())
        assert (plan.add, plan.usage_location) == ((), None)
        assert plan.problems == (
            Problem(
                LicenseError.PROHIBITED_IN_USAGE_LOCATION,
                "The user has no usage location, and there is no default: the group's assignment requires one, or the "
                "organization's country is not known.",
                "Set the user's usage location, then reprocess the user.",
            ),
        )

    def test_is_not_needed_to_remove_a_license(self) -> None:
        row = ledger({E3: managed()}, seen={str(E3): EARLIER})
        for default in (None, "CH"):
            where = context(permits=(permit(E3),), usage_location=default)
            plan = plan_user(person(direct(E3), location=None), (), row, where)
            assert (plan.remove, plan.problems, plan.usage_location) == ((E3,), (), None)


def test_a_grace_that_was_given_once_is_not_given_again_after_its_end() -> None:
    grants = (grant(E3, source=Source(SourceKind.GRACE), until=NOW - DAY),)
    plan = plan_user(person(direct(E3)), grants, ledger({E3: managed()}), context(grace={FROM_A: DAY}))
    assert (plan.new_grants, plan.removal_seen_at) == ((), {str(E3): NOW})
    assert plan.ended_grants == ()
