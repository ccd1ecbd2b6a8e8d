"""The command line against the app in one process: its requests are answered by the API on a world in memory."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from seatkeeper.app import run
from seatkeeper.surroundings import Surroundings
from shared.ports.world import World
from tests.support.api_calls import WRITER, claims_of, client, token

ADMINISTRATOR = token(claims_of(roles=["Licensing.Write", "Licensing.Approve", "Licensing.Configure"]))
"""Headers of a person who can do everything but HR events."""


class Here(httpx.BaseTransport):
    """Requests of a synchronous client, answered in this process. `after` runs when each was answered."""

    def __init__(self, world: Callable[[], World], headers: Mapping[str, str], after: Callable[[], Any]) -> None:
        self._world = world
        self.holds_to_description = True
        """Whether each answer is compared with the API's description, which takes longer than most answers."""
        self.headers = dict(headers)
        self._after = after
        self._loop = asyncio.new_event_loop()
        self._one = threading.Lock()
        """Requests of several threads are answered one after another."""
        self.seen: list[tuple[str, str]] = []
        """Method and path of each request."""
        self.asked: list[tuple[str, str]] = []
        """The same without previews."""
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda request: None
        """Can answer in place of the app."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._one:
            self.seen.append((request.method, request.url.path))
            if request.url.params.get("preview") != "true":
                self.asked.append((request.method, request.url.path))
            other = self.before(request)
            return other or self.wait(self._answer(request))

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        given = {name: value for name, value in request.headers.items() if name not in ("host", "authorization")}
        async with client(self._world(), headers=self.headers) as api:
            if not self.holds_to_description:
                api.event_hooks = {}
            url = request.url.copy_with(scheme="https", host="licensing.example", port=None)
            answer = await api.request(request.method, url, content=request.read(), headers=given)
            content = await answer.aread()
        work = self._after()
        if asyncio.iscoroutine(work):
            await work
        kept = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return httpx.Response(answer.status_code, headers=kept, content=content, request=request)

    def wait(self, work: Any) -> Any:
        """The result of a coroutine, in the loop of the requests."""
        return self._loop.run_until_complete(work)

    def close_loop(self) -> None:
        self._loop.close()

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Requests that can change something; a preview cannot."""
        reading = ("/search", "/dryRun", "/combinedPlan")
        return [each for each in self.asked if each[0] != "GET" and not each[1].endswith(reading)]


@dataclass
class Ended:
    """The end of a call."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Cli:
    """`cli("group", "list")` is a call of the program; a call without an answer to a question fails."""

    world: Callable[[], World]
    after: Callable[[], Any] = lambda: None
    headers: Mapping[str, str] = field(default_factory=lambda: WRITER)
    folder: Path = field(default_factory=Path.cwd)
    width: int = 80
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.here = Here(self.world, self.headers, self.after)
        self.slept: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.here.close_loop()

    def __call__(self, *arguments: str, answer: str | None = None) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        variables = {"SEATKEEPER_URL": "https://licensing.example", "SEATKEEPER_TOKEN": "t", "HOME": str(self.folder)}
        surroundings = Surroundings(
            out=out,
            err=err,
            answers=io.StringIO(answer or ""),
            variables={**variables, **self.variables},
            folder=self.folder,
            sleep=self.slept.append,
            transport=self.here,
            interactive=answer is not None,
            width=self.width,
        )
        code = run(list(arguments), surroundings)
        return Ended(code, out.getvalue(), err.getvalue())
