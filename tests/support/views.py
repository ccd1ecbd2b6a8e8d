"""Every view of the page with something on it, for checks of all of them and for pictures."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.support.stack_hires import accounts, by_queue, event, hiring, until
from tests.support.stack_journeys import PATIENCE_S, Journey, eventually

SCARCE, MOVED = (str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.views.example")) for name in ("scarce", "moved"))
"""Groups that Microsoft's own licensing licenses: one with too few licenses, one that moves to the app."""

CANARY, BIRD = (str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.views.example")) for name in ("canary", "bird"))
NATIVE = [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{number}.views.example")) for number in range(12)]

LEAVERS = 12
"""More than go without a person."""


def _nothing(page: Page) -> None:
    """The view is what its address shows."""


@dataclass(frozen=True)
class View:
    """A view: its address, and what is done there to see it."""

    name: str
    path: str
    act: Callable[[Page], None] = _nothing

    def show(self, page: Page) -> None:
        """Open it in a browser."""
        page.goto(self.path)
        self.act(page)
        page.wait_for_load_state()


@contextmanager
def busy_tenant(folder: Path, members: int = 120) -> Iterator[tuple[Journey, list[View]]]:
    """A stack in which something waits for a person everywhere, and all views of its page."""
    tenant = ("--settings", json.dumps({"nativeDelaySeconds": 0.2, "notificationHttp": True}))
    settings = {"CANARY_GROUP": CANARY, "CANARY_MEMBER": BIRD}
    with hiring(folder, members=members, tenant=tenant, settings=settings) as run:
        yield run, _prepared(run)


def _prepared(run: Journey) -> list[View]:
    scarce = [{"skuId": run.skus["VISIOCLIENT"], "enabled": 40}]
    run.client.tenant("POST", "/objects", {"skus": scarce})
    licensed = run.finish(run.change(run.main, {"SPE_E3": [], "VISIOCLIENT": []}, []))
    run.believe(run.main, {"SPE_E3": [], "VISIOCLIENT": []}, [])
    preview = run.client.ended(run.change(run.main, {"SPE_E5": []}, ["SPE_E3"], "?preview=true")["id"], PATIENCE_S)
    simple = run.client.ended(run.change(run.main, {"EMS": []}, [], "?preview=true")["id"], PATIENCE_S)
    waiting = run.client.ended(run.change(run.main, {}, ["VISIOCLIENT"])["id"], PATIENCE_S)
    assert waiting["state"] == "AwaitingApproval"
    _native(run)
    joiner = _hr(run)
    _message_that_fails(run)
    _first_contact(run)
    (member, *_) = run.errors(run.main)
    proposal: dict[str, Any] = {"match": {"department": ["labs"]}, "groups": [run.groups["sales"]]}
    run.client.decide("/api/onboarding/profiles/interns", proposal, "PUT")
    stopping = _stopping(run)
    run.fire("sync_all")
    eventually(lambda: run.client.api("GET", "/api/overview")["canary"], lambda found: bool(found["changedDateTime"]))
    run.fire("reconcile_due_users")
    return [
        *_licensing(run, member),
        *_native_views(run),
        *_operations(preview, simple, waiting, licensed),
        View("preview-stop-managing", f"/operations/{stopping}"),
        *_others(joiner),
    ]


def _native(run: Journey) -> None:
    """Two natively licensed groups: one in which not everybody has a license, one that waits for the last step of its
    move to the app."""
    objects: dict[str, Any] = {
        "skus": [{"skuPartNumber": "PROJECTPROFESSIONAL", "enabled": 7}],
        "users": [{"id": each, "usageLocation": "DE", "displayName": "Noor Planck"} for each in [*NATIVE, BIRD]],
        "groups": [
            {"id": SCARCE, "displayName": "Planners", "members": NATIVE, "assignedLicenses": ["PROJECTPROFESSIONAL"]},
            {"id": MOVED, "displayName": "Planners, moved", "members": NATIVE[:6], "assignedLicenses": ["EMS"]},
            {"id": CANARY, "displayName": "Canary"},
        ],
    }
    run.client.tenant("POST", "/objects", objects)
    eventually(lambda: run.client.tenant("GET", "/native"), lambda found: not found["steps"])
    run.oracle.meet(run.directory())
    run.fire("watch_errors")
    eventually(lambda: _engines(run), lambda found: found.get(SCARCE) == found.get(MOVED) == "watched")
    run.start(f"/api/groups/{MOVED}/moveLicensing", {"direction": "toDirect"})
    move = f"/api/groups/{MOVED}/moveLicensing"
    eventually(lambda: run.client.api("GET", move)["state"], lambda state: state == "awaitingApproval")


def _engines(run: Journey) -> dict[str, str]:
    return {each["id"]: each["engine"] for each in run.rows("/api/groups?$top=500")}


def _stopping(run: Journey) -> str:
    """A preview of the end of managing a group."""
    sku = run.client.api("GET", f"/api/groups/{run.groups['sales']}/licenseAssignment")["assignedLicenses"][0]["skuId"]
    body = {"addLicenses": [], "removeLicenses": [sku], "keepLicenses": True}
    preview = run.start(f"/api/groups/{run.groups['sales']}/assignLicense?preview=true", body)
    return str(run.client.ended(preview["id"], PATIENCE_S)["id"])


def _native_views(run: Journey) -> list[View]:
    return [
        View("native-groups", "/nativeGroups"),
        View("native-group", f"/nativeGroups/{SCARCE}"),
        View("native-group-all", f"/nativeGroups/{SCARCE}?show=all"),
        View("move", f"/groups/{MOVED}/move"),
        View("move-begin", f"/groups/{run.groups['labs']}/move"),
        View("user-of-native-groups", f"/users/{NATIVE[0]}"),
    ]


def _hr(run: Journey) -> str:
    """Leavers that are held, and a joiner without an account; the key of the joiner's event."""
    people = accounts(run, LEAVERS, displayName="Robin Meyer")
    sales = {"department": "sales"}
    by_queue(run, *(event("joiner", f"in-{n}", {"id": each}, attributes=sales) for n, each in enumerate(people)))
    for number in range(LEAVERS):
        until(run, f"in-{number}", "Done")
    leaving = [event("leaver", f"out-{n}", {"id": each}, removal="P0D") for n, each in enumerate(people)]
    by_queue(run, *leaving, event("joiner", "early", {"employeeId": "<i>77"}, attributes=sales))
    eventually(lambda: run.client.api("GET", "/api/onboarding/held"), lambda found: found["count"] > 0)
    return str(until(run, "early", "WaitingForAccount")["id"])


def _message_that_fails(run: Journey) -> None:
    before = len(run.rows("/api/deadLetters"))
    by_queue(run, event("joiner", "broken", {"employeeId": "78"}, usageLocation="Schweiz"))
    eventually(lambda: run.rows("/api/deadLetters"), lambda found: len(found) > before)


def _first_contact(run: Journey) -> None:
    begun = run.start("/api/firstContact", {"level": "readOnly"})
    eventually(
        lambda: run.client.api("GET", f"/api/firstContact/{begun['id']}"), lambda found: found["state"] == "completed"
    )


def _search(label: str, text: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        page.get_by_label(label).fill(text)
        with page.expect_navigation():
            page.get_by_label(label).press("Enter")

    return act


def _licensing(run: Journey, member: str) -> list[View]:
    product, group = f"/licenses/{run.skus['SPE_E3']}", f"/groups/{run.main}"
    return [
        View("start", "/"),
        View("licenses", "/licenses"),
        View("license", product),
        View("license-users-found", product, _search("Name or sign-in name", "a")),
        View("license-errors", "/licenseErrors"),
        View("groups", "/groups"),
        View("groups-found", "/groups", _search("Group name or ID", "m")),
        View("group", group),
        View("group-all", f"{group}?show=all"),
        View("assign", f"{group}/assign", _choose),
        View("assign-first", f"/groups/{run.groups['overlap']}/assign", _choose),
        View("users", "/users"),
        View("users-found", "/users", _search("Name, sign-in name, mail", "a")),
        View("user", f"/users/{member}"),
        View("search", "/search"),
        View("search-found", "/search", _search("People, groups and products", "e")),
    ]


def _choose(page: Page) -> None:
    """Tick a product and turn one of its apps off, so that the summary is shown."""
    box = page.locator("input[name=sku]:not(:checked)").first
    product = page.locator("section", has=page.locator(f"input[name=sku][value='{box.get_attribute('value')}']"))
    product.locator("input[name=sku]").check()
    product.locator("fieldset input").first.uncheck()
    page.locator("#warnings .summary").wait_for()


def _operations(
    preview: dict[str, Any], simple: dict[str, Any], waiting: dict[str, Any], licensed: dict[str, Any]
) -> list[View]:
    return [
        View("operations", "/operations"),
        View("operation", f"/operations/{licensed['id']}"),
        View("preview", f"/operations/{simple['id']}"),
        View("preview-removal", f"/operations/{preview['id']}"),
        View("predicted-errors", f"/operations/{preview['id']}/errors"),
        View("approvals", "/approvals"),
        View("approval", f"/operations/{waiting['id']}"),
    ]


def _others(joiner: str) -> list[View]:
    return [
        View("onboarding", "/onboarding"),
        View("onboarding-attention", "/onboarding?attention=true"),
        View("onboarding-event", f"/onboarding/{joiner}"),
        View("onboarding-announced", "/onboarding/announced"),
        View("onboarding-profiles", "/onboarding/profiles"),
        View("audit", "/audit"),
        View("health", "/health", lambda page: page.locator("#queues table").wait_for()),
        View("first-contact", "/firstContact"),
        View("failed-messages", "/deadLetters"),
        View("first-day", "/firstDay"),
        View("not-found", "/nothing"),
        View("saved", "/firstDay?done=writingOn"),
    ]
