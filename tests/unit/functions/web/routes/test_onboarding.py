"""HR events, their status, profiles and decisions over the API."""

from __future__ import annotations

import json
from typing import Any

from shared.domain.directory import ReadFailed
from shared.domain.ids import GroupId
from shared.domain.read_models import AuditFilter
from tests.support.api_calls import HR_READER, READER, another, app_token, claims_of, error_of, token
from tests.support.fakes_directory import BEGINNING
from tests.support.hires import Hires, event, held_leavers, team
from tests.support.hr_calls import call
from tests.support.runs import LARGE, OTHER_TEAM, SMALL, TEAM, user

HR = app_token(roles=["Onboarding.Write"])
WRITER = token(claims_of(roles=["Licensing.ReadWrite"]))
APPROVER = token(another(claims_of(roles=["Licensing.Approve"])))


async def test_an_hr_system_sends_an_event_and_reads_what_became_of_it() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    joiner = event("joiner", "1", ann, groups=[TEAM])
    headers = {**HR, "content-type": "application/cloudevents+json"}
    answer = await call(run, "POST", "/api/onboarding", headers, content=json.dumps(joiner))
    assert answer.status_code == 202, answer.text
    location = answer.headers["location"]
    assert (await call(run, "GET", location, HR)).json()["state"] == "Received"
    await run.work_off()
    found = (await call(run, "GET", location, HR)).json()
    assert found["state"] == "Done"
    assert found["licenses"] == [{"skuId": SMALL.sku_id, "outcome": "Assigned", "text": None, "remedy": None}]
    again = await call(run, "POST", "/api/onboarding", HR, json=joiner)
    assert again.json()["value"][0] == {**answer.json()["value"][0], "state": "Done"}
    schema = (await call(run, "GET", "/api/onboarding/schema", HR)).json()
    assert schema["title"] == "HR event, version 1"


async def test_a_broken_event_is_answered_with_field_value_and_rule_and_a_batch_with_positions() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    bad = event("joiner", "1", ann, usageLocation="Germany", sequence=-1)
    answer = await call(run, "POST", "/api/onboarding", HR, json=bad)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["target"]) == (400, "InvalidEvent", "data.sequence")
    assert [each["target"] for each in error["details"]] == ["data.sequence", "data.usageLocation"]
    mixed = [event("joiner", "2", ann, groups=[TEAM]), bad, 7]
    answer = await call(run, "POST", "/api/onboarding", HR, json=mixed)
    assert answer.status_code == 202
    assert [each["position"] for each in answer.json()["value"]] == [0]
    assert {each["position"] for each in answer.json()["faults"]} == {1, 2}
    other = await call(run, "POST", "/api/onboarding", HR, json=event("joiner", "2", ann))
    assert (other.status_code, error_of(other)["code"]) == (409, "Conflict")
    for body in ([], [mixed[0]] * 1001):
        rejected = await call(run, "POST", "/api/onboarding", HR, json=body)
        assert "must hold 1 to 1000" in error_of(rejected)["message"]
    assert error_of(await call(run, "POST", "/api/onboarding", HR, content="{"))["code"] == "InvalidJson"


async def saved(run: Hires, name: str, body: dict[str, Any]) -> Any:
    """The answer to the approval of a profile that one person proposed, by another one."""
    proposed = await call(run, "PUT", f"/api/onboarding/profiles/{name}", WRITER, json=body)
    assert proposed.status_code == 202, proposed.text
    version = {"version": proposed.json()["version"]}
    answer = await call(run, "POST", f"/api/onboarding/proposals/{name}/approve", APPROVER, json=version)
    assert answer.status_code == 200, answer.text
    return answer


async def deleted(run: Hires, name: str) -> None:
    """A profile, after one person proposed that and another one approved it."""
    proposed = await call(run, "DELETE", f"/api/onboarding/profiles/{name}", WRITER)
    assert (proposed.status_code, proposed.json()["deletes"]) == (202, True), proposed.text
    version = {"version": proposed.json()["version"]}
    answer = await call(run, "POST", f"/api/onboarding/proposals/{name}/approve", APPROVER, json=version)
    assert (answer.status_code, answer.content) == (204, b"")


