"""Approvals: a person's decisions about waiting removals, and the mark on the group until the decision."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from shared.domain.approval_rules import Approver, denial, has_expired, request_of, ruling
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.errors import ApprovalDenied, Outdated, StateConflict
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import OperationId
from shared.domain.initiator import SYSTEM, Initiator
from shared.domain.operation import (
    EXPIRED,
    Approval,
    Operation,
    OperationError,
    OperationState,
    Phase,
    is_collecting,
    is_for_tenant,
)
from shared.handlers.groups.assignment_update import update_assignment
from shared.handlers.operations.accept import new_operation_id, send_step
from shared.handlers.operations.held_removals import close_tenant_approval, hold_for, release_hold
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.own_requests import count_own
from shared.handlers.operations.requesters import requesters
from shared.handlers.operations.state_changes import approved_as, change_operation, record_act, require_state
from shared.handlers.operations.sync import collecting

log = logging.getLogger(__name__)


async def open_approval(world: Needs, operation: Operation) -> None:
    """While a person decides, the removal allowance of the group, or of named users, is not used."""
    if operation.target.is_group:
        await _mark(world, operation, operation.id)
    elif not is_for_tenant(operation):
        await hold_for(world, str(Source(SourceKind.LIST)), operation.id)


async def close_approval(world: Needs, operation: Operation) -> None:
    """The decision is made: the allowance counts again."""
    if is_for_tenant(operation):
        await close_tenant_approval(world, operation)
    elif operation.target.group_id is not None:
        stored = await world.stores.assignments.get(operation.target.group_id)
        if stored is not None and stored.assignment.open_approval == operation.id:
            # Before the group stops naming the approval: until both are done nothing goes.
            await release_hold(world, str(Source(SourceKind.GROUP, operation.target.group_id)), operation.id)
        await _mark(world, operation, None)
    else:
        await release_hold(world, str(Source(SourceKind.LIST)), operation.id)


async def _mark(world: Needs, operation: Operation, open_approval: OperationId | None) -> None:
    group_id = operation.target.group_id
    if group_id is None:
        return

    def mark(before: GroupLicenseAssignment) -> GroupLicenseAssignment | None:
        if before.open_approval == open_approval or (open_approval is None and before.open_approval != operation.id):
            return None
        follows = open_approval is None and before.more_held
        named = new_operation_id(world, world.clock.now()) if follows else open_approval
        return replace(before, open_approval=named, more_held=False)

    after = await update_assignment(world, group_id, mark)
    if open_approval is None and after is not None and after.open_approval is not None:
        await collecting(world, after.open_approval, after)


async def approve(world: Needs, operation_id: OperationId, checksum: str, initiator: Initiator) -> Operation:
    """Approve the removals of the snapshot. They are carried out unless another person has to approve too.

    Raises Outdated if the checksum is not that of the waiting list. Raises ApprovalDenied for the requester, or for a
    person who approved it before, if another person must approve.
    """
    approver, before = Approver.ANOTHER, 0
    known = await world.stores.operations.get(operation_id)
    behind = await requesters(world, known) if known else frozenset()

    def decide(operation: Operation) -> Operation:
        nonlocal approver
        _require_snapshot(operation, "approve")
        if checksum != operation.checksum:
            raise Outdated("The list that waits for approval has changed. Read it again.")
        lasts = timedelta(seconds=world.policy.approval_expires_s)
        if world.clock.now() - (operation.progress_at or operation.created_at) >= lasts:
            raise Outdated(
                "The request for approval has expired. A removal that is still due is requested again later."
            )
        request, now = replace(request_of(operation, behind, initiator.id), before=before), world.clock.now()
        found = ruling(initiator.id, request, now, world.policy.approval_rules)
        if not found.approver.may_approve:
            raise ApprovalDenied(denial(found.approver, request))
        approver = found.approver
        operation = replace(operation, approvals=(*operation.approvals, Approval(initiator, now)))
        if not found.enough:
            return operation
        return replace(
            operation,
            state=OperationState.IN_PROGRESS,
            phase=Phase.PERMIT,
            approved_by=initiator,
            step=operation.step + 1,
        )

    if known:
        decide(known)  # what cannot be approved is not counted
        before = await count_own(world, request_of(known, behind, initiator.id), initiator.id)
    operation = await change_operation(world, operation_id, decide)
    activity = approved_as(approver, "Approve license removals", f"operation={operation.id}", initiator)
    if operation.approved_by is None:
        await record_act(world, operation, initiator, activity)
        return operation
    await close_approval(world, operation)
    await record_act(world, operation, initiator, activity)
    await send_step(world, operation)
    return operation


def is_old(world: Needs, operation: Operation) -> bool:
    """Whether the approval of an operation, given or by its preview, expired before its removals were carried out, as
    while writing was off. It is requested again."""
    approved_at = operation.approvals[-1].at if operation.approvals else operation.created_at
    return has_expired(approved_at, world.clock.now(), timedelta(seconds=world.policy.approval_expires_s))


async def review(world: Needs, operation_id: OperationId, initiator: Initiator) -> Operation:
    """Open an approval that collects what is held: its snapshot is taken now. Later ones go to the next."""

    def open_it(operation: Operation) -> Operation:
        if not is_collecting(operation):
            raise StateConflict("IllegalState", "Only an operation that collects held removals is opened.", "operation")
        return replace(operation, state=OperationState.QUEUED, step=operation.step + 1, progress_at=world.clock.now())

    operation = await change_operation(world, operation_id, open_it)
    await record_act(world, operation, initiator, "Review license removals")
    await send_step(world, operation)
    return operation


async def reject(world: Needs, operation_id: OperationId, initiator: Initiator) -> Operation:
    """Keep the licenses: every removal of the snapshot becomes a kept grant, and the operation ends."""

    def decide(operation: Operation) -> Operation:
        _require_snapshot(operation, "reject")
        error = OperationError("Rejected", "A person rejected the removals; the licenses are kept.")
        return replace(
            operation,
            state=OperationState.IN_PROGRESS,
            phase=Phase.REJECT,
            cancel_requested_by=initiator,
            error=error,
            step=operation.step + 1,
        )

    operation = await change_operation(world, operation_id, decide)
    await record_act(world, operation, initiator, "Reject license removals")
    await send_step(world, operation)
    return operation


async def expire(world: Needs, operation_id: OperationId) -> Operation:
    """The approval expired: the same as a rejection, but only for the same time again. Removals that are still due then
    wait for a new approval. A list that was only collected gets its snapshot first."""
    kept_until = world.clock.now() + timedelta(seconds=world.policy.approval_expires_s)

    def end(operation: Operation) -> Operation:
        require_state(operation, "expire", OperationState.AWAITING_APPROVAL)
        text = f"Nobody approved the removals in time. The licenses are kept until {kept_until:%Y-%m-%d}."
        remedy = (
            "If a removal is still due then, the app requests its approval again. To remove sooner, ask for it again."
        )
        error = OperationError(EXPIRED, text, remedy)
        if operation.native is not None:
            error = OperationError(EXPIRED, "The removals were not approved in time. The group was not changed.")
        ended = replace(operation, error=error, step=operation.step + 1)
        if is_collecting(operation):
            return replace(ended, state=OperationState.QUEUED, progress_at=world.clock.now())
        return replace(ended, state=OperationState.IN_PROGRESS, phase=Phase.REJECT, cancel_requested_by=SYSTEM)

    operation = await change_operation(world, operation_id, end)
    log.warning("approval expired operation=%s", operation.id)
    await record_act(world, operation, SYSTEM, "Expire approval of license removals")
    await send_step(world, operation)
    return operation


def _require_snapshot(operation: Operation, act: str) -> None:
    require_state(operation, act, OperationState.AWAITING_APPROVAL)
    if is_collecting(operation):
        raise StateConflict("NotReviewed", f"Review the removals first: there is no list to {act} yet.", "operation")
