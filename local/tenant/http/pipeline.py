"""The way of one operation: fault, route, quota, permission, latency, handler, answer.

Plain requests and items of a $batch take the same way, each charged and answered for itself.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from local.tenant import clock
from local.tenant.call import Call, GraphError, Reply, bad_request, denied, error_reply
from local.tenant.graph.delta import groups_delta
from local.tenant.http.concurrent_writes import in_flight
from local.tenant.http.routing import Route, cost, find_route, write_cost
from local.tenant.identity.permissions import allowed
from local.tenant.notifications.subscriptions import subscription_denied
from local.tenant.tenant import Tenant


class NoAnswerError(Exception):
    """The caller gets no answer; `reset` cuts the connection at once instead of leaving it waiting."""

    def __init__(self, reset: bool) -> None:
        super().__init__("no answer")
        self.reset = reset


class DroppedError(Exception):
    """The item is left out of the answer of its $batch."""


async def answer(tenant: Tenant, call: Call) -> Reply:
    """Carry out one operation; raises NoAnswerError or DroppedError where a fault asks for it."""
    fault = tenant.faults.strike(call.method, call.path, (call.app_id, tenant.client_name(call.app_id)))
    if fault is None:
        return await _carry_out(tenant, call)
    if fault.get("delayMs"):
        await asyncio.sleep(float(fault["delayMs"]) / 1000)
    if fault.get("reset"):
        raise NoAnswerError(reset=True)
    if fault.get("timeoutBefore"):
        raise NoAnswerError(reset=False)
    if "status" in fault:
        return _faulty_reply(tenant, call, fault)
    reply = await _carry_out(tenant, call)
    if fault.get("timeoutAfter"):
        raise NoAnswerError(reset=False)
    if fault.get("dropItem"):
        raise DroppedError
    return _damaged(reply, fault)


async def _carry_out(tenant: Tenant, call: Call) -> Reply:
    headers: dict[str, str] = {}
    is_write = False
    try:
        route = find_route(call, other_spellings=tenant.settings.other_spellings)
        is_write = route.writes > 0
        headers = _charge(tenant, call, route)
        if not allowed(call.permissions, route.needed):
            raise subscription_denied(tenant.settings) if route.template == "subscriptions" else denied()
        reply = await (_write(tenant, call, route) if is_write else _read(tenant, call, route))
    except GraphError as error:
        reply = error_reply(error, call)
    reply.headers.update(headers)
    tenant.metrics.item(call.app_id, reply.status, is_write)
    if tenant.settings.record:
        asked = {"method": call.method, "path": call.path, "query": dict(call.query)}
        tenant.recording.append(orjson.dumps({**asked, "status": reply.status, "body": reply.body}))
    return reply


def _charge(tenant: Tenant, call: Call, route: Route) -> dict[str, str]:
    units, writes = cost(route, call), write_cost(route, call, tenant.settings.bind_writes)
    priority = call.headers.get("x-ms-throttle-priority", "Normal")
    rejection, fullest = tenant.quota.charge(call.app_id, units, writes, priority, clock.time(), route.limit)
    is_shown = route.limit is None and (route.handler is not groups_delta or tenant.settings.delta_units)
    headers = {"x-ms-resource-unit": str(units)} if is_shown else {}
    if fullest > 0.8 and tenant.settings.throttle_percentage == "from0.8":
        headers["x-ms-throttle-limit-percentage"] = f"{fullest:.2f}"
    if rejection is not None:
        rejection.headers.update(headers)
        raise rejection
    return headers


async def _read(tenant: Tenant, call: Call, route: Route) -> Reply:
    await _latency(tenant)
    call.as_of = tenant.read_moment()
    return await _handled(tenant, call, route)


async def _write(tenant: Tenant, call: Call, route: Route) -> Reply:
    user = tenant.directory.find_user(call.segments[1]) if route.locks_user else None
    key = user.id if user else "/".join(call.segments[:2]).lower()
    with in_flight(tenant, route, key):
        await _latency(tenant)
        return await _handled(tenant, call, route)


async def _handled(tenant: Tenant, call: Call, route: Route) -> Reply:
    reply = route.handler(tenant, call)
    return reply if isinstance(reply, Reply) else await reply


async def _latency(tenant: Tenant) -> None:
    """The wait of one operation; without latency still a turn of the loop: neighbours are in flight together."""
    least, most = tenant.settings.latency_ms
    await asyncio.sleep(tenant.chance.uniform(least, most) / 1000 if most > 0 else 0)


def _faulty_reply(tenant: Tenant, call: Call, fault: dict[str, Any]) -> Reply:
    status = int(fault["status"])
    headers = {str(name): str(value) for name, value in fault.get("headers", {}).items()}
    if "retryAfter" in fault:
        headers["Retry-After"] = str(fault["retryAfter"])
    code = str(fault.get("code", _FAULT_CODES.get(status, "UnknownError")))
    error = GraphError(status, code, str(fault.get("message", "")), headers)
    tenant.metrics.item(call.app_id, status, call.method in ("PATCH", "DELETE") or call.path.endswith("assignLicense"))
    return error_reply(error, call)


_FAULT_CODES = {
    400: "Request_BadRequest",
    401: "InvalidAuthenticationToken",
    403: "Authorization_RequestDenied",
    404: "Request_ResourceNotFound",
    409: "Directory_ConcurrencyViolation",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}


def _damaged(reply: Reply, fault: dict[str, Any]) -> Reply:
    """The answer with properties nulled or its collection missing."""
    if not isinstance(reply.body, dict) or not (fault.get("nullFields") or fault.get("missingValue")):
        return reply
    body = orjson.loads(orjson.dumps(reply.body))
    if fault.get("missingValue"):
        body.pop("value", None)
    for name in fault.get("nullFields", ()):
        rows = body["value"] if isinstance(body.get("value"), list) else [body]
        for row in rows:
            if isinstance(row, dict) and name in row:
                row[name] = None
        if name in body:
            body[name] = None
    return Reply(reply.status, body, reply.headers)


def parse_body(raw: bytes, content_type: str) -> Any:
    """JSON of a request body; 400 for a body that is not JSON or not declared so, in our own wording."""
    if not raw:
        return None
    if "json" not in content_type.lower():
        raise bad_request("Entity only allows writes with a JSON Content-Type header.", "BadRequest")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise bad_request("Unable to read JSON request payload.", "BadRequest") from error
