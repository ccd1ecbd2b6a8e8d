"""A group that moves between native and direct licensing, in memory: an engine with delays and failures, people who
join and leave, and a witness who checks after every message that nobody has lost a service plan."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from shared.domain.directory import AssignedLicense, DirectoryGroup, LicenseState
from shared.domain.errors import LicensingError
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId
from shared.domain.messages import MEMBERS, ProcessUsers
from shared.domain.move import Direction, Move, MovePhase
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.write_results import Rejected, WriteResult
from shared.handlers.operations import moves
from shared.handlers.operations.accept import accept
from shared.handlers.operations.move_steps import watch_moves
from shared.handlers.operations.moves import MoveRequest
from shared.ports.messaging import Outgoing
from tests.support.kills import DyingRun, KilledError
from tests.support.runs import EXTRA, MAIL, MIA, NOA, SMALL, TEAM, user

INNER = GroupId(str(UUID(int=902)))
WITHOUT_MAIL = AssignedLicense(SMALL.sku_id, frozenset({MAIL}))
PRODUCTS = (WITHOUT_MAIL, AssignedLicense(EXTRA.sku_id))
"""What the group assigns: one product with an app turned off, and one whole."""

LONGEST = timedelta(minutes=8)
"""The longest time that a changed member waits for the engine."""

On = dict[SkuId, frozenset[ServicePlanId]]


class SlowEngine:
    """Microsoft's licensing: each changed member is processed at a time of its own. `fails`: the share of times that it
    leaves a member with the error Other, as a temporary fault of the service does."""

    def __init__(self, run: MovingRun, seed: int, *, fails: float = 0.0) -> None:
        self._run, self._random, self._fails = run, random.Random(seed), fails
        self._due: dict[UserId, datetime] = {}
        self.stuck: set[UserId] = set()
        """Members whose removal fails because another license depends on it."""
        self.reprocessing: Callable[[], None] = lambda: None
        """Called before a member is processed again on request."""
        native = run.fakes.native
        native.slow, native.on_group_call = True, lambda group_id: self.everybody()
        native.answer = self._reprocessed

    def everybody(self) -> None:
        for each in self._run.directory.direct_members(TEAM):
            self.member(UserId(each))

    def member(self, user_id: UserId) -> None:
        wait = LONGEST * self._random.random()
        self._due[user_id] = self._run.fakes.clock.now() + wait

    def _reprocessed(self, user_id: UserId) -> WriteResult:
        """Processed at once. The fake's own answer would assign products, so it gets none."""
        self.reprocessing()
        self.stuck.discard(user_id)
        self._settle(user_id)
        return Rejected(400, "Request_BadRequest", "processed by the engine of the test")

    def work(self) -> None:
        now = self._run.fakes.clock.now()
        for user_id, due in sorted(self._due.items(), key=lambda each: (each[1], each[0])):
            if due <= now:
                del self._due[user_id]
                self._settle(user_id, fails=self._random.random() < self._fails)

    def _settle(self, user_id: UserId, *, fails: bool = False) -> None:
        directory, native = self._run.directory, self._run.fakes.native
        if directory.person(user_id) is None:
            return
        person = directory.truth(user_id)
        mine = [row for row in person.license_assignment_states if row.assigned_by_group == TEAM]
        inside = user_id in directory.direct_members(TEAM)
        wanted = {each.sku_id for each in directory.groups[TEAM].native_skus} if inside else set()
        if (fails or user_id in self.stuck) and (mine or wanted):
            error = "DependencyViolation" if user_id in self.stuck else "Other"
            self._fail(user_id, error, wanted)
        elif wanted:
            native._settle(user_id, TEAM)
        else:
            native.take(user_id, TEAM)

    def _fail(self, user_id: UserId, error: str, wanted: set[SkuId]) -> None:
        """What was Active stays, with an error; what was not there is in state Error."""
        directory, native = self._run.directory, self._run.fakes.native
        before = directory.truth(user_id)
        rows = {row.sku_id: row for row in before.license_assignment_states if row.assigned_by_group == TEAM}
        if not rows and wanted:
            native.give(user_id, TEAM, error)
            return
        failed = [
            replace(row, state=LicenseState.ACTIVE_WITH_ERROR if row.state.counts else LicenseState.ERROR, error=error)
            for row in rows.values()
        ]
        others = [row for row in before.license_assignment_states if row.assigned_by_group != TEAM]
        directory.change_user(replace(before, license_assignment_states=(*others, *failed)))


