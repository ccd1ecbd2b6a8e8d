"""Moves against Azurite: they come back whole, one is open for a group, and old ones go with their pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.tables.client import Tables
from shared.adapters.tables.moves import TABLE
from shared.domain.assignment import Engine, GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import AssignedLicense
from shared.domain.errors import Conflict
from shared.domain.ids import GroupId
from shared.domain.move import Direction, Move, MovePhase, ended
from shared.domain.move_members import MoveVerdict, Needed
from shared.domain.move_report import Had, MemberBefore
from shared.ports.world import Stores
from tests.support.table_rows import E3, E5, ME, NOW, SALES, STAFF, TEAMS, YAMMER, user

PRODUCTS = (AssignedLicense(E3, frozenset({TEAMS})), AssignedLicense(E5))


def a_move(number: int = 1, group: GroupId = SALES, **changes: object) -> Move:
    made = Move(
        id=f"0199aaaa{number:04x}" + "0" * 20,
        group_id=group,
        direction=Direction.TO_NATIVE,
        initiator=ME,
        created_at=NOW,
        phase=MovePhase.WAVES,
        step=7,
        paused="2 members cannot be moved.",
        paused_by=ME,
        accepted="toNative/1",
        display_name="Sales",
        products=PRODUCTS,
        former=GroupLicenseAssignment(group, (SkuAssignment(E3, frozenset({TEAMS})),), engine=Engine.DIRECT, version=4),
        native_added=(E5,),
        pilot=(user(1), user(2)),
        waves=(25, 100),
        wave=1,
        intent_version=9,
        sent_at=NOW,
        reprocessed_at=NOW + timedelta(seconds=1),
        verified=(NOW, NOW + timedelta(minutes=1)),
        checksum="c",
        approved_by=ME,
        approved_at=NOW,
        members=7,
        nested=2,
        protected=1,
        verdicts={MoveVerdict.READY: 5, MoveVerdict.NESTED_ONLY: 2},
        newly_licensed=3,
        needed=Needed({E3: 3, E5: 0}, {E3: 10, E5: 1}),
        pages=2,
        errors=1,
        problem="not sent",
        progress_at=NOW + timedelta(minutes=2),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def test_a_move_comes_back_whole_and_a_stale_one_is_not_saved(stores: Stores) -> None:
    assert await stores.moves.get(SALES) is None
    stored = await stores.moves.insert(a_move())
    assert stored.version
    assert await stores.moves.get(SALES, stored.id) == stored
    assert await stores.moves.open() == (stored,)
    later = await stores.moves.save(replace(stored, step=8, paused="", paused_by=None))
    with pytest.raises(Conflict):
        await stores.moves.save(replace(stored, step=9))
    assert await stores.moves.get(SALES) == later
    assert await stores.moves.get(SALES, "no-such-move") is None


async def test_a_group_has_one_open_move_and_a_preview_beside_it(stores: Stores) -> None:
    first = await stores.moves.insert(a_move(1))
    with pytest.raises(Conflict):
        await stores.moves.insert(a_move(2))
    preview = await stores.moves.insert(a_move(3, phase=MovePhase.COUNT))
    other = await stores.moves.insert(a_move(4, STAFF))
    assert {each.id for each in await stores.moves.open()} == {first.id, preview.id, other.id}
    newest = await stores.moves.get(SALES)
    assert newest is not None and newest.id == preview.id
    await stores.moves.save(ended(preview, MovePhase.PREVIEW, NOW))
    await stores.moves.save(ended(first, MovePhase.DONE, NOW))
    assert await stores.moves.open() == (other,)
    again = await stores.moves.insert(a_move(5))
    assert {each.id for each in await stores.moves.open()} == {other.id, again.id}


async def test_a_process_that_died_before_it_stored_the_move_blocks_no_later_one(
    stores: Stores, tables: Tables
) -> None:
    lost = a_move(1)
    await tables.upsert_all(
        TABLE, [{"PartitionKey": "open", "RowKey": str(SALES), "moveId": lost.id, "groupId": str(SALES)}]
    )
    assert await stores.moves.open() == ()
    made = await stores.moves.insert(a_move(2))
    assert await stores.moves.open() == (made,)


async def test_pages_of_members_come_back_in_order_and_a_repeated_page_replaces_itself(stores: Stores) -> None:
    move = await stores.moves.insert(a_move())
    off = frozenset({TEAMS})
    first = [
        MemberBefore(
            user(1), False, {E3: Had(off, frozenset({"native"})), E5: Had(frozenset(), frozenset({"direct"}))}
        ),
        MemberBefore(user(2), True, {E3: Had(frozenset({TEAMS, YAMMER}), frozenset({"native", "otherGroup"}))}),
    ]
    second = [MemberBefore(user(3))]
    await stores.moves.write_page(move, 0, second)
    await stores.moves.write_page(move, 1, second)
    await stores.moves.write_page(move, 0, first)
    await stores.moves.write_page(move, 2, first)  # of a step that died: the move has two pages
    assert [list(page) async for page in stores.moves.pages(move)] == [first, second]


async def test_a_page_of_a_thousand_members_is_one_row(stores: Stores) -> None:
    move = await stores.moves.insert(a_move(pages=1))
    members = [MemberBefore(user(n), False, {E3: Had(frozenset({TEAMS}), frozenset({"native"}))}) for n in range(999)]
    await stores.moves.write_page(move, 0, members)
    assert [list(page) async for page in stores.moves.pages(move)] == [members]


async def test_old_moves_go_with_their_pages_and_open_ones_stay(stores: Stores, tables: Tables) -> None:
    old = await stores.moves.insert(a_move(1, paused="", paused_by=None))
    await stores.moves.write_page(old, 0, [MemberBefore(user(1))])
    await stores.moves.save(ended(old, MovePhase.DONE, NOW))
    young = await stores.moves.insert(a_move(2, STAFF))
    await stores.moves.write_page(young, 0, [MemberBefore(user(2))])
    assert await stores.moves.forget(NOW) == 0, "it ended at this very moment"
    assert await stores.moves.forget(NOW + timedelta(days=1)) == 1
    assert await stores.moves.get(SALES) is None
    assert await stores.moves.get(STAFF) == young
    left = [row["PartitionKey"] async for row in tables.query(TABLE, "page-", to_partition="page-~")]
    assert left == [f"page-{young.id}"]
