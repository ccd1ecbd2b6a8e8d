"""One run: a natively licensed group is moved to this app and back, while native licensing is late and workers die."""

from __future__ import annotations

import csv
import io
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from functions.web.pages.rendering import product_name
from local.client import CallError
from tests.move_stack.witness import MemberReport, Moment, Witness, differences, expected_report, rows_of
from tests.support.days import AHEAD, Days, movable
from tests.support.stack_journeys import Journey, eventually, journey, short_locks

PRODUCTS = ("VISIOCLIENT", "PROJECTPROFESSIONAL")
DISABLED = ("VISIOCLIENT", "ONEDRIVE_BASIC")
"""An app that the group turns off."""

SHARES = {"broken": (0.02, 1), "nested": (0.05, 1), "changing": (0.01, 2)}
"""Members without a native license at the start, members of a nested group, and people who join midway, each with the
least number. As many members leave. Half of them do so in each move."""

FAILING = 0.02
"""How often native licensing leaves a member with an error for a reason of its own."""

SPAN_S = 4 * 3600.0
"""Time from the first to the last member of a change that native licensing processes."""

STEPS_S = (60.0, 600.0, 1800.0, 3600.0)
"""By how much the clock moves at once, when nothing is being worked on."""

BY_HAND = ("reconcile_due_users", "watchdog")
"""Timers that are started after moves of the clock. All others run by the machine's clock."""

WATCHED = 10
"""The watchdog comes after so many moves of the clock: it reads everything there is to watch."""

LOCK_S = 20
"""Locks of messages: a busy machine must be able to renew them, and a killed worker's messages come back after them."""

MOST_RESUMED = 30
TOKEN_S = 400 * 86_400
"""Lifetime of tokens, so that a moved clock ends none."""


@dataclass
class Size:
    """How large a run is. `latest`: hours after which native licensing begins to process a change at the latest."""

    members: int
    seed: int = 1
    kills: int = 20
    latest: float = 24.0
    scale: float = 10.0
    processes: int = 2


@dataclass
class Direction:
    """What one move did. `over`: licenses in use beyond those that its preview announced."""

    name: str
    members: int = 0
    needed: dict[str, int] = field(default_factory=dict)
    joined: int = 0
    left: int = 0
    over: dict[str, int] = field(default_factory=dict)
    gaps: int = 0
    gap_seconds: float = 0.0
    license_changes: int = 0
    kills: list[str] = field(default_factory=list)
    clock_moves: int = 0
    hours: float = 0.0
    seconds: float = 0.0
    paused: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.gaps or self.gap_seconds or any(self.over.values()) or self.wrong)


Progress = Callable[[str], None]


def there_and_back(size: Size, directory: Path, report_progress: Progress) -> Iterator[Direction]:
    """Both moves, each judged from the tenant's log as soon as it has ended. Raises TimeoutError if one does not."""
    with prepared(size, directory) as moving:
        for name in ("toDirect", "toNative"):
            yield moving.move(name, report_progress)


@contextmanager
def prepared(size: Size, directory: Path) -> Iterator[Moving]:
    """A stack with a group that Microsoft's licensing licenses."""
    directory.mkdir(parents=True, exist_ok=True)
    options = movable(directory)
    settings = {"notificationHttp": True, "tokenLifetimeSeconds": TOKEN_S, "identityCacheSeconds": TOKEN_S}
    chosen = {
        "members": 20,
        "seed": size.seed,
        "scale": size.scale,
        "processes": size.processes,
        "settings": {**options["settings"], **{f"AzureWebJobs.{name}.Disabled": "true" for name in BY_HAND}},
        "app_dir": options["app_dir"],
        "broker_config": short_locks(directory, LOCK_S),
        "tenant": ("--settings", json.dumps(settings)),
    }
    with journey(directory / "state", validated=False, **chosen) as run:
        yield Moving(run, size)


