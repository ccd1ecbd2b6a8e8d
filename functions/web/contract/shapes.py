"""What answers look like, for the API's description; tests hold every answer to it. Times are ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.domain.assignment import AssignmentState, DependencyRule, Enforcement
from shared.domain.directory import LicenseError, LicenseState
from shared.domain.grant import SourceKind
from shared.domain.member_status import MemberState
from shared.domain.onboarding import GroupOutcome, HrEventType, LicenseOutcome, OnboardingState
from shared.domain.operation import OperationKind, OperationState, Phase
from shared.domain.outcomes import OutcomeClass
from shared.domain.read_models import GroupState
from shared.handlers.views.queries import LicenseOrigin

GROUP = "0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"
USER = "1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"
E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"
OPERATION = "0199d0f31c2a4b6d8e0f123456789abc"
HERE = "https://licensing.contoso.example"


def _text(example: str) -> Any:
    return Field(examples=[example])


GroupIdText = Annotated[str, _text(GROUP)]
UserIdText = Annotated[str, _text(USER)]
SkuIdText = Annotated[str, _text(E3)]
PlanIdText = Annotated[str, _text(TEAMS)]
OperationIdText = Annotated[str, _text(OPERATION)]
PartNumber = Annotated[str, _text("SPE_E3")]
Time = Annotated[datetime, _text("2026-11-23T08:15:30Z")]
Duration = Annotated[str, _text("P30D")]
Etag = Annotated[str, _text('W/"3"')]
Person = Annotated[str, _text("ada@contoso.example")]
Count = Annotated[int, Field(ge=0, examples=[120])]
SeatsBySku = Annotated[dict[str, int], Field(examples=[{E3: 120}])]


class Answer(BaseModel):
    """A JSON object of an answer; it has these properties and no other."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


def _with_example(**values: Any) -> ConfigDict:
    example = {to_camel(name): value for name, value in values.items()}
    return ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True, json_schema_extra={"examples": [example]}
    )


class InnerError(Answer):
    request_id: Annotated[str, Field(alias="request-id", examples=["6f0e2a51-7a54-4b43-9a9f-0b7a2f6f3c11"])]
    date: Time


class Fault(Answer):
    """One fault of a batch: which event, which field, what it was."""

    position: Count
    field: Annotated[str, _text("data.effectiveDate")]
    value: Annotated[str, _text('"tomorrow"')]
    message: Annotated[str, _text("data.effectiveDate must be a date or a time as in ISO 8601.")]


class ErrorDetail(Answer):
    code: Annotated[str, _text("InvalidRequest")]
    message: Annotated[str, _text("addLicenses.0.skuId: must be a GUID, not 'E3'")]
    target: Annotated[str, Field(description="The field or parameter that is wrong.", examples=["skuId"])] = ""
    details: list[Fault] = []
    inner_error: InnerError


class Error(Answer):
    """Every error has this shape, Graph's."""

    error: ErrorDetail


class License(Answer):
    sku_id: SkuIdText
    disabled_plans: list[PlanIdText]


class Target(Answer):
    """A group, or how many users a list has."""

    group_id: GroupIdText | None = None
    user_ids: Count | None = None


class Totals(Answer):
    """Users by how their part of the work ended."""

    model_config = _with_example(
        members=120, due=100, applied=58, unchanged=20, waiting=1, failed=1, skipped=0, remaining=40, wrote=58
    )

    members: Count
    due: Count
    applied: Count
    unchanged: Count
    waiting: Count
    failed: Count
    skipped: Count
    remaining: Count
    wrote: Count


class Plan(Answer):
    """What planning found: the preview, and the numbers behind an approval."""

    additions: SeatsBySku
    removals: SeatsBySku
    plans_off: Count
    seats_needed: SeatsBySku
    seats_available: Annotated[dict[str, int], Field(examples=[{E3: 37}])]
    usage_locations: Count
    errors: Annotated[dict[str, int], Field(examples=[{"CountViolation": 4}])]
    foreign: Count
    users_losing: Count


class OperationFault(Answer):
    code: Annotated[str, _text("Permission")]
    message: Annotated[str, _text("Graph refused: the app may not write licenses.")]
    remedy: Annotated[str, _text("Grant LicenseAssignment.ReadWrite.All to the app's identity.")]


