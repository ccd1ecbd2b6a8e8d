"""Times of pages and API while many clients work, and of single licenses while one caller floods previews; memory of
each process over several runs."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.attack.asking import Mint, ask
from tests.attack.expected import EVERYTHING
from tests.bench.measuring import cpu_s
from tests.support.stack_journeys import PATIENCE_S, Journey, eventually, journey

CLIENTS, PAUSE_S = 200, 20.0
PEOPLE = 1000
SKU = "SPE_E3"
SEATS = 50_000
CLIENT_TIMEOUT_S = 30.0
"""A person has left by then: it counts as a time-out."""

INTENDED = 503
FLOODERS, SINGLES = 4, 20
PAGE_TARGET_S, SINGLE_TARGET_S = 2.0, 5.0
SAMPLE_EVERY_S = 2.0

PAGE, API, WEBHOOK = KINDS = ("page", "API", "webhook")

ReportProgress = Callable[[str], None]


@dataclass
class Times:
    """Seconds of one kind of request, and what they were answered."""

    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def p95(self) -> float:
        ordered = sorted(self.seconds)
        return ordered[int(0.95 * (len(ordered) - 1))] if ordered else 0.0

    def as_json(self) -> dict[str, Any]:
        median = statistics.median(self.seconds) if self.seconds else 0.0
        figures = {"n": len(self.seconds), "p50": median, "p95": self.p95, "slowest": max(self.seconds, default=0.0)}
        return {**figures, "answers": dict(self.answers)}


@dataclass
class Run:
    """One minute of work. `memory`: MiB of each process at its end; `most`: while it ran. `cpu`: seconds that
    each used, which a busy machine hardly changes. `busy`: the highest load average of the machine."""

    times: dict[str, Times] = field(default_factory=lambda: {kind: Times() for kind in KINDS})
    licensed_s: float = 0.0
    state: str = ""
    memory: dict[str, float] = field(default_factory=dict)
    most: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    busy: float = 0.0

    def as_json(self) -> dict[str, Any]:
        times = {kind: each.as_json() for kind, each in self.times.items()}
        return {"times": times, "licensed": self.licensed_s, "memory": self.memory, "most": self.most, "cpu": self.cpu}


@dataclass
class Load:
    """The figures of all runs and of the flood."""

    runs: list[Run] = field(default_factory=list)
    flood: Times = field(default_factory=Times)
    singles: Times = field(default_factory=Times)

    @property
    def faults(self) -> list[str]:
        """Faults on any machine: time-outs, server errors, and people without a license."""
        found = [f"run {n}: the operation is {run.state}" for n, run in enumerate(self.runs, 1) if run.state != DONE]
        kinds = [(f"run {n}: {kind}", times) for n, run in enumerate(self.runs, 1) for kind, times in run.times.items()]
        for name, times in (*kinds, ("flood", self.flood), ("single licenses", self.singles)):
            found += [f"{name}: {n} x {answer}" for answer, n in times.answers.items() if _is_fault(answer)]
        return found

    def as_json(self) -> dict[str, Any]:
        runs = [run.as_json() for run in self.runs]
        return {"runs": runs, "flood": self.flood.as_json(), "singles": self.singles.as_json(), "faults": self.faults}


DONE = "ProcessingComplete"


def _is_fault(answer: str) -> bool:
    return not answer.isdecimal() or (int(answer) >= 500 and int(answer) != INTENDED)


class World:
    """A stack under load, and who asks what of it."""

    def __init__(self, run: Journey) -> None:
        self.run = run
        self.origin = run.stack.endpoints.api
        self.mint = Mint(run.stack.signing_key, run.stack.endpoints.tenant_id)
        self._lock = threading.Lock()

    def timed(self, times: Times, method: str, path: str, headers: dict[str, str], body: object = None) -> str:
        """Send a request and note how long its answer took; a time-out counts in full."""
        began = time.perf_counter()
        try:
            answer = str(ask(self.origin, method, path, headers, body, CLIENT_TIMEOUT_S).status)
        except OSError as fault:
            answer = type(fault).__name__
        with self._lock:
            times.seconds.append(time.perf_counter() - began)
            times.answers[answer] += 1
        return answer

    def group(self) -> tuple[str, list[str]]:
        """A new group of 1,000 people without licenses."""
        users = self.run.client.tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}] * PEOPLE})["users"]
        made = {"displayName": f"load-{random.randrange(10**6)}", "members": users}
        (group,) = self.run.client.tenant("POST", "/objects", {"groups": [made]})["groups"]
        return group, users


def loads(*, runs: int, seconds: float, report_progress: ReportProgress) -> Load:
    """The runs, one after the other on one stack, and then the flood."""
    found = Load()
    with (
        tempfile.TemporaryDirectory() as folder,
        journey(Path(folder) / "state", validated=False, members=60, scale=1.0) as run,
    ):
        seats = [{"skuId": run.skus[SKU], "enabled": SEATS}]
        run.client.tenant("POST", "/objects", {"skus": seats})
        run.fire("renew_subscription")
        world = World(run)
        for number in range(1, runs + 1):
            report_progress(f"run {number} of {runs}: {CLIENTS} clients, {PEOPLE:,} people are licensed")
            found.runs.append(_one(world, seconds))
        report_progress("a flood of previews beside single licenses")
        _flood(world, found)
    return found


def _one(world: World, seconds: float) -> Run:
    found, run = Run(), world.run
    group, users = world.group()
    before = dict(_measured(run, cpu_s))
    operation = run.change(group, {SKU: []}, [])
    (subscription, *_) = list[Any](run.client.tenant("GET", "/subscriptions"))
    notice = {
        "changeType": "updated",
        "subscriptionId": subscription["id"],
        "clientState": subscription["clientState"],
        "tenantId": world.mint.tenant_id,
    }
    addresses = {
        PAGE: (
            *("/licenses", "/groups", f"/groups/{group}", f"/groups/{group}?show=all", "/operations", "/approvals"),
            *(f"/operations/{operation['id']}", f"/users/{users[0]}", "/audit", "/onboarding", "/health"),
        ),
        API: (
            *(f"/api/operations/{operation['id']}", f"/api/groups/{group}/status", "/api/overview", "/api/licenses"),
            *(f"/api/users/{users[1]}/licenses", f"/api/groups/{group}/members?$top=100", "/api/audit?$top=50"),
        ),
    }
    # The web framework is imported by the first request of a process, which is no part of the load.
    world.timed(Times(), "GET", "/groups", {**world.mint.session(group, EVERYTHING), "accept": "text/html"})
    over = time.monotonic() + seconds

    def client(number: int) -> None:
        oid, chance = f"00000000-0000-4000-8000-{number:012d}", random.Random(number)
        page = {**world.mint.session(oid, EVERYTHING), "accept": "text/html"}
        token = world.mint.token(oid, EVERYTHING)
        time.sleep(chance.random() * PAUSE_S)
        while time.monotonic() < over:
            kind = chance.choice((PAGE, PAGE, API, WEBHOOK))
            times = found.times[kind]
            if kind == WEBHOOK:
                change = {"id": group, "members@delta": [{"id": chance.choice(users)}]}
                body = {"value": [{**notice, "resourceData": change}]}
                world.timed(times, "POST", "/graph/notifications", {"content-type": "application/json"}, body)
            else:
                path = chance.choice(addresses[kind])
                world.timed(times, "GET", path, page if kind == PAGE else token)
            time.sleep(max(0.0, min(PAUSE_S, over - time.monotonic())))

    with ThreadPoolExecutor(CLIENTS + 1) as pool:
        clients = [pool.submit(client, number) for number in range(CLIENTS)]
        pool.submit(_watch, world, found, over).result()
        for each in clients:
            each.result()
    ended = run.client.ended(operation["id"], PATIENCE_S)
    found.state = str(ended["state"])
    times = [datetime.fromisoformat(ended[name]) for name in ("createdDateTime", "completedDateTime")]
    found.licensed_s = (times[1] - times[0]).total_seconds()
    run.until_quiet()
    found.memory = dict(_measured(run, _memory))
    found.cpu = {name: used - before.get(name, 0.0) for name, used in _measured(run, cpu_s)}
    return found


def _watch(world: World, found: Run, over: float) -> None:
    """Sample the memory of every process of the app."""
    while time.monotonic() < over:
        found.busy = max(found.busy, os.getloadavg()[0])
        for name, used in _measured(world.run, _memory):
            found.most[name] = max(used, found.most.get(name, 0.0))
        time.sleep(SAMPLE_EVERY_S)


def _measured(run: Journey, figure: Callable[[int], float]) -> Iterator[tuple[str, float]]:
    """A figure of each process of the app."""
    for function in run.stack.functions:
        for number, pid in enumerate(run.stack.workers(function)):
            yield f"{function}-{number}", figure(pid)


def _memory(pid: int) -> float:
    """MiB that a process holds (proc(5), VmRSS)."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def _flood(world: World, found: Load) -> None:
    """One caller previews a group of 1,000 as fast as it can; another one licenses a person, time after time."""
    group, _ = world.group()
    over = threading.Event()
    add = {"addLicenses": [{"skuId": world.run.skus[SKU], "disabledPlans": []}], "removeLicenses": []}
    flooding = world.mint.token("00000000-0000-4000-8000-00000000f100", EVERYTHING)

    def flood() -> None:
        while not over.is_set():
            world.timed(found.flood, "POST", f"/api/groups/{group}/assignLicense?preview=true", flooding, add)

    with ThreadPoolExecutor(FLOODERS) as pool:
        floods = [pool.submit(flood) for _ in range(FLOODERS)]
        try:
            eventually(lambda: found.flood.answers["429"], bool)
            for _ in range(SINGLES):
                _single(world, found.singles, add)
        finally:
            over.set()
            for each in floods:
                each.result()


