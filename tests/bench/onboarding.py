"""From an HR event to the license, beside a bulk operation; and a burst of joiners at the full write quota."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage
from rich.console import Console

from local.client import CallError, Client
from local.stack import ROOT, Stack, StackOptions, hr_senders

LATENCY_MS = (100, 100)
EVENTS_PER_S = 2.0
BATCH = 1000
LATE_S = 120.0
STARTERS = "5d0c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f"


def measure(console: Console, options: argparse.Namespace) -> dict[str, Any]:
    """Both on one stack of its own, whose Graph takes 100 ms a request, at the quota of the run."""
    stack_options = StackOptions(
        members=options.members,
        seed=options.seed,
        scale=options.scale,
        processes=2,
        latency_ms=LATENCY_MS,
        state_dir=ROOT / ".local" / "bench-onboarding",
        settings={"ONBOARDING_GROUPS": STARTERS, "ONBOARDING_SENDERS": hr_senders("urn:hr:bench")},
    )
    with Stack(stack_options) as stack:
        client = Client(stack.endpoints)
        client.fire("renew_subscription")  # as in use: each membership that HR writes is also told by a notification
        summary = client.tenant("GET", "/summary")
        sku, groups = summary["skus"]["SPE_E3"], summary["groups"]
        seats = 10 * options.members + 2 * options.joiners
        client.tenant("POST", "/objects", {"skus": [{"skuId": sku, "enabled": seats}]})
        body = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
        small = client.tenant("POST", "/objects", {"groups": [{"id": STARTERS, "displayName": "starters"}]})["groups"][
            0
        ]
        client.ended(client.api("POST", f"/api/groups/{small}/assignLicense", body)["id"], 60)
        profile = {"match": {"department": ["Sales"]}, "groups": [small]}
        client.save_profile("sales", profile)
        found: dict[str, Any] = {"latencyMs": list(LATENCY_MS), "events": options.events, "scale": options.scale}
        with console.status("Onboarding: joiners while nothing else happens ..."):
            found["idle"] = _one_by_one(client, stack, _people(client, options.events), "idle")
        with console.status("Onboarding: joiners beside a bulk operation ..."):
            bulk = client.api("POST", f"/api/groups/{groups['main']}/assignLicense", body)["id"]
            found["besideBulk"] = _one_by_one(client, stack, _people(client, options.events), "bulk")
            found["bulkStillRunning"] = client.operation(bulk)["state"] == "ProcessingInProgress"
            client.ended(bulk, 3600)
        with console.status(f"Onboarding: {options.joiners:,} joiners in one burst ..."):
            people = _people(client, options.joiners)
            found["burst"] = _burst(client, people, options.scale)
            console.print(found["burst"])
        with console.status(f"Onboarding: {options.joiners:,} leavers by mistake ..."):
            found["leavers"] = _mistake(client, people)
            console.print(found["leavers"])
        return found


def _people(client: Client, count: int) -> list[str]:
    found: list[str] = client.tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}] * count})["users"]
    return found


def _event(name: str, user: str) -> dict[str, Any]:
    data = {"user": {"id": user}, "effectiveDate": "2026-01-01", "attributes": {"department": "Sales"}}
    return {"specversion": "1.0", "type": "hr.joiner.v1", "source": "urn:hr:bench", "id": name, "data": data}


def _leaver(name: str, user: str) -> dict[str, Any]:
    data = {"user": {"id": user}, "effectiveDate": "2026-01-02", "removal": "P0D"}
    return {"specversion": "1.0", "type": "hr.leaver.v1", "source": "urn:hr:bench", "id": name, "data": data}


def _post(client: Client, events: list[dict[str, Any]]) -> None:
    """As a sender does: the same events again where the app was too busy."""
    for pause_s in (1.0, 5.0, 20.0, 0.0):
        try:
            client.api("POST", "/api/onboarding", events)
        except CallError as rejection:
            if rejection.status != 503 or not pause_s:
                raise
            time.sleep(pause_s)
        else:
            return


def _mistake(client: Client, users: list[str]) -> dict[str, Any]:
    """Everybody leaves at once: how many are held, and how many lost the license all the same."""
    after = client.tenant("GET", "/metrics")["lastSeq"]
    began = time.monotonic()
    events = [_leaver(f"leave-{number}", user) for number, user in enumerate(users)]
    for start in range(0, len(events), BATCH):
        _post(client, events[start : start + BATCH])
    held = allowed = 0
    ending = time.monotonic() + len(users) / 5 + LATE_S
    while held + allowed < len(users) and time.monotonic() < ending:
        time.sleep(2.0)
        answer = client.api("GET", "/api/onboarding/held")
        held, allowed = answer["count"], answer["allowedWithin24Hours"]
    page: Any = client.tenant("GET", f"/writes?after={after}&limit=5000")
    left = {entry["userId"] for entry in page if entry["operation"] == "membership"}
    return {
        "leavers": len(users),
        "held": held,
        "allowed": allowed,
        "left": len(left),
        "seconds": round(time.monotonic() - began, 1),
    }


def _one_by_one(client: Client, stack: Stack, users: list[str], name: str) -> dict[str, Any]:
    """Seconds from sending each event to the queue until the tenant's log has the license write of that user."""
    after = client.tenant("GET", "/metrics")["lastSeq"]
    began: dict[str, float] = {}
    with (
        ServiceBusClient.from_connection_string(stack.endpoints.service_bus) as bus,
        bus.get_queue_sender("onboarding") as sender,
    ):
        start = time.time()
        for number, user in enumerate(users):
            time.sleep(max(0.0, number / EVENTS_PER_S - (time.time() - start)))
            began[user] = time.time()
            sender.send_messages(ServiceBusMessage(json.dumps(_event(f"{name}-{number}", user))))
    took = _licensed(client, began, after, LATE_S)
    return {"done": len(took), "of": len(began), **_quantiles(list(took.values()))}


