"""Attempts on groups that Microsoft's own licensing licenses: moves to this app and back, and changes of them here."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

from tests.attack.arena import BOSS, OTHER_SKU, SEATS, Arena, fixed
from tests.attack.asking import Answer
from tests.attack.callers import HOUR
from tests.attack.expected import EVERYTHING
from tests.support.stack_journeys import PATIENCE_S, eventually

MOVES, NATIVE = "moves", "native groups"

ADMINISTRATOR = "Global Administrator"
REQUESTER = "License Administrator"
MOVED, CHANGED = "PROJECTPROFESSIONAL", OTHER_SKU
"""Two products: a protected member who has one from another group loses nothing."""

MEMBERS = 8
"""More than one person may decide about in the arena."""

MOVING, FEW, DRIVEN = fixed("moving"), fixed("few"), fixed("driven")

Headers = dict[str, str]


def _native(arena: Arena, group: str, people: list[str], product: str) -> None:
    """A group that Microsoft's licensing licenses, once all have the product."""
    sku = {"skuId": arena.run.skus[product], "enabled": SEATS}
    made = {"id": group, "displayName": f"native {group[:4]}", "members": people, "assignedLicenses": [product]}
    arena.run.client.tenant("POST", "/objects", {"skus": [sku]})
    arena.run.client.tenant("POST", "/objects", {"groups": [made]})
    eventually(lambda: _licensed(arena, people, product), bool)


def _licensed(arena: Arena, people: list[str], product: str) -> bool:
    return all(product in arena.days.skus(each) for each in people)


def _move(arena: Arena, group: str) -> dict[str, Any]:
    found: dict[str, Any] = arena.run.client.api("GET", f"/api/groups/{group}/moveLicensing")
    return found


def _until(arena: Arena, group: str, *states: str) -> dict[str, Any]:
    return eventually(lambda: _move(arena, group), lambda each: each["state"] in (*states, "paused"), 2 * PATIENCE_S)


def _waiting(arena: Arena, group: str, headers: Headers) -> dict[str, Any]:
    """A move to this app that waits for its approval."""
    answer = arena.ask("POST", f"/api/groups/{group}/moveLicensing", headers, {"direction": "toDirect"})
    arena.results.must_pass(MOVES, f"a move of {group[:4]} starts", answer)
    return _until(arena, group, "awaitingApproval")


def _strangers(arena: Arena, requester: str) -> list[tuple[str, Headers, int, str]]:
    """Who cannot decide what `requester` has requested for more people than one person may decide about."""
    now = int(time.time())
    own = "AnotherApproverRequired"
    found = [
        ("the requester", arena.person(ADMINISTRATOR, oid=requester), 403, own),
        ("the requester by another client", arena.person(EVERYTHING, oid=requester), 403, own),
        ("the requester in capitals", arena.person(ADMINISTRATOR, oid=requester.upper()), 403, own),
        ("the requester's session", arena.mint.session(requester, ADMINISTRATOR), 403, own),
        ("an application with all roles", arena.mint.app(arena.someone(), EVERYTHING), 403, "PersonRequired"),
        ("an application that approves", arena.mint.app(arena.someone(), "Licensing.Approve"), 403, "PersonRequired"),
        ("the application with the requester's id", arena.mint.app(requester, EVERYTHING), 403, "PersonRequired"),
    ]
    roles = ("Groups Administrator", "Helpdesk Administrator", "Directory Readers", "Global Reader")
    for role in (*roles, "Licensing.Write", "Licensing.Configure", "Onboarding.Write"):
        found.append((f"only {role}", arena.person(role), 403, "Forbidden"))
    guest = arena.person(EVERYTHING, ADMINISTRATOR, acct=1)
    found.append(("a guest with all roles", guest, 403, "Forbidden"))
    for at in (None, now - 61 * 60, now + HOUR, "now"):
        old = arena.person(ADMINISTRATOR, auth_time=at)
        found.append((f"a sign-in at {at}", old, 401, "SignInTooOld"))
    return found


