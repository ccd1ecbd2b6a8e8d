"""Attempts to decide what another person must decide: approvals of removals, and profiles."""

from __future__ import annotations

import time
from typing import Any

from tests.attack.arena import ALLOWED, BOSS, HR_ONE, ONE, OTHER_SKU, PAYROLL, SKU, Arena
from tests.attack.asking import Answer
from tests.attack.callers import HOUR
from tests.attack.expected import EVERYTHING
from tests.support.days import DAY
from tests.support.stack_hires import ENDS, event
from tests.support.stack_journeys import PATIENCE_S, eventually

APPROVALS, PROFILES, EXPIRED, ALONE = "approvals", "profiles", "expired approvals", "single approver"

ADMINISTRATOR = "Global Administrator"


def _requested(arena: Arena, headers: dict[str, str], query: str = "", **more: object) -> dict[str, Any]:
    """An operation that removes the team's license, once it has ended or waits."""
    body = {"addLicenses": [], "removeLicenses": [arena.run.skus[SKU]], **more}
    target = "users" if "userIds" in more else f"groups/{ALLOWED}"
    answer = arena.ask("POST", f"/api/{target}/assignLicense{query}", headers, body)
    if answer.status != 202:
        raise AssertionError(f"{answer}: {answer.body.decode(errors='replace')}")
    return arena.run.client.ended(answer.json["id"], PATIENCE_S)


def _end(arena: Arena, removal: dict[str, Any]) -> dict[str, Any]:
    """The removal once it has ended; then the team is given its license again."""
    ended = arena.run.until_ended(removal["id"])
    arena.run.finish(arena.run.change(ALLOWED, {SKU: []}, []))
    return ended


def _approve(arena: Arena, operation: dict[str, Any], headers: dict[str, str], **changes: str) -> Answer:
    body = {"checksum": operation["checksum"], **changes}
    return arena.ask("POST", f"/api/operations/{operation['id']}/approve", headers, body)


def try_approvals(arena: Arena) -> None:
    """A removal from more people than one person may decide about."""
    _by_preview(arena)
    requester, before = arena.someone(), arena.holders(ALLOWED)
    waiting = _requested(arena, arena.person(ADMINISTRATOR, oid=requester))
    results, state = arena.results, waiting["state"]
    results.must(APPROVALS, "a removal from the whole team waits", state == "AwaitingApproval", state)
    _deny_all(arena, waiting, requester)
    kept = arena.holders(ALLOWED)
    results.must(APPROVALS, "all keep their licenses meanwhile", bool(before) and before <= kept, sorted(before - kept))
    other = arena.person("License Administrator")
    results.must_pass(APPROVALS, "another person approves", _approve(arena, waiting, other))
    results.must_deny(APPROVALS, "the approval again", _approve(arena, waiting, other), (400, 409))
    _end(arena, waiting)
    _keys(arena)
    _protected(arena)


def _deny_all(arena: Arena, waiting: dict[str, Any], requester: str) -> None:
    results, now = arena.results, int(time.time())
    same = {
        "the requester approves": arena.person(ADMINISTRATOR, oid=requester),
        "the requester approves by another client": arena.person(EVERYTHING, oid=requester),
        "the requester in capitals": arena.person(ADMINISTRATOR, oid=requester.upper()),
        "the requester's session": arena.mint.session(requester, ADMINISTRATOR),
    }
    for name, headers in same.items():
        results.must_deny(APPROVALS, name, _approve(arena, waiting, headers), 403, "AnotherApproverRequired")
    without = {
        "an application with all roles": arena.mint.app(arena.someone(), EVERYTHING),
        "an application with the role to approve": arena.mint.app(arena.someone(), "Licensing.Approve"),
        "the application with the requester's id": arena.mint.app(requester, EVERYTHING),
    }
    for name, headers in without.items():
        results.must_deny(APPROVALS, name, _approve(arena, waiting, headers), 403, "PersonRequired")
    for role in (
        "Licensing.Read",
        "Licensing.Write",
        "Licensing.Configure",
        "Onboarding.Write",
        "Groups Administrator",
    ):
        results.must_deny(APPROVALS, f"only {role}", _approve(arena, waiting, arena.person(role)), 403, "Forbidden")
    times: tuple[object, ...] = (None, now - 61 * 60, now - 24 * HOUR, now + HOUR, "now", [now, now - 1])
    for at in times:
        headers = arena.person(ADMINISTRATOR, auth_time=at)
        results.must_deny(APPROVALS, f"sign-in at {at}", _approve(arena, waiting, headers), 401, "SignInTooOld")
    other = arena.person(ADMINISTRATOR)
    wrong = _approve(arena, waiting, other, checksum="0" * 64)
    results.must_deny(APPROVALS, "the checksum of another list", wrong, 409, "Conflict")
    form = f"checksum={waiting['checksum']}&people={waiting['plan']['usersLosing']}".encode()
    kind = {"content-type": "application/x-www-form-urlencoded"}
    page = {**arena.mint.session(requester, ADMINISTRATOR), **kind}
    answer = arena.ask("POST", f"/operations/{waiting['id']}/approve", page, form)
    results.must_deny(APPROVALS, "the requester on the page", answer, 403)


