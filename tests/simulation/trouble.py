"""Trouble between the handlers and everything outside, decided by a seed: answers that do not come, work that is done
all the same, processes that die between any two steps, and other work in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.adapters.tables.client import LAST
from shared.adapters.tables.rows import Op, Row
from shared.domain.errors import Unavailable
from shared.domain.ids import UserId
from shared.domain.write_results import LicenseCall, Throttled, Unanswered, WriteResult
from shared.ports.graph_writes import AlreadySo, MembershipChange, Memberships
from shared.ports.messaging import Outgoing
from tests.support.fakes_directory import FakeLicenseWriter
from tests.support.worlds import KeepingQueue, MemoryTables


class Killed(BaseException):
    """The process died here; nothing that it would have done afterwards happens."""


@dataclass
class Trouble:
    """Shares of steps that go wrong, while it is on."""

    chance: random.Random
    away: float = 0.0
    lost: float = 0.0
    killed: float = 0.0
    throttled: float = 0.0
    on: bool = True

    async def before(self, what: str) -> None:
        """Somebody else may go on here; then this step may fail or be the last one of its process."""
        if self.chance.random() < 0.3:
            await asyncio.sleep(0)
        if not self.on:
            return
        draw = self.chance.random()
        if draw < self.killed:
            raise Killed(what)
        if draw < self.killed + self.away:
            raise Unavailable(None, f"{what}: away")

    def after(self, what: str) -> None:
        """The step is done; its answer may be lost, or the process die before it knows."""
        if not self.on:
            return
        draw = self.chance.random()
        if draw < self.killed:
            raise Killed(what)
        if draw < self.killed + self.lost:
            raise Unavailable(None, f"{what}: no answer")


class TroubledTables(MemoryTables):
    """Tables in memory, with trouble before and after each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: Trouble | None = None

    async def get(self, name: str, partition: str, row: str) -> Row | None:
        await self._before(f"get {name}")
        return await super().get(name, partition, row)

    async def query(
        self, name: str, partition: str, first: str = "", last: str = LAST, **options: Any
    ) -> AsyncIterator[Row]:
        await self._before(f"query {name}")
        async for row in super().query(name, partition, first, last, **options):
            yield row

    async def transact(self, name: str, ops: Sequence[Op]) -> list[str]:
        await self._before(f"write {name}")
        etags = await super().transact(name, ops)
        self._after(f"write {name}")
        return etags

    async def delete(self, name: str, partition: str, row: str) -> None:
        await self._before(f"delete {name}")
        await super().delete(name, partition, row)
        self._after(f"delete {name}")

    async def _before(self, what: str) -> None:
        if self.trouble is not None:
            await self.trouble.before(what)

    def _after(self, what: str) -> None:
        if self.trouble is not None:
            self.trouble.after(what)


class TroubledQueue(KeepingQueue):
    """A queue that may take some of the messages of a send and then fail, and that may double them."""

    trouble: Trouble | None = None

    async def send(self, messages: Sequence[Outgoing]) -> None:
        trouble = self.trouble
        if trouble is None:
            await super().send(messages)
            return
        await trouble.before("send")
        taken = list(messages)
        if trouble.on and trouble.chance.random() < trouble.lost:
            taken = taken[: trouble.chance.randint(0, len(taken))]
            await super().send(taken)
            raise Unavailable(None, "send: no answer")
        await super().send(taken)
        if trouble.on and trouble.chance.random() < 0.05:
            await super().send(taken)
        trouble.after("send")


class TroubledDirectory:
    """The fake directory behind trouble; what it holds is reached directly."""

    def __init__(self, directory: Any, trouble: Trouble) -> None:
        self._directory = directory
        self._trouble = trouble

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._directory, name)
        if name not in ("users", "group", "kinds", "organization", "subscribed_skus"):
            return found

        async def troubled(*args: Any, **options: Any) -> Any:
            await self._trouble.before(name)
            return await found(*args, **options)

        return troubled


class TroubledMemberships:
    """Writes of memberships that are throttled, not answered, or answered too late, one by one."""

    def __init__(self, memberships: Memberships, trouble: Trouble) -> None:
        self._memberships = memberships
        self._trouble = trouble

    async def change(self, changes: Sequence[MembershipChange]) -> Sequence[WriteResult | AlreadySo]:
        await self._trouble.before("memberships")
        trouble, found = self._trouble, list[WriteResult | AlreadySo]()
        for change in changes:
            draw = trouble.chance.random() if trouble.on else 1.0
            if draw < trouble.throttled:
                found.append(Throttled(5.0, "Tenant_Application/Write"))
                continue
            found += await self._memberships.change([change])
            if trouble.on and trouble.chance.random() < trouble.lost:
                found[-1] = Unanswered("done, but not answered")
        if trouble.on and trouble.chance.random() < trouble.killed:
            raise Killed("after the memberships")
        return found


class TroubledWriter:
    """License writes that are throttled, not answered, or answered too late, user by user."""

    def __init__(self, writer: FakeLicenseWriter, trouble: Trouble) -> None:
        self._writer = writer
        self._trouble = trouble

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        await self._settle()
        found: dict[UserId, WriteResult] = {}
        for user_id, call in calls.items():
            early = self._early()
            if early is not None:
                found[user_id] = early
                continue
            found.update(await self._writer.assign({user_id: call}, urgent=urgent))
            if self._trouble.on and self._trouble.chance.random() < self._trouble.lost:
                found[user_id] = Unanswered("done, but not answered")
        self._die()
        return found

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        await self._settle()
        found: dict[UserId, WriteResult] = {}
        for user_id, location in locations.items():
            early = self._early()
            found[user_id] = (
                early or (await self._writer.set_usage_locations({user_id: location}, urgent=urgent))[user_id]
            )
        self._die()
        return found

    async def _settle(self) -> None:
        for _ in range(self._trouble.chance.choice((0, 0, 1, 3))):
            await asyncio.sleep(0)

    def _early(self) -> WriteResult | None:
        trouble = self._trouble
        draw = trouble.chance.random() if trouble.on else 1.0
        if draw < trouble.throttled:
            return Throttled(5.0, "Tenant_Application/Write")
        return Unanswered("not done") if draw < trouble.throttled + trouble.away else None

    def _die(self) -> None:
        if self._trouble.on and self._trouble.chance.random() < self._trouble.killed:
            raise Killed("after the write")
