"""Table `deltas`: the delta link of each slice of groups.

PartitionKey `delta`, RowKey slice as 4 digits; `body` JSON.
"""

from __future__ import annotations

import json

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, must_be_time, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.ids import GroupId
from shared.ports.membership_stores import DeltaSlice

DELTAS = "deltas"


class TableDeltas:
    """Implements DeltaStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def all(self) -> tuple[DeltaSlice, ...]:
        return tuple([_slice(row) async for row in self._tables.query(DELTAS, "delta")])

    async def get(self, number: int) -> DeltaSlice | None:
        row = await self._tables.get(DELTAS, "delta", f"{number:04d}")
        return _slice(row) if row else None

    async def save(self, slice: DeltaSlice) -> None:
        body = {"groups": list(slice.group_ids), "link": slice.link, "readAt": time_text(slice.read_at)}
        row = {"PartitionKey": "delta", "RowKey": f"{slice.number:04d}", **split_body(dump(body))}
        await self._tables.write(DELTAS, Op("upsert", row))

    async def remove(self, number: int) -> None:
        await self._tables.delete(DELTAS, "delta", f"{number:04d}")


def _slice(row: Row) -> DeltaSlice:
    body = json.loads(joined_body(row))
    groups = tuple(GroupId(group_id) for group_id in body["groups"])
    return DeltaSlice(int(row["RowKey"]), groups, body["link"], must_be_time(body["readAt"]))
