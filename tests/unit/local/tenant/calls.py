"""A small tenant without a network, and calls on it, for the unit tests of the simulated tenant."""

from __future__ import annotations

import time
import uuid
from typing import Any

import orjson

from local.tenant.call import Call, Reply, encode
from local.tenant.generator.given_objects import place_objects
from local.tenant.http.batch import answer_batch
from local.tenant.http.pipeline import answer
from local.tenant.identity.permissions import Client
from local.tenant.settings import Settings
from local.tenant.tenant import Tenant

ANN = "aaaaaaaa-0000-4000-8000-000000000001"
BOB = "bbbbbbbb-0000-4000-8000-000000000002"
CEM = "cccccccc-0000-4000-8000-000000000003"
SALES = "11111111-0000-4000-8000-000000000001"

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
E5 = "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
E1 = "18181a46-0d4e-45cd-891e-60aabd171b4e"
F3 = "66b55226-6b4f-492c-910c-a3b7a3c9d993"
EMS = "efccb6f7-5641-4e0e-bd10-b4976e1bf68e"
VISIO = "c5928f49-12ba-48f7-ada3-0d743a3601d5"
PROJECT = "53818b1b-4a27-454b-8896-0dba576410e6"
ANALYTICS = "3d957427-ecdc-4df2-aacd-01cc9d519da8"
EXCHANGE_1 = "4b9405b0-7788-4568-add1-99614e613b69"
EXCHANGE_2 = "19ec0d23-8335-4cbd-94ac-6050e30712fa"
TEAMS_PLAN = "57ff2da0-773e-42df-b2af-ffb7a2317929"
SHAREPOINT_2 = "5dbe027f-2339-4123-9542-606e4d348a72"
EXCHANGE_P2_PLAN = "efb87545-963c-4e0d-99df-69c6916d9eb0"
UNKNOWN = "99999999-9999-4999-8999-999999999999"

SKUS = (E3, E5, E1, F3, EMS, VISIO, PROJECT, ANALYTICS, EXCHANGE_1, EXCHANGE_2)


def a_tenant(settings: dict[str, Any] | None = None, **objects: Any) -> Tenant:
    """A tenant with users Ann, Bob and Cem in the group Sales, ten seats of each SKU, and what `objects` adds."""
    parsed = Settings()
    parsed.patch(settings or {})
    tenant = Tenant(parsed, "k" * 32)
    users = [
        {"id": ANN, "userPrincipalName": "ann@fabrikam.example", "displayName": "Ann Berg"},
        {"id": BOB, "userPrincipalName": "bob@fabrikam.example", "displayName": "Bob Kern"},
        {"id": CEM, "userPrincipalName": "cem@fabrikam.example", "displayName": "Cem Roth"},
    ]
    base = {
        "skus": [{"skuId": sku, "enabled": 10} for sku in SKUS],
        "users": users,
        "groups": [{"id": SALES, "displayName": "Sales", "members": [ANN, BOB, CEM]}],
    }
    with tenant.directory.history.settled():
        place_objects(tenant.directory, base, time.time())
        place_objects(tenant.directory, objects, time.time())
    tenant.directory_changed()
    return tenant


def a_user(user_id: str, **properties: Any) -> dict[str, Any]:
    """Entry for `users` of a_tenant."""
    return {"id": user_id, "userPrincipalName": f"{user_id[:3]}@fabrikam.example", **properties}


def new_ids(count: int) -> list[str]:
    """Ids for more users."""
    return [str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))) for number in range(count)]


def a_call(
    tenant: Tenant,
    method: str,
    url: str,
    body: Any = None,
    *,
    client: str = "administrator",
    headers: dict[str, str] | None = None,
) -> Call:
    """A call as the server would build it."""
    path, _, query = url.partition("?")
    who: Client = tenant.clients[client]
    return Call(
        method=method,
        path=path,
        query=dict(part.split("=", 1) for part in query.split("&")) if query else {},
        headers={name.lower(): value for name, value in (headers or {}).items()},
        body=body,
        app_id=who.app_id,
        permissions=who.graph,
    )


async def ask(tenant: Tenant, method: str, url: str, body: Any = None, **more: Any) -> tuple[int, Any, dict[str, str]]:
    """Status, parsed body and headers of one operation."""
    return _opened(await answer(tenant, a_call(tenant, method, url, body, **more)))


async def ask_batch(tenant: Tenant, requests: list[dict[str, Any]], **more: Any) -> tuple[int, Any]:
    """Status and parsed body of a $batch; GraphError for a malformed one."""
    status, body, _ = _opened(
        await answer_batch(tenant, a_call(tenant, "POST", "/$batch", {"requests": requests}, **more))
    )
    return status, body


async def assign(
    tenant: Tenant, user_id: str, add: list[Any] | None = None, remove: list[str] | None = None, **more: Any
) -> tuple[int, str]:
    """assignLicense with SKU ids or (SKU, disabledPlans) pairs; answers status and error text."""
    status, body, _ = await ask(tenant, "POST", f"/users/{user_id}/assignLicense", change(add, remove), **more)
    return status, body.get("error", {}).get("message", "")


def change(add: list[Any] | None = None, remove: list[str] | None = None) -> dict[str, Any]:
    """Body of assignLicense."""
    pairs = [(one, ()) if isinstance(one, str) else one for one in add or []]
    return {
        "addLicenses": [{"skuId": sku, "disabledPlans": list(off)} for sku, off in pairs],
        "removeLicenses": remove or [],
    }


def assign_item(item_id: str, user_id: str, add: list[Any] | None = None, **more: Any) -> dict[str, Any]:
    """An assignLicense as an item of a $batch."""
    return {
        "id": item_id,
        "method": "POST",
        "url": f"/users/{user_id}/assignLicense",
        "headers": {"Content-Type": "application/json"},
        "body": change(add),
        **more,
    }


def _opened(reply: Reply) -> tuple[int, Any, dict[str, str]]:
    raw = encode(reply.body)
    body = orjson.loads(raw) if raw and not isinstance(reply.body, str) else reply.body
    return reply.status, body, reply.headers
