"""What answers look like: domain values as JSON, in Graph's names where Graph has one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from starlette.requests import Request

from functions.web.audit_answers import initiated, initiator, moment_text
from functions.web.requests import etag_of
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.audit import options_shown
from shared.domain.audit_digest import DigestState
from shared.domain.directory import AssignedLicense, SubscribedSku
from shared.domain.group_status import GroupStatus
from shared.domain.ids import SkuId
from shared.domain.operation import Operation, is_collecting
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow
from shared.domain.writing import Writing
from shared.handlers.operations.sync import SWEEP, SYNC
from shared.handlers.views.approvals import WaitingApproval
from shared.handlers.views.health import Health, QueueLooks
from shared.handlers.views.queries import ChangeFeedState, GroupView, PlannedMember, UserLicense

Json = dict[str, Any]
Names = Mapping[SkuId, str]


def page(
    request: Request, items: Iterable[Json], top: int, token: str | None, asked: Mapping[str, str] | None = None
) -> Json:
    """A page of a collection; `@odata.nextLink` leads to the next one, on the host the caller used, with what was
    `asked`."""
    answer: Json = {"value": list(items)}
    if token is not None:
        base = str(request.base_url).rstrip("/")
        parameters = urlencode({**(asked or {}), "$top": top, "$skiptoken": token}, safe="$", quote_via=quote)
        answer["@odata.nextLink"] = f"{base}{request.url.path}?{parameters}"
    return answer


def operation(found: Operation) -> Json:
    """An operation, as all routes show it."""
    target = found.target
    return {
        "id": found.id,
        "kind": found.kind,
        "target": {"groupId": target.group_id} if target.is_group else {"userIds": len(target.user_ids)},
        "addLicenses": [license_given(each) for each in found.change.add],
        "removeLicenses": list(found.change.remove),
        "adoptLicenses": list(found.change.adopt),
        "enableServicePlans": list(found.change.enable),
        "preview": found.preview,
        "state": found.state,
        "phase": found.phase,
        "collecting": is_collecting(found),
        "reason": found.reason or None,
        "cause": found.cause,
        "correlationId": found.correlation_id or None,
        "intentVersion": found.intent_version,
        "createdDateTime": moment_text(found.created_at),
        "startedDateTime": moment_text(found.started_at),
        "completedDateTime": moment_text(found.completed_at),
        "estimatedCompletionDateTime": moment_text(found.estimated_end),
        **initiated(found.initiator),
        "approvedBy": initiator(found.approved_by),
        "cancelRequestedBy": initiator(found.cancel_requested_by),
        "supersededBy": found.superseded_by,
        "totals": _totals(found),
        "plan": _plan(found),
        "drift": found.totals.due if found.cause.partition("-")[0] in (SYNC, SWEEP) else None,
        "checksum": found.checksum or None,
        "error": (
            {"code": found.error.code, "message": found.error.message, "remedy": found.error.remedy}
            if found.error
            else None
        ),
    }


def approval(found: WaitingApproval, app_roles: Sequence[str], directory_roles: Sequence[str]) -> Json:
    """An operation that waits for approval, with who can give it."""
    return {
        **operation(found.operation),
        "approval": {
            "approvalsNeeded": found.needed,
            "approvals": [
                {"approvedBy": initiator(each.by), "approvedDateTime": moment_text(each.at)}
                for each in found.operation.approvals
            ],
            "requesterCanApprove": not found.another,
            "appRoles": list(app_roles),
            "directoryRoles": list(directory_roles),
            "protectedPeople": [
                {"id": user_id, "reasons": list(reasons)} for user_id, reasons in found.protected.items()
            ],
            "expiresDateTime": moment_text(found.expires_at),
            "keptUntilDateTime": moment_text(found.kept_until),
        },
    }


def _totals(found: Operation) -> Json:
    totals = found.totals
    return {
        "members": totals.members,
        "due": totals.due,
        "applied": totals.applied,
        "unchanged": totals.unchanged,
        "waiting": totals.waiting,
        "failed": totals.failed,
        "skipped": totals.skipped,
        "remaining": totals.remaining,
        "wrote": totals.wrote,
    }


def _plan(found: Operation) -> Json:
    plan = found.plan
    return {
        "additions": dict(plan.additions),
        "removals": dict(plan.removals),
        "plansOff": plan.plans_off,
        "seatsNeeded": dict(plan.seats_needed),
        "seatsAvailable": dict(plan.seats_available),
        "usageLocations": plan.usage_locations,
        "errors": dict(plan.expected_errors),
        "warnings": list(plan.warnings),
        "foreign": plan.foreign,
        "usersLosing": plan.users_losing,
    }


def license_given(license: AssignedLicense) -> Json:
    """Graph's assignedLicense."""
    return {"skuId": license.sku_id, "disabledPlans": sorted(license.disabled_plans)}