class Operation(Answer):
    id: OperationIdText
    kind: OperationKind
    target: Target
    add_licenses: list[License]
    remove_licenses: list[SkuIdText]
    adopt_licenses: list[SkuIdText]
    enable_service_plans: list[SkuIdText]
    preview: bool
    state: OperationState
    phase: Phase
    collecting: bool
    cause: Annotated[str, _text("request")]
    correlation_id: Annotated[str, _text("onboarding-2026-11")] | None
    intent_version: Count
    created_date_time: Time
    started_date_time: Time | None
    completed_date_time: Time | None
    estimated_completion_date_time: Time | None
    requested_by: Person
    approved_by: Person | None
    cancel_requested_by: Person | None
    superseded_by: OperationIdText | None
    totals: Totals
    plan: Plan
    drift: Count | None
    checksum: Annotated[str, _text("9b1f2e3d4c5b6a79")] | None
    error: OperationFault | None


class OperationPage(Answer):
    value: list[Operation]
    next_link: Annotated[
        str, Field(alias="@odata.nextLink", examples=[f"{HERE}/api/operations?$top=100&$skiptoken=0"])
    ] = ""


class Operations(Answer):
    value: list[Operation]


class PlansOff(Answer):
    sku_id: SkuIdText
    service_plans: list[PlanIdText]


class ExpectedError(Answer):
    error: LicenseError
    sku_id: SkuIdText | None


class PlannedMember(Answer):
    id: UserIdText
    due: bool
    expected: OutcomeClass
    add_licenses: list[License]
    remove_licenses: list[SkuIdText]
    plans_off: list[PlansOff]
    usage_location: Annotated[str, _text("DE")] | None
    notes: list[Annotated[str, _text(f"secondRead {E3}")]]
    expected_errors: list[ExpectedError]
    outcome: OutcomeClass | None
    next_look_date_time: Time | None


class PlannedMemberPage(Answer):
    value: list[PlannedMember]
    next_link: Annotated[
        str, Field(alias="@odata.nextLink", examples=[f"{HERE}/api/operations/{OPERATION}/members?$skiptoken=0"])
    ] = ""


class SwitchedOff(Answer):
    """A plan that was switched off because plans it needs are missing."""

    service_plan_id: PlanIdText
    missing: list[PlanIdText]


