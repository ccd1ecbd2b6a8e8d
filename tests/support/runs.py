"""A world with a group, two products and a queue that is worked off in time order, for tests of whole operations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from shared.domain.directory import AssignedLicense, ServicePlan, SubscribedSku
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.messages import MEMBERS, NOTIFICATIONS, ONBOARDING, RESULTS, STEPS, ProcessUsers
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.messaging.settlement import settle
from shared.handlers.onboarding.onboarding_queue import Onboarding
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.operations.members_queue import Members
from shared.handlers.operations.operations_queue import process_operations
from shared.ports.messaging import Outgoing
from tests.support.fakes_directory import FakeLicenseWriter
from tests.support.worlds import Fakes, fake_world

MIA = Initiator("mia", "Mia")
NOA = Initiator("noa", "Noa")
"""Who approves what Mia requested."""
TEAM = GroupId(str(UUID(int=900)))
OTHER_TEAM = GroupId(str(UUID(int=901)))


def _plan(number: int) -> ServicePlan:
    return ServicePlan(ServicePlanId(str(UUID(int=100 + number))), f"PLAN{number}")


def product(number: int, name: str, plans: Iterable[int], seats: int = 1000) -> SubscribedSku:
    """A product with plans of these numbers."""
    return SubscribedSku(SkuId(str(UUID(int=number))), name, tuple(_plan(each) for each in plans), enabled=seats)


SMALL = product(1, "SMALL", (1, 2, 3))
LARGE = product(2, "LARGE", (1, 2, 3, 4))
EXTRA = product(3, "EXTRA", (9,))
MAIL = ServicePlanId(str(UUID(int=101)))


def user(number: int) -> UserId:
    return UserId(str(UUID(int=number)))


@dataclass
class Run:
    """The world, and two workers that each keep a cache of their own, taking messages in turn."""

    fakes: Fakes = field(default_factory=fake_world)
    most_messages: int = 3000
    before: Callable[[Outgoing], None] = lambda message: None
    """Called before each message is worked on."""

    def __post_init__(self) -> None:
        self.directory = self.fakes.directory
        self.directory.now = self.fakes.world.clock.now
        self.world = self.fakes.world
        writer = self.world.licenses
        assert isinstance(writer, FakeLicenseWriter)
        self.writer = writer
        self.workers = [Members(self.world), Members(self.world)]
        self.onboarders = [Onboarding(self.world), Onboarding(self.world)]
        self.done = 0
        self.results: list[dict[str, Any]] = []
        for sku in (SMALL, LARGE, EXTRA):
            self.directory.add_sku(sku)
        self.directory.add_group(TEAM)
        self.directory.add_group(OTHER_TEAM)

    def people(self, count: int, **options: object) -> list[UserId]:
        """Users in the team."""
        return [self.directory.add_user(user(n), groups=[TEAM], **options) for n in range(1, count + 1)]  # type: ignore[arg-type]

    async def ask(
        self, add: Iterable[SubscribedSku] = (), remove: Iterable[SubscribedSku] = (), **options: object
    ) -> Operation:
        """Accept a request on the team, without working on it."""
        given = tuple(AssignedLicense(sku.sku_id) for sku in add)
        change = LicenseChange(given, tuple(sku.sku_id for sku in remove))
        request = OperationRequest(Target(TEAM), MIA, change, **options)  # type: ignore[arg-type]
        return await accept(self.world, request)

    async def finish(self, operation: Operation, *, approve: bool = True) -> Operation:
        """Work the queue off; an operation that waits is approved."""
        await self.work_off()
        found = await self.read(operation)
        if approve and found.state is OperationState.AWAITING_APPROVAL:
            await approvals.approve(self.world, found.id, found.checksum, NOA)
            await self.work_off()
            found = await self.read(operation)
        return found

    async def change(
        self, add: Iterable[SubscribedSku] = (), remove: Iterable[SubscribedSku] = (), **options: object
    ) -> Operation:
        """Ask, and work it off with approval."""
        return await self.finish(await self.ask(add, remove, **options))

    async def read(self, operation: Operation) -> Operation:
        found = await self.world.stores.operations.get(operation.id)
        assert found is not None
        return found

    async def reconcile(self, *users: UserId, cause: str = "event-1") -> None:
        """An event that names users, worked off."""
        await self.world.queue.send([Outgoing(MEMBERS, ProcessUsers(users, cause, bulk=False).encode())])
        await self.work_off()

    async def work_off(self, until: Callable[[], bool] = lambda: False) -> None:
        """Deliver messages in the order in which they fall due, the clock moving along."""
        queue = self.fakes.queue
        for _ in range(self.most_messages):
            waiting = list(queue.messages)
            if not waiting or until():
                return
            now = self.world.clock.now()
            message = min(waiting, key=lambda each: each.at or now)
            queue.messages.remove(message)
            if message.at is not None and message.at > now:
                self.fakes.clock.move(message.at - now)
            self.before(message)
            await self.deliver(message)
        raise AssertionError("the work does not end")

    async def deliver(self, message: Outgoing) -> None:
        self.done += 1
        if message.queue in STEPS:
            await settle(
                self.world, message.queue, message.body, partial(process_operations, self.world, message.queue)
            )
        elif message.queue == ONBOARDING:
            await settle(self.world, message.queue, message.body, self.onboarders[self.done % 2].take)
        elif message.queue == RESULTS:
            self.results.append(json.loads(message.body))
        elif message.queue == NOTIFICATIONS:
            await settle(self.world, message.queue, message.body, partial(process_notifications, self.world))
        else:
            await settle(self.world, message.queue, message.body, self.workers[self.done % 2].process)

    def licenses(self, user_id: UserId) -> set[str]:
        """Part numbers of the user's direct licenses; ids of products that the tenant does not have."""
        found = {sku_id: self.directory.sku(sku_id) for sku_id in self.directory.licenses(user_id)}
        return {product.sku_part_number if product else sku_id for sku_id, product in found.items()}

    def protect(self, *users: UserId, reason: str = "Global Administrator") -> None:
        """These people are on the list of protected people."""
        body = json.dumps({"reasons": [reason], "until": None})
        for each in users:
            self.fakes.tables.place("protectedpeople", "person", each, body=body)
        self.later(minutes=2)

    def later(self, **by: float) -> None:
        self.fakes.clock.move(timedelta(**by))

    def writes_of(self, user_id: UserId) -> int:
        return sum(entry.user_id == user_id for entry in self.writer.log)
