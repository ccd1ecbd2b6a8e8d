"""Answers about moves between native and direct licensing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from functions.web.contract.shapes.common import (
    Answer,
    ClaimedBy,
    Count,
    GroupIdText,
    Initiator,
    License,
    OperationIdText,
    Page,
    Person,
    PlanIdText,
    SkuIdText,
    Time,
    UserIdText,
    example,
)
from functions.web.contract.shapes.operations import GivenApproval
from shared.domain.move import Direction, MovePhase
from shared.domain.move_members import MoveVerdict
from shared.domain.move_report import MoveOutcome

STATES = "`preview`, `inProgress`, `awaitingApproval`, `paused`, `undoing`, `done`, `undone` or `failed`."


class LicensesNeeded(Answer):
    """Licenses that the move consumes for members who have none from any source."""

    sku_id: SkuIdText
    needed: Count
    available: Count


class Move(Answer):
    """A move of a group's licensing, or the preview of one."""

    id: OperationIdText
    group_id: GroupIdText
    direction: Direction
    state: Annotated[str, Field(description=STATES, examples=["inProgress"])]
    phase: MovePhase
    undoing: bool
    paused_reason: Annotated[str, example("2 members cannot be moved.")] | None
    problem: Annotated[str, Field(description="A problem of the last step.", examples=["not sent"])] | None
    licenses: list[License]
    pilot: list[UserIdText]
    waves: list[Annotated[int, Field(ge=1, le=100, examples=[10])]]
    wave: Annotated[int, Field(ge=0, description="0: the pilot users; then the position in waves.", examples=[1])]
    members: Count
    nested_members: Count
    protected_members: Count
    convert_direct: Annotated[
        list[UserIdText], Field(description="Members whose unmanaged direct licenses end in the last step.")
    ]
    unmanaged_members: Annotated[
        list[UserIdText],
        Field(description="Members who had an unmanaged direct license of a product at the start, at most 1,000."),
    ]
    newly_licensed_members: Count
    licenses_needed: list[LicensesNeeded]
    verdicts: dict[MoveVerdict, int]
    verified_date_times: list[Time]
    checksum: Annotated[str, Field(description="Approve with it.", examples=["4f0c"])] | None
    can_be_undone: bool
    removal_errors: Annotated[
        int, Field(ge=0, description="Members whose native licenses could not be removed yet.", examples=[0])
    ]
    created_date_time: Time
    progress_date_time: Time | None
    completed_date_time: Time | None
    initiated_by: Initiator
    claimed_by: ClaimedBy | None
    approvals: list[GivenApproval]
    approved_by: Initiator | None


class ProductSources(Answer):
    """Sources: `native` (the group's native licensing), `direct`, `otherGroup` (native licensing of another one)."""

    sku_id: SkuIdText
    sources: list[Annotated[str, example("native")]]


class ProductPlans(Answer):
    sku_id: SkuIdText
    service_plan_ids: list[PlanIdText]


class MovedMember(Answer):
    """A member before the move and now."""

    id: UserIdText
    display_name: Annotated[str, example("Ada")] | None
    user_principal_name: Person | None
    outcome: MoveOutcome
    nested: bool
    sources_before: list[ProductSources]
    sources_after: list[ProductSources]
    lost_plans: list[ProductPlans]
    gained_plans: list[ProductPlans]


class MoveReport(Page):
    """All members of then and now."""

    move: Move
    outcomes: dict[MoveOutcome, int]
    value: list[MovedMember]
