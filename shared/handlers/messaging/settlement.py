"""How a queue message ends: completed, kept as a dead letter, sent again for later, or returned to the queue.

A message whose function raises is redelivered at once, and ten redeliveries take less than a second
(learn.microsoft.com/azure/service-bus-messaging/service-bus-dead-letter-queues). If a dependency is unavailable, a new
message for later is therefore sent. The function raises only for unexpected faults, and if that message cannot be sent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

from shared.domain.backoff import Backoff
from shared.domain.errors import BadRequest, Conflict, PermissionDenied, PoisonMessage, Unavailable
from shared.domain.ids import new_id
from shared.domain.messages import load_object
from shared.domain.read_models import DeadLetter, DeadLetterKind
from shared.handlers.messaging.failed_chunk import give_up
from shared.handlers.messaging.needs import Needs
from shared.ports.messaging import Outgoing

AWAY = "away"
"""Field of the body that counts the sends since the work last got somewhere; what decodes the message ignores it."""

SEND_AGAIN = Backoff(timedelta(seconds=1), timedelta(minutes=5))
FOR_PERMISSION = Backoff(timedelta(minutes=1), timedelta(minutes=15))
"""A permission that the app lacks is granted by a person, and a token from before can be in use for a day. The work
waits for that instead of being lost, and *Health* shows it."""

MAX_DENIAL = 300
"""Characters of a denial that go with the message."""

JITTER = 0.25
"""Share of the back-off by which messages that failed together are spread."""

MAX_CONFLICTS = 10
"""Sends of work that loses every race for a row, about ten minutes; longer is a fault that a person has to see."""

MAX_REJECTIONS = 20
"""Sends of work for which a dependency answers with a definite error, about an hour. Most faults of the service are
over by then; after that a person has to see it."""

SEND_PAUSES_S = (2.0, 5.0, 10.0)
"""Waits between tries to send, well inside the message's lock of a minute, so that a queue back soon loses nothing."""

MAX_REASON = 2000
"""Characters of a reason that are kept: enough to act on, and far below what a table property holds."""

log = logging.getLogger(__name__)

Work = Callable[[bytes], Awaitable[None]]


async def settle(world: Needs, queue: str, body: bytes, work: Work) -> None:
    """Do the work of one message and end the message.

    Returns when it is done, kept as a dead letter, or sent again. Raises what the work raised unexpectedly, and what
    keeps the dead letter or the new message from being stored: then the queue delivers the message again.
    """
    try:
        await work(body)
    except PoisonMessage as fault:
        await dead_letter_message(world, queue, body, str(fault), kind=DeadLetterKind.UNREADABLE)
    except Unavailable as fault:
        if fault.rejected and away_count(body) >= MAX_REJECTIONS:
            await _given_up(world, queue, body, MAX_REJECTIONS, fault)
        else:
            await _send_again(world, queue, body, fault.retry_after_s or 0.0, str(fault))
    except PermissionDenied as fault:
        pause = FOR_PERMISSION.after_tries(away_count(body))
        await _send_again(world, queue, body, pause.total_seconds(), str(fault), denied=str(fault)[:MAX_DENIAL])
    except Conflict as fault:
        if away_count(body) >= MAX_CONFLICTS:
            await _given_up(world, queue, body, MAX_CONFLICTS, fault)
        else:
            await _send_again(world, queue, body, 0.0, str(fault))


async def _given_up(world: Needs, queue: str, body: bytes, tries: int, fault: Exception) -> None:
    reason = f"given up after {tries} tries: {fault}"
    await give_up(world, queue, body, reason)
    await dead_letter_message(world, queue, body, reason)


async def dead_letter_message(
    world: Needs,
    queue: str,
    body: bytes,
    reason: str,
    shown: str = "",
    *,
    kind: DeadLetterKind = DeadLetterKind.GIVEN_UP,
) -> None:
    """Keep a message that cannot be processed, with the reason, where people see it. `shown`: the reason for the log,
    if the reason itself may quote a person's name."""
    log.error("message from %s kept as a dead letter: %s", queue, (shown or reason)[:MAX_REASON])
    now = world.clock.now()
    dead_letter = DeadLetter(new_id(now, world.token()), queue, body, reason[:MAX_REASON], now, kind=kind)
    await world.stores.dead_letters.keep(dead_letter)


def away_count(body: bytes) -> int:
    """How often the message was sent again because something was away; 0 for a body that does not say."""
    try:
        count = load_object(body, "message").get(AWAY, 0)
    except PoisonMessage:
        return 0
    return count if isinstance(count, int) and not isinstance(count, bool) and count > 0 else 0


def back_off_s(tries: int, at_least_s: float, token: str) -> float:
    """Seconds until the next try: 1, 2, 4, ... up to 300, at least what was asked for, spread by up to a quarter more.

    `token`: hex digits that decide the spread.
    """
    doubled = SEND_AGAIN.after_tries(tries).total_seconds()
    return max(doubled, at_least_s) * (1.0 + JITTER * int(token[:8], 16) / 0xFFFFFFFF)


async def _send_again(world: Needs, queue: str, body: bytes, at_least_s: float, why: str, *, denied: str = "") -> None:
    """The same message for later, with an id of its own, which duplicate detection has not seen."""
    tries = away_count(body)
    fields = {**load_object(body, queue), AWAY: tries + 1}
    delay_s = back_off_s(tries, at_least_s, world.token())
    log.warning("work from %s waits %.0f s (time %d): %s", queue, delay_s, tries + 1, why)
    message = Outgoing(
        queue,
        json.dumps(fields, separators=(",", ":")).encode(),
        world.token(),
        world.clock.now() + timedelta(seconds=delay_s),
        denied=denied,
    )
    try:
        await _sent(world, message)
    except BadRequest as fault:
        await give_up(world, queue, body, str(fault))
        await dead_letter_message(
            world, queue, body, f"it cannot be sent again: {fault}; {why}", kind=DeadLetterKind.TOO_LARGE
        )


async def _sent(world: Needs, message: Outgoing) -> None:
    for pause_s in SEND_PAUSES_S:
        try:
            await world.queue.send([message])
        except Unavailable:
            await world.clock.sleep(pause_s)
        else:
            return
    await world.queue.send([message])
