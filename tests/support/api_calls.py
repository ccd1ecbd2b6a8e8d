"""Calls of the HTTP API in tests: principals as the platform hands them on, and a client without a network."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from starlette.types import Receive, Scope, Send

from functions.web.application import build
from functions.web.claims import HEADER
from shared.bootstrap import App, SignIn
from shared.domain.directory import ServicePlan, SubscribedSku
from shared.domain.ids import GroupId, OperationId, ServicePlanId, SkuId, UserId
from shared.domain.operation import Operation
from shared.ports.world import World
from tests.support.worlds import Fakes, fake_world

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
OTHER_TENANT = "9a0c0305-4f89-41d3-9a0c-0305e82c3302"
PERSON = "aaaaaaaa-0000-4000-8000-000000000001"
LICENSE_ADMINISTRATOR = "4d6ac14f-3453-41d0-bef9-a3e0c569773a"
GROUPS_ADMINISTRATOR = "fdd7a751-b60b-444a-984c-02652fe8fa1c"
GLOBAL_READER = "f2ef992c-3afb-46b9-b7cf-a126ee74c451"
CLIENT = "cccccccc-0000-4000-8000-000000000003"
"""A client application that is allowed to call."""

OTHER_CLIENT = "dddddddd-0000-4000-8000-000000000004"
ON = SignIn(platform_authentication=True, tenant_id=TENANT, allowed_clients=frozenset({CLIENT}))

Claims = list[tuple[str, str]]


def claims_of(
    *, roles: Iterable[str] = (), wids: Iterable[str] = (), tenant: str = TENANT, issuer: str | None = None
) -> Claims:
    """The claims of a person of the tenant."""
    return [
        ("tid", tenant),
        ("iss", f"https://sts.windows.net/{tenant}/" if issuer is None else issuer),
        ("oid", PERSON),
        ("preferred_username", "ada@fabrikam.example"),
        *(("roles", role) for role in roles),
        *(("wids", role) for role in wids),
    ]


def another(claims: Claims) -> Claims:
    """The same claims of another person."""
    who = {"oid": "aaaaaaaa-0000-4000-8000-000000000002", "preferred_username": "bea@fabrikam.example"}
    return [(name, who.get(name, text)) for name, text in claims]


def encoded(claims: Claims, auth_typ: str = "aad") -> str:
    """The header value for claims."""
    value = {"auth_typ": auth_typ, "claims": [{"typ": name, "val": text} for name, text in claims]}
    return base64.b64encode(json.dumps(value).encode()).decode()


def _with(claims: Claims, more: Mapping[str, str]) -> Claims:
    """The claims, and those of `more` that they lack."""
    named = {name for name, _ in claims}
    return [*claims, *((name, text) for name, text in more.items() if name not in named)]


def just_now() -> str:
    """Seconds since 1970, as claims have them."""
    return str(int(time.time()))


def token(claims: Claims) -> dict[str, str]:
    """Headers of a request with the access token of a person, who has just signed in to an allowed client."""
    whole = _with(claims, {"azp": CLIENT, "scp": "user_impersonation", "auth_time": just_now()})
    return {HEADER: encoded(whole), "authorization": "Bearer checked-by-the-platform"}


def app_token(*, roles: Iterable[str], tenant: str = TENANT) -> dict[str, str]:
    """Headers of a request with the access token of an application that acts for nobody."""
    claims = [each for each in claims_of(roles=roles, tenant=tenant) if each[0] != "preferred_username"]
    whole = _with(claims, {"azp": CLIENT, "idtyp": "app", "iat": just_now()})
    return {HEADER: encoded(whole), "authorization": "Bearer checked-by-the-platform"}


def session(claims: Claims) -> dict[str, str]:
    """Headers of a request of a browser with a session that has just begun."""
    whole = _with(claims, {"iat": just_now(), "auth_time": just_now()})
    return {HEADER: encoded(whole), "cookie": "AppServiceAuthSession=x"}


WRITER = token(claims_of(roles=["Licensing.ReadWrite"]))
READER = token(claims_of(roles=["Licensing.Read"]))
HR_READER = token(claims_of(roles=["Onboarding.Read"]))


DESCRIPTION: dict[str, Any] = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())
ANSWERED: set[tuple[str, str, int]] = set()
"""Operations and statuses that tests have seen in this process, each held to the description."""


@cache
def _schema_of(verb: str, path: str, status: int) -> tuple[str, Draft202012Validator | None]:
    """The described path of a request (empty for none), and what its answer must be. Fails for a status that the
    description does not know."""
    known = [each for each in DESCRIPTION["paths"] if verb.lower() in DESCRIPTION["paths"][each]]
    fits = [each for each in known if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", each), path)]
    if not fits:
        return "", None
    found = min(fits, key=lambda each: each.count("{"))
    response = DESCRIPTION["paths"][found][verb.lower()]["responses"][str(status)]
    if "$ref" in response:
        response = DESCRIPTION["components"]["responses"][str(status)]
    if "content" not in response:
        return found, None
    schema = {**response["content"]["application/json"]["schema"], "components": DESCRIPTION["components"]}
    return found, Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


async def _fits(answer: httpx.Response) -> None:
    """Every answer of the API to a test is held to its description."""
    request = answer.request
    if not request.url.path.startswith("/api/") or request.url.path == "/api/openapi.json":
        return
    path, schema = _schema_of(request.method, request.url.path, answer.status_code)
    if not path:
        assert answer.status_code >= 400
        return
    body = await answer.aread()
    if schema is None:
        assert body in (b"", b"null")
    else:
        schema.validate(json.loads(body))
    ANSWERED.add((request.method, path, answer.status_code))


DOORS: ContextVar[App] = ContextVar("DOORS")
"""What the request under way is answered with."""


@cache
def _served() -> FastAPI:
    """The application, which takes longer to make than most tests take; each request brings its own doors."""
    return build(DOORS.get)


def client(world: World, sign_in: SignIn = ON, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    """A client of the API on the world, by default one that may write."""
    doors = App(world, sign_in)

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        before = DOORS.set(doors)
        try:
            await _served()(scope, receive, send)
        finally:
            DOORS.reset(before)

    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=served),
        base_url="https://licensing.example",
        headers=WRITER if headers is None else headers,
        event_hooks={"response": [_fits]},
    )


GROUP = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f")
OTHER_GROUP = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e40")
USERS = [UserId("1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"), UserId("9b1f2e3d-4c5b-4a69-8877-665544332211")]
E3 = SkuId("05e9a617-0261-4cee-bb44-138d3ef5d965")
E5 = SkuId("06ebc4ee-1bb5-47dd-8120-11324bc54e06")
MAIL = ServicePlanId("a23b959c-7ce8-4e57-9140-b90eb88a9e97")
CHAT = ServicePlanId("57ff2da0-773e-42df-b2af-ffb7a2317929")
LOST = OperationId("f" * 32)

ASSIGN_E3: dict[str, Any] = {"addLicenses": [{"skuId": E3, "disabledPlans": [CHAT]}], "removeLicenses": []}
PATH_VALUES = {
    "operation_id": LOST,
    "group_id": GROUP,
    "user_id": USERS[0],
    "sku_id": E3,
    "name": "site.css",
    "act": "pause",
    "dead_letter_id": LOST,
    "entry_id": LOST,
    "bulk_id": LOST,
    "run_id": LOST,
    "event_key": LOST,
    "profile_name": "sales",
    "unmanaged": "adopt",
}


def small_tenant() -> Fakes:
    """Two products, two users, one group of both, to which HR may write."""
    fakes = fake_world()
    policy = replace(fakes.world.policy, onboarding_groups=frozenset({GROUP}))
    fakes = replace(fakes, world=replace(fakes.world, policy=policy))
    for sku_id, name in ((E3, "SPE_E3"), (E5, "SPE_E5")):
        plans = (ServicePlan(MAIL, "EXCHANGE"), ServicePlan(CHAT, "TEAMS1"))
        fakes.directory.add_sku(SubscribedSku(sku_id, name, plans, enabled=100))
    for user_id in USERS:
        fakes.directory.add_user(user_id)
    fakes.directory.add_group(GROUP, USERS)
    return fakes


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer, which has Graph's shape."""
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert {"code", "message", "innerError"} <= set(error) <= {"code", "message", "target", "details", "innerError"}
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    return error


async def assigned(world: World, body: dict[str, Any] = ASSIGN_E3, *, key: str = "") -> dict[str, Any]:
    """The operation of an accepted assignLicense."""
    async with client(world) as api:
        answer = await api.post(
            f"/api/groups/{GROUP}/assignLicense", json=body, headers={"idempotency-key": key} if key else {}
        )
    assert answer.status_code == 202, answer.text
    operation: dict[str, Any] = answer.json()
    return operation


async def insert(world: World, **changes: Any) -> Operation:
    """A stored operation that differs from an accepted one as told."""
    operation = await world.stores.operations.get(OperationId((await assigned(world))["id"]))
    assert operation is not None
    operation_id = OperationId(f"{len(await world.stores.operations.open()):012x}" + operation.id[12:])
    return await world.stores.operations.insert(replace(operation, id=operation_id, version=None, **changes))
