"""What a person does to a running operation: approve, reject, pause, resume, cancel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from shared.domain.assignment import AssignmentState, Enforcement, GroupLicenseAssignment, SkuAssignment
from shared.domain.audit import group_act
from shared.domain.concurrency import update
from shared.domain.errors import BadRequest, Conflict, NotFound
from shared.domain.ids import OperationId
from shared.domain.operation import Actor, Operation, OperationError, OperationState, Phase, is_collecting
from shared.handlers.groups.assignment_update import update_assignment
from shared.handlers.groups.status import write_group_status
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import send_step
from shared.ports.world import World

MAX_TRIES = 10


async def approve(world: World, operation_id: OperationId, checksum: str, actor: Actor) -> Operation:
    """Let the sealed removals go. Raises BadRequest when the checksum is not that of the list waiting."""

    def decide(operation: Operation) -> Operation:
        _require_sealed(operation, "approve")
        if checksum != operation.checksum:
            raise BadRequest(
                "ChecksumMismatch", "The list that waits for approval is a different one; look at it again.", "checksum"
            )
        return replace(
            operation, state=OperationState.IN_PROGRESS, phase=Phase.PERMIT, approved_by=actor, step=operation.step + 1
        )

    operation = await _change(world, operation_id, decide)
    await approvals.close_approval(world, operation)
    await _audit(world, operation, actor, "Approve license removals")
    await send_step(world, operation)
    return operation


async def review(world: World, operation_id: OperationId, actor: Actor) -> Operation:
    """Open an approval that collects what is held: its list is sealed now, what is held later goes to the next one."""

    def open_it(operation: Operation) -> Operation:
        if not is_collecting(operation):
            raise BadRequest("IllegalState", "Only an operation that collects held removals is opened.", "operation")
        return replace(operation, state=OperationState.QUEUED, step=operation.step + 1, progress_at=world.clock.now())

    operation = await _change(world, operation_id, open_it)
    await _audit(world, operation, actor, "Review license removals")
    await send_step(world, operation)
    return operation


async def reject(world: World, operation_id: OperationId, actor: Actor) -> Operation:
    """Keep what was to be removed: every sealed removal becomes a kept grant, and the operation ends."""

    def decide(operation: Operation) -> Operation:
        _require_sealed(operation, "reject")
        error = OperationError("Rejected", f"The removals were rejected by {actor.name}; the licenses are kept.")
        return replace(
            operation,
            state=OperationState.IN_PROGRESS,
            phase=Phase.REJECT,
            cancel_requested_by=actor,
            error=error,
            step=operation.step + 1,
        )

    operation = await _change(world, operation_id, decide)
    await _audit(world, operation, actor, "Reject license removals")
    await send_step(world, operation)
    return operation


async def pause(world: World, operation_id: OperationId, actor: Actor) -> Operation:
    """Stop handing out work; what was handed out is finished within about a minute."""

    def stop(operation: Operation) -> Operation:
        _require(operation, "pause", OperationState.IN_PROGRESS, OperationState.QUEUED)
        return replace(operation, state=OperationState.PAUSED)

    operation = await _change(world, operation_id, stop)
    await _enforce(world, operation, Enforcement.PAUSED)
    await _audit(world, operation, actor, "Pause license operation")
    return operation


async def resume(world: World, operation_id: OperationId, actor: Actor) -> Operation:
    """Go on where it stopped: chunks without a final outcome for every user are handed out again as a new run."""

    def go_on(operation: Operation) -> Operation:
        _require(operation, "resume", OperationState.PAUSED)
        started = operation.phase is not Phase.SEAL
        state = OperationState.IN_PROGRESS if started else OperationState.QUEUED
        return replace(
            operation,
            state=state,
            run=operation.run + 1,
            step=operation.step + 1,
            released=operation.reported,
            progress_at=world.clock.now(),
        )

    operation = await _change(world, operation_id, go_on)
    await _enforce(world, operation, Enforcement.ENFORCED)
    await _audit(world, operation, actor, "Resume license operation")
    await send_step(world, operation)
    return operation


async def cancel(world: World, operation_id: OperationId, actor: Actor) -> Operation:
    """End an operation: users not reached are `skipped`, and nothing later completes what was cancelled.

    Cancelling again what a person cancelled does what a process that died in between had left undone.
    """

    def end(operation: Operation) -> Operation:
        if operation.state.is_ended:
            raise BadRequest("OperationEnded", f"The operation has ended: {operation.state}.", "operation")
        if operation.phase in (Phase.SEAL, Phase.APPROVE):
            error = OperationError("Cancelled", f"Cancelled by {actor.name}.")
            ended = operation.ended(OperationState.CANCELLED, world.clock.now(), error)
            totals = replace(ended.totals, skipped=ended.totals.skipped + ended.totals.remaining)
            return replace(ended, cancel_requested_by=actor, totals=totals)
        return replace(operation, state=OperationState.IN_PROGRESS, cancel_requested_by=actor, step=operation.step + 1)

    known = await world.stores.operations.get(operation_id)
    again = known is not None and _was_cancelled(known)
    operation = known if known is not None and again else await _change(world, operation_id, end)
    await _enforce(world, operation, Enforcement.CANCELLED)
    await approvals.close_approval(world, operation)
    await _audit(world, operation, actor, "Cancel license operation")
    if operation.state.is_ended and not again and not operation.preview:
        await write_group_status(world, operation)
    if not operation.state.is_ended:
        await send_step(world, operation)
    return operation


def _was_cancelled(operation: Operation) -> bool:
    """Whether a person ended it so; one that was rejected or superseded is not."""
    rejected = operation.error is not None and operation.error.code == "Rejected"
    by_person = operation.cancel_requested_by is not None and operation.superseded_by is None
    return operation.state is OperationState.CANCELLED and by_person and not rejected


def _require(operation: Operation, act: str, *states: OperationState) -> None:
    if operation.state not in states:
        allowed = " or ".join(states)
        raise BadRequest(
            "IllegalState", f"Cannot {act} an operation that is {operation.state}; it must be {allowed}.", "operation"
        )


def _require_sealed(operation: Operation, act: str) -> None:
    _require(operation, act, OperationState.AWAITING_APPROVAL)
    if is_collecting(operation):
        raise BadRequest("NotReviewed", f"Review the removals first: there is no list to {act} yet.", "operation")


async def _change(world: World, operation_id: OperationId, change: Callable[[Operation], Operation]) -> Operation:
    saved = await update(
        partial(world.stores.operations.get, operation_id),
        lambda operation: change(operation) if operation else None,
        world.stores.operations.save,
        tries=MAX_TRIES,
        lost=Conflict(f"Operation {operation_id} is changing too quickly; try again."),
    )
    if saved is None:
        raise NotFound(f"There is no operation {operation_id}.")
    return saved


async def _enforce(world: World, operation: Operation, enforcement: Enforcement) -> None:
    """Mark the SKUs of the operation, so that nothing completes what was stopped.

    A SKU that was being removed comes back marked: who still has it keeps it, and nobody is given it.
    """
    group_id = operation.target.group_id
    if group_id is None or operation.preview:
        return

    def mark(assignment: GroupLicenseAssignment) -> GroupLicenseAssignment | None:
        if assignment.operation_id != operation.id:
            return None
        marked = _marked(assignment, operation, enforcement)
        return None if marked == assignment else replace(marked, version=marked.version + 1)

    await update_assignment(world, group_id, mark)


def _marked(
    assignment: GroupLicenseAssignment, operation: Operation, enforcement: Enforcement
) -> GroupLicenseAssignment:
    removed = set(operation.change.remove)
    touched = removed | {license.sku_id for license in operation.change.add}
    skus = {sku.sku_id: sku for sku in assignment.skus}
    for sku_id in sorted(touched or skus.keys()):
        if sku_id in removed and enforcement is Enforcement.ENFORCED:
            skus.pop(sku_id, None)
        elif sku_id in removed:
            skus[sku_id] = replace(
                skus.get(sku_id) or SkuAssignment(sku_id, frozenset()), enforcement=Enforcement.CANCELLED
            )
        elif sku_id in skus:
            skus[sku_id] = replace(skus[sku_id], enforcement=enforcement)
    state = AssignmentState.ACTIVE if skus else AssignmentState.ENDED
    return replace(assignment, skus=tuple(skus[sku_id] for sku_id in sorted(skus)), state=state)


async def _audit(world: World, operation: Operation, actor: Actor, activity: str) -> None:
    await world.stores.audit.append([group_act(activity, operation, actor, world.clock.now())])
