"""Let the app decide what Microsoft's licensing assigns to a group, and end that again. No license changes by either.

Only a request for it does this, by a person or an application. A request for
licenses never changes the engine of such a group.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from shared.domain.assignment import AssignmentState, Engine, GroupLicenseAssignment
from shared.domain.audit import assignment_act
from shared.domain.change_messages import WatchGroup
from shared.domain.concurrency import update
from shared.domain.directory import DirectoryGroup
from shared.domain.errors import BadRequest, Conflict
from shared.domain.ids import GroupId
from shared.domain.initiator import Initiator
from shared.domain.messages import NOTIFICATIONS
from shared.domain.native_request import check_security_enabled
from shared.handlers.membership.needs import Needs
from shared.ports.messaging import Outgoing
from shared.ports.stores import StoredAssignment

MAX_TRIES = 10

ACTIVITY = "Change licensing engine of group"


async def manage_natively(world: Needs, group_id: GroupId, initiator: Initiator) -> StoredAssignment:
    """From now on requests change what Microsoft's licensing assigns to the group. The same again changes nothing.

    Raises NotFound, BadRequest for a group that this app licenses directly or that is not security-enabled, Conflict.
    """
    group = await world.directory.group(group_id)
    check_security_enabled(group)
    stored = await world.stores.assignments.get(group_id)
    _check_not_direct(group, stored.assignment if stored else None)
    await _no_open_operation(world, group_id)
    found = await _set_engine(world, group, Engine.NATIVE, initiator)
    await world.queue.send([Outgoing(NOTIFICATIONS, WatchGroup(group_id, world.clock.now()).encode())])
    return found


async def stop_managing_natively(world: Needs, group_id: GroupId, initiator: Initiator) -> StoredAssignment:
    """The app only watches the group again; its licenses stay. Raises NotFound, BadRequest while an operation on the
    group is open or for a group that is not managed natively, Conflict."""
    stored = await world.stores.assignments.get(group_id)
    if stored is None or stored.assignment.engine is Engine.DIRECT:
        raise BadRequest("NotManagedNatively", f"Group {group_id} is not managed natively.", "group")
    await _no_open_operation(world, group_id)
    group = await world.directory.group(group_id)
    return await _set_engine(world, group, Engine.WATCHED, initiator)


async def _no_open_operation(world: Needs, group_id: GroupId) -> None:
    for operation in await world.stores.operations.open():
        if operation.target.group_id == group_id and not operation.preview:
            text = f"Operation {operation.id} on the group is still open. Wait until it has ended, or cancel it."
            raise BadRequest("OperationOpen", text, "group")


def _check_not_direct(group: DirectoryGroup, assignment: GroupLicenseAssignment | None) -> None:
    if assignment is not None and assignment.skus:
        text = f"This app licenses group {group.display_name} directly. Remove its products here first."
        raise BadRequest("GroupManagedDirectly", text, "group")


async def _set_engine(world: Needs, group: DirectoryGroup, engine: Engine, initiator: Initiator) -> StoredAssignment:
    now = world.clock.now()
    native = tuple(sorted(group.native_skus, key=lambda each: each.sku_id))

    def changed(stored: StoredAssignment | None) -> tuple[StoredAssignment | None, GroupLicenseAssignment]:
        before = stored.assignment if stored else GroupLicenseAssignment(group.id)
        _check_not_direct(group, before)
        if before.engine is engine and before.state is AssignmentState.ACTIVE:
            return stored, before
        after = replace(
            before,
            engine=engine,
            native=native,
            state=AssignmentState.ACTIVE,
            version=before.version + 1,
            display_name=group.display_name,
            changed_by=initiator.display_name,
            changed_by_id=initiator.person_id or "",
            changed_at=now,
        )
        return stored, after

    async def save(change: tuple[StoredAssignment | None, GroupLicenseAssignment]) -> StoredAssignment:
        stored, after = change
        before = stored.assignment if stored else None
        if stored is not None and before == after:
            return stored
        was = str(before.engine) if before and before.state is AssignmentState.ACTIVE else ""
        act_id = f"{group.id}-engine-{after.version}"
        entry = assignment_act(ACTIVITY, group.id, initiator, now, was, str(engine), act_id)
        await world.stores.audit.append([entry])
        return StoredAssignment(after, await world.stores.assignments.save(after, stored.etag if stored else None))

    lost = Conflict(f"The license assignment of group {group.id} is being changed by others; try again.")
    read = partial(world.stores.assignments.get, group.id)
    return await update(read, changed, save, tries=MAX_TRIES, lost=lost)
