"""Seal and plan: read every user of an operation to the last page, plan each from that read, and keep both.

The pages of the snapshot are the preview, the dry run, and the list and number behind an approval.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, ReadFailed, UserGone
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.grant import Grant
from shared.domain.group_request import changed, warnings
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_status import MemberState
from shared.domain.named_users import NAMED
from shared.domain.operation import LicenseChange, Operation, PlanSummary, Totals
from shared.domain.outcomes import OutcomeClass
from shared.domain.predicted_errors import needs_address
from shared.domain.product_checks import warnings_of
from shared.domain.snapshot_pages import LEFT, PAGE_SIZE, PlannedAction, SnapshotPage, pages_of, partition_of
from shared.handlers.groups.nesting import keep_nesting
from shared.handlers.operations.forecast import Intents, Planner, shown_as_number
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.preview_groups import with_groups
from shared.handlers.reconcile.plan import tenant_facts

AT_ONCE = 400
"""Users asked for at once; the directory reads them in several batches side by side."""

FEW = 40
"""Users of a ledger partition up to which single reads are cheaper than reading the partition."""

ERRORS_AT_ONCE = 1000
"""Rows of one page: the most that Table Storage sends."""

ADDRESSES_UNCHECKED = (
    "The directory did not say which addresses other objects have. Errors because of duplicate addresses are missing."
)

Users = dict[UserId, DirectoryUser | None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What sealing found. `errors`: of a preview, pages of the users with predicted errors alone. `size`: users the
    directory showed; `gone`: recorded members who are no users any more."""

    pages: tuple[SnapshotPage, ...]
    totals: Totals
    summary: PlanSummary
    checksum: str
    size: int
    gone: tuple[UserId, ...] = ()
    errors: tuple[SnapshotPage, ...] = ()


async def take_snapshot(world: Needs, operation: Operation, known: Intents) -> Snapshot:
    """Read, plan and describe every user of the operation. Nothing is written.

    Raises what reading raises: only a reading that reached its last page returns.
    """
    facts = await tenant_facts(world, operation.created_at)
    assignments = intents_with(operation, known, facts.catalog)
    group_id = operation.target.group_id
    recorded = await world.stores.members.shown(group_id or NAMED)
    users = await (
        _group_users(world, operation, group_id)
        if group_id
        else _read_users(world, operation.target.user_ids, complete=operation.preview)
    )
    reads_groups = group_id is None or _needs_groups(operation, known, assignments)
    if group_id and reads_groups:
        users = await _knowing_groups(world, operation, assignments, users)
    left = {u for u, row in recorded.items() if group_id and u not in users and row.state is not MemberState.REMOVED}
    gone: list[UserId] = []
    leavers = await _read_users(world, sorted(left), gone, complete=operation.preview)
    shown_before = await _shown_before(world, group_id or NAMED)
    taken = await _addresses_taken(world, operation, assignments, users, facts.catalog)
    planner = Planner(world, operation, assignments, facts, recorded, shown_before, taken or frozenset())
    actions: dict[UserId, PlannedAction] = {}
    async for user_id, row, grants in _with_records(world, [*users, *leavers]):
        read = users[user_id] if user_id in users else leavers[user_id]
        knows_groups = reads_groups or user_id in leavers
        action = planner.action(read, row, grants, knows_groups=knows_groups)
        actions[user_id] = replace(action, due=True, notes=(*action.notes, LEFT)) if user_id in leavers else action
    actions = planner.predicted(actions)
    pages = tuple(pages_of(actions.items(), world.policy.chunk_size))
    warnings = (*_warnings(operation, assignments, facts.catalog), *([ADDRESSES_UNCHECKED] if taken is None else []))
    return Snapshot(
        pages=pages,
        errors=_error_pages(operation, actions),
        totals=_totals(actions.values()),
        summary=planner.tally.summary(facts.catalog, warnings),
        checksum=checksum_of(operation, pages),
        size=len(users),
        gone=tuple(gone),
    )


async def _addresses_taken(
    world: Needs, operation: Operation, assignments: Intents, users: Users, catalog: Catalog
) -> frozenset[UserId] | None:
    """Of a preview, the users with a new mailbox whose sign-in name is an address of another object. None if
    the directory did not say. Throttling is raised: the preview waits, and the same state gives the same plan."""
    group_id = operation.target.group_id
    assigned = assignments.get(group_id) if group_id else None
    given = [
        *operation.change.add,
        *(AssignedLicense(sku.sku_id, sku.disabled_plans) for sku in (assigned.skus if assigned else ())),
    ]
    names = {
        user.id: user.user_principal_name
        for user in users.values()
        if operation.preview and user is not None and needs_address(user, given, catalog)
    }
    try:
        holders = await world.directory.address_holders(sorted(set(names.values()))) if names else {}
    except PermissionDenied:
        return None
    except Unavailable as fault:
        if fault.retry_after_s is not None:
            raise
        return None
    return frozenset(user_id for user_id, name in names.items() if holders.get(name, frozenset()) - {user_id})


