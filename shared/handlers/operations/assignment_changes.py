"""What a group's assignment says, and how a request or new options change it: merged, kept as a version, audited."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.assignment import (
    AssignmentOptions,
    AssignmentState,
    Enforcement,
    GroupLicenseAssignment,
    SkuAssignment,
)
from shared.domain.audit import assignment_act, intent_entries, options_text
from shared.domain.catalog import Catalog
from shared.domain.dependencies import resolve
from shared.domain.directory import AssignedLicense, DirectoryGroup
from shared.domain.errors import BadRequest, Conflict, NotFound
from shared.domain.ids import GroupId, OperationId
from shared.domain.operation import SYSTEM, Actor, LicenseChange, Operation, OperationError, OperationState
from shared.ports.stores import StoredAssignment
from shared.ports.world import World

MAX_TRIES = 10
"""Lost ETag races of one merge before the caller is told to try again."""


def changed(assignment: GroupLicenseAssignment, change: LicenseChange, catalog: Catalog) -> GroupLicenseAssignment:
    """The assignment with a change merged into it: a SKU given again replaces its `disabledPlans`, as in Graph, and
    plans without their prerequisite in the same group are switched off.

    Raises BadRequest for a SKU to remove that is not assigned, AssignmentError for what cannot be assigned.
    """
    known = {sku.sku_id: sku for sku in assignment.skus}
    missing = sorted(set(change.remove) - known.keys())
    if missing:
        raise BadRequest("SkuNotAssigned", f"SKU {missing[0]} is not assigned to the group.", "removeLicenses")
    requested = {
        sku_id: AssignedLicense(sku_id, sku.requested_disabled_plans)
        for sku_id, sku in known.items()
        if sku_id not in change.remove
    }
    requested.update({license.sku_id: license for license in change.add})
    options = change.options or assignment.options
    skus: tuple[SkuAssignment, ...] = ()
    if change.add:
        resolved = resolve(tuple(requested[sku] for sku in sorted(requested)), catalog, options.dependencies)
        added = {license.sku_id for license in change.add}
        skus = tuple(sku if sku.sku_id in added else known[sku.sku_id] for sku in resolved)
    else:
        skus = tuple(known[sku_id] for sku_id in sorted(requested))
    state = AssignmentState.ACTIVE if skus else AssignmentState.ENDED
    return replace(assignment, skus=skus, options=options, state=state)


async def group_or_what_is_left(
    world: World, group_id: GroupId, change: LicenseChange, assignment: GroupLicenseAssignment
) -> DirectoryGroup:
    """The group. One that is gone can still have its licenses taken away, so that a person can end what it gave."""
    try:
        return await world.directory.group(group_id)
    except NotFound:
        if not change.remove or change.add or assignment.version == 0:
            raise
        return DirectoryGroup(group_id, assignment.display_name, security_enabled=True)


async def write_intent(world: World, operation: Operation) -> Operation:
    """Make the group's assignment say what the operation asks, once; done again it changes nothing."""
    group_id = operation.target.group_id
    if group_id is None or operation.preview or operation.intent_written or operation.actor.kind == SYSTEM.kind:
        return operation
    catalog = Catalog({sku.sku_id: sku for sku in await world.directory.subscribed_skus()})
    known = await world.stores.assignments.get(group_id)
    before = known.assignment if known else GroupLicenseAssignment(group_id)
    group = await group_or_what_is_left(world, group_id, operation.change, before)
    for _ in range(MAX_TRIES):
        stored = await world.stores.assignments.get(group_id)
        before = stored.assignment if stored else GroupLicenseAssignment(group_id)
        if await _says_already(world, before, operation):
            return await _with_version(world, operation, operation.intent_version)
        after = _intent_after(before, operation, catalog, group.display_name, world.clock.now())
        try:
            await world.stores.assignments.save(after, stored.etag if stored else None)
        except Conflict:
            continue
        await world.stores.audit.append(intent_entries(operation, before, after))
        await _supersede(world, before.operation_id, operation)
        await _supersede(world, before.open_approval, operation)
        return await _with_version(world, operation, after.version)
    raise Conflict(f"The license assignment of group {group_id} is being changed by others; try again.")


def _intent_after(
    before: GroupLicenseAssignment, operation: Operation, catalog: Catalog, display_name: str, now: datetime
) -> GroupLicenseAssignment:
    """The assignment as the operation makes it: reprocessing enforces again what was paused or cancelled."""
    after = changed(before, operation.change, catalog) if operation.change.changes_intent else before
    wider = after.options.gives_to_more_than(before.options)
    enforced = tuple(
        replace(sku, enforcement=Enforcement.ENFORCED).after(before.sku(sku.sku_id), now, to_more=wider)
        for sku in after.skus
    )
    return replace(
        after,
        skus=enforced,
        version=before.version + 1,
        operation_id=operation.id,
        open_approval=None,
        more_held=False,
        display_name=display_name,
        changed_by=operation.actor.name,
        changed_at=operation.created_at,
    )


async def _supersede(world: World, older_id: OperationId | None, newer: Operation) -> None:
    """End an older operation that waits for a person; one that runs ends itself at its next step."""
    older = await world.stores.operations.get(older_id) if older_id else None
    if older is None or older.state not in (OperationState.AWAITING_APPROVAL, OperationState.PAUSED):
        return
    error = OperationError("Superseded", f"A newer operation on the group, {newer.id}, took its place.")
    ended = older.ended(OperationState.CANCELLED, newer.created_at, error)
    totals = replace(ended.totals, skipped=ended.totals.skipped + ended.totals.remaining)
    try:
        await world.stores.operations.save(replace(ended, superseded_by=newer.id, totals=totals))
    except Conflict:
        return


async def _with_version(world: World, operation: Operation, version: int) -> Operation:
    return await world.stores.operations.save(replace(operation, intent_version=version, intent_written=True))


async def _says_already(world: World, assignment: GroupLicenseAssignment, operation: Operation) -> bool:
    """Whether the intent was written before a crash; a newer operation may have replaced it since."""
    if assignment.version < operation.intent_version:
        return False
    accepted = await world.stores.assignments.history(assignment.group_id)
    return any(version.operation_id == operation.id for version in accepted)


async def set_options(
    world: World, group_id: GroupId, options: AssignmentOptions, actor: Actor, if_match: int | None
) -> StoredAssignment:
    """Replace the options of a group's assignment. Raises NotFound, Conflict when `if_match` is outdated or lost."""
    now = world.clock.now()
    for _ in range(MAX_TRIES):
        stored = await world.stores.assignments.get(group_id)
        if stored is None:
            raise NotFound(f"Group {group_id} has no license assignment here.")
        before = stored.assignment
        if if_match is not None and before.version != if_match:
            raise Conflict(f"The license assignment is at version {before.version}, not {if_match}; read it again.")
        wider = options.gives_to_more_than(before.options)
        skus = tuple(replace(sku, given_at=now) for sku in before.skus) if wider else before.skus
        after = replace(
            before, skus=skus, options=options, version=before.version + 1, changed_by=actor.name, changed_at=now
        )
        try:
            etag = await world.stores.assignments.save(after, stored.etag)
        except Conflict:
            continue
        act_id = f"{group_id}-options-{after.version}"
        entry = assignment_act(
            "Set license properties",
            group_id,
            actor,
            now,
            options_text(before.options),
            options_text(options),
            act_id,
        )
        await world.stores.audit.append([entry])
        return StoredAssignment(after, etag)
    raise Conflict(f"The license assignment of group {group_id} is being changed by others; try again.")
