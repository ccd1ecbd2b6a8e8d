"""The steps of an operation: seal and plan, then permit or reject what a person decided, release chunks, finish.

Each step does its work, advances the row under its ETag, and sends the next message. A duplicate or late message finds
an older step and returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import trace_context
from shared.domain.approval_rules import request_of
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.audit import group_act
from shared.domain.backoff import Backoff
from shared.domain.denials import GRANT_RETRY, GRANT_WAIT, WAITS_FOR_GRANT
from shared.domain.directory import LicenseError
from shared.domain.errors import AssignmentError, BadRequest, Conflict, NotFound, PermissionDenied, Unavailable
from shared.domain.graph_errors import remedy_for
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import NO_PLANS, GroupId, OperationId
from shared.domain.initiator import SYSTEM
from shared.domain.messages import OperationStep, decode_operation_step
from shared.domain.operation import (
    EXPIRED,
    HELD,
    Operation,
    OperationError,
    OperationState,
    Phase,
    Target,
    decides_removals,
    is_for_tenant,
)
from shared.domain.pending_removal import PendingRemoval
from shared.domain.snapshot_pages import SnapshotPage, chunks_of, errors_of
from shared.domain.trace_context import followed
from shared.handlers.groups.status import change_group_status, write_group_status
from shared.handlers.messaging import bulk_dead_letters
from shared.handlers.operations import approvals, dispatch, move_steps, native_steps, permit_writes
from shared.handlers.operations.accept import send_step
from shared.handlers.operations.assignment_changes import write_intent
from shared.handlers.operations.forecast import listed
from shared.handlers.operations.held_removals import held_users
from shared.handlers.operations.native_operation import native_snapshot
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.own_requests import count_own
from shared.handlers.operations.snapshot import Snapshot, take_snapshot
from shared.handlers.operations.sync import SYNC, sync_soon
from shared.handlers.reconcile.permits import allow_operation
from shared.handlers.reconcile.write_limiter import writing
from shared.ports.messaging import Outgoing

SHORT_STEP = timedelta(seconds=1)
STEP = timedelta(seconds=3)
WAITING_STEP = Backoff(timedelta(seconds=15), timedelta(minutes=1), share=0.05)
"""Time to the next step: short while an operation is young, long while it only waits for users reconciled later."""

SNAPSHOT_FOR = timedelta(hours=24)
"""How long reading the users is tried; what has failed for a day is for a person to see."""

FINISH = "Finish applying group based license to users"


async def process_operations(world: Needs, queue: str, body: bytes) -> None:
    """Take the step that a message of this queue names, of an operation, of a move, or of an act on dead letters.

    Raises PoisonMessage for an unreadable body, Unavailable when a dependency is away.
    """
    if bulk_dead_letters.is_step(body):
        await bulk_dead_letters.process_step(world, body)
    elif move_steps.is_step(body):
        await move_steps.process_step(world, body)
    else:
        await _take(world, queue, decode_operation_step(body))


async def _take(world: Needs, queue: str, message: OperationStep) -> None:
    followed(message.traceparent)
    trace_context.operation.set(message.operation_id)
    operation = await world.stores.operations.get(message.operation_id)
    if operation is None or message.run != operation.run:
        return
    if operation.state.is_ended:
        return
    trace_context.correlation.set(operation.correlation_id)
    if message.step == operation.step - 1:
        await send_step(world, operation)
        return
    if message.step != operation.step or operation.state in (OperationState.PAUSED, OperationState.AWAITING_APPROVAL):
        return
    try:
        await _advance(world, operation)
    except Conflict:
        await world.queue.send([Outgoing(queue, message.encode(), None, world.clock.now() + SHORT_STEP)])
    except (NotFound, BadRequest, AssignmentError) as fault:
        await _fail(world, operation, fault)
    except PermissionDenied as fault:
        await _wait_for_grant(world, operation, fault)
    except Unavailable as fault:
        began = operation.progress_at or operation.created_at
        if operation.phase is not Phase.SNAPSHOT or world.clock.now() < began + SNAPSHOT_FOR:
            raise
        await _fail(world, operation, fault)


async def _wait_for_grant(world: Needs, operation: Operation, fault: PermissionDenied) -> None:
    """The same step again, when the app's token may have the permission. The operation shows what it waits for. The
    person who requested a preview can request it again."""
    if operation.preview or world.clock.now() >= operation.created_at + GRANT_WAIT:
        await _fail(world, operation, fault)
        return
    why = OperationError(PermissionDenied.__name__, f"{WAITS_FOR_GRANT}: {fault}", remedy_for(LicenseError.PERMISSION))
    wait = GRANT_RETRY.after(world.clock.now() - operation.created_at)
    await _save_and_go_on(world, replace(operation, error=why), wait)


async def _advance(world: Needs, operation: Operation) -> None:
    if not operation.preview and operation.phase is not Phase.REJECT and not (await writing(world)).is_on:
        # Turning it on sends the step again, except of an operation that is cancelled.
        if operation.cancel_requested_by is not None:
            await _end_unwritten(world, operation)
        return
    if await _superseded(world, operation):
        return
    match operation.phase:
        case Phase.SNAPSHOT:
            await _snapshot(world, operation)
        case Phase.PERMIT:
            await _permit(world, operation)
        case Phase.REJECT:
            if operation.native is None:
                await permit_writes.write_kept(world, operation)
            await _finish(world, operation)
        case Phase.RELEASE | Phase.FINISH:
            await _release(world, operation)
        case Phase.APPROVE:
            return


async def _permit(world: Needs, operation: Operation) -> None:
    if operation.approved_by is not None and approvals.is_old(world, operation):
        again = replace(operation, state=OperationState.QUEUED, phase=Phase.SNAPSHOT, approvals=(), approved_by=None)
        await _save_and_go_on(world, replace(again, progress_at=world.clock.now()), timedelta(0))
        return
    await approvals.close_approval(world, operation)
    if operation.native is None:  # else Microsoft's licensing removes, and its step reads what was approved
        await permit_writes.write_permits(world, operation)
        if await _superseded(world, operation):
            return
        await permit_writes.ask_again(world, operation)
    await _save_and_go_on(world, replace(operation, phase=Phase.RELEASE), timedelta(0))


async def _superseded(world: Needs, operation: Operation) -> bool:
    """End an operation whose group a person has given a newer intent; what it handed out is done by the newer one."""
    group_id = operation.target.group_id
    by_system = operation.initiator.is_app_itself
    if group_id is None or not (operation.intent_written or by_system):
        return False
    stored = await world.stores.assignments.get(group_id)
    newest = stored.assignment.operation_id if stored else None
    if newest is None or newest == operation.id or (by_system and not await _came_after(world, newest, operation)):
        return False
    error = OperationError("Superseded", f"A newer operation on the group, {newest}, took its place.")
    ended = operation.ended(OperationState.CANCELLED, world.clock.now(), error)
    ended = replace(ended, superseded_by=newest, totals=ended.totals.with_rest_skipped())
    if operation.phase is Phase.PERMIT and operation.native is None:
        # Written a moment after the newer intent they would outlive it; first, since no step follows once it ended.
        await permit_writes.void_permits(world, operation)
    await world.stores.operations.save(ended)
    return True


async def _came_after(world: Needs, newest: OperationId, operation: Operation) -> bool:
    """Whether a person asked after the system's operation was inserted; its id may be made of an earlier time."""
    if newest < operation.id:
        return False
    other = await world.stores.operations.get(newest)
    return other is None or other.created_at > operation.created_at


