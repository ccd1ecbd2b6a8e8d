"""The HTTP trigger: an ASGI application that matches native routes before the catch-all, as the host's routing does.

Headers are lower case, empty ones are dropped, responses are buffered. In front stands the sign-in of `auth`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import azure.functions as func

from local.host.auth import SignIn
from local.host.invoking import invoke
from local.host.metadata import Function, HostSettings
from local.host.timers import fire

log = logging.getLogger("local.host.http")

MAX_BODY = 100 * 1024 * 1024
"""Bytes of a request (learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger)."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class Route:
    pattern: re.Pattern[str]
    methods: frozenset[str]
    function: Function
    literal: int


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"


def routes_of(functions: Iterable[Function], host: HostSettings) -> list[Route]:
    """The HTTP functions' routes, the most literal first."""
    routes = []
    for function in functions:
        if function.kind != "httpTrigger":
            continue
        route = str(function.trigger.get("route") or function.name).strip("/")
        path = "/".join(part for part in (host.route_prefix.strip("/"), route) if part)
        pattern = re.sub(r"\\\{\\\*(\w+)\\\}", r"(?P<\1>.*)", re.escape(path))
        pattern = re.sub(r"\\\{(\w+)[^/]*?\\\}", r"(?P<\1>[^/]+)", pattern)
        methods = frozenset(str(method).upper() for method in function.trigger.get("methods") or ())
        routes.append(Route(re.compile(f"/{pattern}/?", re.IGNORECASE), methods, function, len(path.split("{")[0])))
    return sorted(routes, key=lambda route: -route.literal)


class HttpHost:
    """The ASGI application."""

    def __init__(self, functions: Mapping[str, Function], host: HostSettings, sign_in: SignIn, directory: Path) -> None:
        self._functions = functions
        self._routes = routes_of(functions.values(), host)
        self._sign_in = sign_in
        self._directory = directory

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"] if value}
        body = await _body(receive)
        answer = await self._answer(scope, headers, body)
        fields = [("content-type", answer.content_type), ("content-length", str(len(answer.body))), *answer.headers]
        raw = [(key.encode("latin-1"), value.encode("latin-1")) for key, value in fields]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _answer(self, scope: Message, headers: dict[str, str], body: bytes | None) -> Answer:
        if body is None:
            return Answer(413, b'{"error":{"code":"RequestTooLarge","message":"The limit is 100 MiB."}}')
        path = str(scope["path"])
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=False))
        if path.startswith("/admin/functions/"):
            return await self._manual(str(scope["method"]), path.rsplit("/", 1)[1])
        signed_in = self._sign_in.page(str(scope["method"]), path, query, headers, body)
        if signed_in is not None:
            status, text, extra, kind = signed_in
            return Answer(status, text, extra, kind)
        headers = self._sign_in.with_principal(path, headers)
        return await self._call(scope, path, query, headers, body)

    async def _call(
        self, scope: Message, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Answer:
        method = str(scope["method"])
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match is None or (route.methods and method not in route.methods):
                continue
            host = headers.get("host", "localhost")
            text = scope["query_string"].decode("latin-1")
            url = f"http://{host}{path}" + (f"?{text}" if text else "")
            request = func.HttpRequest(
                method=method,
                url=url,
                headers=headers,
                params=query,
                route_params={key: value or "" for key, value in match.groupdict().items()},
                body=body,
            )
            return await self._invoke(route.function, request)
        return Answer(404, b"", content_type="text/plain")

    async def _invoke(self, function: Function, request: func.HttpRequest) -> Answer:
        try:
            response = await invoke(function, request, self._directory, request.headers.get("traceparent", ""))
        except Exception:  # the boundary of an invocation: the host answers 500 for whatever the app raises
            log.exception("%s failed", function.name)
            return Answer(500, b"", content_type="text/plain")
        if isinstance(response, str):
            return Answer(200, response.encode(), content_type="text/plain")
        fields = tuple((key, value) for key, value in response.headers.items() if key.lower() not in _OWN)
        kind = response.headers.get("content-type") or response.mimetype or "text/plain"
        return Answer(response.status_code, response.get_body(), fields, kind)

    async def _manual(self, method: str, name: str) -> Answer:
        """The host's manual start of a function that is not triggered by HTTP; by POST only, so no link starts one."""
        if method != "POST":
            return Answer(405, b"", (("allow", "POST"),), "text/plain")
        function = self._functions.get(name)
        if function is None or function.kind != "timerTrigger":
            return Answer(404, json.dumps({"error": f"there is no timer function {name}"}).encode())
        done = asyncio.create_task(fire(function, self._directory))
        return Answer(202 if await done else 500, b"")


_OWN = frozenset({"content-type", "content-length", "transfer-encoding"})


async def _body(receive: Receive) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
