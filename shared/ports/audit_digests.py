"""What proves the audit log: hashes of its entries, the log of digests, and where that ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.audit_digest import DigestState, Fingerprint


class DigestLog(Protocol):
    """Blobs that can only be appended to."""

    async def read(self, name: str, start: int = 0) -> bytes | None:
        """A blob from a byte on; None if there is no such blob. Raises Unavailable."""
        ...

    async def append(self, name: str, data: bytes, position: int) -> None:
        """Append to a blob that is `position` bytes long; 0 creates it. Raises Conflict if it has another length,
        Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class LateEntries:
    """Entries of one row that was written after the hour of their time. `key`: of the mark, for `forget_late`.
    `entries`: None while the row is not there, because the mark is written first."""

    key: str
    marked_at: datetime
    entries: tuple[Fingerprint, ...] | None


class AuditDigestStore(Protocol):
    """Hashes of stored entries, and the state of the log."""

    def fingerprints(self, hour: datetime) -> AsyncIterator[Fingerprint]:
        """Of every entry whose time is in the hour."""
        ...

    async def late(self, before: datetime) -> tuple[LateEntries, ...]:
        """Rows that were written late and before a time, and that no record lists for certain."""
        ...

    async def mark_late(self, hour: datetime, entries: Collection[Fingerprint], now: datetime) -> None:
        """Mark the rows of an hour that have one of the entries as written late at `now`, so that the next record lists
        them."""
        ...

    async def forget_late(self, keys: Iterable[str]) -> None: ...

    async def state(self) -> DigestState | None: ...

    async def save(self, state: DigestState) -> DigestState:
        """Raises Conflict if another process was quicker."""
        ...
