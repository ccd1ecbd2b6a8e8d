"""Tables people read, and the small ones: `groupstatus`, `auditYYYYMM`, `budget`, `idempotency`, `deadletters`.

`groupstatus`: `group` / groupId. `auditYYYYMM`: `{YYYYMMDD}-{hex digit}` / inverted milliseconds of the first entry
and a hash of all ids; `entries0`.. (zlib-compressed JSON list of entries).
`budget`: `budget` / `writes`, `body` as the domain writes it. `idempotency`: first two hex digits of the key's hash
/ the hash; `operation`, `fingerprint`. `deadletters`: `letter` / inverted milliseconds and id; `data0`.. the message.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from shared.adapters.tables.client import LAST, Tables, gather_limited
from shared.adapters.tables.packing import dump, must_be_time, time_of, time_text
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
from shared.domain.model import GroupId, OperationId, UserId
from shared.domain.records import AuditEntry, DeadLetter, GroupState, GroupStatus

STATUS = "groupstatus"
BUDGET = "budget"
IDEMPOTENCY = "idempotency"
DEAD_LETTERS = "deadletters"
END_OF_TIME_MS = 9_999_999_999_999
HEX = "0123456789abcdef"
QUERIES_AT_ONCE = 8
PACKED = 20
"""Audit entries a row holds at most: those of a chunk are one row, since each row costs the client much CPU. A row is
named by all its entries, so none overwrites another; reading drops entries that a repeat recorded again."""
MAX_LETTER = 600_000
"""Bytes of a dead letter's body that are kept: a message has at most 256 KB, a row 1 MiB."""


def newest_first(at: datetime, key: str) -> str:
    """A row key that sorts newer rows first."""
    return f"{END_OF_TIME_MS - int(at.timestamp() * 1000):013d}-{key}"


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


class TableAudit:
    """Implements AuditLog."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def append(self, entries: Iterable[AuditEntry]) -> None:
        by_day: dict[str, list[AuditEntry]] = defaultdict(list)
        for entry in sorted(entries, key=lambda each: (each.at, each.id)):
            by_day[f"{entry.at.astimezone(UTC):%Y%m%d}"].append(entry)
        for day, of_day in by_day.items():
            rows = [_audit_row(day, of_day[at : at + PACKED]) for at in range(0, len(of_day), PACKED)]
            await self._tables.upsert_all(f"audit{day[:6]}", rows)

    async def newest(self, top: int, month: str | None = None) -> tuple[AuditEntry, ...]:
        now = datetime.now(UTC)
        table = f"audit{month or now.strftime('%Y%m')}"
        last_day = now if month in (None, now.strftime("%Y%m")) else _end_of(month or "")
        found: list[AuditEntry] = []
        for back in range(last_day.day):
            day = f"{last_day - timedelta(days=back):%Y%m%d}"
            calls = [partial(self._tables.page, table, f"{day}-{digit}", "", LAST, top, None) for digit in HEX]
            for rows, _ in await gather_limited(calls, QUERIES_AT_ONCE):
                found += [entry for row in rows for entry in _audit(row)]
            if len(found) >= top:
                break
        once = {entry.id: entry for entry in found}
        return tuple(sorted(once.values(), key=lambda entry: (entry.at, entry.id), reverse=True)[:top])

    async def forget(self, months: Iterable[str]) -> None:
        for month in months:
            await self._tables.drop(f"audit{month}")

    async def of_day(self, day: str) -> tuple[AuditEntry, ...]:
        found: dict[str, AuditEntry] = {}
        for digit in HEX:
            async for row in self._tables.query(f"audit{day[:6]}", f"{day}-{digit}"):
                found.update((entry.id, entry) for entry in _audit(row))
        return tuple(sorted(found.values(), key=lambda entry: (entry.at, entry.id), reverse=True))


def _end_of(month: str) -> datetime:
    first = datetime.strptime(month, "%Y%m").replace(tzinfo=UTC)
    return (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def _audit_row(day: str, entries: Sequence[AuditEntry]) -> Row:
    first = entries[0]
    name = hashlib.sha256(",".join(entry.id for entry in entries).encode()).hexdigest()[:24]
    body = zlib.compress(dump([_entry_json(entry) for entry in entries]).encode())
    key = newest_first(first.at, name)
    return {"PartitionKey": f"{day}-{name[0]}", "RowKey": key, **split_bytes("entries", body)}


def _entry_json(entry: AuditEntry) -> list[str | None]:
    return [
        entry.id,
        time_text(entry.at),
        entry.activity,
        entry.actor,
        entry.result,
        entry.user_id,
        entry.group_id,
        entry.operation_id,
        entry.before,
        entry.after,
        entry.detail,
    ]


def _audit(row: Row) -> list[AuditEntry]:
    found = []
    for entry_id, at, activity, actor, result, user, group, operation, before, after, detail in json.loads(
        zlib.decompress(joined_bytes(row, "entries"))
    ):
        found.append(
            AuditEntry(
                id=entry_id,
                at=must_be_time(at),
                activity=activity,
                actor=actor,
                result=result,
                user_id=UserId(user) if user else None,
                group_id=GroupId(group) if group else None,
                operation_id=OperationId(operation) if operation else None,
                before=before,
                after=after,
                detail=detail,
            )
        )
    return found


class TableBudget:
    """Implements BudgetStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def load(self) -> tuple[str, str | None]:
        row = await self._tables.get(BUDGET, "budget", "writes")
        return (joined_body(row), row["etag"]) if row else ("", None)

    async def save(self, state: str, etag: str | None) -> str:
        row = {"PartitionKey": "budget", "RowKey": "writes", **split_body(state)}
        return await self._tables.write(BUDGET, Op("create" if etag is None else "replace", row, etag))


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


def _letter(row: Row) -> DeadLetter:
    body, at = joined_bytes(row, "data"), must_be_time(row["at"])
    return DeadLetter(row["id"], row["queue"], body, row["reason"], at, whole=row["size"] == len(body))
