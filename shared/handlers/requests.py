"""Accept a request: check it, keep it as an operation, change the intent, and only then send the first message.

Row first, message second: a crash in between leaves a row whose step the watchdog sends again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.catalog import Catalog
from shared.domain.dependencies import resolve
from shared.domain.errors import BadRequest, Conflict, NotFound, PermissionDenied
from shared.domain.messages import OPERATIONS, OperationStep
from shared.domain.model import (
    NO_PLANS,
    AssignedLicense,
    AssignmentOptions,
    AssignmentState,
    DependencyRule,
    Enforcement,
    GroupId,
    GroupLicenseAssignment,
    OperationId,
    Plans,
    SkuAssignment,
)
from shared.domain.operation import (
    SYSTEM,
    Actor,
    LicenseChange,
    Operation,
    OperationError,
    OperationKind,
    OperationState,
    Target,
)
from shared.domain.tracing import begun
from shared.handlers.auditing import assignment_act, intent_entries, options_text
from shared.ports import DirectoryGroup, Outgoing, StoredAssignment, World

MAX_TRIES = 10
"""Lost ETag races of one merge before the caller is told to try again."""

AFTER_SUPERSEDED = timedelta(seconds=15)
"""Sealing waits this long behind an operation it supersedes: work that was handed out and planned by the older intent
(cached for seconds, then waiting for its slot) has recorded what it is about to write by then."""


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """What somebody asks for: additions and removals on a group or a list of users, or only to look again.

    `if_match`: the intent version the caller saw; None merges. `preview_id`: a preview of the same change that the same
    person has seen, whose sealed removals this request approves.
    """

    target: Target
    actor: Actor
    change: LicenseChange = field(default_factory=LicenseChange)
    preview: bool = False
    reprocess: bool = False
    idempotency_key: str = ""
    preview_id: OperationId | None = None
    if_match: int | None = None
    cause: str = "request"
    correlation_id: str = ""
    traceparent: str = ""


def claim_key(actor: Actor, idempotency_key: str) -> str:
    """Under what a request's key is claimed: two callers may use the same one."""
    return f"{actor.id}:{idempotency_key}"


async def accept(world: World, request: OperationRequest) -> Operation:
    """The operation for a request; the same idempotency key gives the same operation.

    Raises BadRequest and AssignmentError for what cannot be done, NotFound for a group that is not there, Conflict for
    an outdated `if_match` or a key used for something else, Unavailable when a dependency is away.
    """
    now = world.clock.now()
    operation_id = new_operation_id(world, now)
    if request.idempotency_key:
        claimed, known_fingerprint = await world.stores.idempotency.claim(
            claim_key(request.actor, request.idempotency_key), operation_id, fingerprint(request)
        )
        if known_fingerprint != fingerprint(request):
            raise Conflict(f"Idempotency key {request.idempotency_key!r} was used for a different request.")
        existing = await world.stores.operations.get(claimed)
        if existing is not None:
            return existing
        operation_id = claimed
    await check(world, request)
    operation = Operation(
        id=operation_id,
        kind=kind_of(request),
        target=request.target,
        change=request.change,
        actor=request.actor,
        created_at=now,
        progress_at=now,
        preview=request.preview,
        reprocess=request.reprocess,
        cause=request.cause,
        correlation_id=request.correlation_id,
        traceparent=begun(request.traceparent, world.token()),
        idempotency_key=request.idempotency_key,
        preview_id=request.preview_id,
    )
    older: OperationId | None = None
    if request.target.group_id is not None:
        version, older = await _known_intent(world, request.target.group_id, request.if_match)
        operation = replace(operation, intent_version=version + (not request.preview))
    operation = await world.stores.operations.insert(operation)
    operation = await write_intent(world, operation)
    hurries = request.preview or not await _is_running(world, older)
    await send_step(world, operation, at=None if hurries else world.clock.now() + AFTER_SUPERSEDED)
    return operation


def new_operation_id(world: World, now: datetime) -> OperationId:
    """32 hex digits: 12 of milliseconds since the epoch, so that ids sort by time, and 20 random ones."""
    return OperationId(f"{int(now.timestamp() * 1000):012x}{world.token()[:20]}")


async def send_step(world: World, operation: Operation, *, at: datetime | None = None) -> None:
    """Send the message for the operation's current step."""
    step = OperationStep(operation.id, operation.step, operation.run, operation.traceparent)
    await world.queue.send([Outgoing(OPERATIONS, step.encode(), step.message_id, at)])


def fingerprint(request: OperationRequest) -> str:
    """64 hex digits over what is asked, to tell a repeat from a different request under the same key."""
    change = request.change
    asked: list[object] = [
        request.target.group_id,
        sorted(request.target.user_ids),
        sorted((license.sku_id, sorted(license.disabled_plans)) for license in change.add),
        sorted(change.remove),
        request.preview,
        request.reprocess,
    ]
    if change.adopt or change.enable:
        asked.append([sorted(change.adopt), sorted(change.enable)])
    if change.options is not None:
        asked.append(options_text(change.options))
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def kind_of(request: OperationRequest) -> OperationKind:
    """The word for what a request does."""
    if request.change.add and request.change.remove:
        return OperationKind.CHANGE
    if request.change.add:
        return OperationKind.ASSIGN
    if request.change.remove:
        return OperationKind.REMOVE
    if request.change.adopt:
        return OperationKind.ADOPT
    return OperationKind.ENABLE if request.change.enable else OperationKind.REPROCESS


