"""Table `members`: the status of each (group, user), and the group's list of errors and waits.

PartitionKey groupId. RowKey `m-{userId}`: the member; `e-{userId}`: the same row again, only while a person is needed.
Both are written in one transaction. Properties: `state`, `upn`, `name` (texts), `body` (JSON, see `_body`).
An `e-` row that must go is deleted only if a query has seen it: deleting an absent row fails a whole transaction.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, problems_json, problems_of, time_of, time_text
from shared.adapters.tables.rows import MAX_TRANSACTION, Op, Row, joined_body, split_body, transactions
from shared.domain.errors import NotFound
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.member_status import MemberState
from shared.domain.read_models import EVERYBODY, MemberFilter, MemberRow

TABLE = "members"
MEMBER = "m-"
ERROR = "e-"

LOOKED_AT = 1000
"""Rows of the error list that a search for one problem reads at once: what the service sends in one answer."""


class TableMembers:
    """Implements MemberStore."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def record(self, rows: Iterable[MemberRow]) -> None:
        by_group: dict[GroupId, list[MemberRow]] = defaultdict(list)
        for row in rows:
            by_group[row.group_id].append(row)
        for group_id, group_rows in by_group.items():
            for start in range(0, len(group_rows), MAX_TRANSACTION // 2):
                await self._record(group_id, group_rows[start : start + MAX_TRANSACTION // 2])

    async def _record(self, group_id: GroupId, rows: list[MemberRow]) -> None:
        well = [row.user_id for row in rows if not row.state.needs_a_person]
        listed = await self._listed(group_id, well) if well else frozenset()
        for ops in transactions(_ops(row, row.user_id in listed) for row in rows):
            try:
                await self._tables.transact(TABLE, ops)
            except NotFound:
                await self._one_by_one(ops)

    async def _one_by_one(self, ops: Iterable[Op]) -> None:
        """A row of the error list was deleted by somebody else meanwhile."""
        for op in ops:
            if op.kind == "delete":
                await self._tables.delete(TABLE, op.row["PartitionKey"], op.row["RowKey"])
            else:
                await self._tables.write(TABLE, op)

    async def _listed(self, group_id: GroupId, user_ids: list[UserId]) -> frozenset[UserId]:
        """Which of the users stand in the error list."""
        first, last = f"{ERROR}{min(user_ids)}", f"{ERROR}{max(user_ids)}"
        rows = self._tables.query(TABLE, group_id, first, last, select=["RowKey"])
        return frozenset([UserId(row["RowKey"].removeprefix(ERROR)) async for row in rows]) & frozenset(user_ids)

    async def forget(self, group_id: GroupId, user_ids: Iterable[UserId]) -> None:
        for user_id in user_ids:
            await self._tables.delete(TABLE, group_id, f"{ERROR}{user_id}")
            await self._tables.delete(TABLE, group_id, f"{MEMBER}{user_id}")

    async def page(
        self, group_id: GroupId, top: int, after: str | None = None, state: MemberState | None = None
    ) -> tuple[tuple[MemberRow, ...], str | None]:
        equal = {"state": str(state)} if state else None
        rows, token = await self._tables.page(TABLE, group_id, MEMBER, f"{MEMBER}~", top, after, equal=equal)
        return tuple(_member(row) for row in rows), token

    async def errors(
        self, group_id: GroupId, top: int, after: str | None = None, wanted: MemberFilter = EVERYBODY
    ) -> tuple[tuple[MemberRow, ...], str | None]:
        looked_at = top if wanted == EVERYBODY else max(top, LOOKED_AT)
        rows, token = await self._tables.page(TABLE, group_id, ERROR, f"{ERROR}~", looked_at, after)
        found: list[MemberRow] = []
        for row in rows:
            member = _member(row)
            if wanted.lets_pass(member):
                found.append(member)
            if len(found) == top and row is not rows[-1]:
                return tuple(found), str(row["RowKey"])
        return tuple(found), token

    async def states(self, group_id: GroupId) -> Mapping[UserId, MemberState]:
        rows = self._tables.query(TABLE, group_id, MEMBER, f"{MEMBER}~", select=["RowKey", "state"])
        return {UserId(row["RowKey"].removeprefix(MEMBER)): MemberState(row["state"]) async for row in rows}

    async def recorded(self, group_id: GroupId, partition: str) -> frozenset[UserId]:
        first = f"{MEMBER}{partition}"
        rows = self._tables.query(TABLE, group_id, first, f"{first}~", select=["RowKey", "state"])
        removed = str(MemberState.REMOVED)
        return frozenset([UserId(row["RowKey"].removeprefix(MEMBER)) async for row in rows if row["state"] != removed])

    async def counts(self, group_id: GroupId) -> Mapping[str, int]:
        rows = self._tables.query(TABLE, group_id, MEMBER, f"{MEMBER}~", select=["state"])
        return Counter([str(row["state"]) async for row in rows])

    async def of_user(self, user_id: UserId, group_ids: Iterable[GroupId]) -> tuple[MemberRow, ...]:
        rows = [await self._tables.get(TABLE, group_id, f"{MEMBER}{user_id}") for group_id in group_ids]
        return tuple(_member(row) for row in rows if row is not None)


def _ops(member: MemberRow, listed: bool) -> list[Op]:
    """What is written of one member; `listed`: whether it stands in the error list now."""
    ops = [Op("upsert", _row(member, MEMBER))]
    if member.state.needs_a_person:
        ops.append(Op("upsert", _row(member, ERROR)))
    elif listed:
        ops.append(Op("delete", {"PartitionKey": member.group_id, "RowKey": f"{ERROR}{member.user_id}"}))
    return ops


def _row(member: MemberRow, prefix: str) -> Row:
    return {
        "PartitionKey": member.group_id,
        "RowKey": f"{prefix}{member.user_id}",
        "state": str(member.state),
        "upn": member.user_principal_name,
        "name": member.display_name,
        **split_body(dump(_body(member))),
    }


def _body(member: MemberRow) -> dict[str, Any]:
    body: dict[str, Any] = {"at": time_text(member.updated_at)}
    if member.problems:
        body["problems"] = problems_json(member.problems)
    if member.notes:
        body["notes"] = list(member.notes)
    if member.sku_ids:
        body["skus"] = list(member.sku_ids)
    if member.attempts:
        body["attempts"] = member.attempts
    if member.next_look_at:
        body["next"] = time_text(member.next_look_at)
    if member.waiting_since:
        body["since"] = time_text(member.waiting_since)
    if member.removal_at:
        body["removal"] = time_text(member.removal_at)
    if member.operation_id:
        body["operation"] = member.operation_id
    return body


def _member(row: Row) -> MemberRow:
    body = json.loads(joined_body(row))
    updated_at = time_of(body["at"])
    if updated_at is None:
        raise ValueError(f"member row {row['RowKey']} has no time")
    return MemberRow(
        group_id=GroupId(row["PartitionKey"]),
        user_id=UserId(row["RowKey"][len(MEMBER) :]),
        user_principal_name=row["upn"],
        display_name=row["name"],
        state=MemberState(row["state"]),
        updated_at=updated_at,
        problems=problems_of(body.get("problems", ())),
        notes=tuple(body.get("notes", ())),
        sku_ids=tuple(SkuId(sku_id) for sku_id in body.get("skus", ())),
        attempts=body.get("attempts", 0),
        next_look_at=time_of(body.get("next")),
        waiting_since=time_of(body.get("since")),
        removal_at=time_of(body.get("removal")),
        operation_id=OperationId(body["operation"]) if body.get("operation") else None,
    )