class AssignedSku(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber | None
    disabled_plans: list[PlanIdText]
    requested_disabled_plans: list[PlanIdText]
    switched_off: list[SwitchedOff]
    enforcement: Enforcement


class Options(Answer):
    usage_location: Annotated[str, _text("DE")] | None
    require_usage_location: bool
    count_inherited: bool
    include_guests: bool
    include_disabled_accounts: bool
    excluded_groups: list[GroupIdText]
    grace: Duration
    dependencies: DependencyRule
    allow_native_overlap: bool
    priority: Annotated[int, Field(examples=[0])]


class Assignment(Answer):
    etag: Annotated[str, Field(alias="@odata.etag", examples=['W/"3"'])]
    group_id: GroupIdText
    display_name: Annotated[str, _text("Sales")]
    state: AssignmentState
    version: Count
    assigned_licenses: list[AssignedSku]
    options: Options
    operation_id: OperationIdText | None
    open_approval: OperationIdText | None
    changed_by: Person | None
    changed_date_time: Time | None


class RemovalAllowance(Answer):
    used: Count
    limit: Count
    period: Literal["P1D"]


class GroupStatus(Answer):
    id: GroupIdText
    display_name: Annotated[str, _text("Sales")]
    status: GroupState
    members: Count
    counts: Annotated[dict[str, int], Field(examples=[{"Active": 117, "Waiting": 3}])]
    operation_id: OperationIdText | None
    removal_allowance: RemovalAllowance
    updated_date_time: Time | None


class Problem(Answer):
    sku_id: SkuIdText | None
    sku_part_number: PartNumber | None
    error: LicenseError
    message: Annotated[str, _text("No license is left.")]
    remedy: Annotated[str, _text("Buy more, or remove some; the user is licensed by itself then.")]


class Member(Answer):
    id: UserIdText
    display_name: Annotated[str, _text("Ada Lovelace")]
    user_principal_name: Person
    state: MemberState
    problems: list[Problem]
    assigned_sku_ids: list[SkuIdText]
    attempts: Count
    next_look_date_time: Time | None
    waiting_since_date_time: Time | None
    removal_date_time: Time | None
    last_updated_date_time: Time
    operation_id: OperationIdText | None
    notes: list[Annotated[str, _text("a guest: not licensed")]]


class MemberPage(Answer):
    value: list[Member]
    next_link: Annotated[
        str, Field(alias="@odata.nextLink", examples=[f"{HERE}/api/groups/{GROUP}/members?$skiptoken=0"])
    ] = ""


class MemberOfGroup(Member):
    group_id: GroupIdText


class Through(Answer):
    kind: SourceKind
    id: GroupIdText | None


class UserLicense(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber | None
    disabled_plans: list[PlanIdText]
    source: LicenseOrigin
    assigned_by_group: GroupIdText | None
    through: list[Through]
    ending: SourceKind | None
    removal_date_time: Time | None
    state: LicenseState
    error: LicenseError | None
    last_updated_date_time: Time | None


class UserLicenses(Answer):
    value: list[UserLicense]


class FoundUser(Answer):
    id: UserIdText
    display_name: Annotated[str, _text("Ada Lovelace")]
    user_principal_name: Person


class FoundUsers(Answer):
    value: list[FoundUser]


class User(FoundUser):
    usage_location: Annotated[str, _text("DE")] | None
    account_enabled: bool
    licenses: list[UserLicense]
    groups: list[MemberOfGroup]
    history: list[AuditEntry]


class PrepaidUnits(Answer):
    enabled: Count
    warning: Count
    suspended: Count
    locked_out: Count


class ServicePlan(Answer):
    service_plan_id: PlanIdText
    service_plan_name: Annotated[str, _text("TEAMS1")]
    applies_to: Annotated[str, _text("User")]
    provisioning_status: Annotated[str, _text("Success")]


class SubscribedSku(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber
    applies_to: Annotated[str, _text("User")]
    capability_status: Annotated[str, _text("Enabled")]
    consumed_units: Count
    prepaid_units: PrepaidUnits
    available_units: Annotated[int, Field(examples=[37])]
    service_plans: list[ServicePlan]


class SubscribedSkus(Answer):
    value: list[SubscribedSku]


class NamedGroup(Answer):
    id: GroupIdText
    display_name: Annotated[str, _text("Sales")]


class Product(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber
    display_name: Annotated[str, _text("Microsoft 365 E3")]
    capability_status: Annotated[str, _text("Enabled")]
    bought: Count
    used: Count
    free: Annotated[int, Field(examples=[37])]
    in_grace: Count
    groups: list[NamedGroup]


class Products(Answer):
    value: list[Product]


class FoundGroup(NamedGroup):
    """A group of the directory, and what it may be used for."""

    managed: bool
    usable: bool
    hindrance: Annotated[str, _text("It is not a security group.")] | None
    native_licenses: list[SkuIdText]


class ManagedGroup(NamedGroup):
    """A group that gives licenses, and how far it is."""

    assigned_sku_ids: list[SkuIdText]
    status: GroupState
    members: Count
    counts: Annotated[dict[str, int], Field(examples=[{"Active": 117, "Waiting": 3}])]


class Groups(Answer):
    value: list[ManagedGroup] | list[FoundGroup]


class Subscription(Answer):
    id: Annotated[str, _text("7f105c7d-2dc5-4530-97cd-4e7ae6534c07")]
    notification_url: Annotated[str, _text(f"{HERE}/api/notifications")]
    created_date_time: Time
    expiration_date_time: Time
    last_notification_date_time: Time | None


class ChangeFeed(Answer):
    expected: bool
    subscription: Subscription | None
    refused_today: Count
    last_delta_date_time: Time | None


class Writes(Answer):
    """Writes to Graph of the last `windowSeconds`, and what they are held to."""

    used: Annotated[int, Field(ge=0, examples=[2400])]
    limit: Annotated[int, Field(ge=0, examples=[3000])]
    window_seconds: Annotated[float, Field(examples=[150.0])]
    bulk_per_second: Annotated[float, Field(examples=[18.0])]
    throttled_until_date_time: Time | None


class QueueLook(Answer):
    queue: Annotated[str, _text("members-bulk")]
    waiting: Annotated[int, Field(description="Counted up to 100.", ge=0, le=100, examples=[12])]
    scheduled: Annotated[int, Field(description="Counted up to 100.", ge=0, le=100, examples=[3])]
    more: bool
    oldest_date_time: Time | None


class Health(Answer):
    change_feed: ChangeFeed
    writes: Writes
    queues: list[QueueLook]
    queues_error: Annotated[str, _text("queue members: ServiceBusConnectionError")] | None
    open_operations: Count
    dead_letters: Annotated[int, Field(description="Counted up to 100.", ge=0, le=100, examples=[0])]


class DeadLetter(Answer):
    id: OperationIdText
    queue: Annotated[str, _text("members")]
    reason: Annotated[str, _text("the message is not JSON")]
    created_date_time: Time
    body: Annotated[str, _text('{"version": 1}')]
    whole: bool


class DeadLetters(Answer):
    value: list[DeadLetter]


class AuditEntry(Answer):
    id: Annotated[str, _text("9b1f2e3d4c5b6a79")]
    activity_date_time: Time
    activity_display_name: Annotated[str, _text("Change user license")]
    initiated_by: Person
    result: Annotated[str, _text("success")]
    user_id: UserIdText | None
    group_id: GroupIdText | None
    operation_id: OperationIdText | None
    before: Annotated[str, _text("[]")] | None
    after: Annotated[str, _text(f'["{E3}"]')] | None
    detail: Annotated[str, _text("for group Sales")] | None


class AuditPage(Answer):
    value: list[AuditEntry]
    next_link: Annotated[str, Field(alias="@odata.nextLink", examples=[f"{HERE}/api/audit?$skiptoken=0"])] = ""


class TakenEvent(Answer):
    position: Count
    id: OperationIdText
    event_id: Annotated[str, _text("hr-2026-000123")]
    state: OnboardingState
    location: Annotated[str, _text(f"/api/onboarding/{OPERATION}")]


class Taken(Answer):
    """Events that were taken, and what is wrong with those that were not."""

    value: list[TakenEvent]
    faults: list[Fault]


class PersonReference(Answer):
    id: UserIdText | None
    employee_id: Annotated[str, _text("E-4711")] | None
    user_principal_name: Person | None


class GroupResult(Answer):
    group_id: GroupIdText
    outcome: GroupOutcome
    text: Annotated[str, _text("The group is dynamic.")] | None
    remedy: Annotated[str, _text("Change its membership rule.")] | None


class LicenseResult(Answer):
    sku_id: SkuIdText
    outcome: LicenseOutcome
    text: Annotated[str, _text("No license is left.")] | None
    remedy: Annotated[str, _text("Buy more.")] | None


class OnboardingRecord(Answer):
    id: OperationIdText
    event_id: Annotated[str, _text("hr-2026-000123")]
    event_source: Annotated[str, _text("/hr/contoso")]
    event_type: HrEventType
    person: PersonReference
    correlation_id: Annotated[str, _text("ticket-42")] | None
    effective_date_time: Time
    sequence: Annotated[int, Field(examples=[0])]
    state: OnboardingState
    note: Annotated[str, _text("the account is looked for again")] | None
    remedy: Annotated[str, _text("Create the account, or correct the userPrincipalName.")] | None
    profiles: list[Annotated[str, _text("sales")]]
    groups: list[GroupResult]
    licenses: list[LicenseResult]
    received_date_time: Time
    updated_date_time: Time
    next_look_date_time: Time | None
    completed_date_time: Time | None
    permitted_by: Person | None


class OnboardingPage(Answer):
    value: list[OnboardingRecord]
    next_link: Annotated[str, Field(alias="@odata.nextLink", examples=[f"{HERE}/api/onboarding?$skiptoken=0"])] = ""


class FoundAccount(Answer):
    id: UserIdText
    user_principal_name: Person
    account_enabled: bool


class Match(Answer):
    name: Annotated[str, _text("sales")]
    display_name: Annotated[str, _text("Sales")]
    because: Annotated[str, _text("department is Sales")]


class TrialGroup(Answer):
    group_id: GroupIdText
    outcome: GroupOutcome
    text: Annotated[str, _text("The group is dynamic.")]
    remedy: Annotated[str, _text("Change its membership rule.")]


class TrialLicense(Answer):
    sku_id: SkuIdText
    sources: Annotated[list[str], Field(alias="from", examples=[["hr:sales"]])]
    has_already: bool


class Trial(Answer):
    accounts: list[FoundAccount]
    profiles: list[Match]
    unknown_profiles: list[Annotated[str, _text("old-sales")]]
    usage_location: Annotated[str, _text("DE")] | None
    groups: list[TrialGroup]
    licenses: list[TrialLicense]
    lost_licenses: list[SkuIdText]


class HeldLeavers(Answer):
    count: Count
    allowed_within_24_hours: Annotated[int, Field(alias="allowedWithin24Hours", ge=0, examples=[20])]
    checksum: Annotated[str, _text("9b1f2e3d4c5b6a79")]
    value: list[OnboardingRecord]


class Counted(Answer):
    count: Count


class Profile(Answer):
    name: Annotated[str, _text("sales")]
    display_name: Annotated[str, _text("Sales")]
    match: Annotated[dict[str, list[str]], Field(examples=[{"department": ["Sales"]}])]
    groups: list[GroupIdText]
    licenses: list[License]
    usage_location: Annotated[str, _text("DE")] | None
    priority: Annotated[int, Field(examples=[0])]
    exclusive: bool
    etag: Annotated[str | None, Field(alias="@odata.etag", examples=['W/"3"'])]


class Profiles(Answer):
    value: list[Profile]


class Schema(BaseModel):
    """A JSON Schema."""

    model_config = ConfigDict(extra="allow")
