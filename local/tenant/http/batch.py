"""POST /$batch: up to 20 operations in one request, each with a result of its own.

learn.microsoft.com/graph/json-batching: the answer is 200 whenever the envelope can be read. Ids are unique without
regard to case, and results come in any order. An operation whose predecessor failed gets 424. Each operation uses quota
of its own. Texts about malformed envelopes are this project's own wording.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson

from local.tenant.call import Call, GraphError, Reply, bad_request, error_reply
from local.tenant.http.pipeline import DroppedError, NoAnswerError, answer
from local.tenant.tenant import Tenant

BATCH_LIMIT = 20

_HOST = "graph.microsoft.com"
_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})


@dataclass(slots=True)
class _Item:
    id: str
    call: Call
    depends_on: tuple[str, ...]
    fault: GraphError | None = None


async def answer_batch(tenant: Tenant, envelope: Call) -> Reply:
    """Carry out a batch; a malformed envelope is a 400 as a whole."""
    items = _parse(tenant, envelope)
    if tenant.settings.batch_throttling == "rest" and not any(item.depends_on for item in items):
        results = await _until_throttled(tenant, items)
    elif not any(item.depends_on for item in items):
        results = await asyncio.gather(*(_one(tenant, item) for item in items))
    else:
        results = await _in_order(tenant, items)
    responses = [result for result in results if result is not None]
    tenant.chance.shuffle(responses)
    throttled = any(response["status"] == 429 for response in responses)
    status = tenant.settings.batch_throttle_status if throttled else 200
    if tenant.settings.record:
        asked = {"method": "POST", "path": "/$batch", "query": {}, "ids": [item.id for item in items]}
        tenant.recording.append(orjson.dumps({**asked, "status": status, "body": {"responses": responses}}))
    return Reply(status, {"responses": responses})


async def _until_throttled(tenant: Tenant, items: list[_Item]) -> list[dict[str, Any] | None]:
    """One after the other; those after the first throttled one are throttled too, as Microsoft's Group Membership
    Management has to expect."""
    results: list[dict[str, Any] | None] = []
    throttled: dict[str, Any] | None = None
    for item in items:
        result = {**throttled, "id": item.id} if throttled else await _one(tenant, item)
        results.append(result)
        if throttled is None and result is not None and result["status"] == 429:
            throttled = result
    return results


async def _in_order(tenant: Tenant, items: list[_Item]) -> list[dict[str, Any] | None]:
    tasks: dict[str, asyncio.Task[dict[str, Any] | None]] = {}

    async def after(item: _Item) -> dict[str, Any] | None:
        for name in item.depends_on:
            before = await tasks[name]
            if before is None or before["status"] >= 400:
                # Own wording of a documented status.
                error = GraphError(424, "FailedDependency", f"The request '{name}' this one depends on failed.")
                return _result(item, error_reply(error, item.call))
        return await _one(tenant, item)

    for item in items:
        tasks[item.id.lower()] = asyncio.ensure_future(after(item))
    return list(await asyncio.gather(*tasks.values()))


async def _one(tenant: Tenant, item: _Item) -> dict[str, Any] | None:
    if item.fault is not None:
        tenant.metrics.item(item.call.app_id, item.fault.status, False)
        return _result(item, error_reply(item.fault, item.call))
    try:
        return _result(item, await answer(tenant, item.call))
    except DroppedError:
        return None
    except NoAnswerError:
        # Own wording; inside a batch silence can only show as a status.
        error = GraphError(504, "GatewayTimeout", "The operation did not answer in time.")
        return _result(item, error_reply(error, item.call))


def _result(item: _Item, reply: Reply) -> dict[str, Any]:
    headers = dict(reply.headers)
    result: dict[str, Any] = {"id": item.id, "status": reply.status, "headers": headers}
    if reply.body is not None:
        headers.setdefault("Content-Type", "application/json")
        result["body"] = orjson.Fragment(reply.body) if isinstance(reply.body, bytes) else reply.body
    return result


def _parse(tenant: Tenant, envelope: Call) -> list[_Item]:
    body = envelope.body
    raw_items = body.get("requests") if isinstance(body, dict) else None
    if not isinstance(raw_items, list) or not raw_items:
        raise bad_request("Invalid batch payload format.", "BadRequest")  # own wording
    if len(raw_items) > BATCH_LIMIT:
        # Own wording.
        raise bad_request(f"Number of batch request steps exceeds the maximum value of {BATCH_LIMIT}.", "BadRequest")
    items = [_parse_item(envelope, raw, tenant.settings.other_spellings) for raw in raw_items]
    ids = [item.id.lower() for item in items]
    if len(set(ids)) != len(ids):
        raise bad_request("Invalid batch payload format. The ids of the requests are not unique.", "BadRequest")
    _check_order(items, ids)
    if tenant.settings.later_depends_on == "rejected":
        _check_later(items, ids)
    return items


def _parse_item(envelope: Call, raw: Any, absolute: bool) -> _Item:
    if not isinstance(raw, dict) or not all(isinstance(raw.get(name), str) for name in ("id", "method", "url")):
        raise bad_request("Invalid batch payload format. A request needs id, method and url.", "BadRequest")
    method = raw["method"].upper()
    if method not in _METHODS:
        raise bad_request(f"Invalid batch payload format. Method '{raw['method']}' is not known.", "BadRequest")
    address = urlsplit(raw["url"])
    path = address.path
    if address.scheme or address.netloc:
        base = urlsplit(envelope.base)
        if not absolute or not f"{path}/".lower().startswith("/v1.0/") or address.netloc not in (_HOST, base.netloc):
            raise bad_request("Invalid batch payload format. The url of a request must be relative.", "BadRequest")
        path = path[len("/v1.0") :]
    raw_headers, depends_on = raw.get("headers") or {}, raw.get("dependsOn") or []
    if not isinstance(raw_headers, dict) or not isinstance(depends_on, list):
        raise bad_request("Invalid batch payload format. headers or dependsOn has the wrong type.", "BadRequest")
    headers = {str(name).lower(): str(value) for name, value in raw_headers.items()}
    call = Call(
        method=method,
        path="/" + unquote(path).strip("/"),
        query=dict(parse_qsl(address.query, keep_blank_values=True)) if address.query else {},
        headers=headers,
        body=raw.get("body"),
        app_id=envelope.app_id,
        permissions=envelope.permissions,
        base=envelope.base,
    )
    item = _Item(raw["id"], call, tuple(str(name).lower() for name in depends_on))
    if "body" in raw and "json" not in headers.get("content-type", "").lower():
        item.fault = bad_request("Entity only allows writes with a JSON Content-Type header.", "BadRequest")
    return item


def _check_later(items: list[_Item], ids: list[str]) -> None:
    """A request can depend on earlier ones only (microsoftgraph/msgraph-sdk-dotnet-core issue 891)."""
    for place, item in enumerate(items):
        later = [name for name in item.depends_on if name in ids[place:]]
        if later:
            raise bad_request(f"Invalid dependency for request Id: {item.id}", "BadRequest")


def _check_order(items: list[_Item], ids: list[str]) -> None:
    """dependsOn may only name other requests of the batch, without a circle."""
    waiting = {item.id.lower(): set(item.depends_on) for item in items}
    for name, before in waiting.items():
        if not before <= set(ids) or name in before:
            raise bad_request("Invalid batch payload format. dependsOn names no other request.", "BadRequest")
    while waiting:
        free = [name for name, before in waiting.items() if not before & waiting.keys()]
        if not free:
            raise bad_request("Invalid batch payload format. dependsOn goes round in a circle.", "BadRequest")
        for name in free:
            del waiting[name]
