"""A move to native licensing removes a direct license only when `assignedPlans` show the apps of the native one."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.ids import UserId
from shared.domain.move import Direction, MovePhase
from tests.support.moving import PRODUCTS, MovingRun
from tests.support.runs import user

LATE = timedelta(hours=2)


def has_direct(run: MovingRun, user_id: UserId) -> bool:
    return {each.sku_id for each in PRODUCTS} <= run.directory.licenses(user_id).keys()


async def test_a_direct_license_stays_until_the_apps_show_as_enabled() -> None:
    run = MovingRun()
    run.fakes.native.plans_after = LATE
    began = run.world.clock.now()
    people = await run.direct_group(12, nested=1)
    await run.begin(Direction.TO_NATIVE, waves=(100,))
    await run.work_off(lambda: not all(has_direct(run, each) for each in people))
    assert run.world.clock.now() - began >= LATE
    move = await run.complete()
    assert move.phase is MovePhase.DONE
    assert not run.gaps
    assert run.direct_users() == {people[-1]}


async def test_a_user_whose_plans_cannot_be_read_keeps_the_direct_license() -> None:
    run = MovingRun()
    people = await run.direct_group(8)
    run.fakes.native.unreadable_plans = {user(3)}
    await run.begin(Direction.TO_NATIVE, waves=(100,), pilot=(user(1),))
    await run.work_off(lambda: run.direct_users() == {user(3)})
    moments = run.moments
    await run.work_off(lambda: run.moments > moments + 100)
    assert run.direct_users() == {user(3)}
    assert not (await run.move()).phase.is_ended
    run.fakes.native.unreadable_plans = set()
    assert (await run.complete()).phase is MovePhase.DONE
    assert (run.direct_users(), run.still_native()) == (set(), set(people))
    assert not run.gaps


async def test_the_plans_are_read_only_of_users_whose_license_is_about_to_go() -> None:
    run = MovingRun()
    await run.direct_group(8)
    await run.reconcile(*(user(number) for number in range(1, 9)))
    assert "plans" not in run.fakes.native.calls
    await run.begin(Direction.TO_NATIVE)
    await run.complete()
    assert "plans" in run.fakes.native.calls
