"""Tables `graphsubscriptions`, `deltas`, `nesting` and `due`: what is kept to hear of changes and to act on time.

`graphsubscriptions`: PartitionKey `subscription`, RowKey our key; `body` JSON. Notifications that were refused:
PartitionKey `refused`, RowKey day; `count`. `deltas`: PartitionKey `delta`, RowKey slice as 4 digits; `body` JSON.
`nesting`: PartitionKey `nesting`, RowKey groupId; `ids0`.. (16 bytes a group), `readAt`. `due`: PartitionKey day
(YYYYMMDD), RowKey `{ms since the epoch, 13 digits}-{userId}-{skuId}`; which days have rows: PartitionKey `day`, RowKey
day.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.packing import dump, must_be_time, pack_ids, time_of, time_text, unpack_ids
from shared.adapters.tables.rows import Op, Row, joined_body, joined_bytes, split_body, split_bytes, transactions
from shared.domain.changes import Nesting
from shared.domain.errors import Conflict
from shared.domain.model import GroupId, SkuId, UserId
from shared.ports import DeltaSlice, Due, StoredSubscription

SUBSCRIPTIONS, DELTAS, NESTING, DUE = "graphsubscriptions", "deltas", "nesting", "due"
REFUSED, DAYS = "refused", "day"
TIME_DIGITS = 13
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
            op = Op("replace", changed, row["etag"]) if row else Op("create", changed)
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
        self._tables = tables

    async def put(self, entries: Iterable[Due]) -> None:
        rows = [_due_row(entry) for entry in entries]
        if not rows:
            return
        days = {row["PartitionKey"] for row in rows}
        await self._tables.upsert_all(DUE, [{"PartitionKey": DAYS, "RowKey": day} for day in sorted(days)])
        await self._tables.upsert_all(DUE, rows)

    async def until(self, now: datetime, top: int) -> tuple[Due, ...]:
        days = [row["RowKey"] async for row in self._tables.query(DUE, DAYS, "", _day(now))]
        found: list[Due] = []
        last = f"{_ms(now):0{TIME_DIGITS}d}{LAST}"
        for day in days:
            rows, _ = await self._tables.page(DUE, day, "", last, top - len(found), None)
            found += map(_due, rows)
            if len(found) >= top:
                break
            if not rows and day < _day(now):
                await self._tables.delete(DUE, DAYS, day)
        return tuple(found)

    async def remove(self, entries: Iterable[Due]) -> None:
        by_day: dict[str, list[Row]] = defaultdict(list)
        for entry in entries:
            row = _due_row(entry)
            if await self._tables.get(DUE, row["PartitionKey"], row["RowKey"]):
                by_day[row["PartitionKey"]].append(row)
        for rows in by_day.values():
            for ops in transactions([Op("delete", row)] for row in rows):
                await self._tables.transact(DUE, ops)


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _due_row(entry: Due) -> Row:
    key = f"{_ms(entry.at):0{TIME_DIGITS}d}-{entry.user_id}-{entry.sku_id}"
    return {"PartitionKey": _day(entry.at), "RowKey": key}


def _due(row: Row) -> Due:
    key = row["RowKey"]
    at = datetime.fromtimestamp(int(key[:TIME_DIGITS]) / 1000, tz=UTC)
    rest = key[TIME_DIGITS + 1 :]
    return Due(at, UserId(rest[:ID_LENGTH]), SkuId(rest[ID_LENGTH + 1 :]))
