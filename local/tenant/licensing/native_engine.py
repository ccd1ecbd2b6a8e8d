"""When Microsoft's group-based licensing processes whom: late, one member after the other, in no order of its own.

A changed group waits, is processed member by member while its state says so, and is complete. Only a change starts
this again: freed licenses do not. learn.microsoft.com/entra/identity/users/licensing-group-advanced
"""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from local.tenant import clock
from local.tenant.directory.directory import Directory
from local.tenant.directory.model import Group
from local.tenant.licensing.native import settle_user
from local.tenant.licensing.rules import Rules

_BREATH = 50  # steps between two turns for other work on the event loop
BEGIN, MEMBER, END = "begin", "member", "end"


@dataclass(frozen=True, slots=True)
class Pace:
    """Switches of the engine; settings.py explains each."""

    delay: tuple[float, float] = (0.0, 0.0)
    span: float = 0.0
    failure_share: float = 0.0
    shows_failure: bool = False


class _Step(NamedTuple):
    due: float
    number: int
    kind: str
    group_id: str
    user_id: str = ""


class NativeLicensing:
    """Processes changed groups and members; one task per tenant."""

    def __init__(self, directory: Directory, rules: Callable[[], Rules], pace: Callable[[], Pace]) -> None:
        self.directory = directory
        self._rules = rules
        self._pace = pace
        self._agenda: list[_Step] = []
        self._number = 0
        self._ahead = 0.0
        self._runs: Counter[str] = Counter()
        self._woken = asyncio.Event()
        self._random = random.Random(5)

    def group_changed(self, group: Group) -> None:
        """The group's licenses changed: all its members are due."""
        group.processing_state = "QueuedForProcessing"
        self._runs[group.id] += 1
        self._plan(self._delay(), BEGIN, group.id)

    def member_changed(self, group: Group, user_id: str) -> None:
        """A user joined or left the group."""
        if group.licenses or group.processing_state is not None:
            self._plan(self._delay(), MEMBER, group.id, user_id)

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            self._woken.clear()
            await self._work()
            wait = self._agenda[0].due - self._now() if self._agenda else None
            try:
                await asyncio.wait_for(self._woken.wait(), None if wait is None else max(0.0, wait))
            except TimeoutError:
                continue

    async def advance(self, seconds: float) -> None:
        """Let time pass for the engine alone, and do all that is due by then."""
        self._ahead += seconds
        await self._work()

    def as_json(self) -> dict[str, Any]:
        """Open work: members by group, and the states of groups."""
        waiting = Counter(step.group_id for step in self._agenda if step.kind == MEMBER)
        states = {one.id: one.processing_state for one in self.directory.groups.values() if one.processing_state}
        return {"steps": len(self._agenda), "members": dict(waiting), "states": states}

    def _now(self) -> float:
        return time.monotonic() + self._ahead

    def _delay(self) -> float:
        return self._now() + self._random.uniform(*self._pace().delay)

    def _plan(self, due: float, kind: str, group_id: str, user_id: str = "") -> None:
        self._number += 1
        heapq.heappush(self._agenda, _Step(due, self._number, kind, group_id, user_id))
        self._woken.set()

    async def _work(self) -> None:
        done = 0
        while self._agenda and self._agenda[0].due <= self._now():
            step = heapq.heappop(self._agenda)
            group = self.directory.groups.get(step.group_id)
            if group is not None:
                self._take(step, group)
            done += 1
            if done % _BREATH == 0:
                await asyncio.sleep(0)

    def _take(self, step: _Step, group: Group) -> None:
        if step.kind == BEGIN:
            self._begin(group, step.due)
        elif step.kind == MEMBER:
            self._settle(group, step.user_id)
        else:
            self._end(group)

    def _begin(self, group: Group, begun: float) -> None:
        group.processing_state = "ProcessingInProgress"
        holders = [user.id for user in self.directory.users.values() if any(row.group == group.id for row in user.rows)]
        due = list(dict.fromkeys([*group.member_ids, *holders]))
        self._random.shuffle(due)  # no order among members is documented
        span = self._pace().span
        for place, user_id in enumerate(due, 1):
            self._plan(begun + span * place / len(due), MEMBER, group.id, user_id)
        self._plan(begun + span, END, group.id)

    def _end(self, group: Group) -> None:
        self._runs[group.id] -= 1
        if self._runs[group.id] > 0:
            return  # changed again meanwhile
        del self._runs[group.id]
        users = self.directory.users
        failed = self._pace().shows_failure and any(
            row.group == group.id and row.state == "Error"
            for one in group.member_ids
            if one in users
            for row in users[one].rows
        )
        group.processing_state = ("ProcessingFailed" if failed else "ProcessingComplete") if group.licenses else None

    def _settle(self, group: Group, user_id: str) -> None:
        user = self.directory.users.get(user_id)
        if user is None or user.deleted is not None:
            return
        fails = self._random.random() < self._pace().failure_share
        settle_user(self.directory, user, group, self._rules(), clock.time(), fails=fails)
