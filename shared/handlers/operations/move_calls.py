"""The calls of a move for native licensing: a change of the group's licenses, and members to process again."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.ids import UserId
from shared.domain.move import Move, paused
from shared.domain.read_models import AuditEntry
from shared.domain.write_results import (
    Accepted,
    Contended,
    LicenseCall,
    Rejected,
    Throttled,
    Unanswered,
    Unsent,
    WriteResult,
)
from shared.handlers.operations.group_calls import call_group
from shared.handlers.operations.native_members import BATCH, BUSY_FOR, call_members
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.write_limiter import Pacer

SHORT_STEP = timedelta(seconds=1)
READ_AGAIN = timedelta(seconds=5)
BUSY_STEP = timedelta(minutes=1)
REPROCESS_FOR = timedelta(seconds=20)
"""How long one step has members processed again, some hundred at full speed; the next step goes on with the others."""

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
    """Have Microsoft's licensing process members with an error again, all of them in as many steps as that takes. Each
    step goes on after the last member of the step before, within the write budget and the writes that the tenant takes
    at once. A step that died is done again."""
    pacer, until = Pacer(world), world.clock.now() + REPROCESS_FOR
    left = sorted(each for each in user_ids if move.reprocessed_to is None or each > move.reprocessed_to)
    done = 0
    while done < len(left) and world.clock.now() < until:
        answers = await call_members(world, pacer, left[done : done + BATCH], urgent=False)
        now = world.clock.now()
        if isinstance(answers, datetime):
            return _up_to(move, left[:done]), max(SHORT_STEP, answers - now)
        # A rejection beside other writes says nothing about the member. After a day, a person reads why.
        began = move.removing_at or move.sent_at or move.created_at
        busy = Throttled | Unsent | Contended if now < began + BUSY_FOR else Throttled | Unsent
        if waiting := [user_id for user_id, each in answers.items() if isinstance(each, busy)]:
            return _up_to(move, [each for each in left if each < min(waiting)]), BUSY_STEP
        done += len(answers)
    log.info("native licensing processes members again move=%s members=%d of=%d", move.id, done, len(left))
    if done < len(left):
        return _up_to(move, left[:done]), SHORT_STEP
    return replace(move, reprocessed_at=world.clock.now(), reprocessed_to=None), READ_AGAIN


def _up_to(move: Move, processed: Sequence[UserId]) -> Move:
    return replace(move, reprocessed_to=processed[-1]) if processed else move
