"""Audit entries, with the activity names of Entra's own audit log
(learn.microsoft.com/entra/identity/monitoring-health/reference-audit-activities)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.domain.assignment import AssignmentOptions, Engine, GroupLicenseAssignment
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, Plans, SkuId, UserId
from shared.domain.initiator import SYSTEM, Initiator, InitiatorKind
from shared.domain.ledger_row import Intent
from shared.domain.native_changes import products_after
from shared.domain.operation import Operation
from shared.domain.read_models import AuditEntry

CHANGE = "Change user license"


def license_change(
    operation: Operation | None, user_id: UserId, intent: Intent, result: str, detail: str = ""
) -> AuditEntry:
    """`Change user license`: one per intent, its id the intent's, so recording it again changes nothing. Where it
    succeeded, `detail` says by what it was found: a request, a notification, delta, the nightly sync."""
    return AuditEntry(
        id=intent.id if result == "success" else f"{intent.id}-refused",
        at=intent.at,
        activity=CHANGE,
        initiator=operation.initiator if operation else own_work(intent.cause),
        result=result,
        user_id=user_id,
        group_id=operation.target.group_id if operation else None,
        operation_id=operation.id if operation else None,
        before=_licenses(intent.before),
        after=_licenses(intent.after),
        detail=detail or f"Found by {found_by(intent.cause, operation)}",
    )


def found_by(cause: str, operation: Operation | None) -> str:
    """The word for a cause: that of the operation, or the first part of an event's."""
    return (operation.cause if operation else cause.partition(":")[0]).partition("-")[0]


def own_work(cause: str) -> Initiator:
    """The initiator of a change that no operation requested: its channel is the trigger that found it."""
    found = found_by(cause, None)
    return replace(SYSTEM, kind=InitiatorKind.HR if found == "hr" else InitiatorKind.TIMER, channel=found)


def adoption(
    operation: Operation | None, cause: str, user_id: UserId, with_managed: Mapping[SkuId, Plans], at: datetime
) -> AuditEntry:
    """`Adopt user license`: unmanaged licenses become managed; Entra has no such activity."""
    return AuditEntry(
        id=f"{cause}-{user_id}-adopt".replace(":", "-"),
        at=operation.created_at if operation else at,
        activity="Adopt user license",
        initiator=operation.initiator if operation else own_work(cause),
        result="success",
        user_id=user_id,
        group_id=operation.target.group_id if operation else None,
        operation_id=operation.id if operation else None,
        after=_licenses(with_managed),
    )


def group_act(
    activity: str,
    operation: Operation,
    initiator: Initiator,
    at: datetime,
    *,
    detail: str = "",
    result: str = "success",
    turn: str = "",
) -> AuditEntry:
    """An act on a group or list: its id is made of operation and activity, so that recording it again changes nothing.
    `turn`: a token that sets apart what people can do several times."""
    return AuditEntry(
        id="-".join(filter(None, (operation.id, activity.lower().replace(" ", "-"), turn))),
        at=at,
        activity=activity,
        initiator=initiator,
        result=result,
        group_id=operation.target.group_id,
        operation_id=operation.id,
        detail=detail,
    )


def assignment_act(
    activity: str, group_id: GroupId, initiator: Initiator, at: datetime, before: str, after: str, act_id: str
) -> AuditEntry:
    """A change of a group's assignment by a person."""
    return AuditEntry(act_id, at, activity, initiator, "success", group_id=group_id, before=before, after=after)


def intent_entries(
    operation: Operation, before: GroupLicenseAssignment, after: GroupLicenseAssignment
) -> list[AuditEntry]:
    """The entries of a new intent: its licenses, its options if the request set them, and its engine if it is new."""
    said = [("Set group license", _skus(before), _skus(after), "set")]
    if after.engine is Engine.NATIVE:
        # The group is changed later, and that is the entry "Set group license".
        now, wanted = skus_text(before.native), skus_text(products_after(before.native, operation.change))
        said = [("Request group license change", now, wanted, "set")]
    if before.options != after.options:
        old, new = options_text(before.options), options_text(after.options)
        said.append(("Set license properties", old, new, "options"))
    if before.engine is not after.engine:
        said.append(("Change licensing engine of group", str(before.engine), str(after.engine), "engine"))
    return [
        assignment_act(
            activity, before.group_id, operation.initiator, operation.created_at, old, new, f"{operation.id}-{end}"
        )
        for activity, old, new, end in said
    ]


def _skus(assignment: GroupLicenseAssignment) -> str:
    """Compact JSON of the SKUs with their disabled plans."""
    return skus_text(AssignedLicense(sku.sku_id, sku.disabled_plans) for sku in assignment.skus)


def skus_text(licenses: Iterable[AssignedLicense]) -> str:
    """Compact JSON: SKU -> sorted disabled plans."""
    return json.dumps({str(each.sku_id): sorted(each.disabled_plans) for each in licenses}, separators=(",", ":"))


def options_shown(options: AssignmentOptions) -> dict[str, Any]:
    """A group's options as the API and the audit log show them; `grace` in ISO 8601."""
    grace = options.grace
    return {
        "usageLocation": options.usage_location,
        "requireUsageLocation": options.require_usage_location,
        "countInherited": options.count_inherited,
        "includeGuests": options.include_guests,
        "includeDisabledAccounts": options.include_disabled_accounts,
        "excludedGroups": sorted(options.excluded_groups),
        "grace": f"PT{int(grace.total_seconds())}S" if grace.seconds else f"P{grace.days}D",
        "allowNativeOverlap": options.allow_native_overlap,
        "priority": options.priority,
        "removalAllowance": options.removal_allowance,
        "removalAllowanceReason": options.removal_allowance_reason,
    }


def options_text(options: AssignmentOptions) -> str:
    """Compact JSON of a group's options, the same for the same options."""
    return json.dumps(options_shown(options), separators=(",", ":"))


def user_act(
    activity: str, user_id: UserId, sku_ids: Sequence[SkuId], initiator: Initiator, at: datetime, act_id: str
) -> AuditEntry:
    """A decision of a person about licenses of one user."""
    detail = " ".join(sorted(sku_ids))
    return AuditEntry(act_id, at, activity, initiator, "success", user_id=user_id, detail=detail)


def log_line(entry: AuditEntry) -> str:
    """One line for the log, always with the same keys and in this order, and without names. `removed`: how many
    products the user loses."""
    by = entry.initiator
    before, after = (
        json.loads(text) if entry.activity == CHANGE and text else {} for text in (entry.before, entry.after)
    )
    removed = [sku_id for sku_id, plans in before.items() if plans is not None and after.get(sku_id) is None]
    fields = {
        "id": entry.id,
        "at": entry.at.isoformat(),
        "activity": entry.activity,
        "result": entry.result,
        "kind": by.kind,
        "initiator": by.id,
        "app": by.app_id,
        "channel": by.channel,
        "claimed": "yes" if by.claimed_by else "no",
        "user": entry.user_id,
        "group": entry.group_id,
        "operation": entry.operation_id,
        "removed": len(removed),
    }
    return " ".join(f"{name}={json.dumps('' if value is None else str(value))}" for name, value in fields.items())


def _licenses(licenses: Mapping[SkuId, Plans | None]) -> str:
    """Compact JSON: SKU -> sorted disabled plans, or null where there is no direct license."""
    shown = {sku_id: None if plans is None else sorted(plans) for sku_id, plans in sorted(licenses.items())}
    return json.dumps(shown, separators=(",", ":"))
