"""A TCP proxy that resets connections at the two moments that matter to a client that keeps connections open."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from local.ports import free_port

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST instead of FIN."""

EVERY = 10**9


@dataclass
class _Link:
    """One client's connection. `answered`: the server has spoken since the client last did."""

    writer: asyncio.StreamWriter
    answered: bool = False
    used: bool = False

    def reset(self) -> None:
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.writer.transport.abort()


class ResettingProxy:
    """Forwards bytes to a port of this machine.

    `idle`: how many more times a kept connection is reset when its next request arrives; the server never sees that
    request. `answers`: how many more times a connection is reset when the server answers; the request was processed,
    and the client gets no byte of the answer. `kept_only`: the first request of a connection is left alone.
    """

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self._target = port
        self.kept_only = True
        self.idle = 0
        self.answers = 0
        self.open = 0
        """Connections of clients that are open now."""
        self.hold_until_open = 0
        """No answer is forwarded before this many connections are open."""
        self.resets = 0
        self.connections = 0
        self.requests = 0
        """Requests that reached the proxy, those that it did not forward included."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        link = _Link(writer, answered=True)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = [
            asyncio.ensure_future(self._to_server(link, reader, server_writer)),
            asyncio.ensure_future(self._to_client(link, server_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.open -= 1
            server_writer.close()
            writer.close()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _to_server(self, link: _Link, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if link.answered:
                self.requests += 1
                link.answered = False
                if link.used and self.idle > 0:
                    self.idle -= 1
                    self.resets += 1
                    link.reset()
                    return
            server.write(data)
            await server.drain()

    async def _to_client(self, link: _Link, server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await server.read(1 << 16):
            while self.open < self.hold_until_open:
                await asyncio.sleep(0.005)
            if self.answers > 0 and (link.used or not self.kept_only):
                self.answers -= 1
                self.resets += 1
                link.reset()
                return
            link.answered = link.used = True
            writer.write(data)
            await writer.drain()

    def forget(self) -> None:
        """Start counting again."""
        self.resets = self.connections = self.requests = 0


@asynccontextmanager
async def resetting(port: int) -> AsyncIterator[ResettingProxy]:
    """A running proxy in front of a port."""
    proxy = ResettingProxy(port)
    serving: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await proxy.serve(reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.close()
        finally:
            serving.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", proxy.port)
    try:
        yield proxy
    finally:
        server.close()
        for task in list(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()
