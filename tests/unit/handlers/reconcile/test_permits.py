"""The removal allowance limits what membership changes remove without an approval."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from shared.adapters.tables.rows import Row
from shared.domain.grant import Source, SourceKind
from shared.domain.pending_removal import TENANT, Hold, PendingRemoval, ScopeState
from shared.domain.permit import Claim
from shared.handlers.operations.members_queue import Members
from shared.handlers.reconcile.permits import allow_operation
from shared.handlers.views import queries
from tests.support.notifications import managed, notify, went
from tests.support.runs import OTHER_TEAM, SMALL, TEAM, user


async def test_many_leavers_by_events_are_held_and_collected_once() -> None:
    run, people = await managed(80)
    for each in people[:60]:
        run.directory.leave(TEAM, each)
    await notify(run, went(TEAM, *people[:60]))
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert len(await queries.approvals(run.world)) == 1


async def test_while_the_tenant_is_held_what_waits_in_it_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    run, people = await managed(10)
    run.world = replace(run.world, policy=replace(run.world.policy, tenant_removal_allowance=3))
    run.workers = [Members(run.world)] * 2
    for each in people[:5]:
        run.directory.leave(TEAM, each)
    await notify(run, went(TEAM, *people[:4]))
    (waiting,) = await queries.approvals(run.world)
    read, query = [], run.fakes.tables.query

    def reading(name: str, partition: str, first: str = "", *options: str, **more: Any) -> AsyncIterator[Row]:
        read.append(partition if not first else "")
        return query(name, partition, first, *options, **more)

    monkeypatch.setattr(run.fakes.tables, "query", reading)
    await notify(run, went(TEAM, people[4]))
    await run.reconcile(*people[:4], cause="again")
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    assert not [each for each in read if each.startswith("tenant")]
    assert [each.id for each in await queries.approvals(run.world)] == [waiting.id]


async def test_what_waits_in_a_held_group_does_not_make_an_operation_on_another_one_wait() -> None:
    run, people = await managed(4)
    world = replace(run.world, policy=replace(run.world.policy, tenant_removal_allowance=2))
    team, held, now = Source(SourceKind.GROUP, TEAM), Source(SourceKind.GROUP, OTHER_TEAM), world.clock.now()
    waiting = [PendingRemoval(Claim(held), user(number), SMALL.sku_id, now) for number in range(11, 14)]
    await world.stores.removals.note(TENANT, waiting)
    asked = [PendingRemoval(Claim(team, 1), people[0], SMALL.sku_id, now)]
    assert not await allow_operation(world, team, asked, {}, len(people))
    await world.stores.removals.save(str(held), ScopeState(Hold(now, "Why.")), None)
    assert await allow_operation(world, team, asked, {}, len(people))
