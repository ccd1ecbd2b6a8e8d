"""What requests look like: Graph's shapes, checked before anything else sees them. Ids leave here in lower case.

`assignLicense` is Graph's action of the same name (learn.microsoft.com/graph/api/group-assignlicense): both arrays are
required, either may be empty, a product given again replaces its `disabledPlans`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.alias_generators import to_camel

from functions.web.names import GroupName, PlanName, SkuName, UserName
from shared.domain.assignment import OptionsChange
from shared.domain.countries import is_country
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId, is_guid
from shared.domain.operation import LicenseChange
from shared.domain.operation_request import GroupChange

MAX_SKUS = 50
MAX_PLANS = 200
MAX_USERS = 5000
MAX_OTHER_CHANGES = 500
MAX_SHOWN_USERS = 1000
MAX_TOP = 999
"""Rows of one page at most, as in Graph."""

DEFAULT_TOP = 100
MAX_GRACE = timedelta(days=365)
MAX_ALLOWANCE = 100_000
MAX_REASON = 256
NULLABLE = frozenset({"usage_location", "removal_allowance"})
"""Options that a request can take away by null."""

_OPERATION_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[A-Za-z0-9._:~-]{1,128}")


def guid(text: str) -> str:
    """The GUID in lower case. Raises ValueError."""
    lowered = text.strip().lower()
    if not is_guid(lowered):
        raise ValueError(f"must be a GUID, not {text[:64]!r}")
    return lowered


def operation_id(text: str) -> str:
    """An operation's id. Raises ValueError."""
    lowered = text.lower()
    if not _OPERATION_ID.fullmatch(lowered):
        raise ValueError("must be the 32 hex digits of an operation's id")
    return lowered


def idempotency_key(text: str) -> str:
    """The value of an Idempotency-Key header, with or without quotes. Raises ValueError."""
    key = text.strip().strip('"')
    if not _KEY.fullmatch(key):
        raise ValueError("must be 1 to 128 of letters, digits and . _ : ~ -")
    return key


def version_of(etag: str) -> int | None:
    """The version in an If-Match header such as `W/"3"`; None for `*`, which any version matches. Raises ValueError."""
    if etag.strip() == "*":
        return None
    match = re.fullmatch(r'(?:W/)?"(\d{1,9})"', etag.strip())
    if match is None:
        raise ValueError('must be * or the @odata.etag of an earlier answer, such as W/"3"')
    return int(match[1])


def etag(text: str) -> str:
    """The value of an If-Match header. Raises ValueError."""
    version_of(text)
    return text


def etag_of(version: int) -> str:
    """The ETag of a license assignment."""
    return f'W/"{version}"'


Guid = Annotated[str, AfterValidator(guid), WithJsonSchema({"type": "string", "format": "uuid"})]
OperationIdText = Annotated[
    str, AfterValidator(operation_id), WithJsonSchema({"type": "string", "pattern": "^[0-9a-fA-F]{32}$"})
]
IdempotencyKey = Annotated[str, AfterValidator(idempotency_key)]
IfMatchText = Annotated[str, AfterValidator(etag)]


EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, tzinfo=UTC)


def moment(text: str) -> datetime:
    """A date or a time as in ISO 8601; UTC if there is no zone. Raises ValueError."""
    try:
        found = datetime.fromisoformat(text.strip())
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        if EARLIEST <= found <= LATEST:
            return found
    except (ValueError, OverflowError):
        pass
    years = f"{EARLIEST.year} to {LATEST.year}"
    raise ValueError(f"must be a date or a time as in ISO 8601, of the years {years}")


def end_of(text: str) -> datetime:
    """The same; a date means its end. Raises ValueError."""
    found = moment(text)
    return found + timedelta(days=1) if len(text.strip()) <= len("2026-01-31") else found


TimeText = WithJsonSchema({"type": "string", "description": "A date or a time, as in ISO 8601."})
Since = Annotated[datetime, BeforeValidator(moment), TimeText]
Until = Annotated[datetime, BeforeValidator(end_of), TimeText]


class Shape(BaseModel):
    """A JSON object of a request: camelCase names; unknown ones are rejected, annotations as `@odata.type` not."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _without_annotations(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: each for name, each in value.items() if not str(name).startswith("@odata.")}


class LicenseRequest(Shape):
    """Graph's assignedLicense."""

    sku_id: SkuName
    disabled_plans: Annotated[list[PlanName], Field(max_length=MAX_PLANS)] = []

    def value(self) -> AssignedLicense:
        return AssignedLicense(SkuId(self.sku_id), frozenset(ServicePlanId(plan) for plan in self.disabled_plans))


def country(text: str) -> str:
    """A two-letter country code in capitals. Raises ValueError."""
    if not is_country(text.upper()):
        raise ValueError(f"must be a country code of two letters, as in ISO 3166-1, such as DE; {text[:20]!r} is none")
    return text.upper()


