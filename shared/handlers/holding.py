"""Held removals: those that no permit was left for wait together, per group, until a person looks at them.

While they wait the group's removal allowance is not used: a slow mass removal is not let through day by day.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from shared.domain.errors import Conflict
from shared.domain.model import GroupId, SkuId, SourceKind
from shared.handlers.cases import Case
from shared.handlers.requests import new_operation_id
from shared.handlers.syncing import collecting
from shared.ports import StoredAssignment, World

MAX_TRIES = 10


def groups_with_held(cases: Iterable[Case]) -> frozenset[GroupId]:
    """The groups whose allowance did not permit a removal of these users, now or at an earlier look."""
    return frozenset(
        GroupId(source.id)
        for case in cases
        for sku_id in _held(case)
        if sku_id in case.row.owned
        for source in case.row.owned[sku_id].sources[:1]
        if source.kind is SourceKind.GROUP
    )


def _held(case: Case) -> frozenset[SkuId]:
    if case.context is None or case.plan is None:
        return frozenset()
    over = case.plan.ended_grants
    held = {grant.sku_id for grant in case.grants if grant.source.kind is SourceKind.HELD and grant not in over}
    return case.context.denied | (held - set(case.plan.remove))


async def collect(world: World, groups: Iterable[GroupId]) -> None:
    """Open an approval for each group that has none, to collect what is held; it is sealed when a person opens it.

    The group names it first, and the operation is inserted under that id: of two processes at once one wins, and what a
    crash left between the two is made good by the next look.
    """
    for group_id in sorted(groups):
        for _ in range(MAX_TRIES):
            stored = await world.stores.assignments.get(group_id)
            if stored is None or await _is_collected(world, stored):
                break
            with suppress(Conflict):
                named = replace(stored.assignment, open_approval=new_operation_id(world, world.clock.now()))
                await world.stores.assignments.save(named, stored.etag)
        else:
            raise Conflict(f"The license assignment of group {group_id} is being changed by others.")


async def _is_collected(world: World, stored: StoredAssignment) -> bool:
    """Whether the approval that the group names is open; one that was named and never inserted is inserted now."""
    assignment = stored.assignment
    if assignment.open_approval is None:
        return False
    known = await world.stores.operations.get(assignment.open_approval)
    if known is None:
        await collecting(world, assignment.open_approval, assignment)
    return known is None or not known.state.is_ended
