"""Writing to users: done, not done, or unknown - told apart for each user of a batch."""

from __future__ import annotations

import json

import httpx
import pytest

from shared.adapters.graph import GraphClient
from shared.adapters.licenses import GraphLicenseWriter
from shared.domain.directory import AssignedLicense
from shared.domain.ids import ServicePlanId, SkuId, UserId
from shared.domain.write_results import (
    Accepted,
    Contended,
    LicenseCall,
    Rejected,
    Throttled,
    Unanswered,
    Unsent,
    WriteResult,
)
from tests.unit.adapters.graph_stub import E3, E5, PLAN, Answer, StubCredential, StubGraph, error, guid

ONE, TWO = UserId(guid(1)), UserId(guid(2))
PLAN_2 = "57ff2da0-773e-42df-b2af-ffb7a2317929"
CALL = LicenseCall((AssignedLicense(SkuId(E5), frozenset({ServicePlanId(PLAN), ServicePlanId(PLAN_2)})),), (SkuId(E3),))
CALLS = {ONE: CALL, TWO: LicenseCall((AssignedLicense(SkuId(E3)),), ())}
ASSIGN = "^/users/{}/assignLicense$"
BROKEN = (httpx.ReadError("reset"), httpx.WriteError("broken pipe"), httpx.RemoteProtocolError("closed"))
SEATS = f"Subscription with SKU {E3} does not have any available licenses."

BUSY = "Error due to concurrent requests being made to the tenant. Please wait briefly and retry."


@pytest.fixture
def stub() -> StubGraph:
    stub = StubGraph()
    stub.on("POST", "/assignLicense$", Answer({"id": "user"}))
    stub.on("PATCH", "^/users/", Answer(None, 204))
    return stub


@pytest.fixture
def writer(graph: GraphClient) -> GraphLicenseWriter:
    return GraphLicenseWriter(graph)


async def test_additions_and_removals_of_a_user_go_out_in_one_call(stub: StubGraph, writer: GraphLicenseWriter) -> None:
    assert await writer.assign(CALLS, urgent=False) == {ONE: Accepted(), TWO: Accepted()}
    assert len(stub.requests) == 1
    assert [item["url"] for item in stub.items] == [f"/users/{ONE}/assignLicense", f"/users/{TWO}/assignLicense"]
    assert stub.items[0]["body"] == {
        "addLicenses": [{"skuId": E5, "disabledPlans": sorted([PLAN, PLAN_2])}],
        "removeLicenses": [E3],
    }
    assert stub.items[1]["body"] == {"addLicenses": [{"skuId": E3, "disabledPlans": []}], "removeLicenses": []}
    assert not any("dependsOn" in item for item in stub.items)


@pytest.mark.parametrize(("urgent", "priority"), [(True, "High"), (False, "Normal")])
async def test_urgent_writes_have_priority_and_bulk_gives_way(
    stub: StubGraph, writer: GraphLicenseWriter, urgent: bool, priority: str
) -> None:
    await writer.assign(CALLS, urgent=urgent)
    await writer.set_usage_locations({ONE: "DE"}, urgent=urgent)
    assert {item["headers"]["x-ms-throttle-priority"] for item in stub.items} == {priority}
    assert {request.headers["x-ms-throttle-priority"] for request in stub.requests} == {priority}


