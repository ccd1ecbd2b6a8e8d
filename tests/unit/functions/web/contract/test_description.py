"""The API's description: complete, as committed, with examples that fit, and true of the answers of every operation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

import functions
from functions.web.application import build, description
from functions.web.contract.describing import EVENT
from functions.web.contract.error_examples import ERRORS
from functions.web.contract.responses import ANSWERS, REJECTIONS
from functions.web.route_access import ACCESS
from shared.bootstrap import App
from shared.domain.access import ROLES
from shared.domain.change_messages import WatchGroup
from shared.domain.directory import AssignedLicense
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import UserId
from shared.domain.ledger_row import LedgerRow, ManagedLicense
from shared.domain.move import MovePhase
from shared.domain.onboarding import OnboardingState
from shared.domain.operation import OperationState, Phase
from shared.domain.read_models import DeadLetter
from shared.handlers.membership.watching import watch_group
from shared.handlers.operations.first_contact import continue_runs
from tests.support.api_calls import (
    ANSWERED,
    ASSIGN_E3,
    DESCRIPTION,
    E3,
    GROUP,
    LOST,
    ON,
    OTHER_GROUP,
    PATH_VALUES,
    USERS,
    another,
    app_token,
    claims_of,
    client,
    insert,
    small_tenant,
    token,
)
from tests.support.hires import held_leavers
from tests.support.worlds import Fakes

EVERYTHING = token(claims_of(roles=["Licensing.ReadWrite", "Onboarding.Write"]))
HR = app_token(roles=["Onboarding.Write"])
DESCRIBED = {(verb.upper(), path): each for path, verbs in DESCRIPTION["paths"].items() for verb, each in verbs.items()}


def media_of(route: tuple[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of an operation with its example."""
    found = DESCRIBED[route]
    for media in found.get("requestBody", {}).get("content", {}).values():
        yield "body", media
    for status, response in found["responses"].items():
        for media in response.get("content", {}).values():
            yield status, media
    for parameter in found.get("parameters", ()):
        if "example" in parameter:
            yield parameter["name"], parameter


def test_the_committed_description_is_what_the_app_serves() -> None:
    served = description(build(lambda: App(small_tenant().world, ON)))
    assert json.loads(json.dumps(served)) == DESCRIPTION, "run make openapi"


OF_OPERATIONS = {"GroupNotChanged", "MembersNotShown", "NotProcessed", "Rejected", "WaitedTooLong"}
"""Codes with which an operation on a natively managed group ends."""

INTERNAL = {"InvalidKey", "NotStorable", "Refused"}
"""Codes of adapters, which handlers turn into others."""

OF_PAGES = {"ChangedMeanwhile", "NothingToChange", "NumberOfPeople", "UnsupportedMediaType"}
"""Codes that only forms are answered with."""


def test_every_error_code_of_the_source_has_an_example() -> None:
    root = Path(functions.__file__).parents[1]
    texts = [path.read_text() for part in ("functions/web", "shared") for path in (root / part).rglob("*.py")]
    calls = re.compile(r'(?:BadRequest|AssignmentError|HttpError|Rejection|StateConflict)\(\s*(?:\d{3},\s*)?"(\w+)"')
    found = {code for text in texts for code in calls.findall(text)} - INTERNAL - OF_PAGES - OF_OPERATIONS
    assert found <= {code for codes in ERRORS.values() for code in codes}
    assert {status for status in ERRORS} == set(REJECTIONS)


def test_every_error_has_an_example_that_fits() -> None:
    for status, response in DESCRIPTION["components"]["responses"].items():
        media = response["content"]["application/json"]
        schema = {**media["schema"], "components": DESCRIPTION["components"]}
        assert media["examples"].keys() == ERRORS[int(status)].keys()
        for example in media["examples"].values():
            Draft202012Validator(schema).validate(example["value"])


def test_every_route_of_the_api_says_what_it_answers_and_who_may_call() -> None:
    routes = {route for route in ACCESS if route[1].startswith("/api/")} - {("GET", "/api/openapi.json")}
    assert ANSWERS.keys() == DESCRIBED.keys() == routes
    for route, found in DESCRIBED.items():
        assert {"400", "401", "403", "404", "409", "412", "413", "500", "503"} < set(found["responses"])
        assert "Licensing.ReadWrite" in found["x-roles"]
        assert ("Licensing.Read" in found["x-roles"]) == (ACCESS[route] in ROLES["Licensing.Read"])
        assert len(found["description"]) > 10


