"""Operations under way: paused, resumed, cancelled, superseded; requests by message and on named users."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from tests.support.stack_journeys import Journey, assert_adds_up, eventually, journey


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
    return eventually(lambda: _operations(run), lambda found: len(found) >= count)


def _holders(run: Journey, part_number: str) -> set[str]:
    """Users who have the product directly."""
    sku, users = run.skus[part_number], run.directory()["users"]
    return {
        user["id"]
        for user in users
        if any(row["skuId"] == sku and not row["assignedByGroup"] for row in user["licenseAssignmentStates"])
    }


def test_a_job_message_sent_twice_makes_one_operation_on_its_users(run: Journey) -> None:
    users = [user for user in sorted(run.oracle.before) if not run.oracle.before[user]["deleted"]][:3]
    job = {
        "version": "1.0",
        "id": "job-1",
        "operation": "assignLicense",
        "userIds": users,
        "addLicenses": [{"skuId": run.skus["POWER_BI_PRO"], "disabledPlans": []}],
        "removeLicenses": [],
    }
    _send_job(run, job, times=2)
    _wait_for_operations(run, 1)
    time.sleep(2)
    (operation,) = _operations(run)
    ended = run.until_ended(str(operation["id"]))
    assert ended["state"] == "ProcessingComplete", ended["error"]
    assert ended["totals"]["members"] == len(users)
    assert set(users) <= _holders(run, "POWER_BI_PRO")
    run.oracle.give(users, run.skus["POWER_BI_PRO"])
    run.must_be_right()


def test_a_job_that_cannot_be_read_or_done_is_kept_with_its_reason_and_stops_nothing(run: Journey) -> None:
    before = len(_operations(run))
    _send_job(run, {"version": "1.0", "id": "job-2", "operation": "reprocess", "groupId": "not an id"})
    _send_job(run, {"version": "1.0", "id": "job-3", "operation": "reprocess", "groupId": run.groups["overlap"]})
    good = {"version": "1.0", "id": "job-4", "operation": "preview", "groupId": run.groups["overlap"]}
    licenses = [{"skuId": run.skus["EMS"], "disabledPlans": []}]
    _send_job(run, {**good, "addLicenses": licenses, "removeLicenses": []})
    dead_letters = eventually(run.dead_letters, lambda found: len(found) >= 2)
    operations = _wait_for_operations(run, before + 1)
    assert len(operations) == before + 1
    assert operations[0]["preview"] is True
    unreadable, rejected = sorted(
        (str(dead_letter["reason"]) for dead_letter in dead_letters), key=lambda reason: "job-3" in reason
    )
    assert "groupId must be a GUID" in unreadable
    assert "job-3" in rejected


def test_named_users_are_licensed_and_what_was_given_to_them_is_taken_back(run: Journey) -> None:
    """Of three who are to lose it, one has the license from a person: that one keeps it."""
    run.writes()
    before = _holders(run, "FLOW_FREE")
    unmanaged = min(before)
    users = [unmanaged, *[user for user in sorted(run.oracle.before) if not run.oracle.before[user]["deleted"]][10:13]]
    body = {"userIds": users, "addLicenses": [{"skuId": run.skus["FLOW_FREE"]}], "removeLicenses": []}
    given = run.finish(run.start("/api/users/assignLicense", body))
    run.oracle.give(users, run.skus["FLOW_FREE"])
    assert given["state"] == "ProcessingComplete", given["error"]
    assert_adds_up(given)
    assert run.licensed_by_writes(run.writes()) == set(users) - before
    run.must_be_right()
    back = {"userIds": users, "addLicenses": [], "removeLicenses": [run.skus["FLOW_FREE"]]}
    taken = run.finish(run.start("/api/users/assignLicense", back))
    run.oracle.take(users, run.skus["FLOW_FREE"])
    assert taken["state"] == "ProcessingComplete", taken["error"]
    assert_adds_up(taken)
    assert _holders(run, "FLOW_FREE") == before
    run.must_be_right()
    again = run.finish(run.start(f"/api/users/{users[1]}/reprocessLicenseAssignment"))
    assert (again["state"], again["totals"]["members"]) == ("ProcessingComplete", 1)
    run.must_be_right()


def test_a_paused_operation_stops_and_goes_on_where_it_stopped(run: Journey) -> None:
    run.writes()
    operation = run.change(run.main, {"SPE_E3": []}, [])
    run.believe(run.main, {"SPE_E3": []}, [])
    _until_some_are_done(run, operation["id"])
    run.start(f"/api/operations/{operation['id']}/pause")
    run.until_quiet()
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
    run.until_quiet()
    run.writes()
    held = _holders(run, "INTUNE_A")
    looked = run.finish(run.start(f"/api/users/{min(set(run.oracle.before) - held)}/reprocessLicenseAssignment"))
    assert looked["state"] == "ProcessingComplete", looked["error"]
    assert run.writes() == []
    again = run.finish(run.change(run.main, {"INTUNE_A": []}, []))
    run.believe(run.main, {"INTUNE_A": []}, [])
    assert again["state"] == "ProcessingComplete", again["error"]
    assert_adds_up(again)
    run.must_be_right()


def _until_some_are_done(run: Journey, operation_id: str) -> None:
    eventually(lambda: run.client.operation(operation_id)["totals"]["wrote"], lambda wrote: wrote > 0)
