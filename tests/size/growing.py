"""Groups of growing size, licensed and looked at again, each on a stack of its own: what grows, and how."""

from __future__ import annotations

import asyncio
import itertools
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from azure.data.tables.aio import TableServiceClient

from local.client import ENDED, Client
from local.stack import WRITES_PER_S, Stack, StackOptions
from tests.bench import measuring

SKU = "SPE_E3"
PROCESSES = 2
LOOK_EVERY_S = 1.0
LIMIT_S = 3 * 3600.0
BY_HAND = {f"AzureWebJobs.{timer}.Disabled": "true" for timer in ("renew_subscription", "query_deltas", "sync_all")}
"""A first subscription has every managed group read again: work that would be counted with what is measured."""

ROWS_A_PAGE = 1000


@dataclass
class Run:
    """One operation on a group of `members`; sizes in MiB, times in seconds."""

    name: str
    members: int
    scale: float
    quota_kind: str
    state: str = ""
    totals: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    seal_s: float = 0.0
    """Until the first write: all pages read, everybody planned."""
    graph_requests: int = 0
    writes: int = 0
    throttled: int = 0
    rejected: int = 0
    steady_share: float | None = None
    """Successful writes from second 30 to the last, as a share of our own rate."""
    cpu_s: float = 0.0
    cpu_of_the_rest_s: dict[str, float] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    longest_view_s: float = 0.0
    """The slowest answer to the question how far the operation is."""


ReportProgress = Callable[[Run, dict[str, Any]], None]


def grow(
    sizes: Sequence[int],
    *,
    preview: bool,
    scale: float,
    quota_kind: str,
    seed: int,
    where: Path,
    report_progress: ReportProgress,
) -> Iterator[Run]:
    """For each size: a group licensed, then the same again with nothing to do. `preview`: all is read, planned and
    kept, and nobody is licensed."""
    for members in sizes:
        with started(members, scale=scale, quota_kind=quota_kind, seed=seed, where=where) as stack:
            client = Client(stack.endpoints)
            summary = client.tenant("GET", "/summary")
            path = f"/api/groups/{summary['groups']['main']}/assignLicense{'?preview=true' * preview}"
            for name in ("preview",) if preview else ("licensed", "again"):
                run = Run(name, members, scale, quota_kind)
                yield measured(stack, client, run, path, adding(summary["skus"][SKU]), report_progress)


def started(members: int, *, scale: float, quota_kind: str, seed: int, where: Path) -> Stack:
    """A stack with a tenant of everything that can go wrong, two processes of each function."""
    shutil.rmtree(where, ignore_errors=True)
    return Stack(
        StackOptions(
            members=members,
            seed=seed,
            scale=scale,
            processes=PROCESSES,
            state_dir=where,
            settings=BY_HAND,
            tenant=("--quota-kind", quota_kind),
        )
    )


def adding(sku: str) -> dict[str, Any]:
    """The body that gives a whole product."""
    return {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}


def measured(stack: Stack, client: Client, run: Run, path: str, body: object, report_progress: ReportProgress) -> Run:
    """Ask for an operation, wait for its end, and read off what it took."""
    client.tenant("POST", "/metrics/reset")
    before = processes(stack)
    began, wall = time.monotonic(), time.time()
    operation = client.api("POST", path, body)
    ended = wait(client, operation["id"], run, report_progress)
    run.seconds = round(time.monotonic() - began, 1)
    run.state, run.totals = ended["state"], ended["totals"]
    metrics = client.tenant("GET", "/metrics")
    run.graph_requests, run.writes = metrics["requests"], metrics["writes"]
    run.throttled, run.rejected = metrics["throttled"], metrics["rejected"]
    run.seal_s = round(metrics["firstWrite"] - wall, 1) if metrics["firstWrite"] else run.seconds
    run.steady_share = steady(metrics["perSecond"], WRITES_PER_S * run.scale)
    after = processes(stack)
    used = {name: after[name][0] - before.get(name, (0.0, 0.0))[0] for name in after}
    run.cpu_s = round(sum(used[name] for name in used if name in stack.functions and name != "http"), 1)
    run.cpu_of_the_rest_s = {n: round(s, 1) for n, s in used.items() if n not in stack.functions or n == "http"}
    run.peak_mib = {name: round(peak) for name, (_, peak) in after.items()}
    run.rows = asyncio.run(rows(stack.endpoints.tables_connection))
    return run


