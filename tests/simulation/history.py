"""One seeded history: people come and go, administrators ask, processes die, and in the end everything must be right.

Several messages are worked on at a time, in any order, each up to twice. A message whose process died comes back after
its lock. At the end trouble ceases, the timers run, and the directory is compared with what was asked.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from shared.adapters.tables.stores import table_stores
from shared.domain.change_messages import GroupsChanged
from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest, Conflict, NotFound, Unavailable
from shared.domain.hr_events import SourceRules
from shared.domain.ids import GroupId, Plans, SkuId, UserId
from shared.domain.membership_changes import GroupChange
from shared.domain.messages import NOTIFICATIONS, ONBOARDING, RESULTS, STEPS
from shared.domain.onboarding import OnboardingState, SourceOrder, event_key
from shared.domain.operation import LicenseChange, OperationState, Target, is_collecting
from shared.domain.operation_request import OperationRequest
from shared.domain.pending_removal import TENANT
from shared.domain.profiles import Profile
from shared.handlers.membership.delta import query_deltas
from shared.handlers.membership.nightly_sync import PARTITIONS, sync_all
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.messaging.settlement import settle
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.onboarding_queue import Onboarding, resume_due_events
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from shared.handlers.operations.members_queue import Members
from shared.handlers.operations.operations_queue import process_operations
from shared.handlers.operations.watchdog import watchdog
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from shared.handlers.reconcile.seats import assign_freed_licenses
from shared.ports.messaging import Outgoing
from shared.ports.world import World
from tests.simulation import member_states
from tests.simulation.allowances import Allowances, removed
from tests.simulation.tenant_acts import KINDS, WHOLE, TenantActs
from tests.simulation.trouble import (
    Killed,
    Trouble,
    TroubledDirectory,
    TroubledMemberships,
    TroubledQueue,
    TroubledTables,
    TroubledWriter,
)
from tests.support.hires import SOURCE
from tests.support.hires import event as hr_event
from tests.support.runs import EXTRA, LARGE, MIA, NOA, OTHER_TEAM, SMALL, TEAM, Run, user
from tests.support.worlds import Fakes, read_protected_list

PEOPLE = 9
ACTS = 14
CANCELS_FROM = 100_000
"""Seeds from here on cancel events of HR too; those below play as they did when something was found by them."""
CORRECTIONS_FROM = 2_000_000
"""In seeds from here on, HR corrects days, rescinds leavers, and knows several employments of a person."""
HR_KINDS = ("joiner", "joiner", "mover", "leaver", "leaver", "leaver.rescission")
DAYS = ("2025-12-20", "2026-01-01", "2026-01-05", "2026-01-06")
LENGTHS_FROM = 200_000
"""Seeds from here on are of 3 to 12 acts: more of them can be played, and what one finds is shorter to read."""
TENANT_FROM = 1_000_000
"""Seeds from here on have the tenant's own acts too, if the history is given no others."""
CROWDS_FROM = 3_000_000
"""In seeds from here on, most or all members of a group leave at once, and people ask for groups, lists and users to be
reprocessed."""
LOCK = timedelta(seconds=60)
MAX_DELIVERIES = 6000
ROUNDS = 4
GROUPS = (TEAM, OTHER_TEAM)
INNER = GroupId(str(UUID(int=990)))
TIMERS: tuple[Callable[[World], Awaitable[object]], ...] = (
    watchdog,
    assign_freed_licenses,
    reconcile_due_users,
    resume_due_events,
    query_deltas,
)


