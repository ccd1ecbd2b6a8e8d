"""Accept a request: check it, keep it as an operation, change the intent, and only then send the first message.

Row first, message second: a crash in between leaves a row whose step the watchdog sends again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.assignment import AssignmentOptions, DependencyRule, GroupLicenseAssignment
from shared.domain.audit import options_text
from shared.domain.catalog import Catalog
from shared.domain.dependencies import resolve
from shared.domain.directory import DirectoryGroup
from shared.domain.errors import BadRequest, Conflict, PermissionDenied
from shared.domain.ids import NO_PLANS, GroupId, OperationId, Plans
from shared.domain.messages import OPERATIONS, OperationStep
from shared.domain.operation import Actor, LicenseChange, Operation, OperationKind, OperationState, Target
from shared.domain.trace_context import begun
from shared.handlers.operations.assignment_changes import changed, group_or_what_is_left, write_intent
from shared.ports.messaging import Outgoing
from shared.ports.world import World

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
    group = await group_or_what_is_left(world, target.group_id, change, assignment)
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
