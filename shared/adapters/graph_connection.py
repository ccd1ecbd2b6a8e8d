"""Connections to Graph, and the SDK's chain of middleware over them.

The last middleware sends a request whose connection broke before an answer once more, on a new connection and with the
same token. Imported on first use, like the SDK.
"""

from __future__ import annotations

import logging
import time
from importlib import import_module
from typing import Any

import httpx
from kiota_abstractions.request_option import RequestOption
from kiota_http.middleware import ParametersNameDecodingHandler
from kiota_http.middleware.middleware import REQUEST_OPTIONS_KEY, BaseMiddleware

from shared.adapters.graph_resets import REPEATED, Repeat

CONNECTIONS = 32
REPEATED_WITHIN_S = 3.0
"""A write is repeated only if its connection broke this early. With the time limits of the second attempt, its calls
end within `read_back.IN_FLIGHT`, after which another worker can judge its intent."""

KEEP_ALIVE_S = 15.0
"""An idle connection is dropped before the other side is likely to: a write on a dead one has an unknown outcome."""

OPENED = "connection.connect_tcp.started"
"""Event of httpcore: no kept connection was free, so a new one is opened."""

logger = logging.getLogger(__name__)


class RepeatOption(RequestOption):
    """Carries the caller's choice through the SDK."""

    def __init__(self, repeat: Repeat) -> None:
        self.repeat = repeat

    @staticmethod
    def get_key() -> str:
        return "repeat"


class RepeatingHandler(BaseMiddleware):
    """`new_connections` opens one for each request."""

    def __init__(self, new_connections: httpx.AsyncBaseTransport) -> None:
        super().__init__()
        self._new_connections = new_connections

    async def send(self, request: httpx.Request, transport: httpx.AsyncBaseTransport) -> httpx.Response:
        repeat = _repeat_of(request)
        opened, sent_at = False, time.monotonic()

        async def watch(event: str, _: Any) -> None:
            nonlocal opened
            opened = opened or event == OPENED

        if repeat is Repeat.IF_KEPT:
            request.extensions["trace"] = watch
        try:
            return await super().send(request, transport)
        except (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError) as fault:
            late = time.monotonic() - sent_at > REPEATED_WITHIN_S
            if repeat is Repeat.NEVER or (repeat is Repeat.IF_KEPT and (opened or late)):
                raise
            logger.info("request repeated method=%s reason=%r", request.method, fault)
            try:
                response = await self._new_connections.handle_async_request(request)
            except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
                # That no second connection opened says nothing about the first attempt, which may have arrived.
                raise fault from None
            response.extensions[REPEATED] = True
            return response


def _repeat_of(request: httpx.Request) -> Repeat:
    option = request.extensions.get(REQUEST_OPTIONS_KEY, {}).get(RepeatOption.get_key())
    return option.repeat if isinstance(option, RepeatOption) else Repeat.NEVER


def network(keep: bool) -> httpx.AsyncBaseTransport:
    """HTTP/1.1, which costs less CPU here than HTTP/2 for the same requests."""
    kept = CONNECTIONS if keep else 0
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=kept, keepalive_expiry=KEEP_ALIVE_S)
    return httpx.AsyncHTTPTransport(limits=limits)


def with_middleware(http: httpx.AsyncClient, new: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    """The SDK's pipeline without its retries, which would hold a message for minutes and repeat writes, and without
    redirects, which would follow a foreign address. A broken connection is the only reason to send twice."""
    core = import_module("msgraph_core")
    telemetry = import_module("msgraph_core.middleware").GraphTelemetryHandler()
    changed: httpx.AsyncClient = core.GraphClientFactory.create_with_custom_middleware(
        [ParametersNameDecodingHandler(), telemetry, RepeatingHandler(new)], client=http
    )
    return changed


def request_adapter(authentication: Any, http: httpx.AsyncClient, base_url: str) -> Any:
    adapter = import_module("msgraph.graph_request_adapter").GraphRequestAdapter(authentication, http)
    adapter.base_url = base_url  # before the client is made, which copies it
    return adapter
