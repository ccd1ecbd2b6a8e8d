"""Groups whose members HR events may change.

The setting ONBOARDING_GROUPS names them, outside the app's tables: whoever writes profiles and events could otherwise
put anyone into any group that the app's permission reaches (GroupMember.ReadWrite.All has no narrower form; "Overview
of permissions", learn.microsoft.com/graph/permissions-overview).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.ids import GroupId
from shared.domain.profiles import Profile

ACCEPTED_FOR = timedelta(days=30)
"""How long what HR used before an upgrade is accepted without the settings that now limit it."""

SETTING = "ONBOARDING_GROUPS"


@dataclass(frozen=True, slots=True)
class FormerUse:
    """What HR used when this version first ran; found once and never changed. `groups`: those of the profiles.
    `senders`: pairs of a source and who sent its events (`hr_senders.sender_of`)."""

    found_at: datetime
    groups: frozenset[GroupId] = frozenset()
    senders: frozenset[tuple[str, str]] = frozenset()

    @property
    def accepted_until(self) -> datetime:
        return self.found_at + ACCEPTED_FOR


@dataclass(frozen=True, slots=True)
class HrGroups:
    """Groups that HR may write to now. `until`: when that ends, if the setting is absent."""

    groups: frozenset[GroupId]
    until: datetime | None = None

    def why_not(self, group_id: GroupId) -> tuple[str, str]:
        """Why HR may not change the group's members, and what to do; empty texts if it may."""
        if group_id in self.groups:
            return "", ""
        text = f"HR may not change the members of group {group_id}: the setting {SETTING} does not name it."
        return text, f"An administrator of this app adds the group to {SETTING}. Then replay the event."


def hr_groups(setting: frozenset[GroupId] | None, former: FormerUse, now: datetime) -> HrGroups:
    """`setting`: None if it is absent. Then HR may write to the groups that profiles named when this version first ran,
    for 30 days; later to none."""
    if setting is not None:
        return HrGroups(setting)
    in_time = now < former.accepted_until
    return HrGroups(former.groups if in_time else frozenset(), former.accepted_until)


def former_groups(profiles: Iterable[Profile]) -> frozenset[GroupId]:
    """Groups that are in use when this version first runs."""
    return frozenset(group for profile in profiles for group in profile.groups)


def warnings_of(
    profiles: Iterable[Profile], setting: frozenset[GroupId] | None, former: FormerUse, now: datetime
) -> list[str]:
    """What an administrator must know: profiles that HR cannot carry out, and those that it soon cannot."""
    allowed = hr_groups(setting, former, now)
    lacking = sorted(each.name for each in profiles if not allowed.groups.issuperset(each.groups))
    found = []
    if setting is None and allowed.groups:
        until = f"{former.accepted_until:%Y-%m-%d}"
        found.append(f"{SETTING} is absent: groups of existing profiles are accepted until {until}, and then none")
    if lacking:
        found.append(f"profiles name groups that {SETTING} does not: {', '.join(lacking)}")
    return found
