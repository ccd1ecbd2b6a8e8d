"""The directory's values, named as in Graph: users, groups, licenses, products.

Names and literals: learn.microsoft.com/graph/api/resources/licenseassignmentstate, subscribedsku, assignedlicense.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.ids import NO_PLANS, GroupId, Plans, ServicePlanId, SkuId, UserId


class LicenseState(StrEnum):
    """`state` of a licenseAssignmentState."""

    ACTIVE = "Active"
    ACTIVE_WITH_ERROR = "ActiveWithError"
    DISABLED = "Disabled"
    ERROR = "Error"
    OTHER = "Other"

    @classmethod
    def parse(cls, text: str) -> LicenseState:
        """The literal, or OTHER for one that Graph may add."""
        return cls(text) if text in cls._value2member_map_ else cls.OTHER

    @property
    def counts(self) -> bool:
        """Whether the user really has the license: rows in `Error` or `Disabled` only look like it."""
        return self in (LicenseState.ACTIVE, LicenseState.ACTIVE_WITH_ERROR)


class LicenseError(StrEnum):
    """`error` of a licenseAssignmentState, and ours for rejections that Graph's enum has no word for."""

    COUNT_VIOLATION = "CountViolation"
    MUTUALLY_EXCLUSIVE = "MutuallyExclusiveViolation"
    DEPENDENCY = "DependencyViolation"
    PROHIBITED_IN_USAGE_LOCATION = "ProhibitedInUsageLocationViolation"
    UNIQUENESS = "UniquenessViolation"
    OTHER = "Other"
    NOT_FOUND = "NotFound"
    PERMISSION = "Permission"
    INVALID_LICENSE = "InvalidLicense"
    CONCURRENCY = "Concurrency"
    UNAVAILABLE = "Unavailable"


@dataclass(frozen=True, slots=True)
class AssignedLicense:
    """A license to give: the SKU and the service plans switched off in it."""

    sku_id: SkuId
    disabled_plans: Plans = NO_PLANS


@dataclass(frozen=True, slots=True)
class LicenseAssignmentState:
    """One row per (SKU, source) of what a user has; `assigned_by_group` None means assigned directly."""

    sku_id: SkuId
    disabled_plans: Plans = NO_PLANS
    assigned_by_group: GroupId | None = None
    state: LicenseState = LicenseState.ACTIVE
    error: str | None = None
    last_updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """A part of a product. `applies_to` is `User` or `Company`."""

    service_plan_id: ServicePlanId
    service_plan_name: str
    applies_to: str = "User"
    provisioning_status: str = "Success"


@dataclass(frozen=True, slots=True)
class SubscribedSku:
    """A product the tenant owns, with its units (seats)."""

    sku_id: SkuId
    sku_part_number: str
    service_plans: tuple[ServicePlan, ...] = ()
    applies_to: str = "User"
    capability_status: str = "Enabled"
    enabled: int = 0
    warning: int = 0
    suspended: int = 0
    locked_out: int = 0
    consumed_units: int = 0

    @property
    def available(self) -> int:
        """Seats still to hand out: enabled and warning units count, suspended and locked-out ones do not."""
        return max(0, self.enabled + self.warning - self.consumed_units)

    @property
    def plan_ids(self) -> Plans:
        return frozenset(plan.service_plan_id for plan in self.service_plans)


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """One complete read of a user: a read that lacks any of this is a failed read, never an empty one.

    `group_ids` are all groups the user is in, transitively.
    """

    id: UserId
    user_principal_name: str
    display_name: str
    account_enabled: bool
    user_type: str
    usage_location: str | None
    license_assignment_states: tuple[LicenseAssignmentState, ...]
    group_ids: frozenset[GroupId] = frozenset()

    @property
    def is_guest(self) -> bool:
        return self.user_type.lower() == "guest"

    @property
    def direct(self) -> dict[SkuId, LicenseAssignmentState]:
        """Licenses assigned directly that the user really has."""
        return {
            row.sku_id: row
            for row in self.license_assignment_states
            if row.assigned_by_group is None and row.state.counts
        }

    @property
    def assigned(self) -> dict[SkuId, LicenseAssignmentState]:
        """Licenses assigned directly, also those that the user has not got because of their state."""
        return {row.sku_id: row for row in self.license_assignment_states if row.assigned_by_group is None}

    @property
    def inherited(self) -> dict[SkuId, tuple[LicenseAssignmentState, ...]]:
        """Licenses that native group-based licensing gives, by SKU."""
        rows: dict[SkuId, tuple[LicenseAssignmentState, ...]] = {}
        for row in self.license_assignment_states:
            if row.assigned_by_group is not None and row.state.counts:
                rows[row.sku_id] = (*rows.get(row.sku_id, ()), row)
        return rows

    @property
    def assigned_skus(self) -> frozenset[SkuId]:
        """SKUs the user occupies a seat of, from any source."""
        return frozenset(row.sku_id for row in self.license_assignment_states if row.state.counts)


@dataclass(frozen=True, slots=True)
class FoundUser:
    """A user as a search shows it, with what distinguishes people of the same name."""

    id: UserId
    display_name: str
    user_principal_name: str
    account_enabled: bool
    mail: str = ""
    employee_id: str = ""
    department: str = ""
    job_title: str = ""


@dataclass(frozen=True, slots=True)
class UserGone:
    """The directory says there is no such user now (404)."""


@dataclass(frozen=True, slots=True)
class NotAUser:
    """The id is of something else, such as a device; `kind` is its Graph type."""

    kind: str


@dataclass(frozen=True, slots=True)
class ReadFailed:
    """This user could not be read completely. `rejected`: by Graph with an answer that will not change by waiting.
    `denied`: the token lacks a permission, which a grant changes."""

    why: str
    retry_after_s: float | None = None
    rejected: bool = False
    denied: bool = False


UserRead = DirectoryUser | UserGone | NotAUser | ReadFailed


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    """A group and what decides whether it may be managed. `native_skus`: what native group-based licensing gives it."""

    id: GroupId
    display_name: str
    security_enabled: bool
    group_types: tuple[str, ...] = ()
    hidden_membership: bool = False
    native_skus: tuple[AssignedLicense, ...] = ()
    on_premises: bool = False
    role_assignable: bool = False
    mail_enabled: bool = False

    @property
    def is_dynamic(self) -> bool:
        """Whether a rule decides who its members are (learn.microsoft.com/graph/api/resources/group, `groupTypes`)."""
        return "DynamicMembership" in self.group_types
