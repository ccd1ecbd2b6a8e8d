"""Server time of every view of the page with a group of 100,000 members, 5,000 of them in error, and their audit log.

Rows are written as the app writes them, through its own stores; then each view is asked for through the function host.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from local.client import Client
from local.stack import ROOT, Stack, StackOptions
from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.stores import table_stores
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.member_status import MemberState
from shared.domain.operation import OperationState, Phase, PlanSummary, Totals
from shared.domain.outcomes import OutcomeClass, Problem
from shared.domain.read_models import AuditEntry, MemberRow
from shared.domain.snapshot_pages import PlannedAction, pages_of
from shared.ports.world import Stores

MEMBERS = 100_000
ERRORS = 5_000
ROUNDS = 25
WARM = 3
WRITTEN_AT_ONCE = 8


def measure(console: Console, options: argparse.Namespace) -> dict[str, Any]:
    """p50, p95 and the slowest of each view, in milliseconds."""
    stack_options = StackOptions(members=100, seed=options.seed, processes=1, state_dir=ROOT / ".local" / "bench-pages")
    with Stack(stack_options) as stack:
        client = Client(stack.endpoints)
        summary = client.tenant("GET", "/summary")
        sku = SkuId(summary["skus"]["SPE_E3"])
        group = client.tenant("POST", "/objects", {"groups": [{"displayName": "everybody"}]})["groups"][0]
        person = UserId(client.tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}]})["users"][0])
        body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
        done = client.ended(client.api("POST", f"/api/groups/{group}/assignLicense", body)["id"], 60)
        with console.status(f"Pages: writing the rows of {MEMBERS:,} members ..."):
            operation = asyncio.run(_fill(stack, GroupId(group), sku, person, OperationId(done["id"])))
        views = {
            "licenses": "/licenses",
            "a license": f"/licenses/{sku}",
            "groups": "/groups",
            "a group, errors": f"/groups/{group}",
            "a group, one problem": f"/groups/{group}?error=UniquenessViolation",
            "a group, a name": f"/groups/{group}?show=all&name=a",
            "a group, all members": f"/groups/{group}?show=all",
            "assign": f"/groups/{group}/assign",
            "operations": "/operations",
            "an operation": f"/operations/{operation}",
            "its live part": f"/operations/{operation}/progress",
            "approvals": "/approvals",
            "users": "/users",
            "a user": f"/users/{person}",
            "audit": "/audit",
            "audit of a group": f"/audit?group={group}",
            "audit of a user": f"/audit?user={person}",
            "onboarding": "/onboarding",
            "health": "/health",
            "health, queues": "/health/queues",
        }
        with console.status("Pages: asking for every view ..."):
            return {
                "members": MEMBERS,
                "errors": ERRORS,
                "views": {name: _time(client, at) for name, at in views.items()},
            }


async def _fill(stack: Stack, group: GroupId, sku: SkuId, person: UserId, like: OperationId) -> OperationId:
    """The rows a large operation leaves behind; one that is going on is left too, and its id returned."""
    tables = Tables(TablesConfig(stack.endpoints.table_prefix, stack.endpoints.tables_connection))
    stores = table_stores(tables)
    try:
        now = datetime.now(UTC)
        ids = sorted({UserId(str(uuid.uuid4())) for _ in range(MEMBERS - 1)} | {person})
        broken = set(ids[:: MEMBERS // ERRORS]) | {person}
        await _members(stores, group, sku, ids, broken, now)
        await _audit(stores, group, ids, now)
        counts = {"Active": MEMBERS - len(broken), "Error": len(broken)}
        await stores.group_status.save(
            GroupStatus(group, GroupState.ERRORS, MEMBERS, counts, operation_id=like, updated_at=now)
        )
        return await _operation(stores, sku, ids, like, now)
    finally:
        await tables.close()


async def _members(
    stores: Stores, group: GroupId, sku: SkuId, ids: list[UserId], broken: set[UserId], now: datetime
) -> None:
    problem = Problem(LicenseError.COUNT_VIOLATION, "No license is left.", "Buy more, or remove some.", sku)
    rows = [
        MemberRow(group, each, f"u{n}@contoso.example", f"User {n}", MemberState.ERROR, now, (problem,))
        if each in broken
        else MemberRow(group, each, f"u{n}@contoso.example", f"User {n}", MemberState.ACTIVE, now, sku_ids=(sku,))
        for n, each in enumerate(ids)
    ]
    for at in range(0, len(rows), 400):
        parts = (rows[start : start + 50] for start in range(at, min(at + 400, len(rows)), 50))
        await asyncio.gather(*(stores.members.record(part) for part in parts))


async def _audit(stores: Stores, group: GroupId, ids: list[UserId], now: datetime) -> None:
    """Of the last three hours; chunks are of sorted ids, as the app cuts them."""
    entries = [
        AuditEntry(
            uuid.uuid4().hex,
            now - timedelta(hours=3) * (1 - n / MEMBERS),
            "Change user license",
            Initiator("ada", "Ada Lovelace"),
            "success",
            each,
            group,
            after="[]",
        )
        for n, each in enumerate(ids)
    ]
    for start in range(0, len(entries), 2000):
        await stores.audit.append(entries[start : start + 2000])


async def _operation(stores: Stores, sku: SkuId, ids: list[UserId], like: OperationId, now: datetime) -> OperationId:
    known = await stores.operations.get(like)
    if known is None:
        raise LookupError(like)
    action = PlannedAction(due=True, expected=OutcomeClass.APPLIED, add=(AssignedLicense(sku),))
    pages = pages_of(((each, action) for each in ids), known.chunk_size)
    operation_id = OperationId(f"{int(now.timestamp() * 1000):012x}{uuid.uuid4().hex[:20]}")
    going_on = replace(
        known,
        id=operation_id,
        version=None,
        preview=True,
        state=OperationState.COMPLETE,
        phase=Phase.FINISH,
        snapshot_id="bench",
        pages=len(pages),
        totals=Totals(members=len(ids), due=len(ids)),
        plan=PlanSummary({sku: len(ids)}, seats_needed={sku: len(ids)}),
    )
    await stores.snapshots.write(operation_id, "bench", pages)
    await stores.operations.insert(going_on)
    return operation_id


def _time(client: Client, path: str) -> dict[str, float]:
    """Milliseconds from the request to the last byte, without the first few."""
    times: list[float] = []
    for _ in range(WARM + ROUNDS):
        began = time.perf_counter()
        client.page(path)
        times.append(1000 * (time.perf_counter() - began))
    ordered = sorted(times[WARM:])
    return {
        "p50": round(ordered[len(ordered) // 2], 1),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 1),
        "slowest": round(ordered[-1], 1),
    }


def show(console: Console, found: dict[str, Any]) -> None:
    table = Table(
        title=f"Server time of the page's views, {found['members']:,} members, {found['errors']:,} in error, ms"
    )
    table.add_column("view")
    for column in ("p50", "p95", "slowest"):
        table.add_column(column, justify="right")
    for name, times in found["views"].items():
        table.add_row(name, *(str(times[column]) for column in ("p50", "p95", "slowest")))
    console.print(table)
