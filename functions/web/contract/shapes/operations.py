"""Answers about operations: state, plan, preview and the members that were planned."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from functions.web.contract.shapes.common import (
    E3,
    Answer,
    ClaimedBy,
    Count,
    GroupIdText,
    Initiator,
    License,
    OperationIdText,
    Page,
    PlanIdText,
    SkuIdText,
    Time,
    UserIdText,
    example,
)
from functions.web.contract.shapes.groups import Note, Problem
from shared.domain.directory import LicenseError
from shared.domain.member_status import MemberState
from shared.domain.native_progress import NativeStage
from shared.domain.operation import Cause, OperationKind, OperationState, Phase
from shared.domain.outcomes import OutcomeClass
from shared.domain.predicted_errors import Certainty

CountBySku = Annotated[dict[str, int], Field(examples=[{E3: 120}])]


def _with_example(**values: Any) -> ConfigDict:
    whole = {to_camel(name): value for name, value in values.items()}
    return ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True, json_schema_extra={"examples": [whole]}
    )


class Target(Answer):
    """A group, or how many users a list has."""

    group_id: GroupIdText | None = None
    user_ids: Count | None = None


class Totals(Answer):
    """Users by how their part of the work ended."""

    model_config = _with_example(
        members=120, due=100, applied=58, unchanged=20, waiting=1, failed=1, skipped=0, remaining=40, wrote=58
    )

    members: Count
    due: Count
    applied: Count
    unchanged: Count
    waiting: Count
    failed: Count
    skipped: Count
    remaining: Count
    wrote: Count


class Plan(Answer):
    """The result of planning: the preview, and the numbers behind an approval."""

    additions: CountBySku
    removals: CountBySku
    plans_off: Count
    licenses_needed: CountBySku
    licenses_available: Annotated[dict[str, int], Field(examples=[{E3: 37}])]
    usage_locations: Count
    errors: Annotated[dict[str, int], Field(examples=[{"CountViolation": 4}])]
    warnings: list[Annotated[str, example("Microsoft lists SPE_E3 and SPE_F1 as exclusive.")]]
    unmanaged: Count
    users_losing: Count
    users_keeping: Count
    users_failing: Count
    users_waiting: Count
    protected_people: list[UserIdText]


class OperationFault(Answer):
    code: Annotated[str, example("Permission")]
    message: Annotated[str, example("Graph rejected the write: the app lacks the permission.")]
    remedy: Annotated[str, example("Grant LicenseAssignment.ReadWrite.All to the app's identity.")]


class Operation(Answer):
    id: OperationIdText
    kind: OperationKind
    target: Target
    add_licenses: list[License]
    remove_licenses: list[SkuIdText]
    keep_licenses: bool
    manage_licenses: list[SkuIdText]
    turn_on_apps: list[SkuIdText]
    preview: bool
    state: OperationState
    phase: Phase
    native_stage: NativeStage | None
    collecting: bool
    reason: Annotated[str, example("1,180 of 2,000 members left within 40 s.")] | None
    cause: Cause
    correlation_id: Annotated[str, example("onboarding-2026-11")] | None
    assignment_version: Count
    created_date_time: Time
    started_date_time: Time | None
    completed_date_time: Time | None
    estimated_completion_date_time: Time | None
    initiated_by: Initiator
    claimed_by: ClaimedBy | None
    approved_by: Initiator | None
    cancel_requested_by: Initiator | None
    superseded_by: OperationIdText | None
    totals: Totals
    plan: Plan
    drift: Count | None
    checksum: Annotated[str, example("9b1f2e3d4c5b6a79")] | None
    error: OperationFault | None


class OperationPage(Page):
    value: list[Operation]


class GivenApproval(Answer):
    approved_by: Initiator
    approved_date_time: Time


class ProtectedPerson(Answer):
    id: UserIdText
    reasons: list[Annotated[str, example("Global Administrator")]]


class Approval(Answer):
    """Who can approve, and what happens without a decision: at `expiresDateTime` it counts as rejected, and at
    `keptUntilDateTime` what is still due is requested again."""

    approvals_needed: Annotated[int, Field(ge=1, le=2, examples=[2])]
    approvals: list[GivenApproval]
    requester_can_approve: bool
    app_roles: list[Annotated[str, example("Licensing.Approve")]]
    directory_roles: list[Annotated[str, example("License Administrator")]]
    protected_people: list[ProtectedPerson]
    expires_date_time: Time
    kept_until_date_time: Time


class WaitingOperation(Operation):
    approval: Approval


class Approvals(Page):
    value: list[WaitingOperation]


class PlansOff(Answer):
    sku_id: SkuIdText
    service_plans: list[PlanIdText]


class CausingSku(Answer):
    sku_id: SkuIdText
    sku_part_number: Annotated[str, example("SPE_F1")] | None


class ExpectedError(Answer):
    """`certainty` is `expected` if this app found the error, or if Graph has rejected the same in this tenant. It is
    `likely` if it follows from a list of Microsoft, an address of another object, or the number of licenses."""

    error: LicenseError
    sku_id: SkuIdText | None
    sku_part_number: Annotated[str, example("SPE_E3")] | None
    certainty: Certainty
    message: Annotated[str, example("Microsoft lists SPE_E3 and SPE_F1 as exclusive.")]
    remedy: Annotated[str, example("Remove the other license.")]
    caused_by_skus: list[CausingSku]


class PredictedError(ExpectedError):
    id: UserIdText
    display_name: Annotated[str, example("Ada Lovelace")] | None
    user_principal_name: Annotated[str, example("ada@contoso.com")] | None


class PredictedErrorPage(Page):
    value: list[PredictedError]


class PlannedMember(Answer):
    """The names are those of a user who would lose something; null for any other."""

    id: UserIdText
    display_name: Annotated[str, example("Ada Lovelace")] | None
    user_principal_name: Annotated[str, example("ada@contoso.com")] | None
    due: bool
    expected_outcome: OutcomeClass
    add_licenses: list[License]
    remove_licenses: list[SkuIdText]
    plans_off: list[PlansOff]
    usage_location: Annotated[str, example("DE")] | None
    notes: list[Note]
    expected_errors: list[ExpectedError]
    outcome: OutcomeClass | None
    next_attempt_date_time: Time | None
    state: MemberState | None
    problems: list[Problem]


class PlannedMemberPage(Page):
    value: list[PlannedMember]


class CombinedMember(PlannedMember):
    """What one of the previews plans for a user that the request names."""

    operation_id: OperationIdText


class CombinedPlan(Answer):
    """Several previews together: users by product, each user once. The checksum is over those of all previews."""

    checksum: Annotated[str, example("9b1f2e3d4c5b6a79")]
    additions: CountBySku
    removals: CountBySku
    users_losing: Count
    members: list[CombinedMember]
