"""A natively licensed group on the whole stack: moved to this app, then back, without a moment without the license."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.stack_journeys import Journey, eventually, journey

GROUP = str(uuid.uuid5(uuid.NAMESPACE_DNS, "drawers.moved.example"))
PEOPLE = [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{number}.moved.example")) for number in range(20)]
PRODUCT = "VISIOCLIENT"
MOVE = f"/api/groups/{GROUP}/moveLicensing"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Twenty members with exactly as many licenses."""
    tenant = ("--settings", json.dumps({"nativeDelaySeconds": 0.5}))
    with journey(tmp_path_factory.mktemp("moves"), members=20, tenant=tenant) as started:
        objects: dict[str, Any] = {
            "skus": [{"skuPartNumber": PRODUCT, "enabled": 20}],
            "users": [{"id": each} for each in PEOPLE],
            "groups": [{"id": GROUP, "displayName": "Drawers", "members": PEOPLE, "assignedLicenses": [PRODUCT]}],
        }
        started.client.tenant("POST", "/objects", objects)
        yield started


def moved(run: Journey) -> dict[str, Any]:
    found: dict[str, Any] = run.client.api("GET", MOVE)
    assert found["state"] not in ("paused", "failed"), found["pausedReason"] or found["problem"]
    return found


def finish(run: Journey, direction: str) -> dict[str, Any]:
    """Start a move, approve its last step, and wait for its end."""
    run.start(MOVE, {"direction": direction})
    waiting = eventually(lambda: moved(run), lambda found: found["state"] == "awaitingApproval")
    run.decide(f"{MOVE}/approve", {"checksum": waiting["checksum"]})
    return eventually(lambda: moved(run), lambda found: found["state"] == "done")


def sources(run: Journey) -> set[tuple[str, ...]]:
    """The sources that members have now, of those who kept everything."""
    report = run.client.api("GET", f"{MOVE}/report")
    assert report["outcomes"]["kept"] == len(PEOPLE)
    return {tuple(each["sources"]) for row in report["value"] for each in row["sourcesAfter"]}


def test_a_group_is_moved_to_the_app_and_back(run: Journey) -> None:
    eventually(lambda: run.client.tenant("GET", "/native"), lambda found: not found["steps"])
    run.start(MOVE, {"direction": "toDirect", "preview": True})
    preview = eventually(lambda: moved(run), lambda found: found["state"] == "preview")
    assert (preview["members"], preview["newlyLicensedMembers"]) == (20, 0)
    done = finish(run, "toDirect")
    assert (done["members"], sources(run)) == (20, {("direct",)})
    assert run.client.api("GET", f"/api/groups/{GROUP}/licenseAssignment")["engine"] == "direct"
    finish(run, "toNative")
    assert sources(run) == {("native",)}
    assert run.client.api("GET", f"/api/groups/{GROUP}/licenseAssignment")["engine"] == "native"
    assert {counts["deadLetter"] for counts in run.queues().values()} == {0}