@pytest.mark.parametrize("route", sorted(DESCRIBED), ids=" ".join)
def test_every_body_and_answer_has_an_example_that_fits(route: tuple[str, str]) -> None:
    for what, media in media_of(route):
        schema = {**media["schema"], "components": DESCRIPTION["components"]}
        faults = [fault.message for fault in Draft202012Validator(schema).iter_errors(media["example"])]
        assert faults == [], (what, media["example"])


@pytest.mark.parametrize("route", sorted(each for each in DESCRIBED if "requestBody" in DESCRIBED[each]), ids=" ".join)
async def test_the_example_of_a_body_is_never_rejected_as_wrong(route: tuple[str, str]) -> None:
    verb, path = route
    for media in DESCRIBED[route]["requestBody"]["content"].values():
        headers = HR if route == ("POST", "/api/onboarding") else EVERYTHING
        async with client(small_tenant().world, headers=headers) as api:
            answer = await api.request(verb, path.format(**PATH_VALUES), json=media["example"])
        rejection = answer.json().get("error", {}) if answer.content and answer.status_code >= 400 else {}
        assert rejection.get("code") not in ("InvalidRequest", "InvalidJson", "InvalidEvent"), rejection


async def test_every_operation_answers_as_described_with_ids_from_earlier_answers() -> None:
    fakes = small_tenant()
    before = set(ANSWERED)
    ANSWERED.clear()
    async with client(fakes.world, headers=EVERYTHING) as api:
        await _of_groups(api, fakes)
        await _of_users(api, fakes)
        await _of_operations(api, fakes)
        await _of_onboarding(api, fakes)
        await _of_the_center(api, fakes)
    good = {(verb, path) for verb, path, status in ANSWERED if status < 300}
    ANSWERED.update(before)
    assert DESCRIBED.keys() - good == set()


async def _ok(api: httpx.AsyncClient, verb: str, path: str, **options: Any) -> Any:
    answer = await api.request(verb, path, **options)
    assert answer.status_code < 300, (verb, path, answer.text)
    return answer.json() if answer.content else None


async def _of_groups(api: httpx.AsyncClient, fakes: Fakes) -> None:
    group = f"/api/groups/{GROUP}"
    assert (await api.get(f"{group}/licenseAssignment")).status_code == 404
    made = await _ok(api, "POST", f"{group}/assignLicense", json=ASSIGN_E3)
    assert (await _ok(api, "GET", f"/api/operations/{made['id']}"))["target"]["groupId"] == GROUP
    assignment = await _ok(api, "GET", f"{group}/licenseAssignment")
    etag = {"if-match": assignment["@odata.etag"]}
    await _ok(api, "PATCH", f"{group}/licenseAssignment", json={"grace": "P7D"}, headers=etag)
    assert (await api.patch(f"{group}/licenseAssignment", json={"grace": "P8D"}, headers=etag)).status_code == 412
    for path in ("status", "members", "membersWithLicenseErrors"):
        await _ok(api, "GET", f"{group}/{path}")
    for path in ("members", "membersWithLicenseErrors"):
        await _ok(api, "POST", f"{group}/{path}/search", json={"search": "a"})
    for path in ("reprocessLicenseAssignment", "adoptLicenses", "enableServicePlans"):
        body = None if path.startswith("reprocess") else {"skuIds": [E3]}
        ended = await _ok(api, "POST", f"{group}/{path}", json=body)
        await _ok(api, "POST", f"/api/operations/{ended['id']}/cancel")
    assert {each["id"] for each in (await _ok(api, "GET", "/api/groups"))["value"]} == {GROUP}
    native, member = fakes.native.license(OTHER_GROUP, E3, members=[USERS[0]]), USERS[0]
    await _ok(api, "POST", f"/api/groups/{native}/watch")
    await watch_group(fakes.world, WatchGroup(native, fakes.clock.now()))
    await _ok(api, "POST", f"/api/groups/{native}/members/{member}/diagnose")
    await _ok(api, "POST", f"/api/groups/{native}/manageNatively")
    await _ok(api, "POST", f"/api/groups/{native}/stopManagingNatively")
    await _ok(api, "POST", f"/api/groups/{native}/reprocessLicenseErrors", json={"error": "CountViolation"})
    move = f"/api/groups/{native}/moveLicensing"
    await _ok(api, "POST", move, json={"direction": "toDirect"})
    for path in ("pause", "resume", "undo"):
        await _ok(api, "POST", f"{move}/{path}")
    assert (await _ok(api, "GET", move))["state"] == "undoing"
    await _ok(api, "GET", f"{move}/report")
    found = await fakes.world.stores.moves.get(native)
    assert found is not None
    await fakes.world.stores.moves.save(replace(found, phase=MovePhase.APPROVE, checksum="c"))
    await _ok(api, "POST", f"{move}/approve", json={"checksum": "c"})
    assert (await _ok(api, "POST", "/api/groups/search", json={"search": "g"}))["value"]
    await _ok(api, "GET", "/api/membersWithLicenseErrors")


