"""Hashes of the entries in `auditYYYYMM`, and table `auditdigest`: where the log of digests ends.

PartitionKey and RowKey `state`; `body`: a DigestState as a JSON array.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.adapters.tables.audit import fingerprints, rows_of
from shared.adapters.tables.audit_late import AuditLate
from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump
from shared.adapters.tables.rows import Op, Row
from shared.domain.audit_digest import HOUR, DigestState, Fingerprint
from shared.ports.audit_digests import LateEntries

TABLE = "auditdigest"
STATE = "state"


class TableAuditDigests:
    """Implements AuditDigestStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._late = AuditLate(tables)

    async def fingerprints(self, hour: datetime) -> AsyncIterator[Fingerprint]:
        async for row in _rows(self._tables, hour):
            for each in fingerprints(row):
                yield each

    async def late(self, before: datetime) -> tuple[LateEntries, ...]:
        return tuple(
            [
                LateEntries(key, marked_at, tuple(fingerprints(row)) if row is not None else None)
                async for key, marked_at, row in self._late.rows(before)
            ]
        )

    async def mark_late(self, hour: datetime, entries: Collection[Fingerprint], now: datetime) -> None:
        wanted = set(entries)
        rows = [each async for each in _rows(self._tables, hour)] if wanted else []
        found = [row for row in rows if wanted & set(fingerprints(row))]
        await self._late.mark(((hour, f"{hour:%Y%m}", row) for row in found), now)

    async def forget_late(self, keys: Iterable[str]) -> None:
        await self._late.forget(keys)

    async def state(self) -> DigestState | None:
        row = await self._tables.get(TABLE, STATE, STATE)
        if row is None:
            return None
        hour, digest, closed, offset, fault, *seen = json.loads(row["body"])
        return DigestState(datetime.fromisoformat(hour), digest, closed, offset, fault, row["etag"], *seen)

    async def save(self, state: DigestState) -> DigestState:
        body = dump([state.hour.isoformat(), state.digest, state.closed, state.offset, state.fault, state.seen])
        row = {"PartitionKey": STATE, "RowKey": STATE, "body": body}
        kind = "replace" if state.version else "create"
        return replace(state, version=await self._tables.write(TABLE, Op(kind, row, state.version)))


def _rows(tables: Tables, hour: datetime) -> AsyncIterator[Row]:
    """The rows of an hour."""
    return rows_of(tables, hour, hour + HOUR - timedelta(milliseconds=1))
