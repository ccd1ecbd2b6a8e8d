"""The canary group: its membership changes once a day, and what Graph reports of it is noted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.domain.canary import CanaryState
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import NOTIFICATIONS
from shared.domain.read_models import AuditFilter
from shared.handlers.maintenance.alerts import check_alerts
from shared.handlers.membership.canary import change_canary, note_canary
from shared.handlers.membership.delta import query_deltas, slices_of
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.membership.webhook import receive
from shared.handlers.operations.writing import turn_off
from shared.handlers.views.health import health
from tests.support.notifications import subscribed
from tests.support.runs import MIA, SMALL, TEAM, Run
from tests.support.worlds import Fakes, fake_world

CANARY, BIRD = GroupId(str(UUID(int=77))), UserId(str(UUID(int=78)))
WRITES = frozenset({"GroupMember.ReadWrite.All", "LicenseAssignment.ReadWrite.All"})
READS = frozenset({"LicenseAssignment.ReadWrite.All"})


def a_world(*, member: bool = True) -> Fakes:
    fakes = fake_world()
    fakes.directory.now = fakes.clock.now
    fakes.directory.add_group(CANARY)
    fakes.directory.add_user(BIRD)
    fakes.permissions.append(WRITES)
    policy = replace(fakes.world.policy, canary_group=CANARY, canary_member=BIRD if member else None)
    return replace(fakes, world=replace(fakes.world, policy=policy))


def is_in(fakes: Fakes) -> bool:
    return BIRD in fakes.directory.direct_members(CANARY)


async def state(fakes: Fakes) -> CanaryState:
    return (await health(fakes.world)).canary.state


async def arrives(fakes: Fakes) -> None:
    await note_canary(fakes.world, [CANARY], in_delta=False)
    await note_canary(fakes.world, [CANARY], in_delta=True)


async def test_each_night_the_member_is_added_or_removed_by_turns_with_an_audit_entry() -> None:
    fakes = a_world()
    seen = []
    for _ in range(4):
        assert await change_canary(fakes.world)
        seen.append(is_in(fakes))
        fakes.clock.move(timedelta(days=1))
    assert seen == [True, False, True, False]
    now = fakes.clock.now()
    entries, _ = await fakes.world.stores.audit.search(AuditFilter(group_id=CANARY), now - timedelta(days=9), now, 9)
    assert [each.activity for each in entries] == ["Remove member from group", "Add member to group"] * 2
    assert {each.user_id for each in entries} == {BIRD}


async def test_a_member_whom_somebody_else_added_is_removed_instead() -> None:
    fakes = a_world()
    fakes.directory.join(CANARY, BIRD)
    assert await change_canary(fakes.world)
    assert not is_in(fakes)


async def test_a_change_is_proven_once_it_arrived_by_both_ways() -> None:
    fakes = a_world()
    assert await state(fakes) is CanaryState.NEVER_CHANGED
    await change_canary(fakes.world)
    assert await state(fakes) is CanaryState.WAITING
    await note_canary(fakes.world, [CANARY], in_delta=False)
    assert await state(fakes) is CanaryState.WAITING
    await note_canary(fakes.world, [GroupId(str(UUID(int=5)))], in_delta=True)
    assert await state(fakes) is CanaryState.WAITING
    await note_canary(fakes.world, [CANARY], in_delta=True)
    assert await state(fakes) is CanaryState.PROVEN


async def test_a_change_that_does_not_arrive_raises_an_alert() -> None:
    fakes = a_world()
    await change_canary(fakes.world)
    assert not [text for text in await check_alerts(fakes.world) if text.startswith("canary")]
    fakes.clock.move(timedelta(hours=5))
    assert [text for text in await check_alerts(fakes.world) if text.startswith("canary group: its change did not")]
    await change_canary(fakes.world)
    await arrives(fakes)
    assert not [text for text in await check_alerts(fakes.world) if text.startswith("canary")]


async def test_without_the_permission_nothing_is_written_and_health_says_so() -> None:
    fakes = a_world()
    fakes.permissions.append(READS)
    assert not await change_canary(fakes.world)
    found = (await health(fakes.world)).canary
    assert (is_in(fakes), found.by_hand) == (False, True)
    assert "GroupMember.ReadWrite.All" in found.known.fault


async def test_a_group_that_assigns_licenses_is_left_alone() -> None:
    run = Run(fakes=a_world())
    await run.change([SMALL])
    world = replace(run.world, policy=replace(run.world.policy, canary_group=TEAM))
    assert not await change_canary(world)
    assert "assigns licenses" in (await world.stores.health.load()).canary.fault
    assert BIRD not in run.directory.direct_members(TEAM)


async def test_while_writing_is_off_the_membership_stays() -> None:
    fakes = a_world()
    await turn_off(fakes.world, MIA)
    assert not await change_canary(fakes.world)
    assert not is_in(fakes)


@pytest.mark.parametrize("member", [True, False])
async def test_a_change_by_hand_arrives_by_delta_and_concerns_nobody(member: bool) -> None:
    fakes = a_world(member=member)
    assert await slices_of(fakes.world) == {0: (CANARY,)}
    await query_deltas(fakes.world)
    await work(fakes)
    assert (await fakes.world.stores.health.load()).canary.in_delta_at is None
    fakes.changes.happened(CANARY, BIRD, came=True)
    fakes.clock.move(timedelta(minutes=5))
    await query_deltas(fakes.world)
    await process_notifications(fakes.world, fakes.queue.messages.pop(0).body)
    assert (await fakes.world.stores.health.load()).canary.in_delta_at == fakes.clock.now()
    assert fakes.queue.messages == []


async def test_a_notification_is_noted_and_not_queued() -> None:
    run, observed = await subscribed()
    run.world = replace(run.world, policy=replace(run.world.policy, canary_group=CANARY))
    run.fakes.queue.messages.clear()
    observed["resourceData"] = {"id": CANARY, "members@delta": [{"id": BIRD}]}
    reply = await receive(run.world, json.dumps({"value": [observed]}).encode(), None)
    assert (reply.status, run.fakes.queue.messages) == (202, [])
    assert (await run.world.stores.health.load()).canary.notified_at == run.world.clock.now()
    run.later(minutes=5)
    observed["clientState"] = "forged"
    await receive(run.world, json.dumps({"value": [observed]}).encode(), None)
    assert (await run.world.stores.health.load()).canary.notified_at != run.world.clock.now()


async def work(fakes: Fakes) -> None:
    while fakes.queue.messages:
        message = fakes.queue.messages.pop(0)
        assert message.queue == NOTIFICATIONS
        await process_notifications(fakes.world, message.body)


async def test_without_a_setting_nothing_happens() -> None:
    fakes = a_world()
    fakes = replace(fakes, world=replace(fakes.world, policy=replace(fakes.world.policy, canary_group=None)))
    assert not await change_canary(fakes.world)
    await arrives(fakes)
    assert (await fakes.world.stores.health.load()).canary.notified_at is None
    assert await state(fakes) is CanaryState.NOT_CONFIGURED
