"""Microsoft's own group-based licensing: requests and CPU of watching licensed groups, and licensing by either engine.

A request is one HTTP request of the app to the simulated Graph; a batch counts as one. How late the simulated native
licensing is, and how long it takes, are stated settings: no page gives such figures.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from local.client import Client
from local.stack import ROOT, Stack, StackOptions
from tests.bench import measuring

PRODUCT, SECOND = "VISIOCLIENT", "PROJECTPROFESSIONAL"
GOAL_NIGHT, GOAL_HOUR = 130, 10
"""Most requests for one group of 100,000 members with 500 in error: in a night, and in an hour."""

TIMERS = ("sync_all", "watch_errors", "query_deltas", "renew_subscription", "start_first_contact")
PLACED_AT_ONCE = 20_000
PATIENCE_S = 3600.0


def measure(console: Console, options: argparse.Namespace) -> dict[str, Any]:
    """Both parts, in the sizes of the options."""
    groups, members, errors = options.native_groups, options.native_members, options.native_errors
    found: dict[str, Any] = {"watching": [], "engines": []}
    sizes = [(1, members // 3, min(500, members // 30)), (groups, members // groups, errors // groups)]
    for count, each, wrong in sizes:
        with console.status(f"Watching {count} groups of {each:,} members, {wrong} in error ..."):
            found["watching"].append(watching(options, count, each, wrong))
    if options.native_licensed:
        with console.status(f"Licensing {options.native_licensed:,} members by either engine ..."):
            found["engines"] = engines(options)
    return found


@contextmanager
def _stack(options: argparse.Namespace, **native: float) -> Iterator[tuple[Stack, Client]]:
    """A stack whose timers start only when they are fired."""
    off = {f"AzureWebJobs.{name}.Disabled": "true" for name in TIMERS}
    stack_options = StackOptions(
        members=20,
        seed=options.seed,
        scale=options.scale,
        processes=2,
        state_dir=ROOT / ".local" / "bench-native",
        settings=off,
        tenant=("--settings", json.dumps({"notificationHttp": True, **native})),
    )
    with Stack(stack_options) as stack:
        yield stack, Client(stack.endpoints)


def watching(options: argparse.Namespace, groups: int, members: int, errors: int) -> dict[str, Any]:
    """The first night, in which everything is new, and an hour after it."""
    with _stack(options, nativeDelaySeconds=0) as (stack, client):
        # Licenses suffice for all but the last members of the last groups, so those are placed short.
        placed = [_group(client, members, errors) for _ in range(groups)]
        assert len(placed) == groups
        night = _timed(stack, client, "sync_all")
        hour = _timed(stack, client, "watch_errors")
        shown = client.api("GET", "/api/groups")["value"]
        in_error = sum(client.api("GET", f"/api/groups/{each}/status")["counts"].get("Error", 0) for each in placed)
        return {
            "groups": groups,
            "membersOfEach": members,
            "members": groups * members,
            "inError": in_error,
            "expectedInError": groups * errors,
            "listed": len(shown),
            "night": night,
            "hour": hour,
        }


def _group(client: Client, members: int, errors: int) -> str:
    """A group that Microsoft licenses; for so many members no license is left."""
    group, people = str(uuid.uuid4()), [str(uuid.uuid4()) for _ in range(members)]
    for first in range(0, members, PLACED_AT_ONCE):
        client.tenant("POST", "/objects", {"users": [{"id": each} for each in people[first : first + PLACED_AT_ONCE]]})
    used = _used(client, PRODUCT)
    skus = [{"skuPartNumber": PRODUCT, "enabled": used + members - errors}]
    licensed = {"id": group, "displayName": f"native {group[:4]}", "members": people, "assignedLicenses": [PRODUCT]}
    client.tenant("POST", "/objects", {"skus": skus, "groups": [licensed]})
    return group


def _used(client: Client, part_number: str) -> int:
    skus = {each["skuPartNumber"]: each for each in client.api("GET", "/api/subscribedSkus")["value"]}
    return int(skus[part_number]["consumedUnits"]) if part_number in skus else 0


def _timed(stack: Stack, client: Client, timer: str) -> dict[str, Any]:
    """One run of a timer, with everything that it leads to."""
    client.tenant("POST", "/metrics/reset")
    pids = measuring.function_pids(stack)
    cpu, began = measuring.total_cpu_s(pids), time.monotonic()
    client.fire(timer)
    _until_quiet(stack)
    seconds = time.monotonic() - began
    metrics = client.tenant("GET", "/metrics")
    return {
        "requests": metrics["requests"],
        "writes": metrics["writes"],
        "seconds": round(seconds, 1),
        "cpuSeconds": round(measuring.total_cpu_s(pids) - cpu, 2),
    }


def _until_quiet(stack: Stack) -> None:
    """Until no message waits, twice in a row. Raises TimeoutError."""
    ending, quiet = time.monotonic() + PATIENCE_S, 0
    while quiet < 2:
        if time.monotonic() > ending:
            raise TimeoutError("messages are still being worked on")
        with urllib.request.urlopen(f"{stack.endpoints.broker_control}/queues", timeout=60) as answer:
            queues = json.load(answer)["queues"]
        busy = any(each["active"] + each["locked"] for name, each in queues.items() if name != "results")
        quiet = 0 if busy else quiet + 1
        time.sleep(0.3)


def engines(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The same number of members gets a second product: from Microsoft's licensing on this app's request, then directly
    from this app."""
    members, delay, span = options.native_licensed, options.native_delay, options.native_span
    found = []
    with _stack(options, nativeDelaySeconds=delay, nativeSpanSeconds=span) as (stack, client):
        skus = [{"skuPartNumber": SECOND, "enabled": 10 * members}]
        client.tenant("POST", "/objects", {"skus": skus})
        native = _group(client, members, 0)
        client.api("POST", f"/api/groups/{native}/manageNatively", {})
        _until_quiet(stack)
        found.append(
            {"engine": "native", "delaySeconds": delay, "spanSeconds": span, **_license(stack, client, native)}
        )
        people = client.tenant("GET", "/directory")["groups"]
        (ids,) = [each["members"] for each in people if each["id"] == native]
        direct = str(uuid.uuid4())
        skus = [{"skuPartNumber": "POWER_BI_PRO", "enabled": 10 * members}]
        body = {"skus": skus, "groups": [{"id": direct, "displayName": "direct", "members": ids}]}
        client.tenant("POST", "/objects", body)
        found.append({"engine": "direct", **_license(stack, client, direct, "POWER_BI_PRO")})
    return found


