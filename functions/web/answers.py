"""What answers look like: pages, groups, members and licenses as JSON, in Graph's names where Graph has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, urlencode

from starlette.requests import Request

from functions.web.audit_answers import Json, moment_text
from functions.web.requests import etag_of
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.audit import options_shown
from shared.domain.directory import FoundUser, SubscribedSku
from shared.domain.errors import BadRequest
from shared.domain.group_status import GroupStatus
from shared.domain.ids import SkuId
from shared.domain.member_rows import NOT_TO_BE_LICENSED
from shared.domain.outcomes import Problem
from shared.domain.plan_draft import NoteKind, current_code
from shared.domain.read_models import MemberRow
from shared.domain.snapshot_pages import LEFT
from shared.handlers.views.license_center import FoundGroup
from shared.handlers.views.person_apps import App
from shared.handlers.views.queries import GroupView, UserLicense

Names = Mapping[SkuId, str]
Item = TypeVar("Item")

MAX_PLACE = 7
"""Digits of a place in a list."""

NOTE_CODES = frozenset({*NoteKind, LEFT, NOT_TO_BE_LICENSED})
"""Codes that begin a note. Other notes are texts for people, such as why a user waits."""


def page(request: Request, items: Iterable[Json], token: str | None) -> Json:
    """A page of a collection; `@odata.nextLink` leads to the next one, on the host the caller used, with the same
    parameters. A search by POST continues with the same body."""
    answer: Json = {"value": list(items)}
    if token is not None:
        base = str(request.base_url).rstrip("/")
        parameters = urlencode({**request.query_params, "$skiptoken": token}, safe="$", quote_via=quote)
        answer["@odata.nextLink"] = f"{base}{request.url.path}?{parameters}"
    return answer


def part(items: Sequence[Item], top: int, after: str | None) -> tuple[Sequence[Item], str | None]:
    """A page of a list that is read as a whole, and the token of the next one. Raises BadRequest for a wrong token."""
    if after is not None and not (after.isascii() and after.isdigit() and len(after) <= MAX_PLACE):
        raise BadRequest("InvalidSkipToken", "$skiptoken is not from an earlier answer.", "$skiptoken")
    start = int(after or 0)
    return items[start : start + top], str(start + top) if start + top < len(items) else None


def found_user(found: FoundUser) -> Json:
    """A user that a search has found."""
    return {
        "id": found.id,
        "displayName": found.display_name,
        "userPrincipalName": found.user_principal_name,
        "accountEnabled": found.account_enabled,
        "mail": found.mail or None,
        "employeeId": found.employee_id or None,
        "department": found.department or None,
        "jobTitle": found.job_title or None,
    }


def found_group(found: FoundGroup) -> Json:
    """A group of the directory, and whether it can be managed."""
    return {
        "id": found.group.id,
        "displayName": found.group.display_name,
        "managed": found.managed,
        "usable": not found.hindrance,
        "unusableReason": found.hindrance or None,
        "nativeLicenses": [license.sku_id for license in found.group.native_skus],
    }


def assignment(found: GroupLicenseAssignment, names: Names) -> Json:
    """The products and options of a group; `@odata.etag` is the value for If-Match."""
    return {
        "@odata.etag": etag_of(found.version),
        "groupId": found.group_id,
        "displayName": found.display_name,
        "engine": found.engine,
        "state": found.state,
        "version": found.version,
        "nativeLicenses": [
            {
                "skuId": each.sku_id,
                "skuPartNumber": names.get(each.sku_id),
                "disabledPlans": sorted(each.disabled_plans),
            }
            for each in found.native
        ],
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
        "engine": view.engine,
        "status": status.state,
        "state": status.state.code,
        "licenseProcessingState": status.processing or None,
        "membersRead": "errors" if status.errors_only else "all",
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
            "heldKind": view.held_kind,
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
        "problems": [problem(each, names) for each in row.problems],
        "engine": row.engine,
        "diagnosis": {"message": row.diagnosis.text or None, "diagnosedDateTime": moment_text(row.diagnosis.at)}
        if row.diagnosis
        else None,
        "assignedSkuIds": list(row.sku_ids),
        "attempts": row.attempts,
        "nextAttemptDateTime": moment_text(row.next_check_at),
        "stateSinceDateTime": moment_text(row.since),
        "waitingSinceDateTime": moment_text(row.waiting_since),
        "removalDateTime": moment_text(row.removal_at),
        "lastUpdatedDateTime": moment_text(row.updated_at),
        "operationId": row.operation_id,
        "notes": list(map(note, row.notes)),
    }


def note(text: str) -> Json:
    """A note of a member or a plan, from its stored form: a code, a product, and service plans, or a whole text."""
    stored, *ids = text.split(" ")
    code = current_code(stored)
    if code not in NOTE_CODES:
        return {"kind": "text", "skuId": None, "servicePlanIds": [], "message": text}
    return {"kind": code, "skuId": ids[0] if ids else None, "servicePlanIds": ids[1:], "message": None}


def problem(found: Problem, names: Names) -> Json:
    """One thing that is wrong with a license of a user, and its remedy."""
    return {
        "skuId": found.sku_id,
        "skuPartNumber": names.get(found.sku_id) if found.sku_id else None,
        "error": found.error,
        "message": found.text,
        "remedy": found.remedy,
        "heldBackBy": list(found.held_by),
    }


def user_license(license: UserLicense, names: Names) -> Json:
    """One license of a user from one origin."""
    state = license.state
    return {
        **_source(license, names),
        "disabledPlans": sorted(state.disabled_plans),
        "sinceDateTime": moment_text(license.since),
        "keptReason": license.ending.source.kind if license.ending else None,
        "removalDateTime": moment_text(license.ending.until) if license.ending else None,
        "state": state.state,
        "error": state.error,
        "lastUpdatedDateTime": moment_text(state.last_updated),
    }


def user_app(app: App, names: Names, name_of: Callable[[str, str], str]) -> Json:
    """A service plan of a user: on if any license has it on. `sources`: each license that includes it."""
    plan = app.plan
    return {
        "servicePlanId": plan.service_plan_id,
        "servicePlanName": plan.service_plan_name,
        "displayName": name_of(plan.service_plan_id, plan.service_plan_name),
        "on": bool(app.on),
        "sources": [
            {"on": on, **_source(license, names)} for on, part in ((True, app.on), (False, app.off)) for license in part
        ],
    }


def _source(license: UserLicense, names: Names) -> Json:
    """Which license, and where it comes from."""
    state = license.state
    return {
        "skuId": state.sku_id,
        "skuPartNumber": names.get(state.sku_id),
        "source": license.origin,
        "assignedByGroup": state.assigned_by_group,
        "grantedBy": [{"kind": source.kind, "id": source.id or None} for source in license.through],
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