def _by_preview(arena: Arena) -> None:
    """A preview sent again as an approval: by an application, and by the person who requested it."""
    results = arena.results
    app = arena.mint.app(arena.someone(), EVERYTHING)
    preview = _requested(arena, app, "?preview=true")
    approved = {"id": preview["id"], "checksum": preview["checksum"]}
    path = f"/api/groups/{ALLOWED}/assignLicense"
    body = {"addLicenses": [], "removeLicenses": [arena.run.skus[SKU]], "approvedPreview": approved}
    answer = arena.ask("POST", path, app, body)
    results.must_deny(APPROVALS, "an application approves by its preview", answer, 403, "PersonRequired")
    writer = arena.person("Licensing.Write")
    answer = arena.ask("POST", path, writer, body)
    results.must_deny(APPROVALS, "a writer approves by a preview", answer, 403, "Forbidden")
    person = arena.person(ADMINISTRATOR, oid=arena.someone())
    own = _requested(arena, person, "?preview=true")
    approved = {"id": own["id"], "checksum": own["checksum"]}
    started = _requested(arena, person, approvedPreview=approved)
    waits = started["state"] == "AwaitingApproval"
    results.must(APPROVALS, "a person approves the own preview of many", waits, started["state"])
    wrong = {**body, "approvedPreview": {**approved, "checksum": "0" * 64}}
    results.must_deny(APPROVALS, "a preview of another checksum", arena.ask("POST", path, person, wrong), 409)
    results.must_pass(APPROVALS, "another person rejects", _reject(arena, started, arena.person(ADMINISTRATOR)))
    _end(arena, started)


def _keys(arena: Arena) -> None:
    """With another person's idempotency key, a caller does not get that person's operation."""
    (user,) = arena.people(1)
    body = {
        "userIds": [user],
        "addLicenses": [{"skuId": arena.run.skus[SKU], "disabledPlans": []}],
        "removeLicenses": [],
    }
    ids = []
    for _ in range(2):
        headers = {**arena.person(), "idempotency-key": "the-same"}
        ids.append(arena.ask("POST", "/api/users/assignLicense", headers, body).json["id"])
    arena.results.must(APPROVALS, "the idempotency key of another person", ids[0] != ids[1], ids)


