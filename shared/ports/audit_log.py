"""The audit log: who did what to whom."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from shared.domain.read_models import AuditEntry, AuditFilter, ReplayedMessage


class AuditLog(Protocol):
    async def append(self, entries: Iterable[AuditEntry]) -> None:
        """Upsert by id and time: recording an entry again changes nothing."""
        ...

    async def search(
        self, wanted: AuditFilter, since: datetime, until: datetime, top: int, after: str | None = None
    ) -> tuple[tuple[AuditEntry, ...], str | None]:
        """At most `top` entries from `since` to `until` that pass, newest first, and what to go on `after`, None at the
        end. Fewer than `top` may come although more follow, where few of very many entries pass. Raises BadRequest for
        an `after` that is from no earlier answer."""
        ...

    async def forget(self, months: Iterable[str]) -> None:
        """Delete all entries of months (YYYYMM), with the identities that their messages claimed."""
        ...

    async def keep_message(self, entry_id: str, at: datetime, message: ReplayedMessage) -> None:
        """Keep the message of a replay apart from its entry."""
        ...

    async def message(self, entry_id: str) -> ReplayedMessage | None: ...

    async def forget_messages(self, before: datetime) -> int:
        """Delete messages of replays before a time; returns how many."""
        ...
