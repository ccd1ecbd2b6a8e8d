"""The emulator as a server: AMQP on one loopback port, control by HTTP on another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from aiohttp import web

from local.servicebus.amqp.engine import Connection
from local.servicebus.broker import Broker
from local.servicebus.config import QueueSettings, load
from local.servicebus.control import Control

HOST = "127.0.0.1"
"""Nothing else: access is not checked."""


class ServiceBusEmulator:
    """`async with ServiceBusEmulator(config) as emulator:` serves until the block ends; ports are then known.

    `config` is a declaration file, or settings by queue name. Port 0 takes a free one. Raises ConfigError, OSError.
    """

    def __init__(
        self, config: Path | Mapping[str, QueueSettings], port: int = 0, control_port: int | None = None
    ) -> None:
        """`control_port` None: no control port is opened."""
        self._queues = load(config) if isinstance(config, Path) else config
        self.port = port
        self.control_port = control_port
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._connections: set[Connection] = set()
        self._away_until = 0.0
        self._broker: Broker | None = None

    @property
    def connection_string(self) -> str:
        """For ServiceBusClient.from_connection_string; the client speaks plain TCP because of its last part."""
        key = "SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true"
        return f"Endpoint=sb://{HOST}:{self.port};{key}"

    @property
    def broker(self) -> Broker:
        """The queues, for inspection in the same process. Raises RuntimeError before the start."""
        if self._broker is None:
            raise RuntimeError("the emulator is not started")
        return self._broker

    async def __aenter__(self) -> Self:
        self._broker = Broker(self._queues, time.time)
        try:
            await self._listen()
        except OSError:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stop()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, HOST, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        if self.control_port is None:
            return
        control = Control(self.broker, self.go_away)
        self._runner = web.AppRunner(control.application(), access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, self.control_port).start()
        self.control_port = self._runner.addresses[0][1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        if self._runner is not None:
            await self._runner.cleanup()
        await asyncio.sleep(0)
        if self._broker is not None:
            self._broker.close()

    def go_away(self, seconds: float) -> None:
        """Break every connection and reject new ones for this long, as an outage does; 0 ends it. Queues stay."""
        self._away_until = time.monotonic() + seconds
        if seconds > 0:
            for connection in list(self._connections):
                connection.abort()

    def _accept(self) -> asyncio.Protocol:
        if time.monotonic() < self._away_until:
            return _Rejection()
        connection = Connection(self.broker.resolve, self._connections.discard)
        self._connections.add(connection)
        return connection


class _Rejection(asyncio.Protocol):
    """A connection that is reset at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()
