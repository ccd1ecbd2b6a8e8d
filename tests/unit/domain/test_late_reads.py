"""Reads that show a write late: a write whose answer was lost, and a license that was removed a moment ago."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.directory import LicenseState
from shared.domain.ledger import is_leftover, refresh
from shared.domain.ledger_row import SeenRow
from tests.support.builders import (
    DAY,
    E3,
    E5,
    FROM_B,
    LONG_AGO,
    MINUTE,
    NOW,
    TEAMS,
    VISIO,
    direct,
    ledger,
    managed,
    person,
    plans,
)

SECOND = timedelta(seconds=1)
LOST = managed(plans(TEAMS), at=NOW)


class TestALostWrite:
    row = replace(ledger({VISIO: managed()}), unseen={E3: LOST})

    def test_is_remembered_while_a_read_may_still_show_it(self) -> None:
        user = person(direct(VISIO))
        assert refresh(self.row, user, NOW + 15 * MINUTE - SECOND) is self.row
        assert refresh(self.row, user, NOW + 15 * MINUTE) == replace(self.row, unseen={})

    def test_is_managed_once_a_read_shows_it_however_late_the_read_is(self) -> None:
        user = person(direct(VISIO), direct(E3, plans(TEAMS), at=NOW))
        assert refresh(self.row, user, NOW + MINUTE).managed == {VISIO: managed(), E3: LOST}
        late = refresh(self.row, user, NOW + DAY)
        assert (late.managed, late.unseen) == ({VISIO: managed(), E3: LOST}, {})

    def test_is_managed_also_in_a_state_in_which_the_user_cannot_use_it(self) -> None:
        user = person(direct(VISIO), direct(E3, plans(TEAMS), at=NOW, state=LicenseState.ERROR))
        assert E3 in refresh(self.row, user, NOW + MINUTE).managed

    @pytest.mark.parametrize(
        ("last_updated", "managed"),
        [
            (NOW - 5 * MINUTE, True),
            (NOW - 5 * MINUTE - SECOND, False),
            (NOW + timedelta(minutes=6, seconds=15), True),
            (NOW + timedelta(minutes=6, seconds=16), False),
            (None, False),
        ],
    )
    def test_is_recognized_by_its_time_within_what_two_clocks_and_a_slow_call_allow(
        self, last_updated: datetime | None, managed: bool
    ) -> None:
        user = person(direct(VISIO), direct(E3, plans(TEAMS), at=last_updated))
        row = refresh(self.row, user, NOW + 10 * MINUTE)
        assert (E3 in row.managed, row.unseen) == (managed, {})

    def test_with_other_plans_than_were_written_is_somebody_elses_license(self) -> None:
        row = refresh(self.row, person(direct(VISIO), direct(E3, at=NOW)), NOW + MINUTE)
        assert (set(row.managed), row.unseen) == ({VISIO}, {})

    def test_does_not_replace_what_is_recorded_of_a_license_that_is_managed_again(self) -> None:
        row = replace(self.row, managed={E3: managed(plans(TEAMS), source=FROM_B)})
        after = refresh(row, person(direct(E3, plans(TEAMS), at=NOW)), NOW + MINUTE)
        assert after.managed == {E3: replace(managed(plans(TEAMS), source=FROM_B), seen=SeenRow(NOW))}
        assert after.unseen == {}

    def test_is_judged_apart_from_the_others(self) -> None:
        row = replace(ledger(), unseen={E3: LOST, E5: LOST, VISIO: managed(at=LONG_AGO)})
        after = refresh(row, person(direct(E5, plans(TEAMS), at=NOW)), NOW + MINUTE)
        assert (after.managed, after.unseen) == ({E5: LOST}, {E3: LOST})


class TestALicenseRemovedAMomentAgo:
    row = replace(ledger(), removed_at={E3: NOW})

    def test_is_remembered_for_fifteen_minutes(self) -> None:
        row = replace(self.row, removed_at={E3: NOW, VISIO: NOW - MINUTE})
        assert refresh(row, person(), NOW + 14 * MINUTE - SECOND) is row
        assert refresh(row, person(), NOW + 14 * MINUTE).removed_at == {E3: NOW}

    @pytest.mark.parametrize("last_updated", [None, LONG_AGO, NOW])
    def test_that_a_read_still_shows_is_a_leftover(self, last_updated: datetime | None) -> None:
        shown = direct(E3, at=last_updated)
        assert is_leftover(self.row, E3, shown, NOW + 15 * MINUTE - SECOND)
        assert not is_leftover(self.row, E3, shown, NOW + 15 * MINUTE)

    def test_and_assigned_again_since_is_not_a_leftover(self) -> None:
        assert not is_leftover(self.row, E3, direct(E3, at=NOW + SECOND), NOW + MINUTE)

    def test_says_nothing_about_another_license(self) -> None:
        assert not is_leftover(self.row, VISIO, direct(VISIO), NOW + MINUTE)
