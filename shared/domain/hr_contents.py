"""The content of an HR event: what HR wrote about a person. It is deleted some time after the event ended; what became
of the event stays, under IDs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from shared.domain.onboarding import HrEvent, OnboardingRecord, PersonRef

DELETED = "The content of the event was deleted, because the event ended some time ago."


def ended_at(record: OnboardingRecord) -> datetime:
    return record.completed_at or record.updated_at


def without_content(record: OnboardingRecord) -> OnboardingRecord:
    """The record without names and attributes. Its place among the person's statements stays."""
    event = record.event
    kept = HrEvent(
        id=event.id,
        source=event.source,
        type=event.type,
        person=PersonRef(record.user_id),
        effective_at=event.effective_at,
        day=event.day,
        order=event.order,
        employment_id=event.employment_id,
        sequence=event.sequence,
        time=event.time,
    )
    # Notes can quote names, such as those that fit no account.
    return replace(record, event=kept, body="", digest=record.fingerprint, note=DELETED, remedy="", matched_by="")
