"""The watchdog: operations whose chain of messages broke go on, whatever broke it."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from shared.domain.errors import BadRequest, Conflict, NotFound
from shared.domain.operation import Operation, OperationState, waits_for_a_person
from shared.handlers.operations.accept import send_step
from shared.handlers.operations.approvals import expire
from shared.handlers.operations.move_steps import watch_moves
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.write_limiter import Pacer

log = logging.getLogger(__name__)

NO_PROGRESS = timedelta(minutes=5)
"""An operation that moved less recently gets its step again: far longer than any step waits."""

RUNNING = (OperationState.QUEUED, OperationState.IN_PROGRESS)


async def watchdog(world: Needs) -> int:
    """Send the step of every running operation without progress, also of one accepted without a message.

    Operations that wait for a person end when their approval expires; ended ones are left alone. Returns how many were
    sent. The first run also stores the write budget.
    """
    await Pacer(world).begin()
    now = world.clock.now()
    sent = 0
    for operation in await world.stores.operations.open():
        moved_at = operation.progress_at or operation.created_at
        if operation.state in RUNNING and now - moved_at >= NO_PROGRESS:
            sent += await _push(world, replace(operation, step=operation.step + 1))
        elif waits_for_a_person(operation) and now - moved_at >= timedelta(seconds=world.policy.approval_expires_s):
            with suppress(BadRequest, NotFound, Conflict):
                await expire(world, operation.id)
                sent += 1
    return sent + await watch_moves(world)


async def _push(world: Needs, operation: Operation) -> bool:
    """A new step number makes a new message id, so that duplicate detection does not swallow it."""
    try:
        saved = await world.stores.operations.save(operation)
    except Conflict:
        return False
    log.warning("operation %s stood still in phase %s; its step is sent again", saved.id, saved.phase)
    await send_step(world, saved)
    return True
