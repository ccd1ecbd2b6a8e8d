"""Answers about groups: their assignments, their progress and their members."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from functions.web.contract.shapes.common import (
    Answer,
    Count,
    Duration,
    GroupIdText,
    OperationIdText,
    Page,
    PartNumber,
    Person,
    PlanIdText,
    SkuIdText,
    Time,
    UserIdText,
    example,
)
from shared.domain.assignment import AssignmentState, Enforcement, Engine
from shared.domain.directory import LicenseError
from shared.domain.group_status import GroupState, GroupStateCode
from shared.domain.member_status import MemberState
from shared.domain.pending_removal import HoldKind
from shared.domain.plan_draft import NoteKind


class AssignedSku(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber | None
    disabled_plans: list[PlanIdText]
    enforcement: Enforcement


class NativeLicense(Answer):
    """A license that Microsoft's own group-based licensing assigns through the group."""

    sku_id: SkuIdText
    sku_part_number: PartNumber | None
    disabled_plans: list[PlanIdText]


class Options(Answer):
    usage_location: Annotated[str, example("DE")] | None
    require_usage_location: bool
    count_inherited: bool
    include_guests: bool
    include_disabled_accounts: bool
    excluded_groups: list[GroupIdText]
    grace: Duration
    allow_native_overlap: bool
    priority: Annotated[int, Field(examples=[0])]
    removal_allowance: Annotated[int, Field(examples=[300])] | None
    removal_allowance_reason: Annotated[str, example("Students leave all at once at the end of the term")]


class Assignment(Answer):
    etag: Annotated[str, Field(alias="@odata.etag", examples=['W/"3"'])]
    group_id: GroupIdText
    display_name: Annotated[str, example("Sales")]
    engine: Engine
    state: AssignmentState
    version: Count
    native_licenses: list[NativeLicense]
    assigned_licenses: list[AssignedSku]
    options: Options
    operation_id: OperationIdText | None
    open_approval: OperationIdText | None
    changed_by: Person | None
    changed_date_time: Time | None


class RemovalAllowance(Answer):
    used: Annotated[int, Field(description="Counted up to 4,999.", ge=0, le=4999, examples=[12])]
    limit: Count
    period: Literal["P1D"]
    pending: Annotated[int, Field(description="Counted up to 4,999.", ge=0, le=4999, examples=[3])]
    decided_date_time: Time | None
    held_because: Annotated[str, example("The group reads as empty.")] | None
    held_kind: HoldKind | None


class ProductCounts(Answer):
    """Members of a group by product. A member can count in several numbers."""

    sku_id: SkuIdText
    assigned: Count
    waiting: Count
    errors: Count


class GroupStatus(Answer):
    id: GroupIdText
    display_name: Annotated[str, example("Sales")]
    engine: Engine
    status: GroupState
    state: GroupStateCode
    license_processing_state: Annotated[str, example("ProcessingComplete")] | None
    """Of a watched group, Graph's word."""
    members_read: Literal["all", "errors"]
    """Of a watched group, `errors` if Graph does not show the licenses of other members."""
    members: Count
    counts: Annotated[dict[str, int], Field(examples=[{"Active": 117, "Waiting": 3}])]
    products: list[ProductCounts]
    operation_id: OperationIdText | None
    removal_allowance: RemovalAllowance
    updated_date_time: Time | None


class Problem(Answer):
    sku_id: SkuIdText | None
    sku_part_number: PartNumber | None
    error: LicenseError
    message: Annotated[str, example("No license is left.")]
    remedy: Annotated[str, example("Buy more, or remove some; then the user is licensed automatically.")]
    held_back_by: list[SkuIdText]
    """Products of the same group whose errors keep this one from being assigned."""


class Diagnosis(Answer):
    """Graph's answer when a member of a watched group was processed again."""

    message: Annotated[str, example("Subscription with SKU 05e9a617 does not have any available licenses.")] | None
    diagnosed_date_time: Time


class Note(Answer):
    """Why a license is, or is not, as the group asks. Notes without a product are about the user. `text` has its reason
    in `message`, such as that of a wait; other kinds have none."""

    kind: NoteKind | Literal["left", "doNotLicense", "text"]
    sku_id: SkuIdText | None
    service_plan_ids: list[PlanIdText]
    message: Annotated[str, example("The user could not be read.")] | None


class Member(Answer):
    id: UserIdText
    display_name: Annotated[str, example("Ada Lovelace")]
    user_principal_name: Person
    state: MemberState
    problems: list[Problem]
    engine: Engine
    diagnosis: Diagnosis | None
    assigned_sku_ids: list[SkuIdText]
    attempts: Count
    next_attempt_date_time: Time | None
    state_since_date_time: Time | None
    waiting_since_date_time: Time | None
    removal_date_time: Time | None
    last_updated_date_time: Time
    operation_id: OperationIdText | None
    notes: list[Note]


class MemberPage(Page):
    value: list[Member]


class GroupMember(Member):
    group_id: GroupIdText


class GroupMemberPage(Page):
    value: list[GroupMember]


class WatchedGroup(Answer):
    """A group whose members are read soon."""

    group_id: GroupIdText


class Reprocessing(Answer):
    """Members in error that Microsoft's licensing processes again."""

    run_id: Annotated[str, example("0f5c1d7e6c0a4a529b0f3a4b9c1d2e3f")]
    group_id: GroupIdText
    error: LicenseError | None
    sku_id: SkuIdText | None
    started_date_time: Time


class NamedGroup(Answer):
    id: GroupIdText
    display_name: Annotated[str, example("Sales")]


class FoundGroup(NamedGroup):
    """A group of the directory, and whether it can be managed."""

    managed: bool
    usable: bool
    unusable_reason: Annotated[str, example("It is not a security group.")] | None
    native_licenses: list[SkuIdText]


class ManagedGroup(NamedGroup):
    """A group that assigns licenses, and its status."""

    engine: Engine
    assigned_sku_ids: list[SkuIdText]
    status: GroupState
    state: GroupStateCode
    members: Count
    counts: Annotated[dict[str, int], Field(examples=[{"Active": 117, "Waiting": 3}])]
    products: list[ProductCounts]


class Groups(Page):
    value: list[ManagedGroup]


class FoundGroups(Answer):
    value: list[FoundGroup]
