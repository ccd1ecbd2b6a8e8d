"""Connections to Table Storage. A request whose connection breaks before an answer is sent again at once, on a new one.

Connections are kept open between requests, and the service closes them when they have been idle for some time. A
request that is just then on its way is reset. aiohttp and the SDK repeat only GET, PUT and DELETE then, and may do so
on another kept connection that is as dead. Here every method is repeated: `attempts` says why that is safe.

Imported on first use, since the SDK takes long to import.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import aiohttp
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import AioHttpTransport

from shared.adapters.tables.attempts import Attempts

logger = logging.getLogger(__name__)


class TableTransport(AioHttpTransport):  # type: ignore[misc]  # the SDK loads it by name, so that it has no type
    """Counts the connections of a call in the `Attempts` given to it as `trace_request_ctx`."""

    def __init__(self, timeout_s: float) -> None:
        # Otherwise each request looks for a netrc file and for proxies, in a thread.
        options: dict[str, Any] = {
            "connection_timeout": timeout_s,
            "read_timeout": timeout_s,
            "use_env_settings": False,
        }
        super().__init__(session=_session(aiohttp.TCPConnector()), **options)
        self._new_connections = AioHttpTransport(session=_session(aiohttp.TCPConnector(force_close=True)), **options)

    async def send(self, request: Any, **options: Any) -> Any:
        try:
            return await super().send(request, **options)
        except ServiceRequestError as fault:
            if not _broke(fault.__cause__):
                raise
            logger.info("request repeated method=%s reason=%r", request.method, fault.__cause__)
            return await self._new_connections.send(request, **options)

    async def close(self) -> None:
        await super().close()
        await self._new_connections.close()


def _broke(fault: BaseException | None) -> bool:
    """Whether a connection that had been opened was closed or reset by the other side."""
    if isinstance(fault, aiohttp.ClientConnectorError):
        return False
    return isinstance(
        fault, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | aiohttp.ClientConnectionResetError
    )


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    """As the SDK makes it, but counting."""
    counting = aiohttp.TraceConfig()
    counting.on_connection_create_end.append(_count)
    counting.on_connection_reuseconn.append(_count)
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trace_configs=[counting]
    )


async def _count(_session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object) -> None:
    attempts = context.trace_request_ctx
    if isinstance(attempts, Attempts):
        attempts.connections += 1
