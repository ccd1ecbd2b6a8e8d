"""The web application as a whole."""

from __future__ import annotations

import inspect
import json
from typing import Any

import azure.functions as func
import pytest

from functions.web.application import build
from functions.web.route_access import ACCESS
from shared.bootstrap import App
from shared.ports.world import World
from tests.support.api_calls import ASSIGN_E3, GROUP, ON, WRITER, client
from tests.support.routes import api_routes


def test_nothing_of_a_request_runs_in_a_thread(world: World) -> None:
    waiting: list[Any] = [route.dependant for route in api_routes(build(lambda: App(world, ON)))]
    seen = 0
    while waiting:
        dependant = waiting.pop()
        waiting += dependant.dependencies
        assert inspect.iscoroutinefunction(dependant.call), dependant.call
        seen += 1
    assert seen > len(ACCESS)


async def test_the_application_answers_behind_azure_s_adapter(world: World) -> None:
    middleware: Any = func.AsgiMiddleware(build(lambda: App(world, ON)))  # type: ignore[no-untyped-call]
    request = func.HttpRequest(
        method="POST",
        url=f"https://licensing.example/api/groups/{GROUP}/assignLicense",
        headers={**WRITER, "content-type": "application/json"},
        body=json.dumps(ASSIGN_E3).encode(),
    )
    answer = await middleware.handle_async(request)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/operations/{json.loads(answer.get_body())['id']}"


@pytest.mark.parametrize("path", ["/licenses", "/api/licenses", "/static/site.css", "/nowhere"])
async def test_every_answer_tells_browsers_to_come_by_https_only(world: World, path: str) -> None:
    """RFC 6797."""
    async with client(world) as api:
        answer = await api.get(path)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("open_path", ["/api/health", "/graph/notifications", "/graph/lifecycle"])
def test_no_route_begins_with_a_path_that_is_open_without_a_sign_in(open_path: str) -> None:
    """How the platform matches excluded paths is not documented (MicrosoftDocs/azure-docs issue 86514)."""
    assert [path for _, path in ACCESS if path.lower().startswith(open_path)] == []
