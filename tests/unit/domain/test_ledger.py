"""What is ours, after every way a write can end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.directory import AssignedLicense, LicenseError, LicenseState
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId, Plans, SkuId, UserId
from shared.domain.ledger import (
    INTENT_LOCK,
    accepted,
    intent_id,
    last_event,
    new_intent,
    not_visible_yet,
    refresh,
    rejected,
    resolve,
    retag,
)
from shared.domain.ledger_row import LastResult, LedgerRow, ManagedLicense, ObservedEvent, RejectionRecord
from shared.domain.read_back import CLOCK_TOLERANCE, IN_FLIGHT, VISIBLE_WITHIN, by_our_clock
from tests.support.builders import (
    CALLING,
    DAY,
    E3,
    E5,
    EXCHANGE_2,
    FROM_A,
    FROM_B,
    LONG_AGO,
    MINUTE,
    NOW,
    TEAMS,
    USER,
    VISIO,
    direct,
    ledger,
    managed,
    native,
    person,
    plans,
)

SECOND = timedelta(seconds=1)
REJECTED = RejectionRecord("f", LicenseError.OTHER, "", LONG_AGO)


def intending(
    row: LedgerRow, *add: AssignedLicense, remove: tuple[SkuId, ...] = (), before: tuple[SkuId, ...] = ()
) -> LedgerRow:
    user = person(*(direct(sku) for sku in (*before, *remove)))
    sources = {license.sku_id: (FROM_A,) for license in add}
    return replace(row, intent=new_intent(user, "cause", add, remove, "CH", sources, NOW))


ADDING = intending(ledger(), AssignedLicense(E3, plans(TEAMS)))


def test_an_intent_names_each_touched_license_as_it_is_and_as_it_shall_be() -> None:
    user = person(direct(E5, plans(TEAMS)), direct(VISIO), native(E3))
    intent = new_intent(user, "cause", (AssignedLicense(E3),), (E5,), "CH", {E3: (FROM_A,), VISIO: (FROM_B,)}, NOW)
    assert intent.before == {E3: None, E5: plans(TEAMS)}
    assert intent.after == {E3: plans(), E5: None}
    assert intent.sources == {E3: (FROM_A,)}
    assert (intent.usage_location, intent.at, intent.cause) == ("CH", NOW, "cause")


def test_the_id_of_an_intent_is_made_from_cause_user_and_time() -> None:
    def made(cause: str = "cause", user_id: str = "a", at: datetime = NOW) -> str:
        return new_intent(person(user_id=UserId(user_id)), cause, (), (), None, {}, at).id

    assert made() == made()
    assert len({made(), made(cause="other"), made(user_id="b"), made(at=NOW + SECOND)}) == 4
    assert made(user_id=USER) == "ffb02aa5b097b61b5c904c89f27be675"


def test_an_intent_names_the_unmanaged_licenses_among_those_it_touches() -> None:
    user = person(direct(E3))
    intent = new_intent(user, "cause", (AssignedLicense(E3),), (), None, {}, NOW, unmanaged=frozenset({E3, VISIO}))
    assert intent.unmanaged == {E3}


class TestResolving:
    def test_without_an_intent_the_row_is_as_it_was(self) -> None:
        row = ledger({E3: managed()})
        assert resolve(row, person(), "cause", NOW).row is row

    def test_work_of_another_cause_waits_for_the_lock_and_then_takes_over(self) -> None:
        held = resolve(ADDING, person(), "other", NOW + INTENT_LOCK - SECOND)
        assert (held.row, held.wait_until) == (ADDING, NOW + 5 * MINUTE)
        free = resolve(ADDING, person(), "other", NOW + INTENT_LOCK)
        assert (free.row.intent, free.wait_until) == (None, None)

    def test_a_redelivery_of_the_same_cause_waits_until_the_others_call_cannot_arrive_any_more(self) -> None:
        """The other may be the same message delivered twice: its call is on the way, and would be nobody's."""
        waiting = resolve(ADDING, person(), "cause", NOW + IN_FLIGHT - SECOND)
        assert (waiting.row, waiting.wait_until) == (ADDING, NOW + IN_FLIGHT)
        assert resolve(ADDING, person(), "cause", NOW + IN_FLIGHT).row.intent is None

    def test_a_redelivery_takes_over_at_once_what_the_directory_shows_done(self) -> None:
        done = resolve(ADDING, person(direct(E3, plans(TEAMS), at=NOW)), "cause", NOW)
        assert (done.wait_until, set(done.row.managed)) == (None, {E3})

    def test_a_call_without_a_plan_that_had_left_the_app_assigned_when_the_plan_is_back_and_was_never_off(self) -> None:
        """The process died between the call and its record, and Microsoft put the plan into the product again."""
        assert ADDING.intent is not None
        after, left_out = {E3: plans(TEAMS, EXCHANGE_2)}, {E3: plans(EXCHANGE_2)}
        row = replace(ADDING, intent=replace(ADDING.intent, after=after, left_out=left_out))
        done = resolve(row, person(direct(E3, plans(TEAMS), at=NOW)), "cause", NOW + INTENT_LOCK)
        assert done.row.managed[E3].disabled_plans == plans(TEAMS)
        for off in (plans(), plans(EXCHANGE_2)):
            other = resolve(row, person(direct(E3, off, at=NOW)), "cause", NOW + INTENT_LOCK)
            assert other.row.managed == {}

    def test_a_call_never_sent_leaves_ownership_as_it_was(self) -> None:
        resolution = resolve(ADDING, person(), "cause", NOW + IN_FLIGHT)
        assert (dict(resolution.row.managed), resolution.applied) == ({}, None)

    @pytest.mark.parametrize(("later", "unclear"), [(IN_FLIGHT, False), (IN_FLIGHT + SECOND, True)])
    @pytest.mark.parametrize("is_late", [True, False])
    def test_a_license_that_is_newer_than_a_lost_write_can_be_is_for_a_person_to_decide(
        self, later: timedelta, unclear: bool, is_late: bool
    ) -> None:
        row, read_at = ADDING, NOW + 2 * IN_FLIGHT
        if is_late:
            row = resolve(row, person(), "cause", read_at).row
        user = person(direct(E3, plans(TEAMS), at=NOW + later))
        known = refresh(resolve(row, user, "cause", read_at).row, user, read_at)
        assert known.managed[E3].unclear is unclear

    def test_a_license_that_was_to_be_assigned_and_is_missing_may_still_show_late(self) -> None:
        unseen = resolve(ADDING, person(), "cause", NOW + IN_FLIGHT).row.unseen
        assert unseen == {E3: ManagedLicense(plans(TEAMS), NOW, (FROM_A,), written=by_our_clock(NOW))}

    def test_a_license_that_may_show_late_is_tagged_only_with_sources_that_give_it(self) -> None:
        sources = {E3: (Source(SourceKind.HELD), FROM_B)}
        intent = new_intent(person(), "cause", (AssignedLicense(E3), AssignedLicense(E5)), (), None, sources, NOW)
        unseen = resolve(replace(ledger(), intent=intent), person(), "cause", NOW + IN_FLIGHT).row.unseen
        written = by_our_clock(NOW)
        assert unseen == {
            E3: ManagedLicense(plans(), NOW, (FROM_B,), written),
            E5: ManagedLicense(plans(), NOW, (), written),
        }

    def test_of_an_unmanaged_license_and_of_a_removal_nothing_is_expected_to_show_late(self) -> None:
        lost = managed(at=LONG_AGO)
        intent = new_intent(
            person(direct(E5)), "cause", (AssignedLicense(E3),), (E5,), None, {}, NOW, unmanaged=frozenset({E3})
        )
        row = replace(ledger({E5: managed()}), intent=intent, unseen={VISIO: lost})
        resolution = resolve(row, person(direct(E5)), "cause", NOW + IN_FLIGHT)
        assert (resolution.row.unseen, resolution.row.managed) == ({VISIO: lost}, {E5: managed()})

    def test_enabled_plans_of_an_unmanaged_license_are_applied_and_leave_it_unmanaged(self) -> None:
        user = person(direct(E3, plans(TEAMS)))
        add = (AssignedLicense(E3),)
        intent = new_intent(user, "cause", add, (), None, {E3: (FROM_A,)}, NOW, unmanaged=frozenset({E3}))
        done = resolve(replace(ledger(), intent=intent), person(direct(E3, at=NOW)), "cause", NOW)
        assert (done.applied, done.row.managed) == (intent, {})

    def test_a_removal_is_taken_over_at_once_only_when_the_directory_shows_it_done(self) -> None:
        row = intending(ledger({E3: managed()}), remove=(E3,))
        assert resolve(row, person(direct(E3)), "cause", NOW).wait_until == NOW + IN_FLIGHT
        assert resolve(row, person(), "cause", NOW).applied == row.intent

    def test_a_swap_is_taken_over_at_once_only_when_both_halves_show(self) -> None:
        row = intending(ledger({E5: managed()}), AssignedLicense(E3), remove=(E5,))
        added, left = direct(E3, at=NOW), direct(E5)
        assert resolve(row, person(added, left), "cause", NOW).wait_until == NOW + IN_FLIGHT
        assert resolve(row, person(), "cause", NOW).wait_until == NOW + IN_FLIGHT
        assert resolve(row, person(added, direct(VISIO)), "cause", NOW).applied == row.intent

    def test_a_license_in_a_state_that_does_not_count_is_judged_like_any_other(self) -> None:
        user = person(direct(E3, plans(TEAMS), at=NOW, state=LicenseState.ERROR))
        assert resolve(ADDING, user, "cause", NOW + IN_FLIGHT).row.managed.keys() == {E3}

    def test_plans_changed_since_make_a_managed_license_unmanaged(self) -> None:
        row = intending(ledger({E3: managed()}), AssignedLicense(E3, plans(TEAMS)), before=(E3,))
        unchanged = resolve(row, person(direct(E3)), "cause", NOW + IN_FLIGHT).row
        late = ManagedLicense(plans(TEAMS), NOW, (FROM_A,), by_our_clock(NOW))
        assert (unchanged.managed, unchanged.unseen) == ({E3: managed()}, {E3: late})
        assert resolve(row, person(direct(E3, plans(CALLING), at=NOW)), "cause", NOW + IN_FLIGHT).row.managed == {}

    def test_a_managed_license_that_is_missing_after_its_plans_were_written_is_unmanaged(self) -> None:
        row = intending(ledger({E3: managed()}), AssignedLicense(E3, plans(TEAMS)), before=(E3,))
        after = resolve(row, person(), "cause", NOW + IN_FLIGHT).row
        assert (after.managed, after.unseen) == ({}, {})

    def test_a_call_done_and_not_recorded_is_applied_and_managed(self) -> None:
        """A crash right after the answer: the result is reported as applied, with its audit entry from the intent."""
        user = person(direct(E3, plans(TEAMS), at=NOW))
        resolution = resolve(ADDING, user, "cause", NOW + IN_FLIGHT)
        assert resolution.applied == ADDING.intent
        license = resolution.row.managed[E3]
        assert (license.disabled_plans, license.at, license.sources) == (plans(TEAMS), NOW, (FROM_A,))
        assert resolution.row.last_result == LastResult(intent_id("cause", USER, NOW), "cause", NOW + IN_FLIGHT)
        assert resolution.row.intent is None

    @pytest.mark.parametrize(
        ("last_updated", "managed"),
        [
            (NOW, True),
            (NOW - CLOCK_TOLERANCE, True),
            (NOW - CLOCK_TOLERANCE - SECOND, False),
            (None, False),
        ],
    )
    def test_what_was_there_before_the_intent_is_somebody_elses(
        self, last_updated: datetime | None, managed: bool
    ) -> None:
        user = person(direct(E3, plans(TEAMS), at=last_updated))
        assert (E3 in resolve(ADDING, user, "cause", NOW + IN_FLIGHT).row.managed) is managed

    @pytest.mark.parametrize("given", [plans(), plans(TEAMS, type(TEAMS)("other"))])
    def test_with_other_plans_than_intended_it_is_somebody_elses(self, given: Plans) -> None:
        resolution = resolve(ADDING, person(direct(E3, given, at=NOW)), "cause", NOW + IN_FLIGHT)
        assert (dict(resolution.row.managed), resolution.applied) == ({}, None)

    def test_a_removal_that_was_done_is_applied_and_one_that_was_not_leaves_it_managed(self) -> None:
        row = intending(ledger({E3: managed()}), remove=(E3,))
        assert resolve(row, person(), "cause", NOW + IN_FLIGHT).row.managed == {}
        undone = resolve(row, person(direct(E3)), "cause", NOW + IN_FLIGHT)
        assert (set(undone.row.managed), undone.applied) == ({E3}, None)

    def test_each_license_is_judged_alone(self) -> None:
        row = intending(ledger({E5: managed(), VISIO: managed()}), AssignedLicense(E3), remove=(E5, VISIO))
        user = person(direct(E3, at=NOW), direct(E5), direct(VISIO, plans(TEAMS), at=NOW))
        assert resolve(row, user, "cause", NOW + IN_FLIGHT).row.managed.keys() == {E3, E5}


