"""Writes charged before the reads that tell how many there are: nothing is read for nothing, and nothing is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from shared.domain.budget import KEPT_S, BudgetState, Burst, Charged, used
from shared.domain.directory import AssignedLicense
from shared.domain.errors import Unavailable
from shared.domain.ids import UserId
from shared.domain.messages import MEMBERS_BULK, ProcessUsers, decode_process_users
from shared.domain.write_results import Accepted, Throttled, Unsent
from shared.handlers.operations.members_queue import Members
from shared.handlers.operations.watchdog import watchdog
from shared.handlers.reconcile.prepaid import Prepaid
from shared.handlers.reconcile.write_limiter import Pacer, limits_of
from tests.support.hires import Hires, event
from tests.support.runs import SMALL, TEAM, Run, user

CHUNK = 20


async def managed() -> Run:
    run = Run()
    await run.change([SMALL])
    return run


async def writes_used(run: Run) -> int:
    text, _ = await run.world.stores.budget.load()
    state = BudgetState.from_json(text) if text else BudgetState()
    return used(state, limits_of(run.world.policy), run.world.clock.now().timestamp())


def chunk(users: Sequence[UserId], writes: int) -> ProcessUsers:
    return ProcessUsers(tuple(users), "event-1", bulk=True, writes=writes)


def joined(run: Run, first: int, number: int) -> list[UserId]:
    return [run.directory.add_user(user(each), groups=[TEAM]) for each in range(first, first + number)]


async def test_of_chunks_that_ask_at_the_same_moment_those_are_read_for_which_there_is_room_and_none_twice() -> None:
    run = await managed()
    chunks = [chunk(joined(run, 1 + number * CHUNK, CHUNK), CHUNK) for number in range(12)]
    run.directory.reads.clear()
    workers = [Members(run.world) for _ in range(4)]
    await asyncio.gather(*(workers[n % 4].process(each.encode()) for n, each in enumerate(chunks)))
    at_once = len(run.directory.reads)
    assert 0 < at_once < len(chunks)
    assert len(run.fakes.queue.messages) == len(chunks) - at_once
    await run.work_off()
    assert len(run.directory.reads) == len(chunks)
    assert all(run.licenses(person) == {"SMALL"} for each in chunks for person in each.user_ids)


async def test_a_chunk_without_room_is_not_read_and_comes_back_as_it_was() -> None:
    run = await managed()
    await Pacer(run.world).charge(urgent=False, writes=1800)
    message = chunk(joined(run, 1, 3), writes=3)
    run.directory.reads.clear()
    await run.workers[0].process(message.encode())
    (back,) = run.fakes.queue.messages
    again = decode_process_users(back.body)
    assert run.directory.reads == []
    assert (again.user_ids, again.writes, again.send) == (message.user_ids, 3, 1)
    assert back.at is not None
    assert back.at > run.world.clock.now() + timedelta(seconds=5)


@pytest.mark.parametrize("expected", [0, 3])
async def test_a_chunk_that_has_nothing_to_write_leaves_the_quota_as_it_was(expected: int) -> None:
    run = await managed()
    people = joined(run, 1, 3)
    await run.reconcile(*people)
    before = await writes_used(run)
    await run.workers[0].process(chunk(people, expected).encode())
    assert await writes_used(run) == before == 3


async def test_what_a_chunk_writes_is_charged_once_however_many_planning_expected() -> None:
    run = await managed()
    people = [*joined(run, 1, 3), run.directory.add_user(user(9), groups=[TEAM], location=None)]
    for start, writes in ((0, 1), (1, 20), (2, 0), (3, 1)):
        await run.workers[0].process(chunk(people[start : start + 1], writes).encode())
    assert [run.licenses(person) for person in people] == [{"SMALL"}] * 4
    assert await writes_used(run) == 5, "four licenses and a usage location"


async def test_bulk_looks_of_which_nobody_knows_whether_they_write_get_no_places_that_hold_up_others() -> None:
    run = await managed()
    people = joined(run, 1, 600)
    await run.change([SMALL])
    run.later(minutes=20)
    began = run.world.clock.now()
    queue_states = [ProcessUsers(tuple(people[at : at + CHUNK]), "delta", bulk=True) for at in range(0, 600, CHUNK)]
    workers = [Members(run.world) for _ in range(4)]
    await asyncio.gather(*(workers[n % 4].process(each.encode()) for n, each in enumerate(queue_states)))
    assert (run.fakes.queue.messages, run.world.clock.now()) == ([], began)


async def test_chunks_of_an_operation_say_how_many_writes_planning_expects() -> None:
    run = Run()
    people = run.people(150)
    ready = [AssignedLicense(SMALL.sku_id)]
    for number in range(151, 161):
        run.directory.add_user(user(number), groups=[TEAM], location=None)
    for number in range(161, 166):
        run.directory.add_user(user(number), groups=[TEAM], has=ready)
    await run.ask([SMALL])
    await run.work_off(lambda: any(message.queue == MEMBERS_BULK for message in run.fakes.queue.messages))
    chunks = [decode_process_users(m.body) for m in run.fakes.queue.messages if m.queue == MEMBERS_BULK]
    assert sum(each.writes for each in chunks) == len(people) + 2 * 10
    await run.work_off()
    assert await writes_used(run) == len(run.writer.log) == len(people) + 2 * 10


async def test_who_goes_back_says_how_many_writes_are_left() -> None:
    run = await managed()
    people = joined(run, 1, 4)
    for person in people[:2]:
        run.writer.throttle(person)
    await run.workers[0].process(chunk(people, 4).encode())
    (back,) = [decode_process_users(message.body) for message in run.fakes.queue.messages]
    assert (back.user_ids, back.writes) == (tuple(people[:2]), 2)


@pytest.mark.parametrize("between", ["slow reads", "a 429 that another process met", "nothing"])
async def test_a_charge_in_advance_is_used_unless_it_is_too_old_or_lies_in_a_freeze(between: str) -> None:
    run = await managed()
    pacer = Pacer(run.world)
    slot = await pacer.charge(urgent=False, writes=CHUNK)
    prepaid = Prepaid(pacer, Charged(slot.start, CHUNK))
    if between == "slow reads":
        run.later(seconds=KEPT_S + 1)
    if between == "a 429 that another process met":
        await Pacer(run.world).freeze(60)
    got = await prepaid.start(urgent=False, writes=CHUNK)
    now = run.world.clock.now().timestamp()
    if between == "nothing":
        assert got == slot
    elif between == "slow reads":
        assert (got.start, got.charged) == (now, True)
    else:
        assert not got.charged
        assert got.start >= now + 60
    await prepaid.give_back()
    assert await writes_used(run) == CHUNK * got.charged


async def test_a_chunk_that_reads_while_another_meets_a_429_does_not_write_before_its_end() -> None:
    run = await managed()
    (person,) = joined(run, 1, 1)
    read = run.directory.users

    async def meanwhile(*args: Any, **options: Any) -> Any:
        await Pacer(run.world).freeze(60)
        return await read(*args, **options)

    directory: Any = SimpleNamespace(
        users=meanwhile, subscribed_skus=run.directory.subscribed_skus, organization=run.directory.organization
    )
    frozen_until = run.world.clock.now() + timedelta(seconds=60)
    await Members(replace(run.world, directory=directory)).process(chunk([person], 1).encode())
    assert run.licenses(person) == set()
    await run.work_off()
    assert run.licenses(person) == {"SMALL"}
    assert run.world.clock.now() >= frozen_until


async def test_who_was_written_and_is_only_checked_again_is_not_charged_again() -> None:
    run = await managed()
    (person,) = joined(run, 1, 1)
    said = replace(chunk([person], 1), expects={person: {TEAM: False}}, changed_at=run.world.clock.now())
    await run.workers[0].process(said.encode())
    (back,) = [decode_process_users(message.body) for message in run.fakes.queue.messages]
    assert run.licenses(person) == {"SMALL"}
    assert back.writes == 0
    await run.work_off()
    assert await writes_used(run) == 0, "ten minutes later, and charged for nothing meanwhile"


async def test_of_a_charge_in_advance_nothing_is_used_where_the_rest_has_no_room() -> None:
    run = await managed()
    pacer = Pacer(run.world)
    slot = await pacer.charge(urgent=False, writes=2)
    prepaid = Prepaid(pacer, Charged(slot.start, 2))
    await pacer.charge(urgent=True, writes=900)
    rejected = await prepaid.start(urgent=False, writes=5)
    assert not rejected.charged
    await prepaid.give_back()
    await prepaid.give_back()
    assert await writes_used(run) == 900


async def test_what_joiners_were_charged_in_advance_goes_back_where_their_accounts_cannot_be_read() -> None:
    run = await Hires.of_two_teams()
    people = [run.directory.add_user(user(each)) for each in range(1, 11)]
    await run.send(*(event("joiner", f"j{each}", each, groups=[TEAM]) for each in people))
    run.directory.go_away(5.0)
    began = run.world.clock.now()
    await run.work_off(lambda: run.world.clock.now() - began > timedelta(seconds=60))
    assert not any(run.member(each) for each in people)
    assert await writes_used(run) == 0
    run.directory.come_back()
    await run.work_off()
    assert [run.licenses(each) for each in people] == [{"SMALL"}] * 10


async def test_work_that_loses_the_budget_in_the_middle_writes_nothing_and_comes_back() -> None:
    run = await managed()
    (person,) = joined(run, 1, 1)
    budget = run.world.stores.budget
    loads = 0

    class Budget:
        """Away from the second reading on, until it is told to be back."""

        async def load(self) -> tuple[str, str | None]:
            nonlocal loads
            loads += 1
            if loads == 2:
                raise Unavailable(1.0, "tables")
            return await budget.load()

        async def save(self, state: str, etag: str | None) -> str:
            return await budget.save(state, etag)

    away: Any = Budget()
    worker = Members(replace(run.world, stores=replace(run.world.stores, budget=away)))
    with pytest.raises(Unavailable):
        await worker.process(chunk([person], 1).encode())
    assert (loads >= 2, run.licenses(person), await writes_used(run)) == (True, set(), 0)
    await worker.process(chunk([person], 1).encode())
    assert (run.licenses(person), await writes_used(run)) == ({"SMALL"}, 1)


async def test_a_worker_without_a_connection_stops_nobody_elses_writes() -> None:
    run = await managed()
    pacer = Pacer(run.world)
    await pacer.heed_throttling([Unsent(60.0), Accepted()])
    unhindered = (await pacer.charge(urgent=True, writes=1)).start
    await pacer.heed_throttling([Throttled(60.0), Unsent(300.0)])
    frozen = (await pacer.charge(urgent=True, writes=1)).start
    now = run.world.clock.now().timestamp()
    assert (unhindered <= now, frozen >= now + 60, frozen < now + 300) == (True, True, True)


async def test_the_first_watchdog_stores_the_budget_and_so_the_window_is_known_to_be_empty_when_work_comes() -> None:
    run = Run()
    await watchdog(run.world)
    text, etag = await run.world.stores.budget.load()
    run.later(seconds=run.world.policy.write_window_s + 1)
    await watchdog(run.world)
    assert await run.world.stores.budget.load() == (text, etag), "stored once"
    pacer = Pacer(run.world)
    slots = [await pacer.charge(urgent=False, writes=20, burst=Burst.NOW) for _ in range(50)]
    assert all(slot.charged for slot in slots)
    assert any(slot.is_burst for slot in slots)


async def test_without_a_stored_budget_the_window_counts_as_used() -> None:
    pacer = Pacer(Run().world)
    slots = [await pacer.charge(urgent=False, writes=20, burst=Burst.NOW) for _ in range(50)]
    assert not any(slot.is_burst for slot in slots)
