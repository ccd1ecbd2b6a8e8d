"""A short part of the simulation: histories of faults, kills, doubles and delays, one seed each."""

from __future__ import annotations

import logging

import pytest

from tests.simulation.history import History


@pytest.mark.parametrize("seed", [*range(40), 290, 1271, 1336, 1611, 2981, 11207, 21231, 49094, 49946])
async def test_a_history_of_trouble_ends_right(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    history = History(seed)
    assert await history.play() == [], "\n".join(history.lines)