def test_accepted_what_was_assigned_the_app_assigned_and_what_was_removed_is_not() -> None:
    row = intending(ledger({E5: managed()}, seen={str(E5): LONG_AGO, f"{E3}/{TEAMS}": LONG_AGO, str(VISIO): LONG_AGO}))
    row = replace(
        intending(row, AssignedLicense(E3), remove=(E5,)),
        waiting_since={E3: LONG_AGO, VISIO: LONG_AGO},
        gone_since={E5: LONG_AGO, VISIO: LONG_AGO},
        rejections={E3: REJECTED, VISIO: REJECTED},
        unseen={E3: managed(), VISIO: managed()},
        removed_at={E3: LONG_AGO, VISIO: LONG_AGO},
    )
    after = accepted(row, NOW + SECOND)
    assert after.last_result == LastResult(intent_id("cause", USER, NOW), "cause", NOW + SECOND)
    assert after.managed.keys() == {E3}
    assert after.managed[E3].at == NOW
    assert after.intent is None
    assert after.removal_seen_at == {str(VISIO): LONG_AGO}
    assert (after.waiting_since, after.gone_since) == ({VISIO: LONG_AGO}, {VISIO: LONG_AGO})
    assert (after.rejections, after.unseen) == ({VISIO: REJECTED}, {VISIO: managed()})
    assert after.removed_at == {VISIO: LONG_AGO, E5: NOW + SECOND}
    assert accepted(after, NOW) is after