def planned_member(member: PlannedMember, names: Names) -> Json:
    """What an operation plans for one user, how it ended where it has, and the errors of a user who needs a person."""
    action, outcome, row = member.action, member.outcome, member.row
    return {
        "id": member.user_id,
        "due": action.due,
        "expected": action.expected,
        "addLicenses": [license_given(each) for each in action.add],
        "removeLicenses": list(action.remove),
        "plansOff": [{"skuId": off.sku_id, "servicePlans": sorted(off.disabled_plans)} for off in action.plans_off],
        "usageLocation": action.usage_location,
        "notes": list(action.notes),
        "expectedErrors": [_expected_error(each) for each in action.errors],
        "outcome": outcome.outcome if outcome else None,
        "nextLookDateTime": moment_text(outcome.retry_at) if outcome else None,
        "state": row.state if row else None,
        "problems": [_problem(problem, names) for problem in row.problems] if row else [],
    }


def _expected_error(text: str) -> Json:
    error, _, sku_id = text.partition(" ")
    return {"error": error, "skuId": sku_id or None}


def assignment(found: GroupLicenseAssignment, names: Names) -> Json:
    """What is assigned to a group, with its options; `@odata.etag` is what If-Match takes."""
    return {
        "@odata.etag": etag_of(found.version),
        "groupId": found.group_id,
        "displayName": found.display_name,
        "state": found.state,
        "version": found.version,
        "assignedLicenses": [
            {
                "skuId": sku.sku_id,
                "skuPartNumber": names.get(sku.sku_id),
                "disabledPlans": sorted(sku.disabled_plans),
                "enforcement": sku.enforcement,
            }
            for sku in found.skus
        ],
        "options": options_shown(found.options),
        "operationId": found.operation_id,
        "openApproval": found.open_approval,
        "changedBy": found.changed_by or None,
        "changedDateTime": moment_text(found.changed_at),
    }


def group_status(view: GroupView) -> Json:
    """A group's status, in the words of the admin center."""
    status = view.status
    return {
        "id": status.group_id,
        "displayName": view.display_name,
        "status": status.state,
        "members": status.shown_members,
        "counts": dict(status.counts),
        "products": product_counts(status),
        "operationId": status.operation_id,
        "removalAllowance": {
            "used": view.allowance_used,
            "limit": view.allowance_limit,
            "period": "P1D",
            "pending": view.pending_removals,
            "decidedDateTime": moment_text(view.decided_at),
            "heldBecause": view.held_because or None,
        },
        "updatedDateTime": moment_text(status.updated_at),
    }


def product_counts(status: GroupStatus) -> list[Json]:
    """How many members of a group have each product, wait for it, or have an error with it."""
    return [
        {"skuId": sku_id, "assigned": each.assigned, "waiting": each.waiting, "errors": each.errors}
        for sku_id, each in sorted(status.products.items())
    ]


