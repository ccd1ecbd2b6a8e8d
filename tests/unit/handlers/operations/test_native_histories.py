"""Random histories of a swap on a natively managed group: slow processing, lost calls, old reads, deaths, joiners."""

from __future__ import annotations

import random

import pytest

from shared.domain.operation import OperationState
from shared.domain.write_results import Contended, Throttled, Unanswered
from shared.ports.messaging import Outgoing
from tests.support.native_runs import NativeRun
from tests.support.runs import EXTRA, LARGE, SMALL, TEAM, user

HISTORIES = 60
SUITES = {"SMALL", "LARGE"}
ANSWERS = (Throttled(5.0), Unanswered("lost"), Contended("busy"))


async def start(dice: random.Random) -> NativeRun:
    """Members with SMALL; at times the first is in error, so that the swap takes two calls."""
    run = await NativeRun.of(6, [SMALL, EXTRA] if dice.random() < 0.5 else [SMALL])
    if len(run.directory.groups[TEAM].native_skus) > 1:
        run.native.give(run.members[0], TEAM, "CountViolation", EXTRA.sku_id)
        run.stock(EXTRA, 0)
    run.stock(LARGE, dice.choice((2, 6, 9)))
    run.native.slow = True
    run.native.lost_calls = dice.choice((0, 0, 1, 2))
    run.native.group_answers = dice.sample(ANSWERS, dice.randrange(3))
    return run


def happen(run: NativeRun, dice: random.Random, had: set[str]) -> None:
    """Something happens before a message is delivered."""
    chance = dice.random()
    if chance < 0.3:
        run.native.process(TEAM, *dice.sample(run.members, dice.randrange(1, 4)))
    elif chance < 0.5:
        run.native.process(TEAM)
    elif chance < 0.55 and len(run.members) < 8:
        joiner = run.directory.add_user(user(100 + len(run.members)), groups=[TEAM])
        run.members.append(joiner)
    elif chance < 0.6:
        run.stock(LARGE, 9)
    elif chance < 0.65:
        run.native.lagging[TEAM] = run.directory.groups[TEAM]
    elif chance < 0.75:
        run.native.lagging.clear()
    elif chance < 0.85:
        run.native.processing[TEAM] = "ProcessingComplete"  # as a read from before the change shows it
    if run.fakes.tables.dies_after is None and dice.random() < 0.2:
        run.fakes.tables.dies_after = dice.randrange(6)
    for each in run.members:
        has = run.active(each) & SUITES
        assert has or each not in had, f"{each} lost the suite"
        had.update([each] if has else [])


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_nobody_loses_the_suite_and_the_swap_ends(seed: int) -> None:
    dice = random.Random(seed)
    run = await start(dice)
    run.native.keeps_products = bool(seed % 2)
    had: set[str] = set()
    operation = await run.ask([LARGE], [SMALL])

    def before(_: Outgoing) -> None:
        if run.fakes.tables.dies_after == 0:
            run.fakes.tables.dies_after = None
        happen(run, dice, had)

    run.before = before
    for _ in range(150):
        await run.step()
    run.before = lambda _: None
    run.fakes.tables.dies_after = None
    run.native.slow, run.native.lost_calls = False, 0
    run.native.lagging.clear()
    run.stock(LARGE, 20)
    run.stock(EXTRA, 20)
    run.native.process(TEAM)
    done = await run.finish(operation, approve=False)
    assert done.state is OperationState.COMPLETE, done.error
    run.native.process(TEAM)
    assert {frozenset(run.active(each) & SUITES) for each in run.members} == {frozenset({"LARGE"})}
    assert run.writer.calls == []
