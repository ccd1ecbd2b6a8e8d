"""Two groups that Microsoft's licensing licenses, watched, and readers of what the app knows of them."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.group_status import GroupStatus
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import NOTIFICATIONS
from shared.domain.read_models import MemberRow
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.membership.watching import watch_all
from tests.support.fakes_directory import FakeLicenseWriter
from tests.support.runs import LARGE as SUITE
from tests.support.runs import SMALL
from tests.support.worlds import Fakes, fake_world


def guid(number: int) -> str:
    return str(UUID(int=number))


TEAM, OTHER, INNER = (GroupId(guid(number)) for number in (21, 22, 23))
ANN, BOB, CEM, DAN = (UserId(guid(number)) for number in (11, 12, 13, 14))


def a_world() -> Fakes:
    """Two licensed groups: Ann and Bob in one, Cem and a nested group with Dan in the other."""
    fakes = fake_world()
    for sku in (SUITE, SMALL):
        fakes.directory.add_sku(replace(sku, enabled=10))
    for user_id in (ANN, BOB, CEM, DAN):
        fakes.directory.add_user(user_id)
    fakes.native.license(TEAM, SUITE.sku_id, SMALL.sku_id, members=[ANN, BOB])
    fakes.directory.add_group(INNER, [DAN, CEM])
    fakes.native.license(OTHER, SUITE.sku_id, members=[CEM, INNER])
    return fakes


async def work(fakes: Fakes) -> None:
    """Do everything that was sent to the queue of notifications."""
    while fakes.queue.messages:
        message = fakes.queue.messages.pop(0)
        if message.queue == NOTIFICATIONS:
            await process_notifications(fakes.world, message.body)


async def watched(fakes: Fakes) -> None:
    await watch_all(fakes.world)
    await work(fakes)


async def rows(fakes: Fakes, group_id: GroupId) -> dict[str, MemberRow]:
    found, _ = await fakes.world.stores.members.page(group_id, 100)
    return {row.user_id: row for row in found}


async def intent(fakes: Fakes, group_id: GroupId) -> GroupLicenseAssignment:
    stored = await fakes.world.stores.assignments.get(group_id)
    assert stored is not None
    return stored.assignment


async def status(fakes: Fakes, group_id: GroupId) -> GroupStatus:
    found = await fakes.world.stores.group_status.get(group_id)
    assert found is not None
    return found


def license_writes(fakes: Fakes) -> int:
    writer = fakes.world.licenses
    assert isinstance(writer, FakeLicenseWriter)
    return writer.calls_made
