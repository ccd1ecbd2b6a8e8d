"""`make demo`: start everything, license a group through the app, show who has an error and why, then somebody joins
and leaves, and everything is stopped.

Exit codes: 0 all went as it should, 1 the operation did not complete, its counts do not add up or a change did not
arrive, 2 the stack did not start, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from local.client import ENDED, CallError, Client
from local.live import show_changes, subscribe
from local.processes import StartError
from local.stack import ROOT, Stack, StackOptions

GRAPH_WRITES_PER_S = 20.0
"""Graph's published limit, 3,000 writes in 150 s (learn.microsoft.com/graph/throttling-limits)."""
SHOWN = 40
SETTLE = "PT5S"
"""Between the two reads before a removal; the app's default of five minutes is long for a demonstration."""

CLASSES = ("applied", "unchanged", "waiting", "failed", "skipped")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--members", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scale", type=float, default=4.0, help="factor of the simulated quota and the app's budget")
    parser.add_argument("--processes", type=int, default=2, help="copies of each queue function")
    parser.add_argument("--sku", default="SPE_E3")
    parser.add_argument("--state-dir", type=Path, default=ROOT / ".local" / "demo")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    console = Console()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    stack = Stack(
        StackOptions(
            members=options.members,
            seed=options.seed,
            scale=options.scale,
            processes=options.processes,
            state_dir=options.state_dir,
            settings={"REMOVAL_WINDOW": SETTLE},
            tenant=("--options", json.dumps({"scarceSeats": True})),
        )
    )
    console.print(
        f"Simulated tenant with a group of {options.members:,} members; quota and budget x {options.scale:g} "
        f"(Graph's limit is {GRAPH_WRITES_PER_S:g} writes/s, here {GRAPH_WRITES_PER_S * options.scale:g})."
    )
    try:
        with console.status("Starting tables, queues, tenant and function host ..."):
            stack.__enter__()
        return _demo(console, stack, options)
    except StartError as fault:
        console.print(f"[bold red]The stack did not start:[/] {fault}", markup=True, highlight=False)
        return 2
    except (CallError, TimeoutError) as fault:
        console.print(f"[bold red]Failed:[/] {fault}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; stopping everything.")
        return 130
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stack.stop()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _demo(console: Console, stack: Stack, options: argparse.Namespace) -> int:
    client = Client(stack.endpoints)
    subscribe(client)
    tenant = client.tenant("GET", "/summary")
    group, sku_id = tenant["groups"]["main"], tenant["skus"][options.sku]
    body = {"addLicenses": [{"skuId": sku_id, "disabledPlans": []}], "removeLicenses": []}
    path = f"/api/groups/{group}/assignLicense"
    preview = client.api("POST", f"{path}?preview=true", body)
    with console.status("Preview: reading and planning every member, writing nothing ..."):
        preview = client.ended(preview["id"], 300)
    _show_preview(console, preview, options.sku)
    before = client.tenant("POST", "/metrics/reset") and client.tenant("GET", "/metrics")
    began = time.monotonic()
    operation = _follow(console, client, client.api("POST", path, body)["id"])
    seconds = time.monotonic() - began
    after = client.tenant("GET", "/metrics")
    _show_errors(console, client, group)
    line = figures(operation, before, after, seconds, options.scale)
    console.print(f"{operation['state']}: {line['applied']:,} of {line['members']:,} members licensed.")
    went_well = operation["state"] == "ProcessingComplete" and sum(line[each] for each in CLASSES) == line["members"]
    went_well = went_well and show_changes(console, client, tenant["groups"], sku_id, SETTLE)
    print(json.dumps(line), flush=True)
    return 0 if went_well else 1


def _show_preview(console: Console, preview: dict[str, Any], sku: str) -> None:
    totals, plan = preview["totals"], preview["plan"]
    table = Table(title=f"Preview: {sku} for the group", show_header=False)
    table.add_row("members", f"{totals['members']:,}")
    table.add_row("to be licensed", f"{sum(plan['additions'].values()):,}")
    table.add_row("seats needed", f"{sum(plan['seatsNeeded'].values()):,}")
    table.add_row("licensed by somebody else already", f"{plan.get('foreign', 0):,}")
    table.add_row("errors to expect", json.dumps(plan["errors"]) if plan["errors"] else "none known yet")
    console.print(table)


def _follow(console: Console, client: Client, operation_id: str) -> dict[str, Any]:
    """Show progress until the operation ends; without a terminal, a line every few seconds."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    shown_at = 0.0
    with Progress(
        *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("Licensing", total=None)
        while True:
            operation = client.operation(operation_id)
            totals = operation["totals"]
            done = totals["members"] - totals["remaining"]
            bar.update(task, total=totals["members"] or None, completed=done, description=_phase(operation))
            if not console.is_terminal and time.monotonic() - shown_at > 5:
                console.print(f"{_phase(operation)}: {done:,} of {totals['members']:,}")
                shown_at = time.monotonic()
            if operation["state"] in ENDED:
                return operation
            time.sleep(0.4)


def _phase(operation: dict[str, Any]) -> str:
    return "Reading members" if operation["phase"] == "seal" else "Licensing"


def _show_errors(console: Console, client: Client, group: str) -> None:
    """A table of members who have an error or wait, each with the remedy."""
    path: str | None = f"/api/groups/{group}/membersWithLicenseErrors?$top=100"
    rows: list[dict[str, Any]] = []
    while path:
        page = client.api("GET", path)
        rows += page["value"]
        path = page.get("@odata.nextLink")
    table = Table(title=f"Members with an error or waiting: {len(rows):,}", show_lines=False)
    for column in ("user", "state", "error", "remedy"):
        table.add_column(column, overflow="fold")
    for row in rows[:SHOWN]:
        for problem in row["problems"] or [{"error": "CountViolation", "remedy": "Waits for a seat."}]:
            table.add_row(row["userPrincipalName"], row["state"], problem["error"], problem["remedy"])
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"... and {len(rows) - SHOWN:,} more.")


def figures(
    operation: dict[str, Any], before: dict[str, Any], after: dict[str, Any], seconds: float, scale: float
) -> dict[str, Any]:
    """The last line: counts from the operation, requests and writes as the tenant counted them meanwhile."""
    counted = {key: after[key] - before[key] for key in ("requests", "items", "writes", "throttled")}
    span = (after["lastWrite"] or 0) - (after["firstWrite"] or 0)
    rate = counted["writes"] / span if span else 0.0
    return {
        "members": operation["totals"]["members"],
        **{each: operation["totals"][each] for each in CLASSES},
        "seconds": round(seconds, 1),
        "graph_requests": counted["requests"],
        "graph_items": counted["items"],
        "graph_writes": counted["writes"],
        "throttled": counted["throttled"],
        "scale": scale,
        "write_rate": round(rate, 2),
        "quota_utilization": round(rate / (GRAPH_WRITES_PER_S * scale), 3),
    }


if __name__ == "__main__":
    sys.exit(main())
