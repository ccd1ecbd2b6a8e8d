"""Table `assignments`: the intent of each group, and its history.

Row of a group: PartitionKey `assignment`, RowKey groupId. Row of the history: PartitionKey `history-{groupId}`, RowKey
version as 10 digits, inverted so that the newest comes first. Properties: `body` (JSON, see `assignment_to_json`),
`version` (int).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from shared.adapters.shared_read import SharedRead
from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, options_json, options_of, plans_of, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.assignment import (
    AssignmentState,
    Enforcement,
    Engine,
    GroupLicenseAssignment,
    SkuAssignment,
)
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.native_handover import NativeHandover
from shared.ports.stores import StoredAssignment

TABLE = "assignments"
PARTITION = "assignment"
NEWEST = 9_999_999_999
DECODED = 1000
"""Assignments kept as they were decoded: every message reads all of them, and they seldom change."""


class TableAssignments:
    """Implements AssignmentStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._assignments = SharedRead(self._read, monotonic)

    async def get(self, group_id: GroupId) -> StoredAssignment | None:
        row = await self._tables.get(TABLE, PARTITION, group_id)
        return StoredAssignment(_assignment(row), row["etag"]) if row else None

    async def all(self, max_age_s: float = 0.0) -> tuple[GroupLicenseAssignment, ...]:
        return await self._assignments.get(max_age_s)

    async def _read(self) -> tuple[GroupLicenseAssignment, ...]:
        return tuple([_assignment(row) async for row in self._tables.query(TABLE, PARTITION)])

    async def save(self, assignment: GroupLicenseAssignment, etag: str | None) -> str:
        kind = "create" if etag is None else "replace"
        saved = await self._tables.write(TABLE, Op(kind, _row(assignment, PARTITION, assignment.group_id), etag))
        history = _row(assignment, f"history-{assignment.group_id}", f"{NEWEST - assignment.version:010d}")
        await self._tables.write(TABLE, Op("upsert", history))
        return saved

    async def history(self, group_id: GroupId) -> tuple[GroupLicenseAssignment, ...]:
        return tuple([_assignment(row) async for row in self._tables.query(TABLE, f"history-{group_id}")])


def _row(assignment: GroupLicenseAssignment, partition: str, key: str) -> Row:
    body = split_body(dump(assignment_to_json(assignment)))
    return {"PartitionKey": partition, "RowKey": key, **body, "version": assignment.version}


def assignment_to_json(assignment: GroupLicenseAssignment) -> dict[str, Any]:
    """Everything but the version."""
    native, handover = assignment.native, assignment.handover
    return {
        "groupId": assignment.group_id,
        "displayName": assignment.display_name,
        "state": str(assignment.state),
        "skus": [
            {
                "skuId": sku.sku_id,
                "off": sorted(sku.disabled_plans),
                "enforcement": str(sku.enforcement),
                **({"changedAt": time_text(sku.changed_at)} if sku.changed_at else {}),
            }
            for sku in assignment.skus
        ],
        "options": options_json(assignment.options),
        **({"engine": str(assignment.engine)} if assignment.engine is not Engine.DIRECT else {}),
        **({"native": [[each.sku_id, sorted(each.disabled_plans)] for each in native]} if native else {}),
        **({"handover": [sorted(handover.pilot), handover.percent, sorted(handover.convert)]} if handover else {}),
        "operationId": assignment.operation_id,
        "openApproval": assignment.open_approval,
        **({"moreHeld": True} if assignment.more_held else {}),
        **({"pauses": assignment.pauses} if assignment.pauses else {}),
        "changedBy": assignment.changed_by,
        **({"changedById": assignment.changed_by_id} if assignment.changed_by_id else {}),
        "changedAt": time_text(assignment.changed_at),
    }


def _assignment(row: Row) -> GroupLicenseAssignment:
    return _decoded(joined_body(row), int(row["version"]))


@lru_cache(maxsize=DECODED)
def _decoded(text: str, version: int) -> GroupLicenseAssignment:
    return assignment_from_json(json.loads(text), version)


def assignment_from_json(body: Mapping[str, Any], version: int) -> GroupLicenseAssignment:
    handover = body.get("handover")
    return GroupLicenseAssignment(
        group_id=GroupId(body["groupId"]),
        skus=tuple(_sku(each) for each in body["skus"]),
        engine=Engine(body.get("engine", Engine.DIRECT)),
        native=tuple(AssignedLicense(SkuId(sku_id), plans_of(off)) for sku_id, off in body.get("native", ())),
        options=options_of(body["options"]),
        state=AssignmentState(body["state"]),
        version=version,
        pauses=int(body.get("pauses", 0)),
        operation_id=OperationId(body["operationId"]) if body["operationId"] else None,
        open_approval=OperationId(body["openApproval"]) if body["openApproval"] else None,
        more_held=bool(body.get("moreHeld")),
        display_name=body["displayName"],
        changed_by=body["changedBy"],
        changed_by_id=body.get("changedById", ""),
        changed_at=time_of(body["changedAt"]),
        handover=_handover(*handover) if handover else None,
    )


def _sku(value: dict[str, Any]) -> SkuAssignment:
    return SkuAssignment(
        SkuId(value["skuId"]),
        plans_of(value["off"]),
        Enforcement(value["enforcement"]),
        time_of(value.get("changedAt")),
    )


def _handover(pilot: Sequence[str], percent: int, convert: Sequence[str] = ()) -> NativeHandover:
    return NativeHandover(frozenset(map(UserId, pilot)), percent, frozenset(map(UserId, convert)))
