"""Attempts of HR systems: another one's events and sources, groups that are not theirs, leavers at once."""

from __future__ import annotations

from typing import Any

from tests.attack.arena import ALLOWED, BOSS, BY_QUEUE, HR_ONE, HR_TWO, ONE, PAYROLL, TWO, Arena
from tests.attack.asking import Answer
from tests.support.days import DAY
from tests.support.stack_hires import ENDS, event
from tests.support.stack_journeys import eventually

HR, HELD = "HR senders", "held leavers"


def _post(arena: Arena, client: str, source: str, body: dict[str, Any]) -> Answer:
    return arena.ask("POST", "/api/onboarding", arena.hr(client), {**body, "source": source})


def sent(arena: Arena, body: dict[str, Any], client: str = HR_ONE, source: str = ONE) -> str:
    """The key of an event that an HR system sends under its own source."""
    answer = _post(arena, client, source, body)
    if answer.status != 202:
        raise AssertionError(f"{answer}: {answer.body.decode(errors='replace')}")
    return str(answer.json["value"][0]["id"])


def settled(arena: Arena, key: str) -> str:
    """The state of an event once it has ended or waits for something."""

    def state() -> str:
        return str(arena.run.client.api("GET", f"/api/onboarding/{key}")["state"])

    return eventually(state, lambda each: each in ENDS or each.startswith("Waiting") or each in ("Scheduled", "Held"))


def new(arena: Arena, kind: str, user: str, **data: Any) -> dict[str, Any]:
    return event(kind, f"attack-{arena.number()}", {"id": user}, **data)


def try_senders(arena: Arena) -> None:
    """Two HR systems, each with a source of its own."""
    results = arena.results
    ann, bob, cem = arena.people(3)
    sales = {"attributes": {"department": "Sales"}}
    for client, source in ((HR_TWO, ONE), (HR_ONE, TWO), (HR_ONE, BY_QUEUE), (HR_ONE, "urn:hr:new"), (HR_ONE, "*")):
        answer = _post(arena, client, source, new(arena, "joiner", ann, **sales))
        results.must_deny(HR, f"{client} sends under {source}", answer, 400, "InvalidEvent")
    results.must(HR, "no member by another one's source", ann not in arena.members(ALLOWED), ann)
    other = arena.mint.app(arena.someone(), "Onboarding.Write")
    answer = arena.ask("POST", "/api/onboarding", other, {**new(arena, "joiner", ann, **sales), "source": ONE})
    results.must_deny(HR, "an application without a source", answer, 400, "InvalidEvent")
    _by_queue(arena, ann)
    _others_events(arena, bob)
    _groups(arena, cem)


def _by_queue(arena: Arena, user: str) -> None:
    """A source that is bound to an application does not come by the queue."""
    genuine = new(arena, "joiner", user, attributes={"department": "Nowhere"})
    events = [{**new(arena, "joiner", user, attributes={"department": "Sales"}), "source": each} for each in (ONE, TWO)]
    arena.send("onboarding", *events, {**genuine, "source": BY_QUEUE})
    listed = "/api/onboarding?$top=500"
    found = eventually(lambda: arena.run.rows(listed), lambda rows: any(r["eventId"] == genuine["id"] for r in rows))
    taken = [row["eventId"] for row in found]
    arena.run.until_quiet()
    for each in events:
        arena.results.must(HR, f"{each['source']} by the queue", each["id"] not in taken, taken)
    arena.results.must(HR, "the queue added no member", user not in arena.members(ALLOWED), user)


def _others_events(arena: Arena, user: str) -> None:
    """Events of the other system: read, cancelled, replayed, decided, sent again with another content."""
    results = arena.results
    ahead = arena.days.date(30)
    body = new(arena, "joiner", user, attributes={"department": "Sales"}, effectiveDate=ahead)
    key = sent(arena, body)
    settled(arena, key)
    thief, path = arena.hr(HR_TWO), f"/api/onboarding/{key}"
    results.must_deny(HR, "reads another one's event", arena.ask("GET", path, thief), 404)
    for act in ("cancel", "replay"):
        results.must_deny(HR, f"{act}s another one's event", arena.ask("POST", f"{path}/{act}", thief, {}), 404)
        page = arena.ask("POST", f"/onboarding/{key}/{act}", thief, b"")
        results.must_deny(HR, f"{act}s another one's event on the page", page, 404)
    decided = arena.ask("POST", f"{path}/decide", thief, {"decision": "dismiss"})
    results.must_deny(HR, "decides another one's event", decided, 403)
    results.must_deny(HR, "lists events", arena.ask("GET", "/api/onboarding", thief), 403)
    results.must_deny(HR, "tries an event", arena.ask("POST", "/api/onboarding/dryRun", thief, body), 403)
    changed = _post(arena, HR_ONE, ONE, {**body, "data": {**body["data"], "effectiveDate": ahead[:4] + "-01-01"}})
    results.must_deny(HR, "the same id with another content", changed, (400, 409))
    again = _post(arena, HR_ONE, ONE, body)
    results.must_pass(HR, "the same event again", again)
    state = settled(arena, key)
    results.must(HR, "the event is as it was", state == "Scheduled", state)
    results.must_pass(HR, "ends its own event", arena.ask("POST", f"{path}/cancel", arena.hr(HR_ONE), {}))


