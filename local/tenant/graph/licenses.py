"""Licenses: assign to a user or a group, reprocess, and what a user has in detail."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

from local.tenant import clock
from local.tenant.call import GRAPH, Call, Reply, bad_request
from local.tenant.directory.model import ACTIVE, AssignedLicense, Group, LicenseRow, User, net_licenses
from local.tenant.graph.directory_view import view_of
from local.tenant.graph.present import present_group, present_user
from local.tenant.graph.render import ASSIGN_RESULT, GROUP_DEFAULT, group_json, user_json
from local.tenant.licensing.native import keep_times, settle_user
from local.tenant.licensing.rules import Change, Licensee, Rejection, additions_alone, apply_change, check_request
from local.tenant.tenant import Tenant

_GUID_LENGTH = 36


def assign_license(tenant: Tenant, call: Call) -> Reply:
    """POST /users/{id}/assignLicense: all or nothing, at once; 200 with the user."""
    user = present_user(tenant, call.segments[1], None)
    change = parse_change(call)
    now = clock.time()
    lag = tenant.settings.location_lag_seconds
    licensee = Licensee(
        rows=user.rows,
        usage_location=user.usage_location,
        location_settled=lag <= 0 or now - user.location_changed >= lag,
        proxy_clash=user.proxy_clash,
    )
    rules, seats = tenant.rules(), tenant.directory.subscriptions
    after = apply_change(change, licensee, seats, rules, now)
    if not isinstance(after, Rejection):
        _write(tenant, call, user, after, now)
        return _updated_user(tenant, user)
    if tenant.settings.partial_application == "additions":
        rows = additions_alone(change, licensee, seats, rules, now)
        if rows != user.rows:
            _write(tenant, call, user, rows, now)
    raise bad_request(after.message)


def _write(tenant: Tenant, call: Call, user: User, after: tuple[LicenseRow, ...], now: float) -> None:
    before = user.rows
    if not tenant.settings.same_license_moves_time:
        after = keep_times(before, after)
    tenant.directory.set_rows(user, after, now)
    changed = _direct(before) != _direct(after)
    tenant.metrics.write(call.app_id, user.id, "assignLicense", before, after, changed=changed, now=now)


def reprocess_user(tenant: Tenant, call: Call) -> Reply:
    """POST /users/{id}/reprocessLicenseAssignment: inherited licenses again; the blocking error comes back as 400."""
    user = present_user(tenant, call.segments[1], None)
    directory = tenant.directory
    before, now = user.rows, clock.time()
    sources = {row.group for row in before if row.group is not None}
    rejections: list[Rejection] = []
    for group_id in sorted(sources.union(user.parents)):
        group = directory.groups[group_id]
        if group.licenses or group_id in sources:
            rejections += settle_user(directory, user, group, tenant.rules(), now)
    changed = {row._replace(updated=0.0) for row in before} != {row._replace(updated=0.0) for row in user.rows}
    if changed or not rejections:
        tenant.metrics.write(
            call.app_id, user.id, "reprocessLicenseAssignment", before, user.rows, changed=changed, now=now
        )
    if rejections and tenant.settings.reprocess_answer == "reason":
        raise bad_request(rejections[0].message)
    return _updated_user(tenant, user)


async def assign_group_license(tenant: Tenant, call: Call) -> Reply:
    """POST /groups/{id}/assignLicense: 202 with the group; members follow in the background.

    The group's licenses are read, and written a moment later: a change in between is lost, unless calls are serial.
    """
    group = present_group(tenant, call.segments[1])
    change = parse_change(call)
    if tenant.settings.parallel_group_calls == "serial":
        return _group_changed(tenant, call, group, change, group.licenses)
    seen = group.licenses
    await asyncio.sleep(tenant.settings.group_call_seconds)
    return _group_changed(tenant, call, group, change, seen)


def _group_changed(
    tenant: Tenant, call: Call, group: Group, change: Change, seen: tuple[AssignedLicense, ...]
) -> Reply:
    now = clock.time()
    unknown = [each.sku_id for each in change.add if each.sku_id not in tenant.directory.subscriptions]
    if unknown and tenant.settings.group_unknown_sku == "ignored":
        return _group_reply(tenant, group)
    rejection = check_request(change, tenant.directory.subscriptions, tenant.rules())
    held = {license_.sku_id: license_ for license_ in seen}
    missing = [sku_id for sku_id in change.remove if sku_id not in held]
    if rejection is None and missing:
        rejection = Rejection("Group does not have a corresponding license.")  # own wording
    if rejection is None and not group.security_enabled:
        rejection = Rejection("Licenses can only be assigned to security-enabled groups.")  # own wording
    if rejection is not None:
        raise bad_request(rejection.message)
    for sku_id in change.remove:
        del held[sku_id]
    held.update({license_.sku_id: license_ for license_ in change.add})
    before, group.licenses = group.licenses, tuple(held.values())
    group.changed_licenses = (before, now + tenant.settings.group_license_lag_seconds)
    tenant.native.group_changed(group)
    tenant.metrics.write(
        call.app_id,
        group.id,
        "groupAssignLicense",
        dict(before),
        dict(group.licenses),
        changed=before != group.licenses,
        now=now,
    )
    return _group_reply(tenant, group)


def _group_reply(tenant: Tenant, group: Group) -> Reply:
    body = {"@odata.context": f"{GRAPH}/$metadata#groups/$entity"}
    body.update(group_json(group, (*GROUP_DEFAULT, "assignedLicenses")))
    return Reply(202, body, {"location": f"{GRAPH}/{tenant.directory.tenant_id}/directoryObjects/{group.id}"})


def license_details(tenant: Tenant, call: Call) -> Reply:
    """GET /users/{id}/licenseDetails: one entry per SKU, every plan with its provisioning status."""
    user = present_user(tenant, call.segments[1], call.as_of)
    chosen = call.query.get("$select")
    names = [name.strip() for name in chosen.split(",")] if chosen else ["id", "skuId", "skuPartNumber", "servicePlans"]
    catalog = tenant.directory.catalog
    shown: list[dict[str, Any]] = []
    for sku_id, disabled in net_licenses(tenant.directory.user_state(user, call.as_of).rows):
        product = catalog.products[sku_id]
        whole: dict[str, Any] = {
            "id": str(uuid.uuid5(uuid.UUID(user.id), sku_id)),
            "skuId": sku_id,
            "skuPartNumber": product.part_number,
            "servicePlans": [
                {
                    "servicePlanId": plan.id,
                    "servicePlanName": plan.name,
                    "provisioningStatus": "Disabled" if plan.id in disabled else plan.provisioning_status,
                    "appliesTo": plan.applies_to,
                }
                for plan in product.plans
            ],
        }
        shown.append({name: whole[name] for name in names if name in whole})
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#users('{user.id}')/licenseDetails", "value": shown})


def parse_change(call: Call) -> Change:
    """Body of assignLicense; both arrays are required, GUIDs are made lower-case. The texts are our own wording."""
    body = call.body
    if not isinstance(body, dict):
        raise bad_request("A value is required for the request body.")
    for name in ("addLicenses", "removeLicenses"):
        if not isinstance(body.get(name), list):
            raise bad_request(f"The parameter '{name}' is required and must be a collection.")
    add = tuple(_added(raw) for raw in body["addLicenses"])
    remove = tuple(dict.fromkeys(_guid(raw, "removeLicenses") for raw in body["removeLicenses"]))
    if len({license_.sku_id for license_ in add}) != len(add):
        raise bad_request("The parameter 'addLicenses' names the same skuId twice.")
    return Change(add, remove)


def _added(raw: Any) -> AssignedLicense:
    if not isinstance(raw, dict) or "skuId" not in raw:
        raise bad_request("An entry of 'addLicenses' needs a 'skuId'.")
    unknown = [name for name in raw if name not in ("skuId", "disabledPlans") and not name.startswith("@odata.")]
    if unknown:
        raise bad_request(f"The property '{unknown[0]}' does not exist on type 'microsoft.graph.assignedLicense'.")
    disabled = raw.get("disabledPlans")
    if disabled is None:
        disabled = []
    if not isinstance(disabled, list):
        raise bad_request("The property 'disabledPlans' must be a collection.")
    plans = tuple(dict.fromkeys(_guid(plan, "disabledPlans") for plan in disabled))
    return AssignedLicense(_guid(raw["skuId"], "skuId"), plans)


def _guid(raw: Any, name: str) -> str:
    if isinstance(raw, str) and len(raw) == _GUID_LENGTH:
        lowered = raw.lower()
        parts = lowered.split("-")
        if [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(c in "0123456789abcdef" for c in "".join(parts)):
            return lowered
    raise bad_request(f"Cannot convert the value '{raw}' of '{name}' to the type 'Edm.Guid'.")


def _direct(rows: tuple[LicenseRow, ...]) -> dict[str, frozenset[str]]:
    return {row.sku_id: frozenset(row.disabled) for row in rows if row.group is None and row.state in ACTIVE}


def _updated_user(tenant: Tenant, user: User) -> Reply:
    body = {"@odata.context": f"{GRAPH}/$metadata#users/$entity"}
    body.update(user_json(user, user.state(), ASSIGN_RESULT, view_of(tenant)))
    return Reply(200, body)
