"""Memberships that HR may bring about: in which groups, which of them can be written, and what came of writing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.domain.assignment import AssignmentState, GroupLicenseAssignment
from shared.domain.directory import DirectoryGroup
from shared.domain.errors import NotFound
from shared.domain.ids import GroupId
from shared.domain.onboarding import GroupOutcome, GroupResult
from shared.domain.profiles import Profile
from shared.domain.write_results import Rejected
from shared.ports.world import World

KNOWN_FOR = timedelta(minutes=5)
"""How long what was read of a group is believed; Graph refuses what has changed since."""

NOT_ALLOWED = GroupResult(
    GroupId(""),
    GroupOutcome.REFUSED,
    "The group is neither licensed by this system nor named in a profile.",
    "Assign licenses to the group, or name it in a profile, then replay the event.",
)


def allowed_groups(
    assignments: Mapping[GroupId, GroupLicenseAssignment], profiles: tuple[Profile, ...]
) -> frozenset[GroupId]:
    """Groups that an event may name: managed ones and those of profiles. The right to send an event is not the right to
    put people into any group the app could write."""
    managed = {g for g, each in assignments.items() if each.state is AssignmentState.ACTIVE and each.skus}
    return frozenset(managed | {group_id for profile in profiles for group_id in profile.groups})


def hindrance(group: DirectoryGroup) -> tuple[str, str]:
    """Why nobody but the group's own source may change its members, and what to do; empty where the app may.

    Which groups Graph writes: learn.microsoft.com/graph/api/group-post-members, .../resources/groups-overview.
    """
    if "DynamicMembership" in group.group_types:
        return (
            f"The membership of {group.display_name!r} follows a rule.",
            "Change the person's attributes or the rule in Entra; this system licenses the person when the rule does.",
        )
    if group.on_premises:
        return (
            f"The group {group.display_name!r} is synchronised from on-premises.",
            "Change the membership in the on-premises directory.",
        )
    if group.role_assignable:
        return (
            f"The group {group.display_name!r} is role-assignable; the app has no right to change it, on purpose.",
            "Have a Privileged Role Administrator change the membership.",
        )
    if group.mail_enabled and "Unified" not in group.group_types:
        return (
            f"The group {group.display_name!r} is mail-enabled and managed by Exchange.",
            "Change the membership in Exchange, or name a security group.",
        )
    return ("", "")


def refused(group_id: GroupId, answer: Rejected) -> GroupResult:
    """What Graph's refusal of a membership means."""
    if answer.status == 403:
        remedy = "Grant the app GroupMember.ReadWrite.All (see the permissions in the README), then replay the event."
    elif answer.status == 404:
        remedy = "Check that the group exists, then replay the event."
    else:
        remedy = "Repair what the message names, then replay the event."
    return GroupResult(group_id, GroupOutcome.REFUSED, answer.message or f"Graph answered {answer.status}", remedy)


class GroupsKnown:
    """Groups as read within the last minutes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[GroupId, tuple[datetime, DirectoryGroup | None]] = {}

    async def get(self, group_id: GroupId) -> DirectoryGroup | None:
        """The group; None when there is no such group. Raises Unavailable."""
        now = self._world.clock.now()
        known = self._known.get(group_id)
        if known is None or now - known[0] > KNOWN_FOR:
            try:
                found: DirectoryGroup | None = await self._world.directory.group(group_id)
            except NotFound:
                found = None
            known = self._known[group_id] = (now, found)
        return known[1]

    async def why_not(self, group_id: GroupId) -> tuple[str, str]:
        """Why the membership cannot be written, and what to do; empty where it can."""
        group = await self.get(group_id)
        if group is None:
            return "There is no such group.", "Correct the event or the profile, then replay the event."
        return hindrance(group)
