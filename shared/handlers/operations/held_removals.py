"""Held removals wait together, per group or for the whole tenant, until a person reviews them.

While they wait the removal allowance is not used: a slow mass removal is not let through day by day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.concurrency import update
from shared.domain.errors import Conflict
from shared.domain.grant import Source, SourceKind
from shared.domain.held_removals import HeldBy
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.operation import Operation, is_collecting
from shared.domain.pending_removal import HELD_BY_TENANT, TENANT, PendingRemoval, held_scope
from shared.domain.permit import BEFORE_ANY_LICENSE, Claim
from shared.domain.snapshot_pages import SnapshotPage
from shared.handlers.operations.accept import new_operation_id
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.snapshot import last_page
from shared.handlers.operations.sync import collecting
from shared.ports.stores import StoredAssignment, StoredRemovals

MAX_TRIES = 10

MOST_PEOPLE = 5000
"""People of one approval of the tenant; more wait for the next one, which opens as it closes."""


async def collect(world: Needs, held: HeldBy) -> None:
    """Open an approval for each group that has none, to collect held removals. When a person opens it, its list becomes
    a snapshot. Removals held after that belong to the next approval, which opens when this one closes. The whole tenant
    has one in the same way.

    The group names the approval first, and the operation is inserted under that id. Of two processes at once, one wins.
    After a crash between the two writes, the next reconciliation inserts it.
    """
    for group_id, users in held.items():
        await _list(world, held_scope(group_id), users)
    for group_id in sorted(each for each in held if each is not None):
        # The update after the one that names an approval finds it missing and inserts it.
        while await _named(world, group_id, held[group_id]):
            continue
    if None in held:
        await name_tenant_approval(world)


async def _list(world: Needs, scope: str, held: Mapping[UserId, frozenset[SkuId]]) -> None:
    """List these users as held, so that people see how many there are before a review. The tenant's names them."""
    claim = Claim(Source(SourceKind.HELD, TENANT))
    # Without a time of their own, so that a removal that is listed already is not listed twice.
    rows = [PendingRemoval(claim, user, sku_id, BEFORE_ANY_LICENSE) for user, skus in held.items() for sku_id in skus]
    await world.stores.removals.note(scope, rows)


async def name_tenant_approval(world: Needs) -> None:
    """Name the approval of the tenant in its row, and insert it, unless one is open. The row comes first."""

    async def read() -> tuple[StoredRemovals, tuple[Operation | None, ...]]:
        stored = await world.stores.removals.state(TENANT)
        return stored, tuple([await world.stores.operations.get(each) for each in sorted(stored.state.approvals)])

    def change(found: tuple[StoredRemovals, tuple[Operation | None, ...]]) -> StoredRemovals | None:
        stored, named = found
        if any(each is None or not each.state.is_ended for each in named):
            return None
        approvals = frozenset({new_operation_id(world, world.clock.now())})
        return replace(stored, state=replace(stored.state, approvals=approvals))

    async def save(changed: StoredRemovals) -> None:
        await world.stores.removals.save(TENANT, changed.state, changed.etag)

    lost = Conflict("The approval of the tenant is being changed by others.")
    await update(read, change, save, tries=MAX_TRIES, lost=lost)
    await _insert_named(world)


async def _insert_named(world: Needs) -> None:
    """The approval that the tenant names, also if a crash has left it named and not inserted."""
    for named in (await world.stores.removals.state(TENANT)).state.approvals:
        await collecting(world, named, None)


async def held_users(world: Needs) -> tuple[UserId, ...]:
    """People whose removals wait for the approval of the tenant, the first ones where they are very many."""
    rows = (await world.stores.removals.load(HELD_BY_TENANT)).rows
    return tuple(sorted({row.user_id for row in rows}))[:MOST_PEOPLE]


async def close_tenant_approval(world: Needs, operation: Operation) -> None:
    """The decision about these people is made: the allowance counts again, and the next approval opens if more wait."""
    if operation.id not in (await world.stores.removals.state(TENANT)).state.approvals:
        return
    people = set(operation.target.user_ids)
    rows = (await world.stores.removals.load(HELD_BY_TENANT)).rows
    await world.stores.removals.drop(HELD_BY_TENANT, (row.what for row in rows if row.user_id in people))
    more = any(row.user_id not in people for row in rows)
    await release_hold(world, TENANT, operation.id, keep=more)
    if more:
        await name_tenant_approval(world)