async def check(world: World, request: OperationRequest) -> None:
    """Everything that can be known to be wrong before anything is written.

    Raises BadRequest, AssignmentError, NotFound.
    """
    change, target = request.change, request.target
    if target.is_group == bool(target.user_ids):
        raise BadRequest("InvalidTarget", "Give either a group or a list of users.", "target")
    foreign = (*change.adopt, *change.enable)
    if not change.changes_intent and not foreign and not request.reprocess:
        raise BadRequest("NoLicenseChanges", "addLicenses and removeLicenses are both empty.", "addLicenses")
    both = {license.sku_id for license in change.add} & set(change.remove)
    if both:
        raise BadRequest("SkuInBoth", f"SKU {min(both)} is in addLicenses and in removeLicenses.", "removeLicenses")
    catalog = Catalog({sku.sku_id: sku for sku in await world.directory.subscribed_skus()})
    unknown = sorted(set(foreign) - catalog.skus.keys())
    if unknown:
        raise BadRequest("UnknownSku", f"The tenant has no SKU {unknown[0]}.", "skuIds")
    if target.group_id is None:
        resolve(change.add, catalog, DependencyRule.UNION, all_plans(catalog))
        return
    stored = await world.stores.assignments.get(target.group_id)
    assignment = stored.assignment if stored else GroupLicenseAssignment(target.group_id)
    group = await _group(world, target.group_id, change, assignment)
    _check_group(group, change, change.options or assignment.options)
    if group.hidden_membership:
        await _check_visible(world, group)
    changed(assignment, change, catalog)
    if not change.changes_intent and assignment.version == 0:
        raise BadRequest("GroupNotManaged", f"Group {group.display_name} has no license assignment here.", "group")


def all_plans(catalog: Catalog) -> Plans:
    """Every plan of the tenant: for named users, prerequisites may come from anywhere."""
    return NO_PLANS.union(*(sku.plan_ids for sku in catalog.skus.values()))


def _check_group(group: DirectoryGroup, change: LicenseChange, options: AssignmentOptions) -> None:
    if not group.security_enabled:
        raise BadRequest(
            "GroupNotSecurityEnabled",
            f"Group {group.display_name} is not security-enabled; licenses can be assigned to security groups only.",
            "group",
        )
    native = {license.sku_id for license in group.native_skus}
    overlap = sorted(native.intersection(license.sku_id for license in change.add))
    if overlap and not options.allow_native_overlap:
        raise BadRequest(
            "NativeOverlap",
            f"Group {group.display_name} is also licensed by native group-based licensing with {', '.join(overlap)}. "
            "Remove it there first, or set the option allowNativeOverlap.",
            "addLicenses",
        )


async def _group(
    world: World, group_id: GroupId, change: LicenseChange, assignment: GroupLicenseAssignment
) -> DirectoryGroup:
    """The group. One that is gone can still have its licenses taken away, so that a person can end what it gave."""
    try:
        return await world.directory.group(group_id)
    except NotFound:
        if not change.remove or change.add or assignment.version == 0:
            raise
        return DirectoryGroup(group_id, assignment.display_name, security_enabled=True)


async def _check_visible(world: World, group: DirectoryGroup) -> None:
    """Without Member.Read.Hidden a group with hidden membership reads empty or is refused, as if everybody had left
    (learn.microsoft.com/graph/api/group-list-members)."""
    try:
        visible = await _shows_a_member(world, group.id)
    except PermissionDenied:
        visible = False
    if not visible:
        raise BadRequest(
            "HiddenMembership",
            f"Group {group.display_name} hides its membership, and no member can be seen. Grant the app the permission "
            "Member.Read.Hidden (an empty group cannot be told from one that cannot be seen), then try again.",
            "group",
        )


async def _shows_a_member(world: World, group_id: GroupId) -> bool:
    async for page in world.directory.member_pages(group_id):
        if page:
            return True
    return False


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


async def _known_intent(world: World, group_id: GroupId, if_match: int | None) -> tuple[int, OperationId | None]:
    """The version of the group's intent, and the operation that made it."""
    stored = await world.stores.assignments.get(group_id)
    version = stored.assignment.version if stored else 0
    if if_match is not None and if_match != version:
        raise Conflict(f"The license assignment is at version {version}, not {if_match}; read it again.")
    return version, stored.assignment.operation_id if stored else None


async def _is_running(world: World, operation_id: OperationId | None) -> bool:
    operation = await world.stores.operations.get(operation_id) if operation_id else None
    return operation is not None and operation.state is OperationState.IN_PROGRESS


async def write_intent(world: World, operation: Operation) -> Operation:
    """Make the group's assignment say what the operation asks, once; done again it changes nothing."""
    group_id = operation.target.group_id
    if group_id is None or operation.preview or operation.intent_written or operation.actor.kind == SYSTEM.kind:
        return operation
    catalog = Catalog({sku.sku_id: sku for sku in await world.directory.subscribed_skus()})
    known = await world.stores.assignments.get(group_id)
    before = known.assignment if known else GroupLicenseAssignment(group_id)
    group = await _group(world, group_id, operation.change, before)
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
