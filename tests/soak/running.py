"""One run of the soak: a stack, thousands of changes, faults as chosen, and the oracle at the end."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.stores import table_stores
from shared.domain.pending_removal import TENANT
from shared.domain.read_models import AuditEntry
from tests.soak.changing import Changes
from tests.soak.removals import Plans, removals, without_permit
from tests.soak.tenant_acts import OTHERS, SUITE, TenantActs
from tests.support.builders import audited
from tests.support.stack_journeys import Journey, journey

NEVER = 1_000_000
SETTLE_S = 600.0
NO_LIMIT = dict.fromkeys(
    ("REMOVAL_ALLOWANCE_MINIMUM", "REMOVAL_ALLOWANCE_MAXIMUM", "TENANT_REMOVAL_ALLOWANCE"), str(NEVER)
)
"""Settings under which no removal waits for a person."""
TIMERS = ("renew_subscription", "query_deltas", "sync_all")
KILLED = ("process_members", "process_notifications", "process_operations", "process_members_bulk")

ALL_FAULTS: dict[str, Any] = {"drop": 0.2, "duplicate": 0.2, "reorder": 0.2, "forge": 0.1, "delaySeconds": [0.0, 2.0]}
STALE = {"staleSeconds": 1.5}


@dataclass(frozen=True)
class Kind:
    """What a run has: which timers are started how often (seconds), and which faults."""

    name: str
    every: dict[str, float] = field(default_factory=dict)
    subscribed: bool = True
    faults: bool = False


KINDS = (
    Kind("notifications alone"),
    Kind("delta alone", {"query_deltas": 20.0}, subscribed=False),
    Kind("all faults", {"query_deltas": 45.0, "renew_subscription": 60.0}, faults=True),
)


@dataclass
class Report:
    """What a run did and found."""

    kind: str
    seed: int
    changes: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    settled_after: float = 0.0
    found_by: dict[str, int] = field(default_factory=dict)
    removals: int = 0
    without_loss: int = 0
    """Removals of a product whose plans all stayed on by other products; they need no permit."""
    without_permit: list[str] = field(default_factory=list)
    kills: int = 0
    tenant_acts: int = 0
    disagreements: list[str] = field(default_factory=list)
    dead_letters: int = 0

    @property
    def right(self) -> bool:
        return not self.disagreements and not self.without_permit and not self.dead_letters


def soak(
    kind: Kind,
    *,
    changes: int,
    members: int,
    seed: int,
    directory: Path,
    report_progress: Callable[[str], None],
    tenant_kinds: frozenset[str] = frozenset(),
) -> Report:
    """Run and judge. `report_progress` gets the progress; `tenant_kinds`: the tenant's own acts (tenant_acts.KINDS)."""
    off = {f"AzureWebJobs.{timer}.Disabled": "true" for timer in TIMERS}
    settings = {**off, **NO_LIMIT}
    with journey(directory, members=members, seed=seed, settings=settings) as run:
        report = Report(kind.name, seed)
        started = time.monotonic()
        acts = TenantActs(run, random.Random(seed), tenant_kinds)
        changing = _prepared(run, kind, seed, acts)
        plans = run.oracle.tables.plans
        _change(run, kind, changing, changes, report, report_progress, acts)
        report.changes = changing.by_kind
        report.seconds = time.monotonic() - started
        acts.end()
        report.tenant_acts = acts.made
        report.settled_after = _settle(run, kind, report, rejected=acts.reject_links)
        report.dead_letters = sum(counts["deadLetter"] for counts in run.queues().values())
        _judge(run, report, plans)
        return report


def _prepared(run: Journey, kind: Kind, seed: int, acts: TenantActs) -> Changes:
    """A licensed group, seats for all, and the feeds of changes as the run has them."""
    acts.begin()
    managed = run.client.tenant("GET", "/summary")["skus"]
    skus = [{"skuId": managed[name], "enabled": NEVER} for name in (SUITE, *OTHERS) if name in managed]
    run.client.tenant("POST", "/objects", {"skus": skus})
    if kind.subscribed:
        run.fire("renew_subscription")
    placed = run.client.tenant("POST", "/objects", {"users": [{"usageLocation": "DE"}] * 300})
    people = [*placed["users"], *_members(run)]
    run.oracle.meet(run.directory())
    changing = Changes(run.client, run.groups, people, random.Random(seed))
    changing.prepare()
    licenses = acts.licenses()
    run.finish(run.change(run.main, licenses, []))
    run.believe(run.main, licenses, [])
    run.oracle.desired(run.directory())
    if kind.every:
        run.fire("query_deltas")
    run.until_quiet()
    if kind.faults:
        run.client.tenant("PATCH", "/notifications", {**ALL_FAULTS, "seed": seed})
        run.client.tenant("PATCH", "/settings", STALE)
    return changing