async def hold_for(world: Needs, scope: str, operation_id: OperationId) -> None:
    """While a person decides about an operation, nothing of its scope goes by an allowance."""

    def change(stored: StoredRemovals) -> StoredRemovals | None:
        named = stored.state.approvals | {operation_id}
        return (
            None if named == stored.state.approvals else replace(stored, state=replace(stored.state, approvals=named))
        )

    await _change_state(world, scope, change)


async def release_hold(world: Needs, scope: str, operation_id: OperationId, *, keep: bool = False) -> None:
    """A person has decided: removals of the scope are decided by its allowance again, unless others wait. `keep`: the
    hold stays, since another approval of the scope follows."""

    def change(stored: StoredRemovals) -> StoredRemovals | None:
        after = replace(stored.state, approvals=stored.state.approvals - {operation_id})
        after = after if after.approvals or keep else replace(after, hold=None)
        return None if after == stored.state else replace(stored, state=after)

    await _change_state(world, scope, change)


async def _change_state(world: Needs, scope: str, change: Callable[[StoredRemovals], StoredRemovals | None]) -> None:
    async def save(changed: StoredRemovals) -> None:
        await world.stores.removals.save(scope, changed.state, changed.etag)

    await update(partial(world.stores.removals.state, scope), change, save, tries=MAX_TRIES)


async def _named(world: Needs, group_id: GroupId, held: Mapping[UserId, frozenset[SkuId]]) -> bool:
    """Name an approval for held removals. Returns False if there was nothing to name."""

    async def read() -> tuple[StoredAssignment, Operation | None] | None:
        """The assignment and its open approval; None if no other approval is needed."""
        stored = await world.stores.assignments.get(group_id)
        if stored is None:
            return None
        approval = await _open_approval(world, stored)
        if approval is not None and await _has(world, approval, stored.assignment, held):
            return None
        return stored, approval

    def change(found: tuple[StoredAssignment, Operation | None] | None) -> StoredAssignment | None:
        if found is None:
            return None
        stored, approval = found
        return replace(stored, assignment=_next(world, stored.assignment, approval))

    async def save(changed: StoredAssignment) -> str:
        return await world.stores.assignments.save(changed.assignment, changed.etag)

    lost = Conflict(f"The license assignment of group {group_id} is being changed by others.")
    return await update(read, change, save, tries=MAX_TRIES, lost=lost) is not None


async def _has(
    world: Needs, approval: Operation, assignment: GroupLicenseAssignment, held: Mapping[UserId, frozenset[SkuId]]
) -> bool:
    """Whether an open approval, or the one that is to follow it, has all that is held."""
    if is_collecting(approval) or assignment.more_held:
        return True
    page: SnapshotPage | None = None
    for user_id, sku_ids in sorted(held.items()):
        # Users of one chunk are mostly in one page.
        if page is None or user_id > page.user_ids[-1]:
            page = await _page_for(world, approval, user_id)
        if page is None or not sku_ids <= _listed(page, user_id):
            return False
    return True


async def _page_for(world: Needs, approval: Operation, user_id: UserId) -> SnapshotPage | None:
    """The page of the snapshot that has a user, if any has; None if there is no snapshot yet."""
    if not approval.pages:
        return None
    number = await last_page(world, approval, lambda page: page.user_ids[0] <= user_id)
    return await world.stores.snapshots.page(approval.id, approval.snapshot_id, number)


def _listed(page: SnapshotPage, user_id: UserId) -> frozenset[SkuId]:
    return page.action(page.user_ids.index(user_id)).skus_losing if user_id in page.user_ids else frozenset()


def _next(world: Needs, assignment: GroupLicenseAssignment, approval: Operation | None) -> GroupLicenseAssignment:
    """A new approval where none is open; one with a snapshot is followed by another as it closes."""
    if approval is not None:
        return replace(assignment, more_held=True)
    return replace(assignment, open_approval=new_operation_id(world, world.clock.now()), more_held=False)


async def _open_approval(world: Needs, stored: StoredAssignment) -> Operation | None:
    """The approval that the group names, if it is open; one that was named and never inserted is inserted now."""
    assignment = stored.assignment
    if assignment.open_approval is None:
        return None
    known = await world.stores.operations.get(assignment.open_approval)
    if known is None:
        await collecting(world, assignment.open_approval, assignment)
        known = await world.stores.operations.get(assignment.open_approval)
    return known if known is not None and not known.state.is_ended else None
