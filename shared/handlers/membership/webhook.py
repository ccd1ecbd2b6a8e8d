"""The webhook: accept Graph's notifications, check their origin, and queue them. It calls nothing and decides nothing.

Rules of the answers: learn.microsoft.com/graph/change-notifications-delivery-webhooks.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.change_messages import LifecycleHappened, split
from shared.domain.errors import Conflict, PoisonMessage, Unavailable
from shared.domain.ids import GroupId
from shared.domain.membership_changes import Notification, decode_notifications, merged
from shared.domain.messages import NOTIFICATIONS
from shared.domain.trace_context import begun
from shared.handlers.groups.nesting import hierarchy_with
from shared.handlers.membership.canary import note_canary
from shared.handlers.membership.needs import Needs
from shared.handlers.membership.subscription import last_event
from shared.ports.membership_stores import StoredSubscription
from shared.ports.messaging import Outgoing

MAX_BODY = 1024 * 1024
MAX_TOKEN = 4096
"""Characters of a validation token, which is opaque; what is longer is no handshake of Graph's."""

KNOWN_MAX_AGE_S = 60.0
"""How long subscriptions are remembered; one that is not known is looked up at once."""

REREAD_MAX_AGE_S = 5.0
"""Forged notifications must not make every one of them read the table."""

ANSWER_WITHIN_S = 5.0
"""Graph waits 10 s for an answer, and stops sending to an address that is slow too often. A 503 in time makes it send
again."""

NOTE_WITHIN_S = 2.0
"""Figures for people must not use up the rest of Graph's ten seconds."""

CREATING = timedelta(minutes=10)
"""How long a subscription without an id may be one that Graph is still making: it notifies before it answers us."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to Graph."""

    status: int
    body: str = ""


async def receive(world: Needs, body: bytes, validation_token: str | None) -> Reply:
    """Answer one POST of Graph to the notification or the lifecycle address.

    200 with the token for a handshake. 202 once everything is queued, also if part of it was forged. 400 for a body
    that does not come from Graph. 503 if it could not be queued, so that Graph sends it again.
    """
    if validation_token is not None:
        return Reply(200, validation_token) if 0 < len(validation_token) <= MAX_TOKEN else Reply(400)
    if len(body) > MAX_BODY:
        return Reply(413)
    try:
        found, broken = decode_notifications(_json(body))
        async with asyncio.timeout(ANSWER_WITHIN_S):
            trusted = await _trusted(world, found)
            await _queue(world, trusted)
        changed = [each.change.group_id for each in trusted if each.change]
        await _note(world, bool(trusted), broken + len(found) - len(trusted), changed)
    except PoisonMessage as fault:
        log.warning("a notification was rejected: %s", fault)
        await _note(world, False, 1)
        return Reply(400)
    except TimeoutError:
        log.warning("notification not queued waited_s=%.0f answer=503", ANSWER_WITHIN_S)
        return Reply(503)
    except Unavailable as fault:
        log.warning("notification not queued answer=503 reason=%s", fault)
        return Reply(503)
    return Reply(202)


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise PoisonMessage("notification: the body is not JSON") from fault


async def _trusted(world: Needs, found: Sequence[Notification]) -> list[Notification]:
    """Those that carry the secret of the subscription they name, and our tenant."""
    known = await world.stores.subscriptions.all(KNOWN_MAX_AGE_S)
    if any(not _match(world, each, known) for each in found):
        known = await world.stores.subscriptions.all(REREAD_MAX_AGE_S)
    return [each for each in found if _match(world, each, known)]


def _match(world: Needs, notification: Notification, known: Sequence[StoredSubscription]) -> bool:
    if notification.tenant_id != world.policy.tenant_id:
        return False
    matches = False
    observed = notification.client_state.encode(errors="surrogatepass")
    for subscription in known:
        secret = hmac.compare_digest(observed, subscription.client_state.encode())
        in_making = not subscription.id and world.clock.now() < subscription.created_at + CREATING
        matches |= secret and (in_making or subscription.id == notification.subscription_id)
    return matches


async def _queue(world: Needs, trusted: Sequence[Notification]) -> None:
    changes = [each.change for each in trusted if each.change]
    watched = await hierarchy_with(world, [change.group_id for change in changes])
    concerned = [change for change in changes if watched.concerns(change.group_id)]
    traceparent = begun("", world.token())
    messages = [each.encode() for each in split(merged(concerned), world.clock.now(), "notification", traceparent)]
    events = {LifecycleHappened(each.subscription_id, each.lifecycle) for each in trusted if each.lifecycle}
    messages += [event.encode() for event in sorted(events, key=lambda each: each.encode())]
    if messages:
        await world.queue.send([Outgoing(NOTIFICATIONS, message) for message in messages])


async def _note(world: Needs, trusted: bool, rejected: int, changed: Sequence[GroupId] = ()) -> None:
    """Keep what people are shown of the webhook; that it fails or hangs must not make Graph send again what was
    taken."""
    now = world.clock.now()
    try:
        async with asyncio.timeout(NOTE_WITHIN_S):
            if trusted:
                await last_event(world, now)
                await note_canary(world, changed, in_delta=False)
            if rejected:
                await world.stores.subscriptions.count_rejected(now.date().isoformat(), rejected)
    except (Unavailable, Conflict, TimeoutError) as fault:
        log.warning("notification not noted rejected=%d reason=%r", rejected, fault)
