"""Writes charged before the reads that tell how many there are: nothing is read for nothing, and nothing is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from shared.domain.budget import BudgetState, used
from shared.domain.messages import MEMBERS_BULK, ProcessUsers, decode_process_users
from shared.domain.model import AssignedLicense, UserId
from shared.handlers.members import Members
from shared.handlers.pacing import STALE_S, Pacer, Prepaid, limits_of
from tests.unit.handlers.runs import SMALL, TEAM, Run, user

CHUNK = 20


async def managed() -> Run:
    run = Run()
    await run.change([SMALL])
    return run


async def writes_used(run: Run) -> int:
    text, _ = await run.world.stores.budget.load()
    state = BudgetState.from_json(text) if text else BudgetState()
    return used(state, limits_of(run.world.policy), run.world.clock.now().timestamp())


def chunk(users: Sequence[UserId], writes: int | None = None) -> ProcessUsers:
    return ProcessUsers(tuple(users), "event-1", bulk=True, writes=writes)


def joined(run: Run, first: int, number: int) -> list[UserId]:
    return [run.directory.add_user(user(each), groups=[TEAM]) for each in range(first, first + number)]


async def test_of_chunks_that_ask_at_the_same_moment_those_are_read_for_which_there_is_room_and_none_twice() -> None:
    run = await managed()
    chunks = [chunk(joined(run, 1 + number * CHUNK, CHUNK)) for number in range(12)]
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


@pytest.mark.parametrize("known", [True, False], ids=["planned", "not planned"])
async def test_a_chunk_that_has_nothing_to_write_leaves_the_quota_as_it_was(*, known: bool) -> None:
    run = await managed()
    people = joined(run, 1, 3)
    await run.look_at(*people)
    before = await writes_used(run)
    await run.workers[0].process(chunk(people, 0 if known else None).encode())
    assert await writes_used(run) == before == 3


async def test_what_a_chunk_writes_is_charged_once_however_many_planning_expected() -> None:
    run = await managed()
    people = [*joined(run, 1, 3), run.directory.add_user(user(9), groups=[TEAM], location=None)]
    for start, writes in ((0, 1), (1, 20), (2, None), (3, 1)):
        await run.workers[0].process(chunk(people[start : start + 1], writes).encode())
    assert [run.licenses(person) for person in people] == [{"SMALL"}] * 4
    assert await writes_used(run) == 5, "four licenses and a usage location"


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
    assert sum(each.likely_writes for each in chunks) == len(people) + 2 * 10
    await run.work_off()
    assert await writes_used(run) <= len(run.writer.log)


async def test_who_goes_back_says_how_many_writes_are_left() -> None:
    run = await managed()
    people = joined(run, 1, 4)
    for person in people[:2]:
        run.writer.throttle(person)
    await run.workers[0].process(chunk(people).encode())
    (back,) = [decode_process_users(message.body) for message in run.fakes.queue.messages]
    assert (back.user_ids, back.writes) == (tuple(people[:2]), 2)


async def test_a_charge_in_advance_that_slow_reads_made_old_is_given_back_and_made_anew() -> None:
    run = await managed()
    pacer = Pacer(run.world)
    slot = await pacer.charge(urgent=False, writes=CHUNK)
    for passed, charged_anew in ((STALE_S - 1, False), (STALE_S + 1, True)):
        prepaid = Prepaid(pacer, slot, 1)
        run.later(seconds=passed - (run.world.clock.now().timestamp() - slot.start))
        now = run.world.clock.now().timestamp()
        got = await prepaid.start(urgent=False, writes=1, now=now)
        assert (got.start >= now) is charged_anew


async def test_of_a_charge_in_advance_nothing_is_used_where_the_rest_has_no_room() -> None:
    run = await managed()
    pacer = Pacer(run.world)
    slot = await pacer.charge(urgent=False, writes=2)
    prepaid = Prepaid(pacer, slot, 2)
    await pacer.charge(urgent=True, writes=900)
    refused = await prepaid.start(urgent=False, writes=5, now=run.world.clock.now().timestamp())
    assert not refused.charged
    assert await writes_used(run) == 902
    await prepaid.give_back()
    await prepaid.give_back()
    assert await writes_used(run) == 900
