"""Pending removals against Azurite: noted once, decided with their scope's state, dropped while nobody has decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.errors import Conflict
from shared.domain.ids import OperationId, SkuId
from shared.domain.pending_removal import HELD_BY_TENANT, TENANT, Hold, HoldKind, PendingRemoval, ScopeState
from shared.domain.permit import Claim
from shared.ports.stores import StoredRemovals
from shared.ports.world import Stores
from tests.support.table_rows import BY_SALES, E3, E5, NOW, TEAMS, user

SCOPE = str(BY_SALES)
LATER = NOW + timedelta(minutes=5)


def due(number: int, sku: SkuId = E3) -> PendingRemoval:
    return PendingRemoval(Claim(BY_SALES, 3), user(number), sku, NOW, frozenset({TEAMS}))


async def rows(stores: Stores, scope: str = SCOPE) -> set[PendingRemoval]:
    return set((await stores.removals.load(scope)).rows)


async def test_a_removal_is_noted_once_and_keeps_its_decision(stores: Stores) -> None:
    removals = stores.removals
    assert await removals.load(SCOPE) == StoredRemovals(ScopeState(), None)
    await removals.note(SCOPE, [due(1), due(2)])
    allowed = replace(due(1), allowed_at=LATER)
    await removals.save(SCOPE, ScopeState(), None, [allowed])
    await removals.note(SCOPE, [due(1), due(3), due(3)])
    await removals.note(TENANT, [due(4)])
    assert await rows(stores) == {allowed, due(2), due(3)}


async def test_a_state_comes_back_whole_and_a_lost_race_is_told_and_decides_nothing(stores: Stores) -> None:
    missing = frozenset(user(number) for number in range(5000))
    hold, approvals = Hold(NOW, "Why.", HoldKind.RULE_LOST), frozenset({OperationId("a" * 32), OperationId("b" * 32)})
    state = ScopeState(hold, LATER, missing, approvals)
    await stores.removals.save(SCOPE, state, None)
    stored = await stores.removals.state(SCOPE)
    assert (stored.state, stored.rows) == (state, ())
    await stores.removals.save(SCOPE, ScopeState(), stored.etag)
    for etag in (stored.etag, None):
        with pytest.raises(Conflict):
            await stores.removals.save(SCOPE, state, etag, [replace(due(1), allowed_at=LATER)])
    assert await stores.removals.load(SCOPE) == replace(await stores.removals.state(SCOPE), rows=())


async def test_hundreds_of_removals_are_decided_at_once(stores: Stores) -> None:
    many = [replace(due(number), allowed_at=LATER) for number in range(250)]
    await stores.removals.save(SCOPE, ScopeState(), None, many)
    assert await rows(stores) == set(many)


async def test_only_undecided_rows_are_dropped_however_often_the_removal_was_seen(stores: Stores) -> None:
    allowed, again = replace(due(1), allowed_at=LATER), replace(due(1), since=LATER)
    await stores.removals.save(SCOPE, ScopeState(), None, [allowed])
    await stores.removals.note(SCOPE, [again, replace(again, since=NOW - timedelta(days=1)), due(1, E5), due(2)])
    await stores.removals.drop(SCOPE, [(user(1), E3), (user(9), E3)])
    assert await rows(stores) == {allowed, due(1, E5), due(2)}


async def test_old_rows_are_forgotten_but_for_those_held_for_the_tenant(stores: Stores) -> None:
    young = replace(due(2), since=LATER)
    for scope in (SCOPE, TENANT, HELD_BY_TENANT):
        await stores.removals.note(scope, [due(1), young])
        await stores.removals.save(scope, ScopeState(Hold(NOW, "Why.")), None)
    assert await stores.removals.forget(LATER) == 2
    assert [await rows(stores, scope) for scope in (SCOPE, TENANT)] == [{young}, {young}]
    assert await rows(stores, HELD_BY_TENANT) == {due(1), young}
    assert (await stores.removals.state(SCOPE)).state.hold is not None
