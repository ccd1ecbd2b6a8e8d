"""The removal allowance limits what membership changes remove without an approval."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.tables.rows import Row
from shared.handlers.operations.members_queue import Members
from shared.handlers.views import queries
from tests.support.notifications import managed, tell, went
from tests.support.runs import TEAM


async def test_many_leavers_by_events_are_held_and_collected_once() -> None:
    run, people = await managed(80)
    for each in people[:60]:
        run.directory.leave(TEAM, each)
    await tell(run, went(TEAM, *people[:60]))
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert len(await queries.approvals(run.world)) == 1


async def test_while_the_tenant_is_held_what_waits_in_it_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    run, people = await managed(10)
    run.world = replace(run.world, policy=replace(run.world.policy, tenant_removal_allowance=3))
    run.workers = [Members(run.world)] * 2
    for each in people[:5]:
        run.directory.leave(TEAM, each)
    await tell(run, went(TEAM, *people[:4]))
    (waiting,) = await queries.approvals(run.world)
    read, query = [], run.fakes.tables.query

    def reading(name: str, partition: str, first: str = "", *options: str, **more: Any) -> AsyncIterator[Row]:
        read.append(partition if not first else "")
        return query(name, partition, first, *options, **more)

    monkeypatch.setattr(run.fakes.tables, "query", reading)
    await tell(run, went(TEAM, people[4]))
    await run.look_at(*people[:4], cause="again")
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert not [each for each in read if each.startswith("tenant")]
    assert [each.id for each in await queries.approvals(run.world)] == [waiting.id]
