"""Table `groupstatus`: the status of each managed group that pages read.

PartitionKey `group`, RowKey groupId. See `open_items.py` for the other partition.
"""

from __future__ import annotations

import json
from dataclasses import replace

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, OperationId, SkuId
from shared.domain.member_counts import ProductCounts

STATUS = "groupstatus"


class TableGroupStatus:
    """Implements GroupStatusStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def get(self, group_id: GroupId) -> GroupStatus | None:
        row = await self._tables.get(STATUS, "group", group_id)
        return _status(row) if row else None

    async def save(self, status: GroupStatus) -> GroupStatus:
        body = {
            "state": str(status.state),
            "members": status.members,
            "counts": dict(status.counts),
            "operation": status.operation_id,
            "at": time_text(status.updated_at),
            "dynamic": status.dynamic,
            "products": {sku: [each.assigned, each.waiting, each.errors] for sku, each in status.products.items()},
            "causes": dict(status.causes),
            "recorded": status.recorded,
            "failed": status.failed,
            **({"processing": status.processing} if status.processing else {}),
            **({"errorsOnly": True} if status.errors_only else {}),
        }
        row = {"PartitionKey": "group", "RowKey": status.group_id, **split_body(dump(body))}
        op = Op("replace" if status.version else "create", row, status.version or None)
        return replace(status, version=await self._tables.write(STATUS, op))

    async def all(self) -> tuple[GroupStatus, ...]:
        return tuple([_status(row) async for row in self._tables.query(STATUS, "group")])


def _status(row: Row) -> GroupStatus:
    body = json.loads(joined_body(row))
    return GroupStatus(
        group_id=GroupId(row["RowKey"]),
        state=GroupState(body["state"]),
        members=body["members"],
        counts=body["counts"],
        products={SkuId(sku): ProductCounts(*numbers) for sku, numbers in body.get("products", {}).items()},
        causes=body.get("causes", {}),
        recorded=body.get("recorded", 0),
        failed=body.get("failed", False),
        operation_id=OperationId(body["operation"]) if body["operation"] else None,
        updated_at=time_of(body["at"]),
        dynamic=body.get("dynamic", False),
        processing=body.get("processing", ""),
        errors_only=body.get("errorsOnly", False),
        version=row["etag"],
    )
