"""The calls of a move for native licensing: a change of the group's licenses, and members to process again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.ids import UserId
from shared.domain.move import Move, paused
from shared.domain.read_models import AuditEntry
from shared.domain.write_results import Accepted, LicenseCall, Rejected, Throttled, Unanswered, Unsent, WriteResult
from shared.handlers.operations.group_calls import call_group
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.write_limiter import Pacer

SHORT_STEP = timedelta(seconds=1)
READ_AGAIN = timedelta(seconds=5)
BUSY_STEP = timedelta(minutes=1)
BATCH = 20
REPROCESSED = 100
"""Members with an error whom Microsoft's licensing processes again in one step, in batches."""

log = logging.getLogger(__name__)

Result = tuple[Move, timedelta]
"""The move after a step, and the time to the next one."""


def twice(move: Move, fault: str) -> Result:
    """Pause if the step before has read the same: one read soon after a change can show the group as it was."""
    return (paused(move, fault), timedelta(0)) if move.problem == fault else (replace(move, problem=fault), READ_AGAIN)


async def call(world: Needs, move: Move, change: LicenseCall) -> Result:
    """One call for the group. What became of it is read in the next step."""
    answer = await call_group(world, move.group_id, change, f"move-{move.id}", urgent=False)
    now = world.clock.now()
    if isinstance(answer, datetime):
        return move, max(SHORT_STEP, answer - now)
    added, removed = (len(each) for each in (change.add, change.remove))
    why = _why_not(answer)
    entry = AuditEntry(
        f"{move.id}-call-{move.step}",
        now,
        "Set group license",
        move.initiator,
        "failure" if why else "success",
        group_id=move.group_id,
        detail=why or f"move {move.direction}: {added} added, {removed} removed",
    )
    await world.stores.audit.append([entry])
    if isinstance(answer, Rejected):
        # Such as a removal that an earlier call has made already, which the read did not show yet.
        return twice(move, f"Microsoft Graph rejected the change of the group: {why}")
    return move, READ_AGAIN


def _why_not(answer: WriteResult) -> str:
    match answer:
        case Accepted():
            return ""
        case Rejected(message=message, code=code):
            return message or code
        case Unanswered(why=why):
            return f"no answer: {why}"
        case _:
            return "not sent"


async def reprocess(world: Needs, move: Move, user_ids: Sequence[UserId]) -> Result:
    """Have Microsoft's licensing process members with an error again, within the write budget."""
    pacer = Pacer(world)
    for start in range(0, min(len(user_ids), REPROCESSED), BATCH):
        batch = user_ids[start : start + BATCH]
        slot, now = await pacer.charge(urgent=False, writes=len(batch)), world.clock.now()
        if not slot.charged:
            return move, max(SHORT_STEP, timedelta(seconds=slot.start - now.timestamp()))
        await world.clock.sleep(max(0.0, slot.start - now.timestamp()))
        answers = await world.native.reprocess(batch, urgent=False)
        await pacer.heed_throttling(answers.values())
        if any(isinstance(each, Throttled | Unsent) for each in answers.values()):
            return move, BUSY_STEP
    log.info("native licensing processes members again move=%s members=%d", move.id, len(user_ids))
    return replace(move, reprocessed_at=world.clock.now()), READ_AGAIN
