"""The live part of the demo: a user joins a nested group and leaves it, and an HR event arrives. Each is timed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from local.client import Client

LIMIT_S = 90.0
SPARE_SEATS = 10


def subscribe(client: Client) -> None:
    """Run the timers that subscribe to changes and begin delta now instead of at their next time."""
    for timer in ("renew_subscription", "query_deltas"):
        client.fire(timer)


def show_changes(console: Console, client: Client, groups: Mapping[str, str], sku_id: str, settle_s: int) -> bool:
    """A joiner and a leaver, reported by change notifications only. Returns whether both ended correctly."""
    _buy_seats(console, client, sku_id, groups["main"])
    (user,) = client.tenant("POST", "/objects", {"users": [{"displayName": "Nora Neu", "usageLocation": "DE"}]})[
        "users"
    ]
    inner = groups["main-c"]
    joined = _timed(client, user, {"add": [[inner, user]]}, sku_id, licensed=True)
    if joined is None:
        console.print(f"[red]Nora Neu joined a nested group and was not licensed within {LIMIT_S:.0f} s.[/]")
        return False
    console.print(
        f"   Nora Neu joins a group three levels down: licensed after [bold]{joined:.1f} s[/].", highlight=False
    )
    left = _timed(client, user, {"remove": [[inner, user]]}, sku_id, licensed=False)
    if left is None:
        console.print(f"[red]Nora Neu left the group and was still licensed after {LIMIT_S:.0f} s.[/]")
        return False
    console.print(
        f"   Nora Neu leaves it: license removed after [bold]{left:.1f} s[/], with two reads\n"
        f"   {settle_s} seconds apart (setting REMOVAL_WINDOW; the default is five minutes).",
        highlight=False,
    )
    return _show_joiner(console, client, groups["main"], sku_id)


def _show_joiner(console: Console, client: Client, group: str, sku_id: str) -> bool:
    """An HR event reports a new employee whose profile names a group. Returns whether the user was licensed."""
    profile = {"displayName": "Sales", "match": {"department": ["Sales"]}, "groups": [group]}
    client.save_profile("sales", profile)
    new = {"displayName": "Jo Joiner", "usageLocation": "DE", "employeeId": "100"}
    (user,) = client.tenant("POST", "/objects", {"users": [new]})["users"]
    event = {
        "specversion": "1.0",
        "type": "hr.joiner.v1",
        "source": "urn:demo:hr",
        "id": "demo-1",
        "data": {
            "user": {"employeeId": "100"},
            "effectiveDate": "2026-01-01",
            "attributes": {"department": "Sales"},
        },
    }
    began = time.monotonic()
    taken = client.api("POST", "/api/onboarding", event)["value"][0]
    took = _until_licensed(client, user, sku_id, began, licensed=True)
    if took is None:
        console.print(f"[red]Jo Joiner was not licensed within {LIMIT_S:.0f} s of the HR event.[/]")
        return False
    record = client.api("GET", taken["location"])
    while record["completedDateTime"] is None and time.monotonic() < began + LIMIT_S:
        time.sleep(0.2)
        record = client.api("GET", taken["location"])
    console.print(
        f"   HR reports that Jo Joiner starts in Sales: licensed after [bold]{took:.1f} s[/],\n"
        f"   and the event is {record['state']}.",
        highlight=False,
    )
    return bool(record["state"] == "Done")


def _buy_seats(console: Console, client: Client, sku_id: str, group: str) -> None:
    """More licenses than users wait for: waiting users come first."""
    waiting = client.api("GET", f"/api/groups/{group}/status")["counts"].get("Waiting", 0)
    (sku,) = [each for each in client.api("GET", "/api/subscribedSkus")["value"] if each["skuId"] == sku_id]
    units = {name: sku["prepaidUnits"][name] for name in ("enabled", "warning", "suspended", "lockedOut")}
    units["enabled"] += waiting + SPARE_SEATS
    client.tenant("POST", "/objects", {"skus": [{"skuId": sku_id, **units}]})
    console.print(
        f"   {waiting + SPARE_SEATS} licenses of {sku['skuPartNumber']} are bought, "
        f"{waiting} of them for waiting users.",
        highlight=False,
    )
    client.fire("assign_freed_licenses")


def _timed(client: Client, user: str, change: Mapping[str, Any], sku_id: str, *, licensed: bool) -> float | None:
    """Seconds from a change of membership until the tenant had the user as `licensed`; None after the limit."""
    began = time.monotonic()
    client.tenant("POST", "/membership", dict(change))
    return _until_licensed(client, user, sku_id, began, licensed=licensed)


def _until_licensed(client: Client, user: str, sku_id: str, began: float, *, licensed: bool) -> float | None:
    """Seconds since `began` once the tenant has the user as `licensed`; None after the limit."""
    while time.monotonic() < began + LIMIT_S:
        rows = client.tenant("GET", f"/users/{user}")["licenseAssignmentStates"]
        if any(row["skuId"] == sku_id for row in rows) is licensed:
            return time.monotonic() - began
        time.sleep(0.1)
    return None
