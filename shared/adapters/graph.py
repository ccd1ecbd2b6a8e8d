"""The one connection to Microsoft Graph: a GraphServiceClient, raw JSON through its request adapter, retries of reads.

The SDK is imported on first use, since it takes a second. Its models cost seconds of CPU for a page of 999 members, so
answers stay bytes here and are decoded elsewhere. Every address is put together from the base URL and a path: no link
from a message or an answer can take the app's token to another host.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from shared.adapters.graph_resets import REPEATED, Repeat
from shared.domain import trace_context
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.ports.telemetry import SILENT, Telemetry

if TYPE_CHECKING:
    import httpx
    from azure.core.credentials_async import AsyncTokenCredential
    from kiota_abstractions.request_option import RequestOption

Json = dict[str, Any]

CONNECT_S, READ_S, WRITE_S, POOL_S = 10.0, 60.0, 30.0, 60.0
"""HTTP time limits. A $batch of 20 license assignments reportedly needs up to 20 s, so an answer has a minute."""


TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
"""Answers to a read after which the same read may succeed (learn.microsoft.com/graph/errors)."""

HTML_IS_ENOUGH = 300
"""Characters of an error text that is not Graph's JSON, such as a gateway's page, that are kept."""

logger = logging.getLogger(__name__)


class NotSent(Unavailable):
    """The request certainly never reached Graph: no connection, or no token."""


class NoAnswer(Unavailable):
    """The request went out, or may have, and no usable answer came."""


class Rejection(Unavailable):
    """Graph answered with an error that is no outage, no missing object and no missing permission."""

    def __init__(self, status: int, code: str, what: str) -> None:
        super().__init__(None, what, rejected=True)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer; header names in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    repeated: bool = False
    """The request was sent twice, and this answers the second attempt: Graph may have carried out the first one too."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry_after_s(self) -> float | None:
        return seconds(self.headers.get("retry-after"), self.headers.get("date"))

    def json(self) -> Json:
        """The body as a JSON object. Raises NoAnswer when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError as fault:
            raise NoAnswer(None, f"Graph answered {self.status} with something that is not JSON") from fault
        if not isinstance(value, dict):
            raise NoAnswer(None, f"Graph answered {self.status} with JSON that is no object")
        return value


@dataclass(frozen=True, slots=True)
class Retries:
    """How reads are tried again: after `waits_s` if Graph names no time. A `Retry-After` above `longest_s` is passed on
    to the caller. Nothing is tried again `total_s` after the first try. So the total stays well below the five minutes
    of a message lock, even if every answer is lost after a minute."""

    waits_s: tuple[float, ...] = (0.5, 1.0, 2.0)
    longest_s: float = 10.0
    total_s: float = 60.0


@dataclass(frozen=True, slots=True)
class _Connection:
    loop: asyncio.AbstractEventLoop
    client: Any
    adapter: Any
    http: httpx.AsyncClient
    transports: tuple[httpx.AsyncBaseTransport, ...]
    credential: AsyncTokenCredential
    raw: RequestOption


ID_AFTER = frozenset({"users", "groups", "members", "subscriptions", "directoryObjects", "administrativeUnits"})
"""Segments of a path that an id follows."""


class GraphClient:
    """Sends requests to Graph as the app.

    `credential_factory` is called once per event loop; `transport` replaces the network: one is made whose connections
    are kept, and one that opens a new connection for each request. `on_date` is given the Date header of each answer.
    """

    def __init__(
        self,
        base_url: str,
        scope: str,
        credential_factory: Callable[[], AsyncTokenCredential],
        *,
        retries: Retries | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: Callable[[bool], httpx.AsyncBaseTransport] | None = None,
        telemetry: Telemetry = SILENT,
        on_date: Callable[[str], None] | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._base = urlsplit(self.base_url)
        self._scope = scope
        self._credential_factory = credential_factory
        self._retries = retries or Retries()
        self._sleep = sleep
        self._transport = transport
        self._telemetry = telemetry
        self._on_date = on_date
        self._connection: _Connection | None = None

    async def client(self) -> Any:
        """The typed GraphServiceClient, for requests with few objects. It does not retry."""
        return (await self._connect()).client

    async def close(self) -> None:
        """Close connections and credential; the next request opens them again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.http.aclose()
            for transport in connection.transports:  # the SDK's wrapper around them does not pass a close on
                await transport.aclose()
            await connection.credential.close()

    def path_of(self, link: str) -> str:
        """Path and query of a link as Graph gives for the next page, without the base path.

        Raises Refusal for another host, a path outside the base path, or one with dot segments.
        """
        parts = urlsplit(link)
        same_host = (parts.scheme, parts.netloc.lower()) == (self._base.scheme, self._base.netloc.lower())
        if (parts.scheme or parts.netloc) and not same_host:
            raise Rejection(
                0, "foreignLink", f"a link leads to {parts.scheme}://{parts.netloc}, not to {self.base_url}"
            )
        if not parts.path.startswith(f"{self._base.path}/"):
            raise Rejection(0, "foreignLink", f"a link's path {parts.path} does not begin with {self._base.path}")
        path = parts.path.removeprefix(self._base.path)
        return f"{path}?{parts.query}" if parts.query else path

    async def send(
        self,
        path: str,
        body: object = None,
        *,
        priority: str | None = None,
        method: str | None = None,
        repeat: Repeat = Repeat.NEVER,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request: `method`, else GET, or POST where there is a body; any status is an answer.

        `path` is relative to the base URL. It is sent once, and once more only as `repeat` says. `priority`: Normal
        or High (learn.microsoft.com/graph/throttling, header x-ms-throttle-priority). Raises NotSent or NoAnswer.
        """
        _check_path(path)
        connection = await self._connect()
        sent = {"Accept": "application/json", "client-request-id": str(uuid.uuid4()), **(headers or {})}
        if priority is not None:
            sent["x-ms-throttle-priority"] = priority
        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        how = method or ("GET" if content is None else "POST")
        with self._telemetry.call(f"Graph {how} {template_of(path)}") as span:
            if trace_context.current.get():
                sent["traceparent"] = trace_context.current.get()
            reply = await _send(connection, how, self.base_url + path, content, sent, repeat)
            span.note(status=reply.status, requestId=reply.headers.get("request-id", ""))
            if self._on_date is not None and "date" in reply.headers:
                self._on_date(reply.headers["date"])
            return reply

    async def read(self, path: str, body: object = None) -> Reply:
        """A read, tried again a few times; returns a 2xx answer (or a batch's 424).

        Raises NotFound, PermissionDenied, Refusal, and Unavailable with the time Graph asked to wait.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._retries.total_s
        for wait_s in (*self._retries.waits_s, None):
            try:
                reply = await self.send(path, body, repeat=Repeat.ALWAYS)
                if reply.status not in TRY_AGAIN:
                    return _checked(reply, path)
                fault: Unavailable = Unavailable(reply.retry_after_s, describe(reply, path))
            except (NotSent, NoAnswer) as lost:
                fault = lost
            asked_s = fault.retry_after_s
            too_long = asked_s is not None and asked_s > self._retries.longest_s
            if wait_s is None or too_long or loop.time() > until:
                raise fault
            logger.info("reading again: %s", fault)
            await self._sleep(wait_s if asked_s is None else asked_s)
        raise Unavailable(None, f"{path} was not read")

    async def _connect(self) -> _Connection:
        """The connection of this event loop. Between look and store nothing is awaited, so there is only ever one."""
        if self._connection is None or self._connection.loop is not asyncio.get_running_loop():
            await asyncio.to_thread(_import_sdk)
        connection = self._connection
        if connection is None or connection.loop is not asyncio.get_running_loop():
            connection = self._connection = self._open()
        return connection

    def _open(self) -> _Connection:
        import httpx
        from kiota_authentication_azure.azure_identity_authentication_provider import (
            AzureIdentityAuthenticationProvider,
        )
        from kiota_http.middleware.options import ResponseHandlerOption

        credential = self._credential_factory()
        # Without scopes the SDK would ask for a token for the host's name; the host is given without its port.
        authentication = AzureIdentityAuthenticationProvider(
            credential, scopes=[self._scope], allowed_hosts=[self._base.hostname or ""]
        )
        from shared.adapters.graph_connection import network, request_adapter, with_middleware

        make = self._transport or network
        kept, new = make(True), make(False)
        http = httpx.AsyncClient(
            timeout=httpx.Timeout(connect=CONNECT_S, read=READ_S, write=WRITE_S, pool=POOL_S), transport=kept
        )
        adapter = request_adapter(authentication, with_middleware(http, new), self.base_url)
        client = import_module("msgraph").GraphServiceClient(request_adapter=adapter)
        handler: Any = _KeepAnswer()
        raw = ResponseHandlerOption(handler)
        return _Connection(asyncio.get_running_loop(), client, adapter, http, (kept, new), credential, raw)


class _KeepAnswer:
    """A response handler of the SDK that takes the answer as it is; without one the SDK drops the body of an error."""

    async def handle_response_async(self, response: httpx.Response, error_map: object) -> Reply:
        repeated = bool(response.extensions.get(REPEATED))
        return Reply(response.status_code, dict(response.headers), response.content, repeated)


def seconds(text: object, date: object = None) -> float | None:
    """A `Retry-After` in seconds, which may have decimals (learn.microsoft.com/graph/throttling); None for none.

    It can also be a date (RFC 9110, section 10.2.3). That counts by the `date` of the same answer.
    """
    try:
        value = float(text)  # type: ignore[arg-type]  # whatever a header holds
    except (TypeError, ValueError):
        return _until(text, date)
    return value if math.isfinite(value) and value >= 0 else None


def _until(text: object, date: object) -> float | None:
    try:
        end, now = parsedate_to_datetime(str(text)), parsedate_to_datetime(str(date))
        return max(0.0, (end - now).total_seconds())
    except (TypeError, ValueError):  # no dates, or only one of them with a zone
        return None


def error_of(body: object) -> tuple[str, str]:
    """Innermost code and whole message of an error body (learn.microsoft.com/graph/errors); empty for none."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    code, message = error.get("code"), error.get("message")
    inner: Any = error
    while isinstance(inner, dict):
        code = inner.get("code") or code
        inner = inner.get("innerError") or inner.get("innererror")
    return str(code or ""), str(message or "")


def describe(reply: Reply, path: str) -> str:
    """One line for a person: the request, the answer, and Graph's id of the request."""
    try:
        code, message = error_of(reply.json())
    except NoAnswer:
        code, message = "", reply.body.decode(errors="replace")[:HTML_IS_ENOUGH]
    request_id = reply.headers.get("request-id", "")
    said = ": ".join(part for part in (code, message) if part)
    return f"Graph answered {reply.status} to {urlsplit(path).path}: {said} (request-id {request_id})"


def template_of(path: str) -> str:
    """A path without query, and without what stands for ids: those may be names of people."""
    parts = path.partition("?")[0].split("/")
    return "/".join("{id}" if before in ID_AFTER else part for before, part in zip(["", *parts], parts, strict=False))


def _checked(reply: Reply, path: str) -> Reply:
    if reply.ok or reply.status == 424:  # the throttling page lets a batch with throttled items fail as a whole
        return reply
    what = describe(reply, path)
    match reply.status:
        case 404:
            raise NotFound(what)
        case 401 | 403:
            raise PermissionDenied(what)
    raise Rejection(reply.status, error_of(_json_or_none(reply))[0], what)


def _json_or_none(reply: Reply) -> Json | None:
    try:
        return reply.json()
    except NoAnswer:
        return None


def _check_path(path: str) -> None:
    """A path that could change the host or climb out of the base path is a fault of the program or an attack."""
    plain = unquote(path.partition("?")[0])
    if not path.startswith("/") or path.startswith("//") or "\\" in plain or ".." in plain.split("/"):
        raise Rejection(0, "foreignLink", f"{path!r} is not a path under Graph's base URL")


async def _send(
    connection: _Connection, method: str, url: str, content: bytes | None, headers: Mapping[str, str], repeat: Repeat
) -> Reply:
    import httpx
    from azure.core.exceptions import AzureError
    from kiota_abstractions.method import Method
    from kiota_abstractions.request_information import RequestInformation

    from shared.adapters.graph_connection import RepeatOption

    request = RequestInformation(Method(method))
    request.url = url
    for name, value in headers.items():
        request.headers.add(name, value)
    if content is not None:
        request.set_stream_content(content, "application/json")
    request.add_request_options([connection.raw, RepeatOption(repeat)])
    try:
        reply = await connection.adapter.send_primitive_async(request, "bytes", None)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as fault:
        raise NotSent(None, f"no connection to Graph: {fault!r}") from fault
    except AzureError as fault:
        raise NotSent(None, f"no token for Graph: {fault}") from fault
    except httpx.HTTPError as fault:
        raise NoAnswer(None, f"the connection to Graph broke: {fault!r}") from fault
    if not isinstance(reply, Reply):
        raise NoAnswer(None, f"the SDK gave {type(reply).__name__} instead of an answer")
    return reply


def _import_sdk() -> None:
    """In a thread, so that the event loop continues meanwhile. By name, because a check of the types of the SDK's
    16,000 modules would take minutes."""
    for name in ("azure.core.exceptions", "kiota_authentication_azure", "msgraph", "shared.adapters.graph_connection"):
        import_module(name)
