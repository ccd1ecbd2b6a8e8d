"""From a change of membership to the license, idle and beside a bulk operation; and how fast the webhook accepts."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rich.console import Console

from local.client import Client
from local.stack import ROOT, Stack, StackOptions

LATENCY_MS = (100, 100)
EVENTS_PER_S = 2.0
LEAVERS = {"alone": (1, 10), "burst": (20, 60), "crowd": (100, 200)}
"""Members who leave at once, and members before that. A group of that size may lose 20 in a day without approval."""

NOTIFICATIONS_PER_MINUTE = 1000
ACCEPT_S = 60
LATE_S = 420.0


def measure(console: Console, options: argparse.Namespace) -> dict[str, Any]:
    """Everything on one stack of its own, whose Graph takes 100 ms a request, at the quota of the run."""
    stack_options = StackOptions(
        members=options.members,
        seed=options.seed,
        scale=options.scale,
        processes=2,
        latency_ms=LATENCY_MS,
        state_dir=ROOT / ".local" / "bench-changes",
    )
    with Stack(stack_options) as stack:
        client = Client(stack.endpoints)
        client.fire("renew_subscription")
        summary = client.tenant("GET", "/summary")
        sku, groups = summary["skus"]["SPE_E3"], summary["groups"]
        client.tenant("POST", "/objects", {"skus": [{"skuId": sku, "enabled": 10 * options.members}]})
        body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
        small = client.tenant("POST", "/objects", {"groups": [{"displayName": "small"}]})["groups"][0]
        client.ended(client.api("POST", f"/api/groups/{small}/assignLicense", body)["id"], 60)
        results: dict[str, Any] = {"latencyMs": list(LATENCY_MS), "events": options.events}
        with console.status("Changes: joiners while nothing else happens ..."):
            users = _joiners(client, options.events)
            results["idle"] = _latencies(client, [(small, user) for user in users], "add")
        with console.status("Changes: leavers ..."):
            results["leavers"] = _leaving(client, body)
        with console.status("Changes: joiners beside a bulk operation ..."):
            bulk = client.api("POST", f"/api/groups/{groups['main']}/assignLicense", body)["id"]
            users = _joiners(client, options.events)
            results["besideBulk"] = _latencies(client, [(small, user) for user in users], "add")
            results["bulkStillRunning"] = client.operation(bulk)["state"] == "ProcessingInProgress"
        with console.status("Changes: accepting notifications ..."):
            results["accept"] = _accepting(client, stack, small)
        return results


def _joiners(client: Client, count: int) -> list[str]:
    found: list[str] = client.tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}] * count})["users"]
    return found


def _latencies(client: Client, pairs: list[tuple[str, str]], how: str) -> dict[str, Any]:
    """Seconds from each change until the tenant's own log has the license write of that user."""
    after = client.tenant("GET", "/metrics")["lastSeq"]
    began: dict[str, float] = {}
    for number, (group, user) in enumerate(pairs):
        time.sleep(max(0.0, number / EVENTS_PER_S - (time.time() - min(began.values(), default=time.time()))))
        began[user] = time.time()
        client.tenant("POST", "/membership", {how: [[group, user]]})
    took = _until_written(client, began, after)
    return {"done": len(took), "of": len(began), **_quantiles(list(took.values()))}


def _until_written(client: Client, began: dict[str, float], after: int) -> dict[str, float]:
    took: dict[str, float] = {}
    ending = time.monotonic() + LATE_S
    while len(took) < len(began) and time.monotonic() < ending:
        page: Any = client.tenant("GET", f"/writes?after={after}&limit=5000")
        for entry in page:
            after = entry["seq"]
            if entry["operation"] == "assignLicense" and entry["userId"] in began:
                took[entry["userId"]] = entry["time"] - began[entry["userId"]]
        time.sleep(0.2)
    return took


