"""Table `nesting`: the groups inside each managed group.

PartitionKey `nesting`, RowKey groupId; `ids0`.. (16 bytes a group), `readAt`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from shared.adapters.shared_read import SharedRead
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
        self._nesting = SharedRead(self._read, monotonic)

    async def all(self, max_age_s: float = 0.0) -> tuple[Nesting, ...]:
        return await self._nesting.get(max_age_s)

    async def _read(self) -> tuple[Nesting, ...]:
        return tuple([_nesting(row) async for row in self._tables.query(NESTING, "nesting")])

    async def save(self, nesting: Nesting) -> None:
        row = {
            "PartitionKey": "nesting",
            "RowKey": nesting.group_id,
            "readAt": time_text(nesting.read_at),
            **split_bytes("ids", pack_ids(sorted(map(UserId, nesting.nested)))),
        }
        await self._tables.write(NESTING, Op("upsert", row))
        self._nesting.forget()

    async def remove(self, group_id: GroupId) -> None:
        await self._tables.delete(NESTING, "nesting", group_id)
        self._nesting.forget()


def _nesting(row: Row) -> Nesting:
    nested = frozenset(map(GroupId, unpack_ids(joined_bytes(row, "ids"))))
    return Nesting(GroupId(row["RowKey"]), nested, must_be_time(row["readAt"]))
