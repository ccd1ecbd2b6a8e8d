"""How a change gets into a group's assignment: read, merged, stored as a version, audited.

`shared/domain/group_request.py` decides the content of the merged assignment. After a lost race, the assignment is read
and merged again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from shared.domain.assignment import GroupLicenseAssignment, OptionsChange, with_claims_kept
from shared.domain.audit import assignment_act, intent_entries, options_text
from shared.domain.catalog import Catalog
from shared.domain.concurrency import update
from shared.domain.directory import DirectoryGroup
from shared.domain.errors import BadRequest, Conflict, NotFound
from shared.domain.group_request import GroupRequest, changed, check_version, with_options
from shared.domain.ids import GroupId, OperationId
from shared.domain.initiator import Initiator
from shared.domain.operation import LicenseChange, Operation, OperationError, OperationState
from shared.domain.operation_request import OperationRequest, claim_key
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.read import read_catalog
from shared.ports.stores import StoredAssignment

MAX_TRIES = 10
"""Lost ETag races of one merge before the caller must try again."""


async def load(world: Needs, group_id: GroupId, change: LicenseChange) -> GroupRequest:
    """Everything that a change on a group is decided on.

    Raises NotFound for a group that is gone, unless the change only removes licenses from one that is managed: a person
    can still end what it gave.
    """
    catalog = await read_catalog(world)
    assignment, etag = await _stored(world, group_id)
    try:
        group = await world.directory.group(group_id)
    except NotFound:
        if not change.remove or change.add or assignment.version == 0:
            raise
        group = DirectoryGroup(group_id, assignment.display_name, security_enabled=True)
    return GroupRequest(assignment, etag, group, catalog)


async def other_changes(world: Needs, request: OperationRequest, catalog: Catalog) -> Mapping[GroupId, LicenseChange]:
    """The changes of other groups that a preview assumes, each with all options of its group.

    Raises BadRequest, AssignmentError for one that could not be made.
    """
    found = {}
    stored = await world.stores.assignments.all() if request.other_changes else ()
    known = {assignment.group_id: assignment for assignment in stored}
    for each in request.other_changes:
        assignment = known.get(each.group_id) or GroupLicenseAssignment(each.group_id)
        options = each.options.applied_to(assignment.options) if each.options else None
        found[each.group_id] = replace(each.change, options=options)
        changed(assignment, found[each.group_id], catalog)
    return found


async def _stored(world: Needs, group_id: GroupId) -> tuple[GroupLicenseAssignment, str | None]:
    stored = await world.stores.assignments.get(group_id)
    return (stored.assignment, stored.etag) if stored else (GroupLicenseAssignment(group_id), None)


async def write_intent(
    world: Needs, operation: Operation, found: GroupRequest | None = None, request: OperationRequest | None = None
) -> Operation:
    """Write the change of the operation into the group's assignment, once. A repeat changes nothing.

    `found`: the group, if it was read already. `request`: the request of the operation, as long as its caller waits.
    After a lost race, its options are merged again and its `if_match` is checked again.
    """
    group_id = operation.target.group_id
    if group_id is None or operation.preview or operation.intent_written or operation.initiator.is_app_itself:
        return operation

    async def read() -> tuple[GroupRequest, bool] | None:
        """The group as it is, and whether an older operation is open on it; None if the assignment says already what
        the operation asks."""
        nonlocal found
        known, found = found or await load(world, group_id, operation.change), None
        if await _says_already(world, known.assignment, operation):
            return None
        return known, await _is_open(world, known.assignment.operation_id)

    def change(
        known: tuple[GroupRequest, bool] | None,
    ) -> tuple[Operation, GroupRequest, GroupLicenseAssignment] | None:
        if known is None:
            return None
        group, supersedes = known
        asked = _still_asked(operation, group, request)
        after = group.intent_after(asked, world.clock.now())
        return asked, group, after if supersedes else with_claims_kept(group.assignment, after)

    async def save(
        changed: tuple[Operation, GroupRequest, GroupLicenseAssignment],
    ) -> tuple[Operation, GroupLicenseAssignment, GroupLicenseAssignment]:
        asked, known, after = changed
        await world.stores.assignments.save(after, known.etag)
        return asked, known.assignment, after

    try:
        saved = await update(read, change, save, tries=MAX_TRIES, lost=_always_changing(group_id))
    except (BadRequest, Conflict) as fault:
        if request is not None:
            await _withdraw(world, operation, fault)
        raise
    if saved is None:
        return await _with_version(world, operation, operation.intent_version)
    asked, before, after = saved
    await world.stores.audit.append(intent_entries(asked, before, after))
    await _supersede(world, before.operation_id, asked)
    await _supersede(world, before.open_approval, asked)
    return await _with_version(world, asked, after.version)


async def _is_open(world: Needs, operation_id: OperationId | None) -> bool:
    older = await world.stores.operations.get(operation_id) if operation_id else None
    return older is not None and not older.state.is_ended


def _always_changing(group_id: GroupId) -> Conflict:
    return Conflict(f"The license assignment of group {group_id} is being changed by others; try again.")


def _still_asked(operation: Operation, found: GroupRequest, request: OperationRequest | None) -> Operation:
    """The operation with the options of its request merged into those of the group now. Raises Outdated."""
    if request is None:
        return operation
    check_version(found.assignment, request.if_match)
    return replace(operation, change=found.change_of(request))


async def _withdraw(world: Needs, operation: Operation, fault: Exception) -> None:
    """End an operation whose caller gets a rejection: a lost race has made it wrong after it was stored, or every race
    was lost. The watchdog would do it nevertheless."""
    error = OperationError(type(fault).__name__, str(fault))
    await update(
        partial(world.stores.operations.get, operation.id),
        lambda known: None if known is None or known.state.is_ended else _failed(known, error, world.clock.now()),
        world.stores.operations.save,
        tries=MAX_TRIES,
    )
    if operation.idempotency_key:
        # The caller reads again and repeats the request, which must not be answered with this operation.
        await world.stores.idempotency.release(claim_key(operation.initiator, operation.idempotency_key), operation.id)


def _failed(operation: Operation, error: OperationError, now: datetime) -> Operation:
    return operation.ended(OperationState.FAILED, now, error)


async def _supersede(world: Needs, older_id: OperationId | None, newer: Operation) -> None:
    """End an older operation that waits for a person; one that runs ends itself at its next step."""
    older = await world.stores.operations.get(older_id) if older_id else None
    if older is None or older.state not in (OperationState.AWAITING_APPROVAL, OperationState.PAUSED):
        return
    error = OperationError("Superseded", f"A newer operation on the group, {newer.id}, took its place.")
    ended = older.ended(OperationState.CANCELLED, newer.created_at, error)
    totals = ended.totals.with_rest_skipped()
    try:
        await world.stores.operations.save(replace(ended, superseded_by=newer.id, totals=totals))
    except Conflict:
        return


async def _with_version(world: Needs, operation: Operation, version: int) -> Operation:
    return await world.stores.operations.save(replace(operation, intent_version=version, intent_written=True))


async def _says_already(world: Needs, assignment: GroupLicenseAssignment, operation: Operation) -> bool:
    """Whether the intent was written before a crash; a newer operation may have replaced it since."""
    if assignment.version < operation.intent_version:
        return False
    accepted = await world.stores.assignments.history(assignment.group_id)
    return any(version.operation_id == operation.id for version in accepted)


async def set_options(
    world: Needs, group_id: GroupId, options: OptionsChange, initiator: Initiator, if_match: int | None
) -> StoredAssignment:
    """Set options of a group's assignment; those that are not named stay.

    Raises NotFound, Outdated for an old `if_match`, Conflict when others change the assignment all the time.
    """
    now = world.clock.now()

    async def read() -> StoredAssignment:
        stored = await world.stores.assignments.get(group_id)
        if stored is None:
            raise NotFound(f"Group {group_id} has no license assignment here.")
        return stored

    def change(stored: StoredAssignment) -> tuple[StoredAssignment, GroupLicenseAssignment]:
        check_version(stored.assignment, if_match)
        return stored, with_options(stored.assignment, options, initiator, now)

    async def save(
        changed: tuple[StoredAssignment, GroupLicenseAssignment],
    ) -> tuple[GroupLicenseAssignment, StoredAssignment]:
        stored, after = changed
        return stored.assignment, StoredAssignment(after, await world.stores.assignments.save(after, stored.etag))

    before, saved = await update(read, change, save, tries=MAX_TRIES, lost=_always_changing(group_id))
    act_id = f"{group_id}-options-{saved.assignment.version}"
    old, new = options_text(before.options), options_text(saved.assignment.options)
    entry = assignment_act("Set license properties", group_id, initiator, now, old, new, act_id)
    await world.stores.audit.append([entry])
    return saved
