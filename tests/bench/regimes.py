"""Write control in every regime that tenants were seen to have, in virtual time, beside the offline optimum.

Two processes with 16 chunks each write as much as they may. What the simulated tenant answers is classified by the
app's own adapter, and the state is shared in a table whose rows have ETags. The optimum takes over the same tenant
after a minute, or after 20 writes, and knows everything.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from rich.table import Table

from local.tenant.quota import Quota
from local.tenant.settings import Settings
from shared.adapters.graph import Reply
from shared.adapters.graph_write_results import read_results
from shared.domain.attempt import CONTENTION_RETRY
from shared.domain.budget import BudgetState, Burst, Charged, burst_of
from shared.domain.errors import Conflict
from shared.domain.ids import UserId
from shared.domain.write_results import Accepted, Contended, Throttled, WriteResult
from shared.handlers.reconcile.prepaid import Prepaid
from shared.handlers.reconcile.write_limiter import Pacer
from shared.ports.telemetry import SILENT
from shared.ports.world import Policy
from tests.support.virtual_time import BEGINNING, VirtualClock, run

PROCESSES, CHUNKS, CHUNK = 2, 6, 20
TABLE_S, READS_S, PROOF_S, BATCH_S = 0.01, 0.15, 0.03, 0.3
TIME_LIMIT_S = 120.0
TEXT = "Error due to concurrent requests being made to the tenant. Please wait briefly and retry."
CONCURRENCY = "Directory_ConcurrencyViolation"


@dataclass(frozen=True)
class Regime:
    """`width`: writes that the tenant takes at once, each for `hold_s`. `cost`: quota that one write uses. `others`:
    writes per second of other apps. `signal`: whether 429 have Retry-After."""

    name: str
    quota: str = "window"
    width: int | None = None
    hold_s: float = BATCH_S
    status: int = 409
    cost: int = 1
    others: float = 0.0
    headers: bool = True
    minutes: int = 60

    @property
    def is_signalled(self) -> bool:
        return self.width is None and self.headers


REGIMES = (
    Regime("window"),
    Regime("bucket", quota="bucket", minutes=180),
    Regime("width 1, held 0.5 s", width=1, hold_s=0.5),
    Regime("width 1, held 30 s", width=1, hold_s=30.0, minutes=480),
    Regime("width 5, held 0.5 s", width=5, hold_s=0.5),
    Regime("width 5, 400-coded", width=5, hold_s=0.5, status=400),
    Regime("window, writes cost two", cost=2, minutes=120),
    Regime("bucket, writes cost two", quota="bucket", cost=2, minutes=120),
    Regime("other apps use the quota", quota="bucket", others=50.0, minutes=120),
    Regime("window, no headers", headers=False),
    Regime("bucket, writes cost two, no headers", quota="bucket", cost=2, headers=False, minutes=120),
)


class Tenant:
    """Graph as far as license writes go."""

    def __init__(self, regime: Regime) -> None:
        self.regime = regime
        self.quota = Quota(Settings(quota_kind=regime.quota), "tenant")
        self.quota.users = 1000
        self.in_flight = 0
        self.others_at = 0.0
        self.random = random.Random(1)
        self.accepted: list[float] = []
        self.rejected: list[float] = []
        if regime.others:
            self.quota.take(18_000, 0.0)

    async def write(self, users: Sequence[UserId]) -> Reply:
        """A $batch of assignLicense."""
        answers = await asyncio.gather(*(self._one() for _ in users))
        if self.regime.width is None:
            await asyncio.sleep(BATCH_S * self.random.uniform(0.7, 1.3))
        responses = [{"id": str(at), **answer} for at, answer in enumerate(answers)]
        return Reply(200, {}, json.dumps({"responses": responses}).encode())

    async def _one(self) -> dict[str, Any]:
        regime, now = self.regime, asyncio.get_running_loop().time()
        if regime.width is not None and self.in_flight >= regime.width:
            self.rejected.append(now)
            code = CONCURRENCY if regime.status == 409 else "Request_BadRequest"
            return {"status": regime.status, "body": {"error": {"code": code, "message": TEXT}}}
        rejection = self.charge(now)
        if rejection is not None:
            self.rejected.append(now)
            headers = rejection if regime.headers else {}
            return {"status": 429, "headers": headers, "body": {"error": {"code": "TooManyRequests"}}}
        self.in_flight += 1
        if regime.width is not None:
            await asyncio.sleep(regime.hold_s)
        self.in_flight -= 1
        self.accepted.append(asyncio.get_running_loop().time())
        return {"status": 200}

    def charge(self, now: float) -> dict[str, str] | None:
        """Count a write; the headers of the 429 where there is no room."""
        if self.regime.others:
            self.quota.take((now - self.others_at) * self.regime.others, now)
            self.others_at = now
        rejection, _ = self.quota.charge("app", 1, self.regime.cost, "Normal", now)
        return rejection.headers if rejection else None


class Budget:
    """One row with an ETag."""

    def __init__(self) -> None:
        self.state, self.version = "", 0

    async def load(self, key: str = "") -> tuple[str, str | None]:
        await asyncio.sleep(TABLE_S)
        return self.state, str(self.version) if self.version else None

    async def save(self, state: str, etag: str | None, key: str = "") -> str:
        await asyncio.sleep(TABLE_S)
        if etag != (str(self.version) if self.version else None):
            raise Conflict("the row was changed")
        self.state, self.version = state, self.version + 1
        return str(self.version)


@dataclass
class Client:
    """The chunks of an operation that never ends."""

    tenant: Tenant
    worlds: list[Pacer] = field(default_factory=list)
    queue: list[tuple[float, int, tuple[UserId, ...]]] = field(default_factory=list)
    bare: int = 0
    errors: int = 0
    sent: int = 0

    def send_later(self, users: Iterable[UserId], at: float) -> None:
        self.sent += 1
        heapq.heappush(self.queue, (at, self.sent, tuple(users)))

    async def work(self, pacer: Pacer) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self.queue or self.queue[0][0] > loop.time():
                wait = self.queue[0][0] - loop.time() if self.queue else 1.0
                await asyncio.sleep(min(max(wait, 0.01), 0.5))
                continue
            _, _, users = heapq.heappop(self.queue)
            await self._chunk(pacer, users)
            while len(self.queue) < 2 * PROCESSES * CHUNKS:
                self.send_later((UserId(f"u{self.sent}-{n}") for n in range(CHUNK)), loop.time())

    def _burst(self) -> Burst:
        return burst_of(len(self.tenant.accepted), Policy().write_window_limit)

    async def _chunk(self, pacer: Pacer, users: tuple[UserId, ...]) -> None:
        loop = asyncio.get_running_loop()
        prepaid = Prepaid(pacer)
        if not pacer.is_narrow:
            slot = await pacer.charge(urgent=False, writes=len(users), burst=self._burst())
            if not slot.charged:
                self.send_later(users, slot.start - BEGINNING.timestamp())
                return
            prepaid = Prepaid(pacer, Charged(slot.start, len(users), slot.is_burst))
        await asyncio.sleep(READS_S)
        until, left = loop.time() + TIME_LIMIT_S, list(users)
        while left and loop.time() < until:
            grant = await prepaid.take([1] * len(left), urgent=False, burst=self._burst())
            if grant.lease is None:
                self.send_later(left, grant.slot.start - BEGINNING.timestamp())
                left = []
                break
            await asyncio.sleep(max(0.0, grant.slot.start - BEGINNING.timestamp() - loop.time()) + TABLE_S)
            now, left = left[: grant.users], left[grant.users :]
            reply = await self.tenant.write(now)
            results, self.bare = read_results(reply, len(now), self.bare)
            answers = {user: each.result for user, each in zip(now, results, strict=True)}
            await pacer.report(grant.lease, answers)
            self._sort(answers)
            await asyncio.sleep(PROOF_S)
        if left:
            self.send_later(left, loop.time())
        await prepaid.give_back()

    def _sort(self, answers: Mapping[UserId, WriteResult]) -> None:
        now = asyncio.get_running_loop().time()
        again: dict[float, list[UserId]] = {}
        for user, answer in answers.items():
            match answer:
                case Accepted():
                    continue
                case Throttled(retry_after_s=wait):
                    again.setdefault(round(wait, 1), []).append(user)
                case Contended():
                    again.setdefault(CONTENTION_RETRY.shortest.total_seconds(), []).append(user)
                case _:
                    self.errors += 1
        for wait, users in again.items():
            self.send_later(users, now + wait)


@dataclass(frozen=True)
class Figures:
    regime: Regime
    accepted: int
    optimum: int
    rejected: int
    errors: int
    seconds: float

    @property
    def share(self) -> float:
        return self.accepted / self.optimum

    @property
    def rejections(self) -> float:
        return self.rejected / max(1, self.accepted + self.rejected)

    @property
    def is_reached(self) -> bool:
        most = 0.001 if self.regime.is_signalled else 0.02
        return self.share >= 0.95 and self.rejections <= most and not self.errors


def measure(regime: Regime, seconds: float | None = None) -> Figures:
    """One regime."""
    return run(_measure(regime, seconds or regime.minutes * 60.0))


async def _measure(regime: Regime, seconds: float) -> Figures:
    tenant, budget = Tenant(regime), Budget()
    budget.state, budget.version = BudgetState().to_json(), 1  # of an app that ran before
    client = Client(tenant)
    loop = asyncio.get_running_loop()
    world: Any = SimpleNamespace(
        clock=VirtualClock(),
        stores=SimpleNamespace(budget=budget),
        policy=Policy(),
        telemetry=SILENT,
        graph_roles=lambda: None,
    )
    for number in range(2 * PROCESSES * CHUNKS):
        client.send_later((UserId(f"s{number}-{n}") for n in range(CHUNK)), 0.0)
    pacers = [Pacer(world) for _ in range(PROCESSES)]
    tasks = [asyncio.create_task(client.work(pacer)) for pacer in pacers for _ in range(CHUNKS)]
    while loop.time() < 60 or len(tenant.accepted) < 20:
        await asyncio.sleep(1)
        _raised(tasks)
    since, twin = loop.time(), copy.deepcopy((tenant.quota, tenant.others_at))
    while loop.time() < seconds:
        await asyncio.sleep(10)
        _raised(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    accepted = sum(at > since for at in tenant.accepted)
    rejected = sum(at > since for at in tenant.rejected)
    return Figures(regime, accepted, optimum(regime, *twin, since, seconds), rejected, client.errors, seconds)


def _raised(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()


def optimum(regime: Regime, quota: Quota, others_at: float, since: float, until: float) -> int:
    """Most writes from a time on, of a sender that asks without being charged for it whether there is room."""
    tenant = Tenant(Regime(regime.name, regime.quota, cost=regime.cost, others=regime.others))
    quota.settings.rejected_count = False
    tenant.quota, tenant.others_at = quota, others_at
    done, at = 0, since
    fastest = regime.width / regime.hold_s if regime.width is not None else 1e9
    while at < until:
        while done < (at - since + 1) * fastest and tenant.charge(at) is None:
            done += 1
        at += 1.0
    return done


def show(console: Console) -> None:
    """Measure every regime and print the table."""
    table = Table(title="Write control in virtual time, from 60 s or 20 writes on")
    for heading in ("regime", "hours", "writes", "optimum", "share", "rejected", "in error", "goal"):
        table.add_column(heading, justify="left" if heading == "regime" else "right")
    for regime in REGIMES:
        with console.status(regime.name):
            found = measure(regime)
        table.add_row(
            regime.name,
            f"{found.seconds / 3600:g}",
            f"{found.accepted:,}",
            f"{found.optimum:,}",
            f"{found.share:.1%}",
            f"{found.rejections:.2%}",
            str(found.errors),
            "reached" if found.is_reached else "MISSED",
        )
    console.print(table)
