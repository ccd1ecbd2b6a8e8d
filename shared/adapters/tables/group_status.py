"""Table `groupstatus`: the snapshot of each managed group that pages read.

PartitionKey `group`, RowKey groupId.
"""

from __future__ import annotations

import json

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, OperationId

STATUS = "groupstatus"


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
            "dynamic": status.dynamic,
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
        body.get("dynamic", False),
    )
