"""/subscriptions: made after a handshake, read, renewed, reauthorized and deleted; each application sees its own.

learn.microsoft.com/graph/api/resources/subscription
"""

from __future__ import annotations

from local.tenant import clock
from local.tenant.call import GRAPH, Call, GraphError, Reply, bad_request
from local.tenant.graph.present import present_group
from local.tenant.notifications.handshake import validate_endpoints
from local.tenant.notifications.subscriptions import (
    GraphSubscription,
    checked_url,
    invalid,
    parse_expiry,
    parse_subscription,
)
from local.tenant.tenant import Tenant

_CONTEXT = f"{GRAPH}/$metadata#subscriptions"


async def create_subscription(tenant: Tenant, call: Call) -> Reply:
    """POST /subscriptions; 201 once every endpoint has answered its token."""
    now = clock.time()
    new = parse_subscription(call.body, call.app_id, tenant.settings, now)
    if new.group_id is not None:
        present_group(tenant, new.group_id)
    urls = [new.notification_url] if new.lifecycle_url is None else [new.notification_url, new.lifecycle_url]
    await validate_endpoints(urls, tenant.settings.handshake_seconds)
    tenant.graph_subscriptions.add(new, clock.time(), tenant.settings)
    return Reply(201, {"@odata.context": f"{_CONTEXT}/$entity", **new.as_json(with_state=True)})


def list_subscriptions(tenant: Tenant, call: Call) -> Reply:
    """GET /subscriptions; an application has at most 100, which is one page."""
    if any(name.startswith("$") for name in call.query):
        raise bad_request("Query options are not supported on subscriptions.")  # own wording
    own = [one for one in tenant.graph_subscriptions.alive(clock.time()) if one.app_id == call.app_id]
    return Reply(200, {"@odata.context": _CONTEXT, "value": [one.as_json(with_state=False) for one in own]})


def get_subscription(tenant: Tenant, call: Call) -> Reply:
    """GET /subscriptions/{id}"""
    return _shown(_own(tenant, call))


async def patch_subscription(tenant: Tenant, call: Call) -> Reply:
    """PATCH /subscriptions/{id}: a new expirationDateTime, a new notificationUrl, or both; authorizes again."""
    found = _own(tenant, call)
    body = call.body if isinstance(call.body, dict) else {}
    unknown = [one for one in body if one not in ("expirationDateTime", "notificationUrl")]
    if not body or unknown:
        raise invalid("Of a subscription expirationDateTime and notificationUrl can be updated, nothing else.")
    expires, url = found.expires, found.notification_url
    if "expirationDateTime" in body:
        expires = parse_expiry(body["expirationDateTime"], tenant.settings, clock.time())
    if "notificationUrl" in body:
        url = checked_url("notificationUrl", str(body["notificationUrl"]), tenant.settings)
        await validate_endpoints([url], tenant.settings.handshake_seconds)
    found.expires, found.notification_url = expires, url
    tenant.sender.authorize(found)
    return _shown(found)


def delete_subscription(tenant: Tenant, call: Call) -> Reply:
    """DELETE /subscriptions/{id}; 204"""
    tenant.graph_subscriptions.remove(_own(tenant, call))
    return Reply(204)


def reauthorize_subscription(tenant: Tenant, call: Call) -> Reply:
    """POST /subscriptions/{id}/reauthorize; 204, the expiry stays."""
    tenant.sender.authorize(_own(tenant, call))
    return Reply(204)


def _own(tenant: Tenant, call: Call) -> GraphSubscription:
    found = tenant.graph_subscriptions.find(call.segments[1], clock.time())
    if found is None or found.app_id != call.app_id:
        # As commonly reported.
        raise GraphError(404, "ResourceNotFound", "The object was not found.")
    return found


def _shown(subscription: GraphSubscription) -> Reply:
    return Reply(200, {"@odata.context": f"{_CONTEXT}/$entity", **subscription.as_json(with_state=False)})
