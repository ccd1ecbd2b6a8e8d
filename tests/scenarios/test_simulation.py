"""A short part of the simulation: histories of faults, kills, doubles and delays, one seed each."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import replace

import pytest

from local.tenant.switches import settings_at
from shared.domain.ids import UserId
from shared.domain.write_results import LicenseCall, WriteResult
from shared.ports.graph_writes import LicenseWriter
from tests.simulation.history import CROWDS_FROM, TENANT_FROM, History
from tests.simulation.switched import DRAWN, SwitchedHistory, changed, play_switched, positions_of
from tests.simulation.tenant_acts import KINDS
from tests.support.switch_history import E3
from tests.support.tenant_run import tenant_run


@pytest.mark.parametrize("seed", [*range(40), 290, 1271, 1336, 1611, 2981, 11207, 21231, 49094, 49946])
async def test_a_history_of_trouble_ends_right(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    history = History(seed)
    assert await history.play() == [], "\n".join(history.lines)


@pytest.mark.parametrize(
    "seed",
    [
        *range(TENANT_FROM, TENANT_FROM + 15),
        *range(CROWDS_FROM, CROWDS_FROM + 25),
        3003382,
        3003796,
        3004265,
        3010564,
        3112689,
        3120447,
        3121376,
        3168188,
    ],
)
async def test_a_history_in_which_the_tenant_acts_too_ends_right(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    history = History(seed)
    assert await history.play() == [], "\n".join(history.lines)


NOTES = {
    "tables": "plans exclude each other",
    "retiredPlans": "is retired from",
    "missingProducts": "is gone from the tenant",
    "handBetweenReads": "by hand",
    "deltaForgotten": "old delta links are rejected",
    "deltaRejected": "delta links are rejected",
}


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_act_is_played(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    assert set(KINDS) == NOTES.keys()
    for seed in range(TENANT_FROM, TENANT_FROM + 20):
        history = History(seed, frozenset({kind}))
        await history.play()
        if any(NOTES[kind] in line for line in history.lines):
            return
    raise AssertionError(f"no history has an act of the kind {kind}")


@pytest.mark.parametrize("seed", range(7, 7 + 3 * len(DRAWN), len(DRAWN) // 2))
async def test_a_history_at_drawn_positions_of_the_switches_ends_right(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    history = await play_switched(seed)
    assert history.wrong == [], "\n".join(history.lines)


def test_seeds_draw_every_position() -> None:
    drawn = {changed(positions_of(seed)) for seed in range(len(DRAWN))}
    assert len(drawn) == len(DRAWN)


class Removing:
    """A license writer that also removes E3 from the first user of each call."""

    def __init__(self, writer: LicenseWriter) -> None:
        self._writer = writer

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        first = min(calls)
        return await self._writer.assign({**calls, first: LicenseCall((), (E3,))}, urgent=urgent)

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        return await self._writer.set_usage_locations(locations, urgent=urgent)


async def test_the_oracle_of_drawn_positions_sees_licenses_that_are_removed(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise the histories above would prove nothing."""
    caplog.set_level(logging.CRITICAL)
    seen: set[str] = set()
    for seed in range(3):
        async with tenant_run(settings_at({})) as run:
            history = SwitchedHistory(run, seed=seed)
            run.use(replace(run.world, licenses=Removing(run.world.licenses)))
            with contextlib.suppress(AssertionError):
                await history.play()
            seen |= {" ".join(each.split()[1:4]) for each in history.wrong}
    assert "lost the unmanaged" in seen
