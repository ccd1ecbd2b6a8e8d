"""Erasable data of the audit log, stored apart from its entries: names, claimed identities, messages of replays.

Table `auditnames`: PartitionKey `name`, RowKey an object ID; or PartitionKey `claimYYYYMM`, RowKey the id of an
operation or entry. `text`: the name, or the identity that a message claimed.
Table `auditpayloads`: PartitionKey `payload`, RowKey the entry's id; `at`, `original0`.., and `corrected0`.. if a
person corrected the message.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from shared.adapters.tables.client import Tables, gather_limited
from shared.adapters.tables.packing import must_be_time, time_text
from shared.adapters.tables.rows import Op, Row, joined_bytes, split_bytes
from shared.domain.read_models import AuditEntry, ReplayedMessage

NAMES, PAYLOADS = "auditnames", "auditpayloads"
NAME, PAYLOAD = "name", "payload"
REMEMBERED = 2000
"""Texts that a process remembers to have written, so that a chunk of users costs no further write."""

READ_AT_ONCE = 8

Key = tuple[str, str]


def claim_place(entry: AuditEntry) -> Key:
    """Where the identity stands that an entry's message claimed: once for all entries of an operation in a month."""
    return f"claim{entry.at.astimezone(UTC):%Y%m}", str(entry.operation_id or entry.id)


class AuditNames:
    """Names of initiators, claims, and messages of replays."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._written: dict[Key, str] = {}

    async def keep(self, entries: Iterable[AuditEntry]) -> None:
        """Store the names and claims of entries; what this process has stored before is not written again."""
        texts: dict[Key, str] = {}
        for entry in entries:
            by = entry.initiator
            if by.id:
                texts[NAME, by.id] = by.display_name
            if by.claimed_by:
                texts[claim_place(entry)] = by.claimed_by
        new = {key: text for key, text in texts.items() if self._written.get(key) != text}
        rows = [{"PartitionKey": partition, "RowKey": key, "text": text} for (partition, key), text in new.items()]
        await self._tables.upsert_all(NAMES, rows)
        if len(self._written) > REMEMBERED:
            self._written.clear()
        self._written.update(new)

    async def of(self, entries: Iterable[AuditEntry]) -> Mapping[Key, str]:
        """The texts that some entries need, read one by one."""
        wanted = dict.fromkeys(key for entry in entries for key in _needed(entry))
        rows = await gather_limited([partial(self._tables.get, NAMES, *key) for key in wanted], READ_AT_ONCE)
        return {key: str(row["text"]) for key, row in zip(wanted, rows, strict=True) if row is not None}

    async def all(self, partition: str) -> Mapping[Key, str]:
        """Every text of a partition."""
        return {(partition, row["RowKey"]): str(row["text"]) async for row in self._tables.query(NAMES, partition)}

    async def keep_message(self, entry_id: str, at: datetime, message: ReplayedMessage) -> None:
        row = {"PartitionKey": PAYLOAD, "RowKey": entry_id, "at": time_text(at)}
        for name, body in (("original", message.original), ("corrected", message.corrected)):
            row |= split_bytes(name, zlib.compress(body)) if body is not None else {}
        await self._tables.write(PAYLOADS, Op("upsert", row))

    async def message(self, entry_id: str) -> ReplayedMessage | None:
        row = await self._tables.get(PAYLOADS, PAYLOAD, entry_id)
        return _message(row) if row is not None else None

    async def forget(self, months: Iterable[str]) -> None:
        """Delete the claims of whole months."""
        for month in months:
            await self._tables.clear(NAMES, f"claim{month}")

    async def forget_messages(self, before: datetime) -> int:
        return await self._tables.clear(PAYLOADS, PAYLOAD, where=lambda row: must_be_time(row["at"]) < before)


def joined(entry: AuditEntry, texts: Mapping[Key, str]) -> AuditEntry:
    """The entry with names and claim as they are stored; what was erased is left out."""
    by = entry.initiator
    name = texts.get((NAME, by.id), by.id) if by.id else by.display_name
    claim = texts.get(claim_place(entry), "") if by.claimed_by else ""
    return replace(entry, initiator=replace(by, display_name=name, claimed_by=claim))


def _needed(entry: AuditEntry) -> list[Key]:
    by = entry.initiator
    return [*([(NAME, by.id)] if by.id else []), *([claim_place(entry)] if by.claimed_by else [])]


def _message(row: Row) -> ReplayedMessage:
    original, corrected = joined_bytes(row, "original"), joined_bytes(row, "corrected")
    return ReplayedMessage(zlib.decompress(original), zlib.decompress(corrected) if corrected else None)
