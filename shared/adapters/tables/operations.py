"""Table `operations`: accepted requests.

Row: PartitionKey `operation`, RowKey the id with its 12 leading digits of time inverted, so that the newest come first.
Properties: `body` (JSON of everything but the users), `users0`.. (a list target's ids, 16 bytes each). Index of open
operations: PartitionKey `open`, RowKey as above, `previewOf` (the id of the requester of a preview). It is written
before an operation is stored open, and deleted after the operation ended.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import (
    LATEST,
    approvals_json,
    approvals_of,
    dump,
    initiator_json,
    initiator_of,
    inverted,
    licenses_json,
    licenses_of,
    must_be_time,
    options_json,
    options_of,
    pack_ids,
    time_of,
    time_text,
    unpack_ids,
)
from shared.adapters.tables.rows import Op, Row, joined_body, joined_bytes, split_body, split_bytes
from shared.domain.ids import GroupId, OperationId, SkuId, UserId, new_id
from shared.domain.native_progress import NativeProgress
from shared.domain.operation import (
    EVERY_OPERATION,
    LicenseChange,
    Operation,
    OperationError,
    OperationFilter,
    OperationKind,
    OperationState,
    Phase,
    PlanSummary,
    Target,
    Totals,
)

MOST_READ = 1000
"""Operations that one page reads for a filter."""

TABLE = "operations"
PARTITION = "operation"
OPEN = "open"

TOTALS = ("members", "due", "applied", "unchanged", "waiting", "failed", "skipped", "wrote")


class TableOperations:
    """Implements OperationStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def insert(self, operation: Operation) -> Operation:
        key = inverted(operation.id)
        of = {"previewOf": operation.initiator.id} if operation.preview else {}
        await self._tables.write(TABLE, Op("upsert", {"PartitionKey": OPEN, "RowKey": key, **of}))
        etag = await self._tables.write(TABLE, Op("create", _row(operation)))
        return replace(operation, version=etag)

    async def get(self, operation_id: OperationId) -> Operation | None:
        try:
            key = inverted(operation_id)
        except ValueError:
            return None
        row = await self._tables.get(TABLE, PARTITION, key)
        return _operation(row) if row else None

    async def save(self, operation: Operation) -> Operation:
        etag = await self._tables.write(TABLE, Op("replace", _row(operation), operation.version))
        if operation.state.is_ended:
            await self._tables.delete(TABLE, OPEN, inverted(operation.id))
        return replace(operation, version=etag)

    async def newest(
        self, top: int, after: str | None = None, wanted: OperationFilter = EVERY_OPERATION
    ) -> tuple[tuple[Operation, ...], str | None]:
        first = _place(wanted.until) if wanted.until else ""
        last = f"{_place(wanted.since)}~" if wanted.since else "~"
        if wanted.state is None and wanted.group_id is None:
            rows, token = await self._tables.page(TABLE, PARTITION, first, last, top, after)
            return tuple(_operation(row) for row in rows), token
        rows, token = await self._tables.page(TABLE, PARTITION, first, last, MOST_READ, after)
        found: list[Operation] = []
        place = ""
        for row in rows:
            if len(found) == top:
                return tuple(found), place
            place = row["RowKey"]
            found += filter(wanted.lets_pass, [_operation(row)])
        return tuple(found), token

    async def open(self) -> tuple[Operation, ...]:
        found: list[Operation] = []
        for key in [row["RowKey"] async for row in self._tables.query(TABLE, OPEN)]:
            row = await self._tables.get(TABLE, PARTITION, key)
            operation = _operation(row) if row else None
            if operation is not None and not operation.state.is_ended:
                found.append(operation)
            elif operation is not None:
                await self._tables.delete(TABLE, OPEN, key)
        return tuple(found)

    async def open_previews(self, initiator_id: str) -> int:
        rows = self._tables.query(TABLE, OPEN, equal={"previewOf": initiator_id}, select=("RowKey",))
        return len([row async for row in rows])

    async def from_before(self, at: datetime) -> AsyncIterator[Operation]:
        first = f"{LATEST - int(at.timestamp() * 1000) + 1:012x}"
        async for row in self._tables.query(TABLE, PARTITION, first):
            yield _operation(row)

    async def remove(self, operation: Operation) -> None:
        for partition in (OPEN, PARTITION):
            await self._tables.delete(TABLE, partition, inverted(operation.id))


def _place(at: datetime) -> str:
    """Where in the list a time is: operations that were accepted then or before begin there."""
    return inverted(new_id(at, ""))


def _row(operation: Operation) -> Row:
    users = split_bytes("users", pack_ids(operation.target.user_ids))
    key = inverted(operation.id)
    return {"PartitionKey": PARTITION, "RowKey": key, **split_body(dump(_body(operation))), **users}


