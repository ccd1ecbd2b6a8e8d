"""`make bench`: the product beside what one would otherwise write, on one simulated tenant, in one run.

Prints a table and writes bench-results/bench.json. Everything is measured here; nothing is asserted by time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from local.client import Client
from local.stack import ROOT, Stack, StackOptions
from tests.bench import changes, measuring, native, onboarding, pages, regimes, window

GRAPH_WRITES_PER_S = 20.0
BULK_WRITES_PER_S = 19.5
WINDOW_WRITES = 3000
WARM_UP_S = 30
PACKAGES = ("msgraph-sdk", "azure-servicebus", "azure-data-tables", "azure-functions", "httpx")
ALL_RIGHT = {
    "unmanagedFull": 1.0,
    **dict.fromkeys(
        (
            "missingUsageLocation",
            "guests",
            "disabledAccounts",
            "conflicting",
            "unmanagedLacking",
            "nativeInherited",
            "proxyAddressClash",
        ),
        0.0,
    ),
}
"""Shares of a tenant in which every member has the license already."""

WINDOW_S = 150
"""Writes of the time before a stack began are not known to it, so the window counts as used for so long."""

WARM_GROUP, WARM_USER = (str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{kind}.warm.bench")) for kind in ("group", "user"))

SEATS_READ_ANEW_S = 11
"""Workers keep what they have read of the tenant's products for ten seconds."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--members", type=int, default=3000)
    parser.add_argument(
        "--scale", type=float, default=4.0, help="1 is Graph's true quota, with warm processes and an empty window"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quota-kind", choices=("bucket", "window"), default="window")
    parser.add_argument("--loop-users", type=int, default=300, help="users the one-by-one loop is given")
    parser.add_argument(
        "--already-right", type=int, default=0, help="also a group of so many members who have the license already"
    )
    parser.add_argument("--events", type=int, default=200, help="changes of membership to time; 0: none")
    parser.add_argument("--only-changes", action="store_true", help="time changes of membership and nothing else")
    parser.add_argument("--joiners", type=int, default=1000, help="HR joiners of one burst; 0: no onboarding")
    parser.add_argument("--only-onboarding", action="store_true", help="time HR onboarding and nothing else")
    parser.add_argument("--only-pages", action="store_true", help="time the page's views over a large group")
    parser.add_argument("--page-members", type=int, default=100_000, help="members of the largest group of the pages")
    parser.add_argument("--page-rounds", type=int, default=25, help="times that each view of the pages is asked for")
    parser.add_argument("--only-regimes", action="store_true", help="write control in virtual time, in every regime")
    parser.add_argument("--only-window", action="store_true", help="three sizes from an empty window")
    parser.add_argument("--only-native", action="store_true", help="watching and driving native licensing")
    parser.add_argument("--native-groups", type=int, default=200)
    parser.add_argument("--native-members", type=int, default=300_000, help="over all groups; one group has a third")
    parser.add_argument("--native-errors", type=int, default=1000, help="members in error over all groups")
    parser.add_argument(
        "--native-licensed", type=int, default=20_000, help="members to license by either engine; 0: none"
    )
    parser.add_argument("--native-delay", type=float, default=60.0, help="seconds until native licensing begins")
    parser.add_argument("--native-span", type=float, default=300.0, help="seconds from its first to its last member")
    parser.add_argument("--without-competitors", action="store_true")
    parser.add_argument("--results", type=Path, default=ROOT / "bench-results" / "bench.json")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    console = Console()
    console = Console(width=max(console.width, 130))
    if options.only_changes:
        changes.show(console, changes.measure(console, options))
        return 0
    if options.only_onboarding:
        onboarding.show(console, onboarding.measure(console, options))
        return 0
    if options.only_native:
        found = native.measure(console, options)
        native.show(console, found)
        keep(options.results.with_name("native.json"), {"conditions": conditions(options), **found})
        return 0
    if options.only_regimes:
        regimes.show(console)
        return 0
    if options.only_window:
        options.scale = 1.0
        found = window.measure(console, options, product, competitor)
        window.show(console, found)
        keep(options.results, {"conditions": conditions(options), **found})
        return 0
    if options.only_pages:
        pages.show(console, pages.measure(console, options))
        return 0
    generate = {"members": options.members, "seed": options.seed, "scarceSeats": True}
    stack_options = StackOptions(
        members=options.members,
        seed=options.seed,
        scale=options.scale,
        processes=2,
        state_dir=ROOT / ".local" / "bench",
        tenant=("--quota-kind", options.quota_kind),
    )
    results: dict[str, Any] = {"conditions": conditions(options), "rows": []}
    results["importSeconds"] = round(measuring.import_seconds(), 3)
    with Stack(stack_options) as stack:
        client = Client(stack.endpoints)
        client.tenant("POST", "/generate", generate)
        results["idleCpuPerSecond"] = measuring.idle_cpu(stack)
        if options.scale <= 1:
            warm_up(console, client)
        results["rows"] += [product(console, client, stack, options), converged(console, client, stack, options)]
        results["peakMiB"] = largest(stack)
        if not options.without_competitors:
            for kind, limit in (("script", options.members), ("loop", options.loop_users)):
                client.tenant("POST", "/generate", generate)
                client.tenant("POST", "/quota", {})
                results["rows"].append(competitor(console, client, stack, kind, limit))
        if options.already_right:
            results["rows"] += already_right(console, client, stack, options)
            results["peakMiBAlreadyRight"] = largest(stack)
    if options.events:
        results["changes"] = changes.measure(console, options)
    if options.joiners:
        results["onboarding"] = onboarding.measure(console, options)
    results["pages"] = pages.measure(console, options)
    show(console, results)
    pages.show(console, results["pages"])
    if options.joiners:
        onboarding.show(console, results["onboarding"])
    if options.events:
        changes.show(console, results["changes"])
    keep(options.results, results)
    return 0


def keep(file: Path, results: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(results, indent=2) + "\n")


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "members": options.members,
        "seed": options.seed,
        "scale": options.scale,
        "warm": options.scale <= 1,
        "quotaKind": options.quota_kind,
        "graphWritesPerSecond": GRAPH_WRITES_PER_S * options.scale,
        "bulkWritesPerSecond": BULK_WRITES_PER_S * options.scale,
        "latencyMs": list(StackOptions().latency_ms),
        "cpus": os.cpu_count(),
        "commit": commit(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "processesPerFunction": 2,
    }


def commit() -> str:
    """The commit that is measured, with a plus where files differ from it; empty outside a repository."""
    asked = ["git", "describe", "--always", "--dirty=+"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def warm_up(console: Console, client: Client) -> None:
    """License one user, so that all processes have worked, and wait until the window is known to be empty."""
    objects = {"users": [{"id": WARM_USER}], "groups": [{"id": WARM_GROUP, "members": [WARM_USER]}]}
    client.tenant("POST", "/objects", objects)
    sku = client.tenant("GET", "/summary")["skus"]["FLOW_FREE"]
    body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    with console.status("Warm processes and an empty window ..."):
        client.ended(client.api("POST", f"/api/groups/{WARM_GROUP}/assignLicense", body)["id"], 300)
        time.sleep(WINDOW_S + 5)


def largest(stack: Stack) -> float:
    """MiB of the function process that has been largest."""
    return round(max(map(measuring.peak_mib, measuring.function_pids(stack))), 1)


def _group(client: Client) -> tuple[str, str]:
    summary = client.tenant("GET", "/summary")
    return summary["groups"]["main"], summary["skus"]["SPE_E3"]


def _operation(
    client: Client, stack: Stack, options: argparse.Namespace, name: str, path: str, body: object
) -> dict[str, Any]:
    client.tenant("POST", "/metrics/reset")
    pids, logged = measuring.function_pids(stack), client.tenant("GET", "/metrics")["lastSeq"]
    cpu, began = measuring.total_cpu_s(pids), time.monotonic()
    operation = client.ended(client.api("POST", path, body)["id"], 3600)
    seconds = time.monotonic() - began
    cpu = measuring.total_cpu_s(pids) - cpu
    metrics = client.tenant("GET", "/metrics")
    totals = operation["totals"]
    changed = totals["wrote"]
    return {
        "name": name,
        "state": operation["state"],
        "users": totals["members"],
        "licensed": changed,
        "failed": totals["failed"] + totals["waiting"],
        "seconds": round(seconds, 1),
        "cpuSeconds": round(cpu, 2),
        "cpuMsPerUser": round(1000 * cpu / (changed or totals["members"]), 2),
        **traffic(metrics),
        "writesPerChangedUser": per_changed_user(metrics, usage_locations(client, logged), changed),
        "steadyShareOfBulkRate": steady(metrics, BULK_WRITES_PER_S * options.scale),
    }


def product(console: Console, client: Client, stack: Stack, options: argparse.Namespace) -> dict[str, Any]:
    """License the group."""
    group, sku = _group(client)
    body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    with console.status("This product: licensing the group ..."):
        return _operation(client, stack, options, "this product", f"/api/groups/{group}/assignLicense", body)


def converged(console: Console, client: Client, stack: Stack, options: argparse.Namespace) -> dict[str, Any]:
    """The same group once more, with nothing to do but what waits for seats."""
    group, sku = _group(client)
    body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    with console.status("This product: the same group again ..."):
        return _operation(client, stack, options, "again, converged", f"/api/groups/{group}/assignLicense", body)


def already_right(console: Console, client: Client, stack: Stack, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A big group whose members all have the license from somebody else: seen for the first time, then once more."""
    members = options.already_right
    client.tenant("POST", "/generate", {"members": members, "seed": options.seed, "shares": ALL_RIGHT})
    client.tenant("POST", "/quota", {})
    time.sleep(SEATS_READ_ANEW_S)
    group, sku = _group(client)
    body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    rows = []
    for name in (f"{members:,} licensed, first look", f"{members:,} licensed, again"):
        with console.status(f"This product: {name} ..."):
            rows.append(_operation(client, stack, options, name, f"/api/groups/{group}/assignLicense", body))
    return rows


def usage_locations(client: Client, after: int) -> int:
    """Writes of usage locations in the tenant's log after an entry."""
    found = 0
    while page := client.tenant("GET", f"/writes?after={after}&limit=5000"):
        entries: Any = page
        found += sum(entry["operation"] == "usageLocation" for entry in entries)
        after = entries[-1]["seq"]
    return found


def per_changed_user(metrics: dict[str, Any], locations: int, changed: int) -> float:
    """License writes sent, rejected ones included, for each user whose licenses changed."""
    return round((metrics["writes"] - locations + metrics["rejected"]) / changed, 3) if changed else 0.0


def competitor(console: Console, client: Client, stack: Stack, kind: str, limit: int) -> dict[str, Any]:
    """One of the scripts, as a process of its own."""
    group, sku = _group(client)
    client.tenant("POST", "/metrics/reset")
    ends = stack.endpoints
    command = [sys.executable, "-m", "tests.bench.competitors", kind, "--base", ends.graph, "--sku", sku]
    command += ["--token-endpoint", ends.token, "--secret", ends.client_secret, "--group", group]
    with console.status(f"Competitor: {kind} ..."):
        ran = subprocess.run(
            [*command, "--limit", str(limit)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=3600
        )
    if ran.returncode:
        raise SystemExit(f"the competitor {kind} failed:\n{ran.stderr[-2000:]}")
    result = json.loads(ran.stdout.splitlines()[-1])
    metrics = client.tenant("GET", "/metrics")
    names = {"loop": "msgraph-sdk, user by user", "script": "asyncio, $batch of 20"}
    return {
        "name": names[kind],
        **result,
        "cpuMsPerUser": round(1000 * result["cpuSeconds"] / max(1, result["licensed"]), 2),
        **traffic(metrics),
    }


def traffic(metrics: dict[str, Any]) -> dict[str, Any]:
    """Counts of the tenant: requests, writes, rejections, and the rate of successful writes."""
    span = (metrics["lastWrite"] or 0) - (metrics["firstWrite"] or 0)
    return {
        "requests": metrics["requests"],
        "writes": metrics["writes"],
        "rejected": metrics["rejected"],
        "throttled": metrics["throttled"],
        "unchangedWrites": metrics["unchangedWrites"],
        "writesPerSecond": round(metrics["writes"] / span, 1) if span else 0.0,
    }


def steady(metrics: dict[str, Any], rate: float) -> float | None:
    """Successful writes from second 30 to the last, as a share of the bulk rate; None for a shorter run."""
    seconds = metrics["perSecond"]
    if not seconds:
        return None
    first, last = seconds[0][0] + WARM_UP_S, seconds[-1][0]
    if last - first < 5:
        return None
    done = sum(int(writes) for at, writes, _ in seconds if first <= at < last)
    return float(round(done / ((last - first) * rate), 3))


COLUMNS = (
    ("licensed", "licensed"),
    ("failed or waiting", "failed"),
    ("seconds", "seconds"),
    ("writes/s", "writesPerSecond"),
    ("throttled", "throttled"),
    ("rejected", "rejected"),
    ("HTTP requests", "requests"),
    ("CPU ms/user", "cpuMsPerUser"),
)


def show(console: Console, results: dict[str, Any]) -> None:
    found = results["conditions"]
    title = (
        f"{found['members']:,} members, quota {found['graphWritesPerSecond']:g} writes/s ({found['quotaKind']}, "
        f"x {found['scale']:g}), our budget {found['bulkWritesPerSecond']:g}, latency {found['latencyMs']} ms"
    )
    table = Table(title=title)
    table.add_column("")
    for heading, _ in COLUMNS:
        table.add_column(heading, justify="right")
    for row in results["rows"]:
        table.add_row(row["name"], *(str(row[key]) for _, key in COLUMNS))
    console.print(table)
    managed = results["rows"][0]
    largest_mib = max(results["peakMiB"], results.get("peakMiBAlreadyRight", 0.0))
    console.print(f"share of the bulk rate from second {WARM_UP_S}: {managed['steadyShareOfBulkRate']}")
    console.print(f"license writes per changed user, rejected ones included: {managed['writesPerChangedUser']}")
    console.print(f"import of the function app: {results['importSeconds']} s; largest worker: {largest_mib} MiB")
    if found["members"] < WINDOW_WRITES * found["scale"]:
        window = WINDOW_WRITES * found["scale"]
        console.print(
            f"Note: {found['members']:,} writes fit into the window of {window:,.0f}: no script meets the limit."
        )
        console.print("BENCH_OPTIONS='--members 6000 --scale 1' is Graph's true quota, which the group exceeds.")


if __name__ == "__main__":
    sys.exit(main())
