"""The part of the demo about Microsoft's own group-based licensing: a group with errors is watched, diagnosed, repaired
and moved to this app."""

from __future__ import annotations

import textwrap
import time
import uuid
from collections.abc import Callable
from typing import Any

from rich.console import Console

from local.client import CallError, Client

MEMBERS, SHORT = 20, 3
"""Members of the group, and how many licenses are missing for them."""

PRODUCT = "VISIOCLIENT"
GROUP = "Drawers"
LIMIT_S = 120.0
WIDTH = 80
STOPS = ("awaitingApproval", "paused", "failed", "done", "preview")


def show_native(console: Console, client: Client, limit_s: float = LIMIT_S) -> bool:
    """Returns whether each step ended as it should."""
    show = _Showing(console, client, limit_s)
    try:
        group = place(client)
        return _watch(show, group) and _repair(show, group) and _move(show, group)
    except TimeoutError as fault:
        console.print(f"   [red]Not within {limit_s:.0f} s:[/] {fault}", highlight=False)
        return False


class _Showing:
    """Prints lines of at most 80 columns, and waits for answers of the app."""

    def __init__(self, console: Console, client: Client, limit_s: float) -> None:
        self.console, self.client, self.limit_s = console, client, limit_s
        self.began = time.monotonic()

    def line(self, text: str, *, edge: int = 3) -> None:
        """A paragraph, its lines indented by so many columns."""
        space = " " * edge
        filled = textwrap.fill(text, WIDTH, initial_indent=space, subsequent_indent=space, break_long_words=False)
        self.console.print(filled, highlight=False, markup=False)

    def until(self, what: str, path: str, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The answer of the app once it is good. Raises TimeoutError."""
        began = time.monotonic()
        while time.monotonic() < began + self.limit_s:
            try:
                found = self.client.api("GET", path)
            except CallError as fault:
                if fault.status != 404:
                    raise
                found = {}
            if found and good(found):
                return found
            time.sleep(0.2)
        raise TimeoutError(what)


def place(client: Client) -> str:
    """A group that Microsoft licenses, and too few licenses for its last members. Returns its ID."""
    skus = {each["skuPartNumber"]: each for each in client.api("GET", "/api/subscribedSkus")["value"]}
    used = skus[PRODUCT]["consumedUnits"] if PRODUCT in skus else 0
    people = [str(uuid.uuid4()) for _ in range(MEMBERS)]
    group = str(uuid.uuid4())
    client.tenant(
        "POST",
        "/objects",
        {
            "skus": [{"skuPartNumber": PRODUCT, "enabled": used + MEMBERS - SHORT}],
            "users": [{"id": each, "displayName": f"Drawer {n}"} for n, each in enumerate(people, 1)],
            "groups": [{"id": group, "displayName": GROUP, "members": people, "assignedLicenses": [PRODUCT]}],
        },
    )
    return group


def _watch(show: _Showing, group: str) -> bool:
    """The hourly timer finds the group and reads its members."""
    show.client.fire("watch_errors")
    found = show.until("the group is watched", f"/api/groups/{group}/status", lambda each: bool(each.get("counts")))
    counts = found["counts"]
    listed = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
    show.line(f"Microsoft assigns {PRODUCT} to the group {GROUP}. The app watches it: {listed}.")
    return bool(counts.get("Error") == SHORT)


def _repair(show: _Showing, group: str) -> bool:
    """One member is diagnosed. Then licenses are bought, and the members in error are processed again."""
    rows = show.client.api("GET", f"/api/groups/{group}/membersWithLicenseErrors")["value"]
    found = show.client.api("POST", f"/api/groups/{group}/members/{rows[0]['id']}/diagnose", {})
    show.line(f"Diagnose {rows[0]['displayName']}. Graph's reason:")
    show.line(found["diagnosis"]["message"], edge=11)
    (sku,) = [
        each for each in show.client.api("GET", "/api/subscribedSkus")["value"] if each["skuPartNumber"] == PRODUCT
    ]
    enabled = sku["prepaidUnits"]["enabled"] + SHORT
    show.client.tenant("POST", "/objects", {"skus": [{"skuId": sku["skuId"], "enabled": enabled}]})
    began = time.monotonic()
    show.client.api("POST", f"/api/groups/{group}/reprocessLicenseErrors", {})
    show.until(
        "the members are processed",
        f"/api/groups/{group}/status",
        lambda each: each["counts"].get("Active") == MEMBERS,
    )
    took = time.monotonic() - began
    show.line(f"{SHORT} licenses are bought. Reprocess: all {MEMBERS} members are Active after {took:.1f} s.")
    return True


def _move(show: _Showing, group: str) -> bool:
    """The group moves to this app: preview, pilot users, all others, an approval, the report."""
    path = f"/api/groups/{group}/moveLicensing"
    show.client.api("POST", path, {"direction": "toDirect", "preview": True})
    preview = show.until("the preview of the move", path, lambda each: each["state"] in STOPS)
    needed = sum(each["needed"] for each in preview["licensesNeeded"])
    show.line(f"Preview of a move to this app: {preview['members']} members, {needed} more licenses needed.")
    began = time.monotonic()
    show.client.api("POST", path, {"direction": "toDirect", "waves": [100]})
    waiting = show.until("the members are verified", path, lambda each: each["state"] in STOPS)
    if waiting["state"] != "awaitingApproval":
        show.line(f"The move is {waiting['state']}: {waiting['pausedReason'] or waiting['problem']}")
        return False
    show.line("Move: everybody has the same apps from the app too, verified twice. A person approves the last step.")
    show.client.decide(f"{path}/approve", {"checksum": waiting["checksum"]})
    done = show.until("the last step", path, lambda each: each["state"] in ("done", "paused", "failed"))
    outcomes = show.client.api("GET", f"{path}/report")["outcomes"]
    listed = ", ".join(f"{number} {name}" for name, number in outcomes.items() if number)
    show.line(f"The move is {done['state']} after {time.monotonic() - began:.1f} s. Its report: {listed}.")
    return bool(done["state"] == "done" and outcomes["kept"] == MEMBERS)