def _groups(arena: Arena, user: str) -> None:
    """Groups by name, although HR may not write to them."""
    (unmanaged,) = arena.run.client.tenant("POST", "/objects", {"groups": [{"displayName": "finance"}]})["groups"]
    for name, group in (("a licensed group", PAYROLL), ("a group without licenses", unmanaged)):
        key = sent(arena, new(arena, "joiner", user, groups=[group], attributes={"department": "None"}))
        state = settled(arena, key)
        inside = user in arena.members(group)
        arena.results.must(HR, f"{name} outside ONBOARDING_GROUPS", not inside, state)


def try_leavers(arena: Arena) -> None:
    """Leavers with a delay of nothing: a usual person, and a protected one."""
    results = arena.results
    arena.days.away_from_midnight()
    (ann,) = arena.people(1)
    joined = settled(arena, sent(arena, new(arena, "joiner", ann, attributes={"department": "Sales"})))
    results.must(HELD, "a joiner is licensed", joined == "Done" and all(arena.licensed(ann)), joined, denial=False)
    keys = {}
    for name, user in (("ann", ann), ("boss", BOSS)):
        keys[name] = sent(arena, new(arena, "leaver", user, removal="P0D", effectiveDate=arena.days.date()))
        state = settled(arena, keys[name])
        results.must(HELD, f"{name} with a delay of nothing", state == "Scheduled", state)
    results.must(HELD, "licenses on the day of the event", all(arena.licensed(ann, BOSS)), keys)
    arena.days.pass_by(DAY + 600)
    held = eventually(lambda: arena.run.client.api("GET", "/api/onboarding/held"), lambda each: each["count"] >= 1)
    results.must(HELD, "the protected person is held", held["count"] == 1, held["count"])
    _decide(arena, held["checksum"], keys["boss"])


def _decide(arena: Arena, checksum: str, key: str) -> None:
    results, path, seen = arena.results, "/api/onboarding/held/approve", {"checksum": checksum}
    for client in (HR_ONE, HR_TWO):
        results.must_deny(HELD, f"{client} approves", arena.ask("POST", path, arena.hr(client), seen), 403)
    app = arena.mint.app(arena.someone(), "Licensing.Approve")
    results.must_deny(HELD, "an application approves", arena.ask("POST", path, app, seen), 403, "PersonRequired")
    old = arena.person("License Administrator", auth_time=None)
    results.must_deny(HELD, "a sign-in without a time", arena.ask("POST", path, old, seen), 401, "SignInTooOld")
    another = arena.ask("POST", path, arena.person("License Administrator"), {"checksum": "0" * 64})
    results.must_deny(HELD, "the checksum of another list", another, 409)
    first = arena.someone()
    answer = arena.ask("POST", path, arena.person("License Administrator", oid=first), seen)
    results.must_pass(HELD, "a first person approves", answer)
    arena.run.until_quiet()
    results.must(HELD, "after one approval", all(arena.licensed(BOSS)), answer.json)
    for oid in (first, first.upper()):
        again = arena.ask("POST", path, arena.person("License Administrator", oid=oid), seen)
        results.must_deny(HELD, "the same person again", again, 403, "AnotherApproverRequired")
    carried = arena.ask("POST", f"/api/onboarding/{key}/decide", arena.person(), {"decision": "carryOut"})
    results.must_deny(HELD, "a person carries it out", carried, 409)
    results.must(HELD, "after one person's approvals", all(arena.licensed(BOSS)), key)
    results.must_pass(
        HELD, "a second person approves", arena.ask("POST", path, arena.person("License Administrator"), seen)
    )
    state = eventually(
        lambda: str(arena.run.client.api("GET", f"/api/onboarding/{key}")["state"]), lambda each: each in ENDS
    )
    results.must(HELD, "after two approvals the licenses go", not any(arena.licensed(BOSS)), state, denial=False)
    arena.run.client.tenant("POST", "/membership", {"add": [[ALLOWED, BOSS]]})
