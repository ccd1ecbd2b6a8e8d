"""The status snapshot of a managed group, counted from its member rows."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.group_status import GroupState, GroupStatus, state_of_group
from shared.domain.operation import Operation, OperationState
from shared.handlers.groups.needs import Needs


async def write_group_status(world: Needs, operation: Operation) -> None:
    """The snapshot of the operation's group, counted from its member rows."""
    group_id = operation.target.group_id
    if group_id is None:
        return
    counts = await world.stores.members.counts(group_id)
    before = await world.stores.group_status.get(group_id) or GroupStatus(group_id, GroupState.IN_PROGRESS)
    status = replace(
        before,
        state=state_of_group(counts, failed=operation.state is OperationState.FAILED),
        counts=dict(counts),
        operation_id=operation.id,
        updated_at=world.clock.now(),
    )
    await world.stores.group_status.save(status)
