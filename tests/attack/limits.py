"""Floods: previews, broken events, reads, large bodies, and rejections that would fill the log."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass

from tests.attack.arena import ALLOWED, BY_QUEUE, HR_ONE, ONE, PREVIEWS, SKU, Arena
from tests.attack.asking import CLIENTS, Answer
from tests.attack.doors import PAUSE
from tests.attack.expected import EVERYTHING
from tests.support.stack_journeys import eventually

LIMITS = "limits"
CHANGES, READS, HR_EVENTS = 60, 1200, 6000
"""Defaults of docs/roles.md."""

FLOOD = 100
DEAD_LETTERS_A_DAY = 100
"""Dead letters of a source and day."""

MEBIBYTE = 1024 * 1024
LINE = re.compile(r'request rejected caller=(\S+) route="([^"]*)".* count=(\d+)')


@dataclass(frozen=True)
class Flood:
    """Answers, and how long they took together."""

    answers: list[Answer]
    seconds: float

    def __add__(self, other: Flood) -> Flood:
        return Flood([*self.answers, *other.answers], self.seconds + other.seconds)


def _flood(arena: Arena, count: int, method: str, path: str, headers: dict[str, str], body: object = None) -> Flood:
    answers: list[Answer] = []
    began = time.monotonic()
    arena.each(range(count), lambda _: answers.append(arena.ask(method, path, headers, body)))
    return Flood(answers, time.monotonic() - began)


def _held_back(arena: Arena, name: str, flood: Flood, limit: int) -> None:
    """At most the limit was let in, and as many as became free meanwhile. The other answers say when to return."""
    counts = Counter(each.status for each in flood.answers)
    late = [each for each in flood.answers if each.status == 429]
    faults = [status for status in counts if status >= 500]
    arena.results.must(LIMITS, f"{name}: some are held back", bool(late) and not faults, dict(counts))
    most = limit * (1 + (flood.seconds + 1) / 60)
    arena.results.must(LIMITS, f"{name}: no more than the limit", len(flood.answers) - len(late) <= most, dict(counts))
    say = all(each.headers.get("retry-after", "").isdecimal() for each in late)
    arena.results.must(LIMITS, f"{name}: Retry-After", say, dict(counts))


def try_previews(arena: Arena) -> None:
    """One caller floods previews, and another one's single license is done all the same."""
    change = {"addLicenses": [{"skuId": arena.run.skus[SKU], "disabledPlans": []}], "removeLicenses": []}
    flooding = arena.person(EVERYTHING, oid=arena.someone())
    path = f"/api/groups/{ALLOWED}/assignLicense?preview=true"
    _held_back(arena, "previews", _flood(arena, 2 * FLOOD, "POST", path, flooding, change), PREVIEWS)
    (user,) = arena.people(1)
    answer = arena.ask("POST", "/api/users/assignLicense", arena.person(), {**change, "userIds": [user]})
    arena.results.must_pass(LIMITS, "another caller's single license", answer)
    done = eventually(lambda: arena.licensed(user), all)
    arena.results.must(LIMITS, "it is assigned", all(done), done, denial=False)


def try_changes(arena: Arena) -> None:
    """Writes of one caller, by several tokens and a session: the person is counted, not the token."""
    oid = arena.someone()
    flood = Flood([], 0)
    for make in (arena.mint.token, arena.mint.session, arena.mint.token):
        flood += _flood(arena, FLOOD // 2, "POST", PAUSE, make(oid, EVERYTHING), {})
    _held_back(arena, "writes", flood, CHANGES)
    arena.results.must_pass(LIMITS, "another person writes", arena.ask("POST", PAUSE, arena.person(), {}))


def try_reads(arena: Arena) -> None:
    """Reads of one caller, far more than a minute's worth."""
    reader = arena.person("Licensing.Read")
    _held_back(arena, "reads", _flood(arena, 2 * READS, "GET", "/api/writing", reader), READS)


def try_broken_events(arena: Arena) -> None:
    """Requests of 1,000 broken events, and as many messages: few are kept, and none hides another sender's."""
    before = len(arena.run.dead_letters())
    sender = arena.mint.app(arena.someone(), "Onboarding.Write", azp=CLIENTS[HR_ONE])
    broken = [{"source": ONE, "n": n} for n in range(1000)]
    answers = [arena.ask("POST", "/api/onboarding", sender, broken) for _ in range(HR_EVENTS // 1000 + 2)]
    arena.results.must_deny(LIMITS, "1,000 broken events in a request", answers[0], 400, "InvalidEvent")
    arena.results.must_deny(LIMITS, "8,000 events within a minute", answers[-1], 429, "TooManyRequests")
    kept = len(arena.run.dead_letters()) - before
    arena.results.must(LIMITS, "broken events by HTTP are no dead letters", kept == 0, kept)
    too_many = arena.ask("POST", "/api/onboarding", arena.hr("administrator"), [{}] * 1001)
    arena.results.must_deny(LIMITS, "1,001 events in a request", too_many, 400)
    arena.send("onboarding", *({"source": BY_QUEUE, "n": n} for n in range(DEAD_LETTERS_A_DAY + 50)))
    arena.run.until_quiet()
    kept = len([each for each in arena.run.dead_letters() if each["queue"] == "onboarding"])
    arena.results.must(LIMITS, "dead letters of one source", 0 < kept <= before + DEAD_LETTERS_A_DAY + 1, kept)


def try_bodies(arena: Arena) -> None:
    """Bodies over a mebibyte, and nested ones."""
    for path in ("/api/users/assignLicense", "/api/onboarding", "/api/deadLetters/search"):
        large = arena.ask("POST", path, arena.person(), b"x" * (MEBIBYTE + 1))
        arena.results.must_deny(LIMITS, f"a large body to {path}", large, 413)
        deep = arena.ask("POST", path, {**arena.person(), "content-type": "application/json"}, b"[" * 100_000)
        arena.results.must_deny(LIMITS, f"a nested body to {path}", deep, 400)


def try_rejections(arena: Arena) -> None:
    """Rejections of one caller on one route: a line at once, and one a minute."""
    oid = arena.someone()
    count = 2 * FLOOD
    began = arena.days.now
    flood = _flood(arena, count, "POST", "/api/users/assignLicense", arena.person("Licensing.Read", oid=oid), {})
    arena.results.must_deny(LIMITS, "a reader writes", flood.answers[0], 403)
    minutes = int((arena.days.now - began).total_seconds() // 60)
    log = (arena.run.stack.logs_dir / "http.log").read_text(errors="replace")
    lines = [found for found in LINE.finditer(log) if found[1] == oid]
    right = 1 <= len(lines) <= 1 + minutes
    arena.results.must(LIMITS, "lines of 200 rejections", right, f"{len(lines)} lines")
    # The second caller's rejection is logged although the first one floods.
    other = arena.someone()
    arena.ask("POST", "/api/users/assignLicense", arena.person("Licensing.Read", oid=other), {})
    log = (arena.run.stack.logs_dir / "http.log").read_text(errors="replace")
    logged = f"caller={other}" in log or "caller=others" in log
    arena.results.must(LIMITS, "another caller's rejection has a line", logged, other, denial=False)
