"""Counts of members, on the real stores over tables in memory: they equal a recount whatever happened in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shared.adapters.tables.member_row import CHANGED, COUNTER, DIGITS, ERROR, LEFT, MEMBER, TABLE, member_of
from shared.adapters.tables.rows import Op
from shared.adapters.tables.stores import table_stores
from shared.domain.directory import LicenseError
from shared.domain.errors import Unavailable
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.member_counts import MemberCounts, ProductCounts, counted, counts_of
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from shared.ports.world import Stores
from tests.support.worlds import MemoryTables

SALES, STAFF = GroupId(str(UUID(int=100))), GroupId(str(UUID(int=101)))
E3, E5 = SkuId(str(UUID(int=3))), SkuId(str(UUID(int=5)))
NOW = datetime(2026, 3, 4, tzinfo=UTC)


def user(number: int) -> UserId:
    """Users whose ids begin with different digits."""
    return UserId(f"{number % 16:x}{number:07x}-0000-4000-8000-000000000000")


def problem(error: LicenseError, sku_id: SkuId | None) -> Problem:
    return Problem(error, "text", "remedy", sku_id)


def a_row(
    number: int, state: MemberState = MemberState.ACTIVE, *problems: Problem, group: GroupId = SALES, **changes: object
) -> MemberRow:
    skus = (E3,) if state in (MemberState.ACTIVE, MemberState.ACTIVE_WITH_ERROR) else ()
    row = MemberRow(group, user(number), f"u{number}@x", f"U {number}", state, NOW, problems, sku_ids=skus)
    return replace(row, **changes)  # type: ignore[arg-type]


async def from_rows(tables: MemoryTables, group: GroupId) -> MemberCounts:
    """The counts as the rows have them, read without the code under test."""
    return counts_of(counted([member_of(row) async for row in tables.query(TABLE, group, MEMBER, f"{MEMBER}~")]))


async def listed(tables: MemoryTables, group: GroupId) -> set[UserId]:
    return {UserId(row["RowKey"].removeprefix(ERROR)) async for row in tables.query(TABLE, group, ERROR, f"{ERROR}~")}


async def must_agree(tables: MemoryTables, stores: Stores, group: GroupId) -> None:
    """Counts, rows and the list of errors agree."""
    assert await stores.member_counts.count(group) == await from_rows(tables, group)
    rows = [member_of(row) async for row in tables.query(TABLE, group, MEMBER, f"{MEMBER}~")]
    assert await listed(tables, group) == {row.user_id for row in rows if row.state.needs_a_person}


@pytest.fixture
def tables() -> MemoryTables:
    return MemoryTables()


@pytest.fixture
def stores(tables: MemoryTables) -> Stores:
    return table_stores(tables, now=lambda: NOW)


async def test_each_change_of_a_member_is_counted_for_the_group_and_for_each_product(stores: Stores) -> None:
    no_license = problem(LicenseError.COUNT_VIOLATION, E5)
    conflict = problem(LicenseError.MUTUALLY_EXCLUSIVE, E5)
    await stores.members.record([a_row(1), a_row(2, MemberState.WAITING, no_license)])
    await stores.members.record([a_row(3, MemberState.ACTIVE_WITH_ERROR, conflict, no_license)])
    await stores.members.record([a_row(9, group=STAFF)])
    found = await stores.member_counts.count(SALES)
    assert found.states == {"Active": 1, "Waiting": 1, "ActiveWithError": 1}
    assert (found.members, found.of(E3)) == (3, ProductCounts(assigned=2))
    assert found.of(E5) == ProductCounts(waiting=2, errors=1)
    await stores.members.record([a_row(2, sku_ids=(E3, E5))])
    assert await stores.members.forget(SALES, [user(3), user(8)]) == 2
    found = await stores.member_counts.count(SALES)
    assert (found.states, found.of(E5)) == ({"Active": 2}, ProductCounts(assigned=1))
    assert (await stores.member_counts.count(STAFF)).states == {"Active": 1}


async def test_an_error_of_the_whole_user_counts_once_for_each_product(stores: Stores) -> None:
    both = (problem(LicenseError.PROHIBITED_IN_USAGE_LOCATION, None), problem(LicenseError.OTHER, E3))
    await stores.members.record([a_row(1, MemberState.ERROR, *both), a_row(2, MemberState.ERROR, both[1])])
    found = await stores.member_counts.count(SALES)
    assert (found.of(E3).errors, found.of(E5).errors) == (2, 1)


async def test_members_who_left_are_no_members_and_those_who_were_removed_have_no_product(stores: Stores) -> None:
    held = a_row(1, MemberState.PENDING, left=True, sku_ids=(E3,))
    gone = a_row(2, MemberState.REMOVED, left=True, sku_ids=(E3,))
    await stores.members.record([held, gone, a_row(3)])
    found = await stores.member_counts.count(SALES)
    assert (found.members, found.of(E3).assigned) == (1, 2)
    assert (await stores.members.page(SALES, 9))[0] == tuple(sorted([held, gone, a_row(3)], key=lambda r: r.user_id))


async def test_rows_of_an_earlier_version_are_counted_when_their_digit_is_written(
    tables: MemoryTables, stores: Stores
) -> None:
    await stores.members.record([a_row(number) for number in range(40)])
    for digit in DIGITS:
        await tables.delete(TABLE, SALES, f"{COUNTER}{digit}")
    assert await stores.member_counts.counts(SALES) is None
    await stores.members.record([a_row(1, MemberState.ERROR)])
    assert await stores.member_counts.counts(SALES) is None
    assert (await stores.member_counts.count(SALES)).states == {"Active": 39, "Error": 1}
    assert await stores.member_counts.counts(SALES) == await stores.member_counts.count(SALES)


async def test_a_recount_corrects_counts_and_the_list_of_errors(tables: MemoryTables, stores: Stores) -> None:
    """Rows were written by an earlier version while this one ran, and a ghost was left in the list."""
    await stores.members.record([a_row(16), a_row(32), a_row(48, MemberState.ERROR)])
    row = await tables.get(TABLE, SALES, f"{MEMBER}{user(16)}")
    assert row is not None
    await tables.write(TABLE, Op("upsert", {**row, "state": str(MemberState.REMOVED)}))
    await tables.write(TABLE, Op("upsert", {**row, "RowKey": f"{ERROR}{user(32)}"}))
    await tables.delete(TABLE, SALES, f"{ERROR}{user(48)}")
    assert await stores.member_counts.recount(SALES, "0")
    await must_agree(tables, stores, SALES)
    assert not await stores.member_counts.recount(SALES, "0")


async def test_a_recount_names_groups_left_before_the_names_were_stored(tables: MemoryTables, stores: Stores) -> None:
    await stores.members.record([a_row(16, MemberState.REMOVED, left=True), a_row(32)])
    await tables.clear(TABLE, f"{LEFT}0")
    assert await stores.members.groups_left(user(16)) == frozenset()
    assert not await stores.member_counts.recount(SALES, "0")
    assert await stores.members.groups_left(user(16)) == {SALES}
    assert await stores.members.groups_left(user(32)) == frozenset()


async def test_a_member_who_is_missing_in_the_list_of_errors_can_be_written(
    tables: MemoryTables, stores: Stores
) -> None:
    await stores.members.record([a_row(1, MemberState.ERROR), a_row(2, MemberState.ERROR)])
    await tables.delete(TABLE, SALES, f"{ERROR}{user(1)}")
    await stores.members.record([a_row(1), a_row(2)])
    await must_agree(tables, stores, SALES)


async def test_a_change_names_its_group_until_it_is_settled(tables: MemoryTables) -> None:
    at = [NOW]
    first, second = (table_stores(tables, now=lambda: at[0]) for _ in range(2))
    await first.members.record([a_row(1)])
    await second.members.record([a_row(1, group=STAFF)])
    known = await first.member_counts.changed()
    assert [(each.group_id, each.at) for each in known] == [(SALES, NOW), (STAFF, NOW)]
    at[0] += timedelta(minutes=1)
    await second.members.record([a_row(2)])
    for each in known:
        await first.member_counts.settled(each)
    assert [each.group_id for each in await first.member_counts.changed()] == [SALES]
    assert tables.rows(TABLE, CHANGED) == 1


async def test_a_large_record_is_written_in_transactions_that_each_fit(tables: MemoryTables, stores: Stores) -> None:
    states = (MemberState.ACTIVE, MemberState.ERROR)
    await stores.members.record([a_row(number, states[number % 2]) for number in range(300)])
    await stores.members.record([a_row(number, states[(number + 1) % 2]) for number in range(300)])
    await must_agree(tables, stores, SALES)
    assert await stores.members.forget(SALES, [user(number) for number in range(300)]) == 450
    assert await stores.member_counts.count(SALES) == MemberCounts()


class LateTables(MemoryTables):
    """Every answer comes after the other workers had their turn; a few answers to writes are lost."""

    def __init__(self) -> None:
        super().__init__()
        self.lost_answers = 0
        self.conflicts = 0

    async def _answering(self) -> None:
        await asyncio.sleep(0)
        await super()._answering()

    async def transact(self, name: str, ops: Sequence[Op]) -> list[str]:
        try:
            done = await super().transact(name, ops)
        except Exception:
            self.conflicts += 1
            raise
        if self.lost_answers:
            self.lost_answers -= 1
            raise Unavailable(None, "the answer was lost")
        return done


async def test_workers_that_write_the_same_group_at_once_lose_no_count() -> None:
    tables = LateTables()
    workers = [table_stores(tables, now=lambda: NOW) for _ in range(4)]
    states = list(MemberState)
    for round_ in range(5):
        await asyncio.gather(
            *(
                worker.members.record([a_row(n, states[(n + round_ * 3 + number) % 7]) for n in range(number, 20)])
                for number, worker in enumerate(workers)
            )
        )
    assert tables.conflicts > 0
    await must_agree(tables, workers[0], SALES)


people = st.integers(0, 6)
wrong = st.sampled_from(
    [
        (),
        (problem(LicenseError.COUNT_VIOLATION, E5),),
        (problem(LicenseError.OTHER, E3), problem(LicenseError.COUNT_VIOLATION, E5)),
        (problem(LicenseError.NOT_FOUND, None),),
    ]
)
writes = st.tuples(
    st.sampled_from(["record", "forget", "recount"]),
    st.lists(st.tuples(people, st.sampled_from(list(MemberState)), wrong), min_size=1, max_size=4),
    st.sampled_from([SALES, STAFF]),
    st.sampled_from(["done", "twice", "killed", "answer lost", "two at once"]),
)


async def test_two_writers_who_write_the_same_counts_are_never_taken_for_one() -> None:
    sent: list[Op] = []

    class Hierarchy(MemoryTables):
        async def transact(self, name: str, ops: Sequence[Op]) -> list[str]:
            sent.extend(ops)
            return await super().transact(name, ops)

    await table_stores(Hierarchy(), now=lambda: NOW).members.record([a_row(1)])
    assert [op.counts for op in sent if op.row["RowKey"].startswith(COUNTER)] == [True]


@settings(max_examples=100, deadline=None, phases=(Phase.explicit, Phase.generate))
@given(st.lists(writes, min_size=1, max_size=12), st.integers(0, 3))
async def test_counts_equal_a_recount_after_any_writes_kills_and_repeats(
    history: list[tuple[str, list[tuple[int, MemberState, tuple[Problem, ...]]], GroupId, str]], after: int
) -> None:
    tables = LateTables()
    workers = [table_stores(tables, now=lambda: NOW) for _ in range(2)]
    for number, (kind, members, group, fate) in enumerate(history):
        stores, other = workers[number % 2], workers[(number + 1) % 2]

        async def act(
            stores: Stores,
            kind: str = kind,
            members: list[tuple[int, MemberState, tuple[Problem, ...]]] = members,
            group: GroupId = group,
        ) -> None:
            if kind == "record":
                await stores.members.record([a_row(n, state, *found, group=group) for n, state, found in members])
            elif kind == "forget":
                await stores.members.forget(group, [user(n) for n, _, _ in members])
            else:
                await stores.member_counts.recount(group, f"{members[0][0]:x}")

        if fate == "killed":
            tables.dies_after = after
        if fate == "answer lost":
            tables.lost_answers = 1
        try:
            await asyncio.gather(*(act(each) for each in ((stores, other) if fate == "two at once" else (stores,))))
        except Unavailable:
            tables.dies_after, tables.lost_answers = None, 0
            # The message is delivered again, to another worker.
            await act(other)
        tables.dies_after, tables.lost_answers = None, 0
        if fate == "twice":
            await act(other)
        for each in (SALES, STAFF):
            await must_agree(tables, stores, each)
    found = await workers[1].member_counts.count(SALES)
    assert sum(found.states.values()) == len(await workers[0].members.states(SALES))
