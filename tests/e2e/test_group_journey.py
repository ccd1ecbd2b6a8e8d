"""One group through its life: preview, assign, other plans, converged, list errors, swap with too few seats, remove."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest

from local.client import CallError
from tests.support.stack_journeys import PATIENCE_S, Journey, assert_adds_up, eventually, journey

TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"
YAMMER = "7547a3fe-08ee-4ccb-b430-5077c5041653"
ONEDRIVE_BASIC = "da792a53-cbc0-4184-a10d-e544dd34b3c1"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    tenant = ("--options", json.dumps({"scarceSeats": True}))
    by_hand = {
        "AzureWebJobs.assign_freed_licenses.Disabled": "true"
    }  # who gets which seat must not depend on the second
    with journey(tmp_path_factory.mktemp("journey"), tenant=tenant, settings=by_hand) as started:
        yield started


def test_a_preview_writes_nothing_and_says_what_would_happen(run: Journey) -> None:
    preview = run.finish(run.change(run.main, {"SPE_E3": []}, [], "?preview=true"))
    assert preview["state"] == "ProcessingComplete"
    assert preview["totals"]["members"] == 300
    assert preview["plan"]["additions"][run.skus["SPE_E3"]] > 280
    assert run.writes() == []
    members = run.rows(f"/api/operations/{preview['id']}/members?$top=100")
    assert len({member["id"] for member in members}) == preview["totals"]["members"]
    assert sum(bool(member["addLicenses"]) for member in members) == preview["plan"]["additions"][run.skus["SPE_E3"]]


def test_every_member_is_licensed_or_shown_with_its_error_and_remedy(run: Journey) -> None:
    operation = run.finish(run.change(run.main, {"SPE_E3": []}, []))
    run.believe(run.main, {"SPE_E3": []}, [])
    assert operation["state"] == "ProcessingComplete", operation["error"]
    assert_adds_up(operation)
    run.must_be_right()
    assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"] == operation["totals"]["applied"]
    assert operation["totals"]["waiting"] > 0
    run.errors_must_be_true(run.main)


def test_a_converged_group_takes_no_write(run: Journey) -> None:
    operation = run.finish(run.start(f"/api/groups/{run.main}/reprocessLicenseAssignment"))
    assert operation["state"] == "ProcessingComplete"
    assert_adds_up(operation)
    assert run.licensed_by_writes(run.writes()) == set()
    run.must_be_right()
    run.errors_must_be_true(run.main)


def test_turning_plans_off_for_many_waits_for_a_person(run: Journey) -> None:
    waiting = run.client.ended(run.change(run.main, {"SPE_E3": [TEAMS, YAMMER]}, [])["id"], PATIENCE_S)
    assert waiting["state"] == "AwaitingApproval"
    assert run.writes() == []
    operation = run.finish(waiting)
    run.believe(run.main, {"SPE_E3": [TEAMS, YAMMER]}, [])
    assert operation["state"] == "ProcessingComplete", operation["error"]
    run.must_be_right()
    assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"]


def test_approving_another_list_than_the_one_shown_is_rejected(run: Journey) -> None:
    waiting = run.client.ended(run.change(run.main, {}, ["SPE_E3"])["id"], PATIENCE_S)
    assert waiting["state"] == "AwaitingApproval"
    with pytest.raises(CallError, match="PersonRequired"):
        run.start(f"/api/operations/{waiting['id']}/approve", {"checksum": waiting["checksum"]})
    with pytest.raises(CallError, match="Conflict"):
        run.decide(f"/api/operations/{waiting['id']}/approve", {"checksum": "0" * 64})
    run.decide(f"/api/operations/{waiting['id']}/reject")
    rejected = run.until_ended(waiting["id"])
    assert (rejected["state"], rejected["error"]["code"]) == ("Cancelled", "Rejected")
    assert run.writes() == []


def test_what_was_rejected_is_kept_when_somebody_looks_again(run: Journey) -> None:
    operation = run.finish(run.start(f"/api/groups/{run.main}/reprocessLicenseAssignment"))
    assert operation["state"] == "ProcessingComplete"
    assert run.licensed_by_writes(run.writes()) == set()


def test_a_swap_with_too_few_seats_leaves_nobody_without_a_license(run: Journey) -> None:
    run.finish(run.change(run.main, {"SPE_E3": []}, []))
    run.believe(run.main, {"SPE_E3": []}, [])
    run.must_be_right()
    run.writes()
    seats = next(s for s in run.directory()["subscribedSkus"] if s["skuPartNumber"] == "SPE_E5")
    few = {"skus": [{"skuPartNumber": "SPE_E5", "enabled": seats["consumedUnits"] + 120, "warning": 0}]}
    run.client.tenant("POST", "/objects", few)
    operation = run.finish(run.change(run.main, {"SPE_E5": []}, ["SPE_E3"]))
    run.believe(run.main, {"SPE_E5": []}, ["SPE_E3"])
    assert operation["state"] == "ProcessingComplete", operation["error"]
    assert_adds_up(operation)
    assert operation["totals"]["waiting"] > 100
    run.must_be_right()
    run.errors_must_be_true(run.main)
    assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"] == 120


def waiting(run: Journey) -> dict[str, str]:
    """Who waits, and since when."""
    rows = run.errors(run.main).items()
    return {user: row["waitingSinceDateTime"] for user, row in rows if row["state"] == "Waiting"}


def listed_as_waiting(run: Journey) -> int:
    """How many members wait, in the list of groups."""
    (group,) = [each for each in run.rows("/api/groups") if each["id"] == run.main]
    return int(group["counts"].get("Waiting", 0))


def test_when_a_few_seats_are_bought_the_longest_wait_is_over_first_and_nobody_asked(run: Journey) -> None:
    before = waiting(run)
    seats = next(s for s in run.directory()["subscribedSkus"] if s["skuPartNumber"] == "SPE_E5")
    more = {"skus": [{"skuPartNumber": "SPE_E5", "enabled": seats["consumedUnits"] + 30, "warning": 0}]}
    run.client.tenant("POST", "/objects", more)
    run.fire("assign_freed_licenses")
    after = eventually(lambda: waiting(run), lambda found: len(found) <= len(before) - 30)
    assert len(after) == len(before) - 30
    assert max(before[user] for user in before.keys() - after.keys()) <= min(after.values())
    assert {user: since for user, since in after.items() if before[user] != since} == {}
    status = run.client.api("GET", f"/api/groups/{run.main}/status")
    (product,) = [each for each in status["products"] if each["skuId"] == run.skus["SPE_E5"]]
    assert status["counts"]["Waiting"] == product["waiting"] == len(after)
    run.fire("reconcile_due_users")
    eventually(lambda: listed_as_waiting(run), lambda found: found == len(after))


def test_when_seats_for_all_are_bought_the_rest_is_swapped(run: Journey) -> None:
    run.client.tenant("POST", "/objects", {"skus": [{"skuPartNumber": "SPE_E5", "enabled": 5000, "warning": 0}]})
    operation = run.finish(run.start(f"/api/groups/{run.main}/reprocessLicenseAssignment"))
    assert operation["state"] == "ProcessingComplete", operation["error"]
    assert operation["totals"]["waiting"] == 0
    run.must_be_right()
    run.errors_must_be_true(run.main)


def test_removing_with_approval_takes_away_what_the_app_assigned_and_nothing_else(run: Journey) -> None:
    run.writes()
    operation = run.finish(run.change(run.main, {}, ["SPE_E5"]))
    run.believe(run.main, {}, ["SPE_E5"])
    assert operation["state"] == "ProcessingComplete", operation["error"]
    assert_adds_up(operation)
    run.must_be_right()
    assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"]
    assert run.errors(run.main) == {}


def test_a_plan_is_off_only_where_every_group_turns_it_off_and_a_license_goes_with_its_last_group(run: Journey) -> None:
    run.client.tenant("POST", "/objects", {"skus": [{"skuPartNumber": "VISIOCLIENT", "enabled": 500}]})
    outer, inner = run.groups["main-b"], run.groups["main-c"]
    steps: tuple[tuple[str, dict[str, list[str]], list[str]], ...] = (
        (outer, {"VISIOCLIENT": [ONEDRIVE_BASIC]}, []),
        (inner, {"VISIOCLIENT": []}, []),
        (inner, {}, ["VISIOCLIENT"]),
        (outer, {}, ["VISIOCLIENT"]),
    )
    for group, add, remove in steps:
        run.writes()
        operation = run.finish(run.change(group, add, remove))
        run.believe(group, add, remove)
        assert operation["state"] == "ProcessingComplete", operation["error"]
        assert_adds_up(operation)
        run.must_be_right()
        assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"] > 0


@contextmanager
def without_permission(run: Journey, name: str) -> Iterator[None]:
    """The app's identity lacks a permission, at once and not with its next token."""
    granted = run.client.tenant("GET", "/summary")["clients"]["product"]["permissions"]
    less = [each for each in granted if each != name]
    assert less != granted
    try:
        run.client.tenant("PATCH", "/settings", {"permissionsFromToken": False, "permissions": {"product": less}})
        yield
    finally:
        run.client.tenant("PATCH", "/settings", {"permissionsFromToken": True, "permissions": {"product": granted}})


