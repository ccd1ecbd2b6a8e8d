"""Moves of a group between native and direct licensing, from the request to the last step."""

from __future__ import annotations

from shared.domain.assignment import Enforcement, Engine
from shared.domain.move import Direction, MovePhase
from shared.domain.move_members import MoveVerdict
from tests.support.moving import PRODUCTS, MovingRun
from tests.support.runs import TEAM


async def test_a_move_to_direct_leaves_everybody_with_the_same_plans() -> None:
    run = MovingRun()
    people = run.native_group(30, nested=3, broken=2)
    await run.begin(Direction.TO_DIRECT)
    move = await run.complete()
    assert (move.phase, run.gaps) == (MovePhase.DONE, [])
    assert run.still_native() == set()
    assert run.direct_users() == set(people)
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert stored.assignment.engine is Engine.DIRECT
    assert {each.enforcement for each in stored.assignment.skus} == {Enforcement.ENFORCED}
    assert not stored.assignment.options.allow_native_overlap
    assert (move.members, move.nested) == (33, 3)
    assert move.needed.licenses == {each.sku_id: 5 for each in PRODUCTS}
    assert move.verdicts[MoveVerdict.READY] == 28


async def test_a_move_back_to_native_leaves_nested_members_direct() -> None:
    run = MovingRun()
    people = run.native_group(30, nested=3)
    await run.begin(Direction.TO_DIRECT)
    await run.complete()
    run.gaps.clear()
    await run.begin(Direction.TO_NATIVE)
    move = await run.complete()
    assert (move.phase, run.gaps) == (MovePhase.DONE, [])
    assert run.still_native() == set(people[:30])
    assert run.direct_users() == set(people[30:])
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert (stored.assignment.engine, stored.assignment.skus) == (Engine.NATIVE, ())
    assert set(stored.assignment.native) == set(PRODUCTS)
    assert move.needed.licenses == {each.sku_id: 0 for each in PRODUCTS}
