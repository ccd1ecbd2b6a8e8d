"""Changes of profiles: which need the approval of another person, and what the audit log says of each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.domain.initiator import Initiator
from shared.domain.profiles import Profile


@dataclass(frozen=True, slots=True)
class Proposal:
    """A version of a profile that is not in force until another person approves it. `base`: the version of the profile
    that it replaces, None if there is none. `version`: the ETag of the row, None if it is not stored. `deletes`: an
    approval deletes the profile that is in force."""

    profile: Profile
    by: Initiator
    at: datetime
    base: str | None = None
    version: str | None = None
    deletes: bool = False

    @property
    def after(self) -> Profile | None:
        """The profile once the proposal is approved; None if that deletes it."""
        return None if self.deletes else self.profile


def reasons_to_approve(before: Profile | None, after: Profile | None) -> tuple[str, ...]:
    """Why another person must approve a change: it alters what people get. A change of text or order does not.

    None stands for no profile, which gives nothing. A match is narrower only if it keeps every condition of the old one
    with the same values or fewer.
    """
    old, new = before or Profile(""), after or Profile("")
    if after is None:
        return ("it is deleted: people no longer get what it gives",) if reasons_to_approve(None, old) else ()
    added, removed = (sorted(set(a.groups) - set(b.groups)) for a, b in ((new, old), (old, new)))
    reasons = (
        (added, f"it adds groups: {', '.join(added)}"),
        (removed, f"it removes groups: {', '.join(removed)}"),
        (new.selectable and not old.selectable, "it becomes selectable: events can name it for anyone"),
        (old.selectable and not new.selectable, "it is no longer selectable: events cannot name it"),
        (_sets(old.match) != _sets(new.match), _match_words(old, new)),
        (set(old.licenses) != set(new.licenses), "it changes licenses"),
        (old.usage_location != new.usage_location, "it changes the usage location"),
        (old.priority != new.priority, "it changes the priority among profiles"),
        (old.exclusive != new.exclusive, "it changes exclusive: whether profiles below it count"),
    )
    return tuple(text for is_so, text in reasons if is_so)


def _match_words(old: Profile, new: Profile) -> str:
    is_wider = new.match and (not old.match or any(not _narrower(old, new, name) for name in old.match))
    what = "matches people whom it did not match before" if is_wider else "no longer matches people whom it matched"
    return f"it {what}"


def _sets(match: Mapping[str, tuple[str, ...]]) -> dict[str, frozenset[str]]:
    return {name: frozenset(values) for name, values in match.items()}


def _narrower(old: Profile, new: Profile, name: str) -> bool:
    return name in new.match and set(new.match[name]) <= set(old.match[name])


def changes(before: Profile | None, after: Profile | None) -> list[tuple[str, str, str]]:
    """Field, old value and new value of each difference, as compact JSON."""
    old, new = (json.loads(profile_text(each) or "{}") for each in (before, after))
    shown = [(name, json.dumps(old.get(name)), json.dumps(new.get(name))) for name in new or old]
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
