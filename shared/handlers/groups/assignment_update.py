"""Change a group's stored assignment although other processes change it too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.concurrency import update
from shared.domain.errors import Conflict
from shared.domain.ids import GroupId
from shared.handlers.groups.needs import Needs
from shared.ports.stores import StoredAssignment

MAX_TRIES = 10
"""Lost races of one change before the caller must try again."""


async def update_assignment(
    world: Needs, group_id: GroupId, change: Callable[[GroupLicenseAssignment], GroupLicenseAssignment | None]
) -> GroupLicenseAssignment | None:
    """The assignment as it was saved. None if the group has none, or if `change` returned None: there is nothing to do.

    Raises Conflict if every try lost a race.
    """

    def changed(stored: StoredAssignment | None) -> StoredAssignment | None:
        after = change(stored.assignment) if stored else None
        return StoredAssignment(after, stored.etag) if stored and after else None

    async def save(changed: StoredAssignment) -> GroupLicenseAssignment:
        await world.stores.assignments.save(changed.assignment, changed.etag)
        return changed.assignment

    lost = Conflict(f"The license assignment of group {group_id} is being changed by others; try again.")
    return await update(partial(world.stores.assignments.get, group_id), changed, save, tries=MAX_TRIES, lost=lost)
