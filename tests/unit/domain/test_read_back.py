"""Whose a license row is after it was read back, by Graph's own times."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.directory import AssignedLicense, LicenseState
from shared.domain.ids import Plans, SkuId
from shared.domain.ledger import accepted, new_intent, refresh, rejected, resolve
from shared.domain.ledger_row import LedgerRow, ManagedLicense, SeenRow
from shared.domain.read_back import CLOCK_TOLERANCE, IN_FLIGHT, VISIBLE_WITHIN
from tests.support.builders import DAY, E3, E5, FROM_A, HOUR, MINUTE, NOW, TEAMS, VISIO, direct, ledger, person, plans

SECOND = timedelta(seconds=1)
LAPSED = LicenseState.DISABLED

GRAPH = NOW - 3 * HOUR
"""Graph's clock at NOW: far from ours, and only compared with itself."""


def written(off: Plans = frozenset(), *, by: tuple[datetime, datetime] | None = (GRAPH, GRAPH + SECOND)) -> LedgerRow:
    """E3 and VISIO assigned at NOW in one call, between two times of Graph's clock."""
    add = (AssignedLicense(E3, off), AssignedLicense(VISIO))
    intent = new_intent(person(), "cause", add, (), None, {E3: (FROM_A,), VISIO: (FROM_A,)}, NOW)
    return accepted(replace(ledger(), intent=intent), NOW, by)


def read(
    row: LedgerRow, at: datetime | None, now: datetime, off: Plans = frozenset(), **state: LicenseState
) -> LedgerRow:
    """After a read that shows E3 as updated at a time, and VISIO as it was written."""
    return refresh(row, person(direct(E3, off, at=at, **state), direct(VISIO, at=GRAPH)), now)


def unclear(row: LedgerRow) -> set[SkuId]:
    return {sku_id for sku_id, license in row.managed.items() if license.unclear}


READ_BACK = read(written(), GRAPH, NOW + MINUTE)


def test_the_first_read_of_a_write_is_kept_with_graphs_time() -> None:
    license = READ_BACK.managed[E3]
    assert (license.written, license.seen, license.unclear) == (None, SeenRow(GRAPH), False)
    assert read(READ_BACK, GRAPH, NOW + DAY) is READ_BACK


@pytest.mark.parametrize("later", [SECOND, MINUTE, 30 * DAY])
def test_a_row_that_was_updated_after_it_was_read_back_is_unclear_and_the_other_is_not(later: timedelta) -> None:
    assert unclear(read(READ_BACK, GRAPH + later, NOW + 40 * DAY)) == {E3}


def test_a_license_replaced_before_any_read_is_unclear() -> None:
    """An administrator removes our license and assigns the same product within minutes, and nobody reads between."""
    assert unclear(read(written(), GRAPH + MINUTE, NOW + HOUR)) == {E3}
    assert unclear(read(written(), GRAPH + DAY, NOW + 2 * DAY)) == {E3}


def test_other_plans_than_were_written_are_unclear_whenever_they_were_set() -> None:
    assert unclear(read(READ_BACK, GRAPH + HOUR, NOW + DAY, plans(TEAMS))) == {E3}
    assert unclear(read(written(), GRAPH, NOW + DAY, plans(TEAMS))) == {E3}


def test_a_row_that_is_older_than_our_write_is_somebody_elses_once_reads_show_the_write() -> None:
    """Graph takes an assignment of what is there already, and moves nothing."""
    older = GRAPH - DAY
    assert read(written(), older, NOW + VISIBLE_WITHIN - SECOND).managed.keys() == {E3, VISIO}
    assert read(written(), older, NOW + VISIBLE_WITHIN).managed.keys() == {VISIO}


def test_a_row_that_is_only_a_little_older_than_our_write_is_unclear() -> None:
    """Too little to say that the license was not ours, should the clocks of Graph's servers differ after all."""
    row = read(written(), GRAPH - CLOCK_TOLERANCE, NOW + VISIBLE_WITHIN)
    assert (set(row.managed), unclear(row)) == ({E3, VISIO}, {E3})


def test_a_read_that_shows_the_plans_of_the_write_before_is_late_and_not_a_change() -> None:
    """Two groups give the same product within seconds, with different apps."""
    user = person(direct(E3, at=GRAPH), direct(VISIO, at=GRAPH))
    intent = new_intent(user, "next", (AssignedLicense(E3, plans(TEAMS)),), (), None, {}, NOW + 5 * SECOND)
    between = (GRAPH + 5 * SECOND, GRAPH + 6 * SECOND)
    row = accepted(replace(written(), intent=intent), NOW + 5 * SECOND, between)
    assert unclear(read(row, GRAPH, NOW + MINUTE)) == set()
    shown = read(row, GRAPH + 5 * SECOND, NOW + 2 * MINUTE, plans(TEAMS))
    assert (unclear(shown), shown.managed[E3].seen) == (set(), SeenRow(GRAPH + 5 * SECOND))


