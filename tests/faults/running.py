"""One scenario: a stack of two processes of each function, work under way, the trouble, and the verdict after it."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azure.servicebus import ServiceBusClient

from local.client import CallError
from local.tenant.identity.permissions import declared_clients
from shared.adapters.tables.client import Tables, TablesConfig
from shared.adapters.tables.stores import table_stores
from shared.domain.read_models import AuditEntry
from tests.faults.scenarios import Scenario, Trouble
from tests.support.administrator import assign_as_administrator
from tests.support.builders import audited
from tests.support.stack_journeys import Journey, eventually, journey, short_locks

SKU = "SPE_E3"
OTHER = "VISIOCLIENT"
PEOPLE = 40
NEVER = 1_000_000
NO_LIMIT = dict.fromkeys(
    ("REMOVAL_ALLOWANCE_MINIMUM", "REMOVAL_ALLOWANCE_MAXIMUM", "TENANT_REMOVAL_ALLOWANCE"), str(NEVER)
)
"""Settings under which no removal waits for a person."""
SETTLE_S = float(os.environ.get("FAULTS_SETTLE_S", "900"))
"""How long everything may take to come right once the trouble is over: the dead letters' first pause is a minute, an
unresolved write of a dead worker is waited for 75 s, and the watchdog takes up what stood still for five minutes."""

LOOKING_AGAIN = frozenset({"scheduled", "locked", "active"})
CLASSES = ("applied", "unchanged", "waiting", "failed", "skipped")


@dataclass
class Verdict:
    """The result of a scenario."""

    scenario: str
    seed: int
    seconds: float = 0.0
    right_after_s: float = 0.0
    kills: int = 0
    writes: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not self.wrong


def try_scenario(
    scenario: Scenario,
    *,
    seed: int,
    members: int,
    outage_s: float,
    directory: Path,
    report_progress: Callable[[str], None],
) -> Verdict:
    """Run and judge."""
    directory.mkdir(parents=True, exist_ok=True)
    settings = NO_LIMIT
    options: dict[str, Any] = {"members": members, "seed": seed, "broker_config": short_locks(directory)}
    with journey(directory / "state", validated=False, settings=settings, scale=4.0, **options) as run:
        verdict = Verdict(scenario.name, seed)
        began = time.monotonic()
        report_progress(f"{scenario.name}: preparing")
        people = _prepare(run)
        run.writes()
        operation = run.change(run.main, {SKU: []}, [])
        run.believe(run.main, {SKU: []}, [])
        eventually(lambda: run.client.operation(operation["id"])["totals"]["wrote"], lambda done: done > 10)
        _endure(run, scenario, people, verdict, outage_s, report_progress)
        report_progress(f"{scenario.name}: settling")
        over = time.monotonic()
        ended = _settle(run, operation["id"], verdict)
        verdict.right_after_s = time.monotonic() - over
        verdict.seconds = time.monotonic() - began
        _judge(run, ended, verdict)
        return verdict


def _prepare(run: Journey) -> list[str]:
    """Seats for all, a subscription, and people who come and go; three of four have something of somebody else's."""
    skus = [{"skuId": run.skus[name], "enabled": NEVER} for name in (SKU, OTHER)]
    run.client.tenant("POST", "/objects", {"skus": skus})
    run.fire("renew_subscription")
    unmanaged = [{"usageLocation": "DE", "licenses": [OTHER] if n % 4 else []} for n in range(PEOPLE)]
    people: list[str] = run.client.tenant("POST", "/objects", {"users": unmanaged})["users"]
    run.oracle.meet(run.directory())
    return people


def _endure(
    run: Journey,
    scenario: Scenario,
    people: list[str],
    verdict: Verdict,
    outage_s: float,
    report_progress: Callable[[str], None],
) -> None:
    chance = random.Random(verdict.seed)
    trouble = Trouble(run, scenario, verdict.seed, outage_s)
    _come_and_go(run, chance, people)
    trouble.begin()
    try:
        while not trouble.over:
            report_progress(f"{scenario.name}: in trouble, {trouble.kills} workers killed")
            trouble.step()
            if not trouble.blocks_the_tenant:
                _come_and_go(run, chance, people)
                if scenario.by_hand:
                    _by_hand(run, chance, people)
            time.sleep(0.5)
    finally:
        trouble.end()
    verdict.kills = trouble.kills
    _come_and_go(run, chance, people)


def _come_and_go(run: Journey, chance: random.Random, people: list[str]) -> None:
    group = run.groups["main-c"]
    body: dict[str, list[tuple[str, str]]] = {"add": [], "remove": []}
    for person in chance.sample(people, 2):
        body[chance.choice(("add", "add", "remove"))].append((group, person))
    run.client.tenant("POST", "/membership", body)


