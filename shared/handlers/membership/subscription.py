"""The subscription to changes of groups: one for the tenant, made, renewed, made again when it is gone.

Graph allows 100 per app and tenant, so one on all groups serves however many are managed; it lives at most 41,760
minutes (learn.microsoft.com/graph/api/resources/subscription).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.concurrency import update
from shared.domain.errors import Conflict, NotFound
from shared.domain.membership_changes import LifecycleEvent
from shared.handlers.membership.needs import Needs
from shared.ports.change_feed import GraphSubscription
from shared.ports.membership_stores import StoredSubscription

LIFE = timedelta(minutes=41_700)
"""An hour less than the longest that Graph allows, since its clock may differ."""

RENEW_BEFORE = timedelta(days=14)
"""Renewed when half of its lifetime is over, which leaves two weeks to notice that the renewal fails."""

IN_MAKING = timedelta(minutes=10)
"""A row without id is older than this only after a crash."""

MAX_TRIES = 5

NOTIFICATIONS_PATH = "/graph/notifications"
LIFECYCLE_PATH = "/graph/lifecycle"

log = logging.getLogger(__name__)


async def renew_subscription(world: Needs) -> StoredSubscription | None:
    """The timer: leave exactly one living subscription, ours and known. None where notifications are not wanted."""
    if not world.policy.public_url:
        return None
    url = f"{world.policy.public_url}{NOTIFICATIONS_PATH}"
    at_graph = {each.id: each for each in await world.changes.subscriptions() if each.notification_url == url}
    stored = await world.stores.subscriptions.all()
    kept = await _best(world, stored, at_graph)
    for each in stored:
        if each.key != (kept.key if kept else "") and not _in_making(each, world.clock.now()):
            await world.stores.subscriptions.remove(each.key)
    if kept is None and any(_in_making(each, world.clock.now()) for each in stored):
        return None
    if kept is None:
        kept = await _make(world, url)
    for subscription_id in sorted(at_graph.keys() - {kept.id}):
        log.warning("removing subscription %s, which is a duplicate or whose secret is unknown", subscription_id)
        await world.changes.unsubscribe(subscription_id)
    return kept


async def _best(
    world: Needs, stored: tuple[StoredSubscription, ...], at_graph: dict[str, GraphSubscription]
) -> StoredSubscription | None:
    """Of the subscriptions that Graph has and whose secret we know, the one that lives longest, renewed where due."""
    living = [each for each in stored if each.id in at_graph]
    for each in sorted(living, key=lambda found: found.expires_at, reverse=True):
        try:
            return await _renewed(world, each, at_graph[each.id].expires_at)
        except NotFound:
            at_graph.pop(each.id, None)
    return None


async def _renewed(world: Needs, stored: StoredSubscription, expires_at: datetime) -> StoredSubscription:
    now = world.clock.now()
    if expires_at - now < RENEW_BEFORE:
        expires_at = now + LIFE
        await world.changes.renew(stored.id, expires_at)
    return await _save(world, stored.key, expires_at=expires_at) or stored


async def _make(world: Needs, url: str) -> StoredSubscription:
    """The row with the secret comes first: Graph may notify before its answer has arrived."""
    now = world.clock.now()
    secret = world.token() + world.token()
    row = StoredSubscription(world.token(), secret, now, now + LIFE, notification_url=url)
    row = await world.stores.subscriptions.save(row)
    made = await world.changes.subscribe(url, f"{world.policy.public_url}{LIFECYCLE_PATH}", secret, now + LIFE)
    log.info("subscribed to changes of groups until %s", made.expires_at.isoformat())
    return await _save(world, row.key, subscription_id=made.id, expires_at=made.expires_at) or row


def _in_making(stored: StoredSubscription, now: datetime) -> bool:
    return not stored.id and now < stored.created_at + IN_MAKING


async def _save(
    world: Needs,
    key: str,
    *,
    subscription_id: str | None = None,
    expires_at: datetime | None = None,
    notified_at: datetime | None = None,
) -> StoredSubscription | None:
    """Change one row as it is stored now. None if it is gone, or already has these values."""

    async def read() -> StoredSubscription | None:
        return next((each for each in await world.stores.subscriptions.all() if each.key == key), None)

    def change(row: StoredSubscription | None) -> StoredSubscription | None:
        if row is None:
            return None
        changed = replace(
            row,
            id=subscription_id if subscription_id is not None else row.id,
            expires_at=expires_at or row.expires_at,
            last_notification_at=notified_at or row.last_notification_at,
        )
        return changed if changed != row else None

    lost = Conflict(f"subscription row {key} is changing too quickly")
    return await update(read, change, world.stores.subscriptions.save, tries=MAX_TRIES, lost=lost)


async def last_event(world: Needs, at: datetime) -> None:
    """Note when the last notification came, to the minute."""
    for each in await world.stores.subscriptions.all(60.0):
        last = each.last_notification_at
        if each.id and (last is None or at - last > timedelta(minutes=1)):
            await _save(world, each.key, notified_at=at)


async def take_lifecycle(world: Needs, subscription_id: str, event: LifecycleEvent) -> bool:
    """Process a lifecycle event. Returns whether changes may have been lost, so that everything must be read again
    (learn.microsoft.com/graph/change-notifications-lifecycle-events)."""
    known = {each.id: each for each in await world.stores.subscriptions.all()}
    if subscription_id not in known:
        return False
    match event:
        case LifecycleEvent.REAUTHORIZATION_REQUIRED:
            try:
                await world.changes.reauthorize(subscription_id)
            except NotFound:
                await renew_subscription(world)
                return True
            return False
        case LifecycleEvent.SUBSCRIPTION_REMOVED:
            await world.stores.subscriptions.remove(known[subscription_id].key)
            await renew_subscription(world)
            return True
        case LifecycleEvent.MISSED:
            return True
