"""Operations under way: paused, resumed, cancelled, superseded; requests by message and on named users."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from tests.e2e.journeys import Journey, assert_adds_up, journey


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    few_at_a_time = {"OUTSTANDING_CHUNKS": "4"}
    directory = tmp_path_factory.mktemp("operations")
    with journey(directory, members=500, seed=11, scale=3.0, settings=few_at_a_time) as started:
        yield started


def _send_job(run: Journey, job: Mapping[str, object], times: int = 1) -> None:
    with (
        ServiceBusClient.from_connection_string(run.stack.endpoints.service_bus) as client,
        client.get_queue_sender("jobs") as sender,
    ):
        for _ in range(times):
            sender.send_messages(ServiceBusMessage(json.dumps(job)))


def _operations(run: Journey) -> list[dict[str, object]]:
    found: list[dict[str, object]] = run.client.api("GET", "/api/operations?$top=50")["value"]
    return found


def _wait_for_operations(run: Journey, count: int) -> list[dict[str, object]]:
    ending = time.monotonic() + 30
    while len(found := _operations(run)) < count and time.monotonic() < ending:
        time.sleep(0.3)
    return found


def test_a_job_message_sent_twice_makes_one_operation_on_its_users(run: Journey) -> None:
    users = sorted(run.oracle.before)[:3]
    outsiders = [user for user in users if not run.oracle.before[user]["deleted"]]
    job = {
        "version": "1.0",
        "id": "job-1",
        "operation": "assignLicense",
        "userIds": outsiders,
        "addLicenses": [{"skuId": run.skus["POWER_BI_PRO"], "disabledPlans": []}],
        "removeLicenses": [],
    }
    _send_job(run, job, times=2)
    _wait_for_operations(run, 1)
    time.sleep(2)
    (operation,) = _operations(run)
    ended = run.until_ended(str(operation["id"]))
    assert ended["state"] == "ProcessingComplete", ended["error"]
    assert ended["totals"]["members"] == len(outsiders)
    licensed = {
        user["id"]
        for user in run.directory()["users"]
        if run.skus["POWER_BI_PRO"] in {row["skuId"] for row in user["licenseAssignmentStates"]}
    }
    assert set(outsiders) <= licensed
    run.oracle.give(outsiders, run.skus["POWER_BI_PRO"])
    run.must_be_right()


def test_a_job_that_cannot_be_read_or_done_is_kept_with_its_reason_and_stops_nothing(run: Journey) -> None:
    before = len(_operations(run))
    _send_job(run, {"version": "1.0", "id": "job-2", "operation": "reprocess", "groupId": "not an id"})
    _send_job(run, {"version": "1.0", "id": "job-3", "operation": "reprocess", "groupId": run.groups["overlap"]})
    good = {"version": "1.0", "id": "job-4", "operation": "preview", "groupId": run.groups["overlap"]}
    licenses = [{"skuId": run.skus["EMS"], "disabledPlans": []}]
    _send_job(run, {**good, "addLicenses": licenses, "removeLicenses": []})
    operations = _wait_for_operations(run, before + 1)
    assert len(operations) == before + 1
    assert operations[0]["preview"] is True


def test_a_paused_operation_stops_and_goes_on_where_it_stopped(run: Journey) -> None:
    run.writes()
    operation = run.change(run.main, {"SPE_E3": []}, [])
    run.believe(run.main, {"SPE_E3": []}, [])
    _until_some_are_done(run, operation["id"])
    run.start(f"/api/operations/{operation['id']}/pause")
    time.sleep(12)
    paused = run.client.operation(operation["id"])
    assert paused["state"] == "Paused"
    written = len(run.licensed_by_writes(run.writes()))
    time.sleep(3)
    assert run.licensed_by_writes(run.writes()) == set()
    assert 0 < written < 480
    run.start(f"/api/operations/{operation['id']}/resume")
    ended = run.until_ended(operation["id"])
    assert ended["state"] == "ProcessingComplete", ended["error"]
    assert_adds_up(ended)
    assert written + len(run.licensed_by_writes(run.writes())) == ended["totals"]["wrote"]
    run.must_be_right()


def test_a_newer_request_supersedes_the_older_and_the_newer_one_holds(run: Journey) -> None:
    run.writes()
    older = run.change(run.groups["overlap"], {"EMS": []}, [])
    newer = run.change(run.groups["overlap"], {"EMS": [], "VISIOCLIENT": []}, [])
    run.believe(run.groups["overlap"], {"EMS": [], "VISIOCLIENT": []}, [])
    ended = run.finish(newer)
    assert ended["state"] == "ProcessingComplete", ended["error"]
    first = run.until_ended(older["id"])
    assert first["state"] in ("Cancelled", "ProcessingComplete")
    if first["state"] == "Cancelled":
        assert first["supersededBy"] == newer["id"]
    run.must_be_right()


def test_a_cancelled_operation_ends_and_nobody_later_completes_it(run: Journey) -> None:
    run.writes()
    operation = run.change(run.main, {"INTUNE_A": []}, [])
    _until_some_are_done(run, operation["id"])
    run.start(f"/api/operations/{operation['id']}/cancel")
    cancelled = run.until_ended(operation["id"])
    assert cancelled["state"] == "Cancelled"
    assert_adds_up(cancelled)
    assert cancelled["totals"]["skipped"] > 0
    assignment = run.client.api("GET", f"/api/groups/{run.main}/licenseAssignment")
    enforcement = {sku["skuId"]: sku["enforcement"] for sku in assignment["assignedLicenses"]}
    assert enforcement[run.skus["INTUNE_A"]] == "cancelled"


def _until_some_are_done(run: Journey, operation_id: str) -> None:
    ending = time.monotonic() + 30
    while time.monotonic() < ending:
        if run.client.operation(operation_id)["totals"]["wrote"] > 0:
            return
        time.sleep(0.1)
    raise TimeoutError(f"operation {operation_id} wrote nothing")
