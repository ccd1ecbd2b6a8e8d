"""The record of the app's health against Azurite."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from shared.domain.canary import Canary
from shared.domain.health_record import HealthRecord
from shared.ports.world import Stores

AT = datetime(2026, 11, 30, 8, 15, tzinfo=UTC)


async def test_a_record_comes_back_whole(stores: Stores) -> None:
    assert await stores.health.load() == HealthRecord()
    kept = HealthRecord(AT, Canary(AT, True, AT, AT, "403 Forbidden"), AT)
    assert await stores.health.change(lambda _: kept) == kept
    assert await stores.health.load() == kept


async def test_changes_side_by_side_lose_nothing(stores: Stores) -> None:
    await asyncio.gather(
        stores.health.change(lambda known: replace(known, synced_at=AT)),
        stores.health.change(lambda known: replace(known, first_day_done_at=AT)),
        stores.health.change(lambda known: replace(known, canary=known.canary.changed(AT, is_member=True))),
    )
    assert await stores.health.load() == HealthRecord(AT, Canary(AT, is_member=True), AT)
