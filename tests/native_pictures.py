"""Pictures of a natively licensed group for the documents: watched, in error, and moved up to its last step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from local.client import Client
from local.native_demo import PRODUCT, SHORT, place
from tests.support.browsing import signed_in
from tests.support.stack_journeys import Journey, eventually

WIDE = {"width": 1280, "height": 800}
ROLE = "Global Administrator"


def take(run: Journey, browser: Browser, folder: Path) -> None:
    """A new group, watched and photographed, then repaired and moved until a person must approve the last step."""
    client = run.client
    group = place(client)
    client.fire("watch_errors")
    status = f"/api/groups/{group}/status"
    known = f"/api/groups/{group}/membersWithLicenseErrors"
    eventually(lambda: [each["id"] for each in client.api("GET", "/api/groups")["value"]], lambda ids: group in ids)
    rows = eventually(lambda: client.api("GET", known)["value"], lambda found: len(found) == SHORT)
    client.api("POST", f"/api/groups/{group}/members/{rows[0]['id']}/diagnose", {})
    with signed_in(run, browser, ROLE, viewport=WIDE, color_scheme="light") as page:
        page.goto("/nativeGroups")
        page.screenshot(path=folder / "native-groups.png")
        page.goto(f"/nativeGroups/{group}")
        page.screenshot(path=folder / "native-group.png", full_page=True)
        _repair(client, group, status)
        path = f"/api/groups/{group}/moveLicensing"
        client.api("POST", path, {"direction": "toDirect", "waves": [100]})
        eventually(lambda: client.api("GET", path), lambda found: found["state"] == "awaitingApproval")
        page.goto(f"/groups/{group}/move")
        page.screenshot(path=folder / "move.png")


def _repair(client: Client, group: str, status: str) -> None:
    skus: list[dict[str, Any]] = client.api("GET", "/api/subscribedSkus")["value"]
    (sku,) = [each for each in skus if each["skuPartNumber"] == PRODUCT]
    enabled = sku["prepaidUnits"]["enabled"] + SHORT
    client.tenant("POST", "/objects", {"skus": [{"skuId": sku["skuId"], "enabled": enabled}]})
    client.api("POST", f"/api/groups/{group}/reprocessLicenseErrors", {})
    eventually(lambda: client.api("GET", status)["counts"], lambda counts: not counts.get("Error"))
