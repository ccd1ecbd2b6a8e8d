"""The part of the control API that is about changes: of whole groups, of their notifications, of subscriptions and
tokens; of licenses and of time.

A ValueError becomes a 400 with its text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from local.tenant import clock
from local.tenant.call import timestamp
from local.tenant.directory.model import DirectoryObject, Group
from local.tenant.notifications.payloads import LIFECYCLE_EVENTS
from local.tenant.notifications.subscriptions import GraphSubscription
from local.tenant.tenant import Tenant


async def _group(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """DELETE {id} [?forGood=true], POST {id}/restore, PUT {id}/members."""
    key, _, verb = request.path.removeprefix("/_tenant/groups/").partition("/")
    group = tenant.directory.groups.get(key.lower())
    if group is None:
        raise ValueError(f"group {key} does not exist")
    match request.method, verb:
        case "DELETE", "":
            for_good = request.query.get("forGood") == "true"
            if group.licenses and group.deleted is None:
                raise ValueError(f"group {key} has licenses assigned to it and cannot be deleted")
            done = tenant.directory.delete_group(group, clock.time(), for_good=for_good)
        case "POST", "restore":
            done = tenant.directory.restore_group(group, clock.time())
        case "PUT", "members":
            return _replace_members(tenant, group, body)
        case _:
            raise ValueError(
                f"groups: DELETE {{id}}, POST {{id}}/restore or PUT {{id}}/members, not {request.method} {verb!r}"
            )
    return {"id": group.id, "done": done, "deleted": group.deleted is not None, "forGood": group.purged}


def _replace_members(tenant: Tenant, group: Group, body: Any) -> dict[str, int]:
    """The whole list of members at once, as a changed rule of a dynamic group leads to."""
    if not isinstance(body, dict) or not isinstance(body.get("members"), list):
        raise ValueError('members of a group are replaced with {"members": [ids]}')
    directory, now = tenant.directory, clock.time()
    wanted: dict[str, DirectoryObject] = {}
    for one in body["members"]:
        found = directory.objects.get(str(one).lower())
        if found is None:
            raise ValueError(f"group {group.id}: member {one} does not exist")
        wanted[found.id] = found
    leaving = [one for one in group.member_ids if one not in wanted]
    joining = [one for one in wanted.values() if directory.add_member(group, one, now)]
    for member_id in leaving:
        directory.remove_member(group, directory.objects[member_id], now)
    for member_id in (*leaving, *(one.id for one in joining)):
        tenant.native.member_changed(group, member_id)
    return {"added": len(joining), "removed": len(leaving)}


async def _native(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """Open work of native licensing. With {"advance": seconds}, time passes for it alone, and due steps are taken."""
    if isinstance(body, dict):
        await tenant.native.advance(float(body["advance"]))
    return tenant.native.as_json()


async def _clock(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """With {"passSeconds": seconds}, the tenant's whole time passes at once, that of native licensing included."""
    if isinstance(body, dict):
        seconds = float(body["passSeconds"])
        if seconds < 0:
            raise ValueError(f"passSeconds must be at least 0, not {seconds}")
        clock.pass_by(seconds)
        await tenant.native.advance(seconds)
    return {"time": clock.time()}


async def _start_license_log(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """From now on every change of a user's licenses is logged, by any program. A former log is dropped."""
    tenant.directory.license_log = []
    return {"time": clock.time()}


async def _license_log(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """A part of the log, oldest first: time, user, and all rows of the user since then."""
    log = tenant.directory.license_log
    if log is None:
        raise ValueError("no license log was started")
    first, most = int(request.query.get("after", "0")), int(request.query.get("limit", "5000"))
    return [
        [at, user_id, [[row.sku_id, row.state, row.disabled, row.group] for row in rows]]
        for at, user_id, rows in log[first : first + most]
    ]


async def _notifications(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    return {**tenant.sender.as_json(), "faults": tenant.sender.faults.as_json()}


async def _delivery_faults(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    tenant.sender.faults.patch(dict(body or {}))
    return tenant.sender.faults.as_json()


async def _reset_notifications(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    tenant.sender.reset()
    return {"reset": True}


async def _subscriptions(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    alive = tenant.graph_subscriptions.alive(clock.time())
    return [{**one.as_json(with_state=True), "authorized": one.authorized} for one in alive]


async def _expire_subscriptions(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """End subscriptions now without a word; all, or those of `subscriptionIds`."""
    chosen = _chosen(tenant, body)
    for one in chosen:
        tenant.graph_subscriptions.remove(one)
    return {"expired": [one.id for one in chosen]}


async def _lifecycle(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """Make a lifecycle event happen to all subscriptions, or to those of `subscriptionIds`."""
    event = (body or {}).get("event")
    if event not in LIFECYCLE_EVENTS:
        raise ValueError(f"lifecycle event must be one of {', '.join(LIFECYCLE_EVENTS)}, not {event!r}")
    return {"told": [one.id for one in _chosen(tenant, body) if tenant.sender.lifecycle(one, event)]}


def _chosen(tenant: Tenant, body: Any) -> list[GraphSubscription]:
    alive = tenant.graph_subscriptions.alive(clock.time())
    wanted = (body or {}).get("subscriptionIds")
    if wanted is None:
        return alive
    missing = set(wanted) - {one.id for one in alive}
    if missing:
        raise ValueError(f"subscriptions {', '.join(sorted(map(str, missing)))} do not exist")
    return [one for one in alive if one.id in wanted]


async def _expire_delta(tenant: Tenant, request: web.BaseRequest, body: Any) -> Any:
    """Every token of /groups/delta given so far is expired."""
    tenant.delta_valid_from = clock.time()
    return {"validFrom": timestamp(tenant.delta_valid_from)}


CHANGE_ACTIONS: dict[tuple[str, str], Callable[[Tenant, web.BaseRequest, Any], Awaitable[Any]]] = {
    ("DELETE", "groups/*"): _group,
    ("POST", "groups/*"): _group,
    ("PUT", "groups/*"): _group,
    ("GET", "notifications"): _notifications,
    ("PATCH", "notifications"): _delivery_faults,
    ("POST", "notifications/reset"): _reset_notifications,
    ("GET", "native"): _native,
    ("POST", "native"): _native,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _clock,
    ("POST", "licenseLog"): _start_license_log,
    ("GET", "licenseLog"): _license_log,
    ("GET", "subscriptions"): _subscriptions,
    ("POST", "subscriptions/expire"): _expire_subscriptions,
    ("POST", "lifecycle"): _lifecycle,
    ("POST", "delta/expire"): _expire_delta,
}
