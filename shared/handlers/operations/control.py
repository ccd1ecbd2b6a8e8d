"""Pause, resume and cancel a running operation."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.assignment import Enforcement, Engine, GroupLicenseAssignment, SkuAssignment
from shared.domain.errors import StateConflict
from shared.domain.group_request import state_after
from shared.domain.ids import OperationId
from shared.domain.initiator import Initiator
from shared.domain.operation import Operation, OperationError, OperationState, Phase
from shared.handlers.groups.assignment_update import update_assignment
from shared.handlers.groups.status import write_group_status
from shared.handlers.operations.accept import send_step
from shared.handlers.operations.approvals import close_approval
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.state_changes import change_operation, record_act, require_state


async def pause(world: Needs, operation_id: OperationId, initiator: Initiator) -> Operation:
    """Stop handing out work. Chunks that have not begun are dropped; `resume` hands them out again."""

    def stop(operation: Operation) -> Operation:
        require_state(operation, "pause", OperationState.IN_PROGRESS, OperationState.QUEUED)
        return replace(operation, state=OperationState.PAUSED)

    operation = await change_operation(world, operation_id, stop)
    await _enforce(world, operation, Enforcement.PAUSED)
    await record_act(world, operation, initiator, "Pause license operation")
    return operation


async def resume(world: Needs, operation_id: OperationId, initiator: Initiator) -> Operation:
    """Go on where it stopped: chunks without a final outcome for every user are handed out again as a new run."""

    def go_on(operation: Operation) -> Operation:
        require_state(operation, "resume", OperationState.PAUSED)
        started = operation.phase is not Phase.SNAPSHOT
        state = OperationState.IN_PROGRESS if started else OperationState.QUEUED
        return replace(
            operation,
            state=state,
            run=operation.run + 1,
            step=operation.step + 1,
            released=operation.reported,
            progress_at=world.clock.now(),
        )

    operation = await change_operation(world, operation_id, go_on)
    await _enforce(world, operation, Enforcement.ENFORCED)
    await record_act(world, operation, initiator, "Resume license operation")
    await send_step(world, operation)
    return operation


async def cancel(world: Needs, operation_id: OperationId, initiator: Initiator) -> Operation:
    """End an operation: users not reached are `skipped`, and nothing later completes what was cancelled.

    Cancelling again what a person cancelled does what a process that died in between had left undone.
    """

    def end(operation: Operation) -> Operation:
        if operation.state.is_ended:
            raise StateConflict("OperationEnded", f"The operation has ended: {operation.state}.", "operation")
        if operation.phase in (Phase.SNAPSHOT, Phase.APPROVE):
            error = OperationError("Cancelled", "A person cancelled the operation.")
            ended = operation.ended(OperationState.CANCELLED, world.clock.now(), error)
            totals = ended.totals.with_rest_skipped()
            return replace(ended, cancel_requested_by=initiator, totals=totals)
        return replace(
            operation, state=OperationState.IN_PROGRESS, cancel_requested_by=initiator, step=operation.step + 1
        )

    known = await world.stores.operations.get(operation_id)
    again = known is not None and _was_cancelled(known)
    operation = known if known is not None and again else await change_operation(world, operation_id, end)
    await _enforce(world, operation, Enforcement.CANCELLED)
    await close_approval(world, operation)
    await record_act(world, operation, initiator, "Cancel license operation")
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


async def _enforce(world: Needs, operation: Operation, enforcement: Enforcement) -> None:
    """Mark the SKUs of the operation, so that nothing completes the stopped operation.

    A SKU that was being removed is stored again with a mark. Users who still have it keep it, and no other user gets
    it.
    """
    group_id = operation.target.group_id
    if group_id is None or operation.preview:
        return

    def mark(assignment: GroupLicenseAssignment) -> GroupLicenseAssignment | None:
        if assignment.operation_id != operation.id or assignment.engine is not Engine.DIRECT:
            return None
        marked = _marked(assignment, operation, enforcement)
        pauses = marked.pauses + (enforcement is not Enforcement.CANCELLED)
        return None if marked == assignment else replace(marked, version=marked.version + 1, pauses=pauses)

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
    marked = tuple(skus[sku_id] for sku_id in sorted(skus))
    return replace(assignment, skus=marked, state=state_after(marked, operation.change))
