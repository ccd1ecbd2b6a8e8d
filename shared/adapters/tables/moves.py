"""Table `moves`: moves of groups between native and direct licensing.

Row of a move: PartitionKey `group-{groupId}`, RowKey the ID with its 12 leading digits of time inverted, so that the
newest comes first. Row of an open one: PartitionKey `open`, RowKey groupId (of a preview `{groupId}-preview`),
`moveId`. It is written before the move, so a group has at most one open move, and deleted after the move ended. Row of
a page of members at the start: PartitionKey `page-{moveId}`, RowKey the number as 6 digits. They hold object IDs and no
names.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.adapters.tables.assignments import assignment_from_json, assignment_to_json
from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import (
    approvals_json,
    approvals_of,
    dump,
    initiator_json,
    initiator_of,
    inverted,
    licenses_json,
    licenses_of,
    must_be_time,
    plans_of,
    time_of,
    time_text,
)
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.errors import Conflict
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.move import Direction, Move, MovePhase
from shared.domain.move_members import MoveVerdict, Needed
from shared.domain.move_report import Had, MemberBefore

TABLE = "moves"
OPEN = "open"
SOURCES = ("native", "direct", "otherGroup")
"""One bit each in stored pages."""


class TableMoves:
    """Implements MoveStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def insert(self, move: Move) -> Move:
        key = _open_key(move)
        row = {"PartitionKey": OPEN, "RowKey": key, "moveId": move.id, "groupId": move.group_id}
        if move.phase is MovePhase.COUNT:
            await self._tables.write(TABLE, Op("upsert", row))
        else:
            await self._claim(move, row)
        etag = await self._tables.write(TABLE, Op("create", _row(move)))
        return replace(move, version=etag)

    async def _claim(self, move: Move, row: Row) -> None:
        known = await self._tables.get(TABLE, OPEN, row["RowKey"])
        if known is None:
            await self._tables.write(TABLE, Op("create", row))
            return
        other = await self.get(move.group_id, str(known["moveId"]))
        if known["moveId"] != move.id and other is not None and not other.phase.is_ended:
            raise Conflict(f"Move {other.id} of group {move.group_id} is open.")
        # A process died before it stored that move, or before it deleted this row.
        await self._tables.write(TABLE, Op("replace", row, known["etag"]))

    async def get(self, group_id: GroupId, move_id: str = "") -> Move | None:
        partition = f"group-{group_id}"
        if move_id:
            try:
                row = await self._tables.get(TABLE, partition, inverted(move_id))
            except ValueError:
                return None
            return _move(row) if row else None
        async for row in self._tables.query(TABLE, partition):
            return _move(row)
        return None

    async def save(self, move: Move) -> Move:
        etag = await self._tables.write(TABLE, Op("replace", _row(move), move.version))
        if move.phase.is_ended:
            await self._close(move)
        return replace(move, version=etag)

    async def _close(self, move: Move) -> None:
        for key in (_open_key(move), f"{move.group_id}-preview"):
            row = await self._tables.get(TABLE, OPEN, key)
            if row is not None and row["moveId"] == move.id:
                await self._tables.delete(TABLE, OPEN, key)

    async def open(self) -> tuple[Move, ...]:
        found: list[Move] = []
        for row in [row async for row in self._tables.query(TABLE, OPEN)]:
            move = await self.get(GroupId(row["groupId"]), str(row["moveId"]))
            if move is None:
                continue
            if move.phase.is_ended:
                await self._close(move)
            else:
                found.append(move)
        return tuple(found)

    async def write_page(self, move: Move, number: int, members: Sequence[MemberBefore]) -> None:
        body = dump([_member_json(each, move) for each in members])
        key = {"PartitionKey": f"page-{move.id}", "RowKey": f"{number:06d}"}
        await self._tables.write(TABLE, Op("upsert", {**key, **split_body(body)}))

    async def pages(self, move: Move) -> AsyncIterator[Sequence[MemberBefore]]:
        async for row in self._tables.query(TABLE, f"page-{move.id}"):
            if int(row["RowKey"]) < move.pages:
                yield [_member(each, move) for each in json.loads(joined_body(row))]

    async def forget(self, before: datetime) -> int:
        rows = [row async for row in self._tables.query(TABLE, "group-", to_partition="group-~")]
        old = [move for move in map(_move, rows) if move.phase.is_ended and (move.completed_at or before) < before]
        for move in old:
            partition = f"page-{move.id}"
            for key in [row["RowKey"] async for row in self._tables.query(TABLE, partition, select=("RowKey",))]:
                await self._tables.delete(TABLE, partition, key)
            await self._tables.delete(TABLE, f"group-{move.group_id}", inverted(move.id))
        return len(old)


def _open_key(move: Move) -> str:
    is_preview = move.phase in (MovePhase.COUNT, MovePhase.PREVIEW)
    return f"{move.group_id}-preview" if is_preview else str(move.group_id)


def _row(move: Move) -> Row:
    key = {"PartitionKey": f"group-{move.group_id}", "RowKey": inverted(move.id)}
    return {**key, **split_body(dump(_body(move)))}


