"""Held removals: those that no permit was left for wait together, per group, until a person looks at them.

While they wait the group's removal allowance is not used: a slow mass removal is not let through day by day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.concurrency import update
from shared.domain.errors import Conflict
from shared.domain.held_removals import HeldBy
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.operation import Operation, is_collecting
from shared.domain.snapshot_pages import PlannedAction
from shared.handlers.operations.accept import new_operation_id
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.sync import collecting
from shared.ports.stores import StoredAssignment

MAX_TRIES = 10


async def collect(world: Needs, held: HeldBy) -> None:
    """Open an approval for each group that has none, to collect what is held; it is sealed when a person opens it. What
    is held after that is for the next one, which opens as this one closes.

    The group names it first, and the operation is inserted under that id: of two processes at once one wins, and what a
    crash left between the two is made good by the next look.
    """
    for group_id in sorted(held):
        # The update after the one that names an approval finds it missing and inserts it.
        while await _named(world, group_id, held[group_id]):
            continue


async def _named(world: Needs, group_id: GroupId, held: Mapping[UserId, frozenset[SkuId]]) -> bool:
    """Name an approval for what is held. Returns False if there was nothing to name."""

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
    for user_id, sku_ids in held.items():
        action = await _sealed_action(world, approval, user_id)
        listed = frozenset((*action.remove, *(off.sku_id for off in action.plans_off))) if action else frozenset()
        if not sku_ids <= listed:
            return False
    return True


async def _sealed_action(world: Needs, operation: Operation, user_id: UserId) -> PlannedAction | None:
    """What the sealed list says of a user; pages and users are in order, so that few pages are read."""
    low, high = 0, operation.pages - 1
    while low <= high:
        middle = (low + high) // 2
        page = await world.stores.sealed.page(operation.id, operation.seal_id, middle)
        if user_id < page.user_ids[0]:
            high = middle - 1
        elif user_id > page.user_ids[-1]:
            low = middle + 1
        else:
            return page.action(page.user_ids.index(user_id)) if user_id in page.user_ids else None
    return None


def _next(world: Needs, assignment: GroupLicenseAssignment, approval: Operation | None) -> GroupLicenseAssignment:
    """A new approval where none is open; one whose list is sealed is followed by another as it closes."""
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