def _license(stack: Stack, client: Client, group: str, product: str = SECOND) -> dict[str, Any]:
    sku = client.tenant("GET", "/summary")["skus"][product]
    client.tenant("POST", "/metrics/reset")
    pids = measuring.function_pids(stack)
    cpu, began = measuring.total_cpu_s(pids), time.monotonic()
    body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    operation = client.ended(client.api("POST", f"/api/groups/{group}/assignLicense", body)["id"], PATIENCE_S)
    seconds = time.monotonic() - began
    metrics = client.tenant("GET", "/metrics")
    return {
        "state": operation["state"],
        "members": operation["totals"]["members"],
        "licensed": operation["totals"]["applied"],
        "seconds": round(seconds, 1),
        "requests": metrics["requests"],
        "writes": metrics["writes"],
        "throttled": metrics["throttled"],
        "cpuSeconds": round(measuring.total_cpu_s(pids) - cpu, 2),
    }


def show(console: Console, found: dict[str, Any]) -> None:
    """Both tables, with the goals."""
    table = Table(title="Watching natively licensed groups")
    for heading in ("groups", "members", "in error", "", "requests", "writes", "seconds", "CPU s", "goal"):
        table.add_column(heading, justify="right")
    for each in found["watching"]:
        for name, goal in (("night", GOAL_NIGHT), ("hour", GOAL_HOUR)):
            of = each[name]
            goal_text = f"at most {goal}" if each["members"] == 100_000 and each["groups"] == 1 else ""
            cells = (f"{each['groups']:,}", f"{each['members']:,}", f"{each['inError']:,}", name)
            figures = (of["requests"], of["writes"], of["seconds"], of["cpuSeconds"])
            table.add_row(*cells, *(f"{figure:,}" for figure in figures), goal_text)
    console.print(table)
    table = Table(title="A second product for the members of a group, by engine")
    columns = ("engine", "state", "members", "licensed", "seconds", "requests", "writes", "throttled", "cpuSeconds")
    for heading in columns:
        table.add_column(heading, justify="right")
    for each in found["engines"]:
        table.add_row(*(str(each[name]) for name in columns))
    console.print(table)
    for each in found["engines"]:
        if "delaySeconds" in each:
            delay, span = each["delaySeconds"], each["spanSeconds"]
            console.print(f"native: processing begins {delay:g} s after the call, and takes {span:g} s")
