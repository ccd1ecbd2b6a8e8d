"""Every setting of the simulated tenant, with its unit and why its default is what it is.

`switches.py` numbers those that are assumptions about live tenants, and names their sources.
JSON names (PATCH /_tenant/settings) are the fields in lower camel case.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Settings:
    """Behaviour of one tenant; changeable while it runs."""

    record: bool = False
    """Whether every answer is kept for `GET /_tenant/recording`, at most the newest 50,000."""
    latency_ms: tuple[float, float] = (0.0, 0.0)
    """Least and largest time one request takes, milliseconds; items of a $batch wait side by side."""
    stale_seconds: float = 0.0
    """Age of what reads see; writes are always judged by the present state."""
    stale_share: float = 1.0
    """Share of the reads that see it, as where only some replicas lag. The others see the present."""
    quota_kind: str = "bucket"
    """`bucket` (drains evenly) or `window` (sliding); Microsoft documents a token bucket."""
    quota_scale: float = 1.0
    """Factor on every limit, not on the length of a window."""
    tenant_size: str = "auto"
    """`S`, `M`, `L`, or `auto`: by number of users (below 50, to 500, above)."""
    rejected_count: bool = True
    """Whether rejected requests fill the quota too (learn.microsoft.com/graph/throttling says so)."""
    retry_after: str = "seconds"
    """`Retry-After` as whole `seconds`, as a `float`, as an HTTP `date`, or `absent`."""
    throttle_percentage: str = "never"
    """`x-ms-throttle-limit-percentage`: `never` sent, or `from0.8` of a limit, as documented."""
    delta_units: bool = False
    """Whether answers of delta queries have `x-ms-resource-unit`."""
    batch_throttling: str = "some"
    """Of a batch that meets a limit, `some` items are throttled, or the `rest` of them from the first on."""
    bind_writes: str = "each"
    """What `members@odata.bind` costs: a write for `each` member and one for the group, or `one` in all."""
    low_priority_share: float = 0.95
    """Share of a limit above which `x-ms-throttle-priority: Low` is rejected; the share itself is our own number."""
    location_lag_seconds: float = 0.0
    """For so long after a PATCH of usageLocation, assignLicense still rejects the location (replication)."""
    state_moves_time: bool = True
    """Whether `lastUpdatedDateTime` moves when Microsoft sets another state, as "when the state of the license
    assignment was last updated" (licenseassignmentstate) suggests."""
    same_license_moves_time: bool = True
    """Whether `lastUpdatedDateTime` moves when a license is assigned as it is already; not documented."""
    iso_locations_only: bool = True
    """Whether a PATCH of usageLocation rejects UK and EL, which are not ISO 3166-1 (UK: KelvinTegelaar/CIPP issues 783
    and 889)."""
    concurrency_conflict: bool = True
    """409 when two writes for one user are in flight together (reported, not contractual)."""
    concurrent_writes: str = "taken"
    """License writes beside others of the tenant: `taken`; `some` rejected; or `one` at a time, and none for a while
    after it (`busySeconds`)."""
    busy_seconds: tuple[float, float] = (0.5, 30.0)
    """Least and longest time for which a tenant that takes `one` write at a time is busy after it."""
    concurrency_rejection: str = "409 Directory_ConcurrencyViolation"
    """Status and code of a rejection of concurrent writes. With Request_BadRequest, only the text says so."""
    tables: str = "asPublished"
    """`asPublished`, or `bySeed`: pairs that exclude each other, dependencies, plans and products differ by the seed
    of the generated tenant (directory/variation.py). `PATCH tables` of the control API changes them one by one."""
    exclusions: str = "since2023"
    """`since2023`: Exchange plans of suites, Kiosk, Plan 1 and Plan 2 go together, and suites without Teams go with
    Microsoft Teams EEA and Enterprise. `page2022`: as the reference page had it then. Sources: data/exclusions.json."""
    exclusion_text: str = "mutuallyExclusive"
    """How a rejection names two plans that exclude each other. `mutuallyExclusive`: "service plans {a}, {b} are
    mutually exclusive" (learn.microsoft.com/entra/fundamentals/licensing-groups-resolve-problems). Reported by users:
    `withoutBlank` (the plans separated by "," alone), `conflictsWith` ("service plan {a} conflicts with service plan
    {b}") and `conflictingPairs` (the audit log's text, timmcmic.blog 2024-11-20)."""
    partial_application: str = "none"
    """Changes that a rejected assignLicense makes all the same: `none`, or `additions`, each that is possible alone.
    One user reports the second, of additions only; so removals are never made."""
    removal_of_inherited: str = "rejected"
    """Removing a license that is only inherited: `rejected` with 400 (an Okta article, KelvinTegelaar/CIPP issue 4090),
    or `ignored` with 200 (reported by users)."""
    removal_of_unknown_sku: str = "rejected"
    """Removing a product that the tenant does not have: `rejected` as no valid company license (pnp/cli-microsoft365,
    user-license-remove.spec.ts), or `taken`."""
    locked_out_units: str = "there"
    """`prepaidUnits.lockedOut`: `there`, or `absent`."""
    organization_read: str = "open"
    """`/organization` without Organization.Read.All or Directory.Read.All: `open`, `rejected` with 403, or `sparse`,
    which shows id, displayName and verifiedDomains alone."""
    by_ids_permission: str = "directory"
    """getByIds needs Directory.Read.All (`directory`), or a permission for users or groups (`objects`)."""
    other_spellings: bool = True
    """Whether names of paths in another case and absolute URLs in a batch are accepted."""
    later_depends_on: str = "rejected"
    """`dependsOn` with an item that comes later: `rejected` with 400, or `taken`."""
    group_id_shape: str = "invalid"
    """A group id that is no GUID: `invalid` (400), or `notFound` (404)."""
    group_unknown_sku: str = "rejected"
    """assignLicense of a group with a product that the tenant does not have: `rejected` at once with 400, or `ignored`
    with 202."""
    unknown_disabled_plan: str = "rejected"
    """`disabledPlans` with a plan that is not in the product, as after its retirement: `rejected` with 400
    (MicrosoftDocs/azure-docs issue 81269), or `ignored`."""
    error_names: str = "documented"
    """Errors of licenseAssignmentStates: the six `documented` names; or for `Other` the name `Others`
    (microsoftgraph/microsoft-graph-docs-contrib issue 2510) or `Unknown`; or `new`, a name that is in no list."""
    id_case: str = "lower"
    """`mixed`: ids of products, plans and groups are in upper case in subscribedSkus and licenseAssignmentStates, in
    lower case elsewhere (deploymenttheory/terraform-provider-microsoft365 compares them without case)."""
    optional_dependencies: bool = False
    """Also apply the plausible but undocumented dependencies of data/dependencies.json."""
    success_error_null: bool = False
    """`error` of a good licenseAssignmentStates row: null as documented, instead of "None" as seen in practice."""
    prohibited_plans: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """usageLocation -> servicePlanIds that are not sold there; "*" may stand for every plan."""
    member_states: str = "there"
    """licenseAssignmentStates selected on members of a group: `there`, `null`, `absent`, or `rejected` with 400. No
    says which."""
    hidden_membership: str = "rejected"
    """Members of a hidden-membership group without Member.Read.Hidden: `rejected` (403) or `empty`."""
    license_error_filter: bool = False
    """$filter=hasMembersWithLicenseErrors eq true; reported broken since September 2024, hence off."""
    license_count_filter: bool = True
    """Whether groups can be filtered by `assignedLicenses/$count ne 0`, an advanced query
    (learn.microsoft.com/graph/aad-advanced-queries)."""
    licensed_filter: bool = True
    """Whether groups can be filtered by `assignedLicenses/any()` (learn.microsoft.com/graph/api/resources/group)."""
    assigned_license_filter: bool = True
    """Whether users can be filtered by a product in assignedLicenses, a property that supports $filter
    (learn.microsoft.com/graph/api/resources/user)."""
    directory_search: bool = True
    """Whether $search on users and groups is offered; "currently not available in Azure AD B2C tenants"
    (learn.microsoft.com/graph/search-query-parameter)."""
    batch_throttle_status: int = 200
    """Overall status of a $batch with throttled items: 200 or 424, Microsoft's pages contradict each other."""
    native_delay_seconds: tuple[float, float] = (0.05, 0.05)
    """Least and longest time before native group-based licensing begins to process a change; one number for both. Up
    to 24 hours for 60,000 users before support wants to hear of it (licensing-group-advanced)."""
    native_span_seconds: float = 0.0
    """Time from the first to the last member of a changed group; meanwhile some are done. Our own number."""
    native_failure_share: float = 0.0
    """Share of members whose processing fails with `Other` although nothing is wrong with them; a reprocess helps."""
    processing_state: str = "object"
    """licenseProcessingState of a licensed group: an `object` with `state` (KelvinTegelaar/CIPP,
    Tests/Shapes/ListGroups.json), or a `text` as documented. `failed`: the object, with ProcessingFailed if a member
    has an error (Microsoft's PowerShell sample tests for it). Null on a group without licenses."""
    failed_group_product: str = "lost"
    """When a product of a group cannot be assigned to a member, "it doesn't assign other licenses in the group either"
    (licensing-groups-resolve-problems). The page does not say what becomes of products that the member has from the
    group: they are `lost`, or `kept` in state ActiveWithError."""
    assigned_plans_lag_seconds: float = 0.0
    """For so long after a license, reads of a user do not show its plans in `assignedPlans`. No page states a time."""
    parallel_group_calls: str = "lost"
    """Calls of assignLicense for one group that overlap: `lost`, the later one replaces what the other changed
    (deploymenttheory/terraform-provider-microsoft365, license_assignment/crud.go), or `serial`."""
    group_call_seconds: float = 0.0
    """How long assignLicense of a group takes between reading the group's licenses and writing them; our own number."""
    group_license_lag_seconds: float = 0.0
    """For so long after a change, reads of a group show its licenses as before (same source)."""
    reprocess_answer: str = "reason"
    """reprocessLicenseAssignment of a user whose inherited license fails: 400 with the whole `reason` (as one write-up
    reports), or `accepted` with 200 and the error in licenseAssignmentStates alone."""
    token_lifetime_seconds: float = 86_400.0
    """Lifetime of tokens issued from now on; a managed identity's token lives about a day."""
    permissions_from_token: bool = True
    """Whether a call is judged by the roles in its token, so that a changed grant counts in later tokens only. If not,
    by the client's grants of this moment."""
    identity_cache_seconds: float = 86_400.0
    """For so long the managed identity's endpoint issues the same token again, whatever was granted meanwhile, and a
    restart does not change it. It issues another one five minutes before the token ends."""
    hold_seconds: float = 300.0
    """How long an unanswered request (faults timeoutBefore and timeoutAfter) is held before its connection is cut."""

    role_privilege_shown: bool = False
    """Whether v1.0 shows `isPrivileged` of role definitions. The resource page documents it for beta alone
    (learn.microsoft.com/graph/api/resources/unifiedroledefinition)."""
    role_eligibility: bool = True
    """Whether the tenant has the license for eligible assignments of roles and groups; without it, the read is rejected
    with 400 AadPremiumLicenseRequired (Microsoft365DSC, MSFT_AADRoleEligibilityScheduleRequest)."""
    unit_cast_is_advanced: bool = False
    """Whether the cast of an administrative unit's members to a type needs the header for advanced queries. The page
    (learn.microsoft.com/graph/api/administrativeunit-list-members) requires it for parameters only."""
    role_page_size: int = 100
    """Roles or role assignments on one page; Microsoft names no number, this is our own."""

    delta_page_size: int = 200
    """Groups and members together on one page of /groups/delta; Microsoft names no number, this is our own."""
    delta_piece_size: int = 100
    """Members of one group given in one piece; the next piece comes after those of the other groups. Our own number."""
    delta_lag_seconds: float = 0.0
    """Age of what /groups/delta sees, where it lags more than other reads do (quarters of an hour are reported)."""
    delta_token_seconds: float = 604_800.0
    """Life of a delta token: 7 days for directory objects (learn.microsoft.com/graph/delta-query-overview)."""
    delta_expired: str = "400 Request_UnsupportedQuery"
    """Answer to an expired token, as most live tenants were seen to give it. Microsoft names 410 with Location, a
    status 40x, and two codes."""
    delta_latest_members: bool = True
    """Whether links that `$deltatoken=latest` began report changes of members. With `$expand=members` they were seen
    not to (Compass tracker 508); for `$select` it is not published."""
    delta_latest_filter: bool = True
    """Whether `$deltatoken=latest` may go with a `$filter` by id; if not, it is rejected with 400. Not documented."""
    delta_replay_share: float = 0.1
    """Share of what one round gives that it gives more than once; replays are documented, how many is not."""
    delta_replay_times: int = 10
    """How often each of these is given again, at most; up to ten times were seen (gromedev/Mgx)."""
    delta_empty_page: bool = False
    """Whether every round begins with a page without a group, as documented to happen."""

    notification_http: bool = False
    """Whether notification URLs may be http on this machine; Graph takes https only."""
    duplicate_subscriptions: bool = False
    """Whether a second subscription for the same resource and changes is made; documented as 409, seen to be made."""
    subscription_minimum_seconds: float = 2_700.0
    """A shorter life becomes this long: 45 minutes (learn.microsoft.com/graph/api/resources/subscription)."""
    handshake_seconds: float = 10.0
    """Time an endpoint has for the validation token (graph/change-notifications-delivery-webhooks)."""

    notification_delay_seconds: float = 0.2
    """How long changes are collected before they are sent; Graph promises no latency, this is our own number."""
    notification_members: int = 20
    """Members in one notification of a group; the most is not documented, this is our own number."""
    notification_batch: int = 20
    """Notifications in one POST; the most is not documented, this is our own number."""
    notification_timeout_seconds: float = 10.0
    """An answer that takes longer is slow and cut off (graph/change-notifications-delivery-webhooks)."""
    notification_retry_seconds: float = 5.0
    """First pause before a notification is sent again, then twice as long each time. Graph says only "exponential"."""
    notification_time_scale: float = 1.0
    """Factor on every documented time of delivery but the timeout: pauses, 4 hours, 10 minutes, 10 seconds."""
    notification_least_answers: int = 10
    """Answers of an endpoint in 10 minutes below which it is never slow; our own number."""
    subscription_rejection: str = "extensionError"
    """403 of POST /subscriptions: `extensionError`, the same text over the quota and without permission, or `named`."""
    subscription_too_long: str = "shortened"
    """A subscription that lives longer than allowed: `shortened`, or `rejected` with 400."""
    removed_shape: str = "both"
    """`@removed` in a notification: `text` ("deleted"), `reason` (an object, as in delta), or `both` in turn."""
    notify_user_deletion: bool = False
    """Whether a deleted or restored user is reported as a change of its groups; not documented."""

    def patch(self, changes: dict[str, Any]) -> None:
        """Apply JSON changes; ValueError names an unknown setting or a bad value and leaves all as it was."""
        names = {_camel(f.name): f.name for f in fields(self)}
        parsed: dict[str, Any] = {}
        for key, value in changes.items():
            if key not in names:
                raise ValueError(f"setting {key!r} is unknown; known are {', '.join(sorted(names))}")
            parsed[names[key]] = _parse(key, getattr(self, names[key]), value)
        for name, value in parsed.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """All settings under their JSON names."""
        return {_camel(f.name): getattr(self, f.name) for f in fields(self)}


