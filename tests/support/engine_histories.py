"""The same random history under each engine: in the end the same people have the same apps, and the oracle agrees.

A history is made from its seed alone: requests, people who join and leave, waits, shortages, deaths of the process. It
is played once with a group that this app licenses directly, and once with one that Microsoft's licensing licenses for
it. Members of nested groups only are left out of the comparison, because native licensing does not reach them.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from shared.domain.assignment import Engine
from shared.domain.change_messages import GroupsChanged
from shared.domain.directory import AssignedLicense, SubscribedSku
from shared.domain.errors import BadRequest, Conflict
from shared.domain.ids import GroupId, Plans, SkuId, UserId
from shared.domain.membership_changes import GroupChange
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import LicenseChange, Operation, OperationState, Target, is_collecting
from shared.domain.operation_request import OperationRequest
from shared.handlers.membership.native_engine import manage_natively
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.membership.watching import watch_all
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.operations.native_members import reprocess_errors
from shared.handlers.operations.watchdog import watchdog
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from shared.handlers.reconcile.seats import assign_freed_licenses
from shared.ports.messaging import Outgoing
from shared.ports.world import World
from tests.support.kills import DyingRun, KilledError, Killer
from tests.support.oracle import Act, Oracle, holdings
from tests.support.runs import EXTRA, LARGE, MIA, NOA, OTHER_TEAM, SMALL, TEAM, user

PEOPLE = 9
INNER = GroupId(str(UUID(int=990)))
GROUPS = (TEAM, OTHER_TEAM)
PRODUCTS = {sku.sku_id: sku for sku in (SMALL, LARGE, EXTRA)}
ENOUGH = 1000
LONGEST = timedelta(minutes=20)
"""The longest time that native licensing takes for a member."""

Holdings = dict[str, dict[str, frozenset[str]]]
"""By user and product, the plans that are on."""

TIMERS: tuple[Callable[[World], Awaitable[object]], ...] = (watchdog, assign_freed_licenses, reconcile_due_users)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. `number`: people, minutes, messages or licenses, as the kind says."""

    kind: str
    group: GroupId = TEAM
    person: UserId | None = None
    add: tuple[AssignedLicense, ...] = ()
    remove: tuple[SkuId, ...] = ()
    number: int = 0

    def __str__(self) -> str:
        names = [f"+{PRODUCTS[each.sku_id].sku_part_number}{len(each.disabled_plans) or ''}" for each in self.add]
        names += [f"-{PRODUCTS[each].sku_part_number}" for each in self.remove]
        return " ".join([self.kind, self.group[-3:], (self.person or "")[-2:], *names, str(self.number or "")]).strip()


@dataclass(frozen=True, slots=True)
class Script:
    """A history before it is played. `inside`: who is in which group at the start. `by_hand`: people with EXTRA,
    assigned by an administrator. `without_location`: people without a usage location."""

    seed: int
    inside: frozenset[tuple[GroupId, UserId]]
    by_hand: frozenset[UserId]
    without_location: frozenset[UserId]
    steps: tuple[Step, ...]


def script(seed: int) -> Script:
    """The history of a seed. It depends on nothing else, so that both engines get the same."""
    dice = random.Random(f"engines {seed}")
    people = [user(number) for number in range(1, PEOPLE + 1)]
    inside = {(group, one) for group in (*GROUPS, INNER) for one in people if dice.random() < 0.4}
    by_hand = frozenset(one for one in people if dice.random() < 0.15)
    nowhere = frozenset(one for one in people if dice.random() < 0.15)
    found = Script(seed, frozenset(inside), by_hand, nowhere, ())
    wanted: dict[GroupId, dict[SkuId, Plans]] = {group: {} for group in GROUPS}
    steps = [_request(dice, wanted)]
    for _ in range(dice.randint(5, 14)):
        kind = dice.choice(("ask", "ask", "ask", "move", "move", "move", "wait", "short", "buy", "die"))
        if kind == "ask":
            steps.append(_request(dice, wanted))
        elif kind == "move":
            which = (dice.choice((*GROUPS, INNER)), dice.choice(people))
            steps.append(Step("leave" if which in inside else "join", *which))
            inside ^= {which}
        elif kind == "wait":
            steps.append(Step("wait", number=dice.choice((1, 5, 30, 300))))
        elif kind == "short":
            steps.append(Step("short", remove=(dice.choice(list(PRODUCTS)),), number=dice.randint(0, PEOPLE)))
        elif kind == "die":
            steps.append(Step("die", number=dice.randint(1, 60)))
        else:
            steps.append(Step("buy"))
        steps.append(Step("work", number=dice.choice((0, 1, 2, 3, 5, 8, 20, 50))))
    return replace(found, steps=tuple(steps))