async def test_usage_locations_are_set_user_by_user(stub: StubGraph, writer: GraphLicenseWriter) -> None:
    stub.on("PATCH", f"^/users/{TWO}$", Answer(error("Authorization_RequestDenied", "Insufficient privileges"), 403))
    results = await writer.set_usage_locations({ONE: "DE", TWO: "AT"}, urgent=True)
    assert results[ONE] == Accepted()
    assert results[TWO] == Rejected(403, "Authorization_RequestDenied", "Insufficient privileges")
    assert [json.dumps(item["body"]) for item in stub.items] == ['{"usageLocation": "DE"}', '{"usageLocation": "AT"}']


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(error("Request_BadRequest", SEATS), 400), Rejected(400, "Request_BadRequest", SEATS)),
        (
            Answer(error("Request_BadRequest", "x", innerError={"code": "deepest"}), 400),
            Rejected(400, "deepest", "x"),
        ),
        (Answer(error("Request_ResourceNotFound", "gone"), 404), Rejected(404, "Request_ResourceNotFound", "gone")),
        (
            Answer(error("Directory_ConcurrencyViolation", "wait"), 409),
            Contended("wait"),
        ),
        (Answer(error("Directory_ConcurrencyViolation", BUSY), 400), Contended(BUSY)),
        (Answer(error("Request_BadRequest", BUSY), 400), Contended(BUSY)),
        (Answer(error("Request_ThrottledTemporarily", "later"), 400), Contended("later")),
        (Answer(error("ServiceUnavailable", BUSY), 503), Contended(BUSY)),
        (Answer(error("ServiceUnavailable", BUSY), 503, {"Retry-After": "2"}), Contended(BUSY, 2.0)),
        (Answer(error("Authorization_RequestDenied", "no"), 403), Rejected(403, "Authorization_RequestDenied", "no")),
        (Answer(error("InvalidAuthenticationToken", "no"), 401), Rejected(401, "InvalidAuthenticationToken", "no")),
        (
            Answer(
                error("TooManyRequests", "later"),
                429,
                {"Retry-After": "2.128", "x-ms-throttle-scope": "Tenant/Write/a/t"},
            ),
            Throttled(2.128, "Tenant/Write/a/t"),
        ),
        (Answer(None, 429, {"retry-after": "4"}), Throttled(4.0)),
        (Answer(None, 429), Throttled(10.0)),
        (Answer(None, 424, {"Retry-After": "7"}), Throttled(7.0)),
        (Answer(None, 503, {"Retry-After": "6"}), Throttled(6.0)),
    ],
)
async def test_a_definite_answer_for_one_user_is_kept_whole_and_leaves_the_other(
    stub: StubGraph, writer: GraphLicenseWriter, answer: Answer, expected: WriteResult
) -> None:
    stub.on("POST", ASSIGN.format(ONE), answer)
    assert await writer.assign(CALLS, urgent=False) == {ONE: expected, TWO: Accepted()}


@pytest.mark.parametrize(
    "answer",
    [Answer(status=0), Answer(None, 500), Answer(None, 502), Answer(None, 503), Answer(None, 504), Answer(None, 408)],
)
async def test_what_may_have_been_done_is_never_taken_for_done_or_not_done(
    stub: StubGraph, writer: GraphLicenseWriter, answer: Answer
) -> None:
    stub.on("POST", ASSIGN.format(ONE), answer)
    results = await writer.assign(CALLS, urgent=False)
    assert isinstance(results[ONE], Unanswered)
    assert results[TWO] == Accepted()