async def _snapshot(world: Needs, operation: Operation) -> None:
    """Read and plan every user, keep the pages of the snapshot, and decide whether a person must approve."""
    operation = await write_intent(world, operation)
    if await _superseded(world, operation):
        return
    if is_for_tenant(operation):
        operation = replace(operation, target=Target(user_ids=await held_users(world)))
    await _write_list_grants(world, operation)
    known = {assignment.group_id: assignment for assignment in await world.stores.assignments.all()}
    snapshot = await (native_snapshot if operation.native else take_snapshot)(world, operation, known)
    snapshot_id = world.token()[:16]
    await world.stores.snapshots.write(operation.id, snapshot_id, snapshot.pages)
    await world.stores.snapshots.write(operation.id, errors_of(snapshot_id), snapshot.errors)
    if operation.target.group_id is not None and snapshot.gone and not operation.preview:
        await world.stores.members.forget(operation.target.group_id, snapshot.gone)
    chunks = _chunk_count(world, operation, snapshot.pages)
    operation = _described(operation, snapshot, snapshot_id, world.policy.chunk_size, chunks, world.clock.now())
    if operation.preview:
        ended = operation.ended(OperationState.COMPLETE, world.clock.now())
        await world.stores.operations.save(replace(ended, phase=Phase.FINISH))
        return
    await _note_size(world, operation, snapshot.size)
    if snapshot.summary.users_losing == 0 or not decides_removals(operation):
        await _save_and_go_on(world, replace(operation, phase=Phase.RELEASE, error=None), timedelta(0))
    elif operation.error is not None and operation.error.code == EXPIRED:
        rejected = replace(operation, phase=Phase.REJECT, cancel_requested_by=SYSTEM)
        await _save_and_go_on(world, rejected, timedelta(0))
    elif await _approved_by_preview(world, operation):
        approver, now = operation.initiator, world.clock.now()
        activity = "Approve license removals by preview"
        await world.stores.audit.append([group_act(activity, operation, approver, now)])
        approved = replace(operation, phase=Phase.PERMIT, approved_by=approver)
        await _save_and_go_on(world, approved, timedelta(0))
    elif await _is_permitted(world, operation, snapshot, known):
        await _save_and_go_on(world, replace(operation, phase=Phase.PERMIT), timedelta(0))
    else:
        await approvals.open_approval(world, operation)
        waiting = replace(operation, state=OperationState.AWAITING_APPROVAL, phase=Phase.APPROVE)
        await world.stores.operations.save(replace(waiting, step=operation.step + 1))


