"""The license assignment of a group: its engine, SKUs, options, enforcement and version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.errors import BadRequest
from shared.domain.ids import GroupId, OperationId, Plans, SkuId
from shared.domain.native_handover import NativeHandover, covers_all


class Engine(StrEnum):
    """What assigns the licenses of a group's members."""

    WATCHED = "watched"
    """Microsoft's own group-based licensing; this app reads and reports."""
    NATIVE = "native"
    """Microsoft's own group-based licensing, as this app decides."""
    DIRECT = "direct"
    """This app, with direct licenses."""


class Enforcement(StrEnum):
    """Whether syncs and operations complete what an assignment says for a SKU."""

    ENFORCED = "enforced"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class AssignmentState(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"
    NOT_MANAGED = "notManaged"
    """A person ended the assignment so that members keep their licenses. Nothing that came from it is removed."""


@dataclass(frozen=True, slots=True)
class AssignmentOptions:
    """Options that an administrator can set beside the SKUs. Defaults are those of native group-based licensing."""

    usage_location: str | None = None
    require_usage_location: bool = False
    count_inherited: bool = False
    include_guests: bool = True
    include_disabled_accounts: bool = True
    excluded_groups: frozenset[GroupId] = frozenset()
    grace: timedelta = timedelta(0)
    allow_native_overlap: bool = False
    priority: int = 0
    removal_allowance: int | None = None
    """Removals in 24 hours that need no approval, in the place of the settings; a person says why."""
    removal_allowance_reason: str = ""

    @property
    def left_out(self) -> frozenset[str]:
        """Names of the members that the options leave without licenses, and IDs of the excluded groups."""
        kinds = (("guests", self.include_guests), ("disabled accounts", self.include_disabled_accounts))
        return self.excluded_groups | {name for name, is_included in kinds if not is_included}


@dataclass(frozen=True, slots=True)
class OptionsChange:
    """Options to set, by their names in AssignmentOptions; those that are not named stay."""

    named: Mapping[str, Any]

    def applied_to(self, options: AssignmentOptions) -> AssignmentOptions:
        """The options with those that are named set. Raises BadRequest for a removal allowance without a reason."""
        after = replace(options, **self.named)
        if after.removal_allowance is None:
            return replace(after, removal_allowance_reason="")
        if not after.removal_allowance_reason.strip():
            text = "A removal allowance of the group's own needs a reason: set removalAllowanceReason."
            raise BadRequest("ReasonRequired", text, "removalAllowanceReason")
        return after


@dataclass(frozen=True, slots=True)
class SkuAssignment:
    """One SKU of a group's assignment. `disabled_plans` is as requested; a plan that leaves the SKU stays in it."""

    sku_id: SkuId
    disabled_plans: Plans
    enforcement: Enforcement = Enforcement.ENFORCED
    changed_at: datetime | None = None
    """When the group last changed what it assigns of the SKU: of several groups, the one that changed last let go."""

    def after(self, before: SkuAssignment | None, now: datetime) -> SkuAssignment:
        """This, with the time of its last change. `before`: as the group had it, None if it had not."""
        same = before is not None and (before.disabled_plans, before.enforcement) == (
            self.disabled_plans,
            self.enforcement,
        )
        return replace(self, changed_at=before.changed_at if before and same else now)


@dataclass(frozen=True, slots=True)
class GroupLicenseAssignment:
    """The intent for a group. `version` rises with every change a person makes; 0 means none was ever accepted.

    Only a group of the engine `direct` has `skus`, so no rule about direct licenses finds anything in another one.
    """

    group_id: GroupId
    skus: tuple[SkuAssignment, ...] = ()
    options: AssignmentOptions = field(default_factory=AssignmentOptions)
    state: AssignmentState = AssignmentState.ACTIVE
    version: int = 0
    pauses: int = 0
    """How many of the versions changed nothing that the group assigns: a pause, a resume, a reprocess."""
    operation_id: OperationId | None = None
    """The newest operation a person started on the group; an older one that is still open is superseded."""
    open_approval: OperationId | None = None
    """While a person decides about removals of this group, its allowance is not used."""
    more_held: bool = False
    """Removals were held after the snapshot of the open approval was taken: the next one opens as this one closes."""
    display_name: str = ""
    changed_by: str = ""
    changed_by_id: str = ""
    """Object ID of the person who made this version; empty if no person did."""
    changed_at: datetime | None = None
    engine: Engine = Engine.DIRECT
    native: tuple[AssignedLicense, ...] = ()
    """What Microsoft's licensing assigns to the members, as it was read; of a group that is not `direct`."""
    handover: NativeHandover | None = None
    """While the group moves to native licensing: the members who need no direct license once the native one covers
    them."""

    def __post_init__(self) -> None:
        if self.skus and self.engine is not Engine.DIRECT:
            raise ValueError(f"group {self.group_id}: a group of the engine {self.engine} has no direct licenses")

    @property
    def sku_ids(self) -> tuple[SkuId, ...]:
        """The products of the group, whichever engine assigns them."""
        return (*(each.sku_id for each in self.skus), *(each.sku_id for each in self.native))

    @property
    def claim_version(self) -> int:
        """The version that claims name: it stays as long as the group assigns the same."""
        return self.version - self.pauses

    def is_handed_over(self, user: DirectoryUser) -> bool:
        """Whether native licensing covers all that the group assigns to a user whose turn it is."""
        if self.handover is None or not self.handover.includes(user.id):
            return False
        return covers_all(
            user, self.group_id, [AssignedLicense(each.sku_id, each.disabled_plans) for each in self.skus]
        )

    def sku(self, sku_id: SkuId) -> SkuAssignment | None:
        return next((each for each in self.skus if each.sku_id == sku_id), None)


def with_claims_kept(before: GroupLicenseAssignment, after: GroupLicenseAssignment) -> GroupLicenseAssignment:
    """The next version of an assignment. One that assigns the same, as after a reprocess, keeps its claims, and with
    them what a person has approved. What Microsoft's licensing assigns is not part of the comparison."""
    if after.engine is Engine.NATIVE or (after.skus, after.options, after.state) != (
        before.skus,
        before.options,
        before.state,
    ):
        return after
    return replace(
        after,
        pauses=after.pauses + 1,
        changed_by=before.changed_by,
        changed_by_id=before.changed_by_id,
        changed_at=before.changed_at,
    )


def wants_sync(assignment: GroupLicenseAssignment) -> bool:
    """Whether a sync may complete what the assignment says; a paused one is left alone until a person goes on."""
    is_managed = assignment.engine is Engine.DIRECT and assignment.version > 0
    return is_managed and all(sku.enforcement is not Enforcement.PAUSED for sku in assignment.skus)


def is_watched(assignment: GroupLicenseAssignment) -> bool:
    """Whether the members' rows come from reading what Microsoft's licensing did."""
    return assignment.engine is not Engine.DIRECT and assignment.state is AssignmentState.ACTIVE


def is_active(assignment: GroupLicenseAssignment) -> bool:
    """Whether the assignment gives anything; an ended one is kept until nothing of it is left."""
    return assignment.state is AssignmentState.ACTIVE and bool(assignment.skus)
