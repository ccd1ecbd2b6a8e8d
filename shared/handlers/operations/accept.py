"""Accept a request: read its group once, check it, keep it as an operation, change the intent, and only then send the
first message.

Row first, message second: a crash in between leaves a row whose step the watchdog sends again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import DirectoryGroup
from shared.domain.errors import BadRequest, KeyReused, PermissionDenied
from shared.domain.group_request import GroupRequest, check_version
from shared.domain.ids import GroupId, OperationId, new_id
from shared.domain.messages import OPERATIONS, OPERATIONS_BULK, SMALL, OperationStep
from shared.domain.native_progress import NativeProgress
from shared.domain.operation import Operation, OperationState, Phase
from shared.domain.operation_request import (
    OperationRequest,
    check_for_users,
    check_form,
    claim_key,
    fingerprint,
    former_fingerprint,
    kind_of,
)
from shared.domain.trace_context import begun
from shared.handlers.operations.assignment_changes import load, other_changes, write_intent
from shared.handlers.operations.caller_limits import check_open_previews
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.product_facts import note_new_products
from shared.handlers.reconcile.read import read_catalog
from shared.ports.messaging import Outgoing

AFTER_SUPERSEDED = timedelta(seconds=15)
"""The snapshot waits this long after an operation that it supersedes. Distributed work that was planned by the older
intent (cached for seconds, then waiting for its reservation) has recorded its writes by then."""


async def accept(world: Needs, request: OperationRequest) -> Operation:
    """The operation for a request; the same idempotency key gives the same operation.

    Raises BadRequest and AssignmentError for an impossible request, NotFound for a missing group, Outdated for an old
    `if_match`, and KeyReused for the key of a different request. Raises Conflict if others change the assignment all
    the time, LimitReached for one preview too many, and Unavailable if a dependency is unavailable.
    """
    now = world.clock.now()
    operation_id = new_operation_id(world, now)
    if request.idempotency_key:
        operation_id, existing = await _claim(world, request, operation_id)
        if existing is not None:
            return existing
    check_form(request)
    if request.preview:
        await check_open_previews(world, request.initiator)
    found = await _checked_group(world, request, request.target.group_id) if request.target.group_id else None
    catalog = found.catalog if found else await read_catalog(world)
    if found is None:
        check_for_users(request.change, catalog)
    others = await other_changes(world, request, catalog)
    if not request.preview:
        await note_new_products(world, catalog, [license.sku_id for license in request.change.add])
    operation = await world.stores.operations.insert(
        replace(_operation(world, request, operation_id, found, now), other_changes=others)
    )
    operation = await write_intent(world, operation, found, request)
    hurries = request.preview or found is None or not await _is_running(world, found.assignment.operation_id)
    await send_step(world, operation, at=None if hurries else world.clock.now() + AFTER_SUPERSEDED)
    return operation


def new_operation_id(world: Needs, now: datetime) -> OperationId:
    """32 hex digits: 12 of milliseconds since the epoch, so that ids sort by time, and 20 random ones."""
    return OperationId(new_id(now, world.token()))


async def send_step(world: Needs, operation: Operation, *, at: datetime | None = None) -> None:
    """Send the message for the operation's current step."""
    step = OperationStep(operation.id, operation.step, operation.run, operation.traceparent)
    queue = OPERATIONS if await _is_small(world, operation) else OPERATIONS_BULK
    await world.queue.send([Outgoing(queue, step.encode(), step.message_id, at)])


async def _is_small(world: Needs, operation: Operation) -> bool:
    """Whether the step takes about a second. A snapshot takes as long as its users are many; how many a group has is
    known from its last operation."""
    if operation.phase is not Phase.SNAPSHOT:
        return True
    if operation.target.group_id is None:
        return 0 < len(operation.target.user_ids) <= SMALL
    status = await world.stores.group_status.get(operation.target.group_id)
    return status is not None and status.members <= SMALL


async def _claim(
    world: Needs, request: OperationRequest, operation_id: OperationId
) -> tuple[OperationId, Operation | None]:
    """The id that the request's key belongs to, with the operation if it is stored. Raises KeyReused."""
    asked = fingerprint(request)
    key = claim_key(request.initiator, request.idempotency_key)
    claimed, known = await world.stores.idempotency.claim(key, operation_id, asked)
    existing = await world.stores.operations.get(claimed)
    if known != asked and not await _was_claimed_by_former(world, request, existing, known):
        raise KeyReused(f"Idempotency key {request.idempotency_key!r} was used for a different request.")
    return claimed, existing


async def _was_claimed_by_former(
    world: Needs, request: OperationRequest, existing: Operation | None, known: str
) -> bool:
    """Whether a former version stored this fingerprint for the same request, from all options as it had merged them."""
    options, group_id = request.change.options, request.target.group_id
    if request.options is not None:
        merged = existing.change.options if existing else None
        if merged is None and group_id is not None:
            stored = await world.stores.assignments.get(group_id)
            merged = stored.assignment.options if stored else None
        options = request.options.applied_to(merged or AssignmentOptions())
    return options is not None and known == former_fingerprint(request, options)


def _operation(
    world: Needs, request: OperationRequest, operation_id: OperationId, found: GroupRequest | None, now: datetime
) -> Operation:
    return Operation(
        id=operation_id,
        kind=kind_of(request),
        target=request.target,
        change=found.change_of(request) if found else request.change,
        initiator=request.initiator,
        created_at=now,
        progress_at=now,
        preview=request.preview,
        reprocess=request.reprocess,
        intent_version=found.assignment.version + (not request.preview) if found else 0,
        cause=request.cause,
        correlation_id=request.correlation_id,
        traceparent=begun(request.traceparent, world.token()),
        idempotency_key=request.idempotency_key,
        preview_id=request.preview_id,
        native=NativeProgress() if found and found.is_native else None,
    )


async def _checked_group(world: Needs, request: OperationRequest, group_id: GroupId) -> GroupRequest:
    """The group as read, after a successful check of the request on it and before anything is written.

    Raises BadRequest, AssignmentError, NotFound, Outdated.
    """
    found = await load(world, group_id, request.change)
    found.check(found.change_of(request))
    if found.group.hidden_membership:
        await _check_visible(world, found.group)
    check_version(found.assignment, request.if_match)
    return found


async def _check_visible(world: Needs, group: DirectoryGroup) -> None:
    """Without Member.Read.Hidden a group with hidden membership reads empty or is rejected, as if everybody had left
    (learn.microsoft.com/graph/api/group-list-members)."""
    try:
        visible = await _shows_a_member(world, group.id)
    except PermissionDenied:
        visible = False
    if not visible:
        raise BadRequest(
            "HiddenMembership",
            f"Group {group.display_name} hides its membership, and no member can be seen. Grant the app the permission "
            "Member.Read.Hidden (without it, a hidden group looks like an empty one), then try again.",
            "group",
        )


async def _shows_a_member(world: Needs, group_id: GroupId) -> bool:
    async for page in world.directory.member_pages(group_id):
        if page:
            return True
    return False


async def _is_running(world: Needs, operation_id: OperationId | None) -> bool:
    operation = await world.stores.operations.get(operation_id) if operation_id else None
    return operation is not None and operation.state is OperationState.IN_PROGRESS