def _described(
    operation: Operation, snapshot: Snapshot, snapshot_id: str, chunk_size: int, chunks: int, now: datetime
) -> Operation:
    return replace(
        operation,
        state=OperationState.IN_PROGRESS,
        snapshot_id=snapshot_id,
        pages=len(snapshot.pages),
        chunk_size=chunk_size,
        chunks=chunks,
        released=0,
        reported=0,
        totals=snapshot.totals,
        counted=snapshot.totals,
        plan=snapshot.summary,
        checksum=snapshot.checksum,
        started_at=now,
        progress_at=now,
        error=None if _waited_for_grant(operation) else operation.error,
    )


def _waited_for_grant(operation: Operation) -> bool:
    return operation.error is not None and operation.error.code == PermissionDenied.__name__


def _chunk_count(world: Needs, operation: Operation, pages: Sequence[SnapshotPage]) -> int:
    if not pages:
        return 0
    return pages[-1].first_chunk + len(chunks_of(operation.id, pages[-1], world.policy.chunk_size))


async def _write_list_grants(world: Needs, operation: Operation) -> None:
    """The intent of an operation on named users: a grant for each, until it is removed."""
    if operation.preview or operation.target.is_group:
        return
    grants = listed((), operation)
    users = operation.target.user_ids
    await permit_writes.void_list_permits(world, users, {license.sku_id for license in operation.change.add})
    await world.stores.grants.put((user_id, grant) for user_id in users for grant in grants)
    await world.stores.grants.remove(
        (user_id, permit_writes.list_grant(sku_id)) for user_id in users for sku_id in operation.change.remove
    )


async def _approved_by_preview(world: Needs, operation: Operation) -> bool:
    if operation.cause == HELD or approvals.is_old(world, operation):
        return False
    if not await permit_writes.approved_by_preview(world, operation):
        return False
    return not await count_own(world, request_of(operation), operation.initiator.id)


async def _is_permitted(
    world: Needs, operation: Operation, snapshot: Snapshot, known: dict[GroupId, GroupLicenseAssignment]
) -> bool:
    """Whether the removals need no decision: they fit the allowances, and no protected person loses a license."""
    if operation.cause == HELD or operation.plan.protected:
        return False
    source = permit_writes.source_of(operation)
    rows = [
        PendingRemoval(claim, user_id, sku_id, operation.created_at, action.plans_losing(sku_id) or NO_PLANS)
        for page in snapshot.pages
        for user_id, action in zip(page.user_ids, map(page.action, range(len(page.user_ids))), strict=True)
        for sku_id, claims in action.claims
        for claim in claims
        if claim.source == source
    ]
    return await allow_operation(world, source, rows, known, snapshot.size)


