"""Bridge licenses in a swap on a natively managed group: a member in error keeps the former product directly, until
native licensing assigns the new one."""

from __future__ import annotations

from shared.domain.directory import AssignedLicense
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.membership.watching import find_groups
from shared.handlers.operations.accept import accept
from shared.ports.messaging import Outgoing
from tests.support.native_runs import NativeRun
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, user

SUITES = {"SMALL", "LARGE"}
FAILED = user(3)
"""The member for whom LARGE has an error that no forecast shows."""


async def in_error_after_the_first_call() -> tuple[NativeRun, Operation]:
    """Four members; the first has nothing of the group, so that the swap is made in two calls. In the tenant, members
    keep the products that they have (switch `failedGroupProduct`)."""
    run = await NativeRun.of(4, [SMALL, EXTRA])
    run.native.give(run.members[0], TEAM, "CountViolation", EXTRA.sku_id)
    run.stock(EXTRA, 0)
    run.native.keeps_products, run.native.slow = True, True
    had = {each for each in run.members if run.active(each) & SUITES}

    def check(_: Outgoing) -> None:
        for each in had:
            assert run.active(each) & SUITES, f"{each} has no suite"

    run.before = check
    operation = await run.ask([LARGE], [SMALL])
    await until_called(run, 1)
    processed(run)
    return run, operation


async def until_called(run: NativeRun, times: int) -> None:
    for _ in range(400):
        if len(run.calls) >= times:
            return
        await run.step()
    raise AssertionError(f"the group was called {len(run.calls)} times, not {times}")


def processed(run: NativeRun) -> None:
    """Microsoft's licensing has processed all members, one with an error of LARGE."""
    run.native.process(TEAM, *(each for each in run.members if each != FAILED))
    run.native.give(FAILED, TEAM, "MutuallyExclusiveViolation", LARGE.sku_id)
    run.native.processing[TEAM] = "ProcessingComplete"


async def bridged() -> tuple[NativeRun, Operation]:
    """The former product was removed from the group."""
    run, operation = await in_error_after_the_first_call()
    await until_called(run, 2)
    return run, operation


async def test_a_member_in_error_gets_the_former_product_directly_before_it_is_removed() -> None:
    run, operation = await in_error_after_the_first_call()
    at_the_call: list[set[str]] = []
    run.native.on_group_call = lambda _: at_the_call.append(run.licenses(FAILED))
    await until_called(run, 2)
    assert run.calls == [(["LARGE"], []), ([], ["SMALL"])]
    assert at_the_call == [{"SMALL"}]
    assert [run.licenses(each) for each in run.members if each != FAILED] == [set()] * 3
    processed(run)
    done = await run.finish(operation)
    assert (done.state, done.totals.failed) == (OperationState.COMPLETE, 2)
    assert run.active(FAILED) == {"SMALL", "EXTRA"}


async def test_the_bridge_ends_when_native_licensing_assigns_the_replacement_and_not_before() -> None:
    run, operation = await bridged()
    processed(run)
    await run.finish(operation)
    for _ in range(2):
        run.later(hours=24)
        await sync_all(run.world)
        await run.work_off()
    assert run.licenses(FAILED) == {"SMALL"}
    run.stock(EXTRA, 9)
    run.native.process(TEAM)
    run.later(hours=24)
    await sync_all(run.world)
    await run.work_off()
    assert (run.active(FAILED), run.licenses(FAILED)) == ({"LARGE", "EXTRA"}, set())
    assert not (await run.world.stores.grants.of_users([FAILED])).get(FAILED)


async def test_a_bridge_that_graph_rejects_leaves_the_former_product_in_the_group() -> None:
    run, operation = await in_error_after_the_first_call()
    run.writer.reject(FAILED, "Another object with the same value for property proxyAddresses already exists.")
    for _ in range(80):
        await run.step()
    assert run.calls == [(["LARGE"], [])]
    assert (await run.read(operation)).state is OperationState.IN_PROGRESS


async def test_a_member_who_leaves_the_group_loses_the_bridge_like_any_license() -> None:
    run, operation = await bridged()
    processed(run)
    await run.finish(operation)
    run.before = lambda _: None
    run.directory.leave(TEAM, FAILED)
    run.native.take(FAILED, TEAM)
    run.later(hours=24)
    await sync_all(run.world)
    await run.work_off()
    assert run.active(FAILED) == set()


async def test_a_bridge_stays_when_the_group_loses_all_products_without_a_replacement() -> None:
    run, operation = await bridged()
    processed(run)
    await run.finish(operation)
    run.before = lambda _: None
    await run.native.assign_group_licenses(TEAM, (), [LARGE.sku_id, EXTRA.sku_id])
    run.native.process(TEAM)
    await find_groups(run.world)
    for _ in range(2):
        run.later(hours=24)
        await sync_all(run.world)
        await run.work_off()
    assert run.licenses(FAILED) == {"SMALL"}


async def also_licensed_directly(run: NativeRun) -> None:
    """The member with the bridge is also in a group that this app licenses directly."""
    run.stock(EXTRA, 99)
    run.directory.join(OTHER_TEAM, FAILED)
    request = OperationRequest(Target(OTHER_TEAM), MIA, LicenseChange((AssignedLicense(EXTRA.sku_id),)))
    await run.finish(await accept(run.world, request))
    assert run.licenses(FAILED) == {"SMALL", "EXTRA"}


async def test_a_preview_of_another_group_shows_no_loss_of_a_bridge() -> None:
    run, operation = await bridged()
    processed(run)
    await run.finish(operation)
    run.before = lambda _: None
    await also_licensed_directly(run)
    change = LicenseChange((AssignedLicense(EXTRA.sku_id),))
    preview = await accept(run.world, OperationRequest(Target(OTHER_TEAM), MIA, change, preview=True))
    done = await run.finish(preview)
    assert dict(done.plan.removals) == {}


async def test_a_bridge_ends_after_leaving_although_another_group_is_synced() -> None:
    run, operation = await bridged()
    processed(run)
    await run.finish(operation)
    run.before = lambda _: None
    await also_licensed_directly(run)
    run.directory.leave(TEAM, FAILED)
    run.native.take(FAILED, TEAM)
    run.later(hours=24)
    await sync_all(run.world)
    await run.work_off()
    assert run.licenses(FAILED) == {"EXTRA"}
