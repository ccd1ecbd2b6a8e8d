"""Groups whose members HR events may change.

The setting ONBOARDING_GROUPS names them, or administrative units that have them. It is outside the app's tables: a
profile and an event could otherwise put anyone into any group that the app's permission reaches.
GroupMember.ReadWrite.All has no narrower form ("Overview of permissions",
learn.microsoft.com/graph/permissions-overview).
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

UNITS_READ_EVERY = timedelta(hours=1)
UNITS_TRIED_EVERY = timedelta(minutes=10)
"""A list of groups of administrative units is read again when it is used after the first time, and after a failed read
after the second one."""


@dataclass(frozen=True, slots=True)
class FormerUse:
    """Groups and senders that HR used when this version first ran; found once and never changed. `groups`: those of the
    profiles. `senders`: pairs of a source and the sender of its events (`hr_senders.sender_of`)."""

    found_at: datetime
    groups: frozenset[GroupId] = frozenset()
    senders: frozenset[tuple[str, str]] = frozenset()

    @property
    def accepted_until(self) -> datetime:
        return self.found_at + ACCEPTED_FOR


@dataclass(frozen=True, slots=True)
class UnitGroups:
    """Groups in the administrative units of the setting, as last read. `units`: which ones. `read_at`: of the last
    complete read; None before the first one. `fault`: why the latest read, `tried_at`, failed; empty if it did not."""

    units: frozenset[str] = frozenset()
    groups: frozenset[GroupId] = frozenset()
    read_at: datetime | None = None
    tried_at: datetime | None = None
    fault: str = ""

    def is_due(self, now: datetime) -> bool:
        every = UNITS_TRIED_EVERY if self.fault else UNITS_READ_EVERY
        return self.tried_at is None or now - self.tried_at >= every

    def of(self, units: frozenset[str]) -> UnitGroups:
        """The list, if it is of these units: the groups of another unit were never meant."""
        return self if self.units == units else UnitGroups(units)

    def warning(self) -> str:
        """A warning for administrators; empty if the latest read was complete."""
        if self.fault and self.read_at is None:
            return f"the groups of administrative units have not been read, so HR events wait: {self.fault}"
        if self.fault:
            at = f"{self.read_at:%Y-%m-%d %H:%M}"
            return f"the groups of administrative units are of {at} and stay in force: {self.fault}"
        return ""


@dataclass(frozen=True, slots=True)
class HrGroups:
    """Groups that HR may write to now."""

    groups: frozenset[GroupId]

    def why_not(self, group_id: GroupId) -> tuple[str, str]:
        """Why HR may not change the group's members, and what to do; empty texts if it may."""
        if group_id in self.groups:
            return "", ""
        text = f"HR may not change the members of group {group_id}: the setting {SETTING} does not name it."
        remedy = f"An administrator of this app adds the group to {SETTING}, or to an administrative unit named there."
        return text, f"{remedy} Then replay the event."


def hr_groups(setting: frozenset[GroupId] | None, former: FormerUse, now: datetime) -> HrGroups:
    """`setting`: None if it is absent. Then HR may write to the groups that profiles named when this version first ran,
    for 30 days; later to none."""
    if setting is not None:
        return HrGroups(setting)
    in_time = now < former.accepted_until
    return HrGroups(former.groups if in_time else frozenset())


def former_groups(profiles: Iterable[Profile]) -> frozenset[GroupId]:
    """Groups that are in use when this version first runs."""
    return frozenset(group for profile in profiles for group in profile.groups)


def warnings_of(
    profiles: Iterable[Profile], setting: frozenset[GroupId] | None, former: FormerUse, now: datetime
) -> list[str]:
    """Warnings for an administrator: profiles that HR cannot carry out, and those that it soon cannot."""
    allowed = hr_groups(setting, former, now)
    lacking = sorted(each.name for each in profiles if not allowed.groups.issuperset(each.groups))
    found = []
    if setting is None and allowed.groups:
        until = f"{former.accepted_until:%Y-%m-%d}"
        found.append(f"{SETTING} is absent: groups of existing profiles are accepted until {until}, and then none")
    if lacking:
        found.append(f"profiles name groups that {SETTING} does not: {', '.join(lacking)}")
    return found
