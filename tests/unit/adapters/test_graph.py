"""The connection to Graph: where tokens go, what is tried again, which exceptions come out."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import httpx
import pytest

from shared.adapters.graph import GraphClient, NoAnswer, NotSent, Rejection, Retries, seconds
from shared.adapters.graph_resets import Repeat
from shared.domain.errors import LicensingError, NotFound, PermissionDenied, Unavailable
from tests.unit.adapters.graph_stub import BASE, Answer, StubCredential, StubGraph, error

BUSY = Answer(error("TooManyRequests", "later"), 429, {"Retry-After": "2.5"})
OK = Answer({"id": "x"})


def test_importing_the_adapters_imports_no_sdk() -> None:
    code = (
        "import sys, shared.adapters.graph, shared.adapters.directory, shared.adapters.licenses;"
        "print([n for n in ('msgraph', 'kiota_http', 'httpx', 'aiohttp', 'azure') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_requests_carry_a_token_for_the_scope_and_an_id_of_their_own(stub: StubGraph) -> None:
    credential = StubCredential()
    graph = stub.client(credential)
    stub.whole = [OK, OK]
    await graph.send("/organization")
    await graph.send("/organization")
    assert credential.scopes == ["https://graph.example/.default"] * 2
    assert [str(each.url) for each in stub.requests] == [f"{BASE}/organization"] * 2
    assert {each.headers["authorization"] for each in stub.requests} == {"Bearer a-token"}
    assert len({each.headers["client-request-id"] for each in stub.requests}) == 2
    await graph.close()
    assert credential.closed


async def test_first_uses_at_the_same_time_make_one_client(graph: GraphClient) -> None:
    clients = await asyncio.gather(*(graph.client() for _ in range(10)))
    assert len({id(each) for each in clients}) == 1
    assert clients[0].request_adapter.base_url == BASE


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/v1.0/groups?$skiptoken=1",
        "https://graph.example.elsewhere.example/v1.0/groups",
        "https://graph.example@elsewhere.example/v1.0/groups",
        "https://graph.example:8443/v1.0/groups",
        "http://graph.example/v1.0/groups",
        "//elsewhere.example/v1.0/groups",
        "https://graph.example/beta/groups",
        "https://graph.example/v1.0evil/groups",
    ],
)
async def test_a_link_to_elsewhere_is_rejected_and_nothing_is_sent(
    stub: StubGraph, graph: GraphClient, link: str
) -> None:
    with pytest.raises(Rejection):
        await graph.read(graph.path_of(link))
    assert stub.requests == []


@pytest.mark.parametrize(
    "path",
    [
        "@elsewhere.example/x",
        ".elsewhere.example/x",
        "//elsewhere.example",
        "/../beta/users",
        "/%2e%2e/beta",
        "/a\\..\\b",
    ],
)
async def test_a_path_that_leaves_the_base_is_rejected_and_nothing_is_sent(
    stub: StubGraph, graph: GraphClient, path: str
) -> None:
    with pytest.raises(Rejection):
        await graph.send(path)
    assert stub.requests == []


def test_a_link_to_the_own_host_becomes_path_and_query(stub: StubGraph) -> None:
    graph = stub.client()
    assert graph.path_of(f"{BASE}/groups/g/transitiveMembers?$skiptoken=a%2Fb") == (
        "/groups/g/transitiveMembers?$skiptoken=a%2Fb"
    )
    assert graph.path_of("/v1.0/groups?$top=1") == "/groups?$top=1"


async def test_a_redirect_is_not_followed(stub: StubGraph, graph: GraphClient) -> None:
    stub.whole = [Answer(None, 302, {"Location": "https://elsewhere.example/v1.0/x"}), OK]
    with pytest.raises(Rejection):
        await graph.read("/organization")
    assert len(stub.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_read_is_tried_again_after_the_time_graph_names(
    stub: StubGraph, graph: GraphClient, status: int
) -> None:
    stub.whole = [Answer(None, status, {"Retry-After": "2.5"}), Answer(None, status), OK]
    assert (await graph.read("/organization")).json() == {"id": "x"}
    assert stub.slept == [2.5, 1.0]


async def test_a_time_to_wait_for_may_be_a_date_which_counts_by_the_clock_of_the_answer(
    stub: StubGraph, graph: GraphClient
) -> None:
    """RFC 9110, section 10.2.3; the machine's clock can be wrong."""
    dates = {"Date": "Mon, 05 Jan 2026 09:00:00 GMT", "Retry-After": "Mon, 05 Jan 2026 09:00:07 GMT"}
    stub.whole = [Answer(None, 429, dates), OK]
    assert (await graph.read("/organization")).ok
    assert stub.slept == [7.0]


async def test_a_read_is_tried_again_after_a_lost_connection(stub: StubGraph, graph: GraphClient) -> None:
    stub.whole = [httpx.ConnectError("refused"), httpx.ReadError("reset"), OK]
    assert (await graph.read("/organization")).ok
    assert len(stub.requests) == 3


@pytest.mark.parametrize("kept", (True, False))
async def test_a_read_is_sent_again_at_once_on_a_new_connection_after_a_reset(
    stub: StubGraph, graph: GraphClient, kept: bool
) -> None:
    stub.kept = kept
    stub.whole = [httpx.ReadError("reset"), OK]
    reply = await graph.read("/organization")
    assert (reply.ok, reply.repeated, stub.slept) == (True, True, [])
    assert stub.opened == (1 if kept else 2)


