"""Small tables: `groupstatus`, `budget`, `idempotency`, `deadletters`.

`groupstatus`: `group` / groupId.
`budget`: `budget` / `writes`, `body` as the domain writes it. `idempotency`: first two hex digits of the key's hash
/ the hash; `operation`, `fingerprint`. `deadletters`: `letter` / inverted milliseconds and id; `data0`.. the message.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, must_be_time, newest_first, time_of, time_text
from shared.adapters.tables.rows import (
    MAX_TEXT,
    Op,
    Row,
    joined_body,
    joined_bytes,
    split_body,
    split_bytes,
)
from shared.domain.errors import Conflict
from shared.domain.model import GroupId, OperationId
from shared.domain.records import DeadLetter, GroupState, GroupStatus

STATUS = "groupstatus"
BUDGET = "budget"
IDEMPOTENCY = "idempotency"
DEAD_LETTERS = "deadletters"
MAX_LETTER = 600_000
"""Bytes of a dead letter's body that are kept: a message has at most 256 KB, a row 1 MiB."""


class TableGroupStatus:
    """Implements GroupStatusStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, group_id: GroupId) -> GroupStatus | None:
        row = await self._tables.get(STATUS, "group", group_id)
        return _status(row) if row else None

    async def save(self, status: GroupStatus) -> None:
        body = {
            "state": str(status.state),
            "members": status.members,
            "counts": dict(status.counts),
            "operation": status.operation_id,
            "at": time_text(status.updated_at),
            "removals": status.removals_today,
        }
        row = {"PartitionKey": "group", "RowKey": status.group_id, **split_body(dump(body))}
        await self._tables.write(STATUS, Op("upsert", row))

    async def all(self) -> tuple[GroupStatus, ...]:
        return tuple([_status(row) async for row in self._tables.query(STATUS, "group")])


def _status(row: Row) -> GroupStatus:
    body = json.loads(joined_body(row))
    return GroupStatus(
        GroupId(row["RowKey"]),
        GroupState(body["state"]),
        body["members"],
        body["counts"],
        OperationId(body["operation"]) if body["operation"] else None,
        time_of(body["at"]),
        body["removals"],
    )


class TableBudget:
    """Implements BudgetStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def load(self) -> tuple[str, str | None]:
        row = await self._tables.get(BUDGET, "budget", "writes")
        return (joined_body(row), row["etag"]) if row else ("", None)

    async def save(self, state: str, etag: str | None) -> str:
        row = {"PartitionKey": "budget", "RowKey": "writes", **split_body(state)}
        return await self._tables.write(BUDGET, Op("create" if etag is None else "replace", row, etag, counts=True))


class TableIdempotency:
    """Implements IdempotencyStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def claim(self, key: str, operation_id: OperationId, fingerprint: str) -> tuple[OperationId, str]:
        digest = hashlib.sha256(key.encode()).hexdigest()
        row = {"PartitionKey": digest[:2], "RowKey": digest, "operation": operation_id, "fingerprint": fingerprint}
        try:
            await self._tables.write(IDEMPOTENCY, Op("create", row))
        except Conflict:
            stored = await self._tables.get(IDEMPOTENCY, digest[:2], digest)
            if stored is None:
                raise
            return OperationId(stored["operation"]), stored["fingerprint"]
        return operation_id, fingerprint

    async def release(self, key: str, operation_id: OperationId) -> None:
        digest = hashlib.sha256(key.encode()).hexdigest()
        stored = await self._tables.get(IDEMPOTENCY, digest[:2], digest)
        if stored is not None and stored["operation"] == operation_id:
            await self._tables.delete(IDEMPOTENCY, digest[:2], digest)


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
