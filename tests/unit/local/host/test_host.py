"""The function host's sign-in, routing and metadata, without a network."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import azure.functions as func
import jwt
import pytest

from local.host.auth import AUDIENCE, ROLES, SignIn
from local.host.http import HttpHost
from local.host.invoking import ReturnedValue, bus_message, invoke, timer_request
from local.host.metadata import AppError, Function, HostSettings, load_functions, load_host

TENANT = "8da3075e-f5eb-5d83-bb90-9a271280a4fd"
KEY = "k" * 64
SIGN_IN = SignIn(KEY, TENANT)
HERE = Path(__file__).parent


def principal_of(headers: dict[str, str], path: str = "/api/operations") -> dict[str, list[str]] | None:
    seen = SIGN_IN.with_principal(path, headers)
    if "x-ms-client-principal" not in seen:
        return None
    claims: dict[str, list[str]] = {}
    for claim in json.loads(base64.b64decode(seen["x-ms-client-principal"]))["claims"]:
        claims.setdefault(claim["typ"], []).append(claim["val"])
    return claims


def token(**changes: Any) -> str:
    claims = {"aud": AUDIENCE, "tid": TENANT, "roles": ["Licensing.Read"], "appid": "app", "exp": time.time() + 60}
    return jwt.encode({**claims, **changes}, changes.pop("key", KEY), algorithm="HS256")


def test_a_principal_that_a_client_sends_is_stripped() -> None:
    forged = {"x-ms-client-principal": "forged", "x-ms-client-principal-name": "Root", "accept": "*/*"}
    assert SIGN_IN.with_principal("/api/operations", forged) == {"accept": "*/*"}


def test_a_token_of_the_tenant_becomes_a_principal_with_its_roles() -> None:
    claims = principal_of({"authorization": f"Bearer {token()}"})
    assert claims is not None
    assert (claims["roles"], claims["tid"]) == (["Licensing.Read"], [TENANT])


@pytest.mark.parametrize(
    "bad",
    [
        token(tid="11111111-1111-1111-1111-111111111111"),
        token(aud="https://graph.microsoft.com"),
        token(exp=time.time() - 60),
        jwt.encode({"aud": AUDIENCE, "tid": TENANT}, "x" * 64, algorithm="HS256"),
        "not a token",
    ],
)
def test_a_token_of_another_tenant_audience_time_or_key_is_none(bad: str) -> None:
    assert principal_of({"authorization": f"Bearer {bad}"}) is None


def test_choosing_a_role_on_the_sign_in_page_makes_a_session_with_that_role() -> None:
    body = urlencode({"role": "Global Reader", "next": "//evil.example"}).encode()
    answer = SIGN_IN.page("POST", "/.auth/login", {}, {}, body)
    assert answer is not None
    headers = dict(answer[2])
    assert (answer[0], headers["location"]) == (302, "/")
    claims = principal_of({"cookie": headers["set-cookie"].split(";")[0]})
    assert claims is not None
    assert claims["wids"] == [ROLES["Global Reader"]]


def test_the_webhook_and_health_never_see_a_principal() -> None:
    headers = {"authorization": f"Bearer {token()}"}
    assert principal_of(headers, "/api/health") is None
    assert principal_of(headers, "/graph/notifications") is None
    assert principal_of(headers, "/api/healthy") is not None


def function(kind: str, call: Any, **trigger: Any) -> Function:
    return Function(call.__name__, kind, "arg", call, trigger, takes_context=False, has_output=kind == "httpTrigger")


async def answer_of(path: str, headers: list[tuple[bytes, bytes]] | None = None) -> tuple[int, bytes]:
    async def exact(arg: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse("exact")

    async def rest(arg: func.HttpRequest) -> func.HttpResponse:
        if arg.route_params["route"] == "broken":
            raise RuntimeError("told to")
        return func.HttpResponse(json.dumps([arg.route_params["route"], dict(arg.headers)]))

    functions = {
        "rest": function("httpTrigger", rest, route="{*route}", methods=["GET"]),
        "exact": function("httpTrigger", exact, route="api/health", methods=["GET"]),
    }
    host = HttpHost(functions, HostSettings(route_prefix=""), SIGN_IN, HERE)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers or []}
    await host(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


async def test_a_literal_route_comes_before_the_catch_all() -> None:
    assert await answer_of("/api/health") == (200, b"exact")
    status, body = await answer_of("/api/groups/1", [(b"X-Empty", b""), (b"X-Full", b"1")])
    assert (status, json.loads(body)) == (200, ["api/groups/1", {"x-full": "1"}])


async def test_a_function_that_raises_answers_500_and_the_next_request_is_served() -> None:
    assert (await answer_of("/broken"))[0] == 500
    assert (await answer_of("/api/health"))[0] == 200


async def test_a_function_without_output_must_not_return_a_value() -> None:
    async def returns(arg: object) -> str:
        return "x"

    with pytest.raises(ReturnedValue):
        await invoke(function("timerTrigger", returns), timer_request(past_due=False), HERE)


def test_a_message_is_what_the_library_makes_of_the_hosts_metadata() -> None:
    message = bus_message(
        b"body", {"MessageId": "m", "DeliveryCount": 1, "UserProperties": {"a": "b"}, "Subject": None}
    )
    assert (message.get_body(), message.message_id, message.delivery_count) == (b"body", "m", 1)


APP = "import azure.functions as func\napp = func.FunctionApp()\n"
TIMER = (
    "@app.timer_trigger(arg_name='timer', schedule='%WHEN%')\nasync def tick(timer: func.TimerRequest) -> None: ...\n"
)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (APP + "again = func.FunctionApp()\n", "one function app"),
        (APP + TIMER, "WHEN"),
        (
            APP + "@app.route(route='admin/x')\nasync def page(req: func.HttpRequest) -> func.HttpResponse: ...\n",
            "conflicts with built-in routes",
        ),
    ],
)
def test_an_app_the_platform_would_not_run_is_rejected_with_the_reason(tmp_path: Path, source: str, fault: str) -> None:
    with pytest.raises(AppError, match=fault):
        _load(tmp_path, source, {})


def test_settings_in_bindings_are_resolved(tmp_path: Path) -> None:
    functions = _load(tmp_path, APP + TIMER, {"WHEN": "0 0 3 * * *"})
    assert functions["tick"].trigger["schedule"] == "0 0 3 * * *"


def _load(directory: Path, source: str, environment: dict[str, str]) -> dict[str, Function]:
    import sys

    (directory / "function_app.py").write_text(source)
    before = sys.modules.pop("function_app", None)
    try:
        return load_functions(directory, environment)
    finally:
        sys.path.remove(str(directory))
        sys.modules.pop("function_app", None)
        if before is not None:
            sys.modules["function_app"] = before


def test_host_json_of_the_project_is_read(tmp_path: Path) -> None:
    root = HERE.parent.parent.parent.parent
    assert load_host(root) == HostSettings(16, True, 600.0, "")
    with pytest.raises(AppError, match=r"host.json"):
        load_host(tmp_path)
