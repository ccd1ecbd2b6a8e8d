"""Table `nesting`: the groups inside each managed group.

PartitionKey `nesting`, RowKey groupId; `ids0`.. (16 bytes a group), `readAt`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import must_be_time, pack_ids, time_text, unpack_ids
from shared.adapters.tables.rows import Op, Row, joined_bytes, split_bytes
from shared.domain.ids import GroupId, UserId
from shared.domain.membership_changes import Nesting

NESTING = "nesting"


class TableNesting:
    """Implements NestingStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._monotonic = monotonic
        self._known: tuple[float, tuple[Nesting, ...]] | None = None

    async def all(self, max_age_s: float = 0.0) -> tuple[Nesting, ...]:
        known = self._known
        if known is None or self._monotonic() - known[0] >= max_age_s:
            found = tuple([_nesting(row) async for row in self._tables.query(NESTING, "nesting")])
            known = self._known = (self._monotonic(), found)
        return known[1]

    async def save(self, nesting: Nesting) -> None:
        row = {
            "PartitionKey": "nesting",
            "RowKey": nesting.group_id,
            "readAt": time_text(nesting.read_at),
            **split_bytes("ids", pack_ids(sorted(map(UserId, nesting.nested)))),
        }
        await self._tables.write(NESTING, Op("upsert", row))
        self._known = None

    async def remove(self, group_id: GroupId) -> None:
        await self._tables.delete(NESTING, "nesting", group_id)
        self._known = None


def _nesting(row: Row) -> Nesting:
    nested = frozenset(map(GroupId, unpack_ids(joined_bytes(row, "ids"))))
    return Nesting(GroupId(row["RowKey"]), nested, must_be_time(row["readAt"]))