def _protected(arena: Arena) -> None:
    """A protected person among named users: the requester cannot approve, however few they are."""
    results, requester, sku = arena.results, arena.someone(), arena.run.skus[OTHER_SKU]
    given = {"userIds": [BOSS], "addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    arena.run.finish(arena.run.start("/api/users/assignLicense", given))
    headers = arena.person(ADMINISTRATOR, oid=requester)
    waiting = _requested(arena, headers, userIds=[BOSS], removeLicenses=[sku])
    state = waiting["state"]
    results.must(APPROVALS, "a removal from one protected person waits", state == "AwaitingApproval", state)
    answer = _approve(arena, waiting, headers)
    results.must_deny(APPROVALS, "the requester for a protected person", answer, 403, "AnotherApproverRequired")
    answer = arena.ask("POST", f"/api/users/{BOSS}/removeLicensesNow", headers, {"skuIds": [sku]})
    results.must_deny(APPROVALS, "a protected person's license now", answer, (400, 403, 409))
    has = OTHER_SKU in arena.days.skus(BOSS)
    results.must(APPROVALS, "a protected person keeps the license", has, state)
    other = arena.person(ADMINISTRATOR)
    results.must_pass(APPROVALS, "another person approves it", _approve(arena, waiting, other))
    arena.run.until_ended(waiting["id"])
    gone = eventually(lambda: OTHER_SKU not in arena.days.skus(BOSS), bool)
    results.must(APPROVALS, "then it goes", gone, waiting["id"], denial=False)


def _reject(arena: Arena, operation: dict[str, Any], headers: dict[str, str]) -> Answer:
    return arena.ask("POST", f"/api/operations/{operation['id']}/reject", headers, {})


def try_profiles(arena: Arena) -> None:
    """Groups by way of a profile: of others, unapproved, for oneself."""
    results, path = arena.results, "/api/onboarding/profiles/attack"
    wanted = {"match": {"department": ["Attack"]}, "groups": [ALLOWED]}
    for role in ("License Administrator", "User Administrator", "Groups Administrator", "Licensing.Write"):
        answer = arena.ask("PUT", path, arena.person(role), wanted)
        results.must_deny(PROFILES, f"{role} writes a profile", answer, 403, "Forbidden")
    app = arena.mint.app(arena.someone(), "Licensing.Configure", "Licensing.Approve")
    results.must_deny(PROFILES, "an application", arena.ask("PUT", path, app, wanted), 403, "PersonRequired")
    outside = {**wanted, "groups": [PAYROLL]}
    author = arena.someone()
    headers = arena.person(ADMINISTRATOR, oid=author)
    answer = arena.ask("PUT", path, headers, outside)
    results.must_deny(PROFILES, "a group outside ONBOARDING_GROUPS", answer, 400, "GroupNotAllowed")
    proposed = arena.ask("PUT", path, headers, wanted)
    results.must(PROFILES, "a profile that adds a group waits", proposed.status == 202, proposed)
    _deny_proposal(arena, author, proposed.json["version"])
    _join(arena)
    approve = "/api/onboarding/proposals/attack/approve"
    seen = {"version": proposed.json["version"]}
    results.must_pass(PROFILES, "another approves", arena.ask("POST", approve, arena.person(ADMINISTRATOR), seen))
    _widen(arena, author)
    arena.ask("DELETE", path, headers)


def _deny_proposal(arena: Arena, author: str, version: str) -> None:
    results, approve, seen = arena.results, "/api/onboarding/proposals/attack/approve", {"version": version}
    attempts = (
        ("the author approves", arena.person(ADMINISTRATOR, oid=author), "AnotherApproverRequired"),
        ("the author in capitals", arena.person(EVERYTHING, oid=author.upper()), "AnotherApproverRequired"),
        ("an application approves", arena.mint.app(arena.someone(), EVERYTHING), "PersonRequired"),
        ("Configure alone approves", arena.person("Licensing.Configure"), "Forbidden"),
    )
    for name, headers, code in attempts:
        results.must_deny(PROFILES, name, arena.ask("POST", approve, headers, seen), 403, code)
    old = arena.person(ADMINISTRATOR, auth_time=int(time.time()) - 2 * HOUR)
    results.must_deny(PROFILES, "an old sign-in approves", arena.ask("POST", approve, old, seen), 401, "SignInTooOld")
    other = arena.ask("POST", approve, arena.person(ADMINISTRATOR), {"version": 'W/"0"'})
    results.must_deny(PROFILES, "another version is approved", other, 409)


def _join(arena: Arena) -> None:
    """Joiners whom an unapproved profile fits, and one who names a profile that cannot be selected."""
    results = arena.results
    fits, names, oneself = arena.people(3)
    unapproved = _sent(
        arena, event("joiner", f"fits-{arena.number()}", {"id": fits}, attributes={"department": "Attack"})
    )
    named = _sent(arena, event("joiner", f"names-{arena.number()}", {"id": names}, profiles=["sales"]))
    for key in (unapproved, named):
        eventually(lambda: _state(arena, key), lambda state: state in ENDS or state.startswith("Waiting"))  # noqa: B023
    inside = arena.members(ALLOWED)
    results.must(PROFILES, "an unapproved profile gives nothing", fits not in inside, unapproved)
    results.must(PROFILES, "a profile that is not selectable gives nothing", names not in inside, named)
    mine = {
        **event("joiner", f"self-{arena.number()}", {"id": oneself}, attributes={"department": "Sales"}),
        "source": ONE,
    }
    for role in (EVERYTHING, ADMINISTRATOR, "Onboarding.Write"):
        answer = arena.ask("POST", "/api/onboarding", arena.person(role), mine)
        results.must_deny(PROFILES, f"{role} sends a joiner event for oneself", answer, (400, 403))


def _sent(arena: Arena, body: dict[str, Any]) -> str:
    """The key of an event that the first HR system sends."""
    answer = arena.ask("POST", "/api/onboarding", arena.hr(HR_ONE), {**body, "source": ONE})
    if answer.status != 202:
        raise AssertionError(f"{answer}: {answer.body.decode(errors='replace')}")
    return str(answer.json["value"][0]["id"])


def _state(arena: Arena, key: str) -> str:
    return str(arena.run.client.api("GET", f"/api/onboarding/{key}")["state"])


def _widen(arena: Arena, author: str) -> None:
    """A profile that is in force becomes wider only with another approval."""
    headers = arena.person(ADMINISTRATOR, oid=author)
    narrow = {"match": {"department": ["Attack"]}, "groups": [ALLOWED]}
    wider = (
        ("by more people", {**narrow, "match": {"department": ["*"]}}),
        ("by another attribute", {**narrow, "match": {"country": ["DE"]}}),
        ("by being selectable", {**narrow, "selectable": True}),
    )
    for name, profile in wider:
        answer = arena.ask("PUT", "/api/onboarding/profiles/attack", headers, profile)
        arena.results.must(PROFILES, f"wider {name} waits", answer.status == 202, answer)
    kept = arena.ask("GET", "/api/onboarding/profiles/attack", headers).json
    arena.results.must(PROFILES, "the narrow one is in force", not kept["selectable"], kept)


def try_expiry(arena: Arena) -> None:
    """After 30 days without a decision a removal cannot be approved any more."""
    results, before = arena.results, arena.holders(ALLOWED)
    waiting = _requested(arena, arena.person(ADMINISTRATOR))
    results.must(EXPIRED, "the removal waits", waiting["state"] == "AwaitingApproval", waiting["state"])
    arena.days.pass_by(31 * DAY, "watchdog")
    ended = _end(arena, waiting)
    results.must(EXPIRED, "it ends as rejected", bool(ended["error"]), ended["state"])
    answer = _approve(arena, waiting, arena.person(ADMINISTRATOR))
    results.must_deny(EXPIRED, "an approval after it expired", answer, (400, 409))
    arena.run.until_quiet()
    kept = arena.holders(ALLOWED)
    results.must(EXPIRED, "all keep their licenses", bool(before) and before <= kept, sorted(before - kept))


def try_alone(arena: Arena) -> None:
    """On a stack with SINGLE_APPROVER: the requester waits for a day, and the log says who approved alone."""
    results, requester = arena.results, arena.someone()
    me = arena.person(ADMINISTRATOR, oid=requester)
    waiting = _requested(arena, me)
    answer = _approve(arena, waiting, me)
    results.must_deny(ALONE, "the requester at once", answer, 403, "AnotherApproverRequired")
    arena.days.pass_by(DAY - 600, "watchdog")
    answer = _approve(arena, waiting, arena.person(ADMINISTRATOR, oid=requester))
    results.must_deny(ALONE, "the requester before a day is over", answer, 403, "AnotherApproverRequired")
    app = arena.mint.app(requester, EVERYTHING)
    arena.days.pass_by(1200, "watchdog")
    results.must_deny(ALONE, "an application after a day", _approve(arena, waiting, app), 403, "PersonRequired")
    answer = _approve(arena, waiting, arena.person(ADMINISTRATOR, oid=requester))
    results.must_pass(ALONE, "the requester after a day", answer)
    said = [each for each in arena.audit("single approver") if each["operationId"] == waiting["id"]]
    results.must(ALONE, "the audit log says that the approver was alone", len(said) == 1, said, denial=False)
    arena.run.until_ended(waiting["id"])
