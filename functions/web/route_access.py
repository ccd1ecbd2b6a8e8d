"""The table of routes with the access that each one asks of its caller (docs/roles.md shows which roles suffice)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from re import Pattern

from starlette.routing import compile_path

from shared.domain.access import Access

ACCESS: Mapping[tuple[str, str], Access] = {
    ("GET", "/api/openapi.json"): Access.ANY,
    ("GET", "/api/operations"): Access.READ,
    ("GET", "/api/operations/{operation_id}"): Access.READ,
    ("GET", "/api/operations/{operation_id}/members"): Access.READ,
    ("GET", "/api/operations/{operation_id}/predictedErrors"): Access.READ,
    ("POST", "/api/operations/{operation_id}/review"): Access.WRITE,
    ("POST", "/api/operations/{operation_id}/approve"): Access.APPROVE,
    ("POST", "/api/operations/{operation_id}/reject"): Access.APPROVE,
    ("POST", "/api/operations/{operation_id}/pause"): Access.WRITE,
    ("POST", "/api/operations/{operation_id}/resume"): Access.WRITE,
    ("POST", "/api/operations/{operation_id}/cancel"): Access.WRITE,
    ("GET", "/api/approvals"): Access.READ,
    ("POST", "/api/groups/{group_id}/assignLicense"): Access.WRITE_GROUPS,
    ("POST", "/api/groups/{group_id}/reprocessLicenseAssignment"): Access.WRITE_GROUPS,
    ("POST", "/api/groups/{group_id}/adoptLicenses"): Access.WRITE_GROUPS,
    ("POST", "/api/groups/{group_id}/enableServicePlans"): Access.WRITE_GROUPS,
    ("GET", "/api/groups/{group_id}/licenseAssignment"): Access.READ,
    ("PATCH", "/api/groups/{group_id}/licenseAssignment"): Access.CONFIGURE,
    ("GET", "/api/groups/{group_id}/status"): Access.READ,
    ("GET", "/api/groups/{group_id}/members"): Access.READ,
    ("GET", "/api/groups/{group_id}/membersWithLicenseErrors"): Access.READ,
    ("POST", "/api/groups/{group_id}/members/search"): Access.READ,
    ("POST", "/api/groups/{group_id}/membersWithLicenseErrors/search"): Access.READ,
    ("POST", "/api/users/assignLicense"): Access.WRITE,
    ("POST", "/api/users/{user_id}/reprocessLicenseAssignment"): Access.WRITE,
    ("POST", "/api/users/{user_id}/adoptLicenses"): Access.WRITE,
    ("POST", "/api/users/{user_id}/enableServicePlans"): Access.WRITE,
    ("POST", "/api/users/{user_id}/keepLicenses"): Access.WRITE,
    ("POST", "/api/users/{user_id}/removeLicensesNow"): Access.APPROVE,
    ("GET", "/api/users/{user_id}/licenses"): Access.READ_USERS,
    ("GET", "/api/users/{user_id}/export"): Access.CONFIGURE,
    ("POST", "/api/users/{user_id}/erase"): Access.CONFIGURE,
    ("GET", "/api/subscribedSkus"): Access.READ,
    ("GET", "/api/changeFeed"): Access.READ,
    ("GET", "/api/licenses"): Access.READ,
    ("GET", "/api/groups"): Access.READ,
    ("POST", "/api/groups/search"): Access.READ,
    ("POST", "/api/users/search"): Access.READ_USERS,
    ("GET", "/api/users/{user_id}"): Access.READ_USERS,
    ("GET", "/api/audit"): Access.READ,
    ("POST", "/api/audit/search"): Access.READ,
    ("GET", "/api/audit/verify"): Access.READ,
    ("GET", "/api/audit/{entry_id}/message"): Access.WRITE,
    ("GET", "/api/overview"): Access.READ,
    ("GET", "/api/writing"): Access.READ,
    ("POST", "/api/writing/turnOn"): Access.CONFIGURE,
    ("POST", "/api/writing/turnOff"): Access.CONFIGURE,
    ("GET", "/api/deadLetters"): Access.READ_LETTERS,
    ("POST", "/api/deadLetters/search"): Access.READ_LETTERS,
    ("GET", "/api/deadLetters/bulk"): Access.READ_LETTERS,
    ("POST", "/api/deadLetters/bulk"): Access.WRITE,
    ("GET", "/api/deadLetters/bulk/{bulk_id}"): Access.READ_LETTERS,
    ("DELETE", "/api/deadLetters/{letter_id}"): Access.WRITE,
    ("POST", "/api/deadLetters/{letter_id}/replay"): Access.WRITE,
    ("POST", "/api/onboarding"): Access.WRITE_HR,
    ("GET", "/api/onboarding/schema"): Access.ANY,
    ("GET", "/api/onboarding/{event_key}"): Access.READ_HR_EVENT,
    ("POST", "/api/onboarding/{event_key}/cancel"): Access.END_HR_EVENT,
    ("POST", "/api/onboarding/{event_key}/replay"): Access.END_HR_EVENT,
    ("POST", "/api/onboarding/{event_key}/decide"): Access.APPROVE,
    ("GET", "/api/onboarding"): Access.READ_HR,
    ("POST", "/api/onboarding/dryRun"): Access.READ_HR,
    ("GET", "/api/onboarding/held"): Access.READ_HR,
    ("POST", "/api/onboarding/held/approve"): Access.APPROVE,
    ("POST", "/api/onboarding/held/reject"): Access.APPROVE,
    ("GET", "/api/onboarding/announced"): Access.READ_HR,
    ("POST", "/api/onboarding/announced/approve"): Access.APPROVE,
    ("GET", "/api/onboarding/profiles"): Access.READ,
    ("GET", "/api/onboarding/profiles/{profile_name}"): Access.READ,
    ("PUT", "/api/onboarding/profiles/{profile_name}"): Access.CONFIGURE,
    ("DELETE", "/api/onboarding/profiles/{profile_name}"): Access.CONFIGURE,
    ("GET", "/api/onboarding/proposals"): Access.READ,
    ("POST", "/api/onboarding/proposals/{profile_name}/approve"): Access.APPROVE,
    ("POST", "/api/onboarding/proposals/{profile_name}/reject"): Access.APPROVE,
    ("GET", "/"): Access.ANY,
    ("GET", "/static/{name}"): Access.ANY,
    ("GET", "/firstDay"): Access.READ,
    ("POST", "/firstDay/turnOn"): Access.CONFIGURE,
    ("POST", "/firstDay/turnOff"): Access.CONFIGURE,
    ("GET", "/licenses"): Access.READ,
    ("GET", "/licenses/{sku_id}"): Access.READ,
    ("GET", "/groups"): Access.READ,
    ("POST", "/groups"): Access.READ,
    ("GET", "/groups/{group_id}"): Access.READ,
    ("POST", "/groups/{group_id}"): Access.READ,
    ("GET", "/groups/{group_id}/live"): Access.READ,
    ("GET", "/groups/{group_id}/members.csv"): Access.READ,
    ("POST", "/groups/{group_id}/members.csv"): Access.READ,
    ("GET", "/groups/{group_id}/assign"): Access.READ,
    ("POST", "/groups/{group_id}/assign"): Access.WRITE_GROUPS,
    ("POST", "/groups/{group_id}/assign/check"): Access.READ,
    ("POST", "/groups/{group_id}/reprocess"): Access.WRITE_GROUPS,
    ("POST", "/groups/{group_id}/options"): Access.CONFIGURE,
    ("POST", "/groups/{group_id}/adopt"): Access.WRITE_GROUPS,
    ("POST", "/groups/{group_id}/enable"): Access.WRITE_GROUPS,
    ("GET", "/operations"): Access.READ,
    ("GET", "/operations/{operation_id}"): Access.READ,
    ("GET", "/operations/{operation_id}/held.csv"): Access.READ,
    ("GET", "/operations/{operation_id}/progress"): Access.READ,
    ("GET", "/operations/{operation_id}/errors"): Access.READ,
    ("GET", "/operations/{operation_id}/errors.csv"): Access.READ,
    ("POST", "/operations/{operation_id}/confirm"): Access.WRITE_GROUPS,
    ("POST", "/operations/{operation_id}/review"): Access.WRITE,
    ("POST", "/operations/{operation_id}/approve"): Access.APPROVE,
    ("POST", "/operations/{operation_id}/reject"): Access.APPROVE,
    ("POST", "/operations/{operation_id}/pause"): Access.WRITE,
    ("POST", "/operations/{operation_id}/resume"): Access.WRITE,
    ("POST", "/operations/{operation_id}/cancel"): Access.WRITE,
    ("GET", "/approvals"): Access.READ,
    ("GET", "/users"): Access.READ_USERS,
    ("POST", "/users"): Access.READ_USERS,
    ("GET", "/users/{user_id}"): Access.READ_USERS,
    ("POST", "/users/{user_id}/reprocess"): Access.WRITE,
    ("POST", "/users/{user_id}/keep"): Access.WRITE,
    ("POST", "/users/{user_id}/remove"): Access.APPROVE,
    ("POST", "/users/{user_id}/adopt"): Access.WRITE,
    ("POST", "/users/{user_id}/enable"): Access.WRITE,
    ("GET", "/onboarding"): Access.READ_HR,
    ("GET", "/onboarding/announced"): Access.READ_HR,
    ("POST", "/onboarding/announced/approve"): Access.APPROVE,
    ("GET", "/onboarding/profiles"): Access.READ,
    ("POST", "/onboarding/profiles/{profile_name}/approve"): Access.APPROVE,
    ("POST", "/onboarding/profiles/{profile_name}/reject"): Access.APPROVE,
    ("GET", "/onboarding/{event_key}"): Access.READ_HR,
    ("POST", "/onboarding/held/approve"): Access.APPROVE,
    ("POST", "/onboarding/held/reject"): Access.APPROVE,
    ("POST", "/onboarding/{event_key}/cancel"): Access.END_HR_EVENT,
    ("POST", "/onboarding/{event_key}/replay"): Access.END_HR_EVENT,
    ("POST", "/onboarding/{event_key}/carryOut"): Access.APPROVE,
    ("POST", "/onboarding/{event_key}/dismiss"): Access.APPROVE,
    ("GET", "/audit"): Access.READ,
    ("POST", "/audit"): Access.READ,
    ("GET", "/audit.csv"): Access.READ,
    ("POST", "/audit.csv"): Access.READ,
    ("GET", "/audit.jsonl"): Access.READ,
    ("POST", "/audit.jsonl"): Access.READ,
    ("GET", "/health"): Access.READ,
    ("GET", "/health/queues"): Access.READ,
    ("GET", "/deadLetters"): Access.READ_LETTERS,
    ("POST", "/deadLetters"): Access.READ_LETTERS,
    ("POST", "/deadLetters/bulk"): Access.WRITE,
    ("POST", "/deadLetters/{letter_id}/replay"): Access.WRITE,
    ("POST", "/deadLetters/{letter_id}/delete"): Access.WRITE,
}
"""What each route asks of its caller; a last part that names an act is written out. A route that is not in here answers
nobody. docs/roles.md shows which roles suffice."""

HR_EVENTS = ("POST", "/api/onboarding")

ACTS = ("act", "foreign")
"""Parameters of paths that name an act: acts of one route can ask for different accesses."""


@cache
def _patterns() -> tuple[tuple[str, str, Pattern[str]], ...]:
    rows = sorted(ACCESS, key=lambda row: row[1].count("{"))  # a literal path comes before one with a parameter
    return tuple((method, path, compile_path(path)[0]) for method, path in rows)


def route_named(method: str, path: str) -> str:
    """The row of ACCESS that a request would find, for the log: what else a path says is not logged."""
    for verb, template, pattern in _patterns():
        if verb == method and pattern.match(path):
            return f"{verb} {template}"
    return "no route"
