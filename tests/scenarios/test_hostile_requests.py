"""Whatever is sent to an address of the app, by whomever: it is answered, never with a fault of our own, and who is not
signed in gets nothing but that word."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from urllib.parse import quote

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.web.application import MAX_BODY, build
from functions.web.claims import HEADER
from functions.web.route_access import ACCESS
from shared.bootstrap import App
from shared.domain.messages import NOTIFICATIONS
from shared.ports.world import World
from tests.support.api_calls import (
    DESCRIPTION,
    OTHER_TENANT,
    PATH_VALUES,
    TENANT,
    WRITER,
    claims_of,
    encoded,
    small_tenant,
)
from tests.support.api_calls import ON as SIGN_IN
from tests.support.hostile import NASTY, broken, one_part_replaced, values
from tests.support.notifications import subscribed
from tests.support.routes import api_routes
from tests.support.runs import TEAM

QUERY = ("$top", "$filter", "$search", "$skiptoken", "$select", "from", "to", "state", "q", "preview", "user", "group")
DEEP = b"[" * 100_000
BODIES = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    DEEP,
    b"\xff\xfe\x00",
    b'{"addLicenses": "\\ud800"}',
    b'{"a": 1e999}',
    b"=&=%zz",
)
KINDS = ("application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data", "")
FIELDS = ("add", "sku", "skuId", "plan", "reason", "checksum", "group", "confirm", "usageLocation", "grace")
STRANGERS: tuple[dict[str, str], ...] = (
    {},
    {"authorization": WRITER["authorization"]},
    {HEADER: encoded(claims_of(roles=["Licensing.ReadWrite"], tenant=OTHER_TENANT))},
    {HEADER: encoded(claims_of(roles=["Licensing.ReadWrite"]), auth_typ="custom")},
    {HEADER: WRITER[HEADER][:-8]},
    {HEADER: f"{WRITER[HEADER]},{WRITER[HEADER]}"},
    {f"{HEADER}-id": TENANT, "x-ms-client-principal-name": "ada@fabrikam.example"},
)
LIMITED = settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))


MANY = 10**9
"""Limits of a caller. With lower ones a route would reject most requests before it reads them."""


def _world() -> World:
    world = small_tenant().world
    policy = replace(
        world.policy,
        caller_reads_per_minute=MANY,
        caller_changes_per_minute=MANY,
        caller_previews_per_minute=MANY,
        caller_hr_events_per_minute=MANY,
    )
    return replace(world, policy=policy)


DOORS = App(_world(), SIGN_IN)
APP = build(lambda: DOORS)


def declared(part: Dependant) -> list[str]:
    """The query parameters of a route; others are rejected before any of its code runs."""
    return [field.alias for field in part.query_params] + [
        name for each in part.dependencies for name in declared(each)
    ]


DECLARED = {route.path: declared(route.dependant) for route in api_routes(APP) if "GET" in (route.methods or ())}


def caller(headers: dict[str, str]) -> httpx.AsyncClient:
    """Without the check of each answer against the description, for requests that it does not describe."""
    transport = httpx.ASGITransport(app=APP)
    return httpx.AsyncClient(transport=transport, base_url="https://licensing.example", headers=headers)


def address(path: str, value: str | None = None) -> str:
    """A route's path with values in it, all of them `value` where one is given."""
    for name, usual in PATH_VALUES.items():
        path = path.replace(f"{{{name}}}", quote(usual if value is None else value, safe="", errors="replace"))
    return path


def answered(answer: httpx.Response) -> None:
    asked = f"{answer.request.method} {answer.request.url}"[:300]
    assert answer.status_code < 500, (asked, answer.text[:300])
    if answer.status_code >= 400 and answer.headers["content-type"].startswith("application/json"):
        assert set(answer.json()) == {"error"}, asked