def _members(run: Journey) -> list[str]:
    groups = {group["id"]: group["members"] for group in run.directory()["groups"]}
    users = {user["id"] for user in run.directory()["users"]}
    return [member for member in groups[run.groups["main-b"]] if member in users]


def _change(
    run: Journey,
    kind: Kind,
    changing: Changes,
    wanted: int,
    report: Report,
    report_progress: Callable[[str], None],
    acts: TenantActs,
) -> None:
    next_at = {timer: time.monotonic() + every for timer, every in kind.every.items()}
    next_kill = time.monotonic() + 5
    while changing.made < wanted:
        changing.some()
        acts.some()
        now = time.monotonic()
        for timer, at in next_at.items():
            if now >= at:
                run.fire(timer)
                next_at[timer] = now + kind.every[timer]
        if kind.faults and now >= next_kill:
            _kill(run, changing.chance)
            report.kills += 1
            next_kill = now + 5
            report_progress(f"{kind.name}: {changing.made:,} of {wanted:,} changes")
        time.sleep(0.05)


def _kill(run: Journey, chance: random.Random) -> None:
    pids = run.stack.workers(chance.choice(KILLED))
    if pids:
        run.stack.kill(chance.choice(pids))


def _settle(run: Journey, kind: Kind, report: Report, *, rejected: bool) -> float:
    """Take the faults away, run once what finds the rest, and wait until the oracle agrees or time is up. `rejected`:
    delta links were, so the app waits 10 minutes or more before it tries one again, and the nightly sync comes first.
    """
    began = time.monotonic()
    if kind.faults:
        run.client.tenant("PATCH", "/notifications", {**dict.fromkeys(ALL_FAULTS, 0), "delaySeconds": [0, 0]})
        run.client.tenant("PATCH", "/settings", dict.fromkeys(STALE, 0.0))
        run.fire("renew_subscription")
    if kind.every:
        run.fire("query_deltas")
    if kind.faults or rejected:
        run.until_quiet()
        run.fire("sync_all")
    while time.monotonic() < began + SETTLE_S:
        report.disagreements = run.oracle.disagreements(run.directory())
        if not report.disagreements:
            break
        time.sleep(1)
    took = time.monotonic() - began
    run.until_quiet()
    report.disagreements = run.oracle.disagreements(run.directory())
    return took


def _judge(run: Journey, report: Report, plans: Plans) -> None:
    """By what each change was found, from the app's records, and whether every loss of a plan had a permit: what was
    lost is read from the tenant's log. `plans`: of the products before the tenant's acts."""
    entries, permits = asyncio.run(_records(run))
    changes = [each for each in entries if each.activity == "Change user license" and each.result == "success"]
    report.found_by = dict(Counter(each.detail.removeprefix("Found by ") for each in changes).most_common())
    run.seen = 0
    app_id = run.client.tenant("GET", "/summary")["clients"]["product"]["appId"]
    removed = list(removals(run.writes(), app_id, plans))
    report.removals = sum(each.whole for each in removed)
    report.without_loss = sum(each.whole and not each.lost for each in removed)
    report.without_permit = [str(each) for each in without_permit(removed, permits)]


async def _records(run: Journey) -> tuple[tuple[AuditEntry, ...], set[tuple[str, str]]]:
    ends = run.stack.endpoints
    tables = Tables(TablesConfig(ends.table_prefix, ends.tables_connection))
    stores = table_stores(tables)
    try:
        entries = await audited(stores)
        users = sorted({entry.user_id for entry in entries if entry.user_id is not None})
        permits = await stores.permits.of_users(users)
        let_go = [each for each in (await stores.removals.load(TENANT)).rows if each.allowed_at]
        given = {(each.user_id, each.sku_id) for some in permits.values() for each in some}
        return entries, {*given, *((each.user_id, each.sku_id) for each in let_go)}
    finally:
        await tables.close()
