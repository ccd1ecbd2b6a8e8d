"""The queues' own dead letters: messages that were delivered too often and never done, because their function died or
raised an unexpected error. Each is tried again a few times, later and later, and then kept where people see it."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

from shared.domain.errors import BadRequest, NotFound, PoisonMessage, Unavailable
from shared.domain.initiator import Initiator
from shared.domain.messages import JOBS, MEMBERS, MEMBERS_BULK, NOTIFICATIONS, ONBOARDING, STEPS, load_object
from shared.domain.read_models import AuditEntry, DeadLetter, ReplayedMessage
from shared.handlers.messaging.failed_chunk import give_up
from shared.handlers.messaging.needs import Needs
from shared.handlers.messaging.settlement import AWAY, MAX_REASON, dead_letter_message
from shared.handlers.notes import note
from shared.ports.messaging import Outgoing, Undelivered

log = logging.getLogger(__name__)

QUEUES = (MEMBERS, MEMBERS_BULK, *STEPS, NOTIFICATIONS, ONBOARDING, JOBS)

PAUSES = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1))
"""Before each new try; ten deliveries of a message that kills its function are over in less than a second."""

AT_ONCE = 200
"""Dead letters of a queue that one run takes; the next run takes the rest."""


async def drain(world: Needs) -> int:
    """Take up the dead letters of every queue; returns how many. One queue that is away does not hold up the others."""
    taken = 0
    for queue in QUEUES:
        try:
            taken += await world.dead_letters.drain(queue, AT_ONCE, lambda dead_letter: _again(world, dead_letter))
        except Unavailable as fault:
            log.warning("the dead letters of %s could not be read: %s", queue, fault)
    return taken


async def _again(world: Needs, dead_letter: Undelivered) -> None:
    """Sent or kept first; only then is the letter taken off its queue. Done twice, it costs one extra try."""
    if dead_letter.drained >= len(PAUSES):
        reason = f"given up after {dead_letter.drained} tries out of the dead letters: {dead_letter.reason}"
        await _keep(world, dead_letter, reason)
        return
    pause = PAUSES[dead_letter.drained]
    log.warning(
        "a dead letter of %s is tried again in %s (time %d): %s",
        dead_letter.queue,
        pause,
        dead_letter.drained + 1,
        dead_letter.reason[:200],
    )
    at = world.clock.now() + pause
    try:
        await world.queue.send(
            [Outgoing(dead_letter.queue, dead_letter.body, world.token(), at, dead_letter.drained + 1)]
        )
    except BadRequest as fault:
        await _keep(world, dead_letter, f"{dead_letter.reason}; it cannot be sent again: {fault}")


async def _keep(world: Needs, dead_letter: Undelivered, reason: str) -> None:
    """Kept where people see it, and nothing waits for it any more."""
    await give_up(world, dead_letter.queue, dead_letter.body, reason[:MAX_REASON])
    await dead_letter_message(world, dead_letter.queue, dead_letter.body, reason)


async def replay(world: Needs, dead_letter_id: str, initiator: Initiator) -> None:
    """Send a message back to its queue as it was, and take it off the list. Raises NotFound; BadRequest if only the
    beginning of the message was kept."""
    dead_letter = await dead_letter_of(world, dead_letter_id)
    if not dead_letter.whole:
        raise BadRequest(
            "MessageIncomplete", "Only the beginning of the message was kept; its sender must send it again."
        )
    await world.queue.send([Outgoing(dead_letter.queue, as_new(dead_letter.body))])
    await note_replay(world, dead_letter, initiator)


async def note_replay(
    world: Needs, dead_letter: DeadLetter, initiator: Initiator, corrected: bytes | None = None
) -> None:
    """Record a replay with both texts, and take the message off the list; called after it was sent, so that nothing is
    lost in between."""
    # The reason is left out: it can hold values of an HR event, and readers of the audit log are not shown those.
    detail = f"queue {dead_letter.queue}{', corrected' if corrected is not None else ''}: message {dead_letter.id}"
    entry = AuditEntry(world.token(), world.clock.now(), "Replay message", initiator, "success", detail=detail)
    await world.stores.audit.keep_message(entry.id, entry.at, ReplayedMessage(dead_letter.body, corrected))
    await world.stores.audit.append([entry])
    await world.stores.dead_letters.remove(dead_letter.id)


async def delete(world: Needs, dead_letter_id: str, initiator: Initiator) -> None:
    """Take a message off the list without sending it. Raises NotFound."""
    dead_letter = await dead_letter_of(world, dead_letter_id)
    await note(world, "Delete message", initiator, detail=f"queue {dead_letter.queue}: message {dead_letter.id}")
    await world.stores.dead_letters.remove(dead_letter.id)


async def dead_letter_of(world: Needs, dead_letter_id: str) -> DeadLetter:
    """Raises NotFound."""
    found = await world.stores.dead_letters.get(dead_letter_id)
    if found is None:
        raise NotFound(f"There is no dead letter {dead_letter_id}.")
    return found


def as_new(body: bytes) -> bytes:
    """The message without the count of its tries; one that is no JSON object as it is."""
    try:
        fields = dict(load_object(body, "message"))
    except PoisonMessage:
        return body
    fields.pop(AWAY, None)
    return json.dumps(fields, separators=(",", ":")).encode()
