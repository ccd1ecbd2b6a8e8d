"""Snapshot and preview of an operation on a natively licensed group: who gains, who loses, and for whom nothing may be
called yet. Nothing is written to Graph.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from shared.domain.assignment import Engine, GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseError
from shared.domain.errors import BadRequest, NotOffered, Unavailable
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId, UserId
from shared.domain.native_changes import Forecast, MemberChange, NextCall, decide, products_after
from shared.domain.operation import Operation, PlanSummary, Totals
from shared.domain.outcomes import OutcomeClass
from shared.domain.permit import Claim
from shared.domain.predicted_errors import likely
from shared.domain.product_checks import warnings_of
from shared.domain.protected_people import Protection
from shared.domain.snapshot_pages import PAGE_SIZE, PlannedAction, pages_of
from shared.handlers.operations.direct_members import direct_member_pages
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.permit_writes import approved_by_preview, snapshot_removals
from shared.handlers.operations.snapshot import Snapshot, checksum_of
from shared.handlers.reconcile.plan import protection_of
from shared.handlers.reconcile.read import read_catalog

HAD = "The group's products are assigned to this member now."
"""The note of a member for whom a product of the group was active when the operation read the group."""

LIST_WAIT = timedelta(minutes=10)
"""When to try again while the protected people have not been read: their timer runs this often."""

SHORT = (
    "Microsoft's licensing had no license left for this member when all were counted. It assigns all products of the "
    "group, or none."
)
ALL_OR_NONE = (
    "Microsoft's licensing assigns all products of the group to a member, or none. {n} expected to have an error, and "
    "could lose every product of the group."
)
WAITS = (
    "{n} more licenses of {product} are needed. The change waits until there are enough: with too few, members could "
    "lose the products that they have."
)


async def read_members(world: Needs, group_id: GroupId) -> dict[UserId, DirectoryUser]:
    """All direct members. Raises BadRequest if Graph does not show their licenses, PermissionDenied if the members are
    hidden from the app, NotFound, Unavailable."""
    users: dict[UserId, DirectoryUser] = {}
    try:
        async for page in direct_member_pages(world, group_id):
            users.update((user.id, user) for user in page.users)
    except NotOffered as fault:
        text = f"Microsoft Graph does not show the licenses of the members, so a change cannot be checked: {fault}"
        raise BadRequest("MembersNotShown", text, "group") from fault
    return users


async def native_snapshot(
    world: Needs, operation: Operation, known: Mapping[GroupId, GroupLicenseAssignment]
) -> Snapshot:
    """Read and judge every direct member of the operation's group. Raises what reading raises, BadRequest if the group
    is not managed natively any more, and Unavailable while the protected people are not known and a member would
    lose something."""
    group_id = operation.target.group_id
    assignment = known.get(group_id) if group_id else None
    if group_id is None or assignment is None or assignment.engine is not Engine.NATIVE:
        raise BadRequest("NotManagedNatively", f"Group {group_id} is not managed natively any more.", "group")
    group = (await world.native.licensed_group(group_id)).group
    users, catalog = await read_members(world, group_id), await read_catalog(world, 0.0)
    forecast = Forecast(group_id, group.native_skus, operation.change, catalog, world.clock.now())
    changes = [forecast.expected(user) for user in users.values()]
    protection = await protection_of(world)
    if any(each.loses for each in changes) and not protection.is_known and not operation.preview:
        raise Unavailable(LIST_WAIT.total_seconds(), "the protected people have not been read")
    claim = Claim(Source(SourceKind.GROUP, group_id), assignment.claim_version)
    actions = {each.user_id: _action(users[each.user_id], each, operation, group_id, claim) for each in changes}
    # All losses count as approved: whether licenses are short is another question.
    decision = decide(changes, group.native_skus, operation.change, catalog, losses(actions))
    if decision.next is not NextCall.WAIT:
        actions = _with_shortage(actions, changes, catalog)
    pages = tuple(pages_of(actions.items(), world.policy.chunk_size))
    failing = [(user_id, action) for user_id, action in actions.items() if action.errors]
    summary = _summary(actions, changes, catalog, protection, world)
    after = products_after(group.native_skus, operation.change)
    warnings = list(warnings_of(after, {each.sku_id for each in operation.change.add}, catalog))
    at_risk = sum(bool(each.errors and each.has) for each in changes)
    if at_risk:
        warnings.append(ALL_OR_NONE.format(n="1 member is" if at_risk == 1 else f"{at_risk:,} members are"))
    if decision.next is NextCall.WAIT:
        warnings += [WAITS.format(n=n, product=catalog.name(sku)) for sku, n in sorted(decision.short.items())]
    return Snapshot(
        pages=pages,
        errors=tuple(pages_of(failing, PAGE_SIZE)) if operation.preview else (),
        totals=Totals(members=len(actions), due=len(actions)),
        summary=replace(summary, warnings=tuple(warnings), users_waiting=sum(decision.short.values())),
        checksum=checksum_of(operation, pages),
        size=len(users),
    )


def losses(actions: Mapping[UserId, PlannedAction]) -> dict[UserId, PlannedAction]:
    """Of a snapshot, only what members lose without a replacement: those parts name claims."""
    found = {}
    for user_id, action in actions.items():
        lost = dict(action.claims).keys()
        if lost:
            remove = tuple(each for each in action.remove if each in lost)
            off = tuple(each for each in action.plans_off if each.sku_id in lost)
            found[user_id] = replace(action, remove=remove, plans_off=off)
    return found


async def approved_losses(world: Needs, operation: Operation) -> dict[UserId, PlannedAction]:
    """Members whose losses were decided about, with what they lose: by an approval, by the preview that was confirmed,
    or by the removal allowance."""
    if not operation.plan.users_losing:
        return {}
    preview = await approved_by_preview(world, operation)
    decided = preview if preview is not None and not operation.approvals else operation
    found = losses({user_id: action async for user_id, action in snapshot_removals(world, decided)})
    protection, now = await protection_of(world), world.clock.now()
    known = frozenset(operation.plan.protected)
    return {key: each for key, each in found.items() if key in known or not protection.protects(key, now)}


async def members_with_products(world: Needs, operation: Operation) -> frozenset[UserId]:
    """Of the snapshot, the members for whom a product of the group was active."""
    found: set[UserId] = set()
    for number in range(operation.pages):
        page = await world.stores.snapshots.page(operation.id, operation.snapshot_id, number)
        found |= {user_id for position, user_id in enumerate(page.user_ids) if HAD in page.action(position).notes}
    return frozenset(found)


def _action(
    user: DirectoryUser, member: MemberChange, operation: Operation, group_id: GroupId, claim: Claim
) -> PlannedAction:
    from_here = {
        row.sku_id for row in user.license_assignment_states if row.assigned_by_group == group_id and row.state.counts
    }
    lost = dict(member.loses)
    whole = {sku_id for sku_id, plans in lost.items() if not plans}
    off = tuple((sku_id, plans) for sku_id, plans in lost.items() if plans)
    add = tuple(each for each in operation.change.add if each.sku_id not in from_here)
    remove = tuple(sorted((from_here & set(operation.change.remove)) | whole))
    changes = bool(add or remove or off)
    expected = OutcomeClass.FAILED if member.errors else OutcomeClass.APPLIED if changes else OutcomeClass.UNCHANGED
    return PlannedAction(
        due=False,
        expected=expected,
        add=() if member.errors else add,
        remove=remove,
        plans_off=tuple(AssignedLicense(sku_id, plans) for sku_id, plans in off),
        notes=(HAD,) if member.has else (),
        errors=member.errors,
        claims=tuple((sku_id, (claim,)) for sku_id in sorted(lost)),
    )


def _with_shortage(
    actions: Mapping[UserId, PlannedAction], changes: Sequence[MemberChange], catalog: Catalog
) -> dict[UserId, PlannedAction]:
    """The actions with an error for as many members as there are too few licenses. Which members it will be is not
    known; here they are the last ones by ID."""
    left = {sku_id: sku.available for sku_id, sku in catalog.skus.items()}
    found = dict(actions)
    for member in sorted(changes, key=lambda each: each.user_id):
        action = found[member.user_id]
        short = [sku_id for sku_id in member.needs if left.get(sku_id, 0) < 1]
        if not short:
            left.update({sku_id: left[sku_id] - 1 for sku_id in member.needs})
            continue
        errors = (*action.errors, *(likely(LicenseError.COUNT_VIOLATION, SHORT, sku_id) for sku_id in short))
        expected = OutcomeClass.FAILED if action.errors else OutcomeClass.WAITING
        found[member.user_id] = replace(action, add=(), errors=errors, expected=expected)
    return found


def _summary(
    actions: Mapping[UserId, PlannedAction],
    changes: Sequence[MemberChange],
    catalog: Catalog,
    protection: Protection,
    world: Needs,
) -> PlanSummary:
    now = world.clock.now()
    losing = [user_id for user_id, action in actions.items() if action.claims]
    needed = Counter(sku_id for member in changes for sku_id in member.needs)
    failing = [[each for each in action.errors if not each.waits] for action in actions.values()]
    return PlanSummary(
        additions=dict(Counter(license.sku_id for action in actions.values() for license in action.add)),
        removals=dict(Counter(sku_id for action in actions.values() for sku_id in action.remove)),
        plans_off=sum(bool(action.plans_off) for action in actions.values()),
        seats_needed=dict(needed),
        seats_available={sku_id: catalog.skus[sku_id].available for sku_id in needed if sku_id in catalog.skus},
        expected_errors=dict(Counter(str(each.problem.error) for errors in failing for each in errors)),
        users_losing=len(losing),
        users_failing=sum(bool(errors) for errors in failing),
        protected=tuple(sorted(user_id for user_id in losing if protection.protects(user_id, now))),
    )