def _request(dice: random.Random, wanted: dict[GroupId, dict[SkuId, Plans]]) -> Step:
    """Add a product, remove one, turn apps on and off, or swap two."""
    group = dice.choice(GROUPS)
    has = wanted[group]
    sku = dice.choice(list(PRODUCTS.values()))
    add, remove = tuple[AssignedLicense, ...](), tuple[SkuId, ...]()
    if sku.sku_id not in has:
        add = (AssignedLicense(sku.sku_id, _off(dice, sku)),)
        others = sorted(has)
        remove = (dice.choice(others),) if others and dice.random() < 0.4 else ()
    elif dice.random() < 0.4:
        add = (AssignedLicense(sku.sku_id, _off(dice, sku, but=has[sku.sku_id])),)
    else:
        remove = (sku.sku_id,)
    for each in remove:
        del has[each]
    has.update({each.sku_id: each.disabled_plans for each in add})
    return Step("ask", group, add=add, remove=remove)


def _off(dice: random.Random, sku: SubscribedSku, but: Plans | None = None) -> Plans:
    """Plans to turn off, never all; other ones than `but`."""
    plans = sorted(sku.plan_ids)
    found = frozenset(dice.sample(plans, dice.choice((0, 0, 1)) if len(plans) > 1 else 0))
    if found == but and len(plans) > 1:
        found = frozenset() if found else frozenset(plans[:1])
    return found


class LateEngine:
    """Microsoft's licensing for the groups of a run: each changed member at a time of its own, some fail at first."""

    def __init__(self, run: EngineRun, dice: random.Random) -> None:
        self._run, self._dice = run, dice
        self._due: dict[tuple[GroupId, UserId], datetime] = {}
        self.fails = dice.choice((0.0, 0.0, 0.2))
        native = run.fakes.native
        native.slow, native.on_group_call = True, self.everybody
        native.keeps_products = bool(dice.randrange(2))
        native.lost_calls = dice.choice((0, 0, 1))
        native.plans_after = timedelta(minutes=dice.choice((0, 5)))

    def everybody(self, group_id: GroupId) -> None:
        directory = self._run.directory
        for each in directory.user_ids():
            rows = directory.truth(each).license_assignment_states
            if each in directory.direct_members(group_id) or any(row.assigned_by_group == group_id for row in rows):
                self.member(group_id, each)

    def member(self, group_id: GroupId, user_id: UserId) -> None:
        self._due[group_id, user_id] = self._run.fakes.clock.now() + LONGEST * self._dice.random()

    def work(self) -> None:
        """What is due now. The state of each group follows."""
        now, native = self._run.fakes.clock.now(), self._run.fakes.native
        for key, _ in sorted(((key, due) for key, due in self._due.items() if due <= now), key=lambda each: each[1]):
            del self._due[key]
            self._settle(*key)
        open_groups = {group_id for group_id, _ in self._due}
        for group_id in GROUPS:
            native.processing[group_id] = "ProcessingInProgress" if group_id in open_groups else "ProcessingComplete"

    def _settle(self, group_id: GroupId, user_id: UserId) -> None:
        directory, native = self._run.directory, self._run.fakes.native
        wanted = directory.groups[group_id].native_skus and user_id in directory.direct_members(group_id)
        if not wanted:
            native.take(user_id, group_id)
        elif self._dice.random() < self.fails:
            native.give(user_id, group_id, "Other")
        else:
            native._settle(user_id, group_id)


