"""Turn writing to Microsoft Graph on or off for the whole app."""

from __future__ import annotations

import logging
from dataclasses import replace

from shared.domain.errors import BadRequest, Conflict
from shared.domain.initiator import Initiator
from shared.domain.operation import Operation, OperationState, Phase
from shared.domain.writing import READ_ONLY, Switch, Writing, followed
from shared.handlers.notes import note
from shared.handlers.operations.accept import send_step
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.write_limiter import Pacer, writing

log = logging.getLogger(__name__)

RUNNING = (OperationState.QUEUED, OperationState.IN_PROGRESS)


async def turn_on(world: Needs, initiator: Initiator) -> Writing:
    """Let the app write. Open operations go on with fresh reads; other work that waits comes back within ten minutes.

    Turning it on again resumes what a process that died in between had left. Raises BadRequest while the setting
    WRITING forbids it, and without a permission to write.
    """
    before = await writing(world)
    if before.is_read_only:
        raise BadRequest("ReadOnly", READ_ONLY)
    if before.is_forced_off:
        raise BadRequest(
            "WritingForcedOff",
            "The setting WRITING is off, so writing cannot be turned on here. An administrator of the app can remove "
            "the setting, or set it to on.",
            "WRITING",
        )
    await _record(world, initiator, "Turn on writing")
    now_on = before if before.is_on else await Pacer(world).turn(lambda _, now: Switch(True, now))
    await _resume_all(world)
    return now_on


async def turn_off(world: Needs, initiator: Initiator) -> Writing:
    """Stop all writes. Calls that are under way end; work that has not begun waits until writing is turned on."""
    await _record(world, initiator, "Turn off writing")
    return await Pacer(world).turn(lambda switch, now: replace(switch, is_on=False, at=now))


async def follow_setting(world: Needs) -> None:
    """The watchdog compares the setting WRITING: when it stops forcing writing off, open work goes on as if an
    administrator had turned it on."""
    setting = world.policy.writing
    before = await writing(world)
    after = await Pacer(world).turn(lambda switch, now: followed(switch, setting, now))
    if after.is_on and not before.is_on:
        log.warning("turn on writing initiator=setting")
        await _resume_all(world)


async def _resume_all(world: Needs) -> None:
    for operation in await world.stores.operations.open():
        if operation.state in RUNNING and not operation.preview:
            await _resume(world, operation)


async def _record(world: Needs, initiator: Initiator, activity: str) -> None:
    log.warning("%s initiator=%s", activity.lower(), initiator.id)
    await note(world, activity, initiator)


async def _resume(world: Needs, operation: Operation) -> None:
    """Its users are read again, in a new run: chunks that were handed out before count as lost."""
    started = operation.phase is not Phase.SNAPSHOT
    fresh = replace(
        operation,
        run=operation.run + started,
        step=operation.step + 1,
        released=operation.reported,
        progress_at=world.clock.now(),
    )
    try:
        saved = await world.stores.operations.save(fresh)
    except Conflict:
        # Another worker has moved it, so it goes on.
        return
    await send_step(world, saved)