def _leaving(client: Client, body: dict[str, Any]) -> dict[str, Any]:
    """Seconds from leaving until the license is gone: of one person, of a burst within the allowance of a group, and of
    a crowd beyond it, who must all be held. They leave three groups at the same time."""
    leaving: dict[str, list[tuple[str, str]]] = {}
    for name, (going, count) in LEAVERS.items():
        users = _joiners(client, count)
        placed = client.tenant("POST", "/objects", {"groups": [{"displayName": name, "members": users}]})
        group = placed["groups"][0]
        client.ended(client.api("POST", f"/api/groups/{group}/assignLicense", body)["id"], 120)
        leaving[name] = [(group, user) for user in users[:going]]
    after = client.tenant("GET", "/metrics")["lastSeq"]
    began: dict[str, float] = {}
    for pairs in leaving.values():
        began |= dict.fromkeys((user for _, user in pairs), time.time())
        client.tenant("POST", "/membership", {"remove": [list(pair) for pair in pairs]})
    took = _until_written(client, began, after)
    found = {}
    for name, pairs in leaving.items():
        times = [took[user] for _, user in pairs if user in took]
        found[name] = {"done": len(times), "of": len(pairs), "max": max(times, default=None), **_quantiles(times)}
    return found


def _quantiles(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {
        "p50": round(cuts[49], 3),
        "p95": round(cuts[94], 3),
        "p99": round(cuts[98], 3),
        "max": round(max(seconds), 3),
    }


def _accepting(client: Client, stack: Stack, managed: str) -> dict[str, Any]:
    """Notifications as Graph posts them, nine of ten about groups nobody manages; seconds until each was answered."""
    (subscription,) = [each for each in _subscriptions(client) if each["clientState"]]
    chance = random.Random(1)
    count = NOTIFICATIONS_PER_MINUTE * ACCEPT_S // 60
    bodies = [_body(subscription, stack, managed if chance.random() < 0.1 else str(uuid.uuid4())) for _ in range(count)]
    took: list[float] = []
    statuses: Counter[int] = Counter()
    lock = threading.Lock()

    def post(body: bytes) -> None:
        request = urllib.request.Request(f"{stack.endpoints.api}/graph/notifications", body, method="POST")
        request.add_header("content-type", "application/json")
        began = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status = answer.status
        except urllib.error.HTTPError as rejection:
            status = rejection.code
        with lock:
            took.append(time.perf_counter() - began)
            statuses[status] += 1

    with ThreadPoolExecutor(32) as pool:
        began = time.monotonic()
        for number, body in enumerate(bodies):
            time.sleep(max(0.0, number * 60 / NOTIFICATIONS_PER_MINUTE - (time.monotonic() - began)))
            pool.submit(post, body)
    return {"posted": count, "statuses": {str(key): value for key, value in statuses.items()}, **_quantiles(took)}


def _subscriptions(client: Client) -> list[dict[str, Any]]:
    found: Any = client.tenant("GET", "/subscriptions")
    return list(found)


def _body(subscription: dict[str, Any], stack: Stack, group: str) -> bytes:
    notification = {
        "changeType": "updated",
        "clientState": subscription["clientState"],
        "resource": f"Groups/{group}",
        "resourceData": {
            "@odata.type": "#Microsoft.Graph.Group",
            "@odata.id": f"Groups/{group}",
            "id": group,
            "organizationId": stack.endpoints.tenant_id,
            "members@delta": [{"id": str(uuid.uuid4())}],
        },
        "subscriptionId": subscription["id"],
        "subscriptionExpirationDateTime": subscription["expirationDateTime"],
        "tenantId": stack.endpoints.tenant_id,
    }
    return json.dumps({"value": [notification]}).encode()


def show(console: Console, found: dict[str, Any]) -> None:
    """The figures as sentences."""
    console.print(
        f"Changes of membership, {found['events']} events at {EVENTS_PER_S:g}/s, Graph latency {LATENCY_MS[0]} ms:"
    )
    for name, key in (
        ("joiner to license, idle", "idle"),
        ("beside a bulk operation", "besideBulk"),
    ):
        each = found[key]
        console.print(f"  {name}: {each['done']} of {each['of']}, p50 {each.get('p50')} s, p95 {each.get('p95')} s")
    for name, each in found["leavers"].items():
        console.print(f"  leavers, {name}: {each['done']} of {each['of']} unlicensed, slowest {each['max']} s")
    accept = found["accept"]
    console.print(
        f"  webhook, {NOTIFICATIONS_PER_MINUTE}/min: {accept['statuses']}, p50 {accept['p50']} s, p99 {accept['p99']} s"
    )