class OptionsPatch(Shape):
    """Options of a license assignment to change; what is not named stays."""

    usage_location: Annotated[str, AfterValidator(country)] | None = None
    require_usage_location: bool | None = None
    count_inherited: bool | None = None
    include_guests: bool | None = None
    include_disabled_accounts: bool | None = None
    excluded_groups: Annotated[list[GroupName], Field(max_length=50)] | None = None
    grace: Annotated[timedelta, Field(ge=timedelta(0), le=MAX_GRACE)] | None = None
    allow_native_overlap: bool | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] | None = None
    removal_allowance: Annotated[int, Field(ge=0, le=MAX_ALLOWANCE, examples=[300])] | None = None
    removal_allowance_reason: Annotated[str, Field(max_length=MAX_REASON, examples=["The term ends"])] | None = None

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("names no option to change")
        nulls = sorted(name for name in self.model_fields_set - NULLABLE if getattr(self, name) is None)
        if nulls:
            raise ValueError(f"{to_camel(nulls[0])} cannot be null")
        return self

    def value(self) -> OptionsChange:
        """The named options. `usageLocation: null` takes the default location away, `removalAllowance: null` the
        allowance of the group."""
        changes: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "excluded_groups" in changes:
            changes["excluded_groups"] = frozenset(GroupId(group_id) for group_id in changes["excluded_groups"])
        return OptionsChange(changes)


class ApprovedPreview(Shape):
    """The preview that the caller has read; its checksum approves the removals that it showed."""

    id: OperationIdText
    checksum: Annotated[str, Field(min_length=1, max_length=128)]


class Licenses(Shape):
    """Licenses to add and to remove."""

    add_licenses: Annotated[list[LicenseRequest], Field(max_length=MAX_SKUS)]
    remove_licenses: Annotated[list[SkuName], Field(max_length=MAX_SKUS)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        added = [license.sku_id for license in self.add_licenses]
        twice = sorted({sku_id for sku_id in added if added.count(sku_id) > 1})
        both = sorted(set(added) & set(self.remove_licenses))
        if not added and not self.remove_licenses:
            raise ValueError("addLicenses and removeLicenses are both empty")
        if twice:
            raise ValueError(f"addLicenses names SKU {twice[0]} twice")
        if both:
            raise ValueError(f"SKU {both[0]} is in addLicenses and in removeLicenses")
        return self

    def change(self) -> LicenseChange:
        removed = dict.fromkeys(SkuId(sku_id) for sku_id in self.remove_licenses)
        return LicenseChange(tuple(license.value() for license in self.add_licenses), tuple(removed))


class GroupLicenses(Licenses):
    """Licenses of a group to add and to remove. With `keepLicenses`, the group is not managed any more.

    `removeLicenses` then names all its products, and its members keep them.
    """

    keep_licenses: bool = False

    def change(self) -> LicenseChange:
        return replace(super().change(), keep=self.keep_licenses)


class AssignLicense(Licenses):
    """The body of assignLicense."""

    approved_preview: ApprovedPreview | None = None


class AssignLicenseToUsers(AssignLicense):
    """The body of assignLicense for a list of users."""

    user_ids: Annotated[list[UserName], Field(min_length=1, max_length=MAX_USERS)]

    def users(self) -> tuple[UserId, ...]:
        return tuple(dict.fromkeys(UserId(user_id) for user_id in self.user_ids))


class OtherChange(GroupLicenses):
    """A change of another group that a preview assumes."""

    group_id: Annotated[GroupName, Field(examples=["0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"])]
    options: OptionsPatch | None = None

    def value(self) -> GroupChange:
        options = self.options.value() if self.options else None
        return GroupChange(GroupId(self.group_id), self.change(), options)


class AssignLicenseToGroup(AssignLicense, GroupLicenses):
    """The body of assignLicense for a group; `options` are set with the licenses, before any user is processed. With
    `otherChanges`, a preview assumes these changes of other groups too: it shows the result of all of them together."""

    options: OptionsPatch | None = None
    other_changes: Annotated[list[OtherChange], Field(max_length=MAX_OTHER_CHANGES)] = []

    def others(self) -> tuple[GroupChange, ...]:
        return tuple(each.value() for each in self.other_changes)


class CombinePlans(Shape):
    """The body of combinedPlan: previews, and users whose planned changes are shown."""

    operation_ids: Annotated[
        list[OperationIdText],
        Field(min_length=1, max_length=MAX_OTHER_CHANGES + 1, examples=[["0199d0f31c2a4b6d8e0f123456789abc"]]),
    ]
    user_ids: Annotated[
        list[Guid], Field(max_length=MAX_SHOWN_USERS, examples=[["2d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"]])
    ] = []


class Approve(Shape):
    """The body of approve: the checksum of the list of removals that the caller has read."""

    checksum: Annotated[str, Field(min_length=1, max_length=128)]


class UnmanagedLicenses(Shape):
    """The body of adoptLicenses and enableServicePlans: SKUs of unmanaged licenses."""

    sku_ids: Annotated[list[SkuName], Field(min_length=1, max_length=MAX_SKUS)]

    def skus(self) -> tuple[SkuId, ...]:
        return tuple(dict.fromkeys(SkuId(sku_id) for sku_id in self.sku_ids))


class EndingLicenses(UnmanagedLicenses):
    """The body of keepLicenses and removeLicensesNow: SKUs of licenses that are in grace, held or kept."""


class Corrected(Shape):
    """The body of a replay: what to send instead of the message that was kept."""

    message: dict[str, Any]


class Cancel(Shape):
    """The body of cancel: keep the assignment as it is, not enforced, or restore the one before the operation."""

    assignment: Literal["keep", "restore"] = "keep"
