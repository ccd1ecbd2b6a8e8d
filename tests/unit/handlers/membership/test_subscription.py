"""The subscription on groups: created, renewed, replaced, and its lifecycle events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.change_messages import LifecycleHappened
from shared.domain.membership_changes import LifecycleEvent
from shared.domain.messages import NOTIFICATIONS
from shared.handlers.membership.subscription import LIFE, RENEW_BEFORE, renew_subscription
from shared.ports.messaging import Outgoing
from tests.support.notifications import managed
from tests.support.runs import TEAM, Run, user


async def test_one_subscription_is_made_renewed_and_made_again_when_it_is_gone() -> None:
    run = Run()
    feed = run.fakes.changes
    first = await renew_subscription(run.world)
    assert first is not None
    assert await renew_subscription(run.world) == first
    run.later(seconds=(LIFE - RENEW_BEFORE).total_seconds() + 60)
    renewed = await renew_subscription(run.world)
    assert renewed is not None
    assert (renewed.id, renewed.expires_at) == (first.id, run.world.clock.now() + LIFE)
    feed.made.clear()
    again = await renew_subscription(run.world)
    assert again is not None
    assert again.id != first.id
    assert [each.id for each in await run.world.stores.subscriptions.all()] == [again.id]
    assert again.client_state == feed.secrets[again.id] != first.client_state


async def test_subscriptions_that_are_double_or_whose_secret_is_lost_are_removed_and_others_left_alone() -> None:
    run = Run()
    feed = run.fakes.changes
    kept = await renew_subscription(run.world)
    assert kept is not None
    now = run.world.clock.now()
    await feed.subscribe(kept.notification_url, "", "unknown", now + LIFE)
    unmanaged = await feed.subscribe("https://other.example/hook", "", "theirs", now + LIFE)
    assert await renew_subscription(run.world) == kept
    assert feed.made.keys() == {kept.id, unmanaged.id}


async def test_a_subscription_rejected_because_nobody_answers_is_tried_again_later() -> None:
    run = Run()
    run.fakes.changes.unreachable = True
    with pytest.raises(Exception, match="does not answer"):
        await renew_subscription(run.world)
    assert await renew_subscription(run.world) is None
    run.fakes.changes.unreachable = False
    run.later(minutes=11)
    assert await renew_subscription(run.world) is not None
    assert len(await run.world.stores.subscriptions.all()) == 1


async def test_without_a_public_address_nothing_is_subscribed() -> None:
    run = Run()
    world = replace(run.world, policy=replace(run.world.policy, public_url=""))
    assert await renew_subscription(world) is None
    assert run.fakes.changes.made == {}


@pytest.mark.parametrize("event", list(LifecycleEvent))
async def test_lifecycle_events_are_answered_and_what_may_be_lost_is_read_again(event: LifecycleEvent) -> None:
    run, _ = await managed()
    kept = await renew_subscription(run.world)
    assert kept is not None
    if event is LifecycleEvent.SUBSCRIPTION_REMOVED:
        run.fakes.changes.made.clear()
    missed = run.directory.add_user(user(50), groups=[TEAM])
    for subscription in ("sub-77", kept.id):
        await run.world.queue.send([Outgoing(NOTIFICATIONS, LifecycleHappened(subscription, event).encode())])
    await run.work_off()
    reauthorized = run.fakes.changes.reauthorized
    assert reauthorized == ([kept.id] if event is LifecycleEvent.REAUTHORIZATION_REQUIRED else [])
    assert run.licenses(missed) == (set() if event is LifecycleEvent.REAUTHORIZATION_REQUIRED else {"SMALL"})
    assert len(run.fakes.changes.made) == 1
