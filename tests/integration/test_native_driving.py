"""Changes of a natively managed group on the simulated tenant, whose members get all products of the group or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from shared.adapters.directory import GraphDirectory
from shared.adapters.native_licensing import GraphNativeLicensing
from shared.domain.directory import AssignedLicense
from shared.domain.ids import SkuId
from shared.domain.initiator import Initiator
from shared.domain.messages import NOTIFICATIONS, STEPS
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.native_engine import manage_natively
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.messaging.settlement import settle
from shared.handlers.operations.accept import accept
from shared.handlers.operations.native_steps import WAITING_FOR_LICENSES
from shared.handlers.operations.operations_queue import process_operations
from shared.ports.world import World
from tests.support.tenant_stage import ANNA, E3, E5, F3, GUEST, NATIVE, NATIVE_GROUP, TenantStage
from tests.support.worlds import Fakes, fake_world

MIA = Initiator("mia", "Mia")
PEOPLE = (ANNA, GUEST, NATIVE)
SETTLED_S = 0.6
"""Longer than the tenant's licensing takes in these tests."""


@dataclass
class Drive:
    """The app on tables in memory; everything about the directory comes from the simulated tenant."""

    stage: TenantStage
    fakes: Fakes
    world: World
    lacking: int = 0
    """How often a member was seen without any of the two products."""
    checks: bool = False

    def products(self, user_id: str) -> set[str]:
        """The licenses that a user really has."""
        user = self.stage.tenant.state.directory.users[user_id]
        return {row.sku_id for row in user.rows if row.state in ("Active", "ActiveWithError")}

    def group_products(self) -> set[str]:
        return {each.sku_id for each in self.stage.tenant.state.directory.groups[NATIVE_GROUP].licenses}

    def stock(self, sku_id: SkuId, available: int) -> None:
        subscription = self.stage.tenant.state.directory.subscriptions[sku_id]
        subscription.enabled = subscription.consumed + available

    async def ask(self, add: Sequence[SkuId], remove: Sequence[SkuId]) -> Operation:
        change = LicenseChange(tuple(map(AssignedLicense, add)), tuple(remove))
        return await accept(self.world, OperationRequest(Target(NATIVE_GROUP), MIA, change))

    async def read(self, operation: Operation) -> Operation:
        found = await self.world.stores.operations.get(operation.id)
        assert found is not None
        return found

    async def work(self, operation: Operation, code: str = "") -> Operation:
        """Deliver messages until the operation has ended, or waits with this code."""
        for _ in range(600):
            found = await self.read(operation)
            if found.state.is_ended or (found.error is not None and found.error.code == code):
                return found
            await self.deliver()
        raise AssertionError(f"it does not end: {found}")

    async def deliver(self) -> None:
        queue, now = self.fakes.queue, self.world.clock.now()
        assert queue.messages, "no message is left"
        message = min(queue.messages, key=lambda each: each.at or now)
        queue.messages.remove(message)
        if message.at is not None and message.at > now:
            self.fakes.clock.move(message.at - now)
        process = partial(process_operations, self.world, message.queue)
        if message.queue == NOTIFICATIONS:
            process = partial(process_notifications, self.world)
        assert message.queue in (*STEPS, NOTIFICATIONS)
        await settle(self.world, message.queue, message.body, process)
        await asyncio.sleep(0.05)
        self.lacking += self.checks and any(not self.products(each) & {E3, E5} for each in PEOPLE)


@pytest.fixture
async def drive(on_tenant: TenantStage) -> AsyncIterator[Drive]:
    """Three members with E3 from the group."""
    group = {"id": NATIVE_GROUP, "members": list(PEOPLE), "assignedLicenses": [{"skuId": E3}]}
    await on_tenant.control("POST", "objects", {"groups": [group]})
    await asyncio.sleep(SETTLED_S)
    directory, fakes = GraphDirectory(on_tenant.graph), fake_world()
    native = GraphNativeLicensing(on_tenant.graph, directory)
    world = replace(fakes.world, directory=directory, native=native)
    made = Drive(on_tenant, fakes, world)
    await manage_natively(world, NATIVE_GROUP, MIA)
    assert {frozenset(made.products(each)) for each in PEOPLE} == {frozenset({E3})}
    made.checks = True
    yield made


async def test_a_swap_with_too_few_licenses_waits_and_nobody_is_without_a_product(drive: Drive) -> None:
    drive.stock(E5, 2)
    operation = await drive.work(await drive.ask([E5], [E3]), WAITING_FOR_LICENSES)
    assert operation.state is OperationState.IN_PROGRESS
    assert drive.group_products() == {E3}
    drive.stock(E5, 3)
    done = await drive.work(operation)
    assert (done.state, done.error) == (OperationState.COMPLETE, None)
    assert (done.totals.applied, done.totals.failed) == (3, 0)
    assert {frozenset(drive.products(each)) for each in PEOPLE} == {frozenset({E5})}
    assert drive.lacking == 0


async def test_without_the_wait_the_members_would_have_lost_their_product(drive: Drive) -> None:
    """What the wait is for: the tenant's licensing takes all products of the group from a member in error."""
    drive.stock(E5, 2)
    await drive.stage.native.assign_group_licenses(NATIVE_GROUP, [AssignedLicense(E5)], [])
    await asyncio.sleep(SETTLED_S)
    assert [drive.products(each) for each in PEOPLE].count(set()) == 1


@pytest.mark.parametrize(
    "settings", [{"groupCallSeconds": 0.1}, {"groupLicenseLagSeconds": 0.3}, {"nativeSpanSeconds": 0.4}]
)
async def test_a_product_is_added_under_each_switch(drive: Drive, settings: dict[str, Any]) -> None:
    await drive.stage.control("PATCH", "settings", settings)
    drive.stock(F3, 5)
    drive.stock(E5, 5)
    done = await drive.work(await drive.ask([E5], []))
    assert done.state is OperationState.COMPLETE
    assert drive.group_products() == {E3, E5}
    assert {frozenset(drive.products(each)) for each in PEOPLE} == {frozenset({E3, E5})}
    assert drive.lacking == 0


async def test_a_change_that_another_program_overwrites_is_made_again(drive: Drive) -> None:
    """Both read the group's products and write them a moment later, so one change is lost."""
    await drive.stage.control("PATCH", "settings", {"groupCallSeconds": 0.3})
    drive.stock(E5, 5)
    operation = await drive.ask([E5], [])
    other = asyncio.ensure_future(drive.stage.native.assign_group_licenses(NATIVE_GROUP, [AssignedLicense(E3)], []))
    done = await drive.work(operation)
    await other
    assert done.state is OperationState.COMPLETE
    assert drive.group_products() == {E3, E5}


async def test_a_missing_permission_waits_and_the_operation_says_so(drive: Drive) -> None:
    reads = ["Group.Read.All", "User.Read.All", "LicenseAssignment.Read.All"]
    settings = {"permissionsFromToken": False, "permissions": {"product": reads}}
    await drive.stage.control("PATCH", "settings", settings)
    drive.stock(E5, 5)
    operation = await drive.work(await drive.ask([E5], []), "PermissionDenied")
    assert drive.group_products() == {E3}
    granted = [*reads, "LicenseAssignment.ReadWrite.All"]
    await drive.stage.control("PATCH", "settings", {"permissions": {"product": granted}})
    assert (await drive.work(operation)).state is OperationState.COMPLETE