@dataclass
class MovingRun(DyingRun):
    """A world with one group and its members; call `native_group` or `direct_group` first."""

    seed: int = 1
    fails: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.engine = SlowEngine(self, self.seed, fails=self.fails)
        self.had: dict[UserId, On] = {}
        self.gaps: list[str] = []
        self.moments = 0
        self.most_messages = 60_000
        self.used_at_start: dict[SkuId, int] = {}
        self.most_used: dict[SkuId, int] = {}
        self.joined = 0
        self.before = lambda message: self.moment()

    def plans(self, user_id: UserId) -> On:
        """The plans that are on, by product, from any source."""
        found: On = {}
        for row in self.directory.truth(user_id).license_assignment_states:
            sku = self.directory.sku(row.sku_id)
            if row.state.counts and sku is not None:
                found[row.sku_id] = found.get(row.sku_id, frozenset()) | (sku.plan_ids - row.disabled_plans)
        return found

    def used(self) -> dict[SkuId, int]:
        """Users of each product."""
        people = [self.plans(each) for each in self.directory.user_ids() if self.directory.person(each) is not None]
        return {each.sku_id: sum(each.sku_id in on for on in people) for each in PRODUCTS}

    def witness(self) -> None:
        """From now on everybody keeps what they have."""
        self.had = {each: self.plans(each) for each in self.directory.user_ids()}
        self.used_at_start = self.used()
        self.most_used = dict(self.used_at_start)

    def moment(self) -> None:
        """One look at everybody, after the engine has done what is due."""
        self.engine.work()
        self.moments += 1
        for user_id, had in self.had.items():
            has = self.plans(user_id)
            for sku_id, on in had.items():
                if on - has.get(sku_id, frozenset()):
                    self.gaps.append(f"{self.fakes.clock.now():%H:%M:%S} {user_id} lacks plans of {sku_id}")
        if self.moments % 20 == 0:
            self.most_used = {sku: max(count, self.most_used.get(sku, 0)) for sku, count in self.used().items()}

    def native_group(self, count: int, *, nested: int = 0, broken: int = 0) -> list[UserId]:
        """The team, licensed natively: `broken` members have an error and nothing Active. Returns all members."""
        direct = [user(number) for number in range(1, count + 1)]
        inner = [user(number) for number in range(1001, 1001 + nested)]
        for each in (*direct, *inner):
            self.directory.add_user(each)
        self.directory.add_group(INNER, inner)
        group = DirectoryGroup(TEAM, "Team", security_enabled=True, native_skus=PRODUCTS)
        self.directory.add_group(TEAM, [*direct, INNER], group=group)
        for place, each in enumerate(direct):
            self.fakes.native.give(each, TEAM, "CountViolation" if place < broken else None, SMALL.sku_id)
        return [*direct, *inner]

    async def direct_group(self, count: int, *, nested: int = 0) -> list[UserId]:
        """The team, licensed by this app. Returns all members."""
        people = self.native_group(count, nested=nested)
        for each in people[:count]:
            self.fakes.native.take(each, TEAM)
        group = self.directory.groups[TEAM]
        self.directory.add_group(TEAM, group=replace(group, native_skus=()))
        operation = await accept(self.world, OperationRequest(Target(TEAM), MIA, LicenseChange(PRODUCTS)))
        await self.work_off()
        assert (await self.read(operation)).state is OperationState.COMPLETE
        return people

    async def begin(self, direction: Direction, **options: object) -> Move:
        self.witness()
        request = MoveRequest(TEAM, direction, MIA, **options)  # type: ignore[arg-type]
        return await moves.begin(self.world, request)

    async def move(self) -> Move:
        return await moves.find(self.world, TEAM)

    async def complete(self, *, rounds: int = 60, resume: bool = True) -> Move:
        """Work off; a person approves and resumes what waits, and the watchdog comes by."""
        for _ in range(rounds):
            await self.work_off()
            self.moment()
            move = await self.move()
            if move.phase.is_ended:
                return move
            if move.paused and resume:
                await self.act("resume")
            elif move.phase is MovePhase.APPROVE and not move.paused:
                await self.act("approve", move.checksum)
            else:
                self.later(minutes=11)
                await watch_moves(self.world)
        raise AssertionError(f"the move does not end: {move.state} {move.phase} {move.paused} {move.problem}")

    async def act(self, name: str, *more: str) -> Move | None:
        """What a person does; None if it is too late or too early for it."""
        for _ in range(2):
            try:
                found: Move = await getattr(moves, name)(self.world, TEAM, *more, NOA if name == "approve" else MIA)
                return found
            except KilledError:
                continue  # the person tries again
            except LicensingError:
                return None
        return None

    async def event(self, user_id: UserId, *, came: bool) -> None:
        """A change of membership, with its notification, and native licensing follows it too."""
        if came:
            self.directory.add_user(user_id) if self.directory.person(user_id) is None else None
            self.directory.join(TEAM, user_id)
            self.joined += 1
        else:
            self.directory.leave(TEAM, user_id)
            self.had.pop(user_id, None)
        self.engine.member(user_id)
        message = ProcessUsers((user_id,), "event-1", bulk=False)
        await self.world.queue.send([Outgoing(MEMBERS, message.encode())])

    def still_native(self) -> set[UserId]:
        """Users with a license from the team's native licensing."""
        return {
            each
            for each in self.directory.user_ids()
            if any(row.assigned_by_group == TEAM for row in self.directory.truth(each).license_assignment_states)
        }

    def direct_users(self) -> set[UserId]:
        skus = {each.sku_id for each in PRODUCTS}
        return {each for each in self.directory.user_ids() if skus <= self.directory.licenses(each).keys()}
