"""HR events on the whole stack: through the real queue, the real tables and the function host, two processes each."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from local.client import CallError
from tests.e2e.journeys import Journey, eventually, journey
from tests.e2e.test_kills import short_locks

SOURCE = "urn:hr:e2e"
BATCH = 60
FAULTS: dict[int, tuple[str, Any]] = {
    3: ("usageLocation", "Germany"),
    9: ("effectiveDate", "soon"),
    12: ("groups", ["x"]),
    20: ("user", {"mail": "a@b"}),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """A licensed group with a profile for it."""
    folder = tmp_path_factory.mktemp("onboarding")
    options: dict[str, Any] = {"members": 60, "broker_config": short_locks(folder)}
    settings = {"LEAVER_ALLOWANCE_MINIMUM": "5", "LEAVER_ALLOWANCE_PERCENT": "0"}
    with journey(folder / "state", settings=settings, **options) as started:
        seats = [{"skuId": started.skus[name], "enabled": 5000} for name in ("SPE_E3", "SPE_E5", "VISIOCLIENT")]
        started.client.tenant("POST", "/objects", {"skus": seats})
        placed = started.client.tenant(
            "POST", "/objects", {"groups": [{"displayName": "hr-sales"}, {"displayName": "hr-labs"}]}
        )
        started.groups["sales"], started.groups["labs"] = placed["groups"]
        for group, sku in (("sales", "SPE_E3"), ("labs", "SPE_E5")):
            started.finish(started.change(started.groups[group], {sku: []}, []))
            started.believe(started.groups[group], {sku: []}, [])
            match = {"department": [group]}
            profile = {"match": match, "groups": [started.groups[group]], "usageLocation": "DE"}
            started.client.api("PUT", f"/api/onboarding/profiles/{group}", profile)
        yield started


def event(kind: str, name: str, user: dict[str, str], **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": f"hr.{kind}.v1",
        "source": SOURCE,
        "id": name,
        "time": "2026-01-01T00:00:00Z",
        "data": {"user": user, "effectiveDate": "2026-01-01", **data},
    }


def accounts(run: Journey, count: int, **values: Any) -> list[str]:
    """New accounts in no group."""
    users = [{"usageLocation": "CH", "employeeId": f"h{random.randrange(10**9)}", **values} for _ in range(count)]
    placed = run.client.tenant("POST", "/objects", {"users": users})
    run.oracle.meet(run.directory())
    found: list[str] = placed["users"]
    return found


def by_queue(run: Journey, *events: object) -> None:
    with (
        ServiceBusClient.from_connection_string(run.stack.endpoints.service_bus) as client,
        client.get_queue_sender("onboarding") as sender,
    ):
        for each in events:
            sender.send_messages(ServiceBusMessage(json.dumps(each)))


def by_http(run: Journey, events: object) -> dict[str, Any]:
    return run.client.api("POST", "/api/onboarding", events)


def record(run: Journey, name: str) -> dict[str, Any]:
    for found in run.rows("/api/onboarding?$top=500"):
        if (found["eventId"], found["eventSource"]) == (name, SOURCE):
            return found
    return {"state": "not there"}


def until(run: Journey, name: str, *states: str, timeout_s: float = 60.0) -> dict[str, Any]:
    return eventually(lambda: record(run, name), lambda each: each["state"] in states, timeout_s)


def results(run: Journey) -> dict[str, str]:
    """What was told on the results queue, by event."""
    with (
        ServiceBusClient.from_connection_string(run.stack.endpoints.service_bus) as client,
        client.get_queue_receiver("results", max_wait_time=2) as receiver,
    ):
        told = {}
        for message in receiver:
            body = json.loads(str(message))
            told[body["subject"]] = body["data"]["state"]
            receiver.complete_message(message)
    return told


def test_a_joiner_is_licensed_within_seconds_by_http_and_by_queue(run: Journey) -> None:
    ann, bob = accounts(run, 2)
    sales = {"department": "Sales"}
    answer = by_http(run, event("joiner", "ann", {"id": ann}, attributes=sales))
    by_queue(run, event("joiner", "bob", {"id": bob}, attributes=sales))
    for name in ("ann", "bob"):
        ended = until(run, name, "Done", "DoneWithErrors", "Failed")
        assert ended["state"] == "Done", ended
        assert [each["outcome"] for each in ended["groups"]] == ["Added"]
        assert [each["outcome"] for each in ended["licenses"]] == ["Assigned"]
    assert run.client.api("GET", answer["value"][0]["location"])["eventId"] == "ann"
    run.until_quiet()
    run.must_be_right()
    assert results(run) == {"ann": "Done", "bob": "Done"}


def test_a_joiner_whose_account_appears_later_waits_for_it_visibly(run: Journey) -> None:
    by_queue(run, event("joiner", "late", {"employeeId": "late-1"}, attributes={"department": "Sales"}))
    waiting = until(run, "late", "WaitingForAccount")
    assert waiting["nextLookDateTime"]
    accounts(run, 1, employeeId="late-1")
    assert until(run, "late", "Done", "DoneWithErrors")["state"] == "Done"
    run.until_quiet()
    run.must_be_right()


def test_doubled_and_reordered_events_of_a_life_end_where_the_last_one_says(run: Journey) -> None:
    (ann,) = accounts(run, 1)
    life = [
        event("joiner", "life-1", {"id": ann}, attributes={"department": "Sales"}),
        event("mover", "life-2", {"id": ann}, attributes={"department": "Labs"}, effectiveDate="2026-02-01"),
        event("leaver", "life-3", {"id": ann}, removal="P0D", effectiveDate="2026-03-01"),
        event("joiner", "life-4", {"id": ann}, attributes={"department": "Labs"}, effectiveDate="2026-04-01"),
    ]
    mixed = [life[2], life[0], life[0], life[3], life[1], life[3], life[2]]
    by_queue(run, *mixed)
    assert until(run, "life-4", "Done", "DoneWithErrors")["state"] == "Done"
    for name in ("life-1", "life-2", "life-3"):
        assert until(run, name, "Superseded", "Done", "DoneWithErrors")
    run.until_quiet()
    run.must_be_right()
    groups = run.client.tenant("GET", f"/users/{ann}")
    assert any(row["skuId"] == run.skus["SPE_E5"] for row in groups["licenseAssignmentStates"])


def test_a_batch_with_faults_and_a_killed_worker_ends_with_every_good_event_done(run: Journey) -> None:
    people = accounts(run, BATCH)
    events = []
    for number, person in enumerate(people):
        data: dict[str, Any] = {"attributes": {"department": "Sales"}}
        if number in FAULTS:
            data[FAULTS[number][0]] = FAULTS[number][1]
        user = data.pop("user", {"id": person})
        events.append(event("joiner", f"batch-{number}", user, **data))
    answer = by_http(run, events)
    assert {each["position"] for each in answer["faults"]} == FAULTS.keys()
    for each in answer["faults"]:
        assert each["field"].startswith(f"data.{FAULTS[each['position']][0]}")
        assert each["value"]
    for _ in range(2):
        run.stack.kill(run.stack.workers("take_hr_event")[0])
        time.sleep(1)
    by_http(run, events)
    good = {f"batch-{number}" for number in range(BATCH) if number not in FAULTS}

    def ended() -> dict[str, str]:
        found = {each["eventId"]: each["state"] for each in run.rows("/api/onboarding?$top=500")}
        return {name: found[name] for name in good if found[name] in ("Done", "DoneWithErrors", "Failed")}

    def wake() -> dict[str, str]:
        run.fire("take_up_due")
        return ended()

    final = eventually(wake, lambda found: len(found) == len(good), 120.0)
    assert set(final.values()) == {"Done"}
    run.until_quiet()
    run.must_be_right()
    writes = [each for each in run.writes() if each["operation"] == "membership" and each["userId"] in set(people)]
    assert len(writes) == len(good)
    assert len(run.letters()) == 2 * len(FAULTS)


def test_mass_leaving_by_mistake_is_held_until_a_person_has_seen_it(run: Journey) -> None:
    people = accounts(run, 12)
    by_http(run, [event("joiner", f"mass-{p}", {"id": p}, attributes={"department": "Sales"}) for p in people])
    for person in people:
        until(run, f"mass-{person}", "Done")
    leavers = [event("leaver", f"leave-{p}", {"id": p}, removal="P0D", effectiveDate="2026-02-01") for p in people]
    by_http(run, leavers)
    held = eventually(lambda: run.client.api("GET", "/api/onboarding/held"), lambda each: each["count"] >= 7)
    run.until_quiet()
    sku = run.skus["SPE_E3"]

    def licensed() -> list[str]:
        users = {user["id"]: user for user in run.directory()["users"]}
        return [p for p in people if any(row["skuId"] == sku for row in users[p]["licenseAssignmentStates"])]

    assert len(licensed()) >= 7
    with pytest.raises(CallError, match=r"409"):
        run.start("/api/onboarding/held/approve", {"checksum": "0" * 64})
    held = run.client.api("GET", "/api/onboarding/held")
    assert run.start("/api/onboarding/held/approve", {"checksum": held["checksum"]})["count"] == held["count"]
    for person in people:
        until(run, f"leave-{person}", "Done", "DoneWithErrors")
    eventually(licensed, lambda left: left == [], 60.0)
    run.until_quiet()
    run.must_be_right()
