"""The stack and its function host as processes, on a small app: HTTP with sign-in, queue, timer, a killed worker."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from local.client import Client
from local.host.auth import ROLES
from local.stack import Stack, StackOptions
from shared.adapters.service_bus import ServiceBusConfig, ServiceBusQueue
from shared.ports.messaging import Outgoing
from tests.integration import PATIENCE_S

SAMPLE = Path(__file__).parent / "sample_app"
PRINCIPAL = "x-ms-client-principal"


class Sample:
    """The running stack, and what the app noted: who (pid) did what."""

    def __init__(self, stack: Stack, notes: Path) -> None:
        self.stack = stack
        self._notes = notes

    def notes(self) -> list[tuple[int, str]]:
        lines = self._notes.read_text().splitlines() if self._notes.exists() else []
        return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]

    def noted(self, beginning: str) -> list[str]:
        return [text for _, text in self.notes() if text.startswith(beginning)]

    def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(self.stack.endpoints.api + path, body, headers or {}, method=method)
        try:
            with urllib.request.build_opener(Stay).open(request, timeout=PATIENCE_S) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as fault:
            with fault:
                return fault.code, dict(fault.headers), fault.read()

    def headers_seen(self, headers: dict[str, str]) -> dict[str, str]:
        """The request's headers as the app was given them."""
        status, _, body = self.ask("GET", "/echo/x", headers)
        assert status == 200
        seen: dict[str, str] = json.loads(body)["headers"]
        return seen

    def send(self, *bodies: str) -> None:
        async def sending() -> None:
            queue = ServiceBusQueue(ServiceBusConfig(self.stack.endpoints.service_bus))
            await queue.send([Outgoing("work", body.encode()) for body in bodies])
            await queue.close()

        asyncio.run(sending())

    def counts(self) -> dict[str, int]:
        with urllib.request.urlopen(f"{self.stack.endpoints.broker_control}/queues", timeout=PATIENCE_S) as answer:
            found: dict[str, int] = json.load(answer)["queues"]["work"]
        return found


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection, so that its answer can be looked at."""

    def redirect_request(self, *args: Any, **named: Any) -> None:
        return None


def until(good: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    ending = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < ending, "it did not come to that"
        time.sleep(0.1)


def claims_of(headers: dict[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for claim in json.loads(b64decode(headers[PRINCIPAL]))["claims"]:
        found.setdefault(claim["typ"], []).append(claim["val"])
    return found


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    directory = tmp_path_factory.mktemp("sample")
    notes = directory / "notes"
    options = StackOptions(
        members=20,
        processes=1,
        state_dir=directory / "state",
        broker_config=SAMPLE / "queues.json",
        app_dir=SAMPLE,
        settings={"SAMPLE_QUEUE": "work", "SAMPLE_NOTES": str(notes)},
    )
    with Stack(options) as stack:
        yield Sample(stack, notes)


def test_functions_are_found_and_a_setting_names_the_queue(sample: Sample) -> None:
    assert set(sample.stack.functions) == {"work", "timers", "http"}


def test_a_native_route_and_the_catch_all_answer_each_their_own(sample: Sample) -> None:
    assert sample.ask("GET", "/api/health")[2] == b'{"status": "ok"}'
    status, headers, body = sample.ask("GET", "/echo/a/b?x=1")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert (json.loads(body)["rest"], json.loads(body)["query"]) == ("a/b", {"x": "1"})
    assert sample.ask("GET", "/nothing")[0] == 404
    assert sample.ask("GET", "/api/broken")[0] == 500


def test_empty_and_forged_headers_never_reach_the_app(sample: Sample) -> None:
    seen = sample.headers_seen(
        {"X-Empty": "", "X-Full": "1", "X-MS-Client-Principal": "x", f"{PRINCIPAL}-name": "Root"}
    )
    assert (seen.get("x-full"), "x-empty" in seen) == ("1", False)
    assert [key for key in seen if key.startswith(PRINCIPAL)] == []


def test_who_chose_a_role_on_the_sign_in_page_has_it_until_signed_out(sample: Sample) -> None:
    status, _, page = sample.ask("GET", "/.auth/login?post_login_redirect_uri=/there")
    assert (status, b"License Administrator" in page, b'value="/there"' in page) == (200, True, True)
    form = urlencode({"role": "License Administrator", "next": "/there"}).encode()
    status, headers, _ = sample.ask("POST", "/.auth/login", body=form)
    assert (status, headers["location"]) == (302, "/there")
    cookie = headers["set-cookie"].split(";")[0]
    claims = claims_of(sample.headers_seen({"Cookie": cookie}))
    assert (claims["wids"], claims["tid"]) == (
        [ROLES["License Administrator"]],
        [sample.stack.endpoints.tenant_id],
    )
    _, headers, _ = sample.ask("GET", "/.auth/logout")
    assert PRINCIPAL not in sample.headers_seen({"Cookie": headers["set-cookie"].split(";")[0]})
    assert PRINCIPAL not in sample.headers_seen({"Cookie": cookie[:-3] + "abc"})


def test_a_token_of_the_tenants_endpoint_is_a_principal_and_one_for_graph_is_none(sample: Sample) -> None:
    def token(scope: str) -> str:
        ends = sample.stack.endpoints
        form = {"grant_type": "client_credentials", "client_id": ends.client_id, "client_secret": ends.client_secret}
        body = urlencode({**form, "scope": scope}).encode()
        with urllib.request.urlopen(urllib.request.Request(ends.token, body), timeout=PATIENCE_S) as answer:
            found: str = json.load(answer)["access_token"]
        return found

    good = sample.headers_seen({"Authorization": f"Bearer {token(sample.stack.endpoints.api_scope)}"})
    assert "Licensing.ReadWrite" in claims_of(good)["roles"]
    for bad in (token("https://graph.microsoft.com/.default"), "not-a-token"):
        assert PRINCIPAL not in sample.headers_seen({"Authorization": f"Bearer {bad}"})


def test_a_message_that_is_done_is_gone_and_one_that_fails_is_dead_after_its_tries(sample: Sample) -> None:
    dead = sample.counts()["deadLetter"]
    sample.send("good", "bad")
    until(lambda: sample.counts()["deadLetter"] == dead + 1)
    assert (sample.noted("good"), sample.noted("bad")) == (["good 1"], ["bad 1", "bad 2", "bad 3"])
    until(lambda: sum(sample.counts().values()) == dead + 1)


def test_a_timer_is_started_by_hand_and_by_post_only(sample: Sample) -> None:
    assert sample.ask("GET", "/admin/functions/nightly")[0] == 405
    assert sample.noted("timer") == []
    assert sample.ask("POST", "/admin/functions/nightly", body=b"{}")[0] == 202
    assert sample.noted("timer") == ["timer"]
    assert sample.ask("POST", "/admin/functions/work", body=b"{}")[0] == 404


@pytest.mark.parametrize("name", ["work", "http"])
def test_a_killed_worker_is_started_again_and_works(sample: Sample, name: str) -> None:
    restarts = sample.stack.restarts
    (pid,) = sample.stack.workers(name)
    sample.stack.kill(pid)
    until(lambda: sample.stack.restarts == restarts + 1 and sample.stack.workers(name) != [])
    assert sample.stack.workers(name) != [pid]
    if name == "work":
        sample.send("after")
        until(lambda: sample.noted("after") == ["after 1"])
        assert [who for who, text in sample.notes() if text.startswith("after")] == sample.stack.workers(name)
    else:
        until(lambda: _answers(sample))


def _answers(sample: Sample) -> bool:
    try:
        return sample.ask("GET", "/api/health")[0] == 200
    except OSError:
        return False


def test_a_stopped_stack_leaves_no_process_and_no_open_port(sample: Sample) -> None:
    ends = sample.stack.endpoints
    pids = [pid for name in sample.stack.functions for pid in sample.stack.workers(name)]
    assert Client(ends).tenant("GET", "/health") is not None
    sample.stack.stop()
    assert len(pids) == 3
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    for url in (ends.api, ends.graph, ends.broker_control, ends.tables):
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(url, timeout=PATIENCE_S)
