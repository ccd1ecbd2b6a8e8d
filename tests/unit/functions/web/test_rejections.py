"""Rejected requests in the log: counted, at most one line a minute, and without names."""

from __future__ import annotations

import logging

import httpx
import pytest

from functions.web.application import build
from functions.web.rejections import MAX_CALLERS, WINDOW_S, RejectionLog
from functions.web.route_access import ACCESS, route_named
from shared.bootstrap import App
from tests.support.api_calls import GROUP, ON, PATH_VALUES, PERSON, claims_of, token
from tests.support.worlds import Fakes


class Clock:
    at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "functions.web.rejections")
    return caplog


def test_a_flood_of_one_caller_is_one_line_a_minute_with_the_number(lines: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    rejections = RejectionLog(clock)
    for _ in range(2700):
        rejections.note("ada", "GET /users", "role missing")
    rejections.note("ben", "GET /users", "guest")
    assert lines.messages == [
        'request rejected caller=ada route="GET /users" reason="role missing" count=1',
        'request rejected caller=ben route="GET /users" reason="guest" count=1',
    ]
    rejections.note("ada", "GET /users", "cross-site")
    clock.at = WINDOW_S
    rejections.write_due()
    rejections.write_due()
    assert lines.messages[2:] == [
        'request rejected caller=ada route="GET /users" reason="cross-site, role missing" count=2700'
    ]
    clock.at = 2 * WINDOW_S
    rejections.note("ada", "GET /users", "guest")
    assert len(lines.messages) == 4
    assert lines.messages[3].endswith('reason="guest" count=1')


def test_a_flood_of_many_callers_fills_no_memory_and_none_is_lost(lines: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    rejections = RejectionLog(clock)
    for number in range(2 * MAX_CALLERS):
        rejections.note(str(number), "GET /", "guest")
    clock.at = WINDOW_S
    rejections.write_due()
    assert sum(int(line.rpartition("=")[2]) for line in lines.messages) == 2 * MAX_CALLERS
    assert len(lines.messages) == MAX_CALLERS + 2


async def test_a_rejected_request_is_logged_with_caller_route_and_reason_and_no_name(
    fakes: Fakes, lines: pytest.LogCaptureFixture
) -> None:
    app = build(lambda: App(fakes.world, ON))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="https://x.example") as api:
        for _ in range(3):
            await api.post(f"/api/groups/{GROUP}/assignLicense", headers=token(claims_of()), json={})
        await api.get("/users?search=ada", headers={})
        await api.get("/api/no-such-route/ada@fabrikam.example", headers={})
        await api.get("/api/operations", headers=token(claims_of(roles=["Licensing.Read"])))
    assert lines.messages == [
        f'request rejected caller={PERSON} route="POST /api/groups/{{group_id}}/assignLicense" '
        'reason="role missing" count=1',
        'request rejected caller=unknown route="GET /users" reason="not signed in" count=1',
        'request rejected caller=unknown route="no route" reason="not signed in" count=1',
    ]
    assert "ada" not in "".join(lines.messages).replace(PERSON, "")


def test_every_route_is_named_by_its_row_and_nothing_else_of_a_path_is() -> None:
    for method, path in ACCESS:
        assert route_named(method, path.format(**PATH_VALUES)) == f"{method} {path}"
    assert route_named("GET", "/api/users/a/b/c") == route_named("BREW", "/users") == "no route"
