"""Which groups concern a managed group: kept by reading what lies inside each, known to whoever hears of changes."""

from __future__ import annotations

from collections.abc import Iterable

from shared.domain.changes import Nesting, Watched, watched
from shared.domain.errors import NotFound
from shared.domain.model import AssignmentState, GroupId, GroupLicenseAssignment
from shared.ports import World

MAP_MAX_AGE_S = 60.0
"""How old the map may be by which a change is let pass."""

FRESH_S = 3.0
"""How old it may be by which a change is left out: a group may have been nested a moment ago."""


async def watched_groups(world: World, max_age_s: float = MAP_MAX_AGE_S) -> Watched:
    """The map as it is kept."""
    known = await world.stores.assignments.all(max_age_s)
    return watched(_managed(known), await world.stores.nesting.all(max_age_s))


async def watched_with(world: World, group_ids: Iterable[GroupId]) -> Watched:
    """The map, read anew where it does not know one of the groups."""
    found = await watched_groups(world)
    if found.complete and found.managed.keys() >= set(group_ids):
        return found
    return await watched_groups(world, FRESH_S)


def _managed(known: Iterable[GroupLicenseAssignment]) -> dict[GroupId, frozenset[GroupId]]:
    return {
        assignment.group_id: assignment.options.excluded_groups
        for assignment in known
        if assignment.state is AssignmentState.ACTIVE and assignment.skus
    }


async def keep_nesting(world: World, group_id: GroupId, nested: Iterable[GroupId]) -> None:
    """Keep what a reading of all members has found inside a group."""
    await world.stores.nesting.save(Nesting(group_id, frozenset(nested), world.clock.now()))


async def read_nesting(world: World, group_id: GroupId) -> None:
    """Read what lies inside a group; one that is gone has nothing inside."""
    nested: set[GroupId] = set()
    try:
        async for _ in world.directory.member_pages(group_id, nested):
            pass
    except NotFound:
        nested.clear()
    await keep_nesting(world, group_id, nested)


async def complete_map(world: World) -> None:
    """Read every managed or excluded group that has never been read, and forget those that concern nobody now."""
    managed = _managed(await world.stores.assignments.all())
    wanted = managed.keys() | frozenset().union(*managed.values())
    known = {nesting.group_id for nesting in await world.stores.nesting.all()}
    for group_id in sorted(wanted - known):
        await read_nesting(world, group_id)
    for group_id in sorted(known - wanted):
        await world.stores.nesting.remove(group_id)
