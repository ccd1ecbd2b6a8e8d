"""Operations without a requester: a group (or some users) is reconciled because something may have changed.

They change no intent and do not replace a person's operation: a group with an open operation is skipped. Additions are
carried out. Removals use the group's allowance user by user, and removals above it are held for a person.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.assignment import GroupLicenseAssignment, wants_sync
from shared.domain.change_messages import SyncGroup
from shared.domain.errors import Conflict
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId, OperationId
from shared.domain.initiator import SYSTEM
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import (
    HELD,
    LicenseChange,
    Operation,
    OperationKind,
    OperationState,
    Target,
    waits_for_a_person,
)
from shared.domain.pending_removal import TENANT
from shared.domain.trace_context import begun
from shared.handlers.operations.accept import new_operation_id, send_step
from shared.handlers.operations.needs import Needs
from shared.ports.messaging import Outgoing

SYNC, DELTA, NESTED, SWEEP = "sync", "delta", "nested", "sweep"
"""Causes: the nightly sync, a change found by delta, a changed nesting, and users whom no group accounts for."""

NEEDS_APPROVAL_ANYWAY = (
    "These removals need an approval even within the allowance. The people are protected, the licenses were changed "
    "outside this app, no group assigned them, or their replacement cannot be assigned. Or they were held while an "
    "earlier approval was open."
)
"""Why removals are held that no allowance held."""

TRY_SYNC_FOR = timedelta(hours=24)
"""How long a sync waits for other operations on its group; after that the nightly sync has come by."""


def system_operation_id(cause: str, target: Target, at: datetime) -> OperationId:
    """The id is the same for the same cause, target and time, so a duplicate timer starts one operation."""
    named = f"{cause}|{target.group_id}|{','.join(target.user_ids)}|{at.isoformat()}"
    return OperationId(f"{int(at.timestamp() * 1000):012x}{hashlib.sha256(named.encode()).hexdigest()[:20]}")


async def sync_group(world: Needs, group_id: GroupId, cause: str, *, at: datetime | None = None) -> Operation | None:
    """Start a sync of a managed group; None if it must be skipped. `at`: makes a repeat the same operation.

    Raises Conflict while another operation works on the group, because it may have read the members before the change.
    An operation that waits for approval raises nothing, because all its removals are held.
    """
    stored = await world.stores.assignments.get(group_id)
    if stored is None or not wants_sync(stored.assignment):
        return None
    same = system_operation_id(cause, Target(group_id), at) if at else None
    for other in await world.stores.operations.open():
        if other.id == same:
            if other.state is OperationState.QUEUED:
                # The first try may have ended before its message was sent; the same message again changes nothing.
                await send_step(world, other)
            return other
        if other.target.group_id == group_id and not other.preview and not waits_for_a_person(other):
            raise Conflict(f"operation {other.id} is open on group {group_id}")
    return await start(world, Target(group_id), cause, at=at, intent_version=stored.assignment.version)


async def is_read_since(world: Needs, group_id: GroupId, asked_at: datetime) -> bool:
    """Whether an operation that was inserted after this time reads all members, or has: many changes of nesting at once
    need one sync, not one each."""
    newest = [each for each in await world.stores.operations.open() if each.target.group_id == group_id]
    status = await world.stores.group_status.get(group_id)
    if status is not None and status.operation_id is not None:
        ended = await world.stores.operations.get(status.operation_id)
        if ended is not None and ended.state is OperationState.COMPLETE:
            newest.append(ended)
    return any(each.created_at > asked_at and not each.preview and not waits_for_a_person(each) for each in newest)


async def sync_soon(world: Needs, group_id: GroupId, cause: str) -> None:
    """Have a group synced as soon as nothing else is open on it."""
    message = SyncGroup(group_id, cause, world.clock.now())
    await world.queue.send([Outgoing(NOTIFICATIONS, message.encode())])


async def start(
    world: Needs, target: Target, cause: str, *, at: datetime | None = None, intent_version: int = 0
) -> Operation:
    """Insert an operation of the system and send its first step. Done again with the same `at` it returns the operation
    that is there."""
    now = world.clock.now()
    operation_id = system_operation_id(cause, target, at) if at else new_operation_id(world, now)
    operation = _by_system(world, operation_id, target, cause, intent_version)
    try:
        operation = await world.stores.operations.insert(operation)
    except Conflict:
        known = await world.stores.operations.get(operation.id)
        if known is None:
            raise
        return known
    await send_step(world, operation)
    return operation


async def collecting(world: Needs, operation_id: OperationId, assignment: GroupLicenseAssignment | None) -> None:
    """Insert an operation that collects held removals, of a group or (None) of the tenant, and says what happened; one
    that is there is no error."""
    target = Target(assignment.group_id) if assignment else Target()
    scope = str(Source(SourceKind.GROUP, assignment.group_id)) if assignment else TENANT
    hold = (await world.stores.removals.state(scope)).state.hold
    operation = _by_system(world, operation_id, target, HELD, assignment.version if assignment else 0)
    reason = hold.reason if hold else NEEDS_APPROVAL_ANYWAY
    operation = replace(operation, state=OperationState.AWAITING_APPROVAL, reason=reason)
    with suppress(Conflict):
        await world.stores.operations.insert(operation)


def _by_system(world: Needs, operation_id: OperationId, target: Target, cause: str, intent_version: int) -> Operation:
    now = world.clock.now()
    return Operation(
        id=operation_id,
        kind=OperationKind.REPROCESS,
        target=target,
        change=LicenseChange(),
        initiator=SYSTEM,
        created_at=now,
        progress_at=now,
        cause=cause,
        traceparent=begun("", world.token()),
        intent_version=intent_version,
    )