async def _of_users(api: httpx.AsyncClient, fakes: Fakes) -> None:
    user = f"/api/users/{USERS[0]}"
    await _ok(api, "POST", "/api/users/assignLicense", json={**ASSIGN_E3, "userIds": USERS})
    for path in ("reprocessLicenseAssignment", "adoptLicenses", "enableServicePlans"):
        body = None if path.startswith("reprocess") else {"skuIds": [E3]}
        await _ok(api, "POST", f"{user}/{path}", json=body)
    await _ok(api, "GET", user)
    await _ok(api, "GET", f"{user}/licenses")
    await _ok(api, "GET", f"{user}/export")
    await _ok(api, "POST", f"{user}/erase")
    await _ok(api, "POST", "/api/users/search", json={"search": "a"})
    leaving = UserId("2d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
    now = fakes.clock.now()
    fakes.directory.add_user(leaving, has=[AssignedLicense(E3)])
    managed = ManagedLicense(frozenset(), now, (Source(SourceKind.GROUP, GROUP),))
    await fakes.world.stores.ledger.write([LedgerRow(leaving, managed={E3: managed})])
    grace = Grant(E3, frozenset(), Source(SourceKind.GRACE), now + timedelta(days=30))
    await fakes.world.stores.grants.put([(leaving, grace)])
    (shown,) = (await _ok(api, "GET", f"/api/users/{leaving}/licenses"))["value"]
    for act in ("keepLicenses", "removeLicensesNow"):
        await _ok(api, "POST", f"/api/users/{leaving}/{act}", json={"skuIds": [shown["skuId"]]})


async def _of_operations(api: httpx.AsyncClient, fakes: Fakes) -> None:
    found = (await _ok(api, "GET", "/api/operations?$top=1"))["value"][0]
    await _ok(api, "GET", f"/api/operations/{found['id']}/members")
    preview = await insert(fakes.world, preview=True, state=OperationState.COMPLETE)
    await _ok(api, "GET", f"/api/operations/{preview.id}/predictedErrors")
    await _ok(api, "POST", "/api/operations/combinedPlan", json={"operationIds": [preview.id], "userIds": USERS})
    waiting: dict[str, Any] = {
        "state": OperationState.AWAITING_APPROVAL,
        "checksum": "abc",
        "intent_written": True,
    }
    for act, body in (("approve", {"checksum": "abc"}), ("reject", None), ("review", None)):
        phase = Phase.SNAPSHOT if act == "review" else Phase.APPROVE
        operation = await insert(fakes.world, phase=phase, **waiting)
        assert operation.id in {each["id"] for each in (await _ok(api, "GET", "/api/approvals"))["value"]}
        await _ok(api, "POST", f"/api/operations/{operation.id}/{act}", json=body)
    running = await insert(fakes.world, state=OperationState.IN_PROGRESS, phase=Phase.RELEASE, intent_written=True)
    for act in ("pause", "resume"):
        await _ok(api, "POST", f"/api/operations/{running.id}/{act}")
    assert (await _ok(api, "POST", f"/api/operations/{running.id}/cancel"))["cancelRequestedBy"]


async def _of_onboarding(api: httpx.AsyncClient, fakes: Fakes) -> None:
    here = "/api/onboarding"
    profile = {"match": {"department": ["Sales"]}, "groups": [GROUP]}
    approver = token(another(claims_of(roles=["Licensing.Approve"])))
    for name, act in (("sales", "approve"), ("gone", "reject")):
        proposed = await _ok(api, "PUT", f"{here}/profiles/{name}", json=profile)
        assert len((await _ok(api, "GET", f"{here}/proposals"))["value"]) == 1
        assert (await _ok(api, "GET", f"{here}/proposals/{name}"))["version"] == proposed["version"]
        version = {"version": proposed["version"]}
        await _ok(api, "POST", f"{here}/proposals/{name}/{act}", json=version, headers=approver)
    await _ok(api, "PUT", f"{here}/profiles/gone", json={})
    await _ok(api, "DELETE", f"{here}/profiles/gone")
    assert [each["name"] for each in (await _ok(api, "GET", f"{here}/profiles"))["value"]] == ["sales"]
    await _ok(api, "GET", f"{here}/profiles/sales")
    taken = await _ok(api, "POST", here, json=EVENT, headers=HR)
    event = f"{here}/{taken['value'][0]['id']}"
    assert (await _ok(api, "GET", event))["eventId"] == EVENT["id"]
    assert (await _ok(api, "GET", here))["value"]
    await _ok(api, "POST", f"{event}/cancel")
    record = await fakes.world.stores.onboarding.get(taken["value"][0]["id"])
    assert record is not None
    await fakes.world.stores.onboarding.save(replace(record, state=OnboardingState.FAILED))
    await _ok(api, "POST", f"{event}/replay")
    record = await fakes.world.stores.onboarding.get(taken["value"][0]["id"])
    assert record is not None
    await fakes.world.stores.onboarding.save(replace(record, state=OnboardingState.NEEDS_DECISION))
    await _ok(api, "POST", f"{event}/decide", json={"decision": "dismiss"})
    await _ok(api, "POST", f"{here}/dryRun", json=EVENT)
    listed = await _ok(api, "GET", f"{here}/announced")
    await _ok(api, "POST", f"{here}/announced/approve", json={"checksum": listed["checksum"]})
    await _ok(api, "GET", f"{here}/schema")
    for act in ("approve", "reject"):
        async with client((await held_leavers()).world, headers=EVERYTHING) as other:
            held = await _ok(other, "GET", f"{here}/held")
            await _ok(other, "POST", f"{here}/held/{act}", json={"checksum": held["checksum"]})


async def _of_the_center(api: httpx.AsyncClient, fakes: Fakes) -> None:
    for path in (
        "licenses",
        "licenses/SPE_E3",
        "licenses/SPE_E3/users",
        "subscribedSkus",
        "changeFeed",
        "overview",
        "audit",
        "audit/verify",
    ):
        await _ok(api, "GET", f"/api/{path}")
    await _ok(api, "POST", "/api/search", json={"search": "a"})
    for path in ("turnOff", "turnOn"):
        assert (await _ok(api, "POST", f"/api/writing/{path}"))["on"] is (path == "turnOn")
    assert (await _ok(api, "GET", "/api/writing"))["forcedOff"] is False
    run = await _ok(api, "POST", "/api/firstContact", json={"level": "readOnly"})
    await _ok(api, "GET", f"/api/firstContact/{run['id']}")
    await continue_runs(fakes.world)
    assert (await _ok(api, "GET", "/api/firstContact"))["value"][0]["state"] == "completed"
    assert (await _ok(api, "GET", f"/api/firstContact/{run['id']}"))["findings"]
    assert (await _ok(api, "GET", f"/api/firstContact/{run['id']}/recording"))["observations"]
    await fakes.world.stores.dead_letters.keep(DeadLetter(LOST, "members", b"{}", "why", fakes.clock.now()))
    dead_letter = (await _ok(api, "GET", "/api/deadLetters"))["value"][0]
    await _ok(api, "POST", f"/api/deadLetters/{dead_letter['id']}/replay")
    (entry,) = (await _ok(api, "GET", "/api/audit?activity=replay+message"))["value"]
    assert entry in (await _ok(api, "POST", "/api/audit/search", json={"activity": "replay"}))["value"]
    await _ok(api, "GET", f"/api/audit/{entry['id']}/message")
    await fakes.world.stores.dead_letters.keep(DeadLetter(LOST, "members", b"{}", "why", fakes.clock.now()))
    assert (await _ok(api, "POST", "/api/deadLetters/search", json={"text": "WHY"}))["value"] != []
    act = await _ok(api, "POST", "/api/deadLetters/bulk", json={"action": "delete", "queue": "jobs"})
    assert (await _ok(api, "GET", f"/api/deadLetters/bulk/{act['id']}"))["state"] == "running"
    assert len((await _ok(api, "GET", "/api/deadLetters/bulk"))["value"]) == 1
    await _ok(api, "DELETE", f"/api/deadLetters/{LOST}")


def test_each_route_has_an_operation_id_of_its_own() -> None:
    found = [each["operationId"] for each in DESCRIBED.values()]
    assert len(set(found)) == len(found)
