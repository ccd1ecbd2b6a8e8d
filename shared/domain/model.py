"""The words of the domain: Graph's own, spelt Graph's way, plus grants and owned licenses.

Values are frozen; ids are lower-case strings made canonical where they enter.
Names and literals: learn.microsoft.com/graph/api/resources/licenseassignmentstate, subscribedsku, assignedlicense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType, Self

UserId = NewType("UserId", str)
GroupId = NewType("GroupId", str)
SkuId = NewType("SkuId", str)
ServicePlanId = NewType("ServicePlanId", str)
OperationId = NewType("OperationId", str)

Plans = frozenset[ServicePlanId]
NO_PLANS: Plans = frozenset()


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
    """`error` of a licenseAssignmentState, and ours for refusals that Graph's enum has no word for."""

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


class MemberState(StrEnum):
    """What is shown for one (group, user): Graph's four words and three of ours."""

    ACTIVE = "Active"
    ACTIVE_WITH_ERROR = "ActiveWithError"
    DISABLED = "Disabled"
    ERROR = "Error"
    PENDING = "Pending"
    WAITING = "Waiting"
    REMOVED = "Removed"

    @property
    def needs_a_person(self) -> bool:
        """Whether the member stands in the group's list of errors and waits."""
        return self in (MemberState.ACTIVE_WITH_ERROR, MemberState.ERROR, MemberState.WAITING)


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
    def held_skus(self) -> frozenset[SkuId]:
        """SKUs the user occupies a seat of, from any source."""
        return frozenset(row.sku_id for row in self.license_assignment_states if row.state.counts)


class SourceKind(StrEnum):
    """Where a grant comes from."""

    GROUP = "group"
    LIST = "list"
    HR = "hr"
    KEPT = "kept"
    HELD = "held"
    GRACE = "grace"
    JOINED = "joined"


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """The origin of a grant: its kind, and the group, event or person behind it."""

    kind: SourceKind
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else str(self.kind)

    @classmethod
    def parse(cls, text: str) -> Self:
        kind, _, rest = text.partition(":")
        return cls(SourceKind(kind), rest)


@dataclass(frozen=True, slots=True)
class Grant:
    """A reason for a user to have a SKU. A plan is off for the user only where every grant disables it.

    `adds` False: what the user has stays, but nothing is given (an assignment whose operation was cancelled).
    """

    sku_id: SkuId
    disabled_plans: Plans
    source: Source
    until: datetime | None = None
    adds: bool = True

    def holds_at(self, now: datetime) -> bool:
        return self.until is None or now < self.until


