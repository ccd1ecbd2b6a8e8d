"""One operation for every place at which its process can die: it ends as if nothing had happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from shared.domain.ids import UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import Operation, OperationState
from tests.support.builders import audited
from tests.support.kills import DyingRun, Killer
from tests.support.runs import LARGE, SMALL, TEAM, user

WITHOUT_END = 10**9
MONTH = "202601"

Scenario = Callable[[DyingRun, Killer], Awaitable[tuple[Operation, set[str]]]]


def _far(number: int) -> UserId:
    """A user of another partition, and so of another chunk."""
    return UserId(str(UUID(int=(15 << 124) + number)))


def _team(run: DyingRun) -> list[UserId]:
    """Five people of two chunks, one without a location."""
    people = run.people(2)
    people += [run.directory.add_user(_far(number), groups=[TEAM]) for number in range(2)]
    return [*people, run.directory.add_user(user(50), location=None, groups=[TEAM])]


async def _assigned(run: DyingRun, killer: Killer) -> tuple[Operation, set[str]]:
    operation = await run.ask([SMALL])
    run.arm(killer)
    return await run.finish(operation), {"SMALL"}


async def _swapped(run: DyingRun, killer: Killer) -> tuple[Operation, set[str]]:
    await run.change([SMALL])
    operation = await run.ask([LARGE], [SMALL])
    run.arm(killer)
    return await run.finish(operation), {"LARGE"}


async def _wrong_after(scenario: Scenario, killer: Killer) -> list[str]:
    run = DyingRun()
    people = _team(run)
    ended, expected = await scenario(run, killer)
    wrong = []
    if (ended.state, ended.totals.members, ended.totals.applied) != (OperationState.COMPLETE, 5, 5):
        wrong.append(f"{ended.state}, {ended.totals}, {ended.error}")
    if ended.totals.wrote != 5:
        wrong.append(f"{ended.totals.wrote} counted as written")
    for each in people:
        if run.licenses(each) != expected:
            wrong.append(f"{each} has {run.licenses(each)}")
    return wrong + await _proof(run, people, ended) + await _rows(run, people, expected)


async def _proof(run: DyingRun, people: list[UserId], ended: Operation) -> list[str]:
    """Each license change is audited once, and no write but at most one of each user was without effect."""
    changes = Counter(e.user_id for e in run.writer.log if e.operation == "assignLicense" and e.changed)
    vain = Counter(e.user_id for e in run.writer.log if e.operation == "assignLicense" and not e.changed)
    audit = await audited(run.fakes.world.stores, MONTH)
    proven = Counter(e.user_id for e in audit if e.user_id and e.result == "success")
    wrong = [
        f"{each}: {changes[each]} changes, {proven[each]} proven" for each in people if changes[each] != proven[each]
    ]
    wrong += [f"{each} was written {vain[each]} times in vain" for each in people if vain[each] > 1]
    ids = [e.id for e in audit]
    wrong += [f"audit {each} twice" for each, count in Counter(ids).items() if count > 1]
    return wrong


async def _rows(run: DyingRun, people: list[UserId], expected: set[str]) -> list[str]:
    stores = run.fakes.world.stores
    state = MemberState.ACTIVE if expected else MemberState.REMOVED
    states = await stores.members.states(TEAM)
    wrong = [f"{each} is shown as {states.get(each)}" for each in people if states.get(each) is not state]
    rows = await stores.ledger.rows(people)
    wrong += [f"an intent of {each} was left" for each, row in rows.items() if row.intent is not None]
    wrong += [f"the ledger of {each}: {row.managed}" for each, row in rows.items() if len(row.managed) != len(expected)]
    if (await stores.dead_letters.page(5))[0]:
        wrong.append("a dead letter")
    return wrong


@pytest.mark.parametrize("scenario", [_assigned, _swapped])
async def test_an_operation_survives_a_death_at_every_change_it_makes(scenario: Scenario) -> None:
    counting = Killer(WITHOUT_END)
    assert await _wrong_after(scenario, counting) == []
    found = {}
    for at in range(1, counting.changes + 1):
        killer = Killer(at)
        wrong = await _wrong_after(scenario, killer)
        if wrong:
            found[f"{at}, after {killer.died_in}"] = wrong
    assert found == {}
