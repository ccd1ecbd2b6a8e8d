"""Table `auditlate`: rows of the audit log that were written after the hour of their time.

PartitionKey `late`, RowKey the milliseconds of writing and the row's key; `partition`, `month`: where the row is. The
mark is written before the row, so that no late row is without one. It stays until a record lists the row, or for a day
if no row follows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

from shared.adapters.tables.client import Tables
from shared.adapters.tables.rows import Row
from shared.domain.audit_digest import hour_of

LATE = "auditlate"
MARK = "late"


def _key(at: datetime) -> str:
    return f"{int(at.timestamp() * 1000):013d}"


class AuditLate:
    """The marks."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def mark(self, rows: Iterable[tuple[datetime, str, Row]], now: datetime) -> None:
        """Mark those of the rows whose time is before this hour. `rows`: time of the first entry, month, row."""
        await self._tables.upsert_all(
            LATE,
            [
                {
                    "PartitionKey": MARK,
                    "RowKey": f"{_key(now)}-{row['RowKey']}",
                    "month": month,
                    "partition": row["PartitionKey"],
                }
                for at, month, row in rows
                if hour_of(at) < hour_of(now)
            ],
        )

    async def rows(self, before: datetime) -> AsyncIterator[tuple[str, datetime, Row | None]]:
        """Keys of marks made before a time, each with the time when it was made, and its row if that was written."""
        async for mark in self._tables.query(LATE, MARK, "", _key(before)):
            key = str(mark["RowKey"])
            marked, _, row_key = key.partition("-")
            yield (
                key,
                datetime.fromtimestamp(int(marked) / 1000, UTC),
                await self._tables.get(f"audit{mark['month']}", mark["partition"], row_key),
            )

    async def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            await self._tables.delete(LATE, MARK, key)
