"""Table `waiting`: waiting users of each product, in the order in which available licenses are assigned.

PartitionKey skuId, RowKey `{microseconds since the epoch, 16 digits}-{userId}`, as exact as the ledger's times. The
products that have a queue: PartitionKey `sku`, RowKey skuId. The ledger row of a user has the time since which the user
waits; this is its index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from shared.adapters.shared_read import SharedRead
from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.rows import Row
from shared.domain.ids import SkuId, UserId
from shared.ports.stores import InLine

WAITING = "waiting"
LINES = "sku"
TIME_DIGITS = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class TableWaiting:
    """Implements WaitingStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._lines = SharedRead(self._read_lines, monotonic)

    async def lines(self, max_age_s: float) -> frozenset[SkuId]:
        return await self._lines.get(max_age_s)

    async def _read_lines(self) -> frozenset[SkuId]:
        return frozenset([SkuId(row["RowKey"]) async for row in self._tables.query(WAITING, LINES)])

    async def first(self, sku_id: SkuId, top: int) -> tuple[InLine, ...]:
        rows, _ = await self._tables.page(WAITING, sku_id, "", LAST, top, None)
        return tuple(_in_line(row) for row in rows)

    async def count(self, sku_id: SkuId, most: int) -> int:
        users = set[str]()
        async for row in self._tables.query(WAITING, sku_id, select=("RowKey",)):
            users.add(row["RowKey"][TIME_DIGITS + 1 :])
            if len(users) == most:
                break
        return len(users)

    async def join(self, entries: Iterable[InLine]) -> None:
        joining = list(entries)
        if not joining:
            return
        await self._tables.upsert_all(WAITING, [_row(entry) for entry in joining])
        lines = {entry.sku_id for entry in joining}
        await self._tables.upsert_all(WAITING, [{"PartitionKey": LINES, "RowKey": sku_id} for sku_id in sorted(lines)])
        self._lines.forget()

    async def leave(self, entries: Iterable[InLine]) -> None:
        for entry in entries:
            await self._tables.delete(WAITING, entry.sku_id, _key(entry))

    async def close(self, sku_id: SkuId) -> None:
        await self._tables.delete(WAITING, LINES, sku_id)
        self._lines.forget()
        if await self.first(sku_id, 1):
            await self._tables.upsert_all(WAITING, [{"PartitionKey": LINES, "RowKey": sku_id}])


def _key(entry: InLine) -> str:
    return f"{(entry.since - EPOCH) // MICROSECOND:0{TIME_DIGITS}d}-{entry.user_id}"


def _row(entry: InLine) -> Row:
    return {"PartitionKey": entry.sku_id, "RowKey": _key(entry)}


def _in_line(row: Row) -> InLine:
    key = row["RowKey"]
    since = EPOCH + int(key[:TIME_DIGITS]) * MICROSECOND
    return InLine(SkuId(row["PartitionKey"]), UserId(key[TIME_DIGITS + 1 :]), since)
