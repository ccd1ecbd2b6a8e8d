"""A process that dies at the n-th change it makes; the message it worked on is delivered again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from typing import Any

from shared.handlers.operations.members_queue import Members
from shared.ports.messaging import Outgoing
from shared.ports.world import Stores, World
from tests.support.runs import Run

WRITING = {
    "save",
    "insert",
    "write",
    "report",
    "record",
    "forget",
    "release",
    "put",
    "remove",
    "append",
    "save_allowance",
    "note",
    "drop",
    "know",
    "look_again",
    "looked_at",
    "write_page",
}
NATIVE = {"assign_group_licenses", "reprocess"}
CHANGING = WRITING | NATIVE | {"claim", "keep", "send", "assign", "set_usage_locations", "change"}


class KilledError(Exception):
    """The process is gone."""


class Killer:
    """Dies once, right after change number `at`: to die before one is to die after the one before it."""

    def __init__(self, at: int) -> None:
        self.at, self.changes, self.died_in = at, 0, ""

    async def change(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
        made = await make()
        self.changes += 1
        if self.changes == self.at:
            self.died_in = name
            raise KilledError(f"after {name}")
        return made


class _Killable:
    """A port whose changes may kill."""

    def __init__(self, port: object, name: str, killer: Killer) -> None:
        self._port, self._name, self._killer = port, name, killer

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name not in CHANGING:
            return method

        async def changing(*args: Any, **options: Any) -> Any:
            return await self._killer.change(f"{self._name}.{name}", lambda: method(*args, **options))

        return changing


def killable(world: World, killer: Killer) -> World:
    """The world with every change of stores, queue and licenses going through the killer."""
    ports: Any = {
        each.name: _Killable(getattr(world.stores, each.name), each.name, killer) for each in fields(world.stores)
    }
    queue: Any = _Killable(world.queue, "queue", killer)
    licenses: Any = _Killable(world.licenses, "licenses", killer)
    memberships: Any = _Killable(world.memberships, "memberships", killer)
    native: Any = _Killable(world.native, "native", killer)
    return replace(
        world, stores=Stores(**ports), queue=queue, licenses=licenses, memberships=memberships, native=native
    )


class DyingRun(Run):
    """A run whose process dies once; what it worked on is delivered again to a new process."""

    def arm(self, killer: Killer) -> None:
        self.world = killable(self.fakes.world, killer)
        self.workers = [Members(self.world), Members(self.world)]

    async def deliver(self, message: Outgoing) -> None:
        try:
            await super().deliver(message)
        except KilledError:
            self.workers = [Members(self.world), Members(self.world)]
            await super().deliver(message)
