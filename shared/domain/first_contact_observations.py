"""Make an observation from an answer: an allow-list decides what is kept, so nothing of the tenant remains in it.

A value passes only if this module names it: a status, an error code, known words, known headers, and known properties
with their JSON types. Traits come from the functions below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.domain.first_contact import Answer, Observation
from shared.domain.first_contact_words import known_code, known_text

Json = Mapping[str, Any]

PROPERTIES = frozenset({
    "id", "displayName", "value", "error", "code", "message", "accountId", "accountName", "appliesTo",
    "capabilityStatus", "consumedUnits", "prepaidUnits", "enabled", "suspended", "warning", "lockedOut",
    "servicePlans", "servicePlanId", "servicePlanName", "provisioningStatus", "skuId", "skuPartNumber",
    "subscriptionIds", "country", "countryLetterCode", "verifiedDomains", "tenantType", "licenseAssignmentStates",
    "assignedByGroup", "disabledPlans", "state", "lastUpdatedDateTime", "assignedLicenses",
    "licenseProcessingState", "usageLocation", "userPrincipalName", "isPrivileged", "isBuiltIn",
    "securityEnabled", "responses", "status", "headers", "body", "members@delta", "@removed", "reason",
    "@odata.type", "@odata.nextLink", "@odata.deltaLink", "@odata.count", "@odata.context",
})  # fmt: skip
"""Graph's own property names (learn.microsoft.com/graph/api/resources). Names of extensions can name a tenant."""

DEPTH = 4

USER = "#microsoft.graph.user"

RETRY_AFTER, PERCENTAGE, UNITS = "retry-after", "x-ms-throttle-limit-percentage", "x-ms-resource-unit"

DOCUMENTED_ERRORS = frozenset(
    {
        "CountViolation",
        "MutuallyExclusiveViolation",
        "DependencyViolation",
        "ProhibitedInUsageLocationViolation",
        "UniquenessViolation",
    }
)
"""learn.microsoft.com/graph/api/resources/licenseassignmentstate, without `Other`, which has the doubtful names."""

_DECIMAL, _WHOLE = re.compile(r"\d+\.\d+"), re.compile(r"\d+")


def observe(answer: Answer, traits: Mapping[str, str] | None = None) -> Observation:
    """The recordable part of an answer, with the traits that a probe computed."""
    code, message = error_of(answer.body)
    return Observation(
        answer.status,
        known_code(code),
        known_text(message),
        dict(_headers(answer.headers)),
        shape(answer.body),
        dict(traits or {}),
        round(answer.seconds, 1),
    )


