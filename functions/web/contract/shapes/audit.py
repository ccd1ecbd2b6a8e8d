"""Answers about who changed what."""

from __future__ import annotations

from typing import Annotated

from functions.web.contract.shapes.common import (
    E3,
    Answer,
    ClaimedBy,
    Count,
    GroupIdText,
    Initiator,
    OperationIdText,
    Page,
    Time,
    UserIdText,
    example,
)
from shared.domain.audit_digest import HourState
from shared.domain.read_models import AuditResult


class AuditEntry(Answer):
    id: Annotated[str, example("9b1f2e3d4c5b6a79")]
    activity_date_time: Time
    activity_display_name: Annotated[str, example("Change user license")]
    initiated_by: Initiator
    claimed_by: ClaimedBy | None
    result: AuditResult
    user_id: UserIdText | None
    group_id: GroupIdText | None
    operation_id: OperationIdText | None
    before: Annotated[str, example("[]")] | None
    after: Annotated[str, example(f'["{E3}"]')] | None
    detail: Annotated[str, example("for group Sales")] | None


class AuditPlace(Answer):
    id: Annotated[str, example("9b1f2e3d4c5b6a79")]
    activity_date_time: Time


class AuditHour(Answer):
    """An hour compared with its record. Lists have at most 100 entries; the counts are of all."""

    hour: Time
    state: HourState
    entries: Count
    missing_count: Count
    changed_count: Count
    added_count: Count
    missing: list[AuditPlace]
    changed: list[AuditPlace]
    added: list[AuditPlace]


class AuditProof(Answer):
    verified: bool
    faults: list[Annotated[str, example("202611.jsonl is missing in the container audit")]]
    hours: list[AuditHour]


class ReplayedMessage(Answer):
    """The message of a replay, and what a person sent instead if it was corrected."""

    original: Annotated[str, example('{"version": "1.0", "id": "j-1"}')]
    corrected: Annotated[str, example('{"version": "1.0", "id": "j-2"}')] | None


class AuditPage(Page):
    value: list[AuditEntry]
