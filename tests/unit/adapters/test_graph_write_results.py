"""One reading of a write's status, whether the write is of a license, a usage location or a membership."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.adapters.accounts import GraphMemberships
from shared.adapters.graph import Reply
from shared.adapters.graph_write_results import CLOCKS_OF_GRAPH, ItemResult, between_of, read_results
from shared.adapters.licenses import GraphLicenseWriter
from shared.domain.ids import GroupId, UserId
from shared.domain.write_results import Accepted, Rejected, Throttled, Unanswered, WriteResult
from shared.ports.graph_writes import AlreadySo, MembershipChange
from tests.unit.adapters.graph_stub import BASE, Answer, StubGraph, error, guid

DONE = {"status": 204}
BARE = {"status": 429}
THERE = "One or more added object references already exist for the following modified properties: 'members'."


def batch(*items: dict[str, Any] | None, repeated: bool = False) -> Reply:
    responses = [{"id": str(n), "headers": {}, **item} for n, item in enumerate(items) if item is not None]
    return Reply(200, {}, json.dumps({"responses": responses}).encode(), repeated)


def whole(status: int, body: object = None, repeated: bool = False, **headers: str) -> Reply:
    lowered = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, lowered, b"" if body is None else json.dumps(body).encode(), repeated)


def read(reply: Reply, count: int = 1, bare: int = 0) -> list[ItemResult]:
    return read_results(reply, count, bare)[0]


def result(reply: Reply, bare: int = 0) -> WriteResult:
    return read(reply, bare=bare)[0].result


def test_an_item_may_name_a_date_which_counts_by_the_clock_of_its_batch() -> None:
    item = {"id": "0", "status": 429, "headers": {"Retry-After": "Mon, 05 Jan 2026 09:01:30 GMT"}}
    body = json.dumps({"responses": [item]}).encode()
    assert result(Reply(200, {"date": "Mon, 05 Jan 2026 09:00:00 GMT"}, body)) == Throttled(90.0)
    assert result(Reply(200, {}, body)) == Throttled(10.0)


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, Accepted()),
        (204, {}, Accepted()),
        (400, {}, Rejected(400, "Code", "text")),
        (401, {}, Rejected(401, "Code", "text")),
        (403, {}, Rejected(403, "Code", "text")),
        (404, {}, Rejected(404, "Code", "text")),
        (409, {}, Rejected(409, "Code", "text")),
        (424, {}, Throttled(10.0)),
        (424, {"Retry-After": "7"}, Throttled(7.0)),
        (429, {}, Throttled(10.0)),
        (429, {"Retry-After": "0"}, Throttled(0.0)),
        (429, {"Retry-After": "2.5", "x-ms-throttle-scope": "Tenant/Write"}, Throttled(2.5, "Tenant/Write")),
        (503, {"Retry-After": "3"}, Throttled(3.0)),
        (302, {}, None),
        (408, {}, None),
        (500, {}, None),
        (503, {}, None),
        (504, {}, None),
    ],
)
def test_a_status_means_the_same_for_each_write_of_a_batch(
    status: int, headers: dict[str, str], expected: WriteResult | None
) -> None:
    body = None if status < 300 else error("Code", "text")
    first, second = read(batch({"status": status, "headers": headers, "body": body}, DONE), 2)
    assert second == ItemResult(Accepted(), own=True)
    assert first.own
    assert first.result == expected if expected else isinstance(first.result, Unanswered)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (whole(400, error("BadRequest", "ids are not unique")), Rejected(400, "BadRequest", "ids are not unique")),
        (whole(404, error("NotFound", "no such address")), Rejected(404, "NotFound", "no such address")),
        (whole(429), Throttled(10.0)),
        (whole(429, retry_after="0"), Throttled(0.0)),
        (whole(429, retry_after="4", x_ms_throttle_scope="Tenant/Write"), Throttled(4.0, "Tenant/Write")),
        (whole(503, retry_after="5"), Throttled(5.0)),
        (whole(302), None),
        (whole(408), None),
        (whole(500), None),
        (whole(503), None),
        (whole(200, {"no": "responses"}), None),
        (Reply(200, {}, b"<html>"), None),
    ],
)
def test_the_status_of_a_batch_is_that_of_all_its_writes(reply: Reply, expected: WriteResult | None) -> None:
    results = read(reply, 2)
    assert len(results) == 2
    assert not any(each.own for each in results)
    assert all(each.result == expected if expected else isinstance(each.result, Unanswered) for each in results)


def test_an_answer_that_is_missing_is_unknown_and_leaves_the_others() -> None:
    first, second = read(batch(None, DONE), 2)
    assert isinstance(first.result, Unanswered)
    assert not first.own
    assert second.result == Accepted()


@pytest.mark.parametrize("bare", [batch(BARE), whole(429)])
def test_throttling_without_a_time_doubles_the_wait_each_time_in_a_row(bare: Reply) -> None:
    waits, count = [], 0
    for _ in range(6):
        (each,), count = read_results(bare, 1, count)
        assert isinstance(each.result, Throttled)
        waits.append(each.result.retry_after_s)
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 160.0]
    assert count == 6


@pytest.mark.parametrize(
    ("reply", "left"),
    [
        (batch(DONE), 0),
        (batch({"status": 429, "headers": {"Retry-After": "1"}}), 0),
        (whole(429, retry_after="1"), 0),
        (batch(DONE, BARE), 4),
        (whole(500), 3),
        (Reply(200, {}, b"<html>"), 3),
    ],
)
def test_the_row_of_throttlings_ends_with_an_answer_that_names_a_time_or_throttles_nothing(
    reply: Reply, left: int
) -> None:
    assert read_results(reply, 2, 3)[1] == left


@pytest.mark.parametrize(
    "rejected",
    [
        batch({"status": 400, "body": error("Request_BadRequest", "text")}, repeated=True),
        batch({"status": 404, "body": error("Request_ResourceNotFound", "text")}, repeated=True),
        batch({"status": 429, "headers": {"Retry-After": "1"}}, repeated=True),
        batch({"status": 500}, repeated=True),
        batch(None, repeated=True),
        whole(401, repeated=True),
        whole(429, repeated=True),
        whole(503, repeated=True, retry_after="1"),
    ],
)
def test_after_a_second_attempt_a_rejection_is_unknown(rejected: Reply) -> None:
    assert isinstance(result(rejected), Unanswered)


def test_after_a_second_attempt_an_accepted_write_is_done() -> None:
    first, second = read(batch(DONE, {"status": 400}, repeated=True), 2)
    assert first.result == Accepted()
    assert isinstance(second.result, Unanswered)


async def both(answers: Sequence[Answer]) -> tuple[list[WriteResult], list[WriteResult | AlreadySo]]:
    """What licenses and memberships make of the same answers."""
    stub = StubGraph()
    graph = stub.client()
    licenses, memberships = GraphLicenseWriter(graph), GraphMemberships(graph, BASE)
    user = UserId(guid(1))
    stub.whole = [each for answer in answers for each in (answer, answer)]
    located: list[WriteResult] = []
    changed: list[WriteResult | AlreadySo] = []
    for _ in answers:
        located += (await licenses.set_usage_locations({user: "DE"}, urgent=False)).values()
        changed += await memberships.change([MembershipChange(GroupId(guid(2)), user, add=True)])
    await graph.close()
    return located, changed


@pytest.mark.parametrize(
    "answers",
    [
        [Answer(None, 429)] * 4,
        [Answer({"responses": [{"id": "0", "status": 429}]})] * 4,
        [Answer(None, 429, {"Retry-After": "0"})],
        [Answer(error("Authorization_RequestDenied", "no"), 403)],
        [Answer(None, 503, {"Retry-After": "3", "x-ms-throttle-scope": "Tenant/Write"})],
        [Answer(None, 500)],
    ],
)
async def test_licenses_and_memberships_read_the_same_answers_alike(answers: Sequence[Answer]) -> None:
    located, changed = await both(answers)
    assert located == changed


async def memberships(
    reply: Answer, *, add: bool, broken: bool = False, as_a_whole: bool = False
) -> WriteResult | AlreadySo:
    stub = StubGraph()
    stub.on("POST" if add else "DELETE", "/members/", reply)
    stub.whole = [reply] if as_a_whole else []
    if broken:
        stub.whole = [httpx.ReadError("reset")]
    graph = stub.client()
    (result,) = await GraphMemberships(graph, BASE).change([MembershipChange(GroupId(guid(2)), UserId(guid(1)), add)])
    await graph.close()
    return result


async def test_a_membership_that_is_so_already_is_told_from_one_that_was_made() -> None:
    there, gone = Answer(error("Request_BadRequest", THERE), 400), Answer(error("Request_ResourceNotFound", "x"), 404)
    assert await memberships(there, add=True) == AlreadySo()
    assert await memberships(gone, add=False) == AlreadySo()
    assert isinstance(await memberships(gone, add=True), Rejected)
    assert isinstance(await memberships(there, add=False), Rejected)


async def test_a_batch_that_is_not_found_is_no_membership_that_is_gone() -> None:
    gone = Answer(error("NotFound", "no such address"), 404)
    assert isinstance(await memberships(gone, add=False, as_a_whole=True), Rejected)


async def test_who_made_a_membership_is_unknown_after_a_second_attempt() -> None:
    there, gone = Answer(error("Request_BadRequest", THERE), 400), Answer(error("Request_ResourceNotFound", "x"), 404)
    assert isinstance(await memberships(there, add=True, broken=True), Unanswered)
    assert isinstance(await memberships(gone, add=False, broken=True), Unanswered)
    assert await memberships(Answer(None, 204), add=True, broken=True) == Accepted()


@pytest.mark.parametrize("date", ["Mon, 30 Nov 2026 10:00:00 GMT", "Mon, 30 Nov 2026 10:00:00 -0000"])
def test_the_time_of_a_write_is_told_by_graphs_clock_and_the_time_the_call_took(date: str) -> None:
    at, took = datetime(2026, 11, 30, 10, tzinfo=UTC), timedelta(seconds=7)
    between = between_of(Reply(200, {"date": date}), took)
    assert between == (at - took - CLOCKS_OF_GRAPH, at + took + CLOCKS_OF_GRAPH)


@pytest.mark.parametrize("headers", [{}, {"date": ""}, {"date": "yesterday"}])
def test_an_answer_without_a_date_tells_no_time(headers: dict[str, str]) -> None:
    assert between_of(Reply(200, headers), timedelta(0)) is None
