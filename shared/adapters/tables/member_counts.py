"""The one place that writes rows of members, and the counts that it writes in the same transaction.

A counter has the members of a group whose ids begin with one hex digit. A transaction replaces the counters of its
digits if they are unchanged since they were read, which is before the members are. A lost race is read again, so the
counts equal the rows after a crash, a repeated write and a lost answer.
`recount` is for rows that were written in another way, such as by an earlier version while this one is deployed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from shared.adapters.tables.by_user import POINT_GETS
from shared.adapters.tables.client import LAST, Tables, gather_limited
from shared.adapters.tables.member_row import (
    CHANGED,
    COUNTER,
    DIGITS,
    ERROR,
    MEMBER,
    TABLE,
    left_row,
    member_of,
    row_of,
)
from shared.adapters.tables.packing import dump, must_be_time, time_text
from shared.adapters.tables.rows import MAX_TRANSACTION, Op, Row, joined_body, split_body, transactions
from shared.domain import member_counts
from shared.domain.concurrency import update
from shared.domain.errors import Conflict, NotFound
from shared.domain.ids import GroupId, UserId
from shared.domain.member_counts import MemberCounts, counts_of
from shared.domain.read_models import MemberRow, following
from shared.domain.snapshot_pages import partition_of
from shared.ports.count_stores import ChangedGroup

MAX_TRIES = 30
"""Of one write. Another writer has finished whenever one is lost, so that work goes on."""

MARKED_FOR = timedelta(seconds=30)
"""How long this process relies on its mark of a group; marks last longer (`group_status.SETTLED_AFTER`)."""

ROWS_FOR_A_GET = 3
"""Rows of other members, for each that is wanted, that a range query reads before the rest is read one by one."""


@dataclass(frozen=True, slots=True)
class _Counter:
    """The numbers of one digit. `etag`: None while they are not stored."""

    numbers: Mapping[str, int]
    etag: str | None


@dataclass(frozen=True, slots=True)
class _Stored:
    """The stored rows of some members. `listed`: those in the list of errors."""

    counters: Mapping[str, _Counter]
    rows: Mapping[UserId, MemberRow]
    listed: frozenset[UserId]


class TableMemberCounts:
    """Implements MemberCountStore, and the writes of MemberStore."""

    def __init__(self, tables: Tables, now: Callable[[], datetime]) -> None:
        self._tables = tables
        self._now = now
        self._marked: dict[GroupId, datetime] = {}

    async def write(self, group_id: GroupId, members: Mapping[UserId, MemberRow | None]) -> int:
        """Write the rows of members, or delete those of members without a row. Returns how many rows were deleted.
        Raises Conflict if every try lost a race."""
        deleted = 0
        for part in _parts(group_id, members):
            await self._mark(group_id)
            deleted += await self._write(group_id, part)
        # The mark can have been too old if the write took long.
        await self._mark(group_id)
        return deleted

    async def _write(self, group_id: GroupId, members: Mapping[UserId, MemberRow | None]) -> int:
        is_list_wrong = False

        async def save(changed: tuple[_Stored, list[Op]]) -> int:
            nonlocal is_list_wrong
            stored, ops = changed
            # Before the rows: a crash in between names a group without such a row, which readers skip.
            await self._tables.upsert_all(TABLE, [left_row(group_id, user_id) for user_id in _leavers(stored, members)])
            try:
                await self._tables.transact(TABLE, ops)
            except NotFound as fault:
                is_list_wrong = True
                raise Conflict(f"the list of errors of group {group_id} lacks a member in error") from fault
            await self._tables.delete_rows(TABLE, [left_row(group_id, user_id) for user_id in _gone(stored, members)])
            return sum(op.kind == "delete" for op in ops)

        async def read() -> _Stored:
            return await self._stored(group_id, sorted(members), read_list=is_list_wrong)

        def change(stored: _Stored) -> tuple[_Stored, list[Op]] | None:
            ops = _ops(group_id, stored, members)
            return (stored, ops) if ops else None

        return await update(read, change, save, tries=MAX_TRIES) or 0

    async def _stored(self, group_id: GroupId, user_ids: list[UserId], *, read_list: bool) -> _Stored:
        counters = await self._counters(group_id, partition_of(user_ids[0]), partition_of(user_ids[-1]))
        for digit in {partition_of(user_id) for user_id in user_ids} - counters.keys():
            numbers = member_counts.counted([row async for row in self._of_digit(group_id, digit)])
            counters[digit] = _Counter(numbers, None)
        rows = await self._rows(group_id, user_ids)
        listed = frozenset(user_id for user_id, row in rows.items() if row.state.needs_a_person)
        if read_list:
            listed = await self._listed(group_id, user_ids[0], user_ids[-1])
        return _Stored(counters, rows, listed)

    async def _counters(self, group_id: GroupId, first: str = DIGITS[0], last: str = DIGITS[-1]) -> dict[str, _Counter]:
        rows = self._tables.query(TABLE, group_id, f"{COUNTER}{first}", f"{COUNTER}{last}")
        return {
            row["RowKey"].removeprefix(COUNTER): _Counter(json.loads(joined_body(row)), row["etag"])
            async for row in rows
        }

    async def _of_digit(self, group_id: GroupId, digit: str) -> AsyncIterator[MemberRow]:
        async for row in self._tables.query(TABLE, group_id, f"{MEMBER}{digit}", f"{MEMBER}{digit}{LAST}"):
            yield member_of(row)

    async def _rows(self, group_id: GroupId, user_ids: list[UserId]) -> dict[UserId, MemberRow]:
        """One range query; the rest one by one if many other members are between them."""
        first, last, most = f"{MEMBER}{user_ids[0]}", f"{MEMBER}{user_ids[-1]}", ROWS_FOR_A_GET * len(user_ids)
        wanted, found = frozenset(user_ids), dict[UserId, MemberRow]()
        seen, reached = 0, ""
        async for row in self._tables.query(TABLE, group_id, first, last, rows_a_page=most):
            seen, reached = seen + 1, row["RowKey"].removeprefix(MEMBER)
            if reached in wanted:
                found[UserId(reached)] = member_of(row)
            if seen == most:
                break
        if seen == most:
            rest = [user_id for user_id in user_ids if user_id > reached]
            calls = [partial(self._tables.get, TABLE, group_id, f"{MEMBER}{user_id}") for user_id in rest]
            rows = [row for row in await gather_limited(calls, POINT_GETS) if row is not None]
            found |= {member.user_id: member for member in map(member_of, rows)}
        return found

    async def _listed(self, group_id: GroupId, first: str, last: str) -> frozenset[UserId]:
        rows = self._tables.query(TABLE, group_id, f"{ERROR}{first}", f"{ERROR}{last}", select=["RowKey"])
        return frozenset([UserId(row["RowKey"].removeprefix(ERROR)) async for row in rows])

    async def counts(self, group_id: GroupId) -> MemberCounts | None:
        counters = await self._counters(group_id)
        return _total(counters) if len(counters) == len(DIGITS) else None

    async def count(self, group_id: GroupId) -> MemberCounts:
        counters = await self._counters(group_id)
        missing = [digit for digit in DIGITS if digit not in counters]
        for digit in missing:
            await self.recount(group_id, digit)
        return _total(await self._counters(group_id) if missing else counters)

    async def recount(self, group_id: GroupId, digit: str) -> bool:
        async def save(ops: list[Op]) -> bool:
            await self._tables.transact(TABLE, ops)
            return len(ops) > 1 or ops[0].kind == "replace"

        was_wrong = await update(partial(self._recounted, group_id, digit), lambda ops: ops, save, tries=MAX_TRIES)
        if was_wrong:
            await self._mark(group_id)
        return bool(was_wrong)

    async def _recounted(self, group_id: GroupId, digit: str) -> list[Op] | None:
        """What makes the counter of a digit and its part of the list of errors right; None if they are. Of a list with
        very many faults, as many as fit in a transaction: the next recount goes on."""
        known = (await self._counters(group_id, digit, digit)).get(digit) or _Counter({}, None)
        rows = [row async for row in self._of_digit(group_id, digit)]
        # An earlier version wrote no such rows, and a deletion can lose a race with the next time that a user leaves.
        await self._tables.upsert_all(TABLE, [left_row(group_id, row.user_id) for row in rows if row.left])
        listed = await self._listed(group_id, digit, f"{digit}{LAST}")
        wanted = {row.user_id: row for row in rows if row.state.needs_a_person}
        missing = [Op("upsert", row_of(row, ERROR)) for user_id, row in wanted.items() if user_id not in listed]
        ghosts = [_deletion(group_id, f"{ERROR}{user_id}") for user_id in listed - wanted.keys()]
        fixes = next(transactions([op] for op in (*missing, *ghosts)), [])[: MAX_TRANSACTION - 1]
        numbers = member_counts.counted(rows)
        if not fixes and known.etag is not None and known.numbers == numbers:
            return None
        return [_counter_op(group_id, digit, known.etag, numbers), *fixes]

    async def _mark(self, group_id: GroupId) -> None:
        """Name the group among those that changed, before its rows are written: a crash must not hide the change."""
        now, marked = self._now(), self._marked.get(group_id)
        if marked is None or now - marked > MARKED_FOR:
            await self._tables.upsert_all(TABLE, [{"PartitionKey": CHANGED, "RowKey": group_id, "at": time_text(now)}])
            self._marked[group_id] = now

    async def changed(self) -> tuple[ChangedGroup, ...]:
        return tuple(
            [
                ChangedGroup(GroupId(row["RowKey"]), must_be_time(row["at"]), row["etag"])
                async for row in self._tables.query(TABLE, CHANGED)
            ]
        )

    async def settled(self, group: ChangedGroup) -> None:
        await self._tables.delete_rows(
            TABLE, [{"PartitionKey": CHANGED, "RowKey": group.group_id, "etag": group.version}]
        )


def _parts(group_id: GroupId, members: Mapping[UserId, MemberRow | None]) -> Iterable[dict[UserId, MemberRow | None]]:
    """The members of one transaction each, with room for all counters and for two rows of each member."""
    pairs = (_pair(group_id, user_id, members[user_id]) for user_id in sorted(members))
    for ops in transactions(pairs, most=MAX_TRANSACTION - len(DIGITS)):
        ids = [UserId(op.row["RowKey"].removeprefix(MEMBER)) for op in ops if op.row["RowKey"].startswith(MEMBER)]
        yield {user_id: members[user_id] for user_id in ids}


def _pair(group_id: GroupId, user_id: UserId, member: MemberRow | None) -> list[Op]:
    """The operations on the row of a member and on the one in the list of errors: each is written or deleted."""
    is_listed = member is not None and member.state.needs_a_person
    return [
        Op("upsert", row_of(member, prefix)) if member and is_kept else _deletion(group_id, f"{prefix}{user_id}")
        for prefix, is_kept in ((MEMBER, True), (ERROR, is_listed))
    ]


def _deletion(group_id: GroupId, key: str) -> Op:
    return Op("delete", {"PartitionKey": group_id, "RowKey": key})


def _ops(group_id: GroupId, stored: _Stored, members: Mapping[UserId, MemberRow | None]) -> list[Op] | None:
    """The counters first: a lost race is a Conflict then, whatever else has changed. None if there is nothing to do."""
    numbers = {partition_of(user_id): stored.counters[partition_of(user_id)].numbers for user_id in members}
    ops: list[Op] = []
    for user_id, member in members.items():
        before, digit = stored.rows.get(user_id), partition_of(user_id)
        member = following(before, member) if member is not None else None
        numbers[digit] = member_counts.changed(numbers[digit], before, member)
        there = (before is not None, user_id in stored.listed)
        ops += [
            op
            for op, is_there in zip(_pair(group_id, user_id, member), there, strict=True)
            if is_there or op.kind != "delete"
        ]
    if not ops:
        return None
    return [*(_counter_op(group_id, d, stored.counters[d].etag, numbers[d]) for d in sorted(numbers)), *ops]


def _leavers(stored: _Stored, members: Mapping[UserId, MemberRow | None]) -> list[UserId]:
    """Users whose rows say from now on that they left the group."""
    left = {user_id for user_id, row in members.items() if row is not None and row.left}
    return sorted(left - {user_id for user_id, row in stored.rows.items() if row.left})


def _gone(stored: _Stored, members: Mapping[UserId, MemberRow | None]) -> list[UserId]:
    """Users who left the group and whose rows are deleted. The group of a user who has returned stays named: to delete
    that name could race with the next time that the user leaves."""
    return sorted(user_id for user_id, row in stored.rows.items() if row.left and members[user_id] is None)


def _counter_op(group_id: GroupId, digit: str, etag: str | None, numbers: Mapping[str, int]) -> Op:
    row: Row = {"PartitionKey": group_id, "RowKey": f"{COUNTER}{digit}", **split_body(dump(numbers))}
    # Two writers who start from the same numbers may write the same: see `attempts.py`.
    return Op("create" if etag is None else "replace", row, etag, counts=True)


def _total(counters: Mapping[str, _Counter]) -> MemberCounts:
    total: Counter[str] = Counter()
    for counter in counters.values():
        total.update(counter.numbers)
    return counts_of(total)