def try_moves(arena: Arena) -> None:
    """The last step of a move: by the requester, an application, an old sign-in, another list; a protected member."""
    results, people = arena.results, arena.people(MEMBERS)
    _native(arena, MOVING, people, MOVED)
    requester = arena.someone()
    waiting = _waiting(arena, MOVING, arena.person(REQUESTER, oid=requester))
    results.must(MOVES, "a move waits for its last step", waiting["state"] == "awaitingApproval", waiting)
    path, seen = f"/api/groups/{MOVING}/moveLicensing/approve", {"checksum": waiting["checksum"]}
    for name, headers, status, code in _strangers(arena, requester):
        results.must_deny(MOVES, f"{name} approves a move", arena.ask("POST", path, headers, seen), status, code)
    form = {"content-type": "application/x-www-form-urlencoded"}
    page = {**arena.mint.session(requester, ADMINISTRATOR), **form}
    answer = arena.ask("POST", f"/groups/{MOVING}/move/approve", page, urlencode(seen).encode())
    results.must_deny(MOVES, "the requester approves on the page", answer, 403)
    other = arena.person(ADMINISTRATOR)
    wrong = arena.ask("POST", path, other, {"checksum": "0" * 32})
    results.must_deny(MOVES, "the checksum of other members", wrong, 409)
    results.must(MOVES, "the members keep both sources", _move(arena, MOVING)["state"] == "awaitingApproval", waiting)
    results.must_pass(MOVES, "another person approves a move", arena.ask("POST", path, other, seen))
    results.must_deny(MOVES, "the approval again", arena.ask("POST", path, other, seen), (400, 409))
    done = _until(arena, MOVING, "done")
    right = done["state"] == "done" and _licensed(arena, people, MOVED)
    results.must(MOVES, "all members have the product after it", right, done, denial=False)
    _of_an_application(arena)


def _of_an_application(arena: Arena) -> None:
    """A move of few members, one of them protected, that an application requests: two people approve."""
    results, people = arena.results, [BOSS, *arena.people(2)]
    _native(arena, FEW, people, MOVED)
    app = arena.mint.app(arena.someone(), "Licensing.Write")
    waiting = _waiting(arena, FEW, app)
    path, seen = f"/api/groups/{FEW}/moveLicensing/approve", {"checksum": waiting["checksum"]}
    results.must(MOVES, "the protected member is counted", waiting["protectedMembers"] == 1, waiting)
    first = arena.someone()
    results.must_pass(MOVES, "a first person", arena.ask("POST", path, arena.person(ADMINISTRATOR, oid=first), seen))
    state = _move(arena, FEW)["state"]
    results.must(MOVES, "one person for a protected member", state == "awaitingApproval", state)
    for oid in (first, first.upper()):
        answer = arena.ask("POST", path, arena.person(EVERYTHING, oid=oid), seen)
        results.must_deny(MOVES, "the same person again", answer, 403, "AnotherApproverRequired")
    results.must_pass(MOVES, "a second person", arena.ask("POST", path, arena.person(ADMINISTRATOR), seen))
    done = _until(arena, FEW, "done")
    right = done["state"] == "done" and _licensed(arena, people, MOVED)
    results.must(MOVES, "the protected member has the product after it", right, done, denial=False)


