"""Attempts to turn one right into another: the first-contact check, a group's allowance, options, and stop managing."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.attack.arena import ALLOWED, BOSS, HR_ONE, ONE, ROLES, SKU, Arena, fixed
from tests.attack.asking import Answer
from tests.attack.expected import EVERYTHING
from tests.support.stack_hires import ENDS, event
from tests.support.stack_journeys import PATIENCE_S, eventually

FIRST_CONTACT, ALLOWANCE, STOPPED = "first contact", "own allowances", "stop managing"

ADMINISTRATOR = "Global Administrator"
PRODUCT = "FLOW_FREE"
KEPT = fixed("kept")
"""A group that is not managed any more."""

FORM = {"content-type": "application/x-www-form-urlencoded"}


def try_first_contact(arena: Arena) -> None:
    """A basic run makes its test user a member of its test group: of a group in use, for oneself, by an application."""
    results, (tester,) = arena.results, arena.people(1)
    used = {"displayName": "finance", "members": arena.people(2)}
    parent, inner = fixed("parent"), fixed("inner")
    nested = [{"id": inner, "members": []}, {"id": parent, "members": [inner]}]
    placed = arena.run.client.tenant("POST", "/objects", {"groups": [used, *nested]})
    (finance, *_) = placed["groups"]
    roles = {"id": ROLES, "displayName": "roles", "members": [], "isAssignableToRole": True}
    arena.run.client.tenant("POST", "/objects", {"groups": [roles]})
    for role in ("License Administrator", "Groups Administrator", "Licensing.Write", "Helpdesk Administrator"):
        answer = _start(arena, arena.person(role), tester, finance)
        results.must_deny(FIRST_CONTACT, f"{role} starts a basic run", answer, 403, "Forbidden")
    app = arena.mint.app(arena.someone(), "Licensing.Configure")
    answer = _start(arena, app, tester, finance)
    results.must_deny(FIRST_CONTACT, "an application starts a basic run", answer, 403, "PersonRequired")
    body = urlencode({"user": tester, "group": finance, "sku": arena.run.skus[PRODUCT]}).encode()
    answer = arena.ask("POST", "/firstContact", {**app, **FORM}, body)
    results.must_deny(FIRST_CONTACT, "an application on the page", answer, 403)
    own = _start(arena, arena.person(ADMINISTRATOR, oid=tester), tester, finance)
    results.must_deny(FIRST_CONTACT, "the own account as test user", own, 400, "InvalidTestObject")
    boss = _start(arena, arena.person(ADMINISTRATOR), BOSS, finance)
    results.must_deny(FIRST_CONTACT, "a protected person as test user", boss, 400, "InvalidTestObject")
    managed = _start(arena, arena.person(ADMINISTRATOR), tester, ALLOWED)
    results.must_deny(FIRST_CONTACT, "a managed group", managed, 400, "InvalidTestObject")
    for name, group in (("a group in use", finance), ("a group inside another", inner), ("a group of roles", ROLES)):
        started = _start_when_free(arena, tester, group)
        results.must_pass(FIRST_CONTACT, f"a run on {name} starts", started)
        run = _ended_run(arena, started.json["id"])
        ended = (run["state"], run["writes"])
        results.must(FIRST_CONTACT, f"a run on {name} writes nothing", ended == ("failed", 0), run["fault"])
        results.must(FIRST_CONTACT, f"no member of {name}", tester not in arena.members(group), run["fault"])
    _by_hr(arena)


def _start(arena: Arena, headers: dict[str, str], user: str, group: str) -> Answer:
    body = {"level": "basic", "testUserId": user, "testGroupId": group, "testSkuId": arena.run.skus[PRODUCT]}
    return arena.ask("POST", "/api/firstContact", headers, body)


def _start_when_free(arena: Arena, user: str, group: str) -> Answer:
    """The daily run can be open meanwhile: then 409 says so, until it has ended."""

    def ask() -> Answer:
        arena.run.fire("continue_first_contact")
        return _start(arena, arena.person(ADMINISTRATOR), user, group)

    return eventually(ask, lambda answer: answer.status != 409)


def _ended_run(arena: Arena, run_id: str) -> dict[str, Any]:
    arena.run.fire("continue_first_contact")
    path = f"/api/firstContact/{run_id}"
    return eventually(lambda: arena.run.client.api("GET", path), lambda each: each["state"] in ("completed", "failed"))


def _by_hr(arena: Arena) -> None:
    """A role-assignable group in ONBOARDING_GROUPS: HR makes nobody its member."""
    results, (joiner,) = arena.results, arena.people(1)
    sender = arena.hr(HR_ONE)
    body = event("joiner", f"roles-{arena.number()}", {"id": joiner}, groups=[ROLES])
    answer = arena.ask("POST", "/api/onboarding", sender, {**body, "source": ONE})
    if answer.status != 202:
        raise AssertionError(f"{answer}: {answer.body.decode(errors='replace')}")
    key = answer.json["value"][0]["id"]
    state = eventually(
        lambda: str(arena.run.client.api("GET", f"/api/onboarding/{key}")["state"]), lambda each: each in ENDS
    )
    results.must(FIRST_CONTACT, "HR adds nobody to a group of roles", joiner not in arena.members(ROLES), state)


def try_allowance(arena: Arena) -> None:
    """Who can set options raises the allowance of a group, and removes the license from all its members."""
    results, options = arena.results, f"/api/groups/{ALLOWED}/licenseAssignment"
    before = arena.holders(ALLOWED)
    raised = {"removalAllowance": 1000, "removalAllowanceReason": "attack"}
    for role in ("License Administrator", "Groups Administrator", "Licensing.Write", "Licensing.Approve"):
        answer = arena.ask("PATCH", options, arena.person(role), raised)
        results.must_deny(ALLOWANCE, f"{role} raises the allowance", answer, 403, "Forbidden")
    app = arena.mint.app(arena.someone(), "Licensing.Configure", "Licensing.Write")
    results.must_pass(ALLOWANCE, "an application raises the allowance", arena.ask("PATCH", options, app, raised))
    body = {"addLicenses": [], "removeLicenses": [arena.run.skus[SKU]]}
    path = f"/api/groups/{ALLOWED}/assignLicense"
    for name, headers, more in (
        ("an application", app, {}),
        ("a person", arena.person(ADMINISTRATOR), {}),
        ("a person in one request", arena.person(ADMINISTRATOR), {"options": raised}),
    ):
        asked = arena.ask("POST", path, headers, {**body, **more})
        results.must_pass(ALLOWANCE, f"{name} requests a removal", asked)
        waiting = arena.run.client.ended(asked.json["id"], PATIENCE_S)
        results.must(
            ALLOWANCE, f"the removal of {name} waits", waiting["state"] == "AwaitingApproval", waiting["state"]
        )
        reject = f"/api/operations/{waiting['id']}/reject"
        results.must_pass(ALLOWANCE, "another rejects", arena.ask("POST", reject, arena.person(ADMINISTRATOR), {}))
        arena.run.until_ended(waiting["id"])
        arena.run.finish(arena.run.change(ALLOWED, {SKU: []}, []))
    kept = arena.holders(ALLOWED)
    results.must(ALLOWANCE, "all keep their licenses", bool(before) and before <= kept, sorted(before - kept))
    usual = {"removalAllowance": None}
    results.must_pass(ALLOWANCE, "the usual allowance again", arena.ask("PATCH", options, app, usual))


def try_stopping(arena: Arena) -> None:
    """Stop managing a group: nobody loses a license by it, and it opens no way to remove one."""
    results, people = arena.results, [BOSS, *arena.people(6)]
    arena.run.client.tenant("POST", "/objects", {"groups": [{"id": KEPT, "displayName": "kept", "members": people}]})
    arena.run.finish(arena.run.change(KEPT, {SKU: []}, []))
    path = f"/api/groups/{KEPT}/assignLicense"
    body = {"addLicenses": [], "removeLicenses": [arena.run.skus[SKU]]}
    for role in ("Helpdesk Administrator", "Directory Readers", "Global Reader", "Onboarding.Write"):
        answer = arena.ask("POST", path, arena.person(role), {**body, "keepLicenses": True})
        results.must_deny(STOPPED, f"{role} stops managing", answer, 403, "Forbidden")
    guest = arena.person(EVERYTHING, ADMINISTRATOR, acct=1)
    results.must_deny(STOPPED, "a guest", arena.ask("POST", path, guest, {**body, "keepLicenses": True}), 403)
    stopped = arena.ask("POST", path, arena.person("Groups Administrator"), {**body, "keepLicenses": True})
    results.must_pass(STOPPED, "a Groups Administrator stops managing", stopped)
    arena.run.finish(stopped.json)
    for role in ("License Administrator", "Groups Administrator", EVERYTHING):
        again = arena.ask("POST", path, arena.person(role), body)
        results.must_deny(STOPPED, f"{role} removes after that", again, 400)
    arena.run.until_quiet()
    results.must(STOPPED, "all have their licenses", all(arena.licensed(*people)), people)
    managed = arena.run.change(KEPT, {SKU: []}, [])
    arena.run.finish(managed)
    asked = arena.ask("POST", path, arena.person("License Administrator"), body)
    arena.run.client.ended(asked.json["id"], PATIENCE_S)
    arena.run.until_quiet()
    results.must(STOPPED, "nobody loses an unmanaged license", all(arena.licensed(*people)), people)
