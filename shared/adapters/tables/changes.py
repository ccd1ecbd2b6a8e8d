"""Tables `graphsubscriptions`, `deltas`, `nesting` and `due`: what is kept to hear of changes and to act on time.

`graphsubscriptions`: PartitionKey `subscription`, RowKey our key; `body` JSON. Notifications that were refused:
PartitionKey `refused`, RowKey day; `count`. `deltas`: PartitionKey `delta`, RowKey slice as 4 digits; `body` JSON.
`nesting`: PartitionKey `nesting`, RowKey groupId; `ids0`.. (16 bytes a group), `readAt`. `due`: see `agenda`; the name
is `{userId}-{skuId}`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from shared.adapters.tables.agenda import Agenda
from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, must_be_time, pack_ids, time_of, time_text, unpack_ids
from shared.adapters.tables.rows import Op, Row, joined_body, joined_bytes, split_body, split_bytes
from shared.domain.changes import Nesting
from shared.domain.errors import Conflict
from shared.domain.model import GroupId, SkuId, UserId
from shared.ports import DeltaSlice, Due, StoredSubscription

SUBSCRIPTIONS, DELTAS, NESTING, DUE = "graphsubscriptions", "deltas", "nesting", "due"
REFUSED = "refused"
ID_LENGTH = 36
MAX_TRIES = 5


class TableSubscriptions:
    """Implements SubscriptionStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._known: tuple[float, tuple[StoredSubscription, ...]] | None = None

    async def all(self, max_age_s: float = 0.0) -> tuple[StoredSubscription, ...]:
        known = self._known
        if known is None or self._monotonic() - known[0] >= max_age_s:
            found = tuple([_subscription(row) async for row in self._tables.query(SUBSCRIPTIONS, "subscription")])
            known = self._known = (self._monotonic(), found)
        return known[1]

    async def save(self, subscription: StoredSubscription) -> StoredSubscription:
        kind = "replace" if subscription.etag else "create"
        op = Op(kind, _subscription_row(subscription), subscription.etag or None)
        saved = replace(subscription, etag=await self._tables.write(SUBSCRIPTIONS, op))
        self._known = None
        return saved

    async def remove(self, key: str) -> None:
        await self._tables.delete(SUBSCRIPTIONS, "subscription", key)
        self._known = None

    async def count_refused(self, day: str, refused: int) -> None:
        for _ in range(MAX_TRIES):
            row = await self._tables.get(SUBSCRIPTIONS, REFUSED, day)
            count = refused + (row["count"] if row else 0)
            changed = {"PartitionKey": REFUSED, "RowKey": day, "count": count}
            op = Op("replace" if row else "create", changed, row["etag"] if row else None, counts=True)
            try:
                await self._tables.write(SUBSCRIPTIONS, op)
            except Conflict:
                continue
            return

    async def refused(self, day: str) -> int:
        row = await self._tables.get(SUBSCRIPTIONS, REFUSED, day)
        return int(row["count"]) if row else 0


def _subscription_row(subscription: StoredSubscription) -> Row:
    body = {
        "clientState": subscription.client_state,
        "createdAt": time_text(subscription.created_at),
        "expiresAt": time_text(subscription.expires_at),
        "id": subscription.id,
        "url": subscription.notification_url,
        "lastAt": time_text(subscription.last_notification_at),
    }
    return {"PartitionKey": "subscription", "RowKey": subscription.key, **split_body(dump(body))}


def _subscription(row: Row) -> StoredSubscription:
    body = json.loads(joined_body(row))
    return StoredSubscription(
        key=row["RowKey"],
        client_state=body["clientState"],
        created_at=must_be_time(body["createdAt"]),
        expires_at=must_be_time(body["expiresAt"]),
        id=body["id"],
        notification_url=body["url"],
        last_notification_at=time_of(body["lastAt"]),
        etag=row["etag"],
    )


class TableDeltas:
    """Implements DeltaStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def all(self) -> tuple[DeltaSlice, ...]:
        return tuple([_slice(row) async for row in self._tables.query(DELTAS, "delta")])

    async def get(self, number: int) -> DeltaSlice | None:
        row = await self._tables.get(DELTAS, "delta", f"{number:04d}")
        return _slice(row) if row else None

    async def save(self, slice: DeltaSlice) -> None:
        body = {"groups": list(slice.group_ids), "link": slice.link, "readAt": time_text(slice.read_at)}
        row = {"PartitionKey": "delta", "RowKey": f"{slice.number:04d}", **split_body(dump(body))}
        await self._tables.write(DELTAS, Op("upsert", row))

    async def remove(self, number: int) -> None:
        await self._tables.delete(DELTAS, "delta", f"{number:04d}")


def _slice(row: Row) -> DeltaSlice:
    body = json.loads(joined_body(row))
    groups = tuple(GroupId(group_id) for group_id in body["groups"])
    return DeltaSlice(int(row["RowKey"]), groups, body["link"], must_be_time(body["readAt"]))


class TableNesting:
    """Implements NestingStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._known: tuple[float, tuple[Nesting, ...]] | None = None

    async def all(self, max_age_s: float = 0.0) -> tuple[Nesting, ...]:
        known = self._known
        if known is None or self._monotonic() - known[0] >= max_age_s:
            found = tuple([_nesting(row) async for row in self._tables.query(NESTING, "nesting")])
            known = self._known = (self._monotonic(), found)
        return known[1]

    async def save(self, nesting: Nesting) -> None:
        row = {
            "PartitionKey": "nesting",
            "RowKey": nesting.group_id,
            "readAt": time_text(nesting.read_at),
            **split_bytes("ids", pack_ids(sorted(map(UserId, nesting.nested)))),
        }
        await self._tables.write(NESTING, Op("upsert", row))
        self._known = None

    async def remove(self, group_id: GroupId) -> None:
        await self._tables.delete(NESTING, "nesting", group_id)
        self._known = None


def _nesting(row: Row) -> Nesting:
    nested = frozenset(map(GroupId, unpack_ids(joined_bytes(row, "ids"))))
    return Nesting(GroupId(row["RowKey"]), nested, must_be_time(row["readAt"]))


class TableDue:
    """Implements DueStore."""

    def __init__(self, tables: Tables) -> None:
        self._agenda = Agenda(tables, DUE)

    async def put(self, entries: Iterable[Due]) -> None:
        await self._agenda.put(map(_due_entry, entries))

    async def until(self, now: datetime, top: int) -> tuple[Due, ...]:
        return tuple(
            Due(at, UserId(name[:ID_LENGTH]), SkuId(name[ID_LENGTH + 1 :]))
            for at, name in await self._agenda.until(now, top)
        )

    async def remove(self, entries: Iterable[Due]) -> None:
        await self._agenda.remove(map(_due_entry, entries))


def _due_entry(entry: Due) -> tuple[datetime, str]:
    return entry.at, f"{entry.user_id}-{entry.sku_id}"
