"""Counts of members against Azurite, with several workers on one group."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

from shared.adapters.tables.client import Tables
from shared.adapters.tables.member_row import COUNTER, DIGITS, ERROR, TABLE
from shared.adapters.tables.stores import table_stores
from shared.domain.directory import LicenseError
from shared.domain.ids import UserId
from shared.domain.member_counts import ProductCounts, counted, counts_of
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from shared.ports.world import Stores
from tests.support.table_rows import E3, E5, NOW, SALES, STAFF

WAITS = Problem(LicenseError.COUNT_VIOLATION, "text", "remedy", E5)


def a_row(user_id: UserId, state: MemberState) -> MemberRow:
    problems = (WAITS,) if state.needs_a_person else ()
    return MemberRow(SALES, user_id, "u@x", "U", state, NOW, problems, sku_ids=(E3,))


async def all_rows(stores: Stores) -> list[MemberRow]:
    rows, token = await stores.members.page(SALES, 1000)
    assert token is None
    return list(rows)


async def test_workers_on_one_group_lose_no_count(tables: Tables) -> None:
    workers = [table_stores(tables) for _ in range(3)]
    people = sorted(UserId(str(uuid4())) for _ in range(120))
    states = (MemberState.ACTIVE, MemberState.WAITING, MemberState.REMOVED)

    async def work(number: int) -> None:
        for start in range(0, len(people) - 30, 10):
            state = states[(number + start // 10) % 3]
            await workers[number].members.record([a_row(each, state) for each in people[start : start + 40]])

    await asyncio.gather(*(work(number) for number in range(3)))
    await workers[0].members.forget(SALES, people[:7])
    rows = await all_rows(workers[1])
    found = await workers[1].member_counts.count(SALES)
    assert found == counts_of(counted(rows))
    assert found.states == Counter(str(row.state) for row in rows)
    errors, _ = await workers[1].members.errors(SALES, 1000)
    assert len(errors) == found.states["Waiting"] == found.of(E5).waiting
    assert not any([await workers[2].member_counts.recount(SALES, digit) for digit in DIGITS])


async def test_members_far_apart_are_found_among_many_others(stores: Stores) -> None:
    people = sorted(UserId(str(uuid4())) for _ in range(300))
    await stores.members.record(a_row(each, MemberState.WAITING) for each in people)
    far_apart = people[::29]
    await stores.members.record(a_row(each, MemberState.ACTIVE) for each in far_apart)
    found = await stores.member_counts.count(SALES)
    assert found.states == {"Active": len(far_apart), "Waiting": len(people) - len(far_apart)}
    assert (found.members, found.of(E3)) == (300, ProductCounts(assigned=300))


async def test_a_recount_is_right_where_a_member_of_the_list_is_gone(tables: Tables, stores: Stores) -> None:
    person = UserId(str(uuid4()))
    await stores.members.record([a_row(person, MemberState.ERROR)])
    await tables.delete(TABLE, SALES, f"{ERROR}{person}")
    await tables.delete(TABLE, SALES, f"{COUNTER}{person[0]}")
    await stores.members.record([a_row(person, MemberState.ACTIVE)])
    assert (await stores.member_counts.count(SALES)).states == {"Active": 1}
    await stores.members.record([a_row(person, MemberState.ERROR)])
    await tables.delete(TABLE, SALES, f"{ERROR}{person}")
    assert await stores.member_counts.recount(SALES, person[0])
    assert len((await stores.members.errors(SALES, 9))[0]) == 1


async def test_changed_groups_are_named_until_they_are_settled(stores: Stores) -> None:
    await stores.members.record([a_row(UserId(str(uuid4())), MemberState.ACTIVE)])
    await stores.members.record([replace(a_row(UserId(str(uuid4())), MemberState.ACTIVE), group_id=STAFF)])
    first, second = await stores.member_counts.changed()
    assert (first.group_id, second.group_id) == (SALES, STAFF)
    assert abs(first.at - second.at) < timedelta(minutes=1)
    await stores.member_counts.settled(replace(first, version=second.version))
    assert len(await stores.member_counts.changed()) == 2
    await stores.member_counts.settled(first)
    assert await stores.member_counts.changed() == (second,)
