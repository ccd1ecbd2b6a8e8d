"""Answers about who changed what."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from functions.web.contract.shapes.common import (
    E3,
    HERE,
    Answer,
    ClaimedBy,
    GroupIdText,
    Initiator,
    OperationIdText,
    Time,
    UserIdText,
    example,
)


class AuditEntry(Answer):
    id: Annotated[str, example("9b1f2e3d4c5b6a79")]
    activity_date_time: Time
    activity_display_name: Annotated[str, example("Change user license")]
    initiated_by: Initiator
    claimed_by: ClaimedBy | None
    result: Annotated[str, example("success")]
    user_id: UserIdText | None
    group_id: GroupIdText | None
    operation_id: OperationIdText | None
    before: Annotated[str, example("[]")] | None
    after: Annotated[str, example(f'["{E3}"]')] | None
    detail: Annotated[str, example("for group Sales")] | None


class ReplayedMessage(Answer):
    """The message of a replay, and what a person sent instead if it was corrected."""

    original: Annotated[str, example('{"version": "1.0", "id": "j-1"}')]
    corrected: Annotated[str, example('{"version": "1.0", "id": "j-2"}')] | None


class AuditPage(Answer):
    value: list[AuditEntry]
    next_link: Annotated[str, Field(alias="@odata.nextLink", examples=[f"{HERE}/api/audit?$skiptoken=0"])] = ""
