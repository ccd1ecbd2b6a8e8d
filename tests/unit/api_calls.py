"""Calls of the HTTP API in tests: principals as the platform hands them on, and a client without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable

import httpx

from functions.web.application import build
from functions.web.principal import HEADER
from shared.bootstrap import App, SignIn
from shared.ports import World

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
OTHER_TENANT = "9a0c0305-4f89-41d3-9a0c-0305e82c3302"
PERSON = "aaaaaaaa-0000-4000-8000-000000000001"
LICENSE_ADMINISTRATOR = "4d6ac14f-3453-41d0-bef9-a3e0c569773a"
GROUPS_ADMINISTRATOR = "fdd7a751-b60b-444a-984c-02652fe8fa1c"
GLOBAL_READER = "f2ef992c-3afb-46b9-b7cf-a126ee74c451"
ON = SignIn(platform_authentication=True, tenant_id=TENANT)

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


def encoded(claims: Claims, auth_typ: str = "aad") -> str:
    """The header value for claims."""
    value = {"auth_typ": auth_typ, "claims": [{"typ": name, "val": text} for name, text in claims]}
    return base64.b64encode(json.dumps(value).encode()).decode()


def token(claims: Claims) -> dict[str, str]:
    """Headers of a request with a bearer token."""
    return {HEADER: encoded(claims), "authorization": "Bearer checked-by-the-platform"}


def session(claims: Claims) -> dict[str, str]:
    """Headers of a request of a browser with a session."""
    return {HEADER: encoded(claims), "cookie": "AppServiceAuthSession=x"}


WRITER = token(claims_of(roles=["Licensing.ReadWrite"]))
READER = token(claims_of(roles=["Licensing.Read"]))


def client(world: World, sign_in: SignIn = ON, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    """A client of the API on the world, by default one that may write."""
    doors = App(world, sign_in)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=build(lambda: doors)),
        base_url="https://licensing.example",
        headers=WRITER if headers is None else headers,
    )
