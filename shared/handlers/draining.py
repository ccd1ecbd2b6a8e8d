"""The queues' own dead letters: messages that were delivered too often and never done, because their function died or
raised what nobody expected. Each is tried again a few times, later and later, and then kept where people see it."""

from __future__ import annotations

import logging
from datetime import timedelta

from shared.domain.errors import BadRequest, Unavailable
from shared.domain.messages import JOBS, MEMBERS, MEMBERS_BULK, NOTIFICATIONS, ONBOARDING, OPERATIONS
from shared.handlers.giving_up import give_up
from shared.handlers.settling import MAX_REASON, bury
from shared.ports import Outgoing, Undelivered, World

log = logging.getLogger(__name__)

QUEUES = (MEMBERS, MEMBERS_BULK, OPERATIONS, NOTIFICATIONS, ONBOARDING, JOBS)

PAUSES = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""Before each new try; ten deliveries of a message that kills its function are over in less than a second."""

AT_ONCE = 200
"""Dead letters of a queue that one run takes; the next run takes the rest."""


async def drain(world: World) -> int:
    """Take up the dead letters of every queue; returns how many. One queue that is away does not hold up the others."""
    taken = 0
    for queue in QUEUES:
        try:
            taken += await world.dead_letters.drain(queue, AT_ONCE, lambda letter: _again(world, letter))
        except Unavailable as fault:
            log.warning("the dead letters of %s could not be read: %s", queue, fault)
    return taken


async def _again(world: World, letter: Undelivered) -> None:
    """Sent or kept first; only then is the letter taken off its queue. Done twice, it is one look too many."""
    if letter.drained >= len(PAUSES):
        reason = f"given up after {letter.drained} tries out of the dead letters: {letter.reason}"
        await _keep(world, letter, reason)
        return
    pause = PAUSES[letter.drained]
    log.warning(
        "a dead letter of %s is tried again in %s (time %d): %s",
        letter.queue,
        pause,
        letter.drained + 1,
        letter.reason[:200],
    )
    at = world.clock.now() + pause
    try:
        await world.queue.send([Outgoing(letter.queue, letter.body, world.token(), at, letter.drained + 1)])
    except BadRequest as fault:
        await _keep(world, letter, f"{letter.reason}; it cannot be sent again: {fault}")


async def _keep(world: World, letter: Undelivered, reason: str) -> None:
    """Kept where people see it, and nothing waits for it any more."""
    await give_up(world, letter.queue, letter.body, reason[:MAX_REASON])
    await bury(world, letter.queue, letter.body, reason)
