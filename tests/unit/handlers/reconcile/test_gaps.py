"""Nobody is without both of two products that share service plans, whatever happens to one of them."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.directory import AssignedLicense
from shared.domain.ids import SkuId, UserId
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.ports.messaging import Outgoing
from tests.support.rows import row_of
from tests.support.runs import EXTRA, LARGE, MIA, NOA, OTHER_TEAM, SMALL, Run


def has(run: Run, user_id: UserId) -> set[str]:
    return run.licenses(user_id)


def take(run: Run, user_id: UserId, sku_id: SkuId) -> None:
    """An administrator removes one license."""
    held = run.directory.truth(user_id)
    rest = tuple(row for row in held.license_assignment_states if row.sku_id != sku_id)
    run.directory.change_user(replace(held, license_assignment_states=rest))


async def both(add: object = LARGE) -> tuple[Run, UserId, UserId, list[str]]:
    """Two people, and one who stays, in two groups: one assigns LARGE, the other SMALL and EXTRA. The list: whoever was
    seen without both of LARGE and SMALL."""
    run = Run()
    person, fine, stays = run.people(3)
    for each in (person, fine, stays):
        run.directory.join(OTHER_TEAM, each)
    await run.change([LARGE])
    given = (AssignedLicense(SMALL.sku_id), AssignedLicense(EXTRA.sku_id))
    await run.finish(await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, LicenseChange(given))))
    assert [has(run, each) for each in (person, fine)] == [{"LARGE", "SMALL", "EXTRA"}] * 2
    without: list[str] = []

    def watch(message: Outgoing) -> None:
        without.extend(each for each in (person, fine) if not has(run, each) & {"LARGE", "SMALL"})

    run.before = watch
    return run, person, fine, without


async def leave(run: Run, *users: UserId) -> None:
    for each in users:
        run.directory.leave(OTHER_TEAM, each)
    await run.reconcile(*users, cause="left")


async def test_while_a_desired_product_does_not_show_the_one_that_overlaps_it_stays() -> None:
    run, person, fine, without = await both()
    run.later(minutes=5)
    take(run, person, LARGE.sku_id)
    await leave(run, person, fine)
    assert without == []
    assert (has(run, person), has(run, fine)) == ({"LARGE"}, {"LARGE"})


async def test_a_product_that_does_not_overlap_the_missing_one_goes_as_ever() -> None:
    run, person, fine, _ = await both()
    run.later(minutes=1)
    take(run, person, LARGE.sku_id)
    for each in (person, fine):
        run.directory.leave(OTHER_TEAM, each)
    began = run.world.clock.now()
    gone_at = None

    def watch(message: Outgoing) -> None:
        nonlocal gone_at
        if gone_at is None and "EXTRA" not in has(run, person):
            gone_at = run.world.clock.now()
            assert has(run, person) == {"SMALL"}

    run.before = watch
    await run.reconcile(person, fine, cause="left")
    assert gone_at is not None
    assert (gone_at - began).total_seconds() < 10 * 60


async def sold_out() -> tuple[Run, UserId, UserId, list[str]]:
    """LARGE was taken from the first by hand, and no license of it is available; both left the group of SMALL."""
    run, person, fine, without = await both()
    run.later(hours=1)
    take(run, person, LARGE.sku_id)
    run.directory.add_sku(replace(LARGE, enabled=2))
    await leave(run, person, fine)
    return run, person, fine, without


async def asked(run: Run) -> list[str]:
    return [o.id for o in await run.world.stores.operations.open() if o.state is OperationState.AWAITING_APPROVAL]


async def test_after_a_day_without_the_replacement_a_person_is_asked_and_until_then_it_stays() -> None:
    run, person, fine, without = await sold_out()
    assert (has(run, person), has(run, fine)) == ({"SMALL"}, {"LARGE"})
    run.later(hours=23)
    await run.reconcile(person, cause="a day later")
    assert await asked(run) == []
    run.later(hours=2)
    await sync_all(run.world)
    await run.work_off()
    (operation_id,) = await asked(run)
    assert (has(run, person), without) == ({"SMALL"}, [])
    opened = await approvals.review(run.world, operation_id, MIA)  # type: ignore[arg-type]
    await run.work_off()
    listed = await run.read(opened)
    assert listed.plan.removals == {SMALL.sku_id: 1}
    await approvals.approve(run.world, listed.id, listed.checksum, NOA)
    await run.work_off()
    assert has(run, person) == set()


async def test_when_the_replacement_comes_within_the_day_the_overlapping_product_goes_in_the_same_call() -> None:
    run, person, fine, without = await sold_out()
    assert (await row_of(run, person)).state is MemberState.WAITING
    run.later(hours=20)
    run.directory.add_sku(replace(LARGE, enabled=10))
    await run.reconcile(person, cause="licenses were bought")
    assert (has(run, person), has(run, fine), without) == ({"LARGE"}, {"LARGE"}, [])
    assert await asked(run) == []
