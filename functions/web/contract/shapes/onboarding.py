"""Answers about HR events, held leavers and profiles."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from functions.web.contract.shapes.common import (
    OPERATION,
    Answer,
    ClaimedBy,
    Count,
    Fault,
    GroupIdText,
    Initiator,
    License,
    OperationIdText,
    Page,
    Person,
    SkuIdText,
    Time,
    UserIdText,
    example,
)
from shared.domain.onboarding import GroupOutcome, HrEventType, LicenseOutcome, OnboardingState


class AcceptedEvent(Answer):
    position: Count
    id: OperationIdText
    event_id: Annotated[str, example("hr-2026-000123")]
    state: OnboardingState
    location: Annotated[str, example(f"/api/onboarding/{OPERATION}")]


class AcceptedEvents(Answer):
    """The accepted events, and the faults of the others."""

    value: list[AcceptedEvent]
    faults: list[Fault]


class PersonReference(Answer):
    id: UserIdText | None
    employee_id: Annotated[str, example("E-4711")] | None
    user_principal_name: Person | None


class GroupResult(Answer):
    group_id: GroupIdText
    outcome: GroupOutcome
    text: Annotated[str, example("The group is dynamic.")] | None
    remedy: Annotated[str, example("Change its membership rule.")] | None


class LicenseResult(Answer):
    sku_id: SkuIdText
    outcome: LicenseOutcome
    text: Annotated[str, example("No license is left.")] | None
    remedy: Annotated[str, example("Buy more.")] | None


class OnboardingRecord(Answer):
    id: OperationIdText
    event_id: Annotated[str, example("hr-2026-000123")]
    event_source: Annotated[str, example("/hr/contoso")]
    event_type: HrEventType
    person: PersonReference
    employment_id: Annotated[str, example("4711-2")] | None
    correlation_id: Annotated[str, example("ticket-42")] | None
    effective_date_time: Time
    sequence: Annotated[int, Field(examples=[0])] | None
    state: OnboardingState
    note: Annotated[str, example("The account is searched for again.")] | None
    remedy: Annotated[str, example("Create the account, or correct the userPrincipalName.")] | None
    profiles: list[Annotated[str, example("sales")]]
    groups: list[GroupResult]
    licenses: list[LicenseResult]
    received_date_time: Time
    updated_date_time: Time
    next_attempt_date_time: Time | None
    completed_date_time: Time | None
    approved_by: Person | None
    superseded_by: Annotated[str, example(OPERATION)] | None
    candidate_id: UserIdText | None
    decided_by: Person | None
    initiated_by: Initiator
    claimed_by: ClaimedBy | None


class OnboardingPage(Page):
    value: list[OnboardingRecord]


class FoundAccount(Answer):
    id: UserIdText
    user_principal_name: Person
    account_enabled: bool


class Match(Answer):
    name: Annotated[str, example("sales")]
    display_name: Annotated[str, example("Sales")]
    reason: Annotated[str, example("department is Sales")]


class DryRunGroup(Answer):
    group_id: GroupIdText
    outcome: GroupOutcome
    text: Annotated[str, example("The group is dynamic.")]
    remedy: Annotated[str, example("Change its membership rule.")]


class DryRunLicense(Answer):
    sku_id: SkuIdText
    sources: list[Annotated[str, example("hr:sales")]]
    already_assigned: bool


class DryRun(Answer):
    state: OnboardingState | None
    note: Annotated[str, example("A newer event of the same employment counts instead.")] | None
    remedy: Annotated[str, example("Correct the identifiers of the person.")] | None
    accounts: list[FoundAccount]
    profiles: list[Match]
    unknown_profiles: list[Annotated[str, example("old-sales")]]
    usage_location: Annotated[str, example("DE")] | None
    groups: list[DryRunGroup]
    licenses: list[DryRunLicense]
    removed_licenses: list[SkuIdText]


class HeldLeavers(Page):
    count: Count
    allowed_within_24_hours: Annotated[int, Field(alias="allowedWithin24Hours", ge=0, examples=[20])]
    checksum: Annotated[str, example("9b1f2e3d4c5b6a79")]
    value: list[OnboardingRecord]


class AnnouncedLeavers(Page):
    count: Count
    checksum: Annotated[str, example("9b1f2e3d4c5b6a79")]
    value: list[OnboardingRecord]


class Counted(Answer):
    count: Count


class Profile(Answer):
    name: Annotated[str, example("sales")]
    display_name: Annotated[str, example("Sales")]
    match: Annotated[dict[str, list[str]], Field(examples=[{"department": ["Sales"]}])]
    groups: list[GroupIdText]
    licenses: list[License]
    usage_location: Annotated[str, example("DE")] | None
    priority: Annotated[int, Field(examples=[0])]
    exclusive: bool
    selectable: bool
    etag: Annotated[str | None, Field(alias="@odata.etag", examples=['W/"3"'])]


class Profiles(Page):
    value: list[Profile]


class ProfileChange(Answer):
    field: Annotated[str, example("groups")]
    before: Annotated[str, Field(description="Compact JSON.", examples=["[]"])]
    after: Annotated[str, Field(description="Compact JSON.", examples=['["0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"]'])]


class Proposal(Answer):
    name: Annotated[str, example("sales")]
    version: Annotated[str, example('W/"4"')]
    proposed_by: Initiator
    proposed_date_time: Time
    expires_date_time: Time
    deletes: bool
    reasons: list[Annotated[str, example("it becomes selectable: events can name it for anyone")]]
    changes: list[ProfileChange]
    profile: Profile
    in_force: Profile | None


class Proposals(Page):
    value: list[Proposal]


class Schema(BaseModel):
    """A JSON Schema."""

    model_config = ConfigDict(extra="allow")
