"""The first-contact check as values: a run, the observations that it makes, and the findings that follow from them.

A run tests the assumptions of `first_contact_assumptions` against the tenant. An observation holds only values of fixed
lists, so it can leave the tenant: `first_contact_observations` makes it. A finding is computed from observations alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

KEPT = timedelta(days=90)
"""Older runs are deleted."""

KEPT_LINKS = ("kept", "keptAt")

CREATED_WITHIN = timedelta(minutes=10)
"""A run whose row is still missing after this time was never created."""

TRIED_FOR = timedelta(hours=24)
"""A run that cannot be finished or restored for this long fails."""

LINK_IS_OLD = timedelta(days=8)
"""Delta links of directory objects live for seven days (learn.microsoft.com/graph/delta-query-overview)."""

USERS_MAX_AGE_S = 15.0
"""How old the known test users may be. A basic run waits for longer than this before its first write."""

RUN_DAILY_AFTER = timedelta(hours=20)
"""The daily run is skipped if another read-only run began less than this time before."""

LEASE = timedelta(minutes=5)
"""A process that continues a run holds it for this long after each step. Another one can then resume it."""


class Level(StrEnum):
    """How far a run goes. `basic` changes one test user and one test group, and restores both. `load` assigns a license
    to 20 test users, and removes it."""

    READ_ONLY = "readOnly"
    BASIC = "basic"
    LOAD = "load"

    @property
    def most_requests(self) -> int:
        """Requests of one run. Requests that restore the prior state are sent in any case."""
        return 60 if self is Level.READ_ONLY else 160

    @property
    def most_writes(self) -> int:
        """Writes of one run, including those that restore the prior state."""
        return {Level.READ_ONLY: 0, Level.BASIC: 12, Level.LOAD: 100}[self]


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        return self in (RunState.QUEUED, RunState.RUNNING)


class Verdict(StrEnum):
    """`unknown`: tried without a clear answer, or it takes hours. `notTried`: no probe of this level tests it."""

    AS_ASSUMED = "asAssumed"
    OTHERWISE = "otherwise"
    UNKNOWN = "unknown"
    NOT_TRIED = "notTried"

    @property
    def is_known(self) -> bool:
        return self in (Verdict.AS_ASSUMED, Verdict.OTHERWISE)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of Graph as a probe gets it. `status` 0: there was none. `body`: parsed JSON. `seconds`: duration."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Observation:
    """The recordable part of an answer: no name, ID or token of the tenant.

    `text`: known words of the error message, `*` for any other. `headers`: known headers. `shape`: known property ->
    JSON type. `traits`: findings of the probe, from fixed lists. `seconds`: rounded to tenths.
    """

    status: int
    code: str = ""
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    shape: Mapping[str, str] = field(default_factory=dict)
    traits: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict on one assumption. `position`: the behavior that was observed, one of a fixed list; empty if none."""

    number: int
    verdict: Verdict
    position: str = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """The objects that probes use. They have IDs of the tenant, so they are stored with the run and never recorded.

    `user_id` and `group_id`: a member and its group, for reads. The `test_` objects belong to runs that write; those of
    a load run are `test_user_ids`. `is_checked`: they were found to be unused.
    `rival_sku_id`: a product that excludes the test product.
    `links`: delta links as paths, by step. `prior_location`: the usage location of the test user before the first
    write; None: not read yet, empty: the user has none.
    """

    user_id: str = ""
    group_id: str = ""
    sku_id: str = ""
    licensed_group_id: str = ""
    test_user_id: str = ""
    test_group_id: str = ""
    test_sku_id: str = ""
    links: Mapping[str, str] = field(default_factory=dict)
    prior_location: str | None = None
    test_user_ids: tuple[str, ...] = ()
    is_checked: bool = False
    rival_sku_id: str = ""

    def without_people(self) -> Subject:
        """The rest that later runs need: the delta link that they try."""
        return Subject(links={name: link for name, link in self.links.items() if name in KEPT_LINKS})


@dataclass(frozen=True, slots=True)
class Change:
    """A verdict that differs from the previous run's."""

    number: int
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run. `step`: the latest step, for progress. `requests`, `writes`: sent so far.

    `dirty`: something of the test user or group may differ from before; it is set before each write.
    """

    id: str
    level: Level
    state: RunState
    created_at: datetime
    step: str = ""
    updated_at: datetime | None = None
    completed_at: datetime | None = None
    lease_until: datetime | None = None
    requests: int = 0
    writes: int = 0
    dirty: bool = False
    fault: str = ""
    subject: Subject = field(default_factory=Subject)
    observations: Mapping[str, Observation] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    compared_with: str = ""
    changes: tuple[Change, ...] = ()

    @property
    def uses(self) -> frozenset[str]:
        """Users that no other part of the app may process while the run is open."""
        used = self.state.is_open and self.level is not Level.READ_ONLY
        return frozenset({self.subject.test_user_id, *self.subject.test_user_ids} - {""}) if used else frozenset()

    def finding(self, number: int) -> Finding | None:
        return next((each for each in self.findings if each.number == number), None)

    def seen(self, name: str, observation: Observation) -> Run:
        """The run with one more observation."""
        return replace(self, observations={**self.observations, name: observation})


def changes(earlier: Sequence[Run], findings: Sequence[Finding]) -> tuple[Change, ...]:
    """Positions that differ from the newest earlier run with a clear answer; `earlier`: newest first. An unclear answer
    is no change, because it says nothing."""
    found = []
    for each in findings:
        known = (run.finding(each.number) for run in earlier)
        before = next((one for one in known if one is not None and one.verdict.is_known), None)
        if before is not None and each.verdict.is_known and before.position != each.position:
            found.append(Change(each.number, before.position, each.position))
    return tuple(found)
