"""Table `members`: the status of each (group, user), and the group's list of errors and waits.

See `member_row.py` for the format and `member_counts.py` for every write.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import partial

from shared.adapters.tables.by_user import POINT_GETS
from shared.adapters.tables.client import LAST, Tables, gather_limited
from shared.adapters.tables.member_counts import TableMemberCounts
from shared.adapters.tables.member_row import ERROR, MEMBER, TABLE, left_row, member_of, sku_ids_of
from shared.domain.ids import GroupId, UserId
from shared.domain.member_status import MemberState
from shared.domain.read_models import EVERYBODY, MemberFilter, MemberRow, ShownMember

READ_AT_MOST = 1000
"""Rows of the error list that a search for one problem reads at once: what the service sends in one answer."""


class TableMembers:
    """Implements MemberStore."""

    def __init__(self, tables: Tables, counts: TableMemberCounts) -> None:
        self._tables = tables
        self._counts = counts

    async def record(self, rows: Iterable[MemberRow]) -> None:
        by_group: dict[GroupId, dict[UserId, MemberRow | None]] = defaultdict(dict)
        for row in rows:
            by_group[row.group_id][row.user_id] = row
        for group_id, group_rows in by_group.items():
            await self._counts.write(group_id, group_rows)

    async def forget(self, group_id: GroupId, user_ids: Iterable[UserId]) -> int:
        return await self._counts.write(group_id, dict.fromkeys(user_ids))

    async def page(
        self, group_id: GroupId, top: int, after: str | None = None, state: MemberState | None = None
    ) -> tuple[tuple[MemberRow, ...], str | None]:
        equal = {"state": str(state)} if state else None
        rows, token = await self._tables.page(TABLE, group_id, MEMBER, f"{MEMBER}~", top, after, equal=equal)
        return tuple(member_of(row) for row in rows), token

    async def errors(
        self, group_id: GroupId, top: int, after: str | None = None, wanted: MemberFilter = EVERYBODY
    ) -> tuple[tuple[MemberRow, ...], str | None]:
        checked = top if wanted == EVERYBODY else max(top, READ_AT_MOST)
        rows, token = await self._tables.page(TABLE, group_id, ERROR, f"{ERROR}~", checked, after)
        found: list[MemberRow] = []
        for row in rows:
            member = member_of(row)
            if wanted.lets_pass(member):
                found.append(member)
            if len(found) == top and row is not rows[-1]:
                return tuple(found), str(row["RowKey"])
        return tuple(found), token

    async def states(self, group_id: GroupId) -> Mapping[UserId, MemberState]:
        rows = self._tables.query(TABLE, group_id, MEMBER, f"{MEMBER}~", select=["RowKey", "state"])
        return {UserId(row["RowKey"].removeprefix(MEMBER)): MemberState(row["state"]) async for row in rows}

    async def shown(self, group_id: GroupId) -> Mapping[UserId, ShownMember]:
        rows = self._tables.query(TABLE, group_id, MEMBER, f"{MEMBER}~", select=["RowKey", "state", "skuIds"])
        same: dict[tuple[str, str | None], ShownMember] = {}
        found: dict[UserId, ShownMember] = {}
        async for row in rows:
            key = (row["state"], row.get("skuIds"))
            if key not in same:
                same[key] = ShownMember(MemberState(key[0]), None if key[1] is None else sku_ids_of(key[1]))
            found[UserId(row["RowKey"].removeprefix(MEMBER))] = same[key]
        return found

    async def recorded(self, group_id: GroupId, partition: str) -> frozenset[UserId]:
        first = f"{MEMBER}{partition}"
        rows = self._tables.query(TABLE, group_id, first, f"{first}~", select=["RowKey", "state"])
        removed = str(MemberState.REMOVED)
        return frozenset([UserId(row["RowKey"].removeprefix(MEMBER)) async for row in rows if row["state"] != removed])

    async def of_user(self, user_id: UserId, group_ids: Iterable[GroupId]) -> tuple[MemberRow, ...]:
        calls = [partial(self._tables.get, TABLE, group_id, f"{MEMBER}{user_id}") for group_id in group_ids]
        rows = await gather_limited(calls, POINT_GETS)
        return tuple(member_of(row) for row in rows if row is not None)

    async def groups_left(self, user_id: UserId) -> frozenset[GroupId]:
        first = left_row(GroupId(""), user_id)
        rows = self._tables.query(TABLE, first["PartitionKey"], first["RowKey"], f"{first['RowKey']}{LAST}")
        return frozenset([GroupId(row["RowKey"].removeprefix(first["RowKey"])) async for row in rows])
