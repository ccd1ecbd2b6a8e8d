"""Table `deadletters`: messages that could not be processed.

PartitionKey `letter`, RowKey inverted milliseconds and id; `data0`.. the message.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import must_be_time, newest_first, time_text
from shared.adapters.tables.rows import MAX_TEXT, Op, Row, joined_bytes, split_bytes
from shared.domain.read_models import DeadLetter

DEAD_LETTERS = "deadletters"
MAX_LETTER = 600_000
"""Bytes of a dead letter's body that are kept: a message has at most 256 KB, a row 1 MiB."""


class TableDeadLetters:
    """Implements DeadLetterStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def keep(self, letter: DeadLetter) -> None:
        row = {
            "PartitionKey": "letter",
            "RowKey": newest_first(letter.at, letter.id),
            "queue": letter.queue,
            "reason": letter.reason[:MAX_TEXT],
            "at": time_text(letter.at),
            "id": letter.id,
            "size": len(letter.body),
            **split_bytes("data", letter.body[:MAX_LETTER]),
        }
        await self._tables.write(DEAD_LETTERS, Op("upsert", row))

    async def newest(self, top: int) -> tuple[DeadLetter, ...]:
        rows, _ = await self._tables.page(DEAD_LETTERS, "letter", "", "~", top, None)
        return tuple(map(_letter, rows))

    async def get(self, letter_id: str) -> DeadLetter | None:
        async for row in self._tables.query(DEAD_LETTERS, "letter"):
            if row["id"] == letter_id:
                return _letter(row)
        return None

    async def remove(self, letter: DeadLetter) -> None:
        await self._tables.delete(DEAD_LETTERS, "letter", newest_first(letter.at, letter.id))

    async def forget(self, kept_before: datetime) -> int:
        first = newest_first(kept_before - timedelta(milliseconds=1), "")
        return await self._tables.clear(DEAD_LETTERS, "letter", first)


def _letter(row: Row) -> DeadLetter:
    body, at = joined_bytes(row, "data"), must_be_time(row["at"])
    return DeadLetter(row["id"], row["queue"], body, row["reason"], at, whole=row["size"] == len(body))