async def test_profiles_are_kept_by_an_administrator_under_their_etag() -> None:
    run = await team()
    gone = GroupId(user(77))
    run.set_policy(onboarding_groups=frozenset({TEAM, gone}))
    body = {"match": {"department": ["Sales"]}, "groups": [TEAM], "licenses": [{"skuId": SMALL.sku_id}]}
    made = await saved(run, "sales", body)
    etag = made.headers["etag"]
    read = await call(run, "GET", "/api/onboarding/profiles/sales", READER)
    assert read.json() == made.json()
    stale = {**WRITER, "if-match": 'W/"old"'}
    rejected = await call(run, "PUT", "/api/onboarding/profiles/sales", stale, json=body)
    assert rejected.status_code == 412
    changed = {**body, "displayName": "Sales"}
    assert (
        await call(run, "PUT", "/api/onboarding/profiles/sales", {**WRITER, "if-match": etag}, json=changed)
    ).json()["displayName"] == "Sales"
    for wrong, code in (
        ({**body, "groups": [gone]}, "GroupNotFound"),
        ({**body, "groups": [OTHER_TEAM]}, "GroupNotAllowed"),
        ({**body, "licenses": [{"skuId": user(77)}]}, "SkuNotFound"),
        ({**body, "licenses": [{"skuId": SMALL.sku_id, "disabledPlans": [user(77)]}]}, "ServicePlanNotFound"),
        ({**body, "match": {"shoeSize": ["44"]}}, "InvalidRequest"),
    ):
        answer = await call(run, "PUT", "/api/onboarding/profiles/sales", WRITER, json=wrong)
        assert error_of(answer)["code"] == code
    run.directory.remove_sku(SMALL.sku_id)
    run.directory.remove_group(TEAM)
    unchanged = await call(run, "PUT", "/api/onboarding/profiles/sales", WRITER, json={**body, "displayName": "Field"})
    assert unchanged.status_code == 200, unchanged.text
    bad_name = await call(run, "PUT", "/api/onboarding/profiles/Sales!", WRITER, json=body)
    assert bad_name.status_code == 400
    listed = (await call(run, "GET", "/api/onboarding/profiles", READER)).json()["value"]
    assert [each["name"] for each in listed] == [f"of-{TEAM}", "sales"]
    await deleted(run, "sales")
    assert (await call(run, "GET", "/api/onboarding/profiles/sales", READER)).status_code == 404


async def test_a_person_changes_profiles_and_the_audit_log_has_both_versions() -> None:
    run = await team()
    path = "/api/onboarding/profiles/sales"
    body = {"match": {"department": ["Sales"]}, "groups": [TEAM]}
    app = app_token(roles=["Licensing.ReadWrite", "Licensing.Configure"])
    for verb in ("PUT", "DELETE"):
        rejected = await call(run, verb, path, app, json=body)
        assert (rejected.status_code, error_of(rejected)["code"]) == (403, "PersonRequired")
    assert [each.name for each in await run.world.stores.profiles.all()] == [f"of-{TEAM}"]
    await saved(run, "sales", body)
    assert (await call(run, "PUT", path, WRITER, json={**body, "displayName": "Sales"})).status_code == 200
    await deleted(run, "sales")
    found, _ = await run.world.stores.audit.search(
        AuditFilter(activity="onboarding profile"), BEGINNING.replace(year=2000), BEGINNING.replace(year=2100), 100
    )
    shown = {each.activity: (each.before, each.after, each.detail) for each in found}
    first, second = shown["Approve onboarding profile"][1], shown["Update onboarding profile"][1]
    assert json.loads(first)["groups"] == [TEAM]
    assert (json.loads(first)["displayName"], json.loads(second)["displayName"]) == ("", "Sales")
    assert shown == {
        "Propose onboarding profile": ("", first, "sales"),
        "Approve onboarding profile": ("", first, "sales"),
        "Update onboarding profile": (first, second, "sales"),
        "Propose to delete onboarding profile": (second, "", "sales"),
        "Approve deletion of onboarding profile": (second, "", "sales"),
    }


