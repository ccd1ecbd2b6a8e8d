"""The product on the simulated tenant at every position of its switches: each alone, and each pair of them together."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping

import pytest

from local.tenant import clock
from local.tenant.switches import SWITCHES, flips, settings_at
from tests.support.covering import pairwise
from tests.support.switch_history import ANNA, BEN, E3, EMS, FRED, SwitchHistory
from tests.support.tenant_run import tenant_run

POSITIONS = {each.number: [position.name for position in each.positions] for each in SWITCHES}
ROWS = pairwise(POSITIONS)


def text(positions: Mapping[int, str]) -> str:
    """The positions that are no defaults."""
    changed = [f"{number}:{name}" for number, name in sorted(positions.items()) if name != POSITIONS[number][0]]
    return " ".join(changed) or "defaults"


async def played(positions: Mapping[int, str]) -> list[str]:
    async with tenant_run(settings_at(positions)) as run:
        return await SwitchHistory(run).play()


@pytest.mark.parametrize("positions", [{}, *flips()], ids=text)
async def test_the_product_is_right_at_each_position(
    positions: Mapping[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    assert await played(positions) == []


@pytest.mark.parametrize("row", range(len(ROWS)))
async def test_the_product_is_right_at_each_pair_of_positions(row: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert await played(ROWS[row]) == [], text(ROWS[row])


def test_each_pair_of_positions_is_in_a_row() -> None:
    for one, two in itertools.combinations(POSITIONS, 2):
        together = {(row[one], row[two]) for row in ROWS}
        assert together == set(itertools.product(POSITIONS[one], POSITIONS[two])), (one, two)


async def test_the_oracle_sees_what_is_wrong() -> None:
    """Otherwise the histories above would prove nothing."""
    async with tenant_run(settings_at({})) as run:
        history = SwitchHistory(run)
        assert await history.play() == []
        users = run.state.directory.users
        rows = users[ANNA].rows
        for person, sku in ((ANNA, E3), (BEN, E3)):
            left = tuple(row for row in users[person].rows if row.sku_id != sku)
            run.state.directory.set_rows(users[person], left, clock.time())
        run.state.directory.set_rows(users[FRED], tuple(row for row in rows if row.sku_id == EMS), clock.time())
        assert await history.faults("then") == [
            "then: 01 lacks E3, which the tenant would assign",
            "then: 06 keeps EMS",
            "then: 02 lacks E3, which the tenant would assign",
            "then: 02 lost the unmanaged E3",
        ]