def test_accepted_the_removal_of_a_license_that_is_not_recorded_leaves_nothing_recorded() -> None:
    assert accepted(intending(ledger(), remove=(E3,)), NOW).managed == {}


def test_rejected_and_given_by_hand_the_next_day_it_is_not_managed() -> None:
    row = rejected(ADDING)
    assert (row.intent, dict(row.managed)) == (None, {})
    user = person(direct(E3, plans(TEAMS), at=NOW + DAY))
    assert refresh(resolve(row, user, "cause", NOW + DAY).row, user, NOW + DAY).managed == {}


def test_a_rewritten_license_without_a_source_that_gives_it_keeps_its_sources() -> None:
    def rewritten(row: LedgerRow, sources: dict[SkuId, tuple[Source, ...]]) -> tuple[Source, ...]:
        intent = new_intent(person(), "cause", (AssignedLicense(E3),), (), None, sources, NOW)
        return accepted(replace(row, intent=intent), NOW).managed[E3].sources

    assert rewritten(ledger({E3: managed(source=FROM_A)}), {E3: (FROM_B,)}) == (FROM_B,)
    assert rewritten(ledger({E3: managed(source=FROM_A)}), {}) == (FROM_A,)
    assert rewritten(ledger(), {}) == ()


def test_an_unmanaged_license_in_an_accepted_write_stays_unmanaged() -> None:
    intent = new_intent(person(), "cause", (AssignedLicense(E3),), (), None, {}, NOW, unmanaged=frozenset({E3}))
    assert accepted(replace(ledger(), intent=intent), NOW).managed == {}