def _by_hand(run: Journey, chance: random.Random, people: list[str]) -> None:
    """An administrator gives somebody a license of another product, or takes it away, at Graph itself."""
    person, sku = chance.choice(people), run.skus[OTHER]
    rows = run.client.tenant("GET", f"/users/{person}")["licenseAssignmentStates"]
    has = any(row["skuId"] == sku for row in rows)
    body = {
        "addLicenses": [] if has else [{"skuId": sku, "disabledPlans": []}],
        "removeLicenses": [sku] if has else [],
    }
    assign_as_administrator(run, person, body)
    run.oracle.by_hand(person, sku, given=not has)


def _settle(run: Journey, operation_id: str, verdict: Verdict) -> dict[str, Any]:
    """Wait until the operation has ended and the oracle agrees, with the timers as they would come."""
    ending = time.monotonic() + SETTLE_S
    next_timers = time.monotonic()
    ended: dict[str, Any] = {}
    while time.monotonic() < ending:
        if time.monotonic() >= next_timers:
            with suppress(OSError):  # a killed process of the app starts again within a second
                for timer in ("watchdog", "query_deltas", "renew_subscription"):
                    run.fire(timer)
            next_timers = time.monotonic() + 45
        try:
            ended = run.client.operation(operation_id)
        except (CallError, OSError, TimeoutError):
            time.sleep(1)
            continue
        if ended["completedDateTime"] and not _left(run) and not run.oracle.disagreements(run.directory()):
            return ended
        time.sleep(1)
    return ended


def _judge(run: Journey, ended: dict[str, Any], verdict: Verdict) -> None:
    wrong = verdict.wrong
    wrong += [f"user: {line}" for line in run.oracle.disagreements(run.directory())]
    if ended.get("state") != "ProcessingComplete":
        wrong.append(f"the operation is {ended.get('state')}: {ended.get('error')}")
    totals = ended["totals"]
    if sum(totals[each] for each in CLASSES) != totals["members"]:
        wrong.append(f"the operation's counts do not add up: {totals}")
    for name, left in _left(run).items():
        wrong.append(f"queue {name} still holds {left}: {_peeked(run, name)}")
    wrong += [f"kept: {dead_letter['queue']}: {dead_letter['reason']}" for dead_letter in run.dead_letters()]
    for each in run.rows("/api/operations?$top=100"):
        if not each["completedDateTime"]:
            wrong.append(f"the operation {each['id']} ({each['kind']}) is {each['state']} still")
    product = declared_clients()["product"].app_id
    changes = [
        each
        for each in run.writes()
        if each["operation"] == "assignLicense" and each["changed"] and each["appId"] == product
    ]
    verdict.writes = len(changes)
    recorded = [
        entry
        for entry in asyncio.run(_audit(run))
        if entry.activity == "Change user license" and entry.result == "success"
    ]
    if people_of(recorded) != sorted(each["userId"] for each in changes):
        wrong.append(f"the audit log has {len(recorded)} changes of licenses, the tenant {len(changes)}, or of others")
    of_operation = {entry.user_id for entry in recorded if entry.operation_id == ended["id"]}
    if len(of_operation) != totals["wrote"]:
        wrong.append(f"the operation says {totals['wrote']} changed, the audit log {len(of_operation)}")


def people_of(entries: Sequence[AuditEntry]) -> list[str]:
    """Whose licenses changed, once a change."""
    return sorted(str(entry.user_id) for entry in entries)


def _left(run: Journey) -> dict[str, dict[str, int]]:
    """What queues still hold. Events whose word the directory contradicts are looked at again for ten minutes, as after
    every outage in which a later event was lost: these stay scheduled."""
    found = {}
    for name, counts in run.queues().items():
        left = {kind: n for kind, n in counts.items() if n and not (name == "members" and kind in LOOKING_AGAIN)}
        if left and name != "results":
            found[name] = left
    return found


def _peeked(run: Journey, name: str) -> list[str]:
    """The first messages of a queue, cut short."""
    with (
        ServiceBusClient.from_connection_string(run.stack.endpoints.service_bus) as client,
        client.get_queue_receiver(name) as receiver,
    ):
        return [str(message)[:400] for message in receiver.peek_messages(3, timeout=60)]


async def _audit(run: Journey) -> tuple[AuditEntry, ...]:
    ends = run.stack.endpoints
    tables = Tables(TablesConfig(ends.table_prefix, ends.tables_connection))
    try:
        return await audited(table_stores(tables))
    finally:
        await tables.close()


def as_line(verdict: Verdict) -> str:
    """A verdict for the console."""
    word = "right" if verdict.right else "WRONG"
    return (
        f"{verdict.scenario}: {word}, {verdict.writes} writes, {verdict.kills} killed, "
        f"right {verdict.right_after_s:.0f} s after the trouble"
    )
