"""The group license assignments as a queue function sees them: cached for seconds, never older than its message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.ids import GroupId
from shared.handlers.groups.needs import Needs

MAX_AGE = timedelta(seconds=5)
"""Other processes change assignments; a message that names a newer version reloads at once."""


class Intents:
    """All group license assignments, by group."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        self._known: dict[GroupId, GroupLicenseAssignment] = {}
        self._read_at: datetime | None = None

    async def at_least(
        self, versions: Mapping[GroupId, int], since: datetime | None = None
    ) -> Mapping[GroupId, GroupLicenseAssignment]:
        """The assignments. They are read again if they are older than a few seconds, than a named version, or than an
        event. A user who joins while a group is being read must be found by that read or by the read for the event."""
        now = self._world.clock.now()
        fresh = self._read_at is not None and now - self._read_at < MAX_AGE
        fresh = fresh and (since is None or (self._read_at is not None and self._read_at > since))
        if not fresh or any(self._version(group_id) < version for group_id, version in versions.items()):
            read = await self._world.stores.assignments.all()
            self._known = {assignment.group_id: assignment for assignment in read}
            self._read_at = now
        return self._known

    def _version(self, group_id: GroupId) -> int:
        known = self._known.get(group_id)
        return known.version if known else 0
