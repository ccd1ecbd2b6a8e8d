"""The write budget that all workers share: one stored state, in which writes are reserved before they are sent. Bulk
work reserves them before its reads. Chunks of a process that reserve at the same time share one update."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.budget import (
    BudgetLimits,
    BudgetState,
    Charged,
    Lane,
    Slot,
    charge,
    drawn,
    frozen_until,
    given_back,
    in_use,
)
from shared.domain.concurrency import update
from shared.domain.denials import Right, after_denial, waits_until
from shared.domain.errors import Unavailable
from shared.domain.write_results import Throttled, Unanswered
from shared.domain.writing import NO_SWITCH, Switch, Writing, writing_of
from shared.handlers.reconcile.needs import Needs
from shared.ports.world import Policy

log = logging.getLogger(__name__)

MAX_TRIES = 30
"""ETag races of one update before the budget counts as away; a race is lost only to a process that won it."""

SEEN_S = 5.0
"""How long what was seen of the budget is taken to be so, where nothing is charged."""


@dataclass(slots=True)
class _Request:
    lane: Lane
    writes: int
    answer: asyncio.Future[Slot]


def limits_of(policy: Policy) -> BudgetLimits:
    """The settings as the budget takes them."""
    return BudgetLimits(
        rate_per_s=policy.write_rate_per_s,
        burst=policy.write_burst,
        window_limit=policy.write_window_limit,
        window_s=policy.write_window_s,
        interactive_share=policy.interactive_share,
        writing=policy.writing,
    )


async def writing(world: Needs) -> Writing:
    """Whether the app writes to Graph, as it is stored now."""
    text, _ = await world.stores.budget.load()
    return writing_of(BudgetState.from_json(text).switch if text else NO_SWITCH, world.policy.writing)


class Pacer:
    """Charges the budget of writes."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        self._limits = limits_of(world.policy)
        self._lock = asyncio.Lock()
        self._waiting: list[_Request] = []
        self._state: BudgetState | None = None
        self._etag: str | None = None
        self._tail = self._seen_at = 0.0
        self._writing = Writing()
        self._denied: frozenset[Right] = frozenset()

    async def writing(self) -> Writing:
        """Whether the app writes to Graph. A yes is believed for seconds, because each charge checks it again."""
        now = self._world.clock.now().timestamp()
        if now - self._seen_at > SEEN_S or not self._writing.is_on:
            await self._look(now)
        return self._writing

    async def turn(self, change: Callable[[Switch, float], Switch]) -> Writing:
        """Turn writing on or off. A charge by another worker at the same time comes before it, or not at all."""

        def changed(state: BudgetState, now: float) -> BudgetState:
            switch = change(state.switch, now)
            return state if switch == state.switch else replace(state, switch=switch)

        async with self._lock:
            self._state = None
            await self._update(changed)
        return await writing(self._world)

    async def charge(self, *, urgent: bool, writes: int) -> Slot:
        """A start for `writes` writes: charged when it is near, otherwise a place to come back to."""
        request = _Request(
            Lane.INTERACTIVE if urgent else Lane.BULK, writes, asyncio.get_running_loop().create_future()
        )
        self._waiting.append(request)
        async with self._lock:
            if not request.answer.done():
                await self._answer_all()
        return await request.answer

    async def draw(self, charged: Charged, *, urgent: bool, writes: int) -> tuple[Slot, Charged | None]:
        """A start for `writes` writes out of an earlier reservation, or a new one, and the rest of that reservation.
        The state is read again, because another process may have received a 429 meanwhile."""
        lane = Lane.INTERACTIVE if urgent else Lane.BULK
        found: list[tuple[Slot, Charged | None]] = []

        def change(state: BudgetState, now: float) -> BudgetState:
            slot, left, changed = drawn(state, self._limits, lane, charged, writes, now)
            found[:] = [(slot, left)]
            return changed

        async with self._lock:
            self._state = None
            await self._update(change)
        return found[0]

    async def give_back(self, slot: Slot, writes: int) -> None:
        """Of a charge, writes that were not sent after all: others may make them. Where that cannot be kept they are
        lost to everybody, which is no reason to stop the work that was charged with them."""
        if writes:
            async with self._lock:
                with suppress(Unavailable):
                    await self._update(lambda state, now: given_back(state, self._limits, writes, slot))

    async def backlog(self) -> timedelta:
        """The time until the last reservation of work that a person waits for, as it was seconds ago; zero if nothing
        waits."""
        now = self._world.clock.now().timestamp()
        if now - self._seen_at > SEEN_S:
            await self._look(now)
        return timedelta(seconds=max(0.0, self._tail - now))

    async def _look(self, now: float) -> None:
        text, _ = await self._world.stores.budget.load()
        self._see(BudgetState.from_json(text) if text else BudgetState(), now)

    def _see(self, state: BudgetState, now: float) -> None:
        self._tail, self._seen_at = state.tails.get(Lane.INTERACTIVE, 0.0), now
        self._writing = writing_of(state.switch, self._limits.writing)
        self._denied = frozenset(state.denied)

    async def heed_throttling(self, answers: Iterable[object]) -> None:
        """If Graph answered a write with 429, no worker starts a write before the longest Retry-After of the answers.

        A 429 of the reads' quota says nothing about writes.
        """
        throttled = [each.throttled if isinstance(each, Unanswered) else each for each in answers]
        waits = [each.retry_after_s for each in throttled if isinstance(each, Throttled) and "Read/" not in each.scope]
        if waits:
            await self.freeze(max(waits))

    async def denied(self, right: Right) -> datetime | None:
        """Note that the app lacks a permission, for all workers. Returns until when work waits for it."""
        found: list[datetime | None] = []
        known = self._denied

        def change(state: BudgetState, now: float) -> BudgetState:
            denied = after_denial(state.denied, right, now)
            found[:] = [waits_until(denied, right)]
            return state if denied is state.denied else replace(state, denied=denied)

        async with self._lock:
            await self._update(change)
        if right not in known:
            log.warning("permission missing right=%s waits_until=%s", right, found[0])
        return found[0]

    async def allowed(self, right: Right) -> None:
        """A write was accepted, so the app has the permission. It is noted only where it was seen to be missing."""
        if right not in self._denied:
            return

        def change(state: BudgetState, now: float) -> BudgetState:
            left = {other: since for other, since in state.denied.items() if other is not right}
            return state if right not in state.denied else replace(state, denied=left)

        async with self._lock:
            await self._update(change)

    async def freeze(self, retry_after_s: float) -> None:
        """No write starts before Graph's Retry-After has passed."""
        log.warning("Graph throttles writes for %.0f s", retry_after_s)
        async with self._lock:
            await self._update(lambda state, now: frozen_until(state, retry_after_s, now))

    async def _answer_all(self) -> None:
        requests, self._waiting = self._waiting, []
        slots: list[Slot] = []

        def charge_all(state: BudgetState, now: float) -> BudgetState:
            slots.clear()
            for request in requests:
                slot, state = charge(state, self._limits, request.lane, request.writes, now)
                slots.append(slot)
            return state

        try:
            await self._update(charge_all)
        except BaseException as fault:  # every chunk that waits hangs on this charge: each gets it, cancellation too
            for request in requests:
                request.answer.set_exception(fault)
                request.answer.exception()
            raise
        for request, slot in zip(requests, slots, strict=True):
            request.answer.set_result(slot)

    async def _update(self, change: Callable[[BudgetState, float], BudgetState]) -> None:
        def changed(state: BudgetState) -> BudgetState | None:
            after = change(state, self._world.clock.now().timestamp())
            if after is state:
                # Nothing is stored, so the state may have changed: the next reservation reads it again.
                self._state = None
                return None
            return after

        lost = Unavailable(retry_after_s=5.0, what="the write budget: too many lost updates")
        await update(self._read, changed, self._save, tries=MAX_TRIES, lost=lost)

    async def _read(self) -> BudgetState:
        """The state as this process saved it last, or as it is stored where that is not known."""
        if self._state is None:
            text, self._etag = await self._world.stores.budget.load()
            self._state = BudgetState.from_json(text) if text else BudgetState()
        return self._state

    async def _save(self, changed: BudgetState) -> None:
        # Not known until it is stored: a lost race and a store that is away leave nothing to go on from.
        self._state = None
        self._etag = await self._world.stores.budget.save(changed.to_json(), self._etag)
        self._state = changed
        now = self._world.clock.now().timestamp()
        self._see(changed, now)
        self._world.telemetry.measure("licensing.budget.in_use", in_use(changed, self._limits, now))


class Prepaid:
    """Writes reserved before the reads that show how many are needed, so that nothing is read if the quota has no room.
    The unused rest is released."""

    def __init__(self, pacer: Pacer, charged: Charged | None = None) -> None:
        self._pacer = pacer
        self._left = charged

    async def start(self, *, urgent: bool, writes: int) -> Slot:
        """A start for `writes` writes: the one they were charged with, or one that they are charged with now."""
        if self._left is None:
            return await self._pacer.charge(urgent=urgent, writes=writes)
        slot, self._left = await self._pacer.draw(self._left, urgent=urgent, writes=writes)
        return slot

    async def give_back(self) -> None:
        """Release the unused reservation for other work."""
        left, self._left = self._left, None
        if left is not None:
            await self._pacer.give_back(left.slot, left.writes)
