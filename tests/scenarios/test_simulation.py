"""A short part of the simulation: histories of faults, kills, doubles and delays, one seed each."""

from __future__ import annotations

import logging

import pytest

from tests.simulation.history import CROWDS_FROM, TENANT_FROM, History
from tests.simulation.tenant_acts import KINDS


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
