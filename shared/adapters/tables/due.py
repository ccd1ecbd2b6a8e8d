"""Table `due`: users to reconcile when a grant ends, by time.

Rows as in `by_day`; the name is `{userId}-{skuId}`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shared.adapters.tables.by_day import Agenda
from shared.adapters.tables.client import Tables
from shared.domain.ids import SkuId, UserId
from shared.ports.membership_stores import Due

DUE = "due"


ID_LENGTH = 36


class TableDue:
    """Implements DueStore."""

    def __init__(self, tables: Tables) -> None:
        self._agenda = Agenda(tables, DUE)

    async def put(self, entries: Iterable[Due]) -> None:
        await self._agenda.put(map(_due_entry, entries))

    async def until(self, now: datetime, top: int) -> tuple[Due, ...]:
        return tuple(
            Due(at, UserId(name[:ID_LENGTH]), SkuId(name[ID_LENGTH + 1 :]))
            for at, name in await self._agenda.until(now, top)
        )

    async def remove(self, entries: Iterable[Due]) -> None:
        await self._agenda.remove(map(_due_entry, entries))


def _due_entry(entry: Due) -> tuple[datetime, str]:
    return entry.at, f"{entry.user_id}-{entry.sku_id}"
