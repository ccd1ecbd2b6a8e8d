"""What falls due when: rows by day, so that the timer reads only what is due.

PartitionKey day (YYYYMMDD), RowKey `{ms since the epoch, 13 digits}-{name}`; which days have rows: PartitionKey `day`,
RowKey day. A day's row is written before the rows of the day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

from shared.adapters.tables.client import LAST, Tables
from shared.adapters.tables.rows import Op, Row, transactions

DAYS = "day"
TIME_DIGITS = 13


class Agenda:
    """Entries (time, name) in one table."""

    def __init__(self, tables: Tables, table: str) -> None:
        self._tables = tables
        self._table = table

    async def put(self, entries: Iterable[tuple[datetime, str]]) -> None:
        rows = [_row(at, name) for at, name in entries]
        if not rows:
            return
        days = {row["PartitionKey"] for row in rows}
        await self._tables.upsert_all(self._table, [{"PartitionKey": DAYS, "RowKey": day} for day in sorted(days)])
        await self._tables.upsert_all(self._table, rows)

    async def until(self, now: datetime, top: int) -> tuple[tuple[datetime, str], ...]:
        """What has fallen due, oldest first, at most `top`."""
        days = [row["RowKey"] async for row in self._tables.query(self._table, DAYS, "", _day(now))]
        found: list[tuple[datetime, str]] = []
        last = f"{_ms(now):0{TIME_DIGITS}d}{LAST}"
        for day in days:
            rows, _ = await self._tables.page(self._table, day, "", last, top - len(found), None)
            found += map(_entry, rows)
            if len(found) >= top:
                break
            if not rows and day < _day(now):
                await self._tables.delete(self._table, DAYS, day)
        return tuple(found)

    async def remove(self, entries: Iterable[tuple[datetime, str]]) -> None:
        """An entry that is not there is no error."""
        by_day: dict[str, list[Row]] = defaultdict(list)
        for at, name in entries:
            row = _row(at, name)
            if await self._tables.get(self._table, row["PartitionKey"], row["RowKey"]):
                by_day[row["PartitionKey"]].append(row)
        for rows in by_day.values():
            for ops in transactions([Op("delete", row)] for row in rows):
                await self._tables.transact(self._table, ops)


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