def _body(move: Move) -> dict[str, Any]:
    return {
        "id": move.id,
        "groupId": move.group_id,
        "direction": str(move.direction),
        "initiator": initiator_json(move.initiator),
        "createdAt": time_text(move.created_at),
        "phase": str(move.phase),
        "step": move.step,
        "undoing": move.undoing,
        "paused": move.paused,
        "pausedBy": initiator_json(move.paused_by),
        "accepted": move.accepted,
        "displayName": move.display_name,
        "products": licenses_json(move.products),
        "former": _former(move.former) if move.former else None,
        "nativeAdded": list(move.native_added),
        "pilot": list(move.pilot),
        "waves": list(move.waves),
        "wave": move.wave,
        "convert": list(move.convert),
        "unmanaged": list(move.unmanaged),
        "intentVersion": move.intent_version,
        "sentAt": time_text(move.sent_at),
        "reprocessedAt": time_text(move.reprocessed_at),
        "reprocessedTo": move.reprocessed_to,
        "verified": [time_text(each) for each in move.verified],
        "checksum": move.checksum,
        **({"approvals": approvals_json(move.approvals)} if move.approvals else {}),
        "approvedBy": initiator_json(move.approved_by),
        "approvedAt": time_text(move.approved_at),
        "removingAt": time_text(move.removing_at),
        "members": [move.members, move.nested, move.protected, move.newly_licensed, move.pages, move.errors],
        "verdicts": {str(verdict): count for verdict, count in move.verdicts.items()},
        "needed": [dict(move.needed.licenses), dict(move.needed.available)],
        "problem": move.problem,
        "progressAt": time_text(move.progress_at),
        "completedAt": time_text(move.completed_at),
    }


def _former(assignment: GroupLicenseAssignment) -> list[Any]:
    """Without the name of the person who changed it last: the ID says who it was."""
    return [assignment_to_json(replace(assignment, changed_by="")), assignment.version]


def _move(row: Row) -> Move:
    body = json.loads(joined_body(row))
    members, nested, protected, newly_licensed, pages, errors = body["members"]
    needed, available = body["needed"]
    former = body["former"]
    return Move(
        id=body["id"],
        group_id=GroupId(body["groupId"]),
        direction=Direction(body["direction"]),
        initiator=initiator_of(body["initiator"]),
        created_at=must_be_time(body["createdAt"]),
        phase=MovePhase(body["phase"]),
        step=body["step"],
        undoing=body["undoing"],
        paused=body["paused"],
        paused_by=initiator_of(body["pausedBy"]) if body["pausedBy"] else None,
        accepted=body["accepted"],
        display_name=body["displayName"],
        products=licenses_of(body["products"]),
        former=assignment_from_json(*former) if former else None,
        native_added=tuple(map(SkuId, body["nativeAdded"])),
        pilot=tuple(map(UserId, body["pilot"])),
        waves=tuple(body["waves"]),
        wave=body["wave"],
        convert=tuple(map(UserId, body.get("convert", ()))),
        unmanaged=tuple(map(UserId, body.get("unmanaged", ()))),
        intent_version=body["intentVersion"],
        sent_at=time_of(body["sentAt"]),
        reprocessed_at=time_of(body["reprocessedAt"]),
        reprocessed_to=UserId(to) if (to := body.get("reprocessedTo")) else None,
        verified=tuple(map(must_be_time, body["verified"])),
        checksum=body["checksum"],
        approvals=approvals_of(body.get("approvals", ())),
        approved_by=initiator_of(body["approvedBy"]) if body["approvedBy"] else None,
        approved_at=time_of(body["approvedAt"]),
        removing_at=time_of(body["removingAt"]),
        members=members,
        nested=nested,
        protected=protected,
        newly_licensed=newly_licensed,
        pages=pages,
        errors=errors,
        verdicts={MoveVerdict(verdict): count for verdict, count in body["verdicts"].items()},
        needed=Needed(_counts(needed), _counts(available)),
        problem=body["problem"],
        progress_at=time_of(body["progressAt"]),
        completed_at=time_of(body["completedAt"]),
        version=row["etag"],
    )


def _counts(value: Mapping[str, int]) -> dict[SkuId, int]:
    return {SkuId(sku_id): count for sku_id, count in value.items()}


def _member_json(member: MemberBefore, move: Move) -> list[Any]:
    """The products by their position; the plans that are off only if they are not those of the move."""
    places = {each.sku_id: (number, each.disabled_plans) for number, each in enumerate(move.products)}
    products = []
    for sku_id, had in member.products.items():
        number, off = places[sku_id]
        bits = sum(1 << place for place, source in enumerate(SOURCES) if source in had.sources)
        products.append([number, bits, *([] if had.off == off else [sorted(had.off)])])
    return [member.user_id, int(member.nested), products]


def _member(value: Sequence[Any], move: Move) -> MemberBefore:
    user_id, nested, products = value
    found: dict[SkuId, Had] = {}
    for number, bits, *off in products:
        product = move.products[number]
        sources = frozenset(source for place, source in enumerate(SOURCES) if bits >> place & 1)
        found[product.sku_id] = Had(plans_of(off[0]) if off else product.disabled_plans, sources)
    return MemberBefore(UserId(user_id), bool(nested), found)
