"""Random histories of a move: people join and leave, a person pauses, resumes and undoes, an administrator changes the
native licenses and changes them back, and the process dies anywhere. An oracle of its own checks what must hold."""

from __future__ import annotations

import random
from dataclasses import replace

from shared.domain.assignment import Engine
from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.move import Direction, Move, MovePhase
from shared.domain.move_report import MoveOutcome, MoveReportRow
from shared.handlers.operations.move_report import move_report
from tests.support.kills import KilledError, Killer
from tests.support.moving import INNER, PRODUCTS, MovingRun, On
from tests.support.runs import SMALL, TEAM, user

NEWCOMERS = 5000
"""From here on the numbers of people who join."""

ACTS = ("join", "join", "leave", "leave", "pause", "resume", "undo", "approve", "native", "wait")


class MoveHistory:
    """One seeded history. `acts`: how many things happen on the way. `kills`: how often a process dies."""

    def __init__(self, seed: int, direction: Direction, *, size: int = 200, acts: int = 14, kills: int = 4) -> None:
        self.random = random.Random(seed)
        self.direction = direction
        self.size, self.acts, self.kills = size, acts, kills
        self.run = MovingRun(seed=seed, fails=self.random.choice((0.0, 0.05, 0.2)))
        self.lines: list[str] = []
        self.wrong: list[str] = []
        self.start: dict[UserId, On] = {}
        self.died = 0
        self._newcomer = NEWCOMERS

    async def play(self) -> Move:
        """Play it, and note what is wrong."""
        run = self.run
        if self.direction is Direction.TO_DIRECT:
            people = run.native_group(self.size, nested=self.size // 20, broken=self.size // 50)
        else:
            people = await run.direct_group(self.size, nested=self.size // 20)
        run.fakes.native.lost_calls = self.random.choice((0, 0, 1, 2))
        await run.begin(self.direction)
        self.start = {each: run.plans(each) for each in people}
        self._arm()
        for _ in range(self.acts):
            await self._some_work()
            await self._something()
        self._restore_native()
        move = await run.complete()
        self.died = self._deaths()
        await self._judge(move)
        return move

    def _arm(self) -> None:
        self._killers = [Killer(0)]
        if self.kills:
            self._killers = [Killer(self.random.randint(1, 8 * self.size))]
        self.run.arm(self._killers[-1])

    def _deaths(self) -> int:
        return sum(bool(each.died_in) for each in self._killers)

    async def _some_work(self) -> None:
        left = self.random.choice((1, 2, 3, 5, 8, 15, 30))

        def enough() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        await self.run.work_off(enough)
        if self._killers[-1].died_in and len(self._killers) < self.kills:
            self._killers.append(Killer(self.random.randint(1, 5 * self.size)))
            self.run.arm(self._killers[-1])

    async def _something(self) -> None:
        """What happens next. A person whose request dies makes it again."""
        act = self.random.choice(ACTS)
        self.lines.append(act)
        for _ in range(2):
            try:
                await self._do(act)
                return
            except KilledError:
                continue

    async def _do(self, act: str) -> None:
        run = self.run
        if act == "join":
            self._newcomer += 1
            await run.event(user(self._newcomer), came=True)
        elif act == "leave":
            members = [UserId(each) for each in run.directory.direct_members(TEAM) if each != INNER]
            await run.event(self.random.choice(members), came=False)
        elif act == "approve":
            await run.act("approve", (await run.move()).checksum)
        elif act == "undo" and self.random.random() < 0.4:
            await run.act("undo")
        elif act in ("pause", "resume"):
            await run.act(act)
        elif act == "native":
            self._change_native()
        elif act == "wait":
            run.later(minutes=self.random.randint(1, 15))

    def _change_native(self) -> None:
        """An administrator turns an app on in the group's native licenses, or makes them what they were."""
        group = self.run.directory.groups[TEAM]
        if not group.native_skus:
            return
        if set(group.native_skus) != set(PRODUCTS):
            self._restore_native()
            return
        more = tuple(AssignedLicense(each.sku_id) for each in PRODUCTS)
        self.run.directory.groups[TEAM] = replace(group, native_skus=more)
        self.run.engine.everybody()

    def _restore_native(self) -> None:
        group = self.run.directory.groups[TEAM]
        if any(each.sku_id == SMALL.sku_id and not each.disabled_plans for each in group.native_skus):
            self.run.directory.groups[TEAM] = replace(group, native_skus=PRODUCTS)
            self.run.engine.everybody()

    async def _judge(self, move: Move) -> None:
        run = self.run
        self.wrong += run.gaps[:5]
        for sku_id, most in run.most_used.items():
            known = run.used_at_start[sku_id] + move.needed.licenses.get(sku_id, 0) + run.joined
            if most > known:
                self.wrong.append(f"{most} licenses of {sku_id} in use, at most {known} were to be expected")
        self._judge_end(move)
        _, rows = await move_report(run.world, TEAM)
        self._judge_report(rows)

    def _judge_end(self, move: Move) -> None:
        run = self.run
        native = {each.sku_id for each in run.directory.groups[TEAM].native_skus}
        ends_direct = (self.direction is Direction.TO_DIRECT) == (move.phase is MovePhase.DONE)
        # Of somebody who joined and left meanwhile no step knows; the license is stuck as it would be without a move.
        members = {UserId(each) for each in run.directory.direct_members(TEAM)}
        native_users = run.still_native() & (members | self.start.keys())
        if ends_direct and (native or native_users):
            self.wrong.append(f"ended as {move.phase}, and {len(native_users)} still have native licenses")
        if not ends_direct and native != {each.sku_id for each in PRODUCTS}:
            self.wrong.append(f"ended as {move.phase}, and the group has {native} natively")

    def _judge_report(self, rows: list[MoveReportRow]) -> None:
        """Each member's outcome again, from what the directory really had and has."""
        run = self.run
        inner = {UserId(each) for each in run.directory.direct_members(INNER)}
        now = {UserId(each) for each in run.directory.direct_members(TEAM) if each != INNER} | inner
        if {row.user_id for row in rows} != now | self.start.keys():
            self.wrong.append("the report has other members")
        moved = {each.sku_id for each in PRODUCTS}
        for row in rows:
            was = {sku: on for sku, on in self.start.get(row.user_id, {}).items() if sku in moved}
            has = {sku: on for sku, on in run.plans(row.user_id).items() if sku in moved}
            expected = _outcome(row.user_id in self.start, row.user_id in now, was, has)
            if row.outcome != expected:
                self.wrong.append(f"{row.user_id} is {row.outcome} in the report, and really {expected}")
            if row.user_id in now and row.outcome is MoveOutcome.LOST:
                self.wrong.append(f"{row.user_id} has lost {row.lost}")


def _outcome(was_there: bool, is_there: bool, was: On, has: On) -> str:
    if not was_there:
        return "joined"
    if not is_there:
        return "left"
    lost = any(on - has.get(sku, frozenset()) for sku, on in was.items())
    gained = any(on - was.get(sku, frozenset()) for sku, on in has.items())
    if lost:
        return "lost"
    return "gained" if gained else "kept" if was else "nothingActive"


async def engine_of(run: MovingRun) -> Engine:
    """What licenses the group now."""
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    return stored.assignment.engine
