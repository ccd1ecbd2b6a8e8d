"""Saving records, and what follows from it: a look at the next time, the end told on the results queue."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.errors import Conflict
from shared.domain.onboarding import OnboardingRecord, OnboardingState
from shared.handlers.onboarding.intake import send_take_up
from shared.handlers.onboarding.results import result_event
from shared.ports.world import World

WRITING_LOOK = timedelta(minutes=2)
"""When a record whose writer died is taken up again, where its message does not come back sooner."""


def waiting(
    record: OnboardingRecord, state: OnboardingState, now: datetime, at: datetime, note: str = ""
) -> OnboardingRecord:
    """The record put away until a time."""
    return replace(record, state=state, next_at=at, note=note, remedy="", updated_at=now)


def ended(
    record: OnboardingRecord, state: OnboardingState, now: datetime, note: str = "", remedy: str = ""
) -> OnboardingRecord:
    """The record at its end."""
    return replace(
        record, state=state, note=note, remedy=remedy, next_at=None, updated_at=now, completed_at=now, announced=False
    )


class Saver:
    """Saves the records of one message; `flush` sends what makes them be looked at again, those of one time together.

    The rows say when each is looked at, so that a message that is not sent is only late.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._again: dict[datetime, list[str]] = defaultdict(list)
        self._woken: list[str] = []

    async def save(self, record: OnboardingRecord) -> OnboardingRecord:
        """Store the record; one that ended is told. Raises Conflict when somebody else was quicker."""
        saved = await self._world.stores.onboarding.save(record)
        if saved.state.is_ended:
            return await self.announce(saved)
        if saved.next_at is not None:
            self._again[saved.next_at].append(saved.key)
        return saved

    async def claim(self, record: OnboardingRecord) -> OnboardingRecord | None:
        """Say that memberships are being written, before the first is: nobody cancels or ends the event meanwhile.
        None where somebody else was quicker; what they made of the record says when it is looked at."""
        now = self._world.clock.now()
        note = "Memberships are being written."
        mine = replace(waiting(record, OnboardingState.WORKING, now, now + WRITING_LOOK, note), working_since=None)
        try:
            return await self._world.stores.onboarding.save(mine)
        except Conflict:
            return None

    async def announce(self, record: OnboardingRecord) -> OnboardingRecord:
        """Tell the end, then keep that it was told: at least once, under the same id."""
        await self._world.queue.send([result_event(self._world, record)])
        return await self._world.stores.onboarding.save(replace(record, announced=True))

    def wake(self, key: str) -> None:
        """Have another record taken up now, whenever it was to be."""
        self._woken.append(key)

    async def flush(self) -> None:
        again, self._again = self._again, defaultdict(list)
        for at, keys in again.items():
            await send_take_up(self._world, list(dict.fromkeys(keys)), at, if_due=True)
        woken, self._woken = self._woken, []
        if woken:
            await send_take_up(self._world, list(dict.fromkeys(woken)))