def _licensed(client: Client, began: dict[str, float], after: int, late_s: float) -> dict[str, float]:
    took: dict[str, float] = {}
    ending = time.monotonic() + late_s
    while len(took) < len(began) and time.monotonic() < ending:
        page: Any = client.tenant("GET", f"/writes?after={after}&limit=5000")
        for entry in page:
            after = entry["seq"]
            if entry["operation"] == "assignLicense" and entry["userId"] in began:
                took[entry["userId"]] = entry["time"] - began[entry["userId"]]
        time.sleep(0.2)
    return took


def _burst(client: Client, users: list[str], scale: float) -> dict[str, Any]:
    """All at once by HTTP: how long, and at which rate of writes (a membership and a license each)."""
    client.tenant("POST", "/metrics/reset")
    after = client.tenant("GET", "/metrics")["lastSeq"]
    began = time.time()
    events = [_event(f"burst-{number}", user) for number, user in enumerate(users)]
    for start in range(0, len(events), BATCH):
        _post(client, events[start : start + BATCH])
    accepted = time.time() - began
    needed = 2 * len(users) / (18.0 * scale)
    took = _licensed(client, dict.fromkeys(users, began), after, 4 * needed + LATE_S)
    metrics = client.tenant("GET", "/metrics")
    span = (metrics["lastWrite"] or 0) - (metrics["firstWrite"] or 0)
    rate = metrics["writes"] / span if span else 0.0
    return {
        "joiners": len(users),
        "done": len(took),
        "acceptedSeconds": round(accepted, 1),
        "seconds": round(max(took.values(), default=0.0), 1),
        "writes": metrics["writes"],
        "writesPerSecond": round(rate, 1),
        "shareOfBudget": round(rate / (18.0 * scale), 3),
        "throttled": metrics["throttled"],
    }


def _quantiles(seconds: list[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"p50": round(cuts[49], 3), "p95": round(cuts[94], 3), "max": round(max(seconds), 3)}


def show(console: Console, found: dict[str, Any]) -> None:
    """The figures as sentences."""
    console.print(
        f"HR joiners, {found['events']} at {EVENTS_PER_S:g}/s by the queue, Graph latency {LATENCY_MS[0]} ms, quota "
        f"and budget x {found['scale']:g}:"
    )
    for name, key in (("event to license, idle", "idle"), ("beside a bulk operation", "besideBulk")):
        each = found[key]
        console.print(f"  {name}: {each['done']} of {each['of']}, p50 {each.get('p50')} s, p95 {each.get('p95')} s")
    burst = found["burst"]
    console.print(
        f"  burst: {burst['done']:,} of {burst['joiners']:,} licensed in {burst['seconds']} s (accepted in "
        f"{burst['acceptedSeconds']} s), {burst['writesPerSecond']} writes/s = {burst['shareOfBudget']:.0%} of the "
        f"budget, throttled {burst['throttled']}"
    )
    mistake = found["leavers"]
    console.print(
        f"  {mistake['leavers']:,} leavers by mistake: {mistake['held']:,} held after {mistake['seconds']} s, "
        f"{mistake['left']} left (allowance {mistake['allowed']})"
    )