def _single(world: World, times: Times, add: dict[str, Any]) -> None:
    """Seconds from the request of another caller until the directory has the license."""
    (user,) = world.run.client.tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}]})["users"]
    began = time.perf_counter()
    headers = world.mint.token("00000000-0000-4000-8000-000000000a11", EVERYTHING)
    answer = world.timed(Times(), "POST", "/api/users/assignLicense", headers, {**add, "userIds": [user]})
    eventually(lambda: world.run.client.tenant("GET", f"/users/{user}")["licenseAssignmentStates"], bool)
    times.seconds.append(time.perf_counter() - began)
    times.answers[answer] += 1


def show(console: Console, load: Load) -> None:
    """The figures, and which target is met."""
    table = Table(title=f"{CLIENTS} clients with pauses of {PAUSE_S:g} s while {PEOPLE:,} people are licensed, seconds")
    for column in ("run", "kind", "requests", "p50", "p95", "slowest", "answers"):
        table.add_column(column, justify="left" if column in ("run", "kind", "answers") else "right")
    rows = [(str(n), kind, times) for n, run in enumerate(load.runs, 1) for kind, times in run.times.items()]
    for name, kind, times in (*rows, ("flood", "previews", load.flood), ("flood", "single licenses", load.singles)):
        shown = times.as_json()
        figures = (f"{shown[each]:.2f}" for each in ("p50", "p95", "slowest"))
        answers = ", ".join(f"{n:,} x {answer}" for answer, n in sorted(times.answers.items()))
        table.add_row(name, kind, f"{shown['n']:,}", *figures, answers)
    console.print(table)
    memory = Table(title="Memory of each process at the end of each run, MiB (most while it ran)")
    memory.add_column("process")
    for number in range(1, len(load.runs) + 1):
        memory.add_column(f"run {number}", justify="right")
    for process in load.runs[0].memory if load.runs else ():
        cells = (f"{run.memory.get(process, 0):.0f} ({run.most.get(process, 0):.0f})" for run in load.runs)
        memory.add_row(process, *cells)
    console.print(memory)
    for number, run in enumerate(load.runs, 1):
        requests = sum(len(times.seconds) for times in run.times.values())
        used = f"CPU of http {run.cpu['http-0']:.1f} s for {requests:,} requests, of all {sum(run.cpu.values()):.1f} s"
        done = f"{PEOPLE:,} people licensed in {run.licensed_s:.0f} s, {run.state}"
        console.print(f"run {number}: {done}; {used}; load average up to {run.busy:.0f}")
    slowest = max((run.times[PAGE].p95 for run in load.runs), default=0.0)
    console.print(f"p95 of page views {slowest:.2f} s, target {PAGE_TARGET_S:g} s: {_word(slowest < PAGE_TARGET_S)}")
    single = load.singles.p95
    console.print(
        f"p95 of single licenses {single:.2f} s, target {SINGLE_TARGET_S:g} s: {_word(single < SINGLE_TARGET_S)}"
    )
    for line in load.faults:
        console.print(f"  WRONG {line}", highlight=False, markup=False)


def _word(met: bool) -> str:
    return "met" if met else "NOT met"
