"""Notifications about a managed group, as the webhook queues them, for tests of membership changes."""

from __future__ import annotations

from typing import Any

from shared.domain.change_messages import GroupsChanged
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, UserId
from shared.domain.membership_changes import GroupChange
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.subscription import renew_subscription
from shared.handlers.operations.accept import accept
from shared.ports.messaging import Outgoing
from tests.support.runs import MIA, SMALL, TEAM, Run, user


async def notify(run: Run, *changes: GroupChange, times: int = 1) -> None:
    """Queue one message with these changes, `times` times, and work off everything that follows."""
    message = GroupsChanged(changes, run.world.clock.now())
    await run.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())] * times)
    await run.work_off()


def came(group: str, *members: str) -> GroupChange:
    """Members that a notification reports as added."""
    return GroupChange(GroupId(group), {UserId(each): True for each in members})


def went(group: str, *members: str) -> GroupChange:
    """Members that a notification reports as removed."""
    return GroupChange(GroupId(group), {UserId(each): False for each in members})


async def managed(people: int = 3) -> tuple[Run, list[UserId]]:
    """The team with SMALL assigned to everybody in it."""
    run = Run()
    members = run.people(people)
    await run.change([SMALL])
    return run, members


async def operations(run: Run, cause: str) -> list[Operation]:
    """The operations that have this cause, newest first."""
    found, _ = await run.world.stores.operations.newest(100)
    return [each for each in found if each.cause == cause]


async def accept_on(run: Run, group_id: GroupId) -> Operation:
    """Assign SMALL to another group, without working on it."""
    change = LicenseChange((AssignedLicense(SMALL.sku_id),))
    return await accept(run.world, OperationRequest(Target(group_id), MIA, change))


async def subscribed() -> tuple[Run, dict[str, Any]]:
    """A managed group, and a notification as Graph would send it."""
    run = Run()
    run.people(2)
    await run.change([SMALL])
    kept = await renew_subscription(run.world)
    assert kept is not None
    return run, {
        "changeType": "updated",
        "clientState": kept.client_state,
        "subscriptionId": kept.id,
        "tenantId": "tenant",
        "resourceData": {"id": TEAM, "members@delta": [{"id": user(7)}, {"id": user(1), "@removed": "deleted"}]},
    }
