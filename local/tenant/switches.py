"""The assumptions about live tenants, by number: each is a switch, its positions are settings of the simulated tenant.

The first position of a switch is the default, as `settings.py` has it; a test compares the two. `source` says where a
behavior was seen or is documented. A guess of our own is marked as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Position:
    """One behavior, and the settings that cause it, under the names of `PATCH /_tenant/settings`."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Switch:
    """One assumption. `shows_with`: settings without which the switch changes nothing."""

    number: int
    name: str
    question: str
    positions: tuple[Position, ...]
    source: str
    shows_with: Mapping[str, Any] = field(default_factory=dict)

    @property
    def default(self) -> Position:
        return self.positions[0]

    def at(self, name: str) -> Position:
        """The position with this name. Raises KeyError."""
        return {each.name: each for each in self.positions}[name]


def _named(setting: str, *values: str) -> tuple[Position, ...]:
    """Positions that are the values of one setting."""
    return tuple(Position(value, {setting: value}) for value in values)


def _flag(setting: str, on: str, off: str, *, default: bool) -> tuple[Position, ...]:
    """The two positions of a setting that is true or false, the default first."""
    found = (Position(on, {setting: True}), Position(off, {setting: False}))
    return found if default else found[::-1]


SWITCHES: tuple[Switch, ...] = (
    Switch(
        1,
        "concurrentWrites",
        "May several license writes of one tenant be in flight?",
        _named("concurrentWrites", "taken", "some", "one"),
        "KelvinTegelaar/CIPP and gromedev/Mgx send batches of 20; syn-con/n8n-nodes-microsoft-365-admin, changelog "
        "0.2.0, for the others: all but one fail",
    ),
    Switch(
        2,
        "concurrencyRejection",
        "Status and code of a rejection of concurrent writes",
        _named(
            "concurrencyRejection",
            "409 Directory_ConcurrencyViolation",
            "400 Directory_ConcurrencyViolation",
            "400 Request_BadRequest",
            "503 Directory_ConcurrencyViolation",
            "400 Request_ThrottledTemporarily",
        ),
        "nais/azurerator issue 448 (409), Azure/azure-cli issue 23081 (503), two clients of live tenants (400)",
        shows_with={"concurrentWrites": "some"},
    ),
    Switch(
        3,
        "partialApplication",
        "The effect of a rejected assignLicense with several changes",
        _named("partialApplication", "none", "additions"),
        "syn-con/n8n-nodes-microsoft-365-admin, changelog 0.2.0, for the second",
    ),
    Switch(
        4,
        "exclusionText",
        "Text of a rejection because two plans exclude each other",
        _named("exclusionText", "mutuallyExclusive", "conflictsWith", "withoutBlank", "conflictingPairs"),
        "learn.microsoft.com/entra/fundamentals/licensing-groups-resolve-problems; reports by users; timmcmic.blog "
        "2024-11-20",
    ),
    Switch(
        5,
        "removalOfInherited",
        "Removal of a license that is only inherited",
        _named("removalOfInherited", "rejected", "ignored"),
        "KelvinTegelaar/CIPP issue 4090 and an Okta article; syn-con/n8n-nodes-microsoft-365-admin for the second",
    ),
    Switch(
        6,
        "removalOfUnknownSku",
        "Removal of a product that the tenant does not have",
        _named("removalOfUnknownSku", "rejected", "taken"),
        "pnp/cli-microsoft365, user-license-remove.spec.ts; the second is a guess",
    ),
    Switch(
        7,
        "lockedOutUnits",
        "prepaidUnits.lockedOut",
        _named("lockedOutUnits", "there", "absent"),
        "learn.microsoft.com/graph/api/subscribedsku-list; absent in fixtures of cartography-cncf/cartography and "
        "pnp/cli-microsoft365",
    ),
    Switch(
        8,
        "organizationRead",
        "GET /organization without Organization.Read.All",
        _named("organizationRead", "open", "rejected", "sparse"),
        "permission metadata lists User.Read.All; learn.microsoft.com/graph/api/organization-list asks for "
        "Organization.Read.All or Directory.Read.All",
    ),
    Switch(
        9,
        "byIdsPermission",
        "Permission for getByIds",
        _named("byIdsPermission", "directory", "objects"),
        "learn.microsoft.com/graph/api/directoryobject-getbyids; for the second "
        "microsoftgraph/microsoft-graph-docs-contrib issue 8798",
    ),
    Switch(
        10,
        "permissionsFromToken",
        "When a granted permission counts",
        _flag("permissionsFromToken", "inNewTokens", "atOnce", default=True),
        "MicrosoftDocs/azure-docs issues 101801 and 85676, Azure/azure-sdk-for-net issue 27019: a managed identity's "
        "token is cached for about 24 hours",
    ),
    Switch(
        11,
        "deltaLatestMembers",
        "Whether links from $deltatoken=latest report members",
        _flag("deltaLatestMembers", "reported", "never", default=True),
        "never with $expand=members (Compass tracker 508); for $select nothing is published",
    ),
    Switch(
        12,
        "deltaLatestFilter",
        "$deltatoken=latest with a $filter by id",
        _flag("deltaLatestFilter", "taken", "rejected", default=True),
        "not published",
    ),
    Switch(
        13,
        "deltaExpired",
        "Answer to an expired delta link",
        _named(
            "deltaExpired",
            "400 Request_UnsupportedQuery",
            "410 syncStateNotFound",
            "410 resyncRequired",
            "404 UnknownError",
            "400 Request_BadRequest",
            "400 syncStateNotFound",
        ),
        "six programs for live tenants; microsoftgraph/microsoft-graph-docs issue 1000, microsoft-graph-docs-contrib "
        "issue 8166; learn.microsoft.com/graph/delta-query-overview",
    ),
    Switch(
        14,
        "deltaReplays",
        "How often delta reports one change",
        (
            Position("upToTen", {"deltaReplayShare": 0.1, "deltaReplayTimes": 10}),
            Position("once", {"deltaReplayShare": 0.0}),
            Position("allTen", {"deltaReplayShare": 1.0, "deltaReplayTimes": 10}),
        ),
        "gromedev/Mgx: 172,740 rows, 17,467 of them distinct",
    ),
    Switch(
        15,
        "deltaUnits",
        "x-ms-resource-unit on answers of delta",
        _flag("deltaUnits", "there", "absent", default=False),
        "gromedev/Mgx",
    ),
    Switch(
        16,
        "throttlePercentage",
        "x-ms-throttle-limit-percentage",
        _named("throttlePercentage", "never", "from0.8"),
        "gromedev/Mgx never saw it; learn.microsoft.com/graph/throttling-limits documents it from 0.8 of a limit",
    ),
    Switch(
        17,
        "retryAfter",
        "Form of Retry-After",
        _named("retryAfter", "seconds", "float", "date", "absent"),
        "Microsoft's Group Membership Management handles all; learn.microsoft.com/graph/throttling shows a decimal",
    ),
    Switch(
        18,
        "batchThrottling",
        "Which items of a batch are throttled",
        _named("batchThrottling", "some", "rest"),
        "Microsoft's Group Membership Management",
    ),
    Switch(
        19,
        "bindWrites",
        "Writes that a PATCH with 20 members@odata.bind costs",
        _named("bindWrites", "each", "one"),
        "gromedev/Mgx: about 21; learn.microsoft.com/graph/throttling-limits would have one",
    ),
    Switch(
        20,
        "parallelGroupCalls",
        "Calls of assignLicense for one group that overlap",
        _named("parallelGroupCalls", "lost", "serial"),
        "deploymenttheory/terraform-provider-microsoft365, license_assignment/crud.go",
    ),
    Switch(
        21,
        "groupUnknownSku",
        "assignLicense of a group with a product that the tenant does not have",
        _named("groupUnknownSku", "rejected", "ignored"),
        "manicminer/hamilton issue 288; the second is a guess",
    ),
    Switch(
        22,
        "reprocessAnswer",
        "reprocessLicenseAssignment of a user whose inherited license fails",
        _named("reprocessAnswer", "reason", "accepted"),
        "a write-up about failed group licenses; the second is a guess",
    ),
    Switch(
        23,
        "processingState",
        "Form of licenseProcessingState",
        _named("processingState", "object", "text", "failed"),
        "KelvinTegelaar/CIPP, Tests/Shapes/ListGroups.json; learn.microsoft.com/graph/api/resources/group",
    ),
    Switch(
        24,
        "licenseErrorFilter",
        "$filter by hasMembersWithLicenseErrors",
        _flag("licenseErrorFilter", "works", "rejected", default=False),
        "microsoftgraph/msgraph-sdk-powershell issue 2967",
    ),
    Switch(
        25,
        "memberStates",
        "licenseAssignmentStates selected on members",
        _named("memberStates", "there", "null", "absent", "rejected"),
        "not published",
    ),
    Switch(
        26,
        "readLag",
        "Age of what a read after a write shows",
        (
            Position("none", {"staleSeconds": 0.0, "staleShare": 1.0}),
            Position("seconds", {"staleSeconds": 5.0}),
            Position("minutes", {"staleSeconds": 180.0}),
            Position("byReplica", {"staleSeconds": 180.0, "staleShare": 0.5}),
        ),
        "several reports, no figure by Microsoft; without a lag by default, so that tests read what they wrote",
    ),
    Switch(
        27,
        "removedShape",
        "@removed in a notification",
        _named("removedShape", "both", "text", "reason"),
        "one captured notification for each shape",
    ),
    Switch(
        28,
        "exclusions",
        "Which plans exclude each other",
        _named("exclusions", "since2023", "page2022"),
        "Exchange team blog of January 2023; learn.microsoft.com/microsoftteams/user-access; reference page of 2022",
    ),
    Switch(
        29,
        "errorNames",
        "`error` of licenseAssignmentStates",
        (
            *_named("errorNames", "documented", "Others", "Unknown", "new"),
            Position("nullForNone", {"successErrorNull": True}),
        ),
        "learn.microsoft.com/graph/api/resources/licenseassignmentstate; microsoft-graph-docs-contrib issue 2510; "
        "reports by users",
    ),
    Switch(
        30,
        "idCase",
        "Upper or lower case of ids",
        _named("idCase", "lower", "mixed"),
        "deploymenttheory/terraform-provider-microsoft365 compares them without case",
    ),
    Switch(
        31,
        "usageLocations",
        "Which usage locations are accepted, and when they count",
        (
            Position("iso", {"isoLocationsOnly": True, "locationLagSeconds": 0.0}),
            Position("anyLetters", {"isoLocationsOnly": False}),
            Position("late", {"locationLagSeconds": 45.0}),
        ),
        "KelvinTegelaar/CIPP issues 783 and 889: UK is rejected, and a location counts after a while",
    ),
    Switch(
        32,
        "subscriptionRejection",
        "How a subscription is rejected over the quota, or without permission",
        _named("subscriptionRejection", "extensionError", "named"),
        "learn.microsoft.com/answers/questions/946301; the second is as documented",
    ),
    Switch(
        33,
        "subscriptionTooLong",
        "A subscription that lives longer than allowed",
        _named("subscriptionTooLong", "shortened", "rejected"),
        "learn.microsoft.com/graph/change-notifications-overview: shortened today, rejected in future",
    ),
    Switch(
        34,
        "groupIdShape",
        "A group id that is no GUID",
        _named("groupIdShape", "invalid", "notFound"),
        "400 in reports by users; the second is a guess",
    ),
    Switch(
        35,
        "laterDependsOn",
        "dependsOn with an item that comes later in the batch",
        _named("laterDependsOn", "rejected", "taken"),
        "microsoftgraph/msgraph-sdk-dotnet-core issue 891; the second is a guess",
    ),
    Switch(
        36,
        "otherSpellings",
        "Names in another case, and absolute URLs in a batch",
        _flag("otherSpellings", "taken", "rejected", default=True),
        "pnp/cli-microsoft365 and Microsoft's own batch classes send them; the second is a guess",
    ),
    Switch(
        50,
        "failedGroupProduct",
        "What becomes of products that a member has from a group if another of its products cannot be assigned?",
        _named("failedGroupProduct", "lost", "kept"),
        "learn.microsoft.com/entra/fundamentals/licensing-groups-resolve-problems says only that the others are not "
        "assigned either; both are guesses",
    ),
    Switch(
        51,
        "assignedPlansLag",
        "How soon assignedPlans shows the plans of a license",
        (
            Position("none", {"assignedPlansLagSeconds": 0.0}),
            Position("minutes", {"assignedPlansLagSeconds": 600.0}),
        ),
        "not published; learn.microsoft.com/graph/api/resources/assignedplan has no time",
    ),
)


def switch(number: int) -> Switch:
    """The switch with this number. Raises KeyError."""
    return {each.number: each for each in SWITCHES}[number]


def settings_at(positions: Mapping[int, str]) -> dict[str, Any]:
    """The settings with these switches at these positions, and all others at their defaults. A position that is no
    default shows, unless another switch is at a position that hides it."""
    found: dict[str, Any] = {}
    for each in SWITCHES:
        found |= each.default.settings
    for number, name in positions.items():
        if name != switch(number).default.name:
            found |= switch(number).shows_with
    for number, name in positions.items():
        found |= switch(number).at(name).settings
    return found


def flips() -> Iterator[dict[int, str]]:
    """Each position that is no default, alone."""
    for each in SWITCHES:
        for position in each.positions[1:]:
            yield {each.number: position.name}


def described(positions: Mapping[int, str]) -> str:
    """Short text, such as `1:some 7:absent`."""
    return " ".join(f"{number}:{name}" for number, name in sorted(positions.items()))