@pytest.mark.parametrize(
    ("repeat", "kept", "sent"),
    [
        (Repeat.NEVER, True, 1),
        (Repeat.IF_KEPT, False, 1),
        (Repeat.IF_KEPT, True, 2),
        (Repeat.ALWAYS, False, 2),
        (Repeat.ALWAYS, True, 2),
    ],
)
async def test_a_request_is_sent_again_only_as_its_caller_says(
    stub: StubGraph, graph: GraphClient, repeat: Repeat, kept: bool, sent: int
) -> None:
    stub.kept = kept
    stub.whole = [httpx.ReadError("reset"), httpx.ReadError("reset")]
    with pytest.raises(NoAnswer):
        await graph.send("/subscriptions", {"a": 1}, repeat=repeat)
    assert [request.content for request in stub.requests] == [b'{"a":1}'] * sent


@pytest.mark.parametrize("lost", [httpx.ReadTimeout("silent"), httpx.ConnectError("no route"), httpx.PoolTimeout("x")])
async def test_only_a_broken_connection_is_a_reason_to_send_again(
    stub: StubGraph, graph: GraphClient, lost: Exception
) -> None:
    stub.whole = [lost]
    with pytest.raises(Unavailable):
        await graph.send("/organization", repeat=Repeat.ALWAYS)
    assert len(stub.requests) == 1


async def test_a_read_gives_up_after_a_few_tries_and_says_how_long_to_wait(stub: StubGraph, graph: GraphClient) -> None:
    stub.whole = [BUSY] * 10
    with pytest.raises(Unavailable, match="429") as caught:
        await graph.read("/organization")
    assert caught.value.retry_after_s == 2.5
    assert len(stub.requests) == 4


async def test_a_long_wait_is_handed_on_instead_of_held(stub: StubGraph, graph: GraphClient) -> None:
    stub.whole = [Answer(None, 429, {"Retry-After": "120"}), OK]
    with pytest.raises(Unavailable) as caught:
        await graph.read("/organization")
    assert (caught.value.retry_after_s, stub.slept) == (120.0, [])


async def test_nothing_is_tried_again_when_the_time_is_used_up(stub: StubGraph) -> None:
    graph = stub.client(retries=Retries(total_s=-1))
    stub.whole = [BUSY, OK]
    with pytest.raises(Unavailable):
        await graph.read("/organization")
    assert len(stub.requests) == 1
    await graph.close()


async def test_send_never_tries_again(stub: StubGraph, graph: GraphClient) -> None:
    stub.whole = [BUSY, OK]
    assert (await graph.send("/organization")).status == 429
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(404, NotFound), (401, PermissionDenied), (403, PermissionDenied), (400, Rejection)]
)
async def test_a_definite_answer_is_told_apart_and_not_tried_again(
    stub: StubGraph, graph: GraphClient, status: int, kind: type[Exception]
) -> None:
    stub.whole = [Answer(error("Some_Code", "some text"), status, {"request-id": "abc"}), OK]
    with pytest.raises(kind, match=r"some text.*abc"):
        await graph.read("/organization")
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("no route"), NotSent),
        (httpx.ConnectTimeout("slow"), NotSent),
        (httpx.PoolTimeout("busy"), NotSent),
        (httpx.ReadTimeout("silent"), NoAnswer),
        (httpx.WriteError("broken pipe"), NoAnswer),
        (httpx.RemoteProtocolError("closed"), NoAnswer),
    ],
)
async def test_no_exception_of_httpx_comes_out(
    stub: StubGraph, graph: GraphClient, raised: Exception, kind: type[LicensingError]
) -> None:
    stub.whole = [raised]
    with pytest.raises(kind) as caught:
        await graph.send("/organization")
    assert caught.value.__cause__ is raised


async def test_no_exception_of_azure_identity_comes_out(stub: StubGraph) -> None:
    graph = stub.client(StubCredential(fails=True))
    with pytest.raises(NotSent, match="no identity here"):
        await graph.send("/organization")
    assert stub.requests == []
    await graph.close()


@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"[1]", b""])
async def test_an_answer_that_is_no_json_object_is_no_answer(stub: StubGraph, graph: GraphClient, body: bytes) -> None:
    stub.whole = [Answer(body)]
    with pytest.raises(NoAnswer):
        (await graph.read("/organization")).json()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.128", 2.128),
        ("17", 17.0),
        (3, 3.0),
        (None, None),
        ("soon", None),
        ("nan", None),
        ("-1", None),
        ("inf", None),
    ],
)
def test_retry_after_may_have_decimals_and_nonsense_counts_as_none(text: object, expected: float | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "date", "expected"),
    [
        ("Mon, 05 Jan 2026 09:00:07 GMT", "Mon, 05 Jan 2026 09:00:00 GMT", 7.0),
        ("Mon, 05 Jan 2026 08:59:00 GMT", "Mon, 05 Jan 2026 09:00:00 GMT", 0.0),
        ("Mon, 05 Jan 2026 09:00:07 GMT", None, None),
        ("Mon, 05 Jan 2026 09:00:07 GMT", "soon", None),
        ("5", "Mon, 05 Jan 2026 09:00:00 GMT", 5.0),
    ],
)
def test_retry_after_may_be_a_date(text: str, date: object, expected: float | None) -> None:
    assert seconds(text, date) == expected