async def _note_size(world: Needs, operation: Operation, size: int) -> None:
    """The group is in progress, with its size; a size of none where there was one is not recorded."""
    group_id = operation.target.group_id
    if group_id is None:
        return
    has_rule, now = await _has_rule(world, group_id), world.clock.now()

    def in_progress(before: GroupStatus) -> GroupStatus:
        return replace(
            before,
            state=GroupState.IN_PROGRESS,
            members=size or before.members,
            dynamic=has_rule or (before.dynamic and not decides_removals(operation)),
            operation_id=operation.id,
            updated_at=now,
        )

    await change_group_status(world, group_id, in_progress)
    initiator = operation.initiator
    activity = "Start applying group based license to users"
    await world.stores.audit.append([group_act(activity, operation, initiator, world.clock.now())])


async def _has_rule(world: Needs, group_id: GroupId) -> bool:
    """Whether a rule decides the group's members. A rule that is lost stays recorded until a person has reviewed what
    the group would lose, or has changed what it assigns."""
    try:
        return (await world.directory.group(group_id)).is_dynamic
    except NotFound:
        return False


async def _release(world: Needs, operation: Operation) -> None:
    """Hand out more and go on until every user of the snapshot has an outcome."""
    if operation.native is not None:
        step = await native_steps.advance(world, operation)
        if step.wait is not None:
            await _save_and_go_on(world, step.operation, step.wait)
        else:
            await _finish(world, step.operation)
        return
    moved = await dispatch.hand_out(world, operation)
    if dispatch.all_reported(moved):
        await _finish(world, moved)
    else:
        await _save_and_go_on(world, moved, _pause(moved, world.clock.now()))


async def _end_unwritten(world: Needs, operation: Operation) -> None:
    """End a cancelled operation while writing is off: its chunks were dropped, so they never report."""
    totals = await dispatch.totals_at_the_end(world, operation, operation.released - 1)
    await _finish(world, replace(operation, counted=totals))


def _pause(operation: Operation, now: datetime) -> timedelta:
    if operation.started_at is not None and now - operation.started_at < timedelta(seconds=20):
        return SHORT_STEP
    if operation.progress_at is not None and now - operation.progress_at > timedelta(minutes=2):
        return WAITING_STEP.after(now - operation.progress_at)
    return STEP


async def _finish(world: Needs, operation: Operation) -> None:
    """Write totals, state, and the group's snapshot that pages read: the one place that does."""
    now = world.clock.now()
    error = operation.error
    if operation.cancel_requested_by is not None:
        state = OperationState.CANCELLED
        error = error or OperationError("Cancelled", "A person cancelled the operation.")
        if operation.native is None:
            await permit_writes.void_permits(world, operation)
        totals = operation.counted.with_rest_skipped()
    else:
        state, totals = OperationState.COMPLETE, operation.counted
    await approvals.close_approval(world, operation)
    await write_group_status(world, operation)
    ended = replace(operation.ended(state, now, error), phase=Phase.FINISH, totals=totals)
    detail = f"Users successfully assigned licenses: {totals.applied + totals.unchanged}, "
    detail += f"Users for whom license assignment failed: {totals.failed + totals.waiting}."
    await world.stores.audit.append([group_act(FINISH, ended, SYSTEM, now, detail=detail)])
    await world.stores.operations.save(ended)
    if operation.cause == HELD and operation.target.group_id is not None:
        # Removals held while a person decided are collected again.
        await sync_soon(world, operation.target.group_id, SYNC)


async def _fail(world: Needs, operation: Operation, fault: Exception) -> None:
    """End an operation that cannot be done, with its reason; what the group grants is held, nothing is removed."""
    code = fault.code if isinstance(fault, BadRequest) and operation.native else type(fault).__name__
    error = OperationError(code, str(fault), "Correct what the message names, then start it again.")
    now = world.clock.now()
    await approvals.close_approval(world, operation)
    ended = operation.ended(OperationState.FAILED, now, error)
    ended = replace(ended, totals=ended.totals.with_rest_skipped())
    if not operation.preview:
        await write_group_status(world, ended)
        await world.stores.audit.append([group_act(FINISH, ended, SYSTEM, now, detail=error.message, result="failure")])
    await world.stores.operations.save(ended)


async def _save_and_go_on(world: Needs, operation: Operation, wait: timedelta) -> None:
    saved = await world.stores.operations.save(replace(operation, step=operation.step + 1))
    await send_step(world, saved, at=world.clock.now() + wait if wait else None)
