"""`make demo`: start everything, license a group through the app, and show members with errors and the causes. Then a
user joins the group and leaves it, an HR event arrives, a natively licensed group is repaired and moved, and everything
is stopped.

Exit codes: 0 success, 1 the operation did not complete, its counts are wrong or a change is missing,
2 the stack did not start, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from local.client import ENDED, CallError, Client
from local.live import show_changes, subscribe
from local.native_demo import show_native
from local.next_steps import next_steps
from local.processes import StartError
from local.stack import ROOT, Stack, StackOptions

GRAPH_WRITES_PER_S = 20.0
"""Graph's published limit, 3,000 writes in 150 s (learn.microsoft.com/graph/throttling-limits)."""
WIDTH = 80
EXAMPLES = 5
MAIN_GROUP = "main"
"""The name of the group that is licensed."""
SETTLE_S = 5
"""Between the two reads before a removal; the app's default of five minutes is long for a demonstration."""

CLASSES = {
    "applied": "members licensed",
    "unchanged": "members with the license already",
    "waiting": "members waiting for a license",
    "failed": "members with an error",
    "skipped": "members skipped",
}


class Problem(NamedTuple):
    """One reason for which a member has no license, or an incomplete one."""

    user: str
    state: str
    error: str
    remedy: str


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
    console.width = min(console.width, WIDTH)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    stack = Stack(
        StackOptions(
            members=options.members,
            seed=options.seed,
            scale=options.scale,
            processes=options.processes,
            state_dir=options.state_dir,
            settings={"REMOVAL_WINDOW": f"PT{SETTLE_S}S"},
            tenant=("--options", json.dumps({"scarceSeats": True})),
        )
    )
    console.print(f"[bold]Seatkeeper[/] in a simulated tenant, with a group of {options.members:,} members.")
    console.print(
        f"Graph accepts {GRAPH_WRITES_PER_S * options.scale:g} writes a second here; the real limit is "
        f"{GRAPH_WRITES_PER_S:g}."
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
    _heading(console, 2, "Assign the licenses")
    before = client.tenant("POST", "/metrics/reset") and client.tenant("GET", "/metrics")
    began = time.monotonic()
    operation = _follow(console, client, client.api("POST", path, body)["id"])
    seconds = time.monotonic() - began
    line = figures(operation, before, client.tenant("GET", "/metrics"), seconds, options.scale)
    console.print(f"   {operation['state']} after {line['seconds']} s, with {line['write_rate']:g} writes a second:")
    for each in CLASSES:
        console.print(f"   {line[each]:>7,} {CLASSES[each]}", highlight=False)
    _show_errors(console, _problems(client, group))
    _heading(console, 4, "Changes while the app runs")
    went_well = operation["state"] == "ProcessingComplete" and sum(line[each] for each in CLASSES) == line["members"]
    went_well = show_changes(console, client, tenant["groups"], sku_id, SETTLE_S) and went_well
    _heading(console, 5, "A group that Microsoft's own licensing licenses")
    went_well = show_native(console, client) and went_well
    _show_next(console, options.sku)
    if not console.is_terminal:
        print(json.dumps(line), flush=True)
    return 0 if went_well else 1


def _heading(console: Console, number: int, text: str) -> None:
    console.print(f"\n[bold]{number}. {text}[/]", highlight=False)


def _show_preview(console: Console, preview: dict[str, Any], sku: str) -> None:
    totals, plan = preview["totals"], preview["plan"]
    _heading(console, 1, f"Preview: assign {sku} to the group (writes nothing)")
    rows = {
        "members": totals["members"],
        "licenses to assign": sum(plan["additions"].values()),
        "available licenses needed": sum(plan["licensesNeeded"].values()),
        "members licensed outside this app": plan.get("unmanaged", 0),
        "errors to expect": sum(plan["errors"].values()),
    }
    for text, count in rows.items():
        console.print(f"   {count:>7,} {text}", highlight=False)


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
                console.print(
                    f"   {_phase(operation)}" + (f": {done:,} of {totals['members']:,}" if totals["members"] else "")
                )
                shown_at = time.monotonic()
            if operation["state"] in ENDED:
                return operation
            time.sleep(0.4)


def _phase(operation: dict[str, Any]) -> str:
    return "Reading members" if operation["phase"] == "snapshot" else "Licensing"


def _problems(client: Client, group: str) -> list[Problem]:
    """Each problem of each waiting member and each member with an error."""
    path: str | None = f"/api/groups/{group}/membersWithLicenseErrors?$top=100"
    found: list[Problem] = []
    while path:
        page = client.api("GET", path)
        for row in page["value"]:
            user = row["userPrincipalName"].partition("@")[0]
            problems = row["problems"] or [{"error": "CountViolation", "remedy": "No license is available."}]
            found += [Problem(user, row["state"], each["error"], each["remedy"]) for each in problems]
        path = page.get("@odata.nextLink")
    return found


def by_cause(problems: list[Problem]) -> list[tuple[Problem, list[str]]]:
    """Problems grouped by state, error and remedy, the largest group first: one of each, and its users."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for each in problems:
        groups.setdefault((each.state, each.error, each.remedy), []).append(each)
    ordered = sorted(groups.values(), key=lambda group: -len(group))
    return [(group[0], [each.user for each in group]) for group in ordered]


def _show_errors(console: Console, problems: list[Problem]) -> None:
    """Problems by cause, each with the remedy and a few users."""
    _heading(console, 3, f"Members with a problem, by cause: {len({each.user for each in problems}):,}")
    for cause, users in by_cause(problems):
        console.print(f"   {len(users):>7,} [bold]{cause.error}[/] ({cause.state})", highlight=False)
        examples = ", ".join(users[:EXAMPLES])
        more = f", and {len(users) - EXAMPLES:,} more" if len(users) > EXAMPLES else ""
        for text in (f"What to do: {cause.remedy}", f"Users: {examples}{more}"):
            console.print(_indented(text), highlight=False, markup=False)


def _indented(text: str) -> str:
    """A paragraph of at most 80 columns without a broken word."""
    edge = " " * 11
    return textwrap.fill(
        text, WIDTH, initial_indent=edge, subsequent_indent=edge, break_long_words=False, break_on_hyphens=False
    )


def _show_next(console: Console, sku: str = "SPE_E3") -> None:
    _heading(console, 6, "See it yourself")
    console.print("   make run                      start this tenant again, and keep it running")
    console.print("   open http://127.0.0.1:7071    choose the role Global Administrator", highlight=False)
    console.print("   Ctrl-C                        stop it")
    console.print("\n   In another terminal, while it runs:")
    for step in next_steps(MAIN_GROUP, sku):
        console.print(f"   # {step.text}\n   {step.command}", highlight=False, markup=False, soft_wrap=True)


def figures(
    operation: dict[str, Any], before: dict[str, Any], after: dict[str, Any], seconds: float, scale: float
) -> dict[str, Any]:
    """Counts from the operation, and requests and writes as the tenant counted them meanwhile."""
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
