"""Subscriptions, deltas and the map of nested groups against Azurite: they come back whole."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.tables.client import Tables
from shared.adapters.tables.subscriptions import TableSubscriptions
from shared.domain.delta_slices import DeltaSlice
from shared.domain.errors import Conflict
from shared.domain.membership_changes import Nesting
from shared.ports.membership_stores import StoredSubscription
from shared.ports.world import Stores
from tests.support.table_rows import NOW, SALES, STAFF


async def test_subscriptions_deltas_and_nesting_come_back_whole(stores: Stores, tables: Tables) -> None:
    made = await stores.subscriptions.save(StoredSubscription("key", "secret", NOW, NOW + timedelta(days=28)))
    with pytest.raises(Conflict):
        await stores.subscriptions.save(replace(made, etag=""))
    named = await stores.subscriptions.save(replace(made, id="sub-1", last_notification_at=NOW))
    with pytest.raises(Conflict):
        await stores.subscriptions.save(replace(made, id="sub-2"))
    assert await stores.subscriptions.all() == (named,)
    await stores.subscriptions.remove("key")
    assert await stores.subscriptions.all() == ()
    for rejected in (2, 3):
        await TableSubscriptions(tables).count_rejected("2026-03-04", rejected)
    assert (await stores.subscriptions.rejected("2026-03-04"), await stores.subscriptions.rejected("2026-03-05")) == (
        5,
        0,
    )

    slices = [DeltaSlice(number, (SALES, STAFF), "/groups/delta?$deltatoken=x", NOW) for number in (0, 11)]
    slices[1] = (
        slices[1].enumerating((SALES,), "/next").to_read([STAFF], NOW).enumeration_rejected("404", NOW, (STAFF,))
    )
    for each in slices:
        await stores.deltas.save(each)
    assert await stores.deltas.all() == tuple(slices)
    await stores.deltas.remove(0)
    assert (await stores.deltas.get(0), await stores.deltas.get(11)) == (None, slices[1])

    found = [Nesting(SALES, frozenset({STAFF}), NOW), Nesting(STAFF, frozenset(), NOW)]
    for nesting in found:
        await stores.nesting.save(nesting)
    assert set(await stores.nesting.all()) == set(found)
    await stores.nesting.remove(STAFF)
    assert await stores.nesting.all() == (found[0],)