def _error_pages(operation: Operation, actions: Mapping[UserId, PlannedAction]) -> tuple[SnapshotPage, ...]:
    failing = ((user_id, action) for user_id, action in actions.items() if action.errors)
    return tuple(pages_of(failing, PAGE_SIZE)) if operation.preview else ()


def _warnings(operation: Operation, assignments: Intents, catalog: Catalog) -> tuple[str, ...]:
    """Warnings about the products of the request, for any members."""
    assignment = assignments.get(operation.target.group_id) if operation.target.group_id else None
    if assignment is not None:
        return warnings(assignment, operation.change, catalog)
    return warnings_of(operation.change.add, {license.sku_id for license in operation.change.add}, catalog)


async def _shown_before(world: Needs, group_id: GroupId) -> dict[UserId, int]:
    """What members in error or waiting are shown, each as a number: the texts of 100,000 would not fit."""
    found: dict[UserId, int] = {}
    after: str | None = None
    while True:
        rows, after = await world.stores.members.errors(group_id, ERRORS_AT_ONCE, after)
        found.update((row.user_id, shown_as_number(row.problems)) for row in rows)
        if after is None:
            return found


def intents_with(operation: Operation, known: Intents, catalog: Catalog) -> Intents:
    """The assignments to plan by: of a preview, with its change and those that it assumes merged in."""
    group_id = operation.target.group_id
    if group_id is None or not operation.preview:
        return known
    asked = dict(operation.other_changes)
    if operation.change.changes_intent:
        asked[group_id] = operation.change
    return {**known, **{each: changed(_known(known, each), change, catalog) for each, change in asked.items()}}


def _known(known: Intents, group_id: GroupId) -> GroupLicenseAssignment:
    return known.get(group_id) or GroupLicenseAssignment(group_id)


def _needs_groups(operation: Operation, known: Intents, assignments: Intents) -> bool:
    """Whether an operation must know all groups of each member. A preview must if groups are excluded from an
    assignment, or if it assumes changes of the same products. An operation must if it sets options with excluded
    groups: a member of one loses the products, and nothing else about the member may have changed."""
    if not operation.preview:
        return operation.change.options is not None and bool(operation.change.options.excluded_groups)
    asked = [group_id for group_id in (operation.target.group_id, *operation.other_changes) if group_id]
    excludes = any(_known(assignments, group_id).options.excluded_groups for group_id in asked)
    return excludes or _shares_products(operation, known)


def _shares_products(operation: Operation, known: Intents) -> bool:
    """Whether two of the changes of a preview, its own and those that it assumes, concern the same product.

    One group can begin to assign a product that another one ends, and a member of this group can be in both.
    """
    group_id, others = operation.target.group_id, operation.other_changes
    if group_id is None or not others:
        return False
    mine = _products(_known(known, group_id), operation.change, of_all=True)
    theirs = [_products(_known(known, each), change, of_all=bool(change.options)) for each, change in others.items()]
    return len(mine.union(*theirs)) < sum(map(len, (mine, *theirs)))


def _products(assignment: GroupLicenseAssignment, change: LicenseChange, *, of_all: bool) -> frozenset[SkuId]:
    """The products that a change concerns; `of_all`: those that it leaves as they are too."""
    changed_ones = (*(license.sku_id for license in change.add), *change.remove)
    return frozenset((*changed_ones, *(sku.sku_id for sku in assignment.skus if of_all)))


async def _group_users(world: Needs, operation: Operation, group_id: GroupId) -> Users:
    """All users in the group. Names are left out: they are not needed, and there may be hundreds of thousands. A
    preview needs sign-in names, which become addresses.

    A group that is gone has none where a person takes its licenses away; otherwise it is an error, and all is held.
    """
    groups = frozenset({group_id})
    users: Users = {}
    nested: set[GroupId] = set()
    began = world.clock.now()
    try:
        async for page in world.directory.member_pages(group_id, nested):
            for user in page:
                name = user.user_principal_name if operation.preview else ""
                users[user.id] = replace(user, group_ids=groups, display_name="", user_principal_name=name)
    except NotFound:
        if not operation.change.remove or operation.change.add:
            raise
    if not operation.preview:
        await keep_nesting(world, group_id, nested, began)
    return users


