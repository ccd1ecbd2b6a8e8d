"""Room for writes, from one stored state that all workers share. Writes are reserved in it before they are sent, and
license writes also lease their place among those in flight. Bulk work reserves before its reads. Requests of a process
at the same time share one update."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.budget import (
    BudgetLimits,
    BudgetState,
    Burst,
    Charged,
    Lane,
    Slot,
    frozen_until,
    given_back,
    in_use,
    new_state,
)
from shared.domain.concurrency import update
from shared.domain.denials import Right, after_denial, waits_until
from shared.domain.errors import Conflict, Unavailable
from shared.domain.ids import UserId
from shared.domain.width import Lease, is_alone
from shared.domain.write_control import Answers, Grant, reported
from shared.domain.write_results import Accepted, Contended, Throttled, Unanswered, WriteResult
from shared.domain.writing import NO_SWITCH, Switch, Writing, WritingSetting, permitted, writing_of
from shared.handlers.reconcile.needs import Needs
from shared.handlers.reconcile.write_requests import Request
from shared.ports.world import Policy

log = logging.getLogger(__name__)

MAX_TRIES = 30
"""ETag races of one update before the budget counts as away; a race is lost only to a process that won it."""

SEEN_S = 5.0
"""How long what was seen of the budget is taken to be so, where nothing is charged."""


LEASE_WAIT = timedelta(seconds=20)
"""How long a call waits for a free lease before its users come back later."""

POLL_S = (0.2, 1.0)
"""How often the state is read again for a lease that another process released: least and most, else a part of the time
that a write takes."""


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
    found = writing_of(BudgetState.from_json(text).switch if text else NO_SWITCH, world.policy.writing)
    return permitted(found, world.graph_roles())


class Pacer:
    """Charges the budget of writes."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        self._lock = asyncio.Lock()
        self._waiting: list[Request] = []
        self._state: BudgetState | None = None
        self._etag: str | None = None
        self._tail = self._seen_at = 0.0
        self._writing = Writing()
        self._denied: frozenset[Right] = frozenset()
        self._poll_s, self._polled_at = POLL_S[0], 0.0
        self.is_narrow = False
        """Whether the tenant takes fewer writes at once than the rate needs: then leases decide, and not the quota."""

    @property
    def _limits(self) -> BudgetLimits:
        """As the settings say; without a permission to write, nothing is charged."""
        limits = limits_of(self._world.policy)
        may_write = permitted(Writing(), self._world.graph_roles()).is_on
        return limits if may_write else replace(limits, writing=WritingSetting.OFF)

    async def begin(self) -> None:
        """Store the state if there is none. The window of earlier, unknown writes then passes before work comes."""
        text, etag = await self._world.stores.budget.load()
        if not text:
            now = self._world.clock.now().timestamp()
            # A lost race means that another process has stored it.
            with suppress(Conflict):
                await self._world.stores.budget.save(new_state(self._limits, now).to_json(), etag)

    async def writing(self) -> Writing:
        """Whether the app writes to Graph. A yes is believed for seconds, because each charge checks it again."""
        now = self._world.clock.now().timestamp()
        if now - self._seen_at > SEEN_S or not self._writing.is_on:
            await self._read_again(now)
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

    async def charge(self, *, urgent: bool, writes: int, burst: Burst = Burst.NEVER) -> Slot:
        """A start for `writes` writes: charged when it is near, otherwise a place to come back to."""
        request = self._request(urgent=urgent, writes=writes, burst=burst)
        grant, _ = await self._answered(request)
        return grant.slot

    async def draw(self, charged: Charged, *, urgent: bool, writes: int) -> tuple[Slot, Charged | None]:
        """A start for `writes` writes out of an earlier reservation, or a new one, and the rest of that reservation."""
        grant, left = await self._answered(self._request(urgent=urgent, writes=writes, charged=charged))
        return grant.slot, left

    async def take(
        self, costs: Sequence[int], *, urgent: bool, charged: Charged | None = None, burst: Burst = Burst.NEVER
    ) -> tuple[Grant, Charged | None]:
        """Room for the license writes of the first users, and the rest of an earlier reservation. `costs`: writes of
        each user. The lease must be released by `report`."""
        request = self._request(urgent=urgent, writes=sum(costs), charged=charged, burst=burst)
        request.costs, request.until = costs, self._world.clock.now() + LEASE_WAIT
        return await self._answered(request)

    def _request(
        self, *, urgent: bool, writes: int, charged: Charged | None = None, burst: Burst = Burst.NEVER
    ) -> Request:
        lane = Lane.INTERACTIVE if urgent else Lane.BULK
        future = asyncio.get_running_loop().create_future()
        return Request(lane, writes, future, charged=charged, burst=burst)

    async def _answered(self, request: Request) -> tuple[Grant, Charged | None]:
        """The answer to a request, which may be given with the requests and reports of others."""
        self._waiting.append(request)
        try:
            while not request.answer.done():
                async with self._lock:
                    if not request.answer.done() and self._is_due(request):
                        await self._answer_all()
                if not request.answer.done():
                    pause = asyncio.ensure_future(self._world.clock.sleep(self._poll_s))
                    waits: set[asyncio.Future[Any]] = {pause, request.answer}
                    try:
                        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        pause.cancel()
            return request.answer.result()
        except asyncio.CancelledError:
            answer = request.answer
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                async with self._lock:
                    await self._take_back([(request, answer.result()[0])])
            raise
        finally:
            # A caller that was cancelled must get no lease, because no caller would release it.
            request.answer.cancel()

    def _is_due(self, request: Request) -> bool:
        """Whether the request is new, or it is time to see what other processes did."""
        now = self._world.clock.now().timestamp()
        is_new, request.is_new = request.is_new, False
        if now - self._polled_at >= self._poll_s or (request.until and now >= request.until.timestamp()):
            self._state, self._polled_at = None, now
            return True
        if is_new and request.charged is not None:
            # Another process may have met a 429 since these writes were reserved.
            self._state = None
        return is_new

    async def report(self, lease: Lease, answers: Mapping[UserId, WriteResult]) -> frozenset[UserId]:
        """Release a lease, and note how Graph answered. Returns the user if only one is rejected as concurrent."""
        contended = [user_id for user_id, each in answers.items() if isinstance(each, Contended)]
        accepted = sum(isinstance(each, Accepted) for each in answers.values())
        noted = Answers(accepted, contended, _retry_after_s(answers.values()))
        if noted.retry_after_s is not None:
            log.warning("Graph throttles writes for %.0f s", noted.retry_after_s)
        alone: list[UserId] = []

        def change(state: BudgetState, now: float) -> BudgetState:
            after = reported(state, self._limits, lease, noted, now)
            alone[:] = [user_id for user_id in contended if is_alone(after.width, user_id, now)]
            if after.width.step < state.width.step:
                log.warning("narrowed license writes width=%d", after.width.limit)
            return after

        # Where it cannot be kept, the lease ends in a while; the answers must be recorded in any case.
        with suppress(Unavailable):
            async with self._lock:
                await self._answer_all(change)
        return frozenset(alone)

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
            await self._read_again(now)
        return timedelta(seconds=max(0.0, self._tail - now))

    async def _read_again(self, now: float) -> None:
        text, _ = await self._world.stores.budget.load()
        self._see(BudgetState.from_json(text) if text else BudgetState(), now)

    def _see(self, state: BudgetState, now: float) -> None:
        self._tail, self._seen_at = state.tails.get(Lane.INTERACTIVE, 0.0), now
        found = writing_of(state.switch, self._world.policy.writing)
        self._writing = permitted(found, self._world.graph_roles())
        self._denied = frozenset(state.denied)
        self._poll_s = min(max(POLL_S[0], state.width.hold_s / 30), POLL_S[1])
        self.is_narrow = state.width.is_narrow(self._limits.pace)

    async def heed_throttling(self, answers: Iterable[object]) -> None:
        """If Graph answered a write with 429, no worker starts a write before the longest Retry-After of the answers.

        A 429 of the reads' quota says nothing about writes.
        """
        retry_after_s = _retry_after_s(answers)
        if retry_after_s is not None:
            await self.freeze(retry_after_s)

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

    async def _answer_all(self, first: Callable[[BudgetState, float], BudgetState] | None = None) -> None:
        """Answer the requests that can be answered now, after a change. The others wait on.

        The caller that does this may be cancelled. Others wait for it too, so it stores and answers first.
        """
        work = asyncio.ensure_future(self._answer_now(first))
        cancelled: asyncio.CancelledError | None = None
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError as fault:
                cancelled = fault
            except Exception:  # noqa: BLE001  # raised by `result` below
                break
        if cancelled is not None:
            raise cancelled
        work.result()

    async def _answer_now(self, first: Callable[[BudgetState, float], BudgetState] | None) -> None:
        requests = [each for each in self._waiting if not each.answer.done()]
        self._waiting = list(requests)
        found: list[tuple[Grant, Charged | None] | None] = []

        def change(state: BudgetState, now: float) -> BudgetState:
            found.clear()
            state = first(state, now) if first else state
            for request in requests:
                answer, state = request.decided(state, self._limits, now)
                found.append(answer)
            return state

        try:
            await self._update(change)
        except Exception as fault:  # every chunk that waits hangs on this charge: each gets it
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(fault)
                    request.answer.exception()
            self._waiting = [each for each in self._waiting if not each.answer.done()]
            raise
        unclaimed: list[tuple[Request, Grant]] = []
        for request, answer in zip(requests, found, strict=True):
            if answer is None:
                continue
            if not request.answer.done():
                request.answer.set_result(answer)
            else:
                unclaimed.append((request, answer[0]))
        self._waiting = [each for each in self._waiting if not each.answer.done()]
        if unclaimed:
            await self._take_back(unclaimed)

    async def _take_back(self, unclaimed: Sequence[tuple[Request, Grant]]) -> None:
        """Release what was granted to requests that were cancelled while it was stored."""

        def change(state: BudgetState, now: float) -> BudgetState:
            for request, grant in unclaimed:
                writes = request.writes
                if grant.lease is not None and request.costs is not None:
                    writes = sum(request.costs[: grant.users])
                    state = reported(state, self._limits, grant.lease, Answers(0), now)
                if grant.slot.charged:
                    state = given_back(state, self._limits, writes, grant.slot)
            return state

        with suppress(Unavailable):
            await self._update(change)

    async def _update(self, change: Callable[[BudgetState, float], BudgetState]) -> None:
        def changed(state: BudgetState) -> BudgetState | None:
            after = change(state, self._world.clock.now().timestamp())
            if after is state:
                # Nothing is stored, so the state may have changed: the next reservation reads it again.
                self._state = state if self._waiting else None
                return None
            return after

        lost = Unavailable(retry_after_s=5.0, what="the write budget: too many lost updates")
        await update(self._read, changed, self._save, tries=MAX_TRIES, lost=lost)

    async def _read(self) -> BudgetState:
        """The state as this process saved it last, or as it is stored where that is not known."""
        if self._state is None:
            text, self._etag = await self._world.stores.budget.load()
            now = self._world.clock.now().timestamp()
            self._state = BudgetState.from_json(text) if text else new_state(self._limits, now)
        return self._state

    async def _save(self, changed: BudgetState) -> None:
        # Not known until it is stored: a lost race and a store that is away leave nothing to go on from.
        self._state = None
        self._etag = await self._world.stores.budget.save(changed.to_json(), self._etag)
        self._state = changed
        now = self._world.clock.now().timestamp()
        self._see(changed, now)
        self._world.telemetry.measure("licensing.budget.in_use", in_use(changed, self._limits, now))


def _retry_after_s(answers: Iterable[object]) -> float | None:
    """The longest Retry-After of answers that throttled writes. A 429 of the reads' quota says nothing about writes."""
    throttled = [each.throttled if isinstance(each, Unanswered) else each for each in answers]
    waits = [each.retry_after_s for each in throttled if isinstance(each, Throttled) and "Read/" not in each.scope]
    return max(waits, default=None)