CHOICES = {
    "quotaKind": ("bucket", "window"),
    "tenantSize": ("auto", "S", "M", "L"),
    "hiddenMembership": ("rejected", "empty"),
    "retryAfter": ("seconds", "float", "date", "absent"),
    "throttlePercentage": ("never", "from0.8"),
    "batchThrottling": ("some", "rest"),
    "bindWrites": ("each", "one"),
    "concurrentWrites": ("taken", "some", "one"),
    "concurrencyRejection": (
        "409 Directory_ConcurrencyViolation",
        "400 Directory_ConcurrencyViolation",
        "400 Request_BadRequest",
        "503 Directory_ConcurrencyViolation",
        "400 Request_ThrottledTemporarily",
    ),
    "lockedOutUnits": ("there", "absent"),
    "organizationRead": ("open", "rejected", "sparse"),
    "byIdsPermission": ("directory", "objects"),
    "laterDependsOn": ("rejected", "taken"),
    "groupIdShape": ("invalid", "notFound"),
    "groupUnknownSku": ("rejected", "ignored"),
    "subscriptionRejection": ("extensionError", "named"),
    "subscriptionTooLong": ("shortened", "rejected"),
    "batchThrottleStatus": (200, 424),
    "removedShape": ("both", "text", "reason"),
    "memberStates": ("there", "null", "absent", "rejected"),
    "processingState": ("object", "text", "failed"),
    "parallelGroupCalls": ("lost", "serial"),
    "failedGroupProduct": ("lost", "kept"),
    "reprocessAnswer": ("reason", "accepted"),
    "tables": ("asPublished", "bySeed"),
    "exclusions": ("since2023", "page2022"),
    "exclusionText": ("mutuallyExclusive", "withoutBlank", "conflictsWith", "conflictingPairs"),
    "partialApplication": ("none", "additions"),
    "removalOfInherited": ("rejected", "ignored"),
    "removalOfUnknownSku": ("rejected", "taken"),
    "unknownDisabledPlan": ("rejected", "ignored"),
    "errorNames": ("documented", "Others", "Unknown", "new"),
    "idCase": ("lower", "mixed"),
    "deltaExpired": (
        "400 Request_UnsupportedQuery",
        "410 syncStateNotFound",
        "410 resyncRequired",
        "404 UnknownError",
        "400 Request_BadRequest",
        "400 syncStateNotFound",
    ),
}
"""The positions of switches that have names."""


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def _parse(key: str, current: object, value: Any) -> object:
    if key in CHOICES:
        if value not in CHOICES[key]:
            raise ValueError(f"setting {key} must be one of {CHOICES[key]}, not {value!r}")
        return value
    if isinstance(current, tuple):
        if key == "nativeDelaySeconds" and isinstance(value, int | float) and value >= 0:
            value = (value, value)
        if not (isinstance(value, list | tuple) and len(value) == 2 and 0 <= value[0] <= value[1]):
            unit = "milliseconds" if key == "latencyMs" else "seconds"
            raise ValueError(f"setting {key} must be [least, largest] in {unit}, not {value!r}")
        return (float(value[0]), float(value[1]))
    if key == "prohibitedPlans":
        if not isinstance(value, dict):
            raise ValueError(f"setting prohibitedPlans must map a usageLocation to servicePlanIds, not {value!r}")
        return {str(place).upper(): tuple(str(p).lower() for p in plans) for place, plans in value.items()}
    if isinstance(current, bool):
        if not isinstance(value, bool):
            raise ValueError(f"setting {key} must be true or false, not {value!r}")
        return value
    if isinstance(current, int):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"setting {key} must be a whole number of at least 1, not {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError(f"setting {key} must be a number of at least 0, not {value!r}")
    return float(value)
