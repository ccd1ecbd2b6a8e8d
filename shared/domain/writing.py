"""Whether the app writes to Microsoft Graph: a setting, and the switch that an administrator has set.

The setting can only force writing off. Else the switch decides; without a switch, the setting says how to begin.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

RETRY_S = 600.0
"""Work that finds writing turned off comes back after this time. It costs a few messages an hour for each piece of work
that waits, and delays it little after writing is turned on."""

WHY = "Writing to Microsoft Graph is turned off."

READ_ONLY = (
    "The app has read permissions only: it watches groups and shows previews, and it writes nothing to Graph. "
    "To let it write, run infra/scripts/grant-graph-permissions.sh without --read-only."
)

WRITE_ROLES = frozenset({"LicenseAssignment.ReadWrite.All", "User.ReadWrite.All", "Directory.ReadWrite.All"})
"""Permissions of which one lets the app assign licenses (learn.microsoft.com/graph/api/user-assignlicense)."""


class WritingSetting(StrEnum):
    """The setting WRITING. A deployment without it writes, as before there was one."""

    ON = "on"
    INITIALLY_OFF = "initially-off"
    """Off until an administrator turns it on."""
    OFF = "off"
    """Off, whatever an administrator has set."""


@dataclass(frozen=True, slots=True)
class Switch:
    """The stored switch. `is_on`: what an administrator has set; None: nothing yet. `at`: when writing was last turned
    on or off, seconds since the epoch. `was_forced`: the setting was seen to force it off, so it must be turned on
    again with fresh reads when the setting is gone."""

    is_on: bool | None = None
    at: float = 0.0
    was_forced: bool = False


NO_SWITCH = Switch()


@dataclass(frozen=True, slots=True)
class Writing:
    """Whether the app writes now. `since`: when it was last turned on or off; None: never. `is_forced_off`: the setting
    forbids it."""

    is_on: bool = True
    since: datetime | None = None
    is_forced_off: bool = False
    is_read_only: bool = False
    """The app's token has no permission to write."""


def permitted(writing: Writing, roles: frozenset[str] | None) -> Writing:
    """Without a permission to write the app does not. `roles`: of its token; None while no token is known."""
    if roles is None or roles & WRITE_ROLES:
        return writing
    return replace(writing, is_on=False, is_read_only=True)


def writing_of(switch: Switch, setting: WritingSetting) -> Writing:
    """What setting and switch come to."""
    since = datetime.fromtimestamp(switch.at, UTC) if switch.at else None
    if setting is WritingSetting.OFF or switch.was_forced:
        return Writing(is_on=False, since=since, is_forced_off=setting is WritingSetting.OFF)
    return Writing(setting is WritingSetting.ON if switch.is_on is None else switch.is_on, since)


def followed(switch: Switch, setting: WritingSetting, now: float) -> Switch:
    """The switch after the setting was read: whether the setting forces writing off is noted."""
    forced = setting is WritingSetting.OFF
    return switch if forced is switch.was_forced else replace(switch, was_forced=forced, at=now)