def _body(operation: Operation) -> dict[str, Any]:
    change, plan = operation.change, operation.plan
    return {
        "id": operation.id,
        "kind": str(operation.kind),
        "groupId": operation.target.group_id,
        "add": licenses_json(change.add),
        "remove": list(change.remove),
        **({"adopt": list(change.manage)} if change.manage else {}),
        **({"enable": list(change.enable)} if change.enable else {}),
        **({"keep": True} if change.keep else {}),
        "options": options_json(change.options) if change.options else None,
        "initiator": initiator_json(operation.initiator),
        "createdAt": time_text(operation.created_at),
        "preview": operation.preview,
        **({"reason": operation.reason} if operation.reason else {}),
        "state": str(operation.state),
        "phase": str(operation.phase),
        "numbers": [
            operation.step,
            operation.run,
            operation.intent_version,
            operation.pages,
            operation.chunks,
            operation.released,
            operation.reported,
            operation.chunk_size,
        ],
        "cause": operation.cause,
        "correlationId": operation.correlation_id,
        "traceparent": operation.traceparent,
        "idempotencyKey": operation.idempotency_key,
        "sealId": operation.snapshot_id,
        "totals": _totals_json(operation.totals),
        "counted": _totals_json(operation.counted),
        "plan": {
            "additions": dict(plan.additions),
            "removals": dict(plan.removals),
            "plansOff": plan.plans_off,
            "seatsNeeded": dict(plan.seats_needed),
            "seatsAvailable": dict(plan.seats_available),
            "usageLocations": plan.usage_locations,
            "errors": dict(plan.expected_errors),
            "failing": [plan.users_failing, plan.users_waiting],
            **({"warnings": list(plan.warnings)} if plan.warnings else {}),
            "foreign": plan.unmanaged,
            "usersLosing": plan.users_losing,
            "protected": list(plan.protected),
            **({"keeping": plan.users_keeping} if plan.users_keeping else {}),
        },
        "checksum": operation.checksum,
        **({"approvals": approvals_json(operation.approvals)} if operation.approvals else {}),
        "approvedBy": initiator_json(operation.approved_by),
        "cancelledBy": initiator_json(operation.cancel_requested_by),
        "supersededBy": operation.superseded_by,
        "error": [operation.error.code, operation.error.message, operation.error.remedy] if operation.error else None,
        "startedAt": time_text(operation.started_at),
        "completedAt": time_text(operation.completed_at),
        "progressAt": time_text(operation.progress_at),
        "reprocess": operation.reprocess,
        "intentWritten": operation.intent_written,
        "previewId": operation.preview_id,
        **({"others": _others_json(operation.other_changes)} if operation.other_changes else {}),
        **({"native": operation.native.to_json()} if operation.native else {}),
    }


def _operation(row: Row) -> Operation:
    body = json.loads(joined_body(row))
    step, run, intent_version, pages, chunks, released, reported, chunk_size = body["numbers"]
    return Operation(
        id=OperationId(body["id"]),
        kind=OperationKind(body["kind"]),
        target=Target(GroupId(body["groupId"]) if body["groupId"] else None, unpack_ids(joined_bytes(row, "users"))),
        change=LicenseChange(
            licenses_of(body["add"]),
            tuple(SkuId(sku_id) for sku_id in body["remove"]),
            options_of(body["options"]) if body["options"] else None,
            tuple(SkuId(sku_id) for sku_id in body.get("adopt", ())),
            tuple(SkuId(sku_id) for sku_id in body.get("enable", ())),
            body.get("keep", False),
        ),
        initiator=initiator_of(body["initiator"]),
        created_at=must_be_time(body["createdAt"]),
        preview=body["preview"],
        state=OperationState(body["state"]),
        phase=Phase(body["phase"]),
        step=step,
        run=run,
        intent_version=intent_version,
        cause=body["cause"],
        correlation_id=body["correlationId"],
        traceparent=body["traceparent"],
        idempotency_key=body["idempotencyKey"],
        snapshot_id=body["sealId"],
        pages=pages,
        chunks=chunks,
        chunk_size=chunk_size,
        released=released,
        reported=reported,
        totals=Totals(*body["totals"]),
        counted=Totals(*body["counted"]),
        plan=_plan(body["plan"]),
        checksum=body["checksum"],
        approvals=approvals_of(body.get("approvals", ())),
        approved_by=initiator_of(body["approvedBy"]) if body["approvedBy"] else None,
        cancel_requested_by=initiator_of(body["cancelledBy"]) if body["cancelledBy"] else None,
        superseded_by=OperationId(body["supersededBy"]) if body["supersededBy"] else None,
        error=OperationError(*body["error"]) if body["error"] else None,
        started_at=time_of(body["startedAt"]),
        completed_at=time_of(body["completedAt"]),
        progress_at=time_of(body["progressAt"]),
        reprocess=body["reprocess"],
        intent_written=body["intentWritten"],
        reason=body.get("reason", ""),
        preview_id=OperationId(body["previewId"]) if body["previewId"] else None,
        other_changes=_others(body.get("others", {})),
        native=NativeProgress.from_json(body["native"]) if "native" in body else None,
        version=row["etag"],
    )


def _others_json(changes: Mapping[GroupId, LicenseChange]) -> dict[str, Any]:
    return {
        group_id: [
            licenses_json(each.add),
            list(each.remove),
            options_json(each.options) if each.options else None,
            *(["keep"] if each.keep else []),
        ]
        for group_id, each in changes.items()
    }


def _others(value: Mapping[str, Any]) -> dict[GroupId, LicenseChange]:
    return {
        GroupId(group_id): LicenseChange(
            licenses_of(add), tuple(map(SkuId, remove)), options_of(options) if options else None, keep=bool(keep)
        )
        for group_id, (add, remove, options, *keep) in value.items()
    }


def _plan(value: dict[str, Any]) -> PlanSummary:
    # Rows of former versions do not count the users with errors.
    failing, waiting = value.get("failing", (0, 0))
    return PlanSummary(
        additions=value["additions"],
        removals=value["removals"],
        plans_off=value["plansOff"],
        seats_needed=value["seatsNeeded"],
        seats_available=value["seatsAvailable"],
        usage_locations=value["usageLocations"],
        expected_errors=value["errors"],
        users_failing=failing,
        users_waiting=waiting,
        warnings=tuple(value.get("warnings", ())),
        unmanaged=value["foreign"],
        users_losing=value["usersLosing"],
        protected=tuple(map(UserId, value.get("protected", ()))),
        users_keeping=value.get("keeping", 0),
    )


def _totals_json(totals: Totals) -> list[int]:
    return [getattr(totals, name) for name in TOTALS]