class EngineRun(DyingRun):
    """A world with two groups under one engine."""

    def __init__(self, script: Script, engine: Engine) -> None:
        super().__init__()
        self.script, self.engine = script, engine
        self.before = lambda message: self.native_works()
        self.directory.add_group(INNER)
        self.directory.join(TEAM, INNER)
        for number in range(1, PEOPLE + 1):
            one = user(number)
            groups = [group for group in (*GROUPS, INNER) if (group, one) in script.inside]
            has = [AssignedLicense(EXTRA.sku_id)] if one in script.by_hand else []
            location = None if one in script.without_location else "DE"
            self.directory.add_user(one, has=has, location=location, groups=groups)
        self.late = LateEngine(self, random.Random(f"late {script.seed}")) if engine is Engine.NATIVE else None

    def native_works(self) -> None:
        if self.late is not None:
            self.late.work()

    def as_json(self) -> dict[str, Any]:
        """The directory as the oracle reads it, in Graph's names."""
        directory = self.directory
        groups = [{"id": group, "members": list(directory.direct_members(group))} for group in (*GROUPS, INNER)]
        return {
            "users": [self._user(each) for each in directory.user_ids()],
            "groups": groups,
            "subscribedSkus": [
                {
                    "skuId": sku_id,
                    "appliesTo": "User",
                    "prepaidUnits": {"enabled": sku.enabled, "warning": 0},
                    "consumedUnits": sku.consumed_units,
                }
                for sku_id in PRODUCTS
                if (sku := directory.sku(sku_id)) is not None
            ],
            "tables": {
                "plans": {
                    sku_id: {each.service_plan_id: each.service_plan_name for each in sku.service_plans}
                    for sku_id, sku in PRODUCTS.items()
                },
                "companyPlans": [],
                "exclusions": [],
                "dependencies": [],
            },
        }

    def _user(self, user_id: UserId) -> dict[str, Any]:
        truth = self.directory.truth(user_id)
        rows = [
            {
                "skuId": row.sku_id,
                "disabledPlans": sorted(row.disabled_plans),
                "assignedByGroup": row.assigned_by_group,
                "state": str(row.state),
                "error": row.error or "None",
            }
            for row in truth.license_assignment_states
        ]
        location = truth.usage_location
        return {"id": user_id, "usageLocation": location, "deleted": False, "licenseAssignmentStates": rows}


@dataclass
class EngineHistory:
    """One play of a script. `wrong`: what the oracle or the product's own state says against it at the end."""

    script: Script
    engine: Engine
    wanted: dict[GroupId, dict[SkuId, Plans]] = field(default_factory=lambda: {group: {} for group in GROUPS})
    wrong: list[str] = field(default_factory=list)
    requests: int = 0
    rejected: int = 0

    def __post_init__(self) -> None:
        self.run = EngineRun(self.script, self.engine)
        self.oracle = Oracle(self.run.as_json())

    async def play(self) -> Holdings:
        """Play it, and note what is wrong. Returns what the users have in the end."""
        if self.engine is Engine.NATIVE:
            for group in GROUPS:
                await manage_natively(self.run.world, group, MIA)
                self.oracle.drive(group)
        for step in self.script.steps:
            await self._take(step)
            self.oracle.desired(self.run.as_json())  # notes for whom something is asked, also if only for a while
        await self._come_to_rest()
        found = self.run.as_json()
        self.wrong += self.oracle.disagreements(found)
        self.wrong += [f"{each.id} is {each.state}" for each in await self.run.world.stores.operations.open()]
        self.wrong += [f"dead letter: {each.reason}" for each in (await self.run.world.stores.dead_letters.page(5))[0]]
        return holdings(found)

    async def _take(self, step: Step) -> None:
        run = self.run
        if step.kind == "ask":
            await self._ask(step.group, LicenseChange(step.add, step.remove))
        elif step.kind in ("join", "leave"):
            await self._membership(step)
        elif step.kind == "wait":
            run.later(minutes=step.number)
        elif step.kind == "short":
            run.directory.add_sku(replace(PRODUCTS[step.remove[0]], enabled=step.number))
        elif step.kind == "buy":
            await self._buy()
        elif step.kind == "die":
            run.arm(Killer(step.number))
        else:
            left = iter(range(step.number))
            await run.work_off(lambda: next(left, None) is None)
        run.native_works()

    async def _ask(self, group: GroupId, change: LicenseChange) -> None:
        """A request begins when the one before on the same group has ended. A person whose request dies repeats it."""
        await self._end_of(group)
        has = self.wanted[group]
        for each in change.remove:
            del has[each]
        has.update({each.sku_id: each.disabled_plans for each in change.add})
        self.oracle.act(Act(group, {each.sku_id: each.disabled_plans for each in change.add}, change.remove))
        await self._request(group, change)

    async def _request(self, group: GroupId, change: LicenseChange) -> Operation | None:
        self.requests += 1
        key = f"request-{self.requests}"
        for _ in range(3):
            try:
                request = OperationRequest(Target(group), MIA, change, idempotency_key=key)
                return await accept(self.run.world, request)
            except KilledError:
                continue
            except (BadRequest, Conflict):
                self.rejected += 1
                return None
        return None

    async def _end_of(self, group: GroupId) -> None:
        for attempt in range(6):
            if not [each for each in await self._open() if each.target.group_id == group]:
                return
            if attempt:
                await self._buy()
                self.run.later(minutes=30)
            await self._work_off()

    async def _open(self) -> list[Operation]:
        found = await self.run.world.stores.operations.open()
        return [each for each in found if not each.preview]

    async def _membership(self, step: Step) -> None:
        run, came = self.run, step.kind == "join"
        assert step.person is not None
        (run.directory.join if came else run.directory.leave)(step.group, step.person)
        if run.late is not None and step.group in GROUPS:
            run.late.member(step.group, step.person)
        message = GroupsChanged((GroupChange(step.group, {step.person: came}),), run.world.clock.now())
        await run.fakes.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())])

    async def _buy(self) -> None:
        for sku in PRODUCTS.values():
            self.run.directory.add_sku(replace(sku, enabled=ENOUGH))

    async def _work_off(self) -> None:
        until = self.run.world.clock.now() + timedelta(hours=2)  # what waits for licenses goes on forever
        for _ in range(40):
            await self.run.work_off(lambda: self.run.fakes.clock.now() > until)
            waiting = [each for each in await self._open() if each.state is OperationState.AWAITING_APPROVAL]
            if not waiting:
                return
            await self._decide(waiting[0])
        self.wrong.append("approvals do not end")

    async def _decide(self, operation: Operation) -> None:
        for _ in range(2):
            try:
                if is_collecting(operation):
                    await approvals.review(self.run.world, operation.id, MIA)
                else:
                    await approvals.approve(self.run.world, operation.id, operation.checksum, NOA)
                return
            except KilledError:
                continue

    async def _come_to_rest(self) -> None:
        """No more trouble. The timers run, members in error are processed again, and a person repeats a request that
        ended without its effect."""
        run = self.run
        await self._buy()
        run.arm(Killer(0))
        if run.late is not None:
            run.late.fails, run.fakes.native.lost_calls = 0.0, 0
        for _ in range(4):
            run.later(hours=1)
            run.native_works()
            for timer in TIMERS:
                await timer(run.world)
            await self._work_off()
            await self._repeat()
            await sync_all(run.world)
            await watch_all(run.world)
            await self._work_off()
            if self.engine is Engine.NATIVE:
                for group in GROUPS:
                    await reprocess_errors(run.world, group, None, None, MIA)
                await self._work_off()
            run.later(hours=1)
            run.native_works()

    async def _repeat(self) -> None:
        """Only native operations can end without their effect: an addition that was taken back, a call that was lost
        too often, a day without processing."""
        for group, wanted in self.wanted.items() if self.engine is Engine.NATIVE else ():
            now = {each.sku_id: each.disabled_plans for each in self.run.directory.groups[group].native_skus}
            add = tuple(AssignedLicense(sku_id, off) for sku_id, off in wanted.items() if now.get(sku_id) != off)
            remove = tuple(sorted(now.keys() - wanted.keys()))
            if add or remove:
                await self._request(group, LicenseChange(add, remove))
                await self._work_off()


