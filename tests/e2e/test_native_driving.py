"""A natively managed group on the whole stack: a swap with too few licenses, then a removal that needs an approval."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.client import CallError
from tests.support.stack_journeys import Journey, eventually, journey

GROUP = str(uuid.uuid5(uuid.NAMESPACE_DNS, "suite.driving.example"))
PEOPLE = [str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{number}.driving.example")) for number in range(30)]
OLD, NEW = "VISIOCLIENT", "PROJECTPROFESSIONAL"
ACTIVE = ("Active", "ActiveWithError")
SLOW = {"nativeDelaySeconds": 0, "nativeSpanSeconds": 3, "groupCallSeconds": 0.2, "groupLicenseLagSeconds": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Thirty members with one product from the group, and 29 licenses of another."""
    tenant = ("--settings", json.dumps(SLOW))
    with journey(tmp_path_factory.mktemp("driving"), members=50, tenant=tenant) as started:
        objects: dict[str, Any] = {
            "skus": [{"skuPartNumber": OLD, "enabled": 40}, {"skuPartNumber": NEW, "enabled": 29}],
            "users": [{"id": each} for each in PEOPLE],
            "groups": [{"id": GROUP, "displayName": "Suite", "members": PEOPLE, "assignedLicenses": [OLD]}],
        }
        started.client.tenant("POST", "/objects", objects)
        eventually(lambda: held(started), lambda found: all(found.values()))
        yield started


def held(run: Journey) -> dict[str, set[str]]:
    """What each member really has, as the tenant knows it."""
    users = {each["id"]: each for each in run.directory()["users"]}
    return {
        each: {row["skuId"] for row in users[each]["licenseAssignmentStates"] if row["state"] in ACTIVE}
        for each in PEOPLE
    }


@contextmanager
def nobody_without(run: Journey, *products: str) -> Iterator[list[int]]:
    """The tenant is asked again and again: how many members have none of the products. Yields the answers."""
    wanted, over, lacking = {run.skus[each] for each in products}, threading.Event(), list[int]()

    def ask() -> None:
        while not over.is_set():
            lacking.append(sum(not each & wanted for each in held(run).values()))
            time.sleep(0.1)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield lacking
    finally:
        over.set()
        asking.join(30)


def group_calls(run: Journey) -> list[str]:
    return [each["operation"] for each in run.writes() if each["userId"] == GROUP]


def test_a_watched_group_rejects_the_swap_until_a_person_manages_it(run: Journey) -> None:
    run.fire("watch_errors")
    eventually(lambda: engines(run).get(GROUP), lambda found: found == "watched")
    with pytest.raises(CallError):
        run.change(GROUP, {}, [OLD])
    assert run.start(f"/api/groups/{GROUP}/manageNatively")["engine"] == "native"
    preview = run.finish(run.change(GROUP, {NEW: []}, [OLD], "?preview=true"))
    assert preview["plan"]["licensesNeeded"] == {run.skus[NEW]: 30}
    assert "waits until there are enough" in " ".join(preview["plan"]["warnings"])
    assert group_calls(run) == []


def engines(run: Journey) -> dict[str, str]:
    return {each["id"]: each["engine"] for each in run.rows("/api/groups")}


def test_a_swap_with_too_few_licenses_leaves_nobody_without_a_product_at_any_moment(run: Journey) -> None:
    with nobody_without(run, OLD, NEW) as lacking:
        asked = run.change(GROUP, {NEW: []}, [OLD])
        waiting = eventually(
            lambda: run.client.operation(asked["id"]), lambda each: each["state"] == "AwaitingApproval"
        )
        assert waiting["plan"]["usersLosing"] == 30  # the two products have different apps
        run.decide(f"/api/operations/{asked['id']}/approve", {"checksum": waiting["checksum"]})
        short = eventually(lambda: run.client.operation(asked["id"]), lambda each: each["error"] is not None)
        assert (short["error"]["code"], short["nativeStage"]) == ("WaitingForLicenses", "checkMembers")
        assert group_calls(run) == []
        run.client.tenant("POST", "/objects", {"skus": [{"skuPartNumber": NEW, "enabled": 30}]})
        done = run.until_ended(asked["id"])
        assert (done["state"], done["totals"]["applied"], done["totals"]["failed"]) == ("ProcessingComplete", 30, 0)
    assert len(lacking) > 20
    assert max(lacking) == 0
    assert set(map(frozenset, held(run).values())) == {frozenset({run.skus[NEW]})}
    assert group_calls(run) == ["groupAssignLicense"]
    status = run.client.api("GET", f"/api/groups/{GROUP}/status")
    assert (status["engine"], status["counts"]) == ("native", {"Active": 30})
    entries = {each["activityDisplayName"] for each in run.rows(f"/api/audit?group={GROUP}")}
    assert {"Change licensing engine of group", "Set group license", "Approve license removals"} <= entries
    assert "Finish applying group based license to users" in entries


def test_a_rejected_removal_leaves_the_group_as_it_is_and_watching_writes_nothing(run: Journey) -> None:
    asked = run.change(GROUP, {}, [NEW])
    waiting = eventually(lambda: run.client.operation(asked["id"]), lambda each: each["state"] == "AwaitingApproval")
    assert waiting["plan"]["removals"] == {run.skus[NEW]: 30}
    run.decide(f"/api/operations/{asked['id']}/reject")
    assert run.until_ended(asked["id"])["state"] == "Cancelled"
    assert run.start(f"/api/groups/{GROUP}/stopManagingNatively")["engine"] == "watched"
    run.fire("sync_all")
    run.until_quiet()
    assert run.writes() == []
    assert set(map(frozenset, held(run).values())) == {frozenset({run.skus[NEW]})}
    assert {counts["deadLetter"] for counts in run.queues().values()} == {0}