class Enforcement(StrEnum):
    """Whether syncs and operations complete what an assignment says for a SKU."""

    ENFORCED = "enforced"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class AssignmentState(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


class DependencyRule(StrEnum):
    """Where the prerequisite of a service plan is looked for when an assignment is accepted."""

    SAME_GROUP = "sameGroup"
    UNION = "union"


@dataclass(frozen=True, slots=True)
class AssignmentOptions:
    """What an administrator may set beside the SKUs. Defaults are those of native group-based licensing."""

    usage_location: str | None = None
    require_usage_location: bool = False
    count_inherited: bool = False
    include_guests: bool = True
    include_disabled_accounts: bool = True
    excluded_groups: frozenset[GroupId] = frozenset()
    grace: timedelta = timedelta(0)
    dependencies: DependencyRule = DependencyRule.SAME_GROUP
    allow_native_overlap: bool = False
    priority: int = 0

    def gives_to_more_than(self, before: AssignmentOptions) -> bool:
        """Whether there may be members who are given licenses by these and were not by those."""
        return (
            self.include_guests > before.include_guests
            or self.include_disabled_accounts > before.include_disabled_accounts
            or not before.excluded_groups <= self.excluded_groups
        )


@dataclass(frozen=True, slots=True)
class SwitchedOffPlan:
    """A service plan switched off when the assignment was accepted, and the prerequisites it lacked."""

    service_plan_id: ServicePlanId
    missing: tuple[ServicePlanId, ...]


@dataclass(frozen=True, slots=True)
class SkuAssignment:
    """One SKU of a group's assignment. `disabled_plans` is frozen as resolved when it was accepted."""

    sku_id: SkuId
    disabled_plans: Plans
    requested_disabled_plans: Plans = NO_PLANS
    switched_off: tuple[SwitchedOffPlan, ...] = ()
    enforcement: Enforcement = Enforcement.ENFORCED
    given_at: datetime | None = None
    """When the group came to give this, or more of it: leave to remove it that a person gave before is over."""

    def after(self, before: SkuAssignment | None, now: datetime, *, to_more: bool = False) -> SkuAssignment:
        """This, with the time since which it is given. `before`: as the group had it, None if it had not. `to_more`:
        members who were left out are given it too."""
        if before is None or to_more or before.enforcement is Enforcement.CANCELLED:
            return replace(self, given_at=now)
        more = not before.disabled_plans <= self.disabled_plans
        return replace(self, given_at=now if more else before.given_at)


@dataclass(frozen=True, slots=True)
class GroupLicenseAssignment:
    """The intent for a group. `version` rises with every change a person makes; 0 means none was ever accepted."""

    group_id: GroupId
    skus: tuple[SkuAssignment, ...] = ()
    options: AssignmentOptions = field(default_factory=AssignmentOptions)
    state: AssignmentState = AssignmentState.ACTIVE
    version: int = 0
    operation_id: OperationId | None = None
    """The newest operation a person started on the group; an older one that is still open is superseded."""
    open_approval: OperationId | None = None
    """While a person decides about removals of this group, its allowance is not used."""
    more_held: bool = False
    """Removals were held after the list of the open approval was sealed: the next one opens as this one closes."""
    display_name: str = ""
    changed_by: str = ""
    changed_at: datetime | None = None

    def sku(self, sku_id: SkuId) -> SkuAssignment | None:
        return next((each for each in self.skus if each.sku_id == sku_id), None)


@dataclass(frozen=True, slots=True)
class OwnedLicense:
    """A direct license this system assigned: what was written, when, and for which sources."""

    disabled_plans: Plans
    at: datetime
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """A write about to go out, recorded before it does. `before`/`after` map each touched SKU to its direct
    `disabledPlans`, or None where the user has (or shall have) no direct license of it."""

    id: str
    cause: str
    before: Mapping[SkuId, Plans | None]
    after: Mapping[SkuId, Plans | None]
    at: datetime
    usage_location: str | None = None
    sources: Mapping[SkuId, tuple[Source, ...]] = field(default_factory=dict)
    foreign: frozenset[SkuId] = frozenset()
    """SKUs in which a person had plans enabled without making the license ours."""


@dataclass(frozen=True, slots=True)
class RefusalRecord:
    """What Graph refused, remembered so that the same work is not refused again every night."""

    fingerprint: str
    error: LicenseError
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class LastResult:
    """The newest write that succeeded and its cause, kept so that a redelivery reports it instead of `Unchanged`."""

    intent_id: str
    cause: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """What an event said of a user and a group: came into it or went from it; and when it was told."""

    came: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """What this system knows of one user. `version` is the ETag of the stored row, None where there is none yet."""

    user_id: UserId
    owned: Mapping[SkuId, OwnedLicense] = field(default_factory=dict)
    intent: Intent | None = None
    last_result: LastResult | None = None
    removal_seen_at: Mapping[str, datetime] = field(default_factory=dict)
    """First read at which a removal was due, by SKU id or `sku/plan`; the second read decides."""
    gone_since: Mapping[SkuId, datetime] = field(default_factory=dict)
    refusals: Mapping[SkuId, RefusalRecord] = field(default_factory=dict)
    waiting_since: Mapping[SkuId, datetime] = field(default_factory=dict)
    unseen: Mapping[SkuId, OwnedLicense] = field(default_factory=dict)
    """Writes whose answer was lost and that no read has shown: they are ours if a late read shows them all the same."""
    removed_at: Mapping[SkuId, datetime] = field(default_factory=dict)
    """What we took away within the last minutes: a late read may still show it, and it is nobody else's for that."""
    told: Mapping[GroupId, Told] = field(default_factory=dict)
    """The newest events of the last minutes, so that an older one is not waited for."""
    usage_location: str = ""
    """What HR said; set for a user who has none, before any default."""
    denied_since: datetime | None = None
    """Since when the directory says that there is no such user; a deleted one can be restored for 30 days."""
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to remove a SKU (or turn off `plans` of it) from a user, given by an allowance or a sealed approval.

    Valid only for a license that was ours when the permit was given: one given again later needs a new permit.
    """

    user_id: UserId
    sku_id: SkuId
    source: Source
    at: datetime
    given_by: str
    plans: Plans = NO_PLANS
    by_approval: bool = False
