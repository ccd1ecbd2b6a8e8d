"""Answers about one user: licenses, where they come from, history."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from functions.web.contract.shapes.audit import AuditEntry
from functions.web.contract.shapes.common import (
    USER,
    Answer,
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
from functions.web.contract.shapes.groups import FoundGroup, GroupMember
from shared.domain.directory import LicenseError, LicenseState
from shared.domain.grant import SourceKind
from shared.handlers.views.queries import LicenseOrigin


class GrantedBy(Answer):
    kind: SourceKind
    id: GroupIdText | None


class LicenseSource(Answer):
    """Where a license comes from. `grantedBy`: the groups, requests and HR events behind a managed license."""

    sku_id: SkuIdText
    sku_part_number: PartNumber | None
    source: LicenseOrigin
    assigned_by_group: GroupIdText | None
    granted_by: list[GrantedBy]


class UserLicense(LicenseSource):
    """`keptReason`: why a license is still there although nothing assigns it any more."""

    disabled_plans: list[PlanIdText]
    since_date_time: Time | None
    kept_reason: SourceKind | None
    removal_date_time: Time | None
    state: LicenseState
    error: LicenseError | None
    last_updated_date_time: Time | None


class UserLicenses(Page):
    value: list[UserLicense]


class NamedUser(Answer):
    id: UserIdText
    display_name: Annotated[str, example("Ada Lovelace")]
    user_principal_name: Person


class FoundUser(NamedUser):
    account_enabled: bool
    mail: Person | None
    employee_id: Annotated[str, example("4711")] | None
    department: Annotated[str, example("Sales")] | None
    job_title: Annotated[str, example("Account Manager")] | None


class FoundUsers(Answer):
    value: list[FoundUser]


class AppSource(LicenseSource):
    on: bool


class UserApp(Answer):
    """A service plan of a user's products. It is on if any license has it on."""

    service_plan_id: PlanIdText
    service_plan_name: Annotated[str, example("TEAMS1")]
    display_name: Annotated[str, example("Microsoft Teams")]
    on: bool
    sources: list[AppSource]


class User(NamedUser):
    usage_location: Annotated[str, example("DE")] | None
    account_enabled: bool
    licenses: list[UserLicense]
    apps: list[UserApp]
    groups: list[GroupMember]
    history: list[AuditEntry]


class LicenseUser(NamedUser):
    account_enabled: bool
    licenses: list[UserLicense]


class LicenseUserPage(Page):
    value: list[LicenseUser]


class FoundLicense(Answer):
    sku_id: SkuIdText
    sku_part_number: PartNumber
    display_name: Annotated[str, example("Microsoft 365 E3")]


class Found(Answer):
    """The results of a search, at most 25 of each kind."""

    users: list[FoundUser]
    groups: list[FoundGroup]
    licenses: list[FoundLicense]


class PersonExport(Answer):
    """Everything that is stored about a user. `rows` are as they are stored, by table; bytes are in base64."""

    user_id: UserIdText
    rows: Annotated[dict[str, list[dict[str, Any]]], Field(examples=[{"ledger": [{"RowKey": USER}]}])]
    onboarding_events: Annotated[list[dict[str, Any]], Field(examples=[[]])]
    audit_entries: list[AuditEntry]


class Erasure(Answer):
    """Rows by table that were deleted or lost the name, and keys of HR events that are still open, which stay."""

    erased: Annotated[dict[str, int], Field(examples=[{"auditnames": 1, "onboarding": 2}])]
    open_events: list[OperationIdText]
    open_events_keep: Annotated[str, Field(description="Data that open events keep.", examples=["Names"])] | None
