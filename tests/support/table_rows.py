"""Values and an operation that tests of several tables store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId, OperationId, ServicePlanId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.operation import (
    LicenseChange,
    Operation,
    OperationError,
    OperationKind,
    OperationState,
    Phase,
    PlanSummary,
    Target,
    Totals,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
E3, E5 = SkuId(str(UUID(int=3))), SkuId(str(UUID(int=5)))
TEAMS, YAMMER = ServicePlanId(str(UUID(int=33))), ServicePlanId(str(UUID(int=34)))
SALES, STAFF = GroupId(str(UUID(int=100))), GroupId(str(UUID(int=101)))
BY_SALES = Source(SourceKind.GROUP, SALES)
ME = Initiator("me", "Mia")
OPERATION = OperationId("0199aaaa0001" + "0" * 20)


def user(number: int) -> UserId:
    return UserId(str(UUID(int=number)))


def an_operation(number: int = 1, **changes: object) -> Operation:
    made = Operation(
        id=OperationId(f"0199aaaa{number:04x}" + "0" * 20),
        kind=OperationKind.CHANGE,
        target=Target(None, tuple(user(n) for n in range(5000))),
        change=LicenseChange((AssignedLicense(E5, frozenset({TEAMS})),), (E3,), AssignmentOptions(priority=2)),
        initiator=ME,
        created_at=NOW,
        state=OperationState.PAUSED,
        phase=Phase.RELEASE,
        step=4,
        run=2,
        intent_version=9,
        correlation_id="c",
        traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01",
        idempotency_key="k",
        snapshot_id="s",
        pages=6,
        chunk_size=17,
        chunks=70,
        released=12,
        reported=8,
        totals=Totals(10, 9, 1, 2, 3, 4, 0, 5),
        counted=Totals(10, 9, 1, 1, 1, 1, 1, 1),
        plan=PlanSummary(
            {E5: 4}, {E3: 3}, 2, {E5: 4}, {E5: 1}, 1, {"Other": 2}, 1, ("Listed as exclusive.", "Needs another."), 5
        ),
        checksum="abc",
        approved_by=ME,
        cancel_requested_by=ME,
        superseded_by=OPERATION,
        error=OperationError("Code", "Text", "Remedy"),
        started_at=NOW,
        completed_at=NOW,
        progress_at=NOW,
        reprocess=True,
        intent_written=True,
        preview_id=OPERATION,
    )
    return replace(made, **changes)  # type: ignore[arg-type]
