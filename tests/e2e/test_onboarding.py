"""HR events on the whole stack: through the real queue, the real tables and the function host, two processes each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.client import CallError
from tests.support.stack_hires import (
    ALL,
    ENDS,
    GROUPS,
    accounts,
    by_http,
    by_queue,
    event,
    hiring,
    outcomes,
    record,
    records,
    results,
    until,
)
from tests.support.stack_journeys import Journey, eventually

BATCH, SOON = 1000, 60
"""Events of the batch, and those of them that start now; the others start next year."""

ENVELOPE: dict[int, tuple[str, Any]] = {
    0: ("specversion", "0.3"),
    10: ("type", "hr.fired.v1"),
    20: ("source", "no blanks please"),
    30: ("id", ""),
    40: ("data", "text"),
    50: ("time", "noon"),
    999: ("datacontenttype", "text/xml"),
}
DATA: dict[int, tuple[str, Any]] = {
    1: ("user", {"mail": "a@b"}),
    11: ("effectiveDate", "soon"),
    21: ("sequence", -1),
    31: ("usageLocation", "Germany"),
    41: ("groups", ["x"]),
    51: ("profiles", ["No Such Name"]),
    61: ("attributes", {"hat": "8"}),
    71: ("previous", {"department": 7}),
    81: ("removal", "P1D"),
    91: ("correlationId", 7),
    998: ("unheardOf", 1),
}
"""Position in the batch -> the field that is broken there, and the value it has."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    with hiring(tmp_path_factory.mktemp("onboarding")) as started:
        yield started


SENT: list[dict[str, Any]] = []
"""The feed: every event of the tests so far that could be read."""


def observed(*events: dict[str, Any]) -> list[dict[str, Any]]:
    SENT.extend(events)
    return list(events)


def test_a_joiner_is_licensed_within_seconds_by_http_and_by_queue_and_the_end_is_told(run: Journey) -> None:
    ann, bob = accounts(run, 2)
    sales = {"department": "Sales"}
    to_ann, to_bob = observed(
        event("joiner", "ann", {"id": ann}, attributes=sales, correlationId="hire 17"),
        event("joiner", "bob", {"id": bob}, attributes=sales),
    )
    answer = by_http(run, to_ann)
    by_queue(run, to_bob)
    for name in ("ann", "bob"):
        ended = until(run, name, *ENDS)
        assert ended["state"] == "Done", ended
        assert outcomes(ended) == (["Added"], ["Assigned"])
    found = run.client.api("GET", answer["value"][0]["location"])
    assert (found["eventId"], found["correlationId"]) == ("ann", "hire 17")
    run.until_quiet()
    run.must_be_right()
    ends = results(run)
    assert {name: each["data"]["state"] for name, each in ends.items()} == {"ann": "Done", "bob": "Done"}
    # The sender is for people with a role; the message of the end is for the HR system.
    assert ends["ann"]["data"] == {
        name: each for name, each in found.items() if name not in ("claimedBy", "initiatedBy")
    }
    assert (ends["ann"]["specversion"], ends["ann"]["type"]) == ("1.0", "hr.result.v1")
    assert ends["ann"]["source"]


def test_doubled_and_reordered_events_of_a_life_end_where_the_last_one_says(run: Journey) -> None:
    (ann,) = accounts(run, 1)
    life = observed(
        event("joiner", "life-1", {"id": ann}, attributes={"department": "Sales"}),
        event("mover", "life-2", {"id": ann}, attributes={"department": "Labs"}, effectiveDate="2026-02-01"),
        event("leaver", "life-3", {"id": ann}, removal="P0D", effectiveDate="2026-03-01"),
        event("joiner", "life-4", {"id": ann}, attributes={"department": "Labs"}, effectiveDate="2026-04-01"),
    )
    by_queue(run, life[2], life[0], life[0], life[3], life[1], life[3], life[2])
    assert until(run, "life-4", "Done", "DoneWithErrors")["state"] == "Done"
    for name in ("life-1", "life-2", "life-3"):
        assert until(run, name, "Superseded", "Done", "DoneWithErrors")
    run.until_quiet()
    run.must_be_right()
    found = run.client.tenant("GET", f"/users/{ann}")
    assert any(row["skuId"] == run.skus["SPE_E5"] for row in found["licenseAssignmentStates"])


