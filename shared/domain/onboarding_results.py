"""A record as HR and administrators see it, in answers and on the results queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from shared.domain.onboarding import OnboardingRecord

RESULT_TYPE = "hr.result.v1"
SOURCE = "/group-based-licensing/onboarding"


def describe(record: OnboardingRecord) -> dict[str, Any]:
    """The record as JSON; every license and every membership with its outcome, and what to do where it is not right."""
    event = record.event
    return {
        "id": record.key,
        "eventId": event.id,
        "eventSource": event.source,
        "eventType": str(event.type),
        "person": {
            "id": event.person.id or record.user_id,
            "employeeId": event.person.employee_id or None,
            "userPrincipalName": event.person.user_principal_name or None,
        },
        "employmentId": event.employment_id or None,
        "correlationId": event.correlation_id or None,
        "effectiveDateTime": event.effective_at.isoformat(),
        "sequence": event.sequence,
        "state": str(record.state),
        "note": record.note or None,
        "remedy": record.remedy or None,
        "profiles": list(record.profiles),
        "groups": [
            {
                "groupId": each.group_id,
                "outcome": str(each.outcome),
                "text": each.text or None,
                "remedy": each.remedy or None,
            }
            for each in record.groups
        ],
        "licenses": [
            {
                "skuId": each.sku_id,
                "outcome": str(each.outcome),
                "text": each.text or None,
                "remedy": each.remedy or None,
            }
            for each in record.licenses
        ],
        "receivedDateTime": record.received_at.isoformat(),
        "updatedDateTime": record.updated_at.isoformat(),
        "nextAttemptDateTime": _text(record.next_at) if not record.state.is_ended else None,
        "completedDateTime": _text(record.completed_at),
        "approvedBy": record.permitted_by or None,
        "supersededBy": record.superseded_by or None,
        "candidateId": record.candidate,
        "decidedBy": record.decided_by or None,
    }


def result_event(record: OnboardingRecord) -> dict[str, Any]:
    """The CloudEvent with the result of an event; a repeat of it has the same id."""
    end = record.completed_at or record.updated_at
    return {
        "specversion": "1.0",
        "type": RESULT_TYPE,
        "source": SOURCE,
        "id": f"{record.key}-{record.state}-{int(end.timestamp())}",
        "subject": record.event.id,
        "time": end.isoformat(),
        "datacontenttype": "application/json",
        "data": describe(record),
    }


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