async def _knowing_groups(world: Needs, operation: Operation, assignments: Intents, users: Users) -> Users:
    found = await with_groups(world, operation, assignments, users) if operation.preview else None
    return {**users, **(found or await _read_users(world, list(users), complete=operation.preview))}


async def _read_users(
    world: Needs, ids: Iterable[UserId], gone: list[UserId] | None = None, *, complete: bool = False
) -> Users:
    """Each id read with its groups; None where it could not be read. `gone` collects those the directory denies.

    With `complete`, a read that can succeed later raises Unavailable. A preview has no later read of these users, and
    without them it would show less than the operation does.
    """
    wanted = list(ids)
    users: Users = {}
    for start in range(0, len(wanted), AT_ONCE):
        reads = await world.directory.users(wanted[start : start + AT_ONCE])
        for user_id, read in reads.items():
            if complete and isinstance(read, ReadFailed) and not (read.rejected or read.denied):
                raise Unavailable(read.retry_after_s, f"user {user_id} could not be read: {read.why}")
            if gone is not None and isinstance(read, UserGone):
                gone.append(user_id)
            else:
                users[user_id] = read if isinstance(read, DirectoryUser) else None
    return users


async def _with_records(
    world: Needs, user_ids: Iterable[UserId]
) -> AsyncIterator[tuple[UserId, LedgerRow, tuple[Grant, ...]]]:
    """Every user with ledger row and user grants, one partition in memory at a time."""
    by_partition: dict[str, list[UserId]] = defaultdict(list)
    for user_id in user_ids:
        by_partition[partition_of(user_id)].append(user_id)
    for partition in sorted(by_partition):
        wanted = set(by_partition[partition])
        rows, grants = await _records(world, partition, wanted)
        for user_id in sorted(wanted):
            yield user_id, rows.get(user_id) or LedgerRow(user_id), grants.get(user_id, ())


async def _records(
    world: Needs, partition: str, wanted: set[UserId]
) -> tuple[Mapping[UserId, LedgerRow], Mapping[UserId, tuple[Grant, ...]]]:
    """Ledger rows and grants of some users of a partition: read one by one where they are few, for the partition may
    hold a sixteenth of the tenant."""
    stores = world.stores
    if len(wanted) <= FEW:
        ids = sorted(wanted)
        return await stores.ledger.rows(ids), await stores.grants.of_users(ids)
    rows = {row.user_id: row async for row in stores.ledger.partition(partition) if row.user_id in wanted}
    grants: dict[UserId, tuple[Grant, ...]] = {}
    async for user_id, grant in stores.grants.partition(partition):
        if user_id in wanted:
            grants[user_id] = (*grants.get(user_id, ()), grant)
    return rows, grants


async def last_page(world: Needs, operation: Operation, begins: Callable[[SnapshotPage], bool]) -> int:
    """The number of the last snapshot page that begins early enough, or of the first page. By bisection: users and
    chunks of the pages are in order."""
    low, high = 0, operation.pages - 1
    while low < high:
        middle = (low + high + 1) // 2
        if begins(await world.stores.snapshots.page(operation.id, operation.snapshot_id, middle)):
            low = middle
        else:
            high = middle - 1
    return low


def _totals(actions: Iterable[PlannedAction]) -> Totals:
    """Users who are not due count at once as what they are expected to be."""
    classes: Counter[OutcomeClass] = Counter()
    members = due = 0
    for action in actions:
        members += 1
        if action.due:
            due += 1
        else:
            classes[action.expected] += 1
    return Totals(
        members=members,
        due=due,
        applied=classes[OutcomeClass.APPLIED],
        unchanged=classes[OutcomeClass.UNCHANGED],
        waiting=classes[OutcomeClass.WAITING],
        failed=classes[OutcomeClass.FAILED],
        skipped=classes[OutcomeClass.SKIPPED],
    )


def checksum_of(operation: Operation, pages: Iterable[SnapshotPage]) -> str:
    """64 hex digits over target and plan: the checksum by which a person approves."""
    digest = hashlib.sha256(f"{operation.target.group_id}".encode())
    for page in pages:
        digest.update(",".join(page.user_ids).encode())
        digest.update(repr([_described(action) for action in page.actions]).encode())
        digest.update(repr(page.action_of).encode())
    return digest.hexdigest()


def _described(action: PlannedAction) -> tuple[object, ...]:
    add = [(license.sku_id, sorted(license.disabled_plans)) for license in action.add]
    off = [(license.sku_id, sorted(license.disabled_plans)) for license in action.plans_off]
    return (add, action.remove, off, action.claims)
