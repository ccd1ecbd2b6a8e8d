"""How queue messages end: done, buried, sent again for later, or given back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Conflict, PermissionDenied, PoisonMessage, Unavailable
from shared.domain.ids import OperationId
from shared.domain.messages import MEMBERS, OPERATIONS, OperationStep, decode_operation_step
from shared.handlers.messaging.settlement import MAX_CONFLICTS, MAX_REJECTIONS, away_count, back_off_s, settle
from tests.support.worlds import Fakes, fake_world

STEP = OperationStep(OperationId("0" * 32), step=3, run=1)
BODY = STEP.encode()


@pytest.fixture
def fakes() -> Fakes:
    return fake_world()


def fails_with(fault: Exception) -> Callable[[bytes], Awaitable[None]]:
    async def work(body: bytes) -> None:
        raise fault

    return work


def seconds_until(fakes: Fakes, at: datetime | None) -> float:
    assert at is not None
    return (at - fakes.world.clock.now()).total_seconds()


async def test_done_work_leaves_nothing_behind(fakes: Fakes) -> None:
    seen: list[bytes] = []

    async def work(body: bytes) -> None:
        seen.append(body)

    await settle(fakes.world, OPERATIONS, BODY, work)
    assert seen == [BODY]
    assert fakes.sent() == []
    assert (await fakes.world.stores.dead_letters.page(10))[0] == ()


async def test_an_unreadable_message_is_kept_with_its_reason(fakes: Fakes) -> None:
    await settle(fakes.world, MEMBERS, b"\xff", fails_with(PoisonMessage("the body is not JSON")))
    (dead_letter,) = (await fakes.world.stores.dead_letters.page(10))[0]
    assert (dead_letter.queue, dead_letter.body, dead_letter.reason) == (MEMBERS, b"\xff", "the body is not JSON")
    assert dead_letter.at == fakes.world.clock.now()
    assert fakes.sent() == []


async def test_two_unreadable_messages_are_two_dead_letters(fakes: Fakes) -> None:
    for body in (b"1", b"2"):
        await settle(fakes.world, MEMBERS, body, fails_with(PoisonMessage("no object")))
    assert {dead_letter.body for dead_letter in (await fakes.world.stores.dead_letters.page(10))[0]} == {b"1", b"2"}


async def test_an_unreadable_message_that_cannot_be_kept_goes_back_to_the_queue(fakes: Fakes) -> None:
    fakes.stores_away()
    with pytest.raises(Unavailable):
        await settle(fakes.world, MEMBERS, b"{", fails_with(PoisonMessage("no object")))


async def test_when_a_dependency_is_away_the_same_work_comes_back_later_as_a_new_message(fakes: Fakes) -> None:
    body, waits, ids = BODY, [], set()
    for tries in range(12):
        await settle(fakes.world, OPERATIONS, body, fails_with(Unavailable(None, "tables are away")))
        message = fakes.sent()[-1]
        assert message.queue == OPERATIONS
        assert decode_operation_step(message.body) == STEP
        assert away_count(message.body) == tries + 1
        waits.append(seconds_until(fakes, message.at))
        ids.add(message.message_id)
        body = message.body
    assert None not in ids
    assert len(ids) == 12
    for wait, expected in zip(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300], strict=True):
        assert expected <= wait <= expected * 1.25


async def test_a_dependency_that_says_when_to_come_back_is_believed(fakes: Fakes) -> None:
    await settle(fakes.world, OPERATIONS, BODY, fails_with(Unavailable(42.0, "throttled")))
    assert 42 <= seconds_until(fakes, fakes.sent()[0].at) <= 42 * 1.25


async def test_work_without_permission_waits_for_a_person_to_grant_it(fakes: Fakes) -> None:
    body, waits = BODY, []
    for _ in range(30):
        await settle(fakes.world, OPERATIONS, body, fails_with(PermissionDenied("Organization.Read.All is missing")))
        message = fakes.sent()[-1]
        waits.append(seconds_until(fakes, message.at))
        body = message.body
    for wait, expected in zip(waits, [60, 120, 240, 480, *[900] * 26], strict=True):
        assert expected <= wait <= expected * 1.25
    assert (await fakes.world.stores.dead_letters.page(10))[0] == (), "a day with an old token uses up no message"
    await settle(fakes.world, OPERATIONS, BODY, fails_with(Unavailable(None, "tables are away")))
    assert [each.denied for each in fakes.sent()[-2:]] == ["Organization.Read.All is missing", ""]
    seen = await fakes.watch.check(OPERATIONS, 100)
    assert (seen.scheduled, seen.denied, seen.denial) == (31, 30, "Organization.Read.All is missing")


async def test_a_lost_race_comes_back_and_is_given_up_after_a_while(fakes: Fakes) -> None:
    await settle(fakes.world, OPERATIONS, BODY, fails_with(Conflict("somebody was quicker")))
    assert away_count(fakes.sent()[0].body) == 1
    worn_out = json.dumps({**json.loads(BODY), "away": MAX_CONFLICTS}).encode()
    await settle(fakes.world, OPERATIONS, worn_out, fails_with(Conflict("somebody was quicker")))
    assert len(fakes.sent()) == 1
    (dead_letter,) = (await fakes.world.stores.dead_letters.page(10))[0]
    assert "somebody was quicker" in dead_letter.reason


async def test_work_that_a_dependency_rejects_comes_back_for_an_hour_and_then_a_person_sees_it(fakes: Fakes) -> None:
    """An error such as 400 to a complete batch of reads does not pass by waiting."""
    rejected = Unavailable(None, "Graph answered 400 to /$batch", rejected=True)
    body, waited_s = BODY, 0.0
    while not (await fakes.world.stores.dead_letters.page(10))[0]:
        await settle(fakes.world, OPERATIONS, body, fails_with(rejected))
        if fakes.sent():
            message = fakes.queue.messages.pop()
            body, waited_s = message.body, waited_s + seconds_until(fakes, message.at)
    assert away_count(body) == MAX_REJECTIONS
    assert 3000 < waited_s < 2 * 3600
    (dead_letter,) = (await fakes.world.stores.dead_letters.page(10))[0]
    assert "Graph answered 400 to /$batch" in dead_letter.reason


async def test_an_outage_is_waited_for_however_long_it_lasts(fakes: Fakes) -> None:
    old = json.dumps({**json.loads(BODY), "away": 5000}).encode()
    await settle(fakes.world, OPERATIONS, old, fails_with(Unavailable(None, "still away")))
    assert away_count(fakes.sent()[0].body) == 5001
    assert seconds_until(fakes, fakes.sent()[0].at) <= 375


async def test_a_queue_that_is_back_within_seconds_gets_the_message(fakes: Fakes) -> None:
    fakes.queue_away(times=3)
    began = fakes.world.clock.now()
    await settle(fakes.world, OPERATIONS, BODY, fails_with(Unavailable(None, "tables are away")))
    assert len(fakes.sent()) == 1
    assert (fakes.world.clock.now() - began).total_seconds() == 17


async def test_when_the_message_cannot_be_sent_the_old_one_goes_back(fakes: Fakes) -> None:
    fakes.queue_away(times=4)
    with pytest.raises(Unavailable):
        await settle(fakes.world, OPERATIONS, BODY, fails_with(Unavailable(None, "tables are away")))
    assert fakes.sent() == []


async def test_what_nobody_expected_goes_back_to_the_queue(fakes: Fakes) -> None:
    with pytest.raises(ZeroDivisionError):
        await settle(fakes.world, OPERATIONS, BODY, fails_with(ZeroDivisionError()))
    assert fakes.sent() == []


@pytest.mark.parametrize(
    ("body", "count"),
    [(b"{}", 0), (b'{"away": 2}', 2), (b'{"away": -1}', 0), (b'{"away": "2"}', 0), (b'{"away": true}', 0), (b"[", 0)],
)
def test_a_count_that_is_none_counts_as_no_tries(body: bytes, count: int) -> None:
    assert away_count(body) == count


@given(st.integers(0, 10_000), st.floats(0, 600), st.integers(0, 16**32 - 1))
def test_the_back_off_is_never_shorter_than_asked_nor_much_longer(tries: int, at_least_s: float, token: int) -> None:
    wait = back_off_s(tries, at_least_s, f"{token:032x}")
    assert max(1.0, at_least_s) <= wait <= 1.25 * max(300.0, at_least_s)


def test_messages_that_failed_together_are_spread() -> None:
    assert len({back_off_s(5, 0.0, f"{number:08x}") for number in range(0, 2**32, 2**28)}) == 16