def member(row: MemberRow, names: Names) -> Json:
    """The status of one member of a group."""
    return {
        "id": row.user_id,
        "displayName": row.display_name,
        "userPrincipalName": row.user_principal_name,
        "state": row.state,
        "problems": [_problem(problem, names) for problem in row.problems],
        "assignedSkuIds": list(row.sku_ids),
        "attempts": row.attempts,
        "nextLookDateTime": moment_text(row.next_look_at),
        "waitingSinceDateTime": moment_text(row.waiting_since),
        "removalDateTime": moment_text(row.removal_at),
        "lastUpdatedDateTime": moment_text(row.updated_at),
        "operationId": row.operation_id,
        "notes": list(row.notes),
    }


def _problem(problem: Problem, names: Names) -> Json:
    return {
        "skuId": problem.sku_id,
        "skuPartNumber": names.get(problem.sku_id) if problem.sku_id else None,
        "error": problem.error,
        "message": problem.text,
        "remedy": problem.remedy,
    }


ORIGIN_WORDS = {
    "groupBasedLicensing": "Groups managed here",
    "direct": "Direct, by somebody else",
    "nativeGroup": "Native group-based licensing",
}
"""Where a license comes from, in words for people."""


def user_license(license: UserLicense, names: Names) -> Json:
    """One license of a user from one origin."""
    state = license.state
    return {
        "skuId": state.sku_id,
        "skuPartNumber": names.get(state.sku_id),
        "disabledPlans": sorted(state.disabled_plans),
        "source": license.origin,
        "assignedByGroup": state.assigned_by_group,
        "through": [{"kind": source.kind, "id": source.id or None} for source in license.through],
        "ending": license.ending.source.kind if license.ending else None,
        "removalDateTime": moment_text(license.ending.until) if license.ending else None,
        "state": state.state,
        "error": state.error,
        "lastUpdatedDateTime": moment_text(state.last_updated),
    }


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
        "refusedToday": found.refused_today,
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
    return {"on": found.is_on, "forcedOff": found.is_forced_off, "changedDateTime": moment_text(found.since)}


def health(found: Health, looks: QueueLooks, hr_limits: Sequence[str]) -> Json:
    """How the app is."""
    writes, listed = found.writes, found.protection.listed
    return {
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
            }
            for each in looks.looks
        ],
        "queuesError": looks.error or None,
        "openOperations": len(found.operations),
        "deadLetters": found.dead_letters,
        "clockAheadSeconds": None if found.clock_ahead is None else round(found.clock_ahead.total_seconds()),
        "auditDigests": audit_digests(found.digests),
        "protectedPeople": {
            "required": found.protection.required,
            "count": found.protected,
            "lastReadDateTime": moment_text(listed.read_at),
            "fault": listed.fault or None,
        },
        "hrLimits": list(hr_limits),
    }


def audit_digests(state: DigestState | None) -> Json:
    """How far the hours of the audit log are closed, and why the next one is not."""
    return {
        "closedHour": moment_text(state.hour) if state is not None and state.has_record else None,
        "fault": (state.fault or None) if state is not None else None,
    }


def subscribed_sku(sku: SubscribedSku) -> Json:
    """Graph's subscribedSku, and the seats still to hand out."""
    return {
        "skuId": sku.sku_id,
        "skuPartNumber": sku.sku_part_number,
        "appliesTo": sku.applies_to,
        "capabilityStatus": sku.capability_status,
        "consumedUnits": sku.consumed_units,
        "prepaidUnits": {
            "enabled": sku.enabled,
            "warning": sku.warning,
            "suspended": sku.suspended,
            "lockedOut": sku.locked_out,
        },
        "availableUnits": sku.available,
        "servicePlans": [
            {
                "servicePlanId": plan.service_plan_id,
                "servicePlanName": plan.service_plan_name,
                "appliesTo": plan.applies_to,
                "provisioningStatus": plan.provisioning_status,
            }
            for plan in sku.service_plans
        ],
    }
