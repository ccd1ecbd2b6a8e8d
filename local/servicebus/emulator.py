"""The emulator as a server: AMQP on one loopback port, inspection and faults by HTTP on another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Self

from aiohttp import web

from local.servicebus.amqp.connection import Connection
from local.servicebus.config import QueueSettings
from local.servicebus.message import describe
from local.servicebus.nodes import DEAD_LETTER, Broker

HOST = "127.0.0.1"


class ServiceBusEmulator:
    """`async with ServiceBusEmulator(queues) as broker: broker.connection_string`."""

    def __init__(self, queues: Mapping[str, QueueSettings], port: int = 0, control_port: int = 0) -> None:
        self.broker = Broker(queues, time.time)
        self.port = port
        self.control_port = control_port
        self._server: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None
        self._connections: dict[Connection, asyncio.Task[None] | None] = {}
        self._away_until = 0.0

    @property
    def connection_string(self) -> str:
        key = "SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true"
        return f"Endpoint=sb://{HOST}:{self.port};{key}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=2**21)
        self.port = self._server.sockets[0].getsockname()[1]
        app = web.Application()
        app.add_routes(
            [
                web.get("/queues", self._queues),
                web.get("/queues/{name}/deadletter", self._dead_letters),
                web.post("/faults", self._set_faults),
                web.delete("/faults", self._clear_faults),
                web.post("/purge", self._purge),
            ]
        )
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, self.control_port)
        await site.start()
        self.control_port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        tasks = [task for task in self._connections.values() if task is not None]
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
        if self._runner is not None:
            await self._runner.cleanup()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if time.time() < self._away_until:
            writer.transport.abort()
            return
        connection = Connection(reader, writer, self.broker.resolve)
        self._connections[connection] = asyncio.current_task()
        try:
            await connection.serve()
        finally:
            self._connections.pop(connection, None)

    async def _queues(self, request: web.Request) -> web.Response:
        named = self.broker.queues.items()
        counts = {name: queue.counts() for name, queue in named if not name.endswith(DEAD_LETTER)}
        return web.json_response({"queues": counts})

    async def _dead_letters(self, request: web.Request) -> web.Response:
        queue = self.broker.queues.get(f"{request.match_info['name'].lower()}{DEAD_LETTER}")
        if queue is None:
            return web.json_response({"error": f"there is no queue {request.match_info['name']}"}, status=404)
        return web.json_response([describe(message) for message, _ in queue.peek(0, 1000)])

    async def _set_faults(self, request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        away_s = float(asked.get("awaySeconds", 0))
        if away_s:
            self._away_until = time.time() + away_s
            for connection in list(self._connections):
                connection.abort()
        self.broker.set_faults(
            double=float(asked.get("double", 0)), shuffle=bool(asked.get("shuffle")), seed=int(asked.get("seed", 0))
        )
        return web.json_response({"status": "ok"})

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._away_until = 0.0
        self.broker.set_faults(double=0.0, shuffle=False, seed=0)
        return web.json_response({"status": "ok"})

    async def _purge(self, request: web.Request) -> web.Response:
        for queue in self.broker.queues.values():
            queue.purge()
        return web.json_response({"status": "ok"})
