"""Changes of profiles: which need the approval of another person, and what the audit log says of each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from shared.domain.approval_rules import EXPIRES_AFTER
from shared.domain.initiator import Initiator
from shared.domain.profiles import Profile


@dataclass(frozen=True, slots=True)
class Proposal:
    """A version of a profile that is not in force until another person approves it. `base`: the version of the profile
    that it replaces, None if there is none. `version`: the ETag of the row, None if it is not stored."""

    profile: Profile
    by: Initiator
    at: datetime
    base: str | None = None
    version: str | None = None

    @property
    def expires_at(self) -> datetime:
        return self.at + EXPIRES_AFTER


def reasons_to_approve(before: Profile | None, after: Profile) -> tuple[str, ...]:
    """Why another person must approve a change: more people could get something, or people could get more groups.

    A match is narrower only if it keeps every condition of the old one with the same values or fewer.
    """
    old = before or Profile(after.name)
    reasons = []
    if added := sorted(set(after.groups) - set(old.groups)):
        reasons.append(f"it adds groups: {', '.join(added)}")
    if after.selectable and not old.selectable:
        reasons.append("it becomes selectable: events can name it for anyone")
    if after.match and (not old.match or any(not _narrower(old, after, name) for name in old.match)):
        reasons.append("it matches people whom it did not match before")
    return tuple(reasons)


def _narrower(old: Profile, new: Profile, name: str) -> bool:
    return name in new.match and set(new.match[name]) <= set(old.match[name])


def changes(before: Profile | None, after: Profile) -> list[tuple[str, str, str]]:
    """Field, old value and new value, as compact JSON, of what differs."""
    old = json.loads(profile_text(before)) if before else {}
    new = json.loads(profile_text(after))
    shown = [(name, json.dumps(old.get(name)), json.dumps(value)) for name, value in new.items()]
    return [each for each in shown if each[1] != each[2]]


def profile_text(profile: Profile | None) -> str:
    """Compact JSON of what a profile says; empty for none."""
    if profile is None:
        return ""
    shown = {
        "displayName": profile.display_name,
        "match": {name: list(values) for name, values in sorted(profile.match.items())},
        "groups": sorted(profile.groups),
        "licenses": {str(each.sku_id): sorted(each.disabled_plans) for each in profile.licenses},
        "usageLocation": profile.usage_location,
        "priority": profile.priority,
        "exclusive": profile.exclusive,
        "selectable": profile.selectable,
    }
    return json.dumps(shown, separators=(",", ":"))
