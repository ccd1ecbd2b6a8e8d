"""Table `deltas`: each slice of groups with its delta link (see `delta_slices`).

PartitionKey `delta`, RowKey slice as 4 digits; `body` JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.delta_slices import DeltaSlice
from shared.domain.ids import GroupId

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
        body = {
            "groups": list(slice.group_ids),
            "link": slice.link,
            "readAt": time_text(slice.read_at),
            "enumeration": slice.enumeration,
            "enumerated": list(slice.enumerated),
            "unread": sorted(slice.unread),
            "unreadSince": time_text(slice.unread_since),
            "rejections": slice.rejections,
            "retryAt": time_text(slice.retry_at),
            "rejectedBecause": slice.rejected_because,
        }
        row = {"PartitionKey": "delta", "RowKey": f"{slice.number:04d}", **split_body(dump(body))}
        await self._tables.write(DELTAS, Op("upsert", row))

    async def remove(self, number: int) -> None:
        await self._tables.delete(DELTAS, "delta", f"{number:04d}")


def _slice(row: Row) -> DeltaSlice:
    body = json.loads(joined_body(row))
    return DeltaSlice(
        number=int(row["RowKey"]),
        group_ids=_ids(body["groups"]),
        link=body["link"],
        read_at=time_of(body["readAt"]),
        enumeration=body.get("enumeration", ""),
        enumerated=_ids(body.get("enumerated", ())),
        unread=frozenset(_ids(body.get("unread", ()))),
        unread_since=time_of(body.get("unreadSince")),
        rejections=body.get("rejections", 0),
        retry_at=time_of(body.get("retryAt")),
        rejected_because=body.get("rejectedBecause", ""),
    )


def _ids(values: Iterable[str]) -> tuple[GroupId, ...]:
    return tuple(GroupId(group_id) for group_id in values)
