"""Protected people on the whole stack: nothing of theirs is removed until two people approve, and nobody else waits."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from local.client import CallError
from tests.support.stack_hires import ENDS, GROUPS, by_http, event, hiring, record, until
from tests.support.stack_journeys import Journey, eventually

NAMES = (
    *("early", "emergency", "holder", "eligible", "ordinary"),
    *("second emergency", "second holder", "second ordinary", "staying"),
)
PEOPLE = {name: str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.protected.example")) for name in NAMES}
"""Ids of accounts: a setting names the emergency accounts before the tenant has them. One stays in the group to the
end, because nothing is removed from a group that became empty until a person approves."""

SETTINGS = {
    "PROTECTED_PEOPLE": "on",
    "PROTECTED_ACCOUNTS": f"{PEOPLE['emergency']},{PEOPLE['second emergency']}",
    # The list is read when the test says so.
    "AzureWebJobs.read_protected_people.Disabled": "true",
}
OTHER_PERSON = "License Administrator"
HELD = "/api/onboarding/held"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Everybody is in the licensed group `sales`. One role is held directly, one by a group with an eligible member."""
    with hiring(tmp_path_factory.mktemp("protected"), settings=SETTINGS, validated=False) as started:
        users = [{"id": each, "usageLocation": "CH"} for each in PEOPLE.values()]
        roles = [{"id": GROUPS["roles"], "displayName": "role holders", "isAssignableToRole": True}]
        started.client.tenant("POST", "/objects", {"users": users, "groups": roles})
        started.oracle.meet(started.directory())
        holders = {
            "active": [
                {"principalId": PEOPLE["holder"], "role": "Global Administrator"},
                {"principalId": PEOPLE["second holder"], "role": "User Administrator"},
                {"principalId": GROUPS["roles"], "role": "User Administrator"},
            ],
            "groupEligible": [
                {"groupId": GROUPS["roles"], "principalId": PEOPLE["eligible"], "accessId": "member"},
            ],
        }
        started.client.tenant("POST", "/roles", holders)
        started.fire("renew_subscription")
        eventually(lambda: started.client.tenant("GET", "/subscriptions"), bool)
        change_members(started, "add", PEOPLE)
        eventually(lambda: licensed(started), lambda found: found == set(PEOPLE))
        yield started


def change_members(run: Journey, how: str, names: Iterable[str]) -> None:
    run.client.tenant("POST", "/membership", {how: [[run.groups["sales"], PEOPLE[name]] for name in names]})


def licensed(run: Journey) -> set[str]:
    """People with the license of the group."""
    users = {user["id"]: user["licenseAssignmentStates"] for user in run.directory()["users"]}
    sku = run.skus["SPE_E3"]
    return {name for name, user_id in PEOPLE.items() if any(row["skuId"] == sku for row in users[user_id])}


def protected(run: Journey) -> dict[str, Any]:
    found: dict[str, Any] = run.client.api("GET", "/api/overview")["protectedPeople"]
    return found


def test_until_the_list_has_been_read_once_all_removals_wait(run: Journey) -> None:
    assert (protected(run)["required"], protected(run)["lastReadDateTime"]) == (True, None)
    assert "All removals wait until the list has been read once" in run.client.page("/health")
    change_members(run, "remove", ["early"])

    def notes() -> list[str]:
        members = run.rows(f"/api/groups/{run.groups['sales']}/members?$top=100")
        return [note["kind"] for each in members if each["id"] == PEOPLE["early"] for note in each["notes"]]

    eventually(notes, lambda found: "protectedPeopleNotRead" in found)
    assert "early" in licensed(run)
    run.fire("read_protected_people")
    read = eventually(lambda: protected(run), lambda each: each["lastReadDateTime"] is not None)
    assert (read["count"], read["fault"]) == (5, None)

    def after_a_check() -> set[str]:
        run.client.api("POST", f"/api/users/{PEOPLE['early']}/reprocessLicenseAssignment", {})
        return licensed(run)

    eventually(after_a_check, lambda found: found == set(PEOPLE) - {"early"})


def test_protected_leavers_of_hr_wait_for_two_people_and_an_ordinary_one_of_the_same_batch_does_not(
    run: Journey,
) -> None:
    leavers = ("emergency", "holder", "eligible")
    by_http(run, [event("leaver", name, {"id": PEOPLE[name]}, removal="P0D") for name in (*leavers, "ordinary")])
    assert until(run, "ordinary", *ENDS)["state"] == "Done"
    reasons = {name: until(run, name, "Held")["note"] for name in leavers}
    assert "named in PROTECTED_ACCOUNTS" in reasons["emergency"]
    assert "Global Administrator" in reasons["holder"]
    assert f"User Administrator, by group {GROUPS['roles']}" in reasons["eligible"]

    assert approve_held(run, "Global Administrator") == 0
    with pytest.raises(CallError, match="already approved"):
        approve_held(run, "Global Administrator")
    run.until_quiet()
    assert {record(run, name)["state"] for name in leavers} == {"Held"}
    assert set(leavers) <= licensed(run)
    assert "ordinary" not in licensed(run)
    members = {user["id"]: user for user in run.directory()["groups"]}[run.groups["sales"]]["members"]
    assert {PEOPLE[name] for name in leavers} <= set(members)

    assert approve_held(run, OTHER_PERSON) == 3
    for name in leavers:
        assert until(run, name, *ENDS)["state"] == "Done"
    eventually(lambda: licensed(run), lambda found: not found & set(leavers))


def approve_held(run: Journey, role: str) -> int:
    held = run.client.api("GET", HELD)
    found: int = run.client.decide(f"{HELD}/approve", {"checksum": held["checksum"]}, role=role)["count"]
    return found


def test_protected_people_who_are_removed_from_the_group_wait_for_two_people_and_others_do_not(run: Journey) -> None:
    waiting = {"second emergency", "second holder"}
    change_members(run, "remove", [*waiting, "second ordinary"])
    eventually(lambda: licensed(run), lambda found: "second ordinary" not in found)

    def approvals() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = run.client.api("GET", "/api/approvals")["value"]
        return found

    (collected,) = eventually(approvals, lambda found: len(found) == 1)
    run.until_quiet()
    run.client.decide(f"/api/operations/{collected['id']}/review", {})
    (snapshot,) = eventually(approvals, lambda found: bool(found and found[0]["checksum"]))
    assert {each["id"] for each in snapshot["approval"]["protectedPeople"]} == {PEOPLE[name] for name in waiting}
    assert snapshot["approval"]["approvalsNeeded"] == 2

    path, body = f"/api/operations/{snapshot['id']}/approve", {"checksum": snapshot["checksum"]}
    assert run.client.decide(path, body)["state"] == "AwaitingApproval"
    with pytest.raises(CallError, match="already approved"):
        run.client.decide(path, body)
    run.until_quiet()
    assert waiting <= licensed(run)
    run.client.decide(path, body, role=OTHER_PERSON)
    assert run.until_ended(snapshot["id"])["state"] == "ProcessingComplete"
    eventually(lambda: licensed(run), lambda found: not found & waiting)
    run.until_quiet()
    run.must_be_right()
