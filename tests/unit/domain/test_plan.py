"""The plan of one user, rule by rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import ClassVar

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, LicenseError, LicenseState
from shared.domain.grant import Source, SourceKind
from shared.domain.ledger_row import LedgerRow
from shared.domain.outcomes import Applied, Failed, RetryAt, Skipped, SkipReason, Unchanged, Waiting
from shared.domain.permit import PERMIT_HOLDS
from shared.domain.plan import UserPlan, plan_user
from shared.domain.plan_draft import NoteKind
from shared.domain.rejections import REJECTION_HOLDS
from tests.support.builders import (
    CALLING,
    CLAIM_B,
    DAY,
    DRAWING,
    E1,
    E3,
    E5,
    EXCHANGE_2,
    F3,
    FROM_A,
    FROM_B,
    HOUR,
    LONG_AGO,
    MINUTE,
    NOW,
    PHONE,
    SHAREPOINT_2,
    SHAREPOINT_KIOSK,
    SKUS,
    TEAMS,
    USER,
    VISIO,
    context,
    direct,
    given,
    grant,
    ledger,
    managed,
    native,
    permit,
    person,
    plan_once,
    plans,
    rejection_of,
    sku,
    write,
)

SEEN_E3 = {str(E3): NOW - MINUTE}
GRACE = {FROM_A: timedelta(days=30)}
KEPT = Source(SourceKind.KEPT, "admin")
IN_GRACE = Source(SourceKind.GRACE)
HELD = Source(SourceKind.HELD)


def kinds(plan: UserPlan) -> list[NoteKind]:
    return [note.kind for note in plan.notes]


def added(plan: UserPlan) -> list[str]:
    return [license.sku_id for license in plan.add]


class TestAdding:
    def test_a_missing_license_is_added_at_the_first_read_with_its_plans_off(self) -> None:
        plan = plan_user(person(), (grant(E3, plans(TEAMS)),), ledger(), context())
        assert plan.add == (AssignedLicense(E3, plans(TEAMS)),)
        assert plan.sources == {E3: (FROM_A,)}
        assert plan.result(Applied()) == Applied()

    def test_of_two_groups_the_plans_are_off_that_both_disable(self) -> None:
        grants = (grant(E3, plans(TEAMS, EXCHANGE_2)), grant(E3, plans(TEAMS, SHAREPOINT_2), FROM_B))
        assert plan_user(person(), grants, ledger(), context()).add == (AssignedLicense(E3, plans(TEAMS)),)

    def test_a_license_that_is_only_inherited_is_assigned_directly_too(self) -> None:
        """Else everybody is unlicensed the day the native assignment is taken off the group."""
        assert added(plan_user(person(native(E3)), (grant(E3),), ledger(), context())) == [E3]

    def test_an_inherited_license_counts_where_the_assignment_says_so_and_it_is_shown(self) -> None:
        plan = plan_user(person(native(E3)), (grant(E3),), ledger(), context(count_inherited=frozenset({E3})))
        assert not plan.writes
        assert kinds(plan) == [NoteKind.DEPENDS_ON_NATIVE]

    def test_an_inherited_license_that_lacks_a_plan_does_not_count(self) -> None:
        where = context(count_inherited=frozenset({E3}))
        assert added(plan_user(person(native(E3, plans(TEAMS))), (grant(E3),), ledger(), where)) == [E3]

    def test_rows_in_error_only_look_like_a_license(self) -> None:
        user = person(direct(E3, state=LicenseState.ERROR), native(VISIO, state=LicenseState.DISABLED))
        assert added(plan_user(user, (grant(E3), grant(VISIO)), ledger({E3: managed()}), context())) == [E3, VISIO]

    def test_a_license_of_another_in_error_is_not_taken_over(self) -> None:
        user = person(direct(E3, state=LicenseState.ERROR), native(VISIO, state=LicenseState.DISABLED))
        plan = plan_user(user, (grant(E3), grant(VISIO)), ledger(), context())
        assert added(plan) == [VISIO]
        assert [(problem.sku_id, "state Error" in problem.text) for problem in plan.problems] == [(E3, True)]

    def test_a_grant_that_does_not_add_gives_nothing_to_one_who_lacks_it(self) -> None:
        """Of a cancelled operation nothing is completed by the next sync."""
        assert not plan_user(person(), (grant(E3, adds=False),), ledger(), context()).writes

    def test_a_cancelled_grant_does_not_widen_what_another_group_gives(self) -> None:
        grants = (grant(E3, adds=False), grant(E3, plans(TEAMS), FROM_B))
        assert plan_user(person(), grants, ledger(), context()).add == (AssignedLicense(E3, plans(TEAMS)),)
        user, row = person(direct(E3, plans(TEAMS))), ledger({E3: managed(plans(TEAMS))})
        assert not plan_user(user, grants, row, context()).writes
        assert not plan_user(user, grants[::-1], row, context()).writes

    def test_a_rejected_removal_keeps_the_license_and_turns_no_plan_on(self) -> None:
        user, row = person(direct(E3, plans(TEAMS))), ledger({E3: managed(plans(TEAMS))})
        grants = (grant(E3, source=KEPT), grant(E3, plans(TEAMS), FROM_B))
        assert not plan_user(user, grants, row, context()).writes

    def test_a_write_the_directory_does_not_show_yet_is_not_made_again(self) -> None:
        row = ledger({E3: managed(at=NOW - MINUTE)})
        plan = plan_user(person(), (grant(E3),), row, context())
        assert not plan.writes
        assert isinstance(plan.result(), RetryAt)

    def test_a_grant_whose_end_has_come_gives_nothing(self) -> None:
        assert not plan_user(person(), (grant(E3, until=NOW),), ledger(), context()).writes


class TestUnmanagedLicenses:
    def test_a_license_another_gave_satisfies_the_grant_and_is_shown(self) -> None:
        plan = plan_user(person(direct(E3)), (grant(E3),), ledger(), context())
        assert not plan.writes
        assert kinds(plan) == [NoteKind.UNMANAGED]
        assert plan.result() == Unchanged()

    def test_one_that_lacks_a_plan_is_not_touched_and_is_an_error_that_says_so(self) -> None:
        plan = plan_user(person(direct(E3, plans(TEAMS))), (grant(E3),), ledger(), context())
        assert not plan.writes
        assert kinds(plan) == [NoteKind.UNMANAGED_LACKS_PLANS]
        assert "TEAMS" in plan.problems[0].text
        assert isinstance(plan.result(), Failed)

    def test_one_that_lacks_a_plan_of_a_grant_that_only_keeps_is_no_error(self) -> None:
        plan = plan_user(person(direct(E3, plans(TEAMS))), (grant(E3, source=KEPT),), ledger(), context())
        assert plan.problems == ()

    def test_one_with_more_plans_than_granted_is_not_narrowed_even_with_a_permit(self) -> None:
        where = context(permits=(permit(E3, by_approval=True),))
        row = ledger(seen={f"{E3}/{TEAMS}": LONG_AGO})
        assert not plan_user(person(direct(E3)), (grant(E3, plans(TEAMS)),), row, where).writes

    def test_one_that_no_grant_asks_for_stays_even_with_a_permit(self) -> None:
        row = ledger(seen=SEEN_E3)
        assert not plan_user(person(direct(E3)), (), row, context(permits=(permit(E3),))).writes

    def test_adopted_with_its_extra_plans_kept_nothing_is_turned_off(self) -> None:
        """Adopting a license with more plans than the grant must not narrow it the same night."""
        row = ledger({E3: managed()}, seen={f"{E3}/{TEAMS}": LONG_AGO})
        grants = (grant(E3, plans(TEAMS)), grant(E3, source=KEPT))
        plan = plan_user(person(direct(E3)), grants, row, context(permits=(permit(E3),)))
        assert not plan.writes
        assert plan.wants_permit == ()


class TestRemoving:
    def test_the_first_read_removes_nothing_and_schedules_the_second_even_with_a_permit(self) -> None:
        plan = plan_user(person(direct(E3)), (), ledger({E3: managed()}), context(permits=(permit(E3),)))
        assert not plan.writes
        assert plan.removal_seen_at == {str(E3): NOW}
        assert plan.check_again == NOW + MINUTE
        assert isinstance(plan.result(), RetryAt)

    def test_the_first_read_removes_nothing_even_where_no_time_between_reads_is_asked(self) -> None:
        where = context(permits=(permit(E3),), removal_window=timedelta(0))
        plan, row = plan_once(person(direct(E3)), (), ledger({E3: managed()}), where)
        assert not plan.writes
        assert plan_once(person(direct(E3)), (), row, where)[0].remove == (E3,)

    def test_a_mover_whom_one_stale_read_shows_in_no_group_keeps_the_license(self) -> None:
        user = person(direct(E3))
        _, row = plan_once(user, (), ledger({E3: managed()}), context())
        plan, row = plan_once(user, (grant(E3, source=FROM_B),), row, context(NOW + MINUTE))
        assert not plan.writes
        assert row.removal_seen_at == {}
        assert row.managed[E3].sources == (FROM_B,)

    def test_the_second_read_wants_a_permit_for_the_claim_of_the_group_that_assigned_it(self) -> None:
        row = ledger({E3: managed(source=FROM_B)}, seen=SEEN_E3)
        plan = plan_user(person(direct(E3)), (), row, context())
        assert not plan.writes
        assert [(each.sku_id, each.claims, each.ripe) for each in plan.wants_permit] == [(E3, CLAIM_B, True)]

    def test_with_two_reads_and_a_permit_it_goes(self) -> None:
        row = ledger({E3: managed()}, seen=SEEN_E3)
        assert plan_user(person(direct(E3)), (), row, context(permits=(permit(E3),))).remove == (E3,)

    def test_a_touch_of_the_user_while_a_person_decides_removes_nothing(self) -> None:
        row = ledger({E3: managed()}, seen=SEEN_E3)
        plan = plan_user(person(direct(E3)), (), row, context(denied=frozenset({E3})))
        assert not plan.writes
        assert [each.source.kind for each in plan.new_grants] == [SourceKind.HELD]
        assert plan.result() == Skipped(SkipReason.HELD)

    def test_what_is_held_stays_held_until_a_permit_comes_and_then_needs_two_reads(self) -> None:
        user, row, grants = person(direct(E3)), ledger({E3: managed()}), (grant(E3, source=HELD),)
        assert plan_user(user, grants, row, context()).wants_permit == ()
        where = context(permits=(permit(E3),))
        plan, row = plan_once(user, grants, row, where)
        assert not plan.writes
        plan, _ = plan_once(user, grants, row, replace(where, now=NOW + MINUTE))
        assert plan.remove == (E3,)
        assert plan.ended_grants == grants

    def test_a_permit_older_than_the_license_does_not_count(self) -> None:
        row = ledger({E3: managed(at=NOW - HOUR)}, seen=SEEN_E3)
        plan = plan_user(person(direct(E3)), (), row, context(permits=(permit(E3, at=NOW - HOUR),)))
        assert plan.remove == ()
        assert plan.wants_permit

    def test_a_permit_of_last_month_does_not_count(self) -> None:
        """A user who came back to need the license must not lose it by what was approved long ago."""
        row = ledger({E3: managed(at=LONG_AGO)}, seen=SEEN_E3)
        fresh, stale = permit(E3, at=NOW - PERMIT_HOLDS), permit(E3, at=NOW - PERMIT_HOLDS - MINUTE)
        assert plan_user(person(direct(E3)), (), row, context(permits=(fresh,))).remove == (E3,)
        plan = plan_user(person(direct(E3)), (), row, context(permits=(stale,)))
        assert plan.remove == ()
        assert plan.wants_permit

    def test_a_permit_of_last_month_does_not_end_a_hold(self) -> None:
        stale = permit(E3, at=NOW - PERMIT_HOLDS - MINUTE)
        plan = plan_user(
            person(direct(E3)), (grant(E3, source=HELD),), ledger({E3: managed()}), context(permits=(stale,))
        )
        assert plan.removal_seen_at == {}

    def test_a_permit_for_another_user_or_another_product_does_not_count(self) -> None:
        row = ledger({E3: managed()}, seen=SEEN_E3)
        others = (permit(E5), replace(permit(E3), user_id=type(USER)("b")))
        assert plan_user(person(direct(E3)), (), row, context(permits=others)).remove == ()

    def test_a_permit_for_service_plans_does_not_remove_the_product(self) -> None:
        row = ledger({E3: managed()}, seen=SEEN_E3)
        plan = plan_user(person(direct(E3)), (), row, context(permits=(permit(E3, disabling=plans(TEAMS)),)))
        assert plan.remove == ()

    def test_a_preview_shows_a_removal_at_the_first_read(self) -> None:
        where = context(permits=(permit(E3),), second_read=False)
        assert plan_user(person(direct(E3)), (), ledger({E3: managed()}), where).remove == (E3,)

    def test_a_managed_license_that_somebody_took_away_is_not_removed(self) -> None:
        row = ledger({E3: managed()}, seen=SEEN_E3)
        assert not plan_user(person(), (), row, context(permits=(permit(E3),))).writes


class TestServicePlans:
    off_seen: ClassVar = {f"{E3}/{TEAMS}": NOW - MINUTE}
    grants = (grant(E3, plans(TEAMS)),)

    def test_turning_a_plan_off_is_a_removal_with_two_reads_and_a_permit(self) -> None:
        user, row = person(direct(E3)), ledger({E3: managed()})
        plan, row = plan_once(user, self.grants, row, context())
        assert (plan.writes, kinds(plan)) == (False, [NoteKind.SECOND_READ])
        plan, row = plan_once(user, self.grants, row, context(NOW + MINUTE))
        assert [each.plans for each in plan.wants_permit] == [plans(TEAMS)]
        where = context(NOW + MINUTE, permits=(permit(E3, disabling=plans(TEAMS)),))
        plan, _ = plan_once(user, self.grants, row, where)
        assert plan.add == (AssignedLicense(E3, plans(TEAMS)),)
        assert plan.plans_off == {E3: plans(TEAMS)}

    def test_denied_it_stays_on_and_is_shown_as_held(self) -> None:
        row = ledger({E3: managed()}, seen=self.off_seen)
        plan = plan_user(person(direct(E3)), self.grants, row, context(denied=frozenset({E3})))
        assert (plan.writes, kinds(plan), plan.new_grants) == (False, [NoteKind.HELD], ())

    def test_a_plan_that_is_due_later_needs_a_second_read_of_its_own(self) -> None:
        row = ledger({E3: managed()}, seen=self.off_seen)
        where = context(permits=(permit(E3),))
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS, EXCHANGE_2)),), row, where)
        assert plan.plans_off == {E3: plans(TEAMS)}
        assert plan.check_again == NOW + MINUTE

    def test_only_the_plans_a_permit_names_go_off(self) -> None:
        row = ledger({E3: managed()}, seen={**self.off_seen, f"{E3}/{EXCHANGE_2}": NOW - MINUTE})
        where = context(permits=(permit(E3, disabling=plans(TEAMS)),))
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS, EXCHANGE_2)),), row, where)
        assert plan.plans_off == {E3: plans(TEAMS)}
        assert [each.plans for each in plan.wants_permit] == [plans(EXCHANGE_2)]

    def test_a_missing_plan_goes_on_at_once_while_another_waits_to_go_off(self) -> None:
        user, row = person(direct(E3, plans(EXCHANGE_2))), ledger({E3: managed(plans(EXCHANGE_2))})
        assert plan_user(user, self.grants, row, context()).add == (AssignedLicense(E3),)

    def test_a_plan_turned_on_by_hand_stays_on_and_is_shown(self) -> None:
        row = ledger({E3: managed(plans(TEAMS))}, seen=self.off_seen)
        plan = plan_user(person(direct(E3)), self.grants, row, context(permits=(permit(E3),)))
        assert (plan.writes, kinds(plan)) == (False, [NoteKind.TURNED_ON_BY_HAND])

    def test_a_plan_turned_on_by_hand_goes_off_by_an_approval_that_names_it(self) -> None:
        row = ledger({E3: managed(plans(TEAMS))})
        where = context(permits=(permit(E3, disabling=plans(TEAMS), by_approval=True),))
        assert plan_user(person(direct(E3)), self.grants, row, where).plans_off == {E3: plans(TEAMS)}

    def test_a_plan_turned_off_by_hand_is_turned_on_again_and_shown(self) -> None:
        plan = plan_user(person(direct(E3, plans(TEAMS))), (grant(E3),), ledger({E3: managed()}), context())
        assert plan.add == (AssignedLicense(E3),)
        assert kinds(plan) == [NoteKind.TURNED_OFF_BY_HAND]


class TestGrace:
    def test_leaving_starts_a_grace_with_an_end_fixed_then(self) -> None:
        plan = plan_user(person(direct(E3)), (), ledger({E3: managed()}), context(grace=GRACE))
        assert [(each.source, each.until) for each in plan.new_grants] == [(IN_GRACE, NOW + timedelta(days=30))]
        assert plan.removal_seen_at == {}

    def test_during_the_grace_nothing_happens_even_if_the_option_is_gone(self) -> None:
        grants = (grant(E3, source=IN_GRACE, until=NOW + DAY),)
        plan = plan_user(person(direct(E3)), grants, ledger({E3: managed()}), context())
        assert (plan.writes, plan.notes, plan.ended_grants) == (False, (), ())

    def test_after_the_grace_it_goes_like_any_removal_and_no_second_grace_begins(self) -> None:
        grants = (grant(E3, source=IN_GRACE, until=NOW),)
        user, where = person(direct(E3)), context(grace=GRACE, permits=(permit(E3),))
        plan, row = plan_once(user, grants, ledger({E3: managed()}), where)
        assert (plan.writes, plan.new_grants) == (False, ())
        plan, _ = plan_once(user, grants, row, replace(where, now=NOW + MINUTE))
        assert plan.remove == (E3,)
        assert plan.ended_grants == grants

    def test_coming_back_ends_the_grace(self) -> None:
        grants = (grant(E3, source=IN_GRACE, until=NOW + DAY), grant(E3))
        assert plan_user(person(direct(E3)), grants, ledger({E3: managed()}), context()).ended_grants == grants[:1]

    def test_plans_get_grace_like_products(self) -> None:
        """Who leaves the group that gives a plan and stays in one that gives the product without it keeps the plan."""
        user, where = person(direct(E3)), context(grace=GRACE)
        row = ledger({E3: replace(managed(), sources=(FROM_A, FROM_B))})
        narrow = grant(E3, plans(TEAMS), FROM_B)
        plan, row = plan_once(user, (narrow,), row, where)
        assert (plan.writes, plan.wants_permit, plan.removal_seen_at) == (False, (), {})
        (grace,) = plan.new_grants
        plan, row = plan_once(user, (narrow, grace), row, replace(where, now=NOW + DAY))
        assert (plan.writes, plan.ended_grants, plan.new_grants) == (False, (), ())
        over = context(NOW + timedelta(days=31), permits=(permit(E3, at=NOW + timedelta(days=30)),), grace=GRACE)
        plan, row = plan_once(user, (narrow, grace), row, over)
        assert (plan.writes, plan.new_grants) == (False, ())
        plan, row = plan_once(user, (narrow, grace), row, replace(over, now=over.now + MINUTE))
        assert plan.plans_off == {E3: plans(TEAMS)}
        assert plan.ended_grants == (grace,)

    def test_removed_by_hand_in_grace_and_assigned_again_by_another_it_is_not_managed_to_remove(self) -> None:
        grants = (grant(E3, source=IN_GRACE, until=NOW + 20 * DAY),)
        row = ledger({E3: managed()})
        for minutes in (0, 20):
            _, row = plan_once(person(), grants, row, context(NOW + minutes * MINUTE))
        assert row.managed == {}
        for days in (30, 31):
            where = context(NOW + days * DAY, permits=(permit(E3, at=NOW + 29 * DAY),))
            plan, row = plan_once(person(direct(E3, at=NOW + 10 * DAY)), grants, row, where)
            assert not plan.writes

    def test_grace_and_holds_end_when_the_license_is_gone(self) -> None:
        grants = (grant(E3, source=IN_GRACE, until=NOW + DAY), grant(E5, source=HELD))
        assert plan_user(person(), grants, ledger(), context()).ended_grants == grants


class TestSwaps:
    grants = (grant(E5),)
    row = ledger({E3: managed()}, seen=SEEN_E3)
    user = person(direct(E3))

    def test_both_go_in_one_call(self) -> None:
        plan = plan_user(self.user, self.grants, self.row, context(permits=(permit(E3),)))
        assert (added(plan), plan.remove) == ([E5], (E3,))

    def test_an_upgrade_waits_for_its_second_read_and_needs_no_permit(self) -> None:
        first = plan_user(self.user, self.grants, ledger({E3: managed()}), context())
        assert (first.writes, first.wants_permit) == (False, ())
        second = plan_user(self.user, self.grants, self.row, context())
        assert (added(second), second.remove, second.wants_permit) == ([E5], (E3,), ())

    def test_an_addition_waits_for_the_removal_it_replaces(self) -> None:
        user, grants, row = (
            person(direct(E5)),
            (grant(E3, source=FROM_B),),
            ledger({E5: managed()}, seen={str(E5): NOW - MINUTE}),
        )
        plan = plan_user(user, grants, row, context())
        assert not plan.writes
        assert NoteKind.PENDING_APPROVAL in kinds(plan)

    def test_an_unrelated_addition_does_not_wait(self) -> None:
        assert added(plan_user(self.user, (grant(VISIO),), ledger({E3: managed()}), context())) == [VISIO]

    def test_an_addition_that_a_plan_excludes_waits_until_the_plan_is_off(self) -> None:
        user, row = person(direct(E3)), ledger({E3: managed()})
        grants = (grant(E3, plans(SHAREPOINT_2)), grant(F3, source=FROM_B))
        plan, row = plan_once(user, grants, row, context())
        assert not plan.writes
        plan, _ = plan_once(user, grants, row, context(NOW + MINUTE, permits=(permit(E3),)))
        assert plan.add == (AssignedLicense(E3, plans(SHAREPOINT_2)), AssignedLicense(F3))

    def test_sold_out_the_successor_waits_and_the_old_license_stays(self) -> None:
        where = context(permits=(permit(E3), permit(VISIO)), closed_skus=frozenset({E5}))
        row = ledger({E3: managed(), VISIO: managed()}, seen={**SEEN_E3, str(VISIO): NOW - MINUTE})
        plan = plan_user(person(direct(E3), direct(VISIO)), self.grants, row, where)
        assert (plan.add, plan.remove) == ((), (VISIO,))
        assert NoteKind.KEPT_UNTIL_REPLACED in kinds(plan)
        assert plan.result(Applied()) == Waiting((E5,))

    def test_sold_out_the_successor_of_a_plan_waits_and_the_plan_stays_on(self) -> None:
        row = ledger({E5: managed()}, seen={f"{E5}/{CALLING}": NOW - MINUTE})
        where = context(permits=(permit(E5),), closed_skus=frozenset({PHONE}))
        plan = plan_user(person(direct(E5)), (grant(E5, plans(CALLING)), grant(PHONE)), row, where)
        assert not plan.writes
        assert NoteKind.KEPT_UNTIL_REPLACED in kinds(plan)

    def test_no_seat_is_needed_where_the_user_has_the_product_from_any_source(self) -> None:
        assert added(plan_user(person(native(E5)), self.grants, ledger(), context(closed_skus=frozenset({E5})))) == [E5]


class TestRejectedWork:
    GRANTS: ClassVar = (grant(E3), grant(VISIO))

    def rejected_once(self, error: LicenseError = LicenseError.MUTUALLY_EXCLUSIVE) -> tuple[UserPlan, LedgerRow]:
        plan = plan_user(person(), self.GRANTS, ledger(), context())
        return plan, replace(ledger(), rejections={E3: rejection_of(plan, E3, error=error)})

    def test_the_same_work_is_not_rejected_again_every_night_and_the_rest_goes(self) -> None:
        _, row = self.rejected_once()
        plan = plan_user(person(), self.GRANTS, row, context(NOW + DAY))
        assert added(plan) == [VISIO]
        assert plan.problems[0].text == "because"
        assert isinstance(plan.result(), Failed)

    def test_it_is_tried_again_after_seven_days_on_facts_that_concern_it_and_when_asked(self) -> None:
        _, row = self.rejected_once()
        assert E3 in added(plan_user(person(), self.GRANTS, row, context(NOW + REJECTION_HOLDS)))
        assert E3 in added(plan_user(person(native(E5)), self.GRANTS, row, context(NOW + DAY)))
        assert E3 in added(plan_user(person(location="DE"), self.GRANTS, row, context(NOW + DAY)))
        assert E3 in added(plan_user(person(), self.GRANTS, row, context(NOW + DAY, ignore_rejections=True)))
        assert E3 in added(plan_user(person(), (grant(E3, plans(TEAMS)), grant(VISIO)), row, context(NOW + DAY)))

    def test_other_products_do_not_send_it_again(self) -> None:
        _, row = self.rejected_once()
        for user, grants in (
            (person(direct(VISIO)), self.GRANTS),
            (person(native(PHONE)), self.GRANTS),
            (person(), (grant(E3),)),
            (person(), (*self.GRANTS, grant(PHONE))),
        ):
            assert E3 not in added(plan_user(user, grants, row, context(NOW + DAY)))

    def test_a_product_with_a_plan_that_was_named_sends_it_again(self) -> None:
        user = person(native(VISIO))
        plan = plan_user(user, (grant(E3),), ledger(), context())
        named = plans(SHAREPOINT_2, DRAWING)
        record = rejection_of(plan, E3, error=LicenseError.MUTUALLY_EXCLUSIVE, named=named, user=user)
        row = replace(ledger(), rejections={E3: record})
        assert added(plan_user(user, (grant(E3),), row, context(NOW + DAY))) == []
        assert added(plan_user(person(), (grant(E3),), row, context(NOW + DAY))) == [E3]

    def test_a_named_plan_that_left_its_product_sends_it_again(self) -> None:
        user, named = person(native(F3)), plans(SHAREPOINT_2, SHAREPOINT_KIOSK)
        plan = plan_user(user, (grant(E3),), ledger(), context())
        record = rejection_of(plan, E3, error=LicenseError.MUTUALLY_EXCLUSIVE, named=named, user=user)
        row = replace(ledger(), rejections={E3: record})
        assert added(plan_user(user, (grant(E3),), row, context(NOW + DAY))) == []
        catalog = Catalog({**SKUS, E3: sku(E3, "E3", (EXCHANGE_2, TEAMS))}, (), {})
        assert added(plan_user(user, (grant(E3),), row, context(NOW + DAY, catalog=catalog))) == [E3]

    def test_what_an_unknown_text_is_about_is_not_known_so_any_change_sends_it_again(self) -> None:
        _, row = self.rejected_once(LicenseError.OTHER)
        assert E3 not in added(plan_user(person(), self.GRANTS, row, context(NOW + DAY)))
        assert E3 in added(plan_user(person(native(PHONE)), self.GRANTS, row, context(NOW + DAY)))

    def test_a_rejected_removal_stays_and_is_not_called_kept_until_replaced(self) -> None:
        row = ledger({E3: managed()}, seen=SEEN_E3)
        where, user = context(permits=(permit(E3),)), person(direct(E3))
        plan = plan_user(user, (), row, where)
        record = rejection_of(plan, E3, error=LicenseError.DEPENDENCY, user=user)
        plan = plan_user(user, (), replace(row, rejections={E3: record}), where)
        assert (plan.writes, kinds(plan)) == (False, [])
        assert plan.problems[0].error is LicenseError.DEPENDENCY


class TestUsageLocation:
    def test_a_user_without_one_gets_the_default_before_the_license(self) -> None:
        plan = plan_user(person(location=None), (grant(E3),), ledger(), context(usage_location="CH"))
        assert (plan.usage_location, added(plan)) == ("CH", [E3])

    def test_a_user_who_has_one_keeps_it_and_one_who_gets_nothing_is_left_alone(self) -> None:
        where = context(usage_location="CH")
        assert plan_user(person(location="DE"), (grant(E3),), ledger(), where).usage_location is None
        assert plan_user(person(location=None), (), ledger(), where).usage_location is None

    def test_where_one_is_required_its_lack_is_an_error_and_nothing_is_lost(self) -> None:
        row = ledger({E3: managed()}, seen=SEEN_E3)
        plan = plan_user(person(direct(E3), location=None), (grant(E5),), row, context(permits=(permit(E3),)))
        assert not plan.writes
        assert plan.problems[0].error is LicenseError.PROHIBITED_IN_USAGE_LOCATION


def test_e1_to_e3_by_two_groups_ends_with_e3_and_nothing_left_to_do() -> None:
    user, row = person(direct(E1)), ledger({E1: managed()})
    grants, where = (grant(E3, source=FROM_B),), context(permits=(permit(E1),))
    _, row = plan_once(user, grants, row, where)
    where = replace(where, now=NOW + MINUTE)
    plan, row = plan_once(user, grants, row, where)
    user, row = write(user, plan, row, where.now)
    assert user.direct.keys() == row.managed.keys() == {E3}
    again, _ = plan_once(user, grants, row, replace(where, now=NOW + DAY))
    assert not again.writes
    assert again.result() == Unchanged()


def test_the_model_of_the_directory_shows_what_a_call_wrote() -> None:
    plan = UserPlan(USER, add=(AssignedLicense(VISIO, plans(DRAWING)),), remove=(E3,))
    user = given(person(direct(E3), native(E3)), plan, NOW)
    assert {sku: row.disabled_plans for sku, row in user.direct.items()} == {VISIO: plans(DRAWING)}
    assert user.inherited.keys() == {E3}


def test_what_a_person_kept_goes_only_by_an_approval_and_not_by_the_allowance() -> None:
    user, row, grants = person(direct(E3)), ledger({E3: managed()}, seen=SEEN_E3), (grant(E3, source=KEPT),)
    assert not plan_user(user, grants, row, context(permits=(permit(E3),))).writes
    plan = plan_user(user, grants, row, context(permits=(permit(E3, by_approval=True),)))
    assert (plan.remove, plan.ended_grants) == ((E3,), grants)


def test_what_is_to_go_and_does_not_show_yet_is_checked_again_and_not_forgotten() -> None:
    for age, pause in ((timedelta(seconds=1), 3), (timedelta(seconds=12), 12), (10 * MINUTE, 30)):
        plan = plan_user(person(), (), ledger({E3: managed(at=NOW - age)}), context())
        assert not plan.writes
        assert plan.check_again == NOW + timedelta(seconds=pause)
        assert kinds(plan) == [NoteKind.NOT_VISIBLE_YET]
    old = plan_user(person(), (), ledger({E3: managed(at=NOW - HOUR)}), context())
    assert old.check_again is None