@dataclass
class History:
    """One run of one seed."""

    seed: int
    kinds: frozenset[str] | None = None
    """Kinds of the tenant's own acts (tenant_acts.KINDS); None: those of the seed."""
    lines: list[str] = field(default_factory=list)
    unmanaged: dict[UserId, set[SkuId]] = field(default_factory=dict)
    due: set[tuple[UserId, SkuId]] = field(default_factory=set)
    """Whom a group assigned what at any time: an assignment of it can have been tried."""
    wanted: dict[GroupId, dict[SkuId, Plans]] = field(default_factory=dict)
    """What each group is to have: SKU to disabled plans."""
    deliveries: int = 0
    kills: int = 0
    early: list[str] = field(default_factory=list)
    miscounted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        harm = self.chance.choice((0.0, 0.5, 1.0, 2.0))
        self.trouble = Trouble(self.chance, 0.01 * harm, 0.01 * harm, 0.01 * harm, 0.02 * harm)
        self.trouble.on = False
        self.run = Run()
        self.run.fakes = _troubled(_ordered(self.run.fakes), self.trouble)
        self.run.world = self.run.fakes.world
        if self.seed % 2:
            # So small that removals often wait for a person.
            few = replace(self.run.world.policy, removal_allowance_minimum=2, tenant_removal_allowance=3)
            self.run.world = replace(self.run.world, policy=few)
        self.members = [Members(self.run.world), Members(self.run.world)]
        self.onboarding = [Onboarding(self.run.world), Onboarding(self.run.world)]
        self.events: dict[str, UserId] = {}
        self.leavers: set[UserId] = set()
        self.lagging: set[UserId] = set()
        self.events_alone = self.chance.random() < 0.5
        """Every change is told, and neither delta nor sync is needed to be right."""
        self.acts = self.chance.randint(3, 12) if self.seed >= LENGTHS_FROM else ACTS
        self.people = [user(number) for number in range(1, PEOPLE + 1)]
        kinds = (frozenset(KINDS) if self.seed >= TENANT_FROM else frozenset()) if self.kinds is None else self.kinds
        self.tenant = TenantActs(self.run, self.chance, kinds, self.unmanaged, self.note)
        policy = self.run.world.policy
        of_groups = len(GROUPS) * policy.removal_allowance_minimum
        self.allowances = Allowances(of_groups, policy.tenant_removal_allowance, self.tenant.plans_at)

    def note(self, line: str) -> None:
        self.lines.append(f"{self.run.world.clock.now():%H:%M:%S} {line}")

    async def play(self) -> list[str]:
        """Everything that is wrong at the end; empty when all is right."""
        self.tenant.begin()
        await self.run.world.stores.profiles.save(Profile("teams", groups=GROUPS, selectable=True))
        self._people()
        for _ in range(self.acts):
            self.trouble.on = False
            await self._act()
            self.trouble.on = True
            self.due |= {(person, sku) for person in self.people for sku in self._desired(person)}
            for _ in range(self.chance.randint(0, 12)):
                await self._deliver()
        await self._come_to_rest()
        return [f"before the sync: {each}" for each in self.early] or await self._faults()

    def _people(self) -> None:
        directory = self.run.directory
        directory.add_group(INNER)
        directory.join(TEAM, INNER)
        for person in self.people:
            has = [AssignedLicense(EXTRA.sku_id)] if self.chance.random() < 0.15 else []
            location = "DE" if self.chance.random() < 0.8 else None
            groups = [group for group in (*GROUPS, INNER) if self.chance.random() < 0.4]
            directory.add_user(person, has=has, location=location, groups=groups)
            self.unmanaged[person] = {license.sku_id for license in has}

    async def _act(self) -> None:
        often = (self._ask, self._join_or_leave)
        seldom = (self._timer, self._wait, self._by_hand, self._lag, self._hr)
        more = [self._hr, self._cancel_hr] if self.seed >= CANCELS_FROM else []
        more += [self._crowd, self._reprocess] if self.seed >= CROWDS_FROM else []
        await self.chance.choice((*often, *often, *seldom, *more, *self.tenant.acts()))()

    async def _ask(self) -> None:
        group = self.chance.choice(GROUPS)
        chosen = self.chance.choice((SMALL, LARGE, EXTRA))
        sku, had = chosen.sku_id, self.wanted.setdefault(group, {})
        off = self.tenant.plans_off(chosen)
        change = LicenseChange(remove=(sku,)) if sku in had else LicenseChange((AssignedLicense(sku, off),))
        try:
            await accept(self.run.world, OperationRequest(Target(group), MIA, change))
        except (BadRequest, Conflict) as fault:
            self.note(f"rejected: {fault}")
            return
        if sku in had:
            del had[sku]
        else:
            had[sku] = off
        without = f" without {', '.join(sorted(plan[-3:] for plan in off))}" if off and sku in had else ""
        self.note(f"{'remove' if sku not in had else 'add'} {self._name(sku)}{without} {group[-3:]}")

    async def _join_or_leave(self) -> None:
        group, person = self.chance.choice((*GROUPS, INNER)), self.chance.choice(self.people)
        inside = group in {each for each in (*GROUPS, INNER) if person in self.run.directory._members[each]}
        (self.run.directory.leave if inside else self.run.directory.join)(group, person)
        self.run.fakes.changes.happened(group, person, came=not inside)
        observed = self.chance.choice((1, 1, 2) if self.events_alone else (0, 1, 1, 2))
        self.note(f"{person[-2:]} {'leaves' if inside else 'joins'} {group[-3:]}, told {observed} times")
        message = GroupsChanged((GroupChange(group, {person: not inside}),), self.run.world.clock.now())
        await self.run.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())] * observed)

    async def _crowd(self) -> None:
        """Somebody empties a group, or nearly: an allowance or a person decides about all who leave."""
        group = self.chance.choice(GROUPS)
        inside = sorted(person for person in self.people if person in self.run.directory._members[group])
        gone = inside[self.chance.choice((0, 0, 1, 2)) :]
        for person in gone:
            self.run.directory.leave(group, person)
            self.run.fakes.changes.happened(group, person, came=False)
        observed = self.chance.choice((1, 1, 2) if self.events_alone else (0, 1, 1, 2))
        self.note(f"{len(gone)} of {len(inside)} leave {group[-3:]} at once, told {observed} times")
        message = GroupsChanged((GroupChange(group, dict.fromkeys(gone, False)),), self.run.world.clock.now())
        await self.run.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())] * observed)

    async def _reprocess(self) -> None:
        """Asked for by a person; it permits nothing."""
        some = tuple(sorted(self.chance.sample(self.people, self.chance.randint(1, len(self.people)))))
        target = self.chance.choice((Target(self.chance.choice(GROUPS)), Target(user_ids=some)))
        try:
            await accept(self.run.world, OperationRequest(target, MIA, reprocess=True))
        except (BadRequest, Conflict) as fault:
            self.note(f"not reprocessed: {fault}")
            return
        self.note(f"reprocess {target.group_id[-3:] if target.group_id else [each[-2:] for each in some]}")

    async def _hr(self) -> None:
        """HR says that somebody starts in a group, moves to one, leaves, or does not leave after all; an event arrives
        once, twice, or with an earlier one."""
        kinds = ("joiner", "mover", "leaver") if self.seed < CORRECTIONS_FROM else HR_KINDS
        person, kind = self.chance.choice(self.people), self.chance.choice(kinds)
        group = self.chance.choice(GROUPS)
        name = f"hr-{len(self.events)}"
        data: dict[str, Any] = {"groups": [group]} if kind in ("joiner", "mover") else {}
        data |= {"removal": "P0D"} if kind == "leaver" else {}
        if self.seed >= CORRECTIONS_FROM:
            data |= {"on": self.chance.choice(DAYS), "employmentId": self.chance.choice((None, None, None, "1", "2"))}
        event = hr_event(kind, name, person, sequence=len(self.events), **data)
        self.events[name] = person
        if kind == "leaver":
            self.leavers.add(person)
        self.note(f"HR: {name} {kind} {person[-2:]} {group[-3:]}")
        body = json.dumps(event).encode()
        await self.run.world.queue.send([Outgoing(ONBOARDING, body)] * self.chance.choice((1, 1, 2)))

    async def _cancel_hr(self) -> None:
        """Somebody cancels an event of HR, at whatever moment of it."""
        if not self.events:
            return
        name = self.chance.choice(list(self.events))
        try:
            record = await administration.cancel(self.run.world, event_key(SOURCE, name), MIA)
        except (NotFound, Conflict) as fault:
            self.note(f"not cancelled: {fault}")
            return
        self.note(f"HR: {name} is cancelled, {record.state}")

    async def _timer(self) -> None:
        timer = self.chance.choice(TIMERS)
        self.note(f"timer {timer.__name__}")
        await timer(self.run.world)

    async def _by_hand(self) -> None:
        """An administrator takes a license of ours away."""
        person = self.chance.choice(self.people)
        held = self.run.directory.truth(person)
        managed = [row for row in held.license_assignment_states if row.sku_id not in self.unmanaged[person]]
        if self.events_alone or not managed:
            return
        rest = tuple(row for row in held.license_assignment_states if row != managed[0])
        self.run.directory.change_user(replace(held, license_assignment_states=rest))
        self.note(f"{self._name(managed[0].sku_id)} is taken from {person[-2:]} by hand")

    async def _lag(self) -> None:
        """Reads of somebody lag behind for a while. Whom a sealing read does not show yet, and of whose coming nobody
        tells again, only delta or the sync can find."""
        if self.events_alone:
            return
        for person in self.lagging:
            self.run.directory.make_fresh(person)
        self.note("reads are fresh")
        self.lagging = set(self.chance.sample(self.people, self.chance.randint(0, 2)))
        for person in sorted(self.lagging):
            self.run.directory.make_stale(person)
            self.note(f"reads of {person[-2:]} lag")

    async def _wait(self) -> None:
        self.run.fakes.clock.move(timedelta(seconds=self.chance.choice((1, 5, 60, 600))))

    async def _deliver(self) -> bool:
        """Work on up to three messages at once; what is not due yet is waited for where nothing else is."""
        queue = self.run.fakes.queue
        now = self.run.world.clock.now()
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
        return True

    async def _work(self, message: Outgoing) -> None:
        self.deliveries += 1
        world = self.run.world
        place = self.chance.randrange(len(self.members))
        work: Callable[[bytes], Awaitable[None]] = self.members[place].process
        if message.queue == RESULTS:
            return
        if message.queue == ONBOARDING:
            work = self.onboarding[place].take
        elif message.queue in STEPS:
            work = lambda body: process_operations(world, message.queue, body)  # noqa: E731
        elif message.queue == NOTIFICATIONS:
            work = lambda body: process_notifications(world, body)  # noqa: E731
        try:
            await settle(world, message.queue, message.body, work)
        except Killed as death:
            self.kills += 1
            self.note(f"killed at {death}")
            self.members[place], self.onboarding[place] = Members(world), Onboarding(world)
            self._back(message)
        except Unavailable:
            self._back(message)

    def _back(self, message: Outgoing) -> None:
        """The lock of a message that was not settled ends; then it is delivered again."""
        self.run.fakes.queue.messages.append(replace(message, at=self.run.world.clock.now() + LOCK))

    async def _come_to_rest(self) -> None:
        """No more trouble: timers and the nightly sync run, approvals are given, until a whole round writes nothing and
        everything is right; every eighth history goes all rounds."""
        self.trouble.on = False
        # Before a nightly sync, which would correct them.
        self.miscounted = await self._miscounted()
        self.tenant.end()
        for person in self.lagging:
            self.run.directory.make_fresh(person)
        if self.seed >= CORRECTIONS_FROM:
            self.run.fakes.clock.move(timedelta(days=1))
        for number in range(ROUNDS):
            wrote = len(self.run.writer.log)
            self.run.fakes.clock.move(timedelta(minutes=20))
            for timer in TIMERS[: 4 if self.events_alone else None]:
                await timer(self.run.world)
            await self._work_off()
            if number == 1 and self.events_alone and not self.tenant.is_quiet:
                self.early = await self._faults(synced=False)
            synced = number > 1 or not self.events_alone
            if synced:
                await sync_all(self.run.world)
                await self._work_off()
            self.run.fakes.clock.move(timedelta(hours=1))
            quiet = synced and number and len(self.run.writer.log) == wrote
            if quiet and self.seed % 8 and not await self._faults():
                return

    async def _work_off(self) -> None:
        for _ in range(MAX_DELIVERIES):
            if not await self._deliver() and not await self._approve():
                return
        raise AssertionError("the work does not end")

    async def _approve(self) -> bool:
        asked, _ = await self.run.world.stores.onboarding.attention(100)
        for record in asked:
            if record.state is OnboardingState.NEEDS_DECISION:
                carry_out = self.chance.random() < 0.5
                await administration.decide(self.run.world, record.key, MIA, carry_out=carry_out)
                self.note(f"HR: {record.event.id} is {'carried out' if carry_out else 'dismissed'}")
                return True
        for each in await self.run.world.stores.operations.open():
            if each.state is OperationState.AWAITING_APPROVAL:
                if is_collecting(each):
                    await approvals.review(self.run.world, each.id, MIA)
                else:
                    await self.allowances.approve(self.run.world, each)
                    await approvals.approve(self.run.world, each.id, each.checksum, NOA)
                return True
        return False

    async def _faults(self, *, synced: bool = True) -> list[str]:
        """`synced`: a nightly sync has corrected the rows of members that HR removed without a notification."""
        wrong: list[str] = []
        stores = self.run.world.stores
        permits, grants = await stores.permits.of_users(self.people), await stores.grants.of_users(self.people)
        for person in self.people:
            decided = {each.sku_id for each in permits.get(person, ()) if each.given_by == NOA.id}
            blocked = any(grant.blocks for grant in grants[person])
            wrong += self._wrong_licenses(person, decided, blocked=blocked)
        rows = await stores.ledger.rows(self.people)
        for person in self.people:
            blocked = any(grant.blocks for grant in grants[person])
            truth = self.run.directory.truth(person)
            for shown in await stores.members.of_user(person, GROUPS) if synced else ():
                assigned = self.wanted.get(shown.group_id, {})
                wrong += member_states.faults(shown, truth, rows[person], assigned, blocked=blocked)
        wrong += [f"{person[-2:]} has an open intent" for person, row in rows.items() if row.intent]
        wrong += [f"{each.id} {each.state} in {each.phase}" for each in await stores.operations.open()]
        wrong += [f"dead letter: {each.reason}" for each in (await stores.dead_letters.page(10))[0]]
        records, _ = await stores.onboarding.newest(100)
        ended = {record.event.id: record.state for record in records if record.state.is_ended and record.announced}
        wrong += [f"{name} has not ended" for name in self.events.keys() - ended.keys()]
        wrong += await self._unpermitted()
        wrong += self.miscounted
        return wrong + self.allowances.faults(self.run.writer.log, self.leavers)

    async def _miscounted(self) -> list[str]:
        counts = self.run.world.stores.member_counts
        return [
            f"members of {group[-3:]} with {digit} are miscounted"
            for group in GROUPS
            for digit in PARTITIONS
            if await counts.recount(group, digit)
        ]

    async def _unpermitted(self) -> list[str]:
        permits = await self.run.world.stores.permits.of_users(self.people)
        given = {(each.user_id, each.sku_id) for some in permits.values() for each in some}
        let_go = (await self.run.world.stores.removals.load(TENANT)).rows
        given |= {(each.user_id, each.sku_id) for each in let_go if each.allowed_at}
        gone = {(person, sku) for _, person, sku in removed(self.run.writer.log, self.tenant.plans_at)}
        return [f"{person[-2:]} lost {self._name(sku)} without permit" for person, sku in gone - given]

    def _wrong_licenses(self, person: UserId, decided: set[SkuId], *, blocked: bool) -> list[str]:
        """`blocked`: HR reported a leaver, and a membership stays. `decided`: products of which Noa approved a removal
        from this person. Of a license that this app assigned and an administrator assigned anew, Noa is asked whether
        it may go."""
        wrong: list[str] = []
        held, unmanaged = self.run.directory.licenses(person), self.unmanaged[person]
        desired = {} if blocked else self._desired(person)
        has, tenant = set(held), self.tenant
        staying = [(sku, off) for sku, off in held.items() if sku in unmanaged or sku in desired]
        lacking = desired.keys() - has
        # A license may stay for a product that the tenant rejects anyway, and be in the way of another meanwhile.
        rejected = {sku for sku in lacking if tenant.may_lack(sku, desired[sku], staying)}
        waiting = [(sku, off) for sku, off in held.items() if tenant.may_keep(WHOLE[sku], rejected)]
        lacks = {sku for sku in lacking if not tenant.may_lack(sku, desired[sku], [*staying, *waiting])}
        keeps = {sku for sku in has - unmanaged - desired.keys() if not tenant.may_keep(WHOLE[sku], lacking)}
        assigned_here = {sku for entry in self.run.writer.log if entry.user_id == person for sku in entry.after}
        assigned_here |= {sku for who, sku in self.due if who == person}
        if unmanaged - has - (decided & assigned_here):
            wrong.append(f"{person[-2:]} lost what somebody else gave")
        if keeps:
            wrong.append(f"{person[-2:]} kept {self._names(keeps)}")
        if lacks:
            wrong.append(f"{person[-2:]} lacks {self._names(lacks)}, has {self._names(has)}")
        for sku in (has & desired.keys()) - unmanaged:
            on, wanted = tenant.on(sku, held[sku]), tenant.on(sku, desired[sku])
            more = on > wanted and tenant.may_keep(on - wanted, lacking)
            if on != wanted and not more and not tenant.may_lack(sku, desired[sku], staying):
                wrong.append(f"{person[-2:]} has other plans of {self._name(sku)}")
        return wrong

    def _desired(self, person: UserId) -> dict[SkuId, Plans]:
        """A plan is off only if every group that gives the product turns it off."""
        inside, found = self.run.directory.truth(person).group_ids, dict[SkuId, Plans]()
        for group in GROUPS:
            for sku, off in self.wanted.get(group, {}).items() if group in inside else ():
                found[sku] = found[sku] & off if sku in found else off
        return found

    def _name(self, sku_id: SkuId) -> str:
        return {sku.sku_id: sku.sku_part_number for sku in (SMALL, LARGE, EXTRA)}[sku_id]

    def _names(self, skus: set[SkuId]) -> str:
        return " and ".join(sorted(map(self._name, skus)))


def _ordered(fakes: Fakes) -> Fakes:
    """With an HR system whose sequence says which of two events is newer."""
    policy = replace(fakes.world.policy, hr_sources={"*": SourceRules(SourceOrder.SEQUENCE)})
    return replace(fakes, world=replace(fakes.world, policy=policy))


def _troubled(fakes: Fakes, trouble: Trouble) -> Fakes:
    tables, queue = TroubledTables(), TroubledQueue()
    tables.trouble = queue.trouble = trouble
    read_protected_list(tables)
    directory, licenses = TroubledDirectory(fakes.directory, trouble), TroubledWriter(fakes.world.licenses, trouble)  # type: ignore[arg-type]
    stores = table_stores(tables, monotonic=lambda: fakes.clock.now().timestamp(), now=fakes.clock.now)
    memberships = TroubledMemberships(fakes.world.memberships, trouble)
    world = replace(
        fakes.world, stores=stores, queue=queue, directory=directory, licenses=licenses, memberships=memberships
    )
    return replace(fakes, world=world, tables=tables, queue=queue)
