"""A request is rejected by its caller, role and limit before its body is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.api_calls import GROUP, claims_of, client, error_of, small_tenant, token
from tests.support.worlds import Fakes

PATHS = ("/api/users/assignLicense", f"/api/groups/{GROUP}/assignLicense", "/api/onboarding", "/groups")
JSON = {"content-type": "application/json"}
WRITER = token(claims_of(roles=["Licensing.Write"]))
HR = token(claims_of(roles=["Onboarding.Write"]))


class Body:
    """A body that is not JSON, and knows whether it was read."""

    def __init__(self, parts: int = 1) -> None:
        self.parts = parts
        self.read = 0

    async def __call__(self) -> AsyncIterator[bytes]:
        for _ in range(self.parts):
            self.read += 1
            yield b"{" * 65536


def limited(**limits: Any) -> Fakes:
    fakes = small_tenant()
    return replace(fakes, world=replace(fakes.world, policy=replace(fakes.world.policy, **limits)))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("roles", "status"), [([], 403), (["Users.Read"], 403), (None, 401)])
async def test_the_body_of_a_caller_without_the_role_is_not_read(
    path: str, roles: list[str] | None, status: int
) -> None:
    body = Body()
    headers = {} if roles is None else token(claims_of(roles=roles))
    async with client(small_tenant().world, headers=headers) as api:
        answer = await api.post(path, content=body(), headers=JSON)
    assert (answer.status_code, body.read) == (status, 0)


async def test_bodies_that_cannot_be_read_count_and_beyond_the_limit_none_is_read() -> None:
    fakes = limited(caller_changes_per_minute=3)
    async with client(fakes.world, headers=WRITER) as api:
        statuses = Counter([(await api.post(PATHS[0], content=b"{", headers=JSON)).status_code for _ in range(3)])
        body = Body()
        late = await api.post(PATHS[0], content=body(), headers=JSON)
    assert (statuses, late.status_code, body.read) == ({400: 3}, 429, 0)


@pytest.mark.parametrize("content", [b"{", b"[]"])
async def test_hr_bodies_without_an_event_count_as_one(content: bytes) -> None:
    fakes = limited(caller_hr_events_per_minute=3)
    async with client(fakes.world, headers=HR) as api:
        statuses = [(await api.post("/api/onboarding", content=content, headers=JSON)).status_code for _ in range(4)]
        body = Body()
        late = await api.post("/api/onboarding", content=body(), headers=JSON)
    assert (statuses, late.status_code, body.read) == ([400, 400, 400, 429], 429, 0)


async def test_a_body_over_the_limit_is_read_no_further() -> None:
    body = Body(parts=1000)
    async with client(small_tenant().world, headers=WRITER) as api:
        answer = await api.post(PATHS[0], content=body(), headers=JSON)
        named = await api.post(PATHS[0], content=b"", headers={**JSON, "content-length": "9999999"})
    assert (answer.status_code, error_of(answer)["code"], named.status_code) == (413, "RequestTooLarge", 413)
    assert body.read <= 17


async def test_the_body_of_a_path_that_does_not_exist_is_not_read() -> None:
    body = Body()
    async with client(small_tenant().world, headers=WRITER) as api:
        statuses = [
            (await api.post(path, content=body(), headers=JSON)).status_code for path in ("/nowhere", "/audit.xml")
        ]
        statuses.append((await api.put("/api/operations", content=body(), headers=JSON)).status_code)
    assert (statuses, body.read) == ([404, 404, 405], 0)
