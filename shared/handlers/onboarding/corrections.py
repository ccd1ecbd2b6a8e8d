"""Dead letters that a person corrected. A corrected event or job is sent by that person, under the person's name and
rules. It never goes back to the queue, where it would count as a message of any sender of the queue."""

from __future__ import annotations

import json

from shared.domain.errors import BadRequest
from shared.domain.hr_intake import open_keys
from shared.domain.initiator import Initiator
from shared.domain.messages import JOBS, ONBOARDING
from shared.handlers.messaging.dead_letters import dead_letter_of, note_replay
from shared.handlers.onboarding import records
from shared.handlers.onboarding.needs import Needs
from shared.handlers.operations.jobs_queue import accept_corrected
from shared.ports.messaging import Outgoing


async def replay_corrected(world: Needs, dead_letter_id: str, message: object, initiator: Initiator) -> None:
    """Do what a JSON value asks in the place of a dead letter, and take that off the list. Messages of the app itself
    carry no authority and go to their queue.

    Raises NotFound; BadRequest for what its sender would be answered, and then the letter stays.
    """
    dead_letter = await dead_letter_of(world, dead_letter_id)
    body = json.dumps(message, separators=(",", ":")).encode()
    if dead_letter.queue == ONBOARDING:
        await _take_event(world, message, initiator)
    elif dead_letter.queue == JOBS:
        await accept_corrected(world, body, initiator)
    else:
        await world.queue.send([Outgoing(dead_letter.queue, body)])
    await note_replay(world, dead_letter, initiator, body)


async def _take_event(world: Needs, event: object, initiator: Initiator) -> None:
    receipts = await records.accept(world, [event], initiator)
    (receipt,) = receipts
    if receipt.reason:
        target = "id" if receipt.taken else receipt.faults[0].field
        raise BadRequest("InvalidEvent", f"The corrected event is not valid: {receipt.reason}", target)
    await records.resume(world, open_keys(receipts))
