"""Answers about operations: their state, plan and approvals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from functions.web import answers, predictions
from functions.web.audit_answers import Json, initiated, initiator, moment_text
from shared.domain.directory import AssignedLicense, FoundUser
from shared.domain.ids import SkuId
from shared.domain.operation import Cause, Operation, is_collecting
from shared.handlers.views.approvals import WaitingApproval
from shared.handlers.views.combined_plan import CombinedPlan
from shared.handlers.views.queries import PlannedMember


def operation(found: Operation) -> Json:
    """An operation, as all routes show it."""
    target = found.target
    return {
        "id": found.id,
        "kind": found.kind,
        "target": {"groupId": target.group_id} if target.is_group else {"userIds": len(target.user_ids)},
        "addLicenses": [license_given(each) for each in found.change.add],
        "removeLicenses": list(found.change.remove),
        "keepLicenses": found.change.keep,
        "manageLicenses": list(found.change.manage),
        "turnOnApps": list(found.change.enable),
        "preview": found.preview,
        "state": found.state,
        "phase": found.phase,
        "nativeStage": found.native.stage if found.native else None,
        "collecting": is_collecting(found),
        "reason": found.reason or None,
        "cause": Cause(found.cause),
        "correlationId": found.correlation_id or None,
        "assignmentVersion": found.intent_version,
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
        "drift": found.totals.due if Cause(found.cause) in (Cause.SYNC, Cause.SWEEP) else None,
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
        "licensesNeeded": dict(plan.seats_needed),
        "licensesAvailable": dict(plan.seats_available),
        "usageLocations": plan.usage_locations,
        "errors": dict(plan.expected_errors),
        "warnings": list(plan.warnings),
        "unmanaged": plan.unmanaged,
        "usersLosing": plan.users_losing,
        "usersKeeping": plan.users_keeping,
        "usersFailing": plan.users_failing,
        "usersWaiting": plan.users_waiting,
        "protectedPeople": list(plan.protected),
    }


def combined(found: CombinedPlan, names: Mapping[SkuId, str]) -> Json:
    """The plan of several previews together."""
    return {
        "checksum": found.checksum,
        "additions": dict(found.additions),
        "removals": dict(found.removals),
        "usersLosing": found.users_losing,
        "members": [
            {"operationId": operation_id, **planned_member(member, names, None)}
            for operation_id, member in found.members
        ],
    }


def license_given(license: AssignedLicense) -> Json:
    """Graph's assignedLicense."""
    return {"skuId": license.sku_id, "disabledPlans": sorted(license.disabled_plans)}


def planned_member(member: PlannedMember, names: Mapping[SkuId, str], person: FoundUser | None) -> Json:
    """The plan of an operation for one user, the outcome if there is one, and errors that need a person."""
    action, outcome, row = member.action, member.outcome, member.row
    return {
        "id": member.user_id,
        "displayName": person.display_name if person else None,
        "userPrincipalName": person.user_principal_name if person else None,
        "due": action.due,
        "expectedOutcome": action.expected,
        "addLicenses": [license_given(each) for each in action.add],
        "removeLicenses": list(action.remove),
        "plansOff": [{"skuId": off.sku_id, "servicePlans": sorted(off.disabled_plans)} for off in action.plans_off],
        "usageLocation": action.usage_location,
        "notes": list(map(answers.note, action.notes)),
        "expectedErrors": [predictions.shown(each, names) for each in action.errors],
        "outcome": outcome.outcome if outcome else None,
        "nextAttemptDateTime": moment_text(outcome.retry_at) if outcome else None,
        "state": row.state if row else None,
        "problems": [answers.problem(each, names) for each in row.problems] if row else [],
    }
