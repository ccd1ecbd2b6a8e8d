"""Inspection and faults by HTTP on a loopback port, for tests and for people. No part of Service Bus itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from local.servicebus.broker import Broker
from local.servicebus.message import describe

LISTED = 1000
"""Dead letters in one answer."""
MOST_S = 10 * 366 * 86_400
"""Time that passes with one call at most."""
KNOWN_FAULTS = frozenset({"awaySeconds", "double", "shuffle", "seed"})


class Control:
    """`go_away` breaks all connections and rejects new ones for a number of seconds; 0 ends that."""

    def __init__(self, broker: Broker, go_away: Callable[[float], None]) -> None:
        self._broker = broker
        self._go_away = go_away

    def application(self) -> web.Application:
        """The HTTP application."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/queues", self._queues),
                web.get("/queues/{name}/deadletter", self._dead_letters),
                web.post("/faults", self._set_faults),
                web.delete("/faults", self._clear_faults),
                web.post("/purge", self._purge),
                web.post("/clock", self._move_clock),
            ]
        )
        return app

    async def _queues(self, request: web.Request) -> web.Response:
        return web.json_response({"queues": {name: queue.counts() for name, queue in self._broker.queues.items()}})

    async def _dead_letters(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        queue = self._broker.queues.get(name.lower())
        if queue is None or queue.dead_letters is None:
            return web.json_response({"error": f"There is no queue {name!r}."}, status=404)
        return web.json_response([describe(message) for message in queue.dead_letters.peek(0, LISTED)])

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            asked = await request.json()
            self._apply(asked)
        except ValueError as fault:
            return web.json_response({"error": str(fault)}, status=400)
        return web.json_response({"status": "ok"})

    def _apply(self, asked: Any) -> None:
        """Set the named values; others stay. Nothing is set if one value is wrong."""
        if not isinstance(asked, dict) or not asked or not KNOWN_FAULTS.issuperset(asked):
            raise ValueError(f"expected an object with some of {', '.join(sorted(KNOWN_FAULTS))}, not {asked!r}")
        away_s = _within(asked, "awaySeconds", 0, 3600)
        double = _within(asked, "double", 0, 1)
        seed = _within(asked, "seed", 0, 2**63)
        shuffle = asked.get("shuffle")
        if shuffle not in (None, True, False):
            raise ValueError(f"shuffle must be true or false, not {shuffle!r}")
        disturbance = self._broker.disturbance
        if seed is not None:
            disturbance.seed(int(seed))
        if double is not None:
            disturbance.double = float(double)
        if shuffle is not None:
            disturbance.shuffle = shuffle
        if away_s is not None:
            self._go_away(away_s)

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._broker.disturbance.clear()
        self._go_away(0)
        return web.json_response({"status": "ok"})

    async def _purge(self, request: web.Request) -> web.Response:
        """Every message of every queue, dead letters too."""
        for queue in self._broker.queues.values():
            queue.purge()
            if queue.dead_letters is not None:
                queue.dead_letters.purge()
        return web.json_response({"status": "ok"})

    async def _move_clock(self, request: web.Request) -> web.Response:
        """Time passes at once, in every queue."""
        try:
            asked = await request.json()
            seconds = _within(asked, "passSeconds", 0, MOST_S) if isinstance(asked, dict) else None
            if seconds is None or asked.keys() != {"passSeconds"}:
                raise ValueError(f"expected an object with passSeconds, not {asked!r}")
        except ValueError as fault:
            return web.json_response({"error": str(fault)}, status=400)
        self._broker.pass_by(seconds)
        return web.json_response({"status": "ok"})


def _within(asked: dict[str, Any], key: str, least: float, most: float) -> float | None:
    value = asked.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{key} must be a number from {least} to {most}, not {value!r}")
    return value