async def test_a_dry_run_says_what_a_person_would_get_and_why_and_writes_nothing() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,), usage_location="FR")
    joiner = event("joiner", "1", ann, attributes={"department": "Sales"}, groups=[user(99)])
    answer = await call(run, "POST", "/api/onboarding/dryRun", HR_READER, json=joiner)
    found = answer.json()
    assert found["profiles"] == [{"name": "sales", "displayName": "", "reason": "department 'Sales' fits 'Sales'"}]
    assert [(each["groupId"], each["outcome"]) for each in found["groups"]] == [(TEAM, "Added"), (user(99), "Rejected")]
    assert found["licenses"] == [{"skuId": SMALL.sku_id, "sources": [f"group:{TEAM}"], "alreadyAssigned": False}]
    assert found["usageLocation"] == "FR"
    assert not run.memberships.log
    assert not run.fakes.sent()
    assert (await call(run, "GET", "/api/onboarding", HR_READER)).json()["value"] == []
    assert found["removedLicenses"] == []
    broken = await call(run, "POST", "/api/onboarding/dryRun", HR_READER, json={})
    assert error_of(broken)["code"] == "InvalidEvent"


async def test_a_dry_run_of_a_mover_and_of_a_leaver_says_what_the_person_would_lose() -> None:
    run = await team()
    await run.license_other(LARGE)
    secret = run.directory.add_group("00000000-0000-0000-0000-00000000aaaa")
    ann = run.directory.add_user(user(1), groups=[secret])
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))

    async def trial(kind: str, **data: Any) -> dict[str, Any]:
        body = event(kind, "x", ann, **data)
        answer = await call(run, "POST", "/api/onboarding/dryRun", HR_READER, json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        found["groups"] = [(each["groupId"], each["outcome"]) for each in found["groups"]]
        return found

    move = await trial("mover", groups=[OTHER_TEAM])
    assert move["groups"] == [(OTHER_TEAM, "Added"), (TEAM, "Removed")]
    assert [each["skuId"] for each in move["licenses"]] == [LARGE.sku_id]
    assert move["removedLicenses"] == [SMALL.sku_id]
    stuck = await trial("mover", groups=[secret, user(99)])
    assert (stuck["groups"][-1], stuck["removedLicenses"]) == ((TEAM, "Kept"), [])
    leave = await trial("leaver", removal="P30D")
    assert (leave["groups"], leave["licenses"]) == ([(TEAM, "Removed")], [])
    assert leave["removedLicenses"] == [SMALL.sku_id]
    release = event("leaver.release", "x", ann)
    large = {**event("joiner", "x", ann, groups=[TEAM]), "extension": "x" * 32_768}
    for refusable, word in ((release, "try the leaver event"), (large, "at most 32768 characters")):
        rejected = await call(run, "POST", "/api/onboarding/dryRun", HR_READER, json=refusable)
        assert error_of(rejected)["code"] == "InvalidEvent"
        assert word in error_of(rejected)["message"]
    assert run.member(ann)
    assert run.licenses(ann) == {"SMALL"}


async def test_a_dry_run_does_not_take_who_cannot_be_read_for_nobody() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    leaver = event("leaver", "x", ann)
    run.directory.fail_read(ann, ReadFailed("504"))
    unread = await call(run, "POST", "/api/onboarding/dryRun", HR_READER, json=leaver)
    run.accounts.failing[f"id:{ann}"].append(ReadFailed("504"))
    not_found = await call(run, "POST", "/api/onboarding/dryRun", HR_READER, json=leaver)
    assert [unread.status_code, not_found.status_code] == [503, 503]
    known = await call(run, "POST", "/api/onboarding/dryRun", HR_READER, json=leaver)
    assert [each["id"] for each in known.json()["accounts"]] == [ann]


async def test_held_leavers_are_listed_and_let_go_as_they_were_seen() -> None:
    run = await held_leavers()
    held = (await call(run, "GET", "/api/onboarding/held", HR_READER)).json()
    assert (held["count"], held["allowedWithin24Hours"], len(held["value"])) == (5, 20, 5)
    attention = (await call(run, "GET", "/api/onboarding?attention=true&$top=3", HR_READER)).json()
    assert len(attention["value"]) == 3
    assert "@odata.nextLink" in attention
    wrong = await call(run, "POST", "/api/onboarding/held/approve", WRITER, json={"checksum": "x"})
    assert wrong.status_code == 409
    right = await call(run, "POST", "/api/onboarding/held/approve", WRITER, json={"checksum": held["checksum"]})
    assert right.json() == {"count": 5}
