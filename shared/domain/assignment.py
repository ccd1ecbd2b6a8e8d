"""The license assignment of a group: its SKUs, options, enforcement and version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from shared.domain.ids import GroupId, OperationId, Plans, SkuId


class Enforcement(StrEnum):
    """Whether syncs and operations complete what an assignment says for a SKU."""

    ENFORCED = "enforced"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class AssignmentState(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"


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
class OptionsChange:
    """Options to set, by their names in AssignmentOptions; those that are not named stay."""

    named: Mapping[str, Any]

    def applied_to(self, options: AssignmentOptions) -> AssignmentOptions:
        """The options with those that are named set."""
        return replace(options, **self.named)


@dataclass(frozen=True, slots=True)
class SkuAssignment:
    """One SKU of a group's assignment. `disabled_plans` is as requested; a plan that leaves the SKU stays in it."""

    sku_id: SkuId
    disabled_plans: Plans
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


def wants_sync(assignment: GroupLicenseAssignment) -> bool:
    """Whether a sync may complete what the assignment says; a paused one is left alone until a person goes on."""
    return assignment.version > 0 and all(sku.enforcement is not Enforcement.PAUSED for sku in assignment.skus)


def is_active(assignment: GroupLicenseAssignment) -> bool:
    """Whether the assignment gives anything; an ended one is kept until nothing of it is left."""
    return assignment.state is AssignmentState.ACTIVE and bool(assignment.skus)
