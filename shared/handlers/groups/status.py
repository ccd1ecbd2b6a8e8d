"""The status of a managed group: changed by operations, and given new counts whenever members change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shared.domain.concurrency import update
from shared.domain.group_status import SETTLED_AFTER, GroupState, GroupStatus, with_counts
from shared.domain.ids import GroupId, SkuId
from shared.domain.named_users import NAMED
from shared.domain.operation import Operation, OperationState
from shared.handlers.groups.needs import Needs

MAX_TRIES = 10


async def change_group_status(world: Needs, group_id: GroupId, change: Callable[[GroupStatus], GroupStatus]) -> None:
    """Change the status of a group and give it the counts of now. Raises Conflict if every try lost a race."""

    async def read() -> tuple[GroupStatus, GroupStatus]:
        before = await world.stores.group_status.get(group_id) or GroupStatus(group_id, GroupState.IN_PROGRESS)
        # Counted after the status was read: a process that saves a status in between has no newer counts.
        counts = await world.stores.member_counts.count(group_id)
        return before, with_counts(change(before), counts, await _skus(world, group_id), world.clock.now())

    def changed(found: tuple[GroupStatus, GroupStatus]) -> GroupStatus | None:
        before, after = found
        return after if after != before or not before.version else None

    await update(read, changed, world.stores.group_status.save, tries=MAX_TRIES)


async def write_group_status(world: Needs, operation: Operation) -> None:
    """The status of the operation's group when the operation has ended."""
    group_id = operation.target.group_id
    if group_id is None:
        return
    now, failed = world.clock.now(), operation.state is OperationState.FAILED

    def ended(status: GroupStatus) -> GroupStatus:
        # The counts can still make another state of it.
        over = GroupState.ERRORS if failed else GroupState.ALL_ASSIGNED
        return replace(status, state=over, failed=failed, operation_id=operation.id, updated_at=now)

    await change_group_status(world, group_id, ended)


async def publish_counts(world: Needs) -> int:
    """The timer: write the counts of groups whose members changed into the status that lists of groups and products
    read. Returns how many groups changed. A group without a status gets one from its first operation."""
    changed = await world.stores.member_counts.changed()
    for each in changed:
        now = world.clock.now()
        if each.group_id == NAMED:
            await world.stores.member_counts.count(NAMED)
        elif await world.stores.group_status.get(each.group_id) is not None:
            await change_group_status(world, each.group_id, lambda status: status)
        if now - each.at > SETTLED_AFTER:
            await world.stores.member_counts.settled(each)
    return len(changed)


async def _skus(world: Needs, group_id: GroupId) -> list[SkuId]:
    stored = await world.stores.assignments.get(group_id)
    return list(stored.assignment.sku_ids) if stored else []
