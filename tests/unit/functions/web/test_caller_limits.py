"""Limits of one caller: what is rejected, how, at what cost, and that others are not concerned."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx
import pytest

from shared.bootstrap import App
from shared.domain.caller_limits import Kind
from shared.domain.errors import LimitReached
from shared.domain.operation import OperationState
from tests.support.api_calls import (
    ASSIGN_E3,
    E3,
    GROUP,
    ON,
    USERS,
    Claims,
    claims_of,
    client,
    error_of,
    small_tenant,
    token,
)
from tests.support.worlds import Fakes

FLOODER = "eeeeeeee-0000-4000-8000-000000000005"
OTHER = "bbbbbbbb-0000-4000-8000-000000000002"
PREVIEW = f"/api/groups/{GROUP}/assignLicense?preview=true"
SINGLE = {"userIds": [USERS[0]], "addLicenses": [{"skuId": E3, "disabledPlans": []}], "removeLicenses": []}


def person(oid: str, role: str = "Licensing.Write") -> dict[str, str]:
    claims: Claims = [each for each in claims_of(roles=[role]) if each[0] != "oid"]
    return token([*claims, ("oid", oid)])


def limited(**limits: Any) -> Fakes:
    fakes = small_tenant()
    return replace(fakes, world=replace(fakes.world, policy=replace(fakes.world.policy, **limits)))


async def flood(api: httpx.AsyncClient, path: str, times: int) -> Counter[int]:
    answers = await asyncio.gather(*(api.post(path, json=ASSIGN_E3) for _ in range(times)))
    return Counter(each.status_code for each in answers)


async def test_a_flood_of_previews_is_rejected_beyond_the_limit_and_another_administrators_license_goes_through(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fakes = limited()
    with caplog.at_level(logging.WARNING):
        flooder = client(fakes.world, headers=person(FLOODER))
        async with flooder as api, client(fakes.world, headers=person(OTHER)) as other:
            counts = await flood(api, PREVIEW, 401)
            late = await api.post(PREVIEW, json=ASSIGN_E3)
            single = await other.post("/api/users/assignLicense", json=SINGLE)
    assert counts[202] <= fakes.world.policy.caller_previews_per_minute
    assert counts[202] + counts[429] == 401
    assert single.status_code == 202
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) >= 1
    error = error_of(late)
    assert error["code"] == "TooManyRequests"
    assert "300 previews a minute" in error["message"]
    assert "CALLER_PREVIEWS_PER_MINUTE" in error["message"]
    lines = [each.getMessage() for each in caplog.records if f"caller={FLOODER}" in each.getMessage()]
    assert 1 <= len(lines) < 10, "a line for each minute that the test takes, and not for each rejection"
    assert "limit of previews" in lines[0]


async def test_a_caller_that_is_rejected_costs_no_table_write_and_then_no_read() -> None:
    fakes = limited(caller_previews_per_minute=2)
    async with client(fakes.world) as api:
        for _ in range(2):
            assert (await api.post(PREVIEW, json=ASSIGN_E3)).status_code == 202
        writes = fakes.tables.writes
        assert (await flood(api, PREVIEW, 50)) == {429: 50}
    assert fakes.tables.writes == writes
    app = App(fakes.world, ON)
    with pytest.raises(LimitReached):
        await app.limits.admit(person_id(), Kind.PREVIEWS)
    fakes.tables.away = True
    with pytest.raises(LimitReached):
        await app.limits.admit(person_id(), Kind.PREVIEWS)


def person_id() -> str:
    return dict(claims_of())["oid"]


async def test_processes_share_the_count_of_changes_and_each_counts_reads_for_itself() -> None:
    fakes = limited(caller_changes_per_minute=4, caller_reads_per_minute=60)
    one, two = App(fakes.world, ON), App(fakes.world, ON)
    for app in (one, two, one, two):
        await app.limits.admit("ada", Kind.CHANGES)
    for app in (one, two):
        with pytest.raises(LimitReached):
            await app.limits.admit("ada", Kind.CHANGES)
        await app.limits.admit("bob", Kind.CHANGES)
        await app.limits.admit("ada", Kind.READS, 60)
        with pytest.raises(LimitReached):
            await app.limits.admit("ada", Kind.READS)


async def test_after_the_time_it_names_the_same_request_is_accepted() -> None:
    fakes = limited(caller_changes_per_minute=2)
    app = App(fakes.world, ON)
    await app.limits.admit("ada", Kind.CHANGES, 2)
    with pytest.raises(LimitReached) as reached:
        await app.limits.admit("ada", Kind.CHANGES)
    assert reached.value.retry_after_s == pytest.approx(30.0)
    await fakes.clock.sleep(30.1)
    await app.limits.admit("ada", Kind.CHANGES)


async def test_reads_beyond_the_limit_are_rejected_on_page_and_api_and_static_files_never() -> None:
    fakes = limited(caller_reads_per_minute=60)
    async with client(fakes.world) as api:
        statuses = Counter([(await api.get("/api/licenses")).status_code for _ in range(61)])
        assert statuses == {200: 60, 429: 1}
        shown = await api.get("/licenses", headers={"accept": "text/html"})
        assert (shown.status_code, "reads a minute" in shown.text) == (429, True)
        assert (await api.get("/static/site.css")).status_code == 200


async def test_hr_events_are_counted_one_by_one() -> None:
    fakes = limited(caller_hr_events_per_minute=100)
    headers = person(OTHER, "Onboarding.Write")
    async with client(fakes.world, headers=headers) as api:
        assert (await api.post("/api/onboarding", json=[{}] * 99)).status_code == 400
        assert (await api.post("/api/onboarding", json=[{}] * 2)).status_code == 429
        assert (await api.get("/api/onboarding/schema")).status_code == 200


async def test_a_caller_has_so_many_open_previews_and_no_more_until_some_are_complete() -> None:
    fakes = limited(caller_open_previews=3)
    async with client(fakes.world) as api, client(fakes.world, headers=person(OTHER)) as other:
        started = [await api.post(PREVIEW, json=ASSIGN_E3) for _ in range(4)]
        assert [each.status_code for each in started] == [202, 202, 202, 429]
        assert "3 of your previews are not complete yet" in error_of(started[3])["message"]
        assert (await other.post(PREVIEW, json=ASSIGN_E3)).status_code == 202
        assert (await api.post("/api/users/assignLicense", json=SINGLE)).status_code == 202
        await api.post(f"/api/operations/{started[0].json()['id']}/cancel")
        assert (await api.post(PREVIEW, json=ASSIGN_E3)).status_code == 202
    found, _ = await fakes.world.stores.operations.newest(10)
    assert sum(each.preview and each.state is OperationState.QUEUED for each in found) == 4
