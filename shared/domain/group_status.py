"""The status of a managed group, in the admin center's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.ids import GroupId, OperationId, SkuId
from shared.domain.member_counts import MemberCounts, ProductCounts
from shared.domain.member_status import MemberState

SETTLED_AFTER = timedelta(minutes=2)
"""How long after a change the counts of a group are published again and again: the change is announced before it is
written."""


class GroupStateCode(StrEnum):
    """The state of a group for programs; the text beside it can change."""

    ALL_ASSIGNED = "allLicensesAssigned"
    IN_PROGRESS = "inProgress"
    ERRORS = "errorsAndIssues"


class GroupState(StrEnum):
    """The admin center's words for a group."""

    ALL_ASSIGNED = "All licenses assigned"
    IN_PROGRESS = "In progress"
    ERRORS = "Errors and issues"

    @property
    def code(self) -> GroupStateCode:
        return GroupStateCode[self.name]


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """The status of a group that pages read; `counts` are of its members by MemberState.

    `members`: as many as the last operation on the group read in the directory. The allowances count by it.
    `recorded`: members with a row who have not left. `failed`: the last operation on the group did.
    """

    group_id: GroupId
    state: GroupState
    members: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    products: Mapping[SkuId, ProductCounts] = field(default_factory=dict)
    recorded: int = 0
    failed: bool = False
    operation_id: OperationId | None = None
    updated_at: datetime | None = None
    dynamic: bool = False
    """A rule decides the members, or did when the group was read last."""
    version: str = field(default="", compare=False)
    """Of the stored row; empty while there is none."""

    @property
    def shown_members(self) -> int:
        """How many members people see: those with a row. During an operation most may have none yet."""
        in_progress = self.state is GroupState.IN_PROGRESS or not self.recorded
        return max(self.members, self.recorded) if in_progress else self.recorded

    @property
    def with_errors(self) -> int:
        """Members with an error, and waiting members."""
        return sum(number for state, number in self.counts.items() if MemberState(state).needs_a_person)

    def of_product(self, sku_id: SkuId) -> ProductCounts:
        """How many members have the product, wait for it, or have an error with it."""
        return self.products.get(sku_id, ProductCounts())


def with_counts(status: GroupStatus, counts: MemberCounts, skus: Iterable[SkuId], now: datetime) -> GroupStatus:
    """The status with these counts; the same status if it has them. `skus`: products of the group. The state follows
    the counts, except during an operation."""
    in_progress = status.state is GroupState.IN_PROGRESS
    found = replace(
        status,
        state=status.state if in_progress else state_of_group(counts.states, failed=status.failed),
        counts=dict(counts.states),
        products={sku_id: counts.of(sku_id) for sku_id in sorted({*skus, *counts.products})},
        recorded=counts.members,
    )
    return status if found == status else replace(found, updated_at=now)


def state_of_group(counts: Mapping[str, int], *, failed: bool) -> GroupState:
    """The word for a group whose operation has ended. `counts`: members by MemberState; `failed`: the operation did."""
    wrong = failed or any(counts.get(state, 0) for state in MemberState if state.needs_a_person)
    return GroupState.ERRORS if wrong else GroupState.ALL_ASSIGNED
