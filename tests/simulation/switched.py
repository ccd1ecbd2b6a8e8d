"""A random history on the simulated tenant with its switches at drawn positions: Graph's real adapters, changes of
memberships and licenses, lost notifications, duplicates, killed processes, and in the end everything must be right.

The oracle asks the tenant alone (`tests/support/switch_history.py`). Beside it, each license write is judged at once:
it may remove no license that an administrator assigned, and none that the user was entitled to for minutes.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from local.tenant import clock
from local.tenant.directory.model import LicenseRow
from local.tenant.quota import TENANT_WRITES_PER_5_MIN
from local.tenant.switches import SWITCHES, flips, settings_at
from shared.adapters.graph_write_results import CLOCKS_OF_GRAPH
from shared.adapters.tables.stores import table_stores
from shared.domain.errors import BadRequest, Conflict, Unavailable
from shared.domain.ids import SkuId, UserId
from shared.domain.messages import NOTIFICATIONS, ONBOARDING, RESULTS, STEPS
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.messaging.settlement import settle
from shared.handlers.operations.members_queue import Members
from shared.handlers.operations.operations_queue import process_operations
from shared.ports.messaging import Outgoing
from tests.simulation.trouble import Killed, Trouble, TroubledQueue, TroubledTables, TroubledWriter
from tests.support.covering import pairwise
from tests.support.switch_history import (
    CRAFT,
    E3,
    EMS,
    INNER,
    OBJECTS,
    PROJECT,
    TEAM,
    VISIO,
    SwitchHistory,
)
from tests.support.tenant_run import TenantRun, tenant_run
from tests.support.worlds import read_protected_list

DEFAULTS = {each.number: each.default.name for each in SWITCHES}
DRAWN: tuple[Mapping[int, str], ...] = (
    *flips(),
    *pairwise({each.number: [position.name for position in each.positions] for each in SWITCHES}),
)
"""What a seed chooses from: each position that is no default alone, and rows with each pair of positions."""

GROUPS = (TEAM, INNER, CRAFT)
LOCK = timedelta(seconds=60)
MAX_DELIVERIES = 4000
SETTLED_S = 900.0
"""After so long a time, no read and no message can be as old as the user's entitlement: reads lag by three minutes at
most, messages come back after seconds to minutes."""


def positions_of(seed: int) -> Mapping[int, str]:
    """Seeds in a row play all positions in turn."""
    return DRAWN[seed % len(DRAWN)]


def changed(positions: Mapping[int, str]) -> str:
    """The positions that are no defaults, as text."""
    return " ".join(f"{number}:{name}" for number, name in sorted(positions.items()) if name != DEFAULTS[number])


@dataclass
class SwitchedHistory(SwitchHistory):
    """One history. `lines`: what happened, for a person."""

    seed: int = 0
    lines: list[str] = field(default_factory=list)
    kills: int = 0
    deliveries: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(f"switched {self.seed}")
        self.positions = positions_of(self.seed)
        harm = self.chance.choice((0.0, 0.5, 1.0))
        self.trouble = Trouble(self.chance, 0.01 * harm, 0.01 * harm, 0.01 * harm, 0.02 * harm, on=False)
        _troubled(self.run, self.trouble, batches=self.chance.random() < 0.5)
        self.people = [UserId(each["id"]) for each in OBJECTS["users"]]
        self.since: dict[tuple[UserId, SkuId], float] = {}
        self.seen = 0

    def note(self, line: str) -> None:
        self.lines.append(f"{self.run.world.clock.now():%H:%M:%S} {line}")

    async def play(self) -> list[str]:
        run = self.run
        self.note(f"positions: {changed(self.positions)}")
        await run.control("POST", "objects", OBJECTS)
        await run.timers()
        await self.ask(TEAM, E3, EMS)
        self._entitle()
        for _ in range(self.chance.randint(4, 10)):
            self.trouble.on = False
            await self.chance.choice(self._acts())()
            self._entitle()
            self.trouble.on = True
            for _ in range(self.chance.randint(0, 10)):
                await self._deliver()
        self.trouble.on = False
        await self._come_to_rest()
        return self.wrong

    def _acts(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        often = (self._request, self._membership, self._membership)
        seldom = (
            self._notify,
            self._timers,
            self._wait,
            self._forget_links,
            self._buy,
            self._crowd,
            self._delete,
        )
        by_hand = (self._by_hand,) if self.positions.get(26, "none") == "none" else ()
        return (*often, *often, *seldom, *by_hand)

    async def _request(self) -> None:
        group, sku = self.chance.choice((TEAM, CRAFT, INNER)), self.chance.choice((E3, EMS, VISIO, PROJECT))
        had = self.asked.get(group, set())
        try:
            await (self.begin(group, remove=(sku,)) if sku in had else self.begin(group, sku))
        except (BadRequest, Conflict) as fault:
            self.note(f"rejected: {fault}")
            return
        self.note(f"{'remove' if sku in had else 'add'} {sku[:4]} {group[-3:]}")

    async def _membership(self) -> None:
        group, person = self.chance.choice(GROUPS), self.chance.choice(self.people)
        directory = self.run.state.directory
        if directory.users[person].deleted is not None:
            return
        inside = person in set(directory.groups[group].member_ids)
        pair = [(group, person)]
        await self.move(add=[] if inside else pair, remove=pair if inside else [])
        observed = self.chance.choice((0, 1, 1, 2))
        self.note(f"{person[-2:]} {'leaves' if inside else 'joins'} {group[-3:]}, notified {observed} times")
        if not observed:
            self.run.lose_notifications()
        for _ in range(observed):
            kept = list(self.run.unsent)
            await self.run.notify()
            self.run.unsent[:] = kept
        self.run.lose_notifications()

    async def _notify(self) -> None:
        await self.run.notify()

    async def _timers(self) -> None:
        self.note("timers")
        await self.run.timers_once()

    async def _wait(self) -> None:
        self.run.later(seconds=self.chance.choice((1, 5, 60, 600)))

    async def _forget_links(self) -> None:
        self.note("delta links expire")
        await self.run.control("POST", "delta/expire")

    async def _buy(self) -> None:
        seats = self.chance.choice((1, 2, 4, 9))
        self.note(f"the tenant has {seats} licenses of {VISIO[:4]}")
        await self.run.control("POST", "objects", {"skus": [{"skuId": VISIO, "enabled": seats}]})

    async def _crowd(self) -> None:
        self.note("other apps use the quota of writes")
        await self.run.control("POST", "quota", {"othersWrites": TENANT_WRITES_PER_5_MIN - 5})

    async def _delete(self) -> None:
        """A user goes to the recycle bin, or comes back."""
        person = self.chance.choice(self.people)
        is_deleted = self.run.state.directory.users[person].deleted is not None
        self.note(f"{person[-2:]} is {'restored' if is_deleted else 'deleted'}")
        if is_deleted:
            await self.run.control("POST", f"users/{person}/restore")
        else:
            await self.run.control("DELETE", f"users/{person}")

    async def _by_hand(self) -> None:
        """An administrator removes a managed license, or assigns one that the user does not have. Not as near to a
        write as clocks of Graph can differ, and not while one may be under way: nobody can know whose license it is."""
        person, sku = self.chance.choice(self.people), self.chance.choice((E3, EMS))
        self.run.later(seconds=CLOCKS_OF_GRAPH.total_seconds() + 2)
        ledger = (await self.run.world.stores.ledger.rows([person])).get(person)
        user = self.run.state.directory.users[person]
        if user.deleted is not None or (ledger is not None and ledger.intent):
            return
        direct = {row.sku_id for row in user.rows if row.group is None}
        rest = tuple(row for row in user.rows if row.sku_id != sku or row.group is not None)
        if sku in direct and sku not in self.unmanaged.get(person, set()):
            self.note(f"{sku[:4]} is removed from {person[-2:]} by hand")
            self.run.state.directory.set_rows(user, rest, clock.time())
        elif sku not in direct and self._rejection(user, sku) is None:
            self.note(f"{sku[:4]} is assigned to {person[-2:]} by hand")
            row = LicenseRow(sku, (), None, "Active", "None", clock.time())
            self.run.state.directory.set_rows(user, (*rest, row), clock.time())
            self.unmanaged.setdefault(person, set()).add(sku)
        self.run.later(seconds=2)

    def _entitle(self) -> None:
        """Since when each user is entitled to what."""
        now, found = clock.time(), {}
        for person in self.people:
            user = self.run.state.directory.users[person]
            for sku in self.entitled(user) if user.deleted is None else ():
                found[person, sku] = self.since.get((person, sku), now)
        self.since = found

    def _judge(self) -> None:
        """Each license write since the last one that was judged. A person may have decided that a license goes which
        the app assigned and an administrator assigned anew."""
        for operation in self.run.approved:
            for person in operation.target.user_ids or (self.people if not operation.target.is_group else ()):
                self.unmanaged.get(person, set()).difference_update(operation.plan.removals)
        self.run.approved.clear()
        writes = self.run.state.metrics.writes_after(self.seen, 10_000)
        for write in writes:
            self.seen = write["seq"]
            if write["operation"] != "assignLicense":
                continue
            person = UserId(write["userId"])
            for sku in map(SkuId, write["before"].keys() - write["after"].keys()):
                since = self.since.get((person, sku))
                if sku in self.unmanaged.get(person, set()):
                    self.wrong.append(f"{person[-2:]} lost the unmanaged {sku[:4]}")
                elif since is not None and clock.time() - since > SETTLED_S:
                    self.wrong.append(f"{person[-2:]} lost {sku[:4]}, entitled for {clock.time() - since:.0f} s")

    def _losses(self) -> list[str]:
        return []  # each write was judged when it was made

    async def _deliver(self) -> bool:
        """Work on up to three messages at once, in any order, sometimes twice."""
        queue, now = self.run.fakes.queue, self.run.world.clock.now()
        due = [each for each in queue.messages if each.at is None or each.at <= now]
        if not due and queue.messages:
            soonest = min(each.at or now for each in queue.messages)
            self.run.fakes.clock.move(soonest - now)
            due = [each for each in queue.messages if each.at is None or each.at <= soonest]
        if not due:
            return False
        chosen = self.chance.sample(due, min(len(due), self.chance.choice((1, 1, 2, 3))))
        for message in chosen:
            queue.messages.remove(message)
        if self.trouble.on and self.chance.random() < 0.1:
            chosen.append(chosen[0])
        await asyncio.gather(*(self._work(message) for message in chosen))
        self._judge()
        return True

    async def _work(self, message: Outgoing) -> None:
        self.deliveries += 1
        world, place = self.run.world, self.chance.randrange(len(self.run.workers))
        work: Callable[[bytes], Awaitable[None]] = self.run.workers[place].process
        if message.queue in (RESULTS, ONBOARDING):
            return
        if message.queue in STEPS:
            work = lambda body: process_operations(world, message.queue, body)  # noqa: E731
        elif message.queue == NOTIFICATIONS:
            work = lambda body: process_notifications(world, body)  # noqa: E731
        try:
            await settle(world, message.queue, message.body, work)
        except Killed as death:
            self.kills += 1
            self.note(f"killed at {death}")
            self.run.workers[place] = Members(world)
            self._back(message)
        except Unavailable:
            self._back(message)

    def _back(self, message: Outgoing) -> None:
        self.run.fakes.queue.messages.append(replace(message, at=self.run.world.clock.now() + LOCK))

    async def _come_to_rest(self) -> None:
        """No more trouble: timers run, a person approves, and the nightly sync comes."""
        for _ in range(MAX_DELIVERIES):
            if not await self._deliver():
                break
        for _ in range(3):
            self.run.later(minutes=20)
            await self.run.timers()
            self._judge()
        await self.run.night()
        self._judge()
        self.run.later(minutes=20)
        await self.run.timers()
        self._judge()
        self.wrong += await self.faults("in the end")


def _troubled(run: TenantRun, trouble: Trouble, *, batches: bool) -> None:
    """Trouble at tables, queues, and license writes one by one; `batches`: they go out in batches, without trouble."""
    tables, queue, now = TroubledTables(), TroubledQueue(), run.fakes.clock.now
    tables.trouble = queue.trouble = trouble
    read_protected_list(tables)
    stores = table_stores(tables, monotonic=lambda: now().timestamp(), now=now)
    writer: Any = run.world.licenses if batches else TroubledWriter(run.world.licenses, trouble)  # type: ignore[arg-type]  # any writer
    run.fakes = replace(run.fakes, tables=tables, queue=queue)
    run.use(replace(run.world, stores=stores, queue=queue, licenses=writer))


async def play_switched(seed: int) -> SwitchedHistory:
    """One history; its `wrong` is empty if all is right."""
    async with tenant_run(settings_at(positions_of(seed))) as run:
        run.state.chance.seed(f"tenant {seed}")
        history = SwitchedHistory(run, seed=seed)
        try:
            await history.play()
        except AssertionError as fault:
            history.wrong.append(str(fault))
        return history
