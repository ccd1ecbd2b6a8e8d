"""What changes of a profile, for the audit log."""

from __future__ import annotations

import json

from shared.domain.profiles import Profile


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
