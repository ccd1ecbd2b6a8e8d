"""Acts on many dead letters: all of them, each once, in spite of kills, and none that comes later."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial

import pytest

from shared.domain.dead_letters import BulkAct, BulkKind, DeadLetterSelection
from shared.domain.errors import Unavailable
from shared.domain.ids import new_id
from shared.domain.initiator import Initiator
from shared.domain.messages import JOBS, MEMBERS, OPERATIONS
from shared.domain.read_models import AuditFilter, DeadLetter, DeadLetterKind
from shared.handlers.messaging.bulk_dead_letters import (
    NO_PROGRESS,
    STEP_DEAD_LETTERS,
    begin,
    continue_stopped,
    find,
    process_step,
)
from shared.handlers.messaging.settlement import settle
from shared.handlers.operations.operations_queue import process_operations
from shared.handlers.views.health import health
from shared.ports.messaging import Outgoing
from tests.support.worlds import Fakes, fake_world

MIA = Initiator("mia", "Mia")
EVERY = DeadLetterSelection()


async def kept(fakes: Fakes, count: int, queue: str = MEMBERS, *, whole: bool = True, reason: str = "why") -> None:
    for number in range(count):
        fakes.clock.move(timedelta(milliseconds=3))
        now, body = fakes.clock.now(), json.dumps({"n": number}).encode()
        dead_letter = DeadLetter(
            new_id(now, fakes.world.token()), queue, body, reason, now, kind=DeadLetterKind.GIVEN_UP
        )
        if not whole:
            dead_letter = DeadLetter(dead_letter.id, queue, b"x" * 700_000, reason, now)
        await fakes.world.stores.dead_letters.keep(dead_letter)
    fakes.clock.move(timedelta(milliseconds=3))


def steps(fakes: Fakes) -> list[Outgoing]:
    return [each for each in fakes.queue.messages if each.queue == OPERATIONS]


async def work_off(fakes: Fakes) -> None:
    while waiting := steps(fakes):
        fakes.queue.messages.remove(waiting[0])
        if waiting[0].at:
            fakes.clock.move(max(timedelta(0), waiting[0].at - fakes.clock.now()))
        await settle(fakes.world, OPERATIONS, waiting[0].body, partial(process_operations, fakes.world, OPERATIONS))


async def run(fakes: Fakes, kind: BulkKind, wanted: DeadLetterSelection = EVERY) -> BulkAct:
    act = await begin(fakes.world, kind, wanted, MIA)
    await work_off(fakes)
    return await find(fakes.world, act.id)


async def test_all_that_match_are_replayed_and_the_others_and_what_comes_later_stay() -> None:
    fakes = fake_world()
    await kept(fakes, 2 * STEP_DEAD_LETTERS + 7)
    await kept(fakes, 5, JOBS)
    act = await begin(fakes.world, BulkKind.REPLAY, DeadLetterSelection(queue=MEMBERS), MIA)
    await kept(fakes, 3)
    await work_off(fakes)
    ended = await find(fakes.world, act.id)
    assert (ended.is_open, ended.done, ended.left) == (False, 2 * STEP_DEAD_LETTERS + 7, 0)
    sent = [each for each in fakes.queue.messages if each.queue == MEMBERS]
    assert len(sent) == 2 * STEP_DEAD_LETTERS + 7
    rest, _ = await fakes.world.stores.dead_letters.page(100)
    assert [each.queue for each in rest] == [MEMBERS] * 3 + [JOBS] * 5


async def test_all_are_deleted_and_nothing_is_sent_and_the_log_says_who_and_how_many() -> None:
    fakes = fake_world()
    await kept(fakes, STEP_DEAD_LETTERS + 1, reason="no account for Ada")
    ended = await run(fakes, BulkKind.DELETE, DeadLetterSelection(text="ADA"))
    assert (ended.done, ended.left, fakes.queue.messages) == (STEP_DEAD_LETTERS + 1, 0, [])
    assert await fakes.world.stores.dead_letters.count() == 0
    now = fakes.clock.now()
    entries, _ = await fakes.world.stores.audit.search(AuditFilter(), now - timedelta(days=1), now, 9)
    assert [(each.activity, each.initiator.id) for each in entries] == [("Delete messages", "mia")] * 2
    assert {each.detail for each in entries} == {"text ...: started", f"text ...: done {STEP_DEAD_LETTERS + 1}, left 0"}


async def test_dead_letters_of_which_only_the_beginning_was_kept_are_left_and_counted() -> None:
    fakes = fake_world()
    await kept(fakes, 2, whole=False)
    await kept(fakes, 3)
    ended = await run(fakes, BulkKind.REPLAY)
    assert (ended.done, ended.left) == (3, 2)
    assert (await run(fakes, BulkKind.DELETE)).done == 2


@pytest.mark.parametrize("dies_after", range(8))
async def test_a_kill_at_any_write_of_a_step_counts_each_dead_letter_once(dies_after: int) -> None:
    fakes = fake_world()
    await kept(fakes, 5)
    act = await begin(fakes.world, BulkKind.DELETE, EVERY, MIA)
    (message,) = steps(fakes)
    fakes.queue.messages.clear()
    fakes.tables.dies_after = dies_after
    try:
        await process_step(fakes.world, message.body)
    except Unavailable:
        fakes.tables.dies_after = None
        await process_step(fakes.world, message.body)
    fakes.tables.dies_after = None
    await work_off(fakes)
    ended = await find(fakes.world, act.id)
    assert (ended.is_open, ended.done, ended.left) == (False, 5, 0)
    assert await fakes.world.stores.dead_letters.count() == 0


async def test_an_act_whose_message_was_lost_goes_on_with_the_watchdog() -> None:
    fakes = fake_world()
    await kept(fakes, STEP_DEAD_LETTERS * 2)
    act = await begin(fakes.world, BulkKind.DELETE, EVERY, MIA)
    fakes.queue.messages.clear()
    assert await continue_stopped(fakes.world) == 0
    fakes.clock.move(NO_PROGRESS)
    assert await continue_stopped(fakes.world) == 1
    await work_off(fakes)
    assert (await find(fakes.world, act.id)).done == STEP_DEAD_LETTERS * 2
    fakes.clock.move(NO_PROGRESS)
    assert await continue_stopped(fakes.world) == 0


async def test_a_doubled_step_does_nothing_twice() -> None:
    fakes = fake_world()
    await kept(fakes, STEP_DEAD_LETTERS + 1)
    act = await begin(fakes.world, BulkKind.DELETE, EVERY, MIA)
    (message,) = steps(fakes)
    await process_step(fakes.world, message.body)
    await process_step(fakes.world, message.body)
    await work_off(fakes)
    assert (await find(fakes.world, act.id)).done == STEP_DEAD_LETTERS + 1


async def test_every_dead_letter_can_be_paged_to_and_health_counts_them_all() -> None:
    fakes = fake_world()
    await kept(fakes, 2345)
    seen: list[str] = []
    after: str | None = None
    while True:
        dead_letters, after = await fakes.world.stores.dead_letters.page(999, after)
        seen += [each.id for each in dead_letters]
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 2345
    assert seen == sorted(seen, reverse=True)
    assert (await health(fakes.world)).dead_letters == 2345
    oldest = await fakes.world.stores.dead_letters.get(seen[-1])
    assert oldest is not None
    assert oldest.id == seen[-1]


async def test_dead_letters_are_found_by_queue_kind_time_and_text_also_where_few_of_many_match() -> None:
    fakes = fake_world()
    await kept(fakes, 1, JOBS, reason="HiddenMembership")
    early = fakes.clock.now()
    fakes.clock.move(timedelta(hours=1))
    await kept(fakes, 2500)

    async def found(wanted: DeadLetterSelection) -> list[DeadLetter]:
        dead_letters: list[DeadLetter] = []
        after: str | None = None
        for _ in range(9):
            some, after = await fakes.world.stores.dead_letters.page(100, after, wanted)
            dead_letters += some
            if after is None:
                return dead_letters
        return dead_letters

    assert len(await found(DeadLetterSelection(queue=JOBS))) == 1
    assert len(await found(DeadLetterSelection(text="hiddenmember"))) == 1
    assert len(await found(DeadLetterSelection(until=early))) == 1
    assert len(await found(DeadLetterSelection(text='"n": 2499'))) == 1
    assert await found(DeadLetterSelection(kind=DeadLetterKind.UNREADABLE)) == []
    assert len(await found(DeadLetterSelection(queue=JOBS, since=early))) == 0
