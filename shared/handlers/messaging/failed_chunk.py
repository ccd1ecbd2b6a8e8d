"""A chunk whose message can never be done: its users end with a visible error, so that their operation ends too."""

from __future__ import annotations

from shared.domain.directory import LicenseError
from shared.domain.errors import PoisonMessage
from shared.domain.ids import GroupId
from shared.domain.member_status import MemberState
from shared.domain.messages import MEMBERS, MEMBERS_BULK, ProcessUsers, decode_process_users
from shared.domain.outcomes import ChunkOutcome, OutcomeClass, Problem
from shared.domain.read_models import MemberRow
from shared.handlers.messaging.needs import Needs

REMEDY = "The message is among those that could not be done. When its cause is corrected, reprocess the user."


async def give_up(world: Needs, queue: str, body: bytes, reason: str) -> None:
    """End the users of a chunk that have no outcome yet as failed; of any other message nothing hangs on it."""
    if queue not in (MEMBERS, MEMBERS_BULK):
        return
    try:
        message = decode_process_users(body)
    except PoisonMessage:
        return
    operation = await world.stores.operations.get(message.operation_id) if message.operation_id else None
    if operation is None or operation.state.is_ended or message.run < operation.run:
        return
    failed = [ChunkOutcome(user_id, OutcomeClass.FAILED) for user_id in message.user_ids]
    if operation.target.group_id is not None:
        await world.stores.members.record(_rows(world, operation.target.group_id, message, reason))
    await world.stores.chunks.report(operation.id, message.chunk, failed)


def _rows(world: Needs, group_id: GroupId, message: ProcessUsers, reason: str) -> list[MemberRow]:
    problem = Problem(LicenseError.OTHER, f"The work on this user could not be done: {reason}", REMEDY)
    return [
        MemberRow(
            group_id=group_id,
            user_id=user_id,
            user_principal_name="",
            display_name="",
            state=MemberState.ERROR,
            updated_at=world.clock.now(),
            problems=(problem,),
            operation_id=message.operation_id,
        )
        for user_id in message.user_ids
    ]
