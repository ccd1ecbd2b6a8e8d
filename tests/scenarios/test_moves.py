"""Moves between native and direct licensing: a kill at every write, and random histories with fixed seeds."""

from __future__ import annotations

import os

import pytest

from shared.domain.move import Direction, MovePhase
from tests.support.kills import Killer
from tests.support.move_histories import MoveHistory
from tests.support.moving import MovingRun

SEEDS = int(os.environ.get("MOVES", "3"))
FIRST = int(os.environ.get("MOVES_SEED", "1"))


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
async def test_nobody_loses_a_plan_in_any_history(seed: int, direction: Direction) -> None:
    history = MoveHistory(seed, direction)
    await history.play()
    assert not history.wrong, f"seed {seed} {direction}: {history.wrong} after {history.lines}"


async def _moved(direction: Direction, killer: Killer) -> MovingRun:
    """Eight members and one nested, with a process that dies once."""
    run = MovingRun()
    if direction is Direction.TO_DIRECT:
        run.native_group(8, nested=1, broken=1)
    else:
        await run.direct_group(8, nested=1)
    await run.begin(direction)
    run.arm(killer)
    move = await run.complete()
    assert move.phase is MovePhase.DONE
    return run


@pytest.mark.parametrize("direction", list(Direction))
async def test_a_process_can_die_at_every_write(direction: Direction) -> None:
    unhurt = Killer(0)
    expected = await _moved(direction, unhurt)
    assert unhurt.changes > 100
    step = 1 if "MOVES" in os.environ else 7
    for at in range(1, unhurt.changes + 1, step):
        killer = Killer(at)
        run = await _moved(direction, killer)
        assert killer.died_in
        assert not run.gaps, f"killed at {at}, {killer.died_in}: {run.gaps[:3]}"
        assert run.direct_users() == expected.direct_users(), f"killed at {at}, {killer.died_in}"
        assert run.still_native() == expected.still_native(), f"killed at {at}, {killer.died_in}"
