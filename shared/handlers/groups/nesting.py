"""Which groups concern a managed group: found by reading the groups inside each, and used to filter notifications."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from shared.domain.assignment import AssignmentState, GroupLicenseAssignment, is_watched
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.ids import GroupId
from shared.domain.membership_changes import Hierarchy, Nesting, watched
from shared.handlers.groups.needs import Needs

MAP_MAX_AGE_S = 60.0
"""How old the map may be by which a change is let pass."""

LONGEST = timedelta(minutes=4)
"""Of one run's reading, well within the ten minutes that the platform gives a function."""

log = logging.getLogger(__name__)


async def group_hierarchy(world: Needs, max_age_s: float = MAP_MAX_AGE_S) -> Hierarchy:
    """The map as it is kept."""
    known = await world.stores.assignments.all(max_age_s)
    native = frozenset(assignment.group_id for assignment in known if is_watched(assignment))
    return watched(_managed(known), await world.stores.nesting.all(max_age_s), native)


async def hierarchy_with(world: Needs, group_ids: Iterable[GroupId]) -> Hierarchy:
    """The map, which is read again if it does not know one of the groups. A change is ignored only by a map that was
    read after the notification, because the group may have been nested a moment before."""
    found = await group_hierarchy(world)
    if found.knows(group_ids):
        return found
    return await group_hierarchy(world, 0.0)


def _managed(known: Iterable[GroupLicenseAssignment]) -> dict[GroupId, frozenset[GroupId]]:
    return {
        assignment.group_id: assignment.options.excluded_groups
        for assignment in known
        if assignment.state is AssignmentState.ACTIVE and assignment.skus
    }


async def keep_nesting(world: Needs, group_id: GroupId, nested: Iterable[GroupId], began: datetime) -> None:
    """Keep what a reading of all members that began then has found inside a group, and what was added meanwhile."""
    found = frozenset(nested)
    for known in await world.stores.nesting.all():
        if known.group_id == group_id and known.read_at >= began:
            found |= known.nested
    await world.stores.nesting.save(Nesting(group_id, found, world.clock.now()))


async def add_nested(world: Needs, into: GroupId, came: Iterable[GroupId]) -> None:
    """Add groups that were nested in a group, with the groups inside them, to the map before the managed groups above
    it are read. Users who join after that read cause notifications, and by then the map knows the group."""
    found = set(came)
    for group_id in sorted(found):
        found |= await _inside(world, group_id)
    for known in await world.stores.nesting.all():
        around = into == known.group_id or into in known.nested
        if around and not found <= known.nested:
            await world.stores.nesting.save(Nesting(known.group_id, known.nested | found, world.clock.now()))


async def read_nesting(world: Needs, group_id: GroupId) -> None:
    """Read what lies inside a group; one that is gone has nothing inside."""
    began = world.clock.now()
    await keep_nesting(world, group_id, await _inside(world, group_id), began)


async def _inside(world: Needs, group_id: GroupId) -> set[GroupId]:
    nested: set[GroupId] = set()
    try:
        async for _ in world.directory.member_pages(group_id, nested):
            pass
    except NotFound:
        nested.clear()
    return nested


async def complete_map(world: Needs) -> None:
    """Read every managed or excluded group that has never been read, and forget those that are no longer needed.

    A group that cannot be read, or for which the time is too short, blocks nothing. Until it is read, no change is
    ignored, and the next run tries again.
    """
    began = world.clock.now()
    managed = _managed(await world.stores.assignments.all())
    wanted = managed.keys() | frozenset().union(*managed.values())
    known = {nesting.group_id for nesting in await world.stores.nesting.all()}
    for group_id in sorted(wanted - known):
        if world.clock.now() >= began + LONGEST:
            break
        try:
            await read_nesting(world, group_id)
        except (Unavailable, PermissionDenied) as fault:
            log.warning("what lies inside group %s could not be read: %s", group_id, fault)
    for group_id in sorted(known - wanted):
        await world.stores.nesting.remove(group_id)
