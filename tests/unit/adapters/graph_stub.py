"""A scripted Graph behind httpx's mock transport: what adapters' unit tests talk to in place of a network."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from shared.adapters.graph import GraphClient, Retries

BASE = "https://graph.example/v1.0"
E3, E5 = "05e9a617-0261-4cee-bb44-138d3ef5d965", "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
PLAN = "efb87545-963c-4e0d-99df-69c6916d9eb0"


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def state(sku: str = E3, **more: Any) -> dict[str, Any]:
    return {
        "skuId": sku,
        "disabledPlans": [],
        "assignedByGroup": None,
        "state": "Active",
        "error": "None",
        "lastUpdatedDateTime": "2026-02-03T09:15:02Z",
        **more,
    }


def user(number: int, *states: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.user",
        "id": guid(number),
        "displayName": f"User {number}",
        "userPrincipalName": f"u{number}@fabrikam.example",
        "accountEnabled": True,
        "userType": "Member",
        "usageLocation": "DE",
        "assignedLicenses": [],
        "licenseAssignmentStates": list(states),
        **more,
    }


def error(code: str, message: str, **inner: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "innerError": {"request-id": "r1", **inner}}}


@dataclass
class Answer:
    """`status` 0 leaves the item out of a batch."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Route = Callable[[str, Any], Answer]


@dataclass
class StubGraph:
    """Routes by method and pattern of path with query; the last one added wins. `requests` are the HTTP requests."""

    routes: list[tuple[str, re.Pattern[str], Route]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    whole: list[Answer | Exception] = field(default_factory=list)
    """Answers to the next HTTP requests, whatever they ask."""
    slept: list[float] = field(default_factory=list)
    reverse: bool = True
    """Batches are answered last item first."""
    kept: bool = True
    """Requests find a connection that was kept; otherwise each opens one, as the second attempt always does."""
    opened: int = 0

    def on(self, method: str, pattern: str, *answers: Answer) -> None:
        """The answers in turn; the last one again and again."""
        queue = list(answers)
        self.routes.insert(
            0, (method, re.compile(pattern), lambda _u, _b: queue.pop(0) if len(queue) > 1 else queue[0])
        )

    def route(self, method: str, pattern: str, route: Route) -> None:
        self.routes.insert(0, (method, re.compile(pattern), route))

    def people(self, *rows: dict[str, Any], groups: tuple[str, ...] = ()) -> None:
        """Users with their groups, as GET and getMemberGroups show them."""
        for row in rows:
            self.on("GET", rf"^/users/{row['id']}\?", Answer(row))
            self.on("POST", rf"^/users/{row['id']}/getMemberGroups$", Answer({"value": list(groups)}))

    def client(self, credential: StubCredential | None = None, retries: Retries | None = None) -> GraphClient:
        identity: Any = credential or StubCredential()

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            await asyncio.sleep(0)

        return GraphClient(
            BASE,
            "https://graph.example/.default",
            lambda: identity,
            retries=retries,
            sleep=sleep,
            transport=lambda keep: httpx.MockTransport(self._on_kept if keep else self._on_new),
        )

    async def _on_kept(self, request: httpx.Request) -> httpx.Response:
        return self._handle(request) if self.kept else await self._on_new(request)

    async def _on_new(self, request: httpx.Request) -> httpx.Response:
        self.opened += 1
        if trace := request.extensions.get("trace"):
            await trace("connection.connect_tcp.started", {})
        return self._handle(request)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.whole:
            planned = self.whole.pop(0)
            if isinstance(planned, Exception):
                raise planned
            return _response(planned)
        path = request.url.raw_path.decode().removeprefix("/v1.0")
        body = json.loads(request.content) if request.content else None
        if path == "/$batch":
            return _response(self._batch(body))
        return _response(self._answer(request.method, path, body))

    def _batch(self, body: Any) -> Answer:
        responses = []
        for item in body["requests"]:
            self.items.append(item)
            answer = self._answer(item["method"], item["url"], item.get("body"))
            if answer.status:
                responses.append(
                    {"id": item["id"], "status": answer.status, "headers": dict(answer.headers), "body": answer.body}
                )
        return Answer({"responses": responses[::-1] if self.reverse else responses})

    def _answer(self, method: str, path: str, body: Any) -> Answer:
        for wanted, pattern, route in self.routes:
            if wanted == method and pattern.search(path):
                return route(path, body)
        return Answer(error("Request_ResourceNotFound", f"nothing at {method} {path}"), 404)


def _response(answer: Answer) -> httpx.Response:
    if isinstance(answer.body, bytes):
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)
    if answer.body is None:
        return httpx.Response(answer.status, headers=answer.headers)
    return httpx.Response(answer.status, headers=answer.headers, json=answer.body)


class StubCredential:
    """Gives a token, or fails as azure-identity does."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.scopes: list[str] = []
        self.closed = False

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.extend(scopes)
        if self.fails:
            raise ClientAuthenticationError("no identity here")
        return AccessToken("a-token", int(time.time()) + 3600)

    async def close(self) -> None:
        self.closed = True