class Moving:
    """The group, its people, and the tenant's log of them."""

    def __init__(self, run: Journey, size: Size) -> None:
        self.run, self.size, self.days = run, size, Days(run)
        self.chance = random.Random(size.seed)
        self.skus = [run.skus[each] for each in PRODUCTS if each in run.skus]
        self.group = _id("group")
        self.path = f"/api/groups/{self.group}/moveLicensing"
        self.members: list[str] = []
        self.spare: list[str] = []
        self._read = 0
        self._place()
        directory = run.directory()
        plans = {sku: frozenset(each) for sku, each in directory["tables"]["plans"].items()}
        self.witness = Witness(plans, {each["id"]: rows_of(each) for each in directory["users"]})
        self._tenant("POST", "/licenseLog")
        hours = {"nativeDelaySeconds": [0, size.latest * 3600], "nativeSpanSeconds": SPAN_S}
        self._tenant("PATCH", "/settings", {**hours, "nativeFailureShare": FAILING})
        run.fire("renew_subscription")

    def _place(self) -> None:
        """The group with two products. For a few members licenses are short at first, and they get nothing."""
        members = self.size.members
        broken, nested, changing = (max(least, round(share * members)) for share, least in SHARES.values())
        self.members = [_id(f"member-{number}") for number in range(members)]
        self.spare = [_id(f"joiner-{number}") for number in range(changing)]
        inner, people = _id("inner"), [_id(f"nested-{number}") for number in range(nested)]
        everybody = [*self.members, *self.spare, *people]
        part, plan_name = DISABLED
        self._tenant("POST", "/objects", {"skus": [{"skuPartNumber": each, "enabled": 0} for each in PRODUCTS]})
        directory = self.run.directory()
        self.skus = [self._tenant("GET", "/summary")["skus"][each] for each in PRODUCTS]
        names = directory["tables"]["plans"][self.skus[PRODUCTS.index(part)]]
        off = [plan for plan, name in names.items() if name == plan_name]
        self.disabled = off
        used = self._used(directory)
        self._buy({sku: used[sku] + members - broken for sku in self.skus})
        licensed = [{"skuPartNumber": each, "disabledPlans": off if each == part else []} for each in PRODUCTS]
        self._tenant(
            "POST",
            "/objects",
            {
                "users": [{"id": each} for each in everybody],
                "groups": [
                    {"id": inner, "displayName": "Drawers abroad", "members": people},
                    {
                        "id": self.group,
                        "displayName": "Drawers",
                        "members": [*self.members, inner],
                        "assignedLicenses": licensed,
                    },
                ],
            },
        )

    def _used(self, directory: dict[str, Any]) -> dict[str, int]:
        return {each["skuId"]: each["consumedUnits"] for each in directory["subscribedSkus"]}

    def _buy(self, enabled: dict[str, int]) -> None:
        skus = [{"skuId": sku, "enabled": count} for sku, count in enabled.items()]
        self._tenant("POST", "/objects", {"skus": skus})

    def _tenant(self, method: str, path: str, body: object | None = None) -> dict[str, Any]:
        return self.run.client.tenant(method, path, body)

    def move(self, name: str, report_progress: Progress) -> Direction:
        """One move from its preview to its report, and what the tenant's log says about it."""
        began, done = time.monotonic(), Direction(name)
        self.witness.examples.clear()
        gaps, seconds, changes = self.witness.gaps, self.witness.gap_seconds, self.witness.changes
        start, directory = self.days.now, self.run.directory()
        before = Moment.of(directory, self.group)
        self._ask({"direction": name, "preview": True})
        preview = eventually(self._found, lambda found: found["state"] in ("preview", "failed"), 600)
        done.members = preview["members"]
        done.needed = {each["skuId"]: each["needed"] for each in preview["licensesNeeded"]}
        used = self._used(directory)
        # Exactly the licenses that the preview announces, and those of the people who will join.
        self._buy({sku: used[sku] + done.needed.get(sku, 0) + len(self.spare) // 2 + 1 for sku in self.skus})
        self._follow()
        self.witness.keep()
        at_start = Counter(self.witness.used)
        self._ask({"direction": name})
        self._complete(done, report_progress)
        self._follow()
        self.witness.end(self._tenant("GET", "/clock")["time"])
        self._judge(done, before, at_start)
        done.gaps, done.gap_seconds = self.witness.gaps - gaps, self.witness.gap_seconds - seconds
        done.license_changes = self.witness.changes - changes
        done.wrong += self.witness.examples[:5]
        done.hours = round((self.days.now - start).total_seconds() / 3600, 1)
        done.seconds = round(time.monotonic() - began, 1)
        return done

    def _ask(self, body: dict[str, Any]) -> None:
        self.run.start(self.path, body)

    def _found(self) -> dict[str, Any]:
        return self.run.client.api("GET", self.path)

    def _complete(self, done: Direction, report_progress: Progress) -> None:
        """Until the move has ended: a person approves and resumes, workers die, and the clock moves when all is quiet.
        The last kills wait for the second move."""
        kills = self.size.kills // 2 if done.name == "toDirect" else self.size.kills - self.size.kills // 2
        next_kill = time.monotonic() + self._pause()
        changes = [len(self.spare) // 2, max(1, len(self.spare) // 2)]
        ending, said = time.monotonic() + 600 + self.size.members, 0.0
        while (found := self._found())["state"] not in ("done", "undone", "failed"):
            if time.monotonic() > ending:
                raise TimeoutError(f"the move stands still: {found}")
            if time.monotonic() > said + 10:
                report_progress(
                    f"{done.name}: {found['phase']}, wave {found['wave']}, {done.clock_moves} moves of the clock, "
                    f"{len(done.kills)} kills {found['pausedReason'] or found['problem'] or ''}"
                )
                said = time.monotonic()
            if found["state"] == "awaitingApproval":
                self._decide("approve", {"checksum": found["checksum"]})
            elif found["state"] == "paused":
                done.paused.append(found["pausedReason"])
                if len(done.paused) > MOST_RESUMED:
                    raise TimeoutError(f"the move pauses again and again: {done.paused[-3:]}")
                self._decide("resume", {})
            busy = self._busy()
            if busy and len(done.kills) < kills and time.monotonic() >= next_kill:
                done.kills += self._kill(busy)
                next_kill = time.monotonic() + self._pause()
            elif not busy:
                self._change(changes, done)
                self._pass_by(done)
                next_kill = min(next_kill, time.monotonic() + self._pause())
            time.sleep(0.1)
        if found["state"] != "done":
            done.wrong.append(f"ended as {found['state']}: {found['problem']}")

    def _pause(self) -> float:
        """Seconds until the next kill: about as many kills in each part of a move, whatever its size."""
        return self.chance.random() * (0.5 + self.size.members / 1000)

    def _busy(self) -> list[str]:
        """Queues with messages that are being worked on. Empty if nothing is to be done now, seen twice."""
        for _ in range(2):
            counts = {name: each for name, each in self.run.queues().items() if name != "results"}
            busy = [name for name, each in counts.items() if each["active"] + each["locked"]]
            if busy:
                return busy
            time.sleep(0.1)
        return []

    def _kill(self, queues: list[str]) -> list[str]:
        name = f"process_{self.chance.choice(queues).replace('-', '_')}"
        pids = self.run.stack.workers("process_hr_events" if name == "process_onboarding" else name)
        if not pids:
            return []
        self.run.stack.kill(self.chance.choice(pids))
        return [name]

    def _change(self, left: list[int], done: Direction) -> None:
        """Now and then somebody joins or leaves the group."""
        if left[0] and self.spare and self.chance.random() < 0.3:
            left[0] -= 1
            joiner = self.spare.pop()
            self._tenant("POST", "/membership", {"add": [[self.group, joiner]]})
            self.members.append(joiner)
            done.joined += 1
        if left[1] and self.chance.random() < 0.3:
            left[1] -= 1
            leaver = self.members.pop(self.chance.randrange(len(self.members)))
            self._follow()
            self.witness.release(leaver)
            self._tenant("POST", "/membership", {"remove": [[self.group, leaver]]})
            done.left += 1

    def _pass_by(self, done: Direction) -> None:
        """All clocks move: first the tenant's, whose licensing does what is due, then the queues' and the app's."""
        seconds = self.chance.choice(STEPS_S)
        self._tenant("POST", "/clock", {"passSeconds": seconds})
        ahead = Path(self.run.stack.options.settings[AHEAD])
        new = ahead.with_suffix(".new")
        new.write_text(str(float(ahead.read_text()) + seconds))
        new.rename(ahead)
        self.days.broker("/clock", {"passSeconds": seconds})
        done.clock_moves += 1
        reconcile, watchdog = BY_HAND
        self.run.fire(reconcile)
        if done.clock_moves % WATCHED == 0:
            self.run.fire(watchdog)
        self._follow()

    def _follow(self) -> None:
        """Give the witness what the tenant has logged since."""
        while True:
            page: Any = self._tenant("GET", f"/licenseLog?after={self._read}&limit=20000")
            if not page:
                return
            self._read += len(page)
            self.witness.follow(page)

    def _decide(self, act: str, body: dict[str, Any]) -> None:
        """A person has just signed in; sign-ins are checked by the machine's clock."""
        try:
            self.run.decide(f"{self.path}/{act}", body)
        except CallError as fault:
            if fault.status != 409:  # 409: the move has changed since it was read
                raise

    def _judge(self, done: Direction, before: Moment, at_start: Counter[str]) -> None:
        for sku in self.skus:
            known = at_start[sku] + done.needed.get(sku, 0) + done.joined
            done.over[sku] = max(0, self.witness.most_used[sku] - known)
        now = Moment.of(self.run.directory(), self.group)
        expected = expected_report(before, now, self.group, self.skus, self.witness.plans)
        shown = self._report()
        done.outcomes = dict(Counter(each.outcome for each in shown.values()))
        done.wrong += differences(shown, expected)[:10]
        source = "direct" if done.name == "toDirect" else "native"
        for user_id in self.members:
            rows = [row for row in now.rows[user_id] if row.sku_id in self.skus]
            if {"native" if row.group == self.group else "direct" for row in rows} != {source}:
                done.wrong.append(f"{user_id} has {rows} after the move {done.name}")

    def _report(self) -> dict[str, MemberReport]:
        """The app's report, from its file."""
        skus = {product_name(each): each for each in self.skus}
        rows = csv.DictReader(
            io.StringIO(self.run.client.page(f"/groups/{self.group}/move/report.csv").lstrip("\ufeff"))
        )
        return {
            row["id"].lstrip("'"): MemberReport(
                row["outcome"],
                *(_products(row[name], skus) for name in ("before", "now", "lostPlans", "gainedPlans")),
            )
            for row in rows
        }


def _products(text: str, skus: dict[str, str]) -> dict[str, frozenset[str]]:
    """`Visio: native and direct; Project: native`, by the ID of the product."""
    parts = [each.rpartition(": ") for each in text.split("; ") if each]
    return {skus[name]: frozenset(values.split(" and ")) for name, _, values in parts}


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.moves.example"))