def test_a_read_that_lags_behind_the_row_read_before_says_nothing() -> None:
    assert read(READ_BACK, GRAPH - DAY, NOW + DAY) is READ_BACK


def test_a_read_without_times_says_nothing() -> None:
    """Lists of members are read without them."""
    row = written()
    assert refresh(row, person(direct(E3, at=None), direct(VISIO, at=None)), NOW + DAY) is row


class TestAStateThatMicrosoftSets:
    """Whether it moves `lastUpdatedDateTime` is not documented; both must be right."""

    def test_explains_a_later_time(self) -> None:
        lapsed = read(READ_BACK, GRAPH + DAY, NOW + DAY, state=LAPSED)
        assert unclear(lapsed) == set()
        back = read(lapsed, GRAPH + 2 * DAY, NOW + 2 * DAY)
        assert (unclear(back), back.managed[E3].seen) == (set(), SeenRow(GRAPH + 2 * DAY))

    def test_explains_a_later_time_also_before_the_write_was_read(self) -> None:
        assert unclear(read(written(), GRAPH + DAY, NOW + DAY, state=LAPSED)) == set()

    def test_that_does_not_move_the_time_is_kept_for_the_next_comparison(self) -> None:
        lapsed = read(READ_BACK, GRAPH, NOW + DAY, state=LAPSED)
        assert (unclear(lapsed), lapsed.managed[E3].seen) == (set(), SeenRow(GRAPH, LAPSED))
        assert unclear(read(lapsed, GRAPH + DAY, NOW + DAY)) == set()

    def test_does_not_explain_other_plans(self) -> None:
        assert unclear(read(READ_BACK, GRAPH + DAY, NOW + DAY, plans(TEAMS), state=LAPSED)) == {E3}


class TestOurNextWrite:
    """Plans of E3 are changed a day after it was assigned."""

    def changed(self, row: LedgerRow) -> LedgerRow:
        user = person(direct(E3, at=GRAPH), direct(VISIO, at=GRAPH))
        intent = new_intent(user, "next", (AssignedLicense(E3, plans(TEAMS)),), (), None, {}, NOW + DAY)
        return accepted(replace(row, intent=intent), NOW + DAY, (GRAPH + DAY, GRAPH + DAY + SECOND))

    def test_is_read_back_like_the_first(self) -> None:
        row = read(self.changed(READ_BACK), GRAPH + DAY, NOW + DAY + MINUTE, plans(TEAMS))
        assert (unclear(row), row.managed[E3].seen) == (set(), SeenRow(GRAPH + DAY))

    def test_that_a_read_does_not_show_yet_is_not_unclear(self) -> None:
        row = self.changed(READ_BACK)
        assert read(row, GRAPH, NOW + DAY + MINUTE) is row

    def test_for_which_graph_does_not_move_the_time_the_app_assigned(self) -> None:
        for before in (READ_BACK, written()):
            row = read(self.changed(before), GRAPH, NOW + 2 * DAY, plans(TEAMS))
            assert (set(row.managed), unclear(row)) == ({E3, VISIO}, set())

    def test_does_not_make_an_unclear_license_clear(self) -> None:
        row = read(
            self.changed(read(READ_BACK, GRAPH + HOUR, NOW + 2 * HOUR)), GRAPH + DAY, NOW + 2 * DAY, plans(TEAMS)
        )
        assert unclear(row) == {E3}


class TestWithoutGraphsTime:
    """An answer without `Date`: our clock, with what two clocks may differ by."""

    row = written(by=None)

    @pytest.mark.parametrize("at", [NOW - CLOCK_TOLERANCE, NOW, NOW + IN_FLIGHT + CLOCK_TOLERANCE])
    def test_a_row_from_about_the_time_of_the_write_the_app_assigned(self, at: datetime) -> None:
        found = refresh(self.row, person(direct(E3, at=at), direct(VISIO, at=NOW)), NOW + HOUR)
        assert (set(found.managed), unclear(found)) == ({E3, VISIO}, set())

    def test_a_later_row_is_unclear(self) -> None:
        later = NOW + IN_FLIGHT + CLOCK_TOLERANCE + SECOND
        found = refresh(self.row, person(direct(E3, at=later), direct(VISIO, at=NOW)), NOW + HOUR)
        assert unclear(found) == {E3}