def nested_only(run: EngineRun) -> frozenset[str]:
    """Members of the team through the inner group alone, whom native licensing does not reach."""
    inner = set(run.directory.direct_members(INNER))
    return frozenset(inner - set(run.directory.direct_members(TEAM)))


async def differences(seed: int) -> list[str]:
    """What is wrong with the history of a seed; empty if both engines end right and equal."""
    plays = {engine: EngineHistory(script(seed), engine) for engine in (Engine.DIRECT, Engine.NATIVE)}
    direct, native = [await plays[engine].play() for engine in (Engine.DIRECT, Engine.NATIVE)]
    wrong = [f"{engine}: {each}" for engine, play in plays.items() for each in play.wrong]
    return [*wrong, *unequal(direct, native, nested_only(plays[Engine.DIRECT].run))]


def unequal(direct: Holdings, native: Holdings, left_out: frozenset[str]) -> list[str]:
    """Who has other products or plans under one engine than under the other, without those who are left out."""
    return [
        f"{person[-2:]} has {_shown(direct[person])} directly and {_shown(native[person])} natively"
        for person in sorted(direct.keys() - left_out)
        if direct[person] != native[person]
    ]


def _shown(products: dict[str, frozenset[str]]) -> str:
    names = [f"{PRODUCTS[SkuId(sku)].sku_part_number} {len(plans)}" for sku, plans in sorted(products.items())]
    return ", ".join(names) or "nothing"


def lines(seed: int) -> Iterator[str]:
    """The history, for a person."""
    found = script(seed)
    yield f"by hand {sorted(each[-2:] for each in found.by_hand)}"
    yield f"inside {sorted(f'{group[-3:]}/{one[-2:]}' for group, one in found.inside)}"
    yield from map(str, found.steps)