def test_a_mover_gets_the_new_product_for_the_old_in_one_call_with_the_same_plans_off(run: Journey) -> None:
    (ann,) = accounts(run, 1)
    joiner, mover = observed(
        event("joiner", "move-1", {"id": ann}, attributes={"department": "Sales"}),
        event("mover", "move-2", {"id": ann}, attributes={"department": "Labs"}, effectiveDate="2026-02-01"),
    )
    by_queue(run, joiner)
    assert until(run, "move-1", *ENDS)["state"] == "Done"
    by_queue(run, mover)
    assert until(run, "move-2", *ENDS)["state"] == "Done"
    run.until_quiet()
    calls = [each for each in run.writes() if each["userId"] == ann and each["operation"] == "assignLicense"]
    old, new = run.skus["SPE_E3"], run.skus["SPE_E5"]
    assert [(set(each["before"]), set(each["after"])) for each in calls] == [(set(), {old}), ({old}, {new})]
    assert [len(calls[-1][side][sku]) for side, sku in (("before", old), ("after", new))] == [1, 1]
    run.must_be_right()


def test_what_cannot_be_right_is_rejected_with_a_remedy_and_the_rest_is_done(run: Journey) -> None:
    (old,) = accounts(run, 1, accountEnabled=False)
    accounts(run, 2, employeeId="twin")
    ann, bob = accounts(run, 2)
    ways: tuple[dict[str, Any], ...] = (
        {"groupTypes": ["DynamicMembership"], "membershipRule": "x"},
        {"onPremisesSyncEnabled": True},
    )
    names = ("rule", "synchronized", "roles")
    kinds = zip(names, (*ways, {"isAssignableToRole": True}), strict=True)
    elsewhere = [{"id": GROUPS[name], "displayName": "elsewhere", **each} for name, each in kinds]
    groups = run.client.tenant("POST", "/objects", {"groups": [*elsewhere, {"displayName": "payroll"}]})["groups"]
    profile = {"match": {"department": ["Field"]}, "groups": [*groups[:3], run.groups["sales"]]}
    run.client.save_profile("field", profile)
    upn = run.client.tenant("GET", f"/users/{old}")["userPrincipalName"]
    sales = {"attributes": {"department": "Sales"}}
    by_queue(
        run,
        *observed(
            event("joiner", "twin", {"employeeId": "twin"}, **sales),
            event("joiner", "old-name", {"userPrincipalName": upn}, **sales),
            event("joiner", "mixed", {"id": ann}, attributes={"department": "Field"}, groups=[groups[3]]),
            event("joiner", "nothing", {"id": bob}, attributes={"department": "Unknown"}),
        ),
    )
    until(run, "mixed", *ENDS)
    with pytest.raises(CallError, match="409"):
        by_http(run, event("joiner", "mixed", {"id": bob}, **sales))
    for name, words in (("twin", "fit 2 accounts"), ("old-name", "former employee"), ("nothing", "No profile matches")):
        ended = until(run, name, *ENDS)
        assert (ended["state"], words in ended["note"], bool(ended["remedy"])) == ("Failed", True, True), ended
    mixed = record(run, "mixed")
    assert mixed["state"] == "DoneWithErrors", mixed
    assert sorted(outcomes(mixed)[0]) == ["Added", "Rejected", "Rejected", "Rejected", "Rejected"]
    assert all(each["remedy"] for each in mixed["groups"] if each["outcome"] == "Rejected")
    assert outcomes(mixed)[1] == ["Assigned"]
    run.until_quiet()
    run.must_be_right()


def test_a_profile_gives_a_license_of_its_own_as_the_dry_run_said(run: Journey) -> None:
    (ann,) = accounts(run, 1)
    visio = run.skus["VISIOCLIENT"]
    profile = {"match": {"jobTitle": ["Architect*"]}, "licenses": [{"skuId": visio}]}
    run.client.save_profile("drawing", profile)
    (joiner,) = observed(event("joiner", "draw", {"id": ann}, attributes={"jobTitle": "architect II"}))
    trial = run.client.api("POST", "/api/onboarding/dryRun", joiner)
    assert [each["reason"] for each in trial["profiles"]] == ["jobTitle 'architect II' fits 'Architect*'"]
    assert [(each["skuId"], each["sources"]) for each in trial["licenses"]] == [(visio, ["hr:drawing"])]
    assert record(run, "draw")["state"] == "not there"
    by_queue(run, joiner)
    assert until(run, "draw", *ENDS)["state"] == "Done"
    run.oracle.give([ann], visio)
    run.until_quiet()
    run.must_be_right()


def broken_batch(people: list[str]) -> list[dict[str, Any]]:
    """A thousand joiners, every kind of fault among them."""
    events = []
    for number in range(BATCH):
        later = number >= SOON
        user = {"employeeId": f"next-{number}"} if later else {"id": people[number]}
        start = {"effectiveDate": "2027-11-01"} if later else {}
        each = event("joiner", f"batch-{number}", user, attributes={"department": "Sales"}, **start)
        if number in DATA:
            each["data"][DATA[number][0]] = DATA[number][1]
        if number in ENVELOPE:
            each[ENVELOPE[number][0]] = ENVELOPE[number][1]
        events.append(each)
    return events


