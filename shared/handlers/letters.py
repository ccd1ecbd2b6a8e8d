"""Messages that could not be done, sent back to their queue by a person once the cause is repaired."""

from __future__ import annotations

import json

from shared.domain.errors import BadRequest, NotFound, PoisonMessage
from shared.domain.messages import load_object
from shared.domain.operation import Actor
from shared.domain.records import AuditEntry
from shared.handlers.settling import AWAY
from shared.ports import Outgoing, World


async def replay(world: World, letter_id: str, actor: Actor, mended: object = None) -> None:
    """Send a message back to its queue and take it off the list; sent first, so that nothing is lost in between.

    `mended`: a JSON value to send instead of the message. Raises NotFound; BadRequest for a message of which only the
    beginning was kept, where nothing stands for it.
    """
    letter = await world.stores.dead_letters.get(letter_id)
    if letter is None:
        raise NotFound(f"There is no dead letter {letter_id}.")
    if mended is None and not letter.whole:
        raise BadRequest("LetterTooLong", "Only the beginning of the message was kept; its sender must send it again.")
    body = _as_new(letter.body) if mended is None else json.dumps(mended, separators=(",", ":")).encode()
    await world.queue.send([Outgoing(letter.queue, body)])
    detail = f"queue {letter.queue}{', mended' if mended is not None else ''}: {letter.reason}"
    entry = AuditEntry(world.token(), world.clock.now(), "Replay message", actor.name, "success", detail=detail)
    await world.stores.audit.append([entry])
    await world.stores.dead_letters.remove(letter)


def _as_new(body: bytes) -> bytes:
    """The message without the count of its tries; one that is no JSON object as it is."""
    try:
        fields = dict(load_object(body, "message"))
    except PoisonMessage:
        return body
    fields.pop(AWAY, None)
    return json.dumps(fields, separators=(",", ":")).encode()