def wait(client: Client, operation_id: str, run: Run, report_progress: ReportProgress) -> dict[str, Any]:
    """The operation when it has ended. Raises TimeoutError."""
    ending = time.monotonic() + LIMIT_S
    while time.monotonic() < ending:
        asked = time.monotonic()
        operation = client.operation(operation_id)
        run.longest_view_s = max(run.longest_view_s, round(time.monotonic() - asked, 3))
        report_progress(run, operation)
        if operation["state"] in ENDED:
            return operation
        time.sleep(LOOK_EVERY_S)
    raise TimeoutError(f"operation {operation_id} on {run.members} members had not ended after {LIMIT_S:.0f} s")


def processes(stack: Stack) -> dict[str, tuple[float, float]]:
    """CPU seconds of all copies, and the peak of the largest in MiB, by function or part of the stack."""
    found: dict[str, tuple[float, float]] = {}
    pids = [(name, pid) for name in stack.functions for pid in stack.workers(name)] + list(stack.parts().items())
    for name, pid in pids:
        cpu, peak = found.get(name, (0.0, 0.0))
        found[name] = (cpu + measuring.cpu_s(pid), max(peak, measuring.peak_mib(pid)))
    return found


def steady(per_second: Sequence[Sequence[int]], rate: float, after_s: int = 30) -> float | None:
    """Successful writes from second `after_s` to the last, as a share of `rate`; None for a run too short for it."""
    if not per_second or per_second[-1][0] - per_second[0][0] < after_s + 5:
        return None
    first, last = per_second[0][0] + after_s, per_second[-1][0]
    return round(sum(writes for at, writes, _ in per_second if first <= at < last) / ((last - first) * rate), 3)


async def rows(connection: str) -> dict[str, int]:
    """Rows of each table that has any."""
    counts: dict[str, int] = {}
    async with TableServiceClient.from_connection_string(connection) as service:
        async for table in service.list_tables():
            client = service.get_table_client(table.name)
            pages = client.list_entities(select=["RowKey"], results_per_page=ROWS_A_PAGE).by_page()
            async for page in pages:
                counts[table.name] = counts.get(table.name, 0) + len([each async for each in page])
    return {name: count for name, count in sorted(counts.items()) if count}


MEASURES: tuple[tuple[str, Callable[[Run], float]], ...] = (
    ("seconds", lambda run: run.seconds),
    ("seconds until the first write", lambda run: run.seal_s),
    ("requests to Graph", lambda run: float(run.graph_requests)),
    ("CPU seconds of the functions", lambda run: run.cpu_s),
    ("rows in tables", lambda run: float(sum(run.rows.values()))),
    ("MiB of the largest function process", lambda run: max(of_functions(run).values(), default=0.0)),
)
PARTS = frozenset({"azurite", "servicebus", "tenant"})


def of_functions(run: Run) -> dict[str, float]:
    """Peaks of the app's own processes; the rest is the simulated world."""
    return {name: peak for name, peak in run.peak_mib.items() if name not in PARTS}


def exponents(runs: Sequence[Run]) -> dict[str, list[float]]:
    """How each measure grows from size to size: 1 is linearly, 2 with the square."""
    found: dict[str, list[float]] = {}
    for name, of in MEASURES:
        pairs = itertools.pairwise(runs)
        found[name] = [
            round(math.log(max(of(b), 1e-9) / max(of(a), 1e-9)) / math.log(b.members / a.members), 2) for a, b in pairs
        ]
    return found


def as_json(run: Run) -> dict[str, Any]:
    """A run as it is kept in the file of results."""
    return asdict(run)
