"""One group through its life: preview, assign, other plans, converged, list errors, swap with too few seats, remove."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.journeys import Journey, assert_adds_up, journey

TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"
YAMMER = "7547a3fe-08ee-4ccb-b430-5077c5041653"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    tenant = ("--options", json.dumps({"scarceSeats": True}))
    with journey(tmp_path_factory.mktemp("journey"), tenant=tenant) as started:
        yield started


def test_a_preview_writes_nothing_and_says_what_would_happen(run: Journey) -> None:
    preview = run.finish(run.change(run.main, {"SPE_E3": []}, [], "?preview=true"))
    assert preview["state"] == "ProcessingComplete"
    assert preview["totals"]["members"] == 300
    assert preview["plan"]["additions"][run.skus["SPE_E3"]] > 280
    assert run.writes() == []


def test_every_member_is_licensed_or_shown_with_its_error_and_remedy(run: Journey) -> None:
    operation = run.finish(run.change(run.main, {"SPE_E3": []}, []))
    run.believe(run.main, {"SPE_E3": []}, [])
    assert operation["state"] == "ProcessingComplete", operation["error"]
    assert_adds_up(operation)
    run.must_be_right()
    assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"] == operation["totals"]["applied"]
    directory, desired = run.directory(), run.oracle.desired(run.directory())
    free = {sku["skuId"]: sku["prepaidUnits"]["enabled"] - sku["consumedUnits"] for sku in directory["subscribedSkus"]}
    lacking = {
        user["id"]
        for user in directory["users"]
        if user["id"] in desired
        and run.skus["SPE_E3"]
        not in {row["skuId"] for row in user["licenseAssignmentStates"] if not row["assignedByGroup"]}
    }
    errors = run.errors(run.main)
    assert lacking <= errors.keys()
    assert operation["totals"]["waiting"] > 0 or free[run.skus["SPE_E3"]] > 0
    assert all(problem["remedy"] for row in errors.values() for problem in row["problems"])


def test_a_converged_group_takes_no_write(run: Journey) -> None:
    operation = run.finish(run.start(f"/api/groups/{run.main}/reprocessLicenseAssignment"))
    assert operation["state"] == "ProcessingComplete"
    assert_adds_up(operation)
    assert run.licensed_by_writes(run.writes()) == set()
    run.must_be_right()


def test_turning_plans_off_for_many_waits_for_a_person(run: Journey) -> None:
    waiting = run.client.ended(run.change(run.main, {"SPE_E3": [TEAMS, YAMMER]}, [])["id"], 60)
    assert waiting["state"] == "AwaitingApproval"
    assert run.writes() == []
    operation = run.finish(waiting)
    run.believe(run.main, {"SPE_E3": [TEAMS, YAMMER]}, [])
    assert operation["state"] == "ProcessingComplete", operation["error"]
    run.must_be_right()
    assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"]


def test_approving_another_list_than_the_one_shown_is_refused(run: Journey) -> None:
    waiting = run.client.ended(run.change(run.main, {}, ["SPE_E3"])["id"], 60)
    assert waiting["state"] == "AwaitingApproval"
    with pytest.raises(Exception, match="ChecksumMismatch"):
        run.start(f"/api/operations/{waiting['id']}/approve", {"checksum": "0" * 64})
    run.start(f"/api/operations/{waiting['id']}/reject")
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
    assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"] == 120


def test_when_seats_are_bought_the_rest_is_swapped(run: Journey) -> None:
    run.client.tenant("POST", "/objects", {"skus": [{"skuPartNumber": "SPE_E5", "enabled": 5000, "warning": 0}]})
    import time

    time.sleep(11)
    operation = run.finish(run.start(f"/api/groups/{run.main}/reprocessLicenseAssignment"))
    assert operation["state"] == "ProcessingComplete", operation["error"]
    assert operation["totals"]["waiting"] == 0
    run.must_be_right()


def test_removing_with_approval_takes_away_what_is_ours_and_nothing_else(run: Journey) -> None:
    run.writes()
    operation = run.finish(run.change(run.main, {}, ["SPE_E5"]))
    run.believe(run.main, {}, ["SPE_E5"])
    assert operation["state"] == "ProcessingComplete", operation["error"]
    assert_adds_up(operation)
    run.must_be_right()
    assert len(run.licensed_by_writes(run.writes())) == operation["totals"]["wrote"]
    assert run.errors(run.main) == {}
