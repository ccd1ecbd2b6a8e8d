"""What can go wrong while an operation runs and people join, leave and are changed by hand; each for a while."""

from __future__ import annotations

import json
import random
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.stack_journeys import Journey

KILL_EVERY_S = 3.0
PARTS = ("tenant", "azurite", "servicebus")


@dataclass(frozen=True)
class Scenario:
    """A trouble. `rules`: faults of the tenant. `held`: parts that hang. `settings`: of the tenant."""

    name: str
    rules: Sequence[Mapping[str, Any]] = ()
    held: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    kills: bool = False
    deliveries: Mapping[str, Any] = field(default_factory=dict)
    by_hand: bool = False
    doubled: bool = False
    """The broker delivers everything twice and out of order."""
    queue_lost: bool = False
    """The broker dies with every message it holds; connections are rejected until an empty one takes its place."""


def _rule(path: str, probability: float, method: str | None = None, **action: Any) -> dict[str, Any]:
    match = {"path": path, "app": "product", **({"method": method} if method else {})}
    return {"match": match, "probability": probability, "action": action}


ASSIGN = r"/assignLicense$"
ITEMS = r"/users/"

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("nothing"),
    Scenario("workers killed", kills=True),
    Scenario("messages doubled and out of order", doubled=True, kills=True),
    Scenario("Graph away", held=("tenant",)),
    Scenario("tables away", held=("azurite",)),
    Scenario("queue away", held=("servicebus",)),
    Scenario("everything away", held=PARTS),
    Scenario("queue lost", queue_lost=True),
    Scenario("tokens rejected", rules=(_rule("/msi/token", 1.0, status=503),), kills=True),
    Scenario("429 storm", rules=(_rule(ASSIGN, 0.5, status=429, code="TooManyRequests", message="x", retryAfter=2),)),
    Scenario(
        "429 of whole batches", rules=(_rule(r"/\$batch$", 0.3, status=429, code="TooManyRequests", message="x"),)
    ),
    Scenario("5xx", rules=(_rule(ITEMS, 0.3, status=503, code="ServiceUnavailable", message="x"),)),
    Scenario("time-outs, write not done", rules=(_rule(ASSIGN, 0.3, timeoutBefore=True),)),
    Scenario("time-outs, write done", rules=(_rule(ASSIGN, 0.3, timeoutAfter=True),)),
    Scenario(
        "409 and rejected writes",
        rules=(_rule(ASSIGN, 0.3, status=409, code="Request_ConcurrencyViolation", message="concurrent"),),
    ),
    Scenario("answers missing from the batch", rules=(_rule(ITEMS, 0.3, dropItem=True),)),
    Scenario("null fields", rules=(_rule(ITEMS, 0.2, "GET", nullFields=["licenseAssignmentStates"]),)),
    Scenario("pages without value", rules=(_rule(r"/transitiveMembers", 0.5, missingValue=True),)),
    Scenario("stale reads", settings={"staleSeconds": 2.0}),
    Scenario("an administrator by hand", by_hand=True),
    Scenario(
        "all of it",
        rules=(
            _rule(ASSIGN, 0.1, timeoutAfter=True),
            _rule(ASSIGN, 0.1, timeoutBefore=True),
            _rule(ASSIGN, 0.2, status=429, code="TooManyRequests", message="x", retryAfter=1),
            _rule(ITEMS, 0.1, dropItem=True),
            _rule(ITEMS, 0.1, status=500, code="x", message="x"),
        ),
        settings={"staleSeconds": 1.0},
        kills=True,
        deliveries={"drop": 0.2, "duplicate": 0.3, "reorder": 0.3},
        by_hand=True,
        doubled=True,
    ),
)


class Trouble:
    """A scenario at work: `step` is called again and again until it is `over`."""

    def __init__(self, run: Journey, scenario: Scenario, seed: int, outage_s: float) -> None:
        self._run = run
        self._scenario = scenario
        self._chance = random.Random(seed)
        self._ends = time.monotonic() + outage_s
        self._next_kill = time.monotonic() + 1
        self.kills = 0

    def begin(self) -> None:
        client, scenario = self._run.client, self._scenario
        if scenario.rules:
            client.tenant("POST", "/faults", list(scenario.rules))
        if scenario.settings:
            client.tenant("PATCH", "/settings", dict(scenario.settings))
        if scenario.deliveries:
            client.tenant("PATCH", "/notifications", dict(scenario.deliveries))
        if scenario.doubled:
            disturb(self._run, double=1.0, shuffle=True)
        for part in scenario.held:
            self._run.stack.hold(part, on=True)
        if scenario.queue_lost:
            self._run.stack.lose_queue()

    @property
    def blocks_the_tenant(self) -> bool:
        return "tenant" in self._scenario.held

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._ends

    def step(self) -> None:
        if self._scenario.kills and time.monotonic() >= self._next_kill:
            function = self._chance.choice(self._run.stack.functions)
            pids = self._run.stack.workers(function)
            if pids:
                self._run.stack.kill(self._chance.choice(pids))
                self.kills += 1
                self._next_kill = time.monotonic() + KILL_EVERY_S

    def end(self) -> None:
        client, scenario = self._run.client, self._scenario
        for part in reversed(scenario.held):
            self._run.stack.hold(part, on=False)
        if scenario.queue_lost:
            self._run.stack.new_queue()
        if scenario.rules:
            client.tenant("DELETE", "/faults")
        if scenario.settings:
            client.tenant("PATCH", "/settings", dict.fromkeys(scenario.settings, 0.0))
        if scenario.deliveries:
            client.tenant("PATCH", "/notifications", dict.fromkeys(scenario.deliveries, 0.0))
        if scenario.doubled:
            disturb(self._run)


def disturb(run: Journey, **faults: object) -> None:
    """Have the broker deliver some messages twice and out of order; without faults, no more."""
    url = f"{run.stack.endpoints.broker_control}/faults"
    body = json.dumps(faults).encode() if faults else None
    request = urllib.request.Request(url, body, method="POST" if faults else "DELETE")
    request.add_header("content-type", "application/json")
    urllib.request.urlopen(request, timeout=60).close()