ROUTES = sorted(ACCESS)
WITH_IDS = [route for route in ROUTES if "{" in route[1]]
READS = [path for method, path in ROUTES if method == "GET" and path != "/api/openapi.json"]
WRITES = [route for route in ROUTES if route[0] != "GET"]
WITH_BODIES = {
    (verb.upper(), path)
    for path, verbs in DESCRIPTION["paths"].items()
    for verb in verbs
    if "requestBody" in verbs[verb]
}
"""Other routes never read a body, however large it is."""


@pytest.mark.parametrize(("method", "path"), WITH_IDS)
async def test_an_id_in_a_path_may_be_anything(method: str, path: str) -> None:
    async with caller(WRITER) as api:
        for text in NASTY:
            answered(await api.request(method, address(path, text), json={}))


@pytest.mark.parametrize("path", READS)
async def test_what_is_asked_of_a_page_may_be_anything(path: str) -> None:
    async with caller(WRITER) as api:
        for text in NASTY:
            value = quote(text, errors="replace")
            for names in (QUERY, ["$filter"], DECLARED[path], *([name] for name in DECLARED[path])):
                answered(await api.get(f"{address(path)}?{'&'.join(f'{quote(name)}={value}' for name in names)}"))


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_body_may_be_anything(method: str, path: str) -> None:
    async with caller(WRITER) as api:
        for body in BODIES:
            for kind in KINDS:
                answered(await api.request(method, address(path), content=body, headers={"content-type": kind}))
        for text in NASTY:
            form = dict.fromkeys(FIELDS, text.encode(errors="replace"))
            answered(await api.request(method, address(path), data=form))
        large = await api.request(method, address(path), content=b"x" * (MAX_BODY + 1))
        answered(large)
        assert (large.status_code == 413) or (method, path) not in WITH_BODIES


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_forged_principal_gets_nothing(method: str, path: str) -> None:
    for headers in STRANGERS:
        async with caller(headers) as api:
            answer = await api.request(method, address(path), content=DEEP)
            assert answer.status_code == 401, headers
            assert "fabrikam" not in answer.text


@LIMITED
@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_a_principal_made_of_anything_is_nobody(content: bytes) -> None:
    async def send() -> int:
        async with caller({HEADER: base64.b64encode(content).decode()}) as api:
            return (await api.get("/api/operations")).status_code

    assert asyncio.run(send()) == 401


class TestWebhook:
    def test_whatever_is_posted_is_answered_and_only_what_has_the_secret_is_queued(self) -> None:
        run, observed = asyncio.run(subscribed())
        app = App(run.world, SIGN_IN)
        run.fakes.queue.messages.clear()
        lifecycle = {
            **{k: observed[k] for k in ("subscriptionId", "clientState", "tenantId")},
            "lifecycleEvent": "missed",
        }
        honest = ({"value": [observed]}, {"value": [lifecycle, observed]})
        forged = tuple(json.loads(json.dumps(each).replace(observed["clientState"], "x" * 32)) for each in honest)

        def post(body: bytes) -> int:
            return asyncio.run(app.notification(body, None)).status

        @LIMITED
        @given(broken(honest))
        def send(body: bytes) -> None:
            assert post(body) in (202, 400)

        @LIMITED
        @given(broken(forged))
        def forge(body: bytes) -> None:
            assert post(body) in (202, 400)
            assert run.fakes.sent() == []

        forge()
        send()
        for body in one_part_replaced(honest):
            assert post(body) in (202, 400)
        for body in (DEEP, b'{"value":' * 50_000, b"9" * 10_000, b'{"value": [{"clientState": "\\ud800"}]}'):
            assert post(body) == 400 or b"\\ud800" in body
        assert {message.queue for message in run.fakes.sent()} == {NOTIFICATIONS}
        assert all(TEAM in message.body.decode() or b"lifecycle" in message.body for message in run.fakes.sent())

    @given(st.text(st.characters(), max_size=5000))
    @LIMITED
    def test_a_handshake_gives_back_its_token_and_nothing_else(self, token: str) -> None:
        reply = asyncio.run(App(small_tenant().world, SIGN_IN).notification(b"", token))
        assert (reply.status, reply.body) in ((200, token), (400, ""))