class TestALicenseOfAFormerVersion:
    """Recorded before times were read back: one that a person decided to manage is older than its record."""

    row = ledger({E3: ManagedLicense(plans(), NOW, (FROM_A,)), VISIO: ManagedLicense(plans(), NOW, (FROM_A,))})

    @pytest.mark.parametrize(("at", "expected"), [(NOW, set()), (NOW - 30 * DAY, set()), (NOW + DAY, {E3})])
    def test_is_compared_with_the_time_of_its_record(self, at: datetime, expected: set[SkuId]) -> None:
        found = refresh(self.row, person(direct(E3, at=at), direct(VISIO, at=NOW)), NOW + 2 * DAY)
        assert (set(found.managed), unclear(found)) == ({E3, VISIO}, expected)


def test_a_call_that_was_rejected_after_a_part_was_done_leaves_that_part_managed() -> None:
    """Graph may apply what it can and then answer 400 (syn-con/n8n-nodes-microsoft-365-admin, changelog 0.2.0)."""
    add = (AssignedLicense(E3), AssignedLicense(E5))
    intent = new_intent(person(), "cause", add, (), None, {E3: (FROM_A,), E5: (FROM_A,)}, NOW)
    row = rejected(replace(ledger(), intent=intent), (GRAPH, GRAPH + SECOND))
    found = refresh(row, person(direct(E3, at=GRAPH)), NOW + MINUTE)
    assert (set(found.managed), found.managed[E3].seen) == ({E3}, SeenRow(GRAPH))
    by_hand = refresh(row, person(direct(E3, at=GRAPH + MINUTE)), NOW + MINUTE)
    assert by_hand.managed == {}


def test_what_a_rejected_call_did_is_still_managed_after_the_next_calls_were_rejected_as_concurrent() -> None:
    both = (AssignedLicense(E3), AssignedLicense(E5))
    first = new_intent(person(), "cause", both, (), None, {E3: (FROM_A,), E5: (FROM_A,)}, NOW)
    row = rejected(replace(ledger(), intent=first), (GRAPH, GRAPH + SECOND))
    for minute in (MINUTE, 2 * MINUTE):
        intent = new_intent(person(), "cause", both[:1], (), None, {E3: (FROM_A,)}, NOW + minute)
        row = rejected(replace(row, intent=intent), (GRAPH + minute, GRAPH + minute + SECOND), perhaps_done=True)
    found = refresh(row, person(direct(E3, at=GRAPH)), NOW + 3 * MINUTE)
    assert set(found.managed) == {E3}
    by_hand = refresh(row, person(direct(E3, at=GRAPH + 3 * MINUTE)), NOW + 3 * MINUTE)
    assert by_hand.managed == {}


def test_a_rejected_call_of_one_part_proves_that_nothing_was_done() -> None:
    intent = new_intent(person(), "cause", (AssignedLicense(E3),), (), None, {}, NOW)
    row = rejected(replace(ledger(), intent=intent), (GRAPH, GRAPH + SECOND))
    assert refresh(row, person(direct(E3, at=GRAPH)), NOW + MINUTE).managed == {}


def test_an_intent_left_by_a_crash_does_not_prove_what_was_assigned_the_next_day() -> None:
    """Nobody knows whether the call went out: an administrator may have assigned the same license since."""
    intent = new_intent(person(), "cause", (AssignedLicense(E3), AssignedLicense(VISIO)), (), None, {}, NOW)
    user = person(direct(E3, at=NOW + DAY), direct(VISIO, at=NOW))
    row = resolve(replace(ledger(), intent=intent), user, "cause", NOW + 2 * DAY).row
    assert (set(row.managed), unclear(row)) == ({E3, VISIO}, {E3})


def test_a_late_answerless_write_of_plans_the_app_assigned_when_it_shows() -> None:
    user = person(direct(E3, at=GRAPH), direct(VISIO, at=GRAPH))
    intent = new_intent(user, "next", (AssignedLicense(E3, plans(TEAMS)),), (), None, {E3: (FROM_A,)}, NOW + DAY)
    row = resolve(replace(READ_BACK, intent=intent), user, "next", NOW + DAY + IN_FLIGHT).row
    shown = refresh(
        row, person(direct(E3, plans(TEAMS), at=NOW + DAY), direct(VISIO, at=GRAPH)), NOW + DAY + 5 * MINUTE
    )
    assert (unclear(shown), shown.managed[E3].disabled_plans) == (set(), plans(TEAMS))