def error_of(body: object) -> tuple[str, str]:
    """Code and message of an error body (learn.microsoft.com/graph/errors)."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping):
        return "", ""
    return str(error.get("code") or ""), str(error.get("message") or "")


def shape(body: object) -> dict[str, str]:
    """Known properties as paths, with the JSON type: `value[].id` -> `text`. An array is seen by its first items."""
    found: dict[str, str] = {}
    for path, kind in _paths(body, "", DEPTH):
        known = found.get(path)
        found[path] = kind if known in (None, kind) else "|".join(sorted({*str(known).split("|"), kind}))
    return found


def _paths(value: object, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if path:
        yield path, _kind(value)
    if depth == 0:
        return
    if isinstance(value, Mapping):
        for name in sorted(PROPERTIES & value.keys()):
            yield from _paths(value[name], f"{path}.{name}" if path else name, depth - 1)
    elif isinstance(value, list):
        for each in value[:20]:
            if isinstance(each, Mapping):
                for name in sorted(PROPERTIES & each.keys()):
                    yield from _paths(each[name], f"{path}[].{name}", depth - 1)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (int, "number"), (float, "number"), (str, "text"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "object"


def _headers(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        lowered = name.lower()
        if lowered == RETRY_AFTER:
            yield lowered, retry_after_form(value)
        elif lowered in (PERCENTAGE, UNITS):
            yield lowered, "number"


def retry_after_form(value: str) -> str:
    """`seconds`, `decimal`, or `date` (RFC 9110, section 10.2.3)."""
    if _WHOLE.fullmatch(value):
        return "seconds"
    return "decimal" if _DECIMAL.fullmatch(value) else "date"


def rows(body: object) -> list[Json]:
    """The objects of a collection; empty for anything else."""
    found = body.get("value") if isinstance(body, Mapping) else None
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []


def available(product: Json) -> int:
    """Licenses of a product that can be assigned to users."""
    units = product.get("prepaidUnits")
    if product.get("appliesTo") != "User" or not isinstance(units, Mapping):
        return 0
    return int(units.get("enabled") or 0) + int(units.get("warning") or 0) - int(product.get("consumedUnits") or 0)


def states(found: Iterator[Json] | list[Json]) -> list[Json]:
    """The rows of licenseAssignmentStates of users."""
    return [row for user in found for row in user.get("licenseAssignmentStates") or () if isinstance(row, Mapping)]


def organization_traits(body: object) -> dict[str, str]:
    shown = any(each.get("countryLetterCode") for each in rows(body))
    return {"country": "there" if shown else "absent"}


def product_traits(body: object) -> dict[str, str]:
    """Whether unit counts are complete, and the case of IDs."""
    found = rows(body)
    if not found:
        return {}
    units = [each.get("prepaidUnits") for each in found]
    locked = all(isinstance(each, Mapping) and "lockedOut" in each for each in units)
    ids = [str(each.get("skuId")) for each in found]
    return {
        "lockedOut": "there" if locked else "absent",
        "ids": "lower" if all(each == each.lower() for each in ids) else "mixed",
    }


def error_traits(body: object) -> dict[str, str]:
    """The error of licenses without one, and the name used for `Other`."""
    found = states(rows(body))
    errors = {row.get("error") for row in found}
    traits: dict[str, str] = {}
    good = [row.get("error") for row in found if row.get("state") == "Active"]
    if None in good or "None" in good:
        traits["good"] = "null" if None in good else "none"
    odd = {str(each) for each in errors if each not in (None, "None") and each not in DOCUMENTED_ERRORS}
    if odd:
        named = odd & {"Other", "Others", "Unknown"}
        traits["other"] = min(odd) if odd == named else "new"
    return traits


def member_state_traits(body: object) -> dict[str, str]:
    """Whether members that are users show their licenses."""
    found = [each for each in rows(body) if each.get("@odata.type") in (None, USER)]
    if not found:
        return {}
    if any("licenseAssignmentStates" not in each for each in found):
        return {"states": "absent"}
    return {"states": "null" if all(each["licenseAssignmentStates"] is None for each in found) else "there"}


def processing_traits(body: object) -> dict[str, str]:
    """The form of licenseProcessingState of groups with licenses."""
    found = [each.get("licenseProcessingState") for each in rows(body) if each.get("assignedLicenses")]
    if not found:
        return {}
    objects = [each for each in found if isinstance(each, Mapping) and "state" in each]
    if len(objects) == len(found):
        failed = any(each["state"] == "ProcessingFailed" for each in objects)
        return {"processing": "failed" if failed else "object"}
    return {"processing": "text" if all(isinstance(each, str) for each in found) else "other"}


def delta_traits(body: object) -> dict[str, str]:
    """Whether an enumeration lists a member more than once."""
    members = [
        (group.get("id"), member.get("id"))
        for group in rows(body)
        for member in group.get("members@delta") or ()
        if isinstance(member, Mapping)
    ]
    return {"members": "repeated" if len(set(members)) < len(members) else "once"} if members else {}


def role_traits(body: object) -> dict[str, str]:
    found = rows(body)
    if not found:
        return {}
    return {"isPrivileged": "there" if all(each.get("isPrivileged") is not None for each in found) else "absent"}
