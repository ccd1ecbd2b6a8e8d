"""A caller that is cancelled while it waits for a lease, or while its lease is stored, holds up nobody."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from shared.domain.budget import BudgetState, used
from shared.domain.width import STEPS, Width
from shared.handlers.reconcile.write_limiter import Pacer, limits_of
from tests.support.runs import Run


async def narrow() -> Run:
    """One license write is in flight at a time."""
    run = Run()
    await run.world.stores.budget.save(BudgetState(width=Width(step=STEPS.index(1))).to_json(), None)
    return run


async def stored(run: Run) -> BudgetState:
    text, _ = await run.world.stores.budget.load()
    return BudgetState.from_json(text)


async def turns(number: int = 50) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class Waiting:
    """A clock whose pauses end only when they are cancelled, or when the test says so."""

    def __init__(self, clock: Any) -> None:
        self._clock, self.go_on = clock, asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    async def sleep(self, seconds: float) -> None:
        await self.go_on.wait()


async def test_a_request_that_is_cancelled_while_it_waits_takes_no_lease_later() -> None:
    run = await narrow()
    clock: Any = Waiting(run.world.clock)
    pacer = Pacer(replace(run.world, clock=clock))
    first, _ = await pacer.take([1], urgent=False)
    assert first.lease is not None
    waiting = asyncio.create_task(pacer.take([1], urgent=False))
    await turns()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await pacer.report(first.lease, {})
    assert (await stored(run)).width.leases == ()
    third, _ = await asyncio.wait_for(pacer.take([1], urgent=False), 5)
    assert third.lease is not None


@pytest.mark.parametrize("is_late", [False, True], ids=["while it is stored", "after it was answered"])
async def test_a_lease_that_was_stored_for_a_cancelled_request_is_released(is_late: bool) -> None:
    run = await narrow()
    budget, cancelled = run.world.stores.budget, asyncio.Event()
    waiting: asyncio.Task[Any] | None = None

    class Budget:
        """The waiting caller is cancelled while its lease is being stored, and learns of it at once or later."""

        async def load(self, key: str = "writes") -> tuple[str, str | None]:
            return await budget.load(key)

        async def save(self, state: str, etag: str | None, key: str = "writes") -> str:
            saved = await budget.save(state, etag, key)
            if waiting is not None and not cancelled.is_set() and BudgetState.from_json(state).width.next_id == 3:
                cancelled.set()
                waiting.cancel()
                if not is_late:
                    await turns()
            return saved

    store: Any = Budget()
    clock: Any = Waiting(run.world.clock)
    pacer = Pacer(replace(run.world, clock=clock, stores=replace(run.world.stores, budget=store)))
    first, _ = await pacer.take([1], urgent=False)
    assert first.lease is not None
    waiting = asyncio.create_task(pacer.take([1], urgent=False))
    await turns()
    await pacer.report(first.lease, {})
    assert cancelled.is_set(), "the second lease was stored with the report of the first"
    with pytest.raises(asyncio.CancelledError):
        await waiting
    state = await stored(run)
    assert state.width.leases == ()
    assert used(state, limits_of(run.world.policy), run.world.clock.now().timestamp()) == 1


async def test_a_lease_is_handed_to_a_waiting_caller_without_another_read() -> None:
    """At a width of one, each read between two writes costs the tenant's whole rate."""
    run = await narrow()
    budget, loads = run.world.stores.budget, 0

    class Budget:
        async def load(self, key: str = "writes") -> tuple[str, str | None]:
            nonlocal loads
            loads += 1
            return await budget.load(key)

        async def save(self, state: str, etag: str | None, key: str = "writes") -> str:
            return await budget.save(state, etag, key)

    store: Any = Budget()
    clock: Any = Waiting(run.world.clock)
    pacer = Pacer(replace(run.world, clock=clock, stores=replace(run.world.stores, budget=store)))
    first, _ = await pacer.take([1], urgent=False)
    waiting = asyncio.create_task(pacer.take([1], urgent=False))
    await turns()
    assert first.lease is not None and loads > 0
    before = loads
    await pacer.report(first.lease, {})
    second, _ = await asyncio.wait_for(waiting, 5)
    assert (second.lease is not None, loads) == (True, before)


@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
async def test_a_cancelled_caller_that_stores_for_others_hands_its_cancellation_to_none_of_them(again: bool) -> None:
    run = Run()
    budget, saving, go_on = run.world.stores.budget, asyncio.Event(), asyncio.Event()

    class Budget:
        """The first save takes until the test says so."""

        async def load(self, key: str = "writes") -> tuple[str, str | None]:
            return await budget.load(key)

        async def save(self, state: str, etag: str | None, key: str = "writes") -> str:
            saving.set()
            await go_on.wait()
            return await budget.save(state, etag, key)

    store: Any = Budget()
    clock: Any = Waiting(run.world.clock)
    pacer = Pacer(replace(run.world, clock=clock, stores=replace(run.world.stores, budget=store)))
    async with pacer._lock:
        tasks = [asyncio.create_task(pacer.take([1], urgent=False)) for _ in range(3)]
        await turns()
    await asyncio.wait_for(saving.wait(), 5)
    tasks[0].cancel()
    await turns()
    if again:
        tasks[0].cancel()
        await turns()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(tasks[0], 5)
    answered = [grant for grant, _ in await asyncio.wait_for(asyncio.gather(*tasks[1:]), 5)]
    assert all(grant.lease is not None for grant in answered)
    state = await stored(run)
    assert state.width.leases == tuple(grant.lease for grant in answered)
    assert used(state, limits_of(run.world.policy), run.world.clock.now().timestamp()) == 2