@pytest.mark.parametrize("kind", [SourceKind.HELD, SourceKind.GRACE, SourceKind.KEPT])
def test_sources_that_only_keep_a_license_are_not_among_its_sources(kind: SourceKind) -> None:
    row = ledger({E3: managed(source=FROM_A), VISIO: managed(source=FROM_A)})
    after = retag(row, {E3: (FROM_B, Source(kind))})
    assert after.managed == {E3: managed(source=FROM_B), VISIO: managed(source=FROM_A)}


def test_a_license_that_only_a_hold_keeps_stays_tagged_with_who_gave_it() -> None:
    held = Source(SourceKind.HELD)
    row = ledger({E3: managed(source=FROM_A)})
    assert retag(row, {E3: (held,)}) is row
    assert retag(row, {}) is row
    assert retag(row, {E3: (FROM_B, held)}).managed[E3].sources == (FROM_B,)
    rewriting = replace(row, intent=new_intent(person(), "c", (AssignedLicense(E3),), (), None, {E3: (held,)}, NOW))
    assert accepted(rewriting, NOW).managed[E3].sources == (FROM_A,)


class TestRefreshing:
    row = ledger({E3: managed(), VISIO: managed()})

    def test_gone_in_two_reads_fifteen_minutes_apart_it_is_not_managed_any_more(self) -> None:
        user = person(direct(VISIO))
        first = refresh(self.row, user, NOW)
        assert (set(first.managed), dict(first.gone_since)) == ({E3, VISIO}, {E3: NOW})
        early = refresh(first, user, NOW + VISIBLE_WITHIN - SECOND)
        assert early.managed.keys() == {E3, VISIO}
        last = refresh(early, user, NOW + VISIBLE_WITHIN)
        assert (set(last.managed), dict(last.gone_since)) == ({VISIO}, {})

    def test_seen_again_between_it_stays_managed(self) -> None:
        gone = refresh(self.row, person(direct(VISIO)), NOW)
        back = refresh(gone, person(direct(E3), direct(VISIO)), NOW + VISIBLE_WITHIN)
        assert (back.managed, dict(back.gone_since)) == (self.row.managed, {})

    def test_taken_away_by_hand_and_given_again_a_year_later_it_is_not_managed(self) -> None:
        row = refresh(refresh(self.row, person(), NOW), person(), NOW + DAY)
        assert refresh(row, person(direct(E3)), NOW + 365 * DAY).managed == {}

    def test_written_a_moment_ago_and_not_shown_yet_the_ledger_is_believed(self) -> None:
        row = ledger({E3: managed(at=NOW)})
        assert refresh(row, person(), NOW + VISIBLE_WITHIN - SECOND) is row
        assert not_visible_yet(row, person(), NOW + VISIBLE_WITHIN - SECOND) == {E3}
        assert not_visible_yet(row, person(), NOW + VISIBLE_WITHIN) == frozenset()
        assert not_visible_yet(row, person(direct(E3)), NOW) == frozenset()
        assert refresh(row, person(), NOW + VISIBLE_WITHIN).gone_since == {E3: NOW + VISIBLE_WITHIN}

    def test_a_license_in_a_state_that_does_not_count_is_not_gone(self) -> None:
        user = person(direct(E3, state=LicenseState.DISABLED), direct(VISIO))
        found = refresh(self.row, user, NOW)
        assert (set(found.managed), found.gone_since) == ({E3, VISIO}, {})

    def test_each_license_is_missed_from_the_first_read_without_it(self) -> None:
        row = refresh(self.row, person(direct(E3)), NOW)
        assert (row.managed, row.gone_since) == (self.row.managed, {VISIO: NOW})
        row = refresh(row, person(), NOW + MINUTE)
        assert row.gone_since == {E3: NOW + MINUTE, VISIO: NOW}

    def test_a_row_that_a_read_does_not_change_is_the_same_row(self) -> None:
        assert refresh(self.row, person(direct(E3), direct(VISIO)), NOW) is self.row


def test_of_what_events_said_the_newest_is_kept_for_a_while() -> None:
    sales, staff = GroupId("sales"), GroupId("staff")
    row = last_event(LedgerRow(USER), {sales: True, staff: True}, NOW, NOW - MINUTE)
    row = last_event(row, {sales: False}, NOW + SECOND, NOW - MINUTE)
    row = last_event(row, {sales: True}, NOW, NOW - MINUTE)
    assert row.observed == {sales: ObservedEvent(False, NOW + SECOND), staff: ObservedEvent(True, NOW)}
    assert last_event(row, {}, NOW + 2 * SECOND, NOW + SECOND).observed == {sales: ObservedEvent(False, NOW + SECOND)}
    assert last_event(row, {}, NOW, NOW - MINUTE) is row
    assert last_event(row, {sales: True}, NOW + SECOND, NOW - MINUTE) is row
