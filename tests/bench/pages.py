"""Server time of every view of the page and of every collection of the API, and how many requests to tables each sends.

A tenant of two sizes is written through the app's own stores. Then each view is asked for through the function host.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.client import Client
from local.stack import ROOT, Stack, StackOptions
from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.stores import table_stores
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from tests.support import addresses
from tests.support.filled import Filled, Place, Size, fill

GROUPS, AUDIT = 300, 200_000
SMALL = Size(1000, 30, 2000)
"""The tenant with which the number of requests is compared."""

WARM = 1
GOAL_MS = 200
SKU = "SPE_E3"
OTHERS = ("SPE_E5", "EMS", "VISIOCLIENT")
TIMERS = (
    *("renew_subscription", "query_deltas", "sync_all", "watch_errors", "read_protected_people", "watchdog"),
    *("reconcile_due_users", "resume_due_events", "assign_freed_licenses", "close_audit_hours"),
    *("start_first_contact", "continue_first_contact"),
)
"""All are off: their requests would be counted with those of the views."""

LINE = re.compile(rb'"(GET|POST|PUT|PATCH|MERGE|DELETE) /')


@dataclass(frozen=True)
class Viewed:
    """The client, and every view by its name: a call that returns when the last byte has come."""

    stack: Stack
    calls: dict[str, Callable[[], object]]


def measure(console: Console, options: argparse.Namespace) -> dict[str, Any]:
    """p50, p95 and the slowest of each view in milliseconds, and its requests to tables in both tenants."""
    size = Size(options.page_members, GROUPS, AUDIT * options.page_members // 100_000 + 200)
    with _tenant(console, SMALL, options.seed) as viewed:
        small = _count(viewed)
    with _tenant(console, size, options.seed) as viewed:
        large = _count(viewed)
        with console.status("Pages: timing every view ..."):
            times = {name: _time(call, options.page_rounds) for name, call in viewed.calls.items()}
    views = {name: {**times[name], "requests": large[name], "requestsSmall": small[name]} for name in times}
    return {"members": size.members, "groups": size.groups, "audit": size.audit, "goalMs": GOAL_MS, "views": views}


@contextmanager
def _tenant(console: Console, size: Size, seed: int) -> Iterator[Viewed]:
    """A stack with a tenant of a size, and calls of its views."""
    settings = {f"AzureWebJobs.{timer}.Disabled": "true" for timer in TIMERS}
    where = ROOT / ".local" / "bench-pages"
    options = StackOptions(members=100, seed=seed, processes=1, state_dir=where, settings=settings, tables_log=True)
    with Stack(options) as stack:
        client = Client(stack.endpoints)
        skus = client.tenant("GET", "/summary")["skus"]
        group = client.tenant("POST", "/objects", {"groups": [{"displayName": "everybody"}]})["groups"][0]
        person = client.tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}]})["users"][0]
        body = {"addLicenses": [{"skuId": skus[SKU], "disabledPlans": []}], "removeLicenses": []}
        done = client.ended(client.api("POST", f"/api/groups/{group}/assignLicense", body)["id"], 60)
        products = (skus[SKU], *(skus[name] for name in OTHERS))
        with console.status(f"Pages: writing the rows of {size.members:,} members ..."):
            found = asyncio.run(_fill(stack, size, group, products, person, done["id"]))
        client.tenant("POST", "/objects", {"groups": [{"id": found.native, "displayName": "moved"}]})
        yield Viewed(stack, _calls(client, GroupId(group), found, SkuId(skus[SKU]), UserId(person)))


async def _fill(
    stack: Stack, size: Size, group: str, products: tuple[str, ...], person: str, operation_id: str
) -> Filled:
    tables = Tables(TablesConfig(stack.endpoints.table_prefix, stack.endpoints.tables_connection))
    stores = table_stores(tables)
    try:
        like = await stores.operations.get(OperationId(operation_id))
        if like is None:
            raise LookupError(operation_id)
        skus = tuple(map(SkuId, products))
        return await fill(stores, size, Place(GroupId(group), skus[0], skus, UserId(person), like), datetime.now(UTC))
    finally:
        await tables.close()


def _calls(
    client: Client, group: GroupId, found: Filled, sku: SkuId, person: UserId
) -> dict[str, Callable[[], object]]:
    of = (group, found.native, sku, person, found.preview)
    calls: dict[str, Callable[[], object]] = {}
    for name, path in addresses.pages(*of).items():
        calls[name] = partial(client.page, path)
    cookie = client.signed_in()
    for name, (path, fields) in addresses.forms(group, sku).items():
        calls[name] = partial(client.form, path, fields, cookie)
    for name, path in addresses.collections(*of).items():
        calls[name] = partial(client.api, "GET", path)
    return calls


def _count(viewed: Viewed) -> dict[str, int]:
    """Requests to tables that each view sends, as Azurite logs them. The first call of each fills caches."""
    log = viewed.stack.logs_dir / "azurite.out"
    for call in viewed.calls.values():
        call()
    return {name: _requests(log, call) for name, call in viewed.calls.items()}


def _requests(log: Path, call: Callable[[], object]) -> int:
    before = log.stat().st_size
    call()
    with log.open("rb") as file:
        file.seek(before)
        return len(LINE.findall(file.read()))


def _time(call: Callable[[], object], rounds: int) -> dict[str, float]:
    """Milliseconds from the request to the last byte, without the first few."""
    times: list[float] = []
    for _ in range(WARM + rounds):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    ordered = sorted(times[WARM:])
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "slowest": round(ordered[-1], 1),
    }


def show(console: Console, found: dict[str, Any]) -> None:
    size = f"{found['members']:,} members, {found['groups']:,} groups, {found['audit']:,} audit entries"
    table = Table(title=f"Server time of each view in ms, and its requests to tables: {size}")
    table.add_column("view")
    for column in ("p50", "p95", "slowest", "requests", f"with {SMALL.members:,} members"):
        table.add_column(column, justify="right")
    for name, of in found["views"].items():
        slow, grows = of["p95"] > found["goalMs"], of["requests"] > of["requestsSmall"]
        cells = [str(of[column]) for column in ("p50", "p95", "slowest", "requests", "requestsSmall")]
        cells[1] += " !" * slow
        cells[3] += " !" * grows
        table.add_row(name, *cells)
    console.print(table)
    late = sum(of["p95"] > found["goalMs"] for of in found["views"].values())
    console.print(f"{late} of {len(found['views'])} views have a p95 above {found['goalMs']} ms")