@pytest.mark.parametrize("name", ["mail", "native", "unknown", "hidden"])
def test_a_group_that_cannot_be_licensed_is_rejected_with_a_reason_and_nothing_is_kept(run: Journey, name: str) -> None:
    group = run.groups.get(name, "00000000-0000-0000-0000-000000000009")
    before = len(run.rows("/api/operations?$top=100"))
    lacks = without_permission(run, "Member.Read.Hidden") if name == "hidden" else nullcontext()
    with lacks, pytest.raises(CallError, match="error") as rejection:
        run.change(group, {"SPE_E3": []}, [])
    assert 400 <= rejection.value.status < 500
    assert len(run.rows("/api/operations?$top=100")) == before
    assert run.writes() == []


def test_an_hour_of_the_audit_log_is_closed_in_the_blob_service_and_verifies(run: Journey) -> None:
    run.fire("close_audit_hours")
    health = eventually(
        lambda: run.client.api("GET", "/api/overview")["auditDigests"], lambda found: bool(found["closedHour"])
    )
    assert health["fault"] is None
    proof = run.client.api("GET", "/api/audit/verify")
    assert (proof["verified"], proof["faults"]) == (True, [])
    assert {each["state"] for each in proof["hours"]} >= {"verified", "notClosed"}
    assert sum(each["entries"] for each in proof["hours"]) > 100
