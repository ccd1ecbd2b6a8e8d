"""Positions of switches from the recording of a first-contact run, so that the tenant behaves like the recorded one.

A recording names the assumption by number and the observed position. Assumptions without a switch are left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SWITCHES: Mapping[int, tuple[str, Mapping[str, Any]]] = {
    1: ("concurrentWrites", {"accepted": "taken", "some": "some", "one": "one"}),
    2: (
        "concurrencyRejection",
        {
            "409 Directory_ConcurrencyViolation": "409 Directory_ConcurrencyViolation",
            "400 Directory_ConcurrencyViolation": "400 Directory_ConcurrencyViolation",
            "400 Request_BadRequest": "400 Request_BadRequest",
            "503 Directory_ConcurrencyViolation": "503 Directory_ConcurrencyViolation",
            "400 Request_ThrottledTemporarily": "400 Request_ThrottledTemporarily",
        },
    ),
    3: ("partialApplication", {"nothing": "none", "additions": "additions"}),
    4: (
        "exclusionText",
        {
            "mutuallyExclusive": "mutuallyExclusive",
            "conflictsWith": "conflictsWith",
            "withoutBlank": "withoutBlank",
            "conflictingPairs": "conflictingPairs",
        },
    ),
    6: ("removalOfUnknownSku", {"rejected": "rejected", "taken": "taken"}),
    7: ("lockedOutUnits", {"there": "there", "absent": "absent"}),
    8: ("organizationRead", {"full": "open", "denied": "rejected", "minimal": "sparse"}),
    9: ("byIdsPermission", {"denied": "directory", "works": "objects"}),
    11: ("deltaLatestMembers", {"reported": True, "never": False}),
    12: ("deltaLatestFilter", {"accepted": True, "rejected": False}),
    13: (
        "deltaExpired",
        {
            "410 syncStateNotFound": "410 syncStateNotFound",
            "410 resyncRequired": "410 resyncRequired",
            "400 syncStateNotFound": "400 syncStateNotFound",
            "400 Request_UnsupportedQuery": "400 Request_UnsupportedQuery",
            "400 Request_BadRequest": "400 Request_BadRequest",
            "404 UnknownError": "404 UnknownError",
        },
    ),
    14: ("deltaReplayShare", {"once": 0.0, "repeated": 1.0}),
    15: ("deltaUnits", {"absent": False, "there": True}),
    21: ("groupUnknownSku", {"rejected": "rejected", "accepted": "ignored"}),
    23: ("processingState", {"object": "object", "text": "text", "failed": "failed"}),
    24: ("licenseErrorFilter", {"rejected": False, "works": True}),
    25: ("memberStates", {"there": "there", "null": "null", "absent": "absent", "rejected": "rejected"}),
    29: ("errorNames", {"documented": "documented", "Others": "Others", "Unknown": "Unknown", "new": "new"}),
    30: ("idCase", {"lower": "lower", "mixed": "mixed"}),
    31: ("isoLocationsOnly", {"isoOnly": True, "any": False}),
    34: ("groupIdShape", {"invalidIdentifier": "invalid", "notFound": "notFound"}),
    35: ("laterDependsOn", {"rejected": "rejected", "accepted": "taken"}),
    36: ("otherSpellings", {"accepted": True, "rejected": False}),
    41: ("unknownDisabledPlan", {"rejected": "rejected", "ignored": "ignored"}),
    42: ("sameLicenseMovesTime", {"moves": True, "keeps": False}),
    43: ("successErrorNull", {"none": False, "null": True}),
    44: ("licenseCountFilter", {"works": True, "rejected": False}),
    45: ("licensedFilter", {"works": True, "rejected": False}),
    46: ("assignedLicenseFilter", {"works": True, "rejected": False}),
    47: ("directorySearch", {"works": True, "rejected": False}),
    48: ("roleEligibility", {"works": True, "noLicense": False}),
    49: ("rolePrivilegeShown", {"absent": False, "there": True}),
}
"""By number of the assumption: the switch, and its value at each position (docs/reference/first-contact.md)."""


def settings_of(positions: Mapping[str, str]) -> dict[str, Any]:
    """The settings at these positions, by their JSON names. Raises ValueError for a position that no switch has."""
    found: dict[str, Any] = {}
    for number, position in positions.items():
        if int(number) not in SWITCHES:
            continue
        name, values = SWITCHES[int(number)]
        if position not in values:
            raise ValueError(f"assumption {number}: the switch {name} has no position {position!r}")
        found[name] = values[position]
    return found


def read_profile(file: Path) -> dict[str, Any]:
    """The settings of a recording. Raises ValueError for a file that is none."""
    recorded = json.loads(file.read_text(encoding="utf-8"))
    if (
        not isinstance(recorded, dict)
        or recorded.get("version") != 1
        or not isinstance(recorded.get("positions"), dict)
    ):
        raise ValueError(f"{file} is no recording of a first-contact run of version 1")
    return settings_of(recorded["positions"])
