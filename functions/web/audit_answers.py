"""Answers about who did what: initiators, entries of the audit log, and what its verification has shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from shared.domain.audit_digest import VerifiedHour
from shared.domain.initiator import Initiator
from shared.domain.onboarding import OnboardingRecord
from shared.domain.onboarding_results import describe
from shared.domain.read_models import AuditEntry, AuditResult
from shared.handlers.maintenance.person import PersonExport
from shared.handlers.views.audit_proof import AuditProof

Json = dict[str, Any]

MOST_NAMED = 100
"""Entries of an hour that a verification names."""


def moment_text(at: datetime | None) -> str | None:
    """A time as Graph writes it."""
    return at.isoformat().replace("+00:00", "Z") if at else None


def initiated(by: Initiator) -> Json:
    """Who caused something, and beside it the identity that the message itself claimed."""
    return {"initiatedBy": initiator(by), "claimedBy": by.claimed_by or None}


def initiator(by: Initiator | None) -> Json | None:
    """Who caused something, by the token."""
    if by is None:
        return None
    return {
        "kind": by.kind,
        "id": by.id or None,
        "appId": by.app_id or None,
        "displayName": by.display_name,
        "channel": by.channel,
    }


def hr_event(record: OnboardingRecord) -> Json:
    """An HR event and what became of it, with who sent it."""
    return {**describe(record), **initiated(record.sender)}


def audit_entry(entry: AuditEntry) -> Json:
    """One entry of the audit log, with Entra's activity names where it has one."""
    return {
        "id": entry.id,
        "activityDateTime": moment_text(entry.at),
        "activityDisplayName": entry.activity,
        **initiated(entry.initiator),
        "result": AuditResult(entry.result),
        "userId": entry.user_id,
        "groupId": entry.group_id,
        "operationId": entry.operation_id,
        "before": entry.before or None,
        "after": entry.after or None,
        "detail": entry.detail or None,
    }


def audit_proof(proof: AuditProof) -> Json:
    """What comparing the audit log with its digests has shown."""
    return {
        "verified": proof.verified,
        "faults": list(proof.faults),
        "hours": [_audit_hour(each) for each in proof.hours],
    }


def _audit_hour(found: VerifiedHour) -> Json:
    lists = {"missing": found.missing, "changed": found.changed, "added": found.added}
    return {
        "hour": moment_text(found.hour),
        "state": found.state,
        "entries": found.entries,
        **{f"{name}Count": len(entries) for name, entries in lists.items()},
        **{
            name: [{"id": each.id, "activityDateTime": each.at} for each in entries[:MOST_NAMED]]
            for name, entries in lists.items()
        },
    }


async def person(found: PersonExport) -> AsyncIterator[str]:
    """Everything that is stored about a person, as parts of a JSON text: an administrator can have many audit
    entries."""
    events = [{**hr_event(each), "event": json.loads(each.body or "null")} for each in found.events]
    head = {"userId": found.user_id, "rows": dict(found.rows), "onboardingEvents": events}
    yield json.dumps(head)[:-1] + ', "auditEntries": ['
    comma = ""
    async for entries in found.entries:
        for entry in entries:
            yield comma + json.dumps(audit_entry(entry))
            comma = ", "
    yield "]}"
