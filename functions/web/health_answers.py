"""Answers about the state of the app: changes, writes, queues, the audit log, protected people."""

from __future__ import annotations

from collections.abc import Sequence

from functions.web import first_contact_answers
from functions.web.audit_answers import Json, moment_text
from shared.domain.audit_digest import DigestState
from shared.domain.first_day import Step
from shared.domain.graph_permissions import Permissions
from shared.domain.writing import Writing
from shared.handlers.views.health import CanaryHealth, Health, QueueStates
from shared.handlers.views.queries import ChangeFeedState


def change_feed(found: ChangeFeedState) -> Json:
    """How changes reach the app; the subscription without its secret, in Graph's names."""
    made = found.subscription
    return {
        "expected": found.expected,
        "subscription": None
        if made is None
        else {
            "id": made.id,
            "notificationUrl": made.notification_url,
            "createdDateTime": moment_text(made.created_at),
            "expirationDateTime": moment_text(made.expires_at),
            "lastNotificationDateTime": moment_text(made.last_notification_at),
        },
        "rejectedToday": found.rejected_today,
        "lastDeltaDateTime": moment_text(found.delta_read_at),
        "rejectedDeltas": [
            {
                "slice": each.number,
                "groups": len({*each.group_ids, *each.enumerated}),
                "rejections": each.rejections,
                "reason": each.rejected_because,
                "nextAttemptDateTime": moment_text(each.retry_at),
            }
            for each in found.rejected
        ],
    }


def writing(found: Writing) -> Json:
    """Whether the app writes to Graph."""
    return {
        "on": found.is_on,
        "forcedOff": found.is_forced_off,
        "readOnly": found.is_read_only,
        "changedDateTime": moment_text(found.since),
    }


def health(
    found: Health, queue_states: QueueStates, hr_limits: Sequence[str], tenant_id: str, steps: Sequence[Step]
) -> Json:
    """How the app is. `steps`: of the first day."""
    writes, listed = found.writes, found.protection.listed
    return {
        "tenantId": tenant_id,
        "changeFeed": change_feed(found.feed),
        "writing": writing(found.writing),
        "writes": {
            "used": writes.used,
            "limit": writes.limit,
            "windowSeconds": writes.window_s,
            "bulkPerSecond": writes.per_second,
            "throttledUntilDateTime": moment_text(writes.frozen_until),
        },
        "queues": [
            {
                "queue": each.queue,
                "waiting": each.waiting,
                "scheduled": each.scheduled,
                "more": each.more,
                "oldestDateTime": moment_text(each.oldest_at),
                "denied": each.denied,
                "denial": each.denial or None,
            }
            for each in queue_states.queue_states
        ],
        "queuesError": queue_states.error or None,
        "openOperations": len(found.operations),
        "deadLetters": found.dead_letters,
        "clockAheadSeconds": None if found.clock_ahead is None else round(found.clock_ahead.total_seconds()),
        "country": found.country,
        "auditDigests": audit_digests(found.digests),
        "protectedPeople": {
            "required": found.protection.required,
            "count": found.protected,
            "lastReadDateTime": moment_text(listed.read_at),
            "fault": listed.fault or None,
        },
        "permissions": permissions(found.permissions),
        "lastSyncDateTime": moment_text(found.synced_at),
        "canary": canary(found.canary),
        "firstContact": first_contact_answers.run(found.first_contact) if found.first_contact else None,
        "firstDay": [
            {"name": each.name, "state": each.state, "text": each.text, "remedy": each.remedy or None} for each in steps
        ],
        "hrLimits": list(hr_limits),
    }


def permissions(found: Permissions) -> Json:
    """The permissions of the token in use."""
    return {
        "known": found.is_known,
        "present": list(found.present),
        "missing": [{"permission": each.permission, "feature": each.feature} for each in found.missing],
        "excess": list(found.excess),
        "tokenExpirationDateTime": moment_text(found.expires_at),
    }


def canary(found: CanaryHealth) -> Json:
    """The state of the canary group."""
    known = found.known
    return {
        "state": found.state,
        "changedByHand": found.by_hand,
        "changedDateTime": moment_text(known.changed_at),
        "notifiedDateTime": moment_text(known.notified_at),
        "inDeltaDateTime": moment_text(known.in_delta_at),
        "fault": known.fault or None,
    }


def audit_digests(state: DigestState | None) -> Json:
    """How far the hours of the audit log are closed, and why the next one is not."""
    return {
        "closedHour": moment_text(state.hour) if state is not None and state.has_record else None,
        "fault": (state.fault or None) if state is not None else None,
    }
