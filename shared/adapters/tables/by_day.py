"""Due times: rows by day, so that the timer reads only due rows.

PartitionKey day (YYYYMMDD), RowKey `{ms since the epoch, 13 digits}-{name}`; which days have rows: PartitionKey `day`,
RowKey day. A day's row is written before the rows of the day and deleted only after the next one. So rows are found
even if their writer remembers an older state.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.rows import Op, Row, transactions
from shared.domain.errors import NotFound

DAYS = "day"
TIME_DIGITS = 13
REMEMBERED_S = 60.0
"""How long a day's row that this process wrote is taken to be there."""


class Agenda:
    """Entries (time, name) in one table."""

    def __init__(self, tables: Tables, table: str) -> None:
        self._tables = tables
        self._table = table
        self._days: dict[str, float] = {}

    async def put(self, entries: Iterable[tuple[datetime, str]]) -> None:
        rows = [_row(at, name) for at, name in entries]
        if not rows:
            return
        began = time.monotonic()
        self._days = {day: at for day, at in self._days.items() if began - at < REMEMBERED_S}
        days = {row["PartitionKey"] for row in rows} - self._days.keys()
        await self._tables.upsert_all(self._table, [{"PartitionKey": DAYS, "RowKey": day} for day in sorted(days)])
        self._days.update(dict.fromkeys(days, began))
        await self._tables.upsert_all(self._table, rows)

    async def until(self, now: datetime, top: int) -> tuple[tuple[datetime, str], ...]:
        """Due names with their times, oldest first, at most `top`."""
        days = [row["RowKey"] async for row in self._tables.query(self._table, DAYS, "", _day(now))]
        found: list[tuple[datetime, str]] = []
        last = f"{_ms(now):0{TIME_DIGITS}d}{LAST}"
        for day in days:
            rows, _ = await self._tables.page(self._table, day, "", last, top - len(found), None)
            found += map(_entry, rows)
            if len(found) >= top:
                break
            if not rows and day < _day(now - timedelta(days=1)):
                self._days.pop(day, None)
                await self._tables.delete(self._table, DAYS, day)
        return tuple(found)

    async def ahead(self, until: datetime) -> tuple[tuple[datetime, str], ...]:
        """All names up to a time with their times, oldest first. Days without rows stay listed: of a day that is still
        to come, a writer may have remembered the row."""
        days = [row["RowKey"] async for row in self._tables.query(self._table, DAYS, "", _day(until))]
        last = f"{_ms(until):0{TIME_DIGITS}d}{LAST}"
        return tuple([_entry(row) for day in days async for row in self._tables.query(self._table, day, "", last)])

    async def remove(self, entries: Iterable[tuple[datetime, str]]) -> None:
        """An entry that is not there is no error."""
        by_day: dict[str, dict[str, Row]] = defaultdict(dict)
        for at, name in entries:
            row = _row(at, name)
            by_day[row["PartitionKey"]][row["RowKey"]] = row
        for rows in by_day.values():
            for ops in transactions([Op("delete", row)] for row in rows.values()):
                await self._delete(ops)

    async def _delete(self, ops: list[Op]) -> None:
        try:
            await self._tables.transact(self._table, ops)
        except NotFound:  # one of them is gone already, and none was deleted
            for op in ops:
                await self._tables.delete(self._table, op.row["PartitionKey"], op.row["RowKey"])


def _day(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%d")


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _row(at: datetime, name: str) -> Row:
    return {"PartitionKey": _day(at), "RowKey": f"{_ms(at):0{TIME_DIGITS}d}-{name}"}


def _entry(row: Row) -> tuple[datetime, str]:
    key = row["RowKey"]
    at = datetime.fromtimestamp(int(key[:TIME_DIGITS]) / 1000, tz=UTC)
    return at, key[TIME_DIGITS + 1 :]
