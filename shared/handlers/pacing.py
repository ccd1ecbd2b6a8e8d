"""The write budget as the workers share it: one stored state, charged just before a write, in one update for all
chunks of a process that ask at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.budget import BudgetLimits, BudgetState, Lane, Slot, charge, frozen_until, given_back, in_use
from shared.domain.errors import Conflict, Unavailable
from shared.ports import Policy, World

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
    )


class Pacer:
    """Charges the budget of writes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._limits = limits_of(world.policy)
        self._lock = asyncio.Lock()
        self._waiting: list[_Request] = []
        self._state: BudgetState | None = None
        self._etag: str | None = None
        self._tail = self._seen_at = 0.0

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

    async def give_back(self, slot: Slot, writes: int) -> None:
        """Of a charge, writes that were not sent after all: others may make them. Where that cannot be kept they are
        lost to everybody, which is no reason to stop the work that was charged with them."""
        if writes:
            async with self._lock:
                with suppress(Unavailable):
                    await self._update(lambda state, now: given_back(state, self._limits, writes, slot.start))

    async def look_ahead(self, *, urgent: bool, writes: int) -> Slot:
        """Where `writes` writes would stand now, before the reads they need are made: a place for later is reserved,
        a near start is not charged."""
        lane = Lane.INTERACTIVE if urgent else Lane.BULK
        found: list[Slot] = []

        def reserve(state: BudgetState, now: float) -> BudgetState:
            slot, reserved = charge(state, self._limits, lane, writes, now)
            found[:] = [slot]
            return state if slot.charged else reserved

        async with self._lock:
            self._state = None
            await self._update(reserve)
        return found[0]

    async def backlog(self) -> timedelta:
        """How far off the last place is that was given for later to what somebody waits for, as it was seconds ago;
        none where nothing waits."""
        now = self._world.clock.now().timestamp()
        if now - self._seen_at > SEEN_S:
            text, _ = await self._world.stores.budget.load()
            self._see(BudgetState.from_json(text) if text else BudgetState(), now)
        return timedelta(seconds=max(0.0, self._tail - now))

    def _see(self, state: BudgetState, now: float) -> None:
        self._tail, self._seen_at = state.tails.get(Lane.INTERACTIVE, 0.0), now

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
        except BaseException as fault:
            # Every waiting chunk of this process hangs on this one charge: each gets the fault, cancellation too.
            for request in requests:
                request.answer.set_exception(fault)
                request.answer.exception()
            raise
        for request, slot in zip(requests, slots, strict=True):
            request.answer.set_result(slot)

    async def _update(self, change: Callable[[BudgetState, float], BudgetState]) -> None:
        for _ in range(MAX_TRIES):
            state = self._state
            if state is None:
                text, self._etag = await self._world.stores.budget.load()
                state = BudgetState.from_json(text) if text else BudgetState()
            changed = change(state, self._world.clock.now().timestamp())
            if changed is state:
                self._state = state
                return
            try:
                self._etag = await self._world.stores.budget.save(changed.to_json(), self._etag)
            except Conflict:
                self._state = None
                continue
            except Unavailable:
                self._state = None
                raise
            self._state = changed
            now = self._world.clock.now().timestamp()
            self._see(changed, now)
            share = in_use(changed, self._limits, now)
            self._world.telemetry.measure("licensing.budget.in_use", share)
            return
        raise Unavailable(retry_after_s=5.0, what="the write budget: too many lost updates")