def try_native(arena: Arena) -> None:
    """A native group that the app manages: its removal, by a preview, an application, the requester."""
    results, people = arena.results, [BOSS, *arena.people(MEMBERS - 1)]
    _native(arena, DRIVEN, people, CHANGED)
    manage = f"/api/groups/{DRIVEN}/manageNatively"
    for role in (REQUESTER, "User Administrator", "Groups Administrator", "Licensing.Write", "Licensing.Approve"):
        answer = arena.ask("POST", manage, arena.person(role), {})
        results.must_deny(NATIVE, f"{role} lets the app manage a group", answer, 403, "Forbidden")
    results.must_deny(NATIVE, "a removal before that", _remove(arena, arena.person(ADMINISTRATOR)), 400)
    results.must_pass(NATIVE, "an administrator does", arena.ask("POST", manage, arena.person(ADMINISTRATOR), {}))
    (stranger,) = arena.people(1)
    member = f"/api/groups/{DRIVEN}/members/{stranger}/diagnose"
    answer = arena.ask("POST", member, arena.person("Groups Administrator"), {})
    results.must_deny(NATIVE, "a Groups Administrator diagnoses a user outside", answer, 404)
    _by_preview(arena)
    requester = arena.someone()
    waiting = _ended(arena, _remove(arena, arena.person(REQUESTER, oid=requester)))
    results.must(NATIVE, "a removal waits", waiting["state"] == "AwaitingApproval", waiting["state"])
    path, seen = f"/api/operations/{waiting['id']}/approve", {"checksum": waiting["checksum"]}
    for name, headers, status, code in _strangers(arena, requester):
        results.must_deny(NATIVE, f"{name} approves a removal", arena.ask("POST", path, headers, seen), status, code)
    reject = f"/api/operations/{waiting['id']}/reject"
    results.must_pass(NATIVE, "another rejects", arena.ask("POST", reject, arena.person(ADMINISTRATOR), {}))
    arena.run.until_ended(waiting["id"])
    of_app = _ended(arena, _remove(arena, arena.mint.app(arena.someone(), "Licensing.Write", "Licensing.Approve")))
    path, seen = f"/api/operations/{of_app['id']}/approve", {"checksum": of_app["checksum"]}
    one = arena.someone()
    results.must_pass(NATIVE, "a first person", arena.ask("POST", path, arena.person(ADMINISTRATOR, oid=one), seen))
    again = arena.ask("POST", path, arena.person(ADMINISTRATOR, oid=one), seen)
    results.must_deny(NATIVE, "the same person again", again, 403, "AnotherApproverRequired")
    state = arena.run.client.operation(of_app["id"])["state"]
    results.must(NATIVE, "one person for a protected member", state == "AwaitingApproval", state)
    cancel = f"/api/operations/{of_app['id']}/cancel"
    results.must_pass(NATIVE, "it is cancelled", arena.ask("POST", cancel, arena.person("Licensing.Write"), {}))
    arena.run.until_quiet()
    results.must(NATIVE, "all members have the product", _licensed(arena, people, CHANGED), people)
    stop = arena.ask("POST", f"/api/groups/{DRIVEN}/stopManagingNatively", arena.person(ADMINISTRATOR), {})
    results.must_pass(NATIVE, "an administrator stops managing", stop)
    results.must(NATIVE, "also after that", _licensed(arena, people, CHANGED), people)


def _remove(arena: Arena, headers: Headers, query: str = "", **more: object) -> Answer:
    body = {"addLicenses": [], "removeLicenses": [arena.run.skus[CHANGED]], **more}
    return arena.ask("POST", f"/api/groups/{DRIVEN}/assignLicense{query}", headers, body)


def _ended(arena: Arena, answer: Answer) -> dict[str, Any]:
    """The operation once it has ended or waits."""
    if answer.status != 202:
        raise AssertionError(f"{answer}: {answer.body.decode(errors='replace')}")
    return arena.run.client.ended(answer.json["id"], PATIENCE_S)


def _by_preview(arena: Arena) -> None:
    app = arena.mint.app(arena.someone(), EVERYTHING)
    preview = _ended(arena, _remove(arena, app, "?preview=true"))
    approved = {"id": preview["id"], "checksum": preview["checksum"]}
    answer = _remove(arena, app, approvedPreview=approved)
    arena.results.must_deny(NATIVE, "an application approves by its preview", answer, 403, "PersonRequired")
    person = arena.person(ADMINISTRATOR, oid=arena.someone())
    own = _ended(arena, _remove(arena, person, "?preview=true"))
    approved = {"id": own["id"], "checksum": own["checksum"]}
    started = _ended(arena, _remove(arena, person, approvedPreview=approved))
    waits = started["state"] == "AwaitingApproval"
    arena.results.must(NATIVE, "a person approves the own preview", waits, started["state"])
    path = f"/api/operations/{started['id']}/reject"
    arena.results.must_pass(NATIVE, "another rejects it", arena.ask("POST", path, arena.person(ADMINISTRATOR), {}))
    arena.run.until_ended(started["id"])