@pytest.mark.parametrize(
    ("whole", "kind"),
    [
        (httpx.ReadTimeout("silent"), Unanswered),
        (httpx.ReadError("reset"), Unanswered),
        (httpx.RemoteProtocolError("closed"), Unanswered),
        (Answer(None, 500), Unanswered),
        (Answer(None, 502), Unanswered),
        (Answer(None, 503), Unanswered),
        (Answer(None, 504), Unanswered),
        (Answer(None, 424), Unanswered),
        (Answer(None, 302), Unanswered),
        (Answer(b"<html>", 200), Unanswered),
        (Answer({"responses": None}), Unanswered),
        (Answer({}), Unanswered),
        (httpx.ConnectError("refused"), Unsent),
        (httpx.ConnectTimeout("slow"), Unsent),
        (Answer(None, 429, {"Retry-After": "3"}), Throttled),
        (Answer(None, 503, {"Retry-After": "3"}), Throttled),
        (Answer(error("InvalidAuthenticationToken", "expired"), 401), Rejected),
        (Answer(error("BadRequest", "ids are not unique"), 400), Rejected),
    ],
)
async def test_a_failed_batch_is_an_answer_for_every_user_and_is_not_sent_again(
    stub: StubGraph, writer: GraphLicenseWriter, whole: Answer | Exception, kind: type[object]
) -> None:
    stub.kept = False
    stub.whole = [whole]
    results = await writer.assign(CALLS, urgent=False)
    assert list(results) == [ONE, TWO]
    assert all(isinstance(each, kind) for each in results.values())
    assert len(stub.requests) == 1
    assert stub.slept == []


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_batch_on_a_kept_connection_that_broke_is_sent_once_more(
    stub: StubGraph, writer: GraphLicenseWriter, broken: Exception
) -> None:
    stub.whole = [broken]
    assert await writer.assign(CALLS, urgent=True) == {ONE: Accepted(), TWO: Accepted()}
    first, second = stub.requests
    assert (first.content, first.headers["authorization"]) == (second.content, second.headers["authorization"])
    assert second.headers["x-ms-throttle-priority"] == "High"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(error("Request_BadRequest", "User does not have a corresponding license."), 400),
        Answer(error("Directory_ConcurrencyViolation", "wait"), 409),
        Answer(None, 429, {"Retry-After": "3"}),
        Answer(None, 503, {"Retry-After": "3"}),
        Answer(None, 500),
    ],
)
async def test_a_rejected_second_attempt_does_not_say_that_nothing_was_written(
    stub: StubGraph, writer: GraphLicenseWriter, answer: Answer
) -> None:
    stub.on("POST", ASSIGN.format(ONE), answer)
    stub.whole = [httpx.ReadError("reset")]
    results = await writer.assign(CALLS, urgent=False)
    assert isinstance(results[ONE], Unanswered)
    assert results[TWO] == Accepted()


async def test_a_third_attempt_is_not_made(stub: StubGraph, writer: GraphLicenseWriter) -> None:
    stub.whole = [httpx.ReadError("reset"), httpx.ReadError("reset again")]
    results = await writer.assign(CALLS, urgent=False)
    assert all(isinstance(each, Unanswered) for each in results.values())
    assert len(stub.requests) == 2


async def test_without_a_token_nothing_was_written(stub: StubGraph) -> None:
    graph = stub.client(StubCredential(fails=True))
    results = await GraphLicenseWriter(graph).assign(CALLS, urgent=False)
    assert results == dict.fromkeys(CALLS, Unsent(5.0))
    assert stub.requests == []
    await graph.close()


async def test_rejections_for_speed_without_a_time_wait_longer_each_time(
    stub: StubGraph, writer: GraphLicenseWriter
) -> None:
    stub.on("POST", ASSIGN.format(ONE), Answer(None, 429))
    waits = []
    for _ in range(6):
        result = (await writer.assign(CALLS, urgent=False))[ONE]
        assert isinstance(result, Throttled)
        waits.append(result.retry_after_s)
    assert waits == [10.0, 20.0, 40.0, 80.0, 160.0, 160.0]
    stub.on("POST", ASSIGN.format(ONE), Answer({}), Answer(None, 429))
    await writer.assign(CALLS, urgent=False)
    assert (await writer.assign(CALLS, urgent=False))[ONE] == Throttled(10.0)


async def test_more_users_than_a_batch_takes_is_a_fault_of_the_caller(
    stub: StubGraph, writer: GraphLicenseWriter
) -> None:
    with pytest.raises(ValueError, match="21"):
        await writer.assign({UserId(guid(number)): CALL for number in range(21)}, urgent=False)
    assert stub.requests == []


async def test_no_users_are_no_request(stub: StubGraph, writer: GraphLicenseWriter) -> None:
    assert await writer.assign({}, urgent=True) == {}
    assert await writer.set_usage_locations({}, urgent=True) == {}
    assert stub.requests == []
