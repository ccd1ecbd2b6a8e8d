"""Rows of members against Azurite: the error list, states, counts and pages of a group."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.directory import LicenseError
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from shared.ports.world import Stores
from tests.support.table_rows import E3, NOW, OPERATION, SALES, STAFF, user


def a_member(number: int, state: MemberState) -> MemberRow:
    problem = Problem(LicenseError.COUNT_VIOLATION, "text", "remedy", E3)
    problems = (problem, replace(problem, sku_id=None)) if state.needs_a_person else ()
    return MemberRow(
        SALES,
        user(number),
        f"u{number}@x",
        f"U {number}",
        state,
        NOW,
        problems,
        ("note",),
        (E3,),
        2,
        NOW,
        NOW,
        NOW,
        OPERATION,
    )


async def test_members_in_error_stand_in_the_error_list_until_they_are_well(stores: Stores) -> None:
    rows = [a_member(1, MemberState.ERROR), a_member(2, MemberState.ACTIVE), a_member(3, MemberState.WAITING)]
    await stores.members.record(rows)
    assert (await stores.members.errors(SALES, 10))[0] == (rows[0], rows[2])
    assert (await stores.members.page(SALES, 10))[0] == tuple(rows)
    assert await stores.members.page(SALES, 1, None, MemberState.WAITING) == ((rows[2],), None)
    assert await stores.members.page(SALES, 1, None, MemberState.PENDING) == ((), None)
    well = a_member(1, MemberState.ACTIVE)
    await stores.members.record([well, a_member(2, MemberState.ERROR)])
    assert [row.user_id for row in (await stores.members.errors(SALES, 10))[0]] == [user(2), user(3)]
    assert await stores.members.states(SALES) == {
        user(1): MemberState.ACTIVE,
        user(2): MemberState.ERROR,
        user(3): MemberState.WAITING,
    }
    shown = await stores.members.shown(SALES)
    assert shown == {user_id: (state, (E3,)) for user_id, state in (await stores.members.states(SALES)).items()}
    assert (await stores.member_counts.count(SALES)).states == {"Active": 1, "Error": 1, "Waiting": 1}
    assert await stores.members.of_user(user(1), [SALES, STAFF]) == (well,)
    await stores.members.forget(SALES, [user(2), user(9)])
    assert len((await stores.members.page(SALES, 10))[0]) == 2


async def test_a_group_of_more_than_a_page_of_rows_is_read_to_its_end(stores: Stores) -> None:
    await stores.members.record(a_member(number, MemberState.ACTIVE) for number in range(1, 1103))
    assert len(await stores.members.states(SALES)) == 1102
    first, token = await stores.members.page(SALES, 1000)
    second, end = await stores.members.page(SALES, 1000, token)
    assert (len(first), len(second), end) == (1000, 102, None)
    assert {row.user_id for row in first}.isdisjoint({row.user_id for row in second})


async def test_recorded_members_are_read_by_the_first_digit_of_their_id(stores: Stores) -> None:
    gone, there = a_member(1, MemberState.REMOVED), a_member(2, MemberState.PENDING)
    await stores.members.record([gone, there])
    digit = there.user_id[:1]
    assert await stores.members.recorded(there.group_id, digit) == {there.user_id}
    assert await stores.members.recorded(there.group_id, "e" if digit != "e" else "d") == frozenset()