def test_a_batch_of_a_thousand_names_each_fault_and_a_killed_worker_loses_nothing(run: Journey) -> None:
    people = accounts(run, SOON)
    events = broken_batch(people)
    faulty = {**ENVELOPE, **{position: (f"data.{name}", value) for position, (name, value) in DATA.items()}}
    dead_letters = len(run.dead_letters())
    answer = by_http(run, events)
    assert {each["position"] for each in answer["faults"]} == faulty.keys()
    for each in answer["faults"]:
        name, value = faulty[each["position"]]
        assert each["target"].startswith(name), each
        assert json.loads(each["value"]) in _parts(value), each
    for _ in range(2):
        run.stack.kill(run.stack.workers("process_hr_events")[0])
        time.sleep(1)
    by_http(run, events)
    SENT.extend(each for position, each in enumerate(events) if position not in faulty)
    good = {f"batch-{number}" for number in range(SOON) if number not in faulty}

    def ended() -> dict[str, str]:
        run.fire("resume_due_events")
        return {name: each["state"] for name, each in records(run).items() if name in good and each["state"] in ENDS}

    final = eventually(ended, lambda found: len(found) == len(good))
    assert set(final.values()) == {"Done"}
    run.until_quiet()
    run.must_be_right()
    states = [each["state"] for name, each in records(run).items() if name.startswith("batch-")]
    assert (states.count("Done"), states.count("Scheduled")) == (len(good), BATCH - len(faulty) - len(good))
    writes = [each for each in run.writes() if each["operation"] == "membership" and each["userId"] in set(people)]
    assert len(writes) == len(good)
    assert len(run.dead_letters()) == dead_letters, "whoever sends by HTTP is told"


def _parts(value: Any) -> list[Any]:
    """What a fault may show of a value: all of it, a part, or nothing where it has no such part."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *inner, *([None] if value == "text" else [])]


def test_a_broken_event_is_listed_with_its_reason_and_done_once_it_is_mended(run: Journey) -> None:
    (ann,) = accounts(run, 1)
    broken = event("joiner", "mended", {"id": ann}, attributes={"department": "Sales"}, usageLocation="Schweiz")
    by_queue(run, broken)

    def dead_letter() -> list[dict[str, Any]]:
        return [each for each in run.rows("/api/deadLetters") if "Schweiz" in each["reason"]]

    (kept,) = eventually(dead_letter, bool)
    assert "data.usageLocation" in kept["reason"]
    broken["data"]["usageLocation"] = "CH"
    run.start(f"/api/deadLetters/{kept['id']}/replay", {"message": observed(broken)[0]})
    assert until(run, "mended", *ENDS)["state"] == "Done"
    run.until_quiet()
    run.must_be_right()


def test_mass_leaving_by_mistake_is_held_until_a_person_has_seen_it(run: Journey) -> None:
    people = accounts(run, 12)
    sales = {"attributes": {"department": "Sales"}}
    by_http(run, observed(*(event("joiner", f"mass-{p}", {"id": p}, **sales) for p in people)))
    for person in people:
        until(run, f"mass-{person}", "Done")
    left = {"removal": "P0D", "effectiveDate": "2026-02-01"}
    by_http(run, observed(*(event("leaver", f"leave-{p}", {"id": p}, **left) for p in people)))
    held = eventually(lambda: run.client.api("GET", "/api/onboarding/held"), lambda each: each["count"] >= 7)
    run.until_quiet()
    sku = run.skus["SPE_E3"]

    def licensed() -> list[str]:
        users = {user["id"]: user for user in run.directory()["users"]}
        return [p for p in people if any(row["skuId"] == sku for row in users[p]["licenseAssignmentStates"])]

    assert len(licensed()) >= 7
    with pytest.raises(CallError, match=r"409"):
        run.decide("/api/onboarding/held/approve", {"checksum": "0" * 64})
    held = run.client.api("GET", "/api/onboarding/held")
    assert run.decide("/api/onboarding/held/approve", {"checksum": held["checksum"]})["count"] == held["count"]
    for person in people:
        until(run, f"leave-{person}", "Done", "DoneWithErrors")
    eventually(licensed, lambda left: left == [])
    run.until_quiet()
    run.must_be_right()


def test_the_whole_feed_sent_again_changes_nothing_and_tells_nothing(run: Journey) -> None:
    before = records(run)
    results(run)
    run.writes()
    by_queue(run, *(each for each in SENT if not each["id"].startswith("batch-")))
    by_http(run, [each for each in SENT if each["id"].startswith("batch-")])
    run.until_quiet()
    after = records(run)
    assert after == before
    assert {each["eventId"] for each in run.rows(ALL)} == {each["id"] for each in SENT}
    assert run.writes() == []
    assert results(run) == {}
    run.must_be_right()
