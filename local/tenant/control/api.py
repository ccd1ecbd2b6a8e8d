"""The control API under /_tenant/: build, read and disturb the tenant. Never used by the product.

Everything here shows the truth, never an earlier state, and is neither charged nor counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from local.tenant import clock
from local.tenant.control.changes import CHANGE_ACTIONS
from local.tenant.control.roles import ROLE_ACTIONS
from local.tenant.control.tables import TABLE_ACTIONS, tables_of
from local.tenant.directory.model import Group, LicenseRow, User
from local.tenant.generator.generate import generate
from local.tenant.generator.given_objects import place_objects
from local.tenant.graph.directory_view import DirectoryView
from local.tenant.graph.organization import sku_json
from local.tenant.graph.render import licenses_fragment, states_fragment
from local.tenant.tenant import Tenant


class ControlError(Exception):
    """The request to the control API is wrong; the text names what."""


async def control(tenant: Tenant, request: web.BaseRequest, path: str) -> web.Response:
    """Carry out one control request; a bad one gets 400 with the reason."""
    handler = _ACTIONS.get((request.method, path)) or _ACTIONS.get((request.method, f"{path.partition('/')[0]}/*"))
    if handler is None:
        return _answer(404, {"error": f"{request.method} /_tenant/{path} is not part of the control API"})
    try:
        raw = await request.content.read() if request.can_read_body else b""  # no limit of size here
        body = orjson.loads(raw) if raw else None
        return _answer(200, await handler(tenant, request, body))
    except (ControlError, ValueError, KeyError, TypeError) as error:
        reason = f"missing {error}" if isinstance(error, KeyError) else str(error)
        return _answer(400, {"error": reason})


async def _health(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    return {"status": "ok"}


async def _generate(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    directory, summary = await asyncio.to_thread(generate, **{str(k): v for k, v in (body or {}).items()})
    tenant.replace_directory(directory, summary)
    return await _summary(tenant, request, None)


async def _summary(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    directory = tenant.directory
    catalog = directory.catalog
    return {
        "tenantId": directory.tenant_id,
        "groups": {group.display_name: group.id for group in directory.groups.values()},
        "counts": {"users": len(directory.users), "groups": len(directory.groups)},
        "seed": None,
        **tenant.summary,
        "skus": {catalog.products[sku_id].part_number: sku_id for sku_id in directory.subscriptions},
        "clients": {
            client.name: {"appId": client.app_id, "permissions": sorted(client.graph), "roles": list(client.api)}
            for client in tenant.clients.values()
        },
    }


async def _objects(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    with tenant.directory.history.settled():
        placed = place_objects(tenant.directory, body or {}, clock.time())
    tenant.directory_changed()
    return placed


async def _membership(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    directory, now = tenant.directory, clock.time()
    done = {"added": 0, "removed": 0}
    for key, change in (("add", directory.add_member), ("remove", directory.remove_member)):
        for group_id, member_id in (body or {}).get(key, ()):
            group, member = directory.groups.get(group_id.lower()), directory.objects.get(member_id.lower())
            if group is None or member is None:
                raise ControlError(f"membership {key}: group {group_id} or member {member_id} does not exist")
            if change(group, member, now):
                done["added" if key == "add" else "removed"] += 1
                tenant.native.member_changed(group, member.id)
    return done


async def _administrative_units(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """Members of each unit by its id, in the place of all units before."""
    units = {key.lower(): [each.lower() for each in members] for key, members in (body or {}).items()}
    unknown = {each for members in units.values() for each in members} - tenant.directory.objects.keys()
    if unknown:
        raise ControlError(f"administrativeUnits: no object is called {', '.join(sorted(unknown))}")
    tenant.directory.administrative_units = units
    return {"administrativeUnits": len(units)}


async def _user(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """The recycle bin, and one user as the directory has it."""
    key, _, verb = request.path.removeprefix("/_tenant/users/").partition("/")
    user = tenant.directory.find_user(key)
    if user is None:
        raise ControlError(f"user {key} does not exist")
    if request.method == "GET" and not verb:
        return _user_truth(user, DirectoryView(tenant.directory.catalog))
    if request.method == "DELETE" and not verb:
        tenant.directory.delete_user(user, clock.time())
    elif request.method == "POST" and verb == "restore":
        tenant.directory.restore_user(user, clock.time())
    elif request.method == "POST" and verb == "licenseState":
        _set_state(tenant, user, body)
    else:
        known = "GET or DELETE {id}, POST {id}/restore or POST {id}/licenseState"
        raise ControlError(f"users: {known}, not {request.method} {verb!r}")
    tenant.directory_changed()
    return {"id": user.id, "deleted": user.deleted is not None}


def _set_state(tenant: Tenant, user: User, body: Any) -> None:
    """Another state of a direct license, as when its subscription lapses."""
    if not isinstance(body, dict) or not {"skuId", "state"} <= body.keys():
        raise ControlError('a state is set with {"skuId", "state", "error"}')
    now, moves = clock.time(), tenant.settings.state_moves_time
    rows = tuple(
        row._replace(state=body["state"], error=body.get("error", "None"), updated=now if moves else row.updated)
        if row.sku_id == body["skuId"] and row.group is None
        else row
        for row in user.rows
    )
    tenant.directory.set_rows(user, rows, now)


async def _directory(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    directory, truth = tenant.directory, DirectoryView(tenant.directory.catalog)
    return {
        "users": [_user_truth(user, truth) for user in directory.users.values()],
        "groups": [_group_truth(group) for group in directory.groups.values()],
        "subscribedSkus": [sku_json(tenant, one, None, truth) for one in directory.subscriptions.values()],
        "tables": tables_of(tenant),
        "others": [
            {"id": one.id, "@odata.type": one.odata_type}
            for one in directory.objects.values()
            if not isinstance(one, User | Group)
        ],
    }


def _user_truth(user: User, truth: DirectoryView) -> dict[str, Any]:
    rows: tuple[LicenseRow, ...] = user.rows
    return {
        "id": user.id,
        "userPrincipalName": user.user_principal_name,
        "displayName": user.display_name,
        "usageLocation": user.usage_location,
        "accountEnabled": user.account_enabled,
        "userType": user.user_type,
        "deleted": user.deleted is not None,
        "proxyAddressClash": user.proxy_clash,
        "licenseAssignmentStates": states_fragment(rows, truth),
    }


def _group_truth(group: Group) -> dict[str, Any]:
    return {
        "id": group.id,
        "displayName": group.display_name,
        "securityEnabled": group.security_enabled,
        "groupTypes": list(group.group_types),
        "visibility": group.visibility,
        "members": group.member_ids,
        "assignedLicenses": licenses_fragment(list(group.licenses)),
        "deleted": group.deleted is not None,
    }


async def _metrics(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    return {**tenant.metrics.as_json(), "settings": tenant.settings.as_json(), "clock": clock.time()}


async def _reset_metrics(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    tenant.metrics.reset()
    return {"reset": True}


async def _writes(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    return tenant.metrics.writes_after(int(request.query.get("after", "0")), int(request.query.get("limit", "1000")))


async def _settings(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    changes = dict(body or {})
    permissions = changes.pop("permissions", {})
    unknown = set(permissions) - set(tenant.clients)
    if unknown:
        raise ControlError(f"permissions: no client is called {', '.join(sorted(unknown))}")
    tenant.settings.patch(changes)
    if "tables" in changes:
        tenant.lay_tables()
    for name, granted in permissions.items():
        tenant.clients[name].graph = frozenset(granted)
    tenant.directory.history.horizon = tenant.settings.stale_seconds
    return tenant.settings.as_json()


async def _show_settings(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    return tenant.settings.as_json()


async def _add_faults(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    tenant.faults.add(body if isinstance(body, list) else [body])
    return tenant.faults.as_json()


async def _show_faults(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    return tenant.faults.as_json()


async def _clear_faults(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    tenant.faults.clear()
    return []


async def _quota(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """Empty all meters, or count writes of other applications."""
    if not body:
        tenant.quota.reset()
        return {"reset": True}
    writes = body["othersWrites"]
    if not isinstance(writes, int | float) or writes < 0:
        raise ControlError(f"othersWrites must be a number of at least 0, not {writes!r}")
    tenant.quota.take(float(writes), clock.time())
    return {"othersWrites": writes}


async def _recording(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """The answers kept since the last time this was asked, oldest first."""
    kept = [orjson.Fragment(each) for each in tenant.recording]
    tenant.recording.clear()
    return kept


_ACTIONS: dict[tuple[str, str], Callable[[Tenant, web.BaseRequest, Any], Awaitable[Any]]] = {
    ("GET", "health"): _health,
    ("POST", "generate"): _generate,
    ("GET", "summary"): _summary,
    ("POST", "objects"): _objects,
    ("POST", "membership"): _membership,
    ("POST", "administrativeUnits"): _administrative_units,
    ("GET", "users/*"): _user,
    ("DELETE", "users/*"): _user,
    ("POST", "users/*"): _user,
    ("GET", "directory"): _directory,
    ("GET", "metrics"): _metrics,
    ("POST", "metrics/reset"): _reset_metrics,
    ("GET", "recording"): _recording,
    ("GET", "writes"): _writes,
    ("PATCH", "settings"): _settings,
    ("GET", "settings"): _show_settings,
    ("POST", "faults"): _add_faults,
    ("GET", "faults"): _show_faults,
    ("DELETE", "faults"): _clear_faults,
    ("POST", "quota"): _quota,
    **CHANGE_ACTIONS,
    **ROLE_ACTIONS,
    **TABLE_ACTIONS,
}


def _answer(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")
