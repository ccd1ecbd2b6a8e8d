"""Dead letters of the queues: tried again three times, then kept; none is lost on the way."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.errors import Unavailable
from shared.domain.messages import JOBS, MEMBERS, OPERATIONS
from shared.handlers.messaging.dead_letters import PAUSES, QUEUES, drain
from shared.ports.messaging import Undelivered
from tests.support.worlds import fake_world


async def test_a_dead_letter_is_sent_again_later_and_later_and_then_kept() -> None:
    fakes = fake_world()
    drained = 0
    for pause in PAUSES:
        fakes.dead_letters.dead_letters = [Undelivered(MEMBERS, b"{}", "MaxDeliveryCountExceeded", drained)]
        assert await drain(fakes.world) == 1
        (message,) = fakes.sent()
        fakes.queue.messages.clear()
        assert (message.queue, message.body, message.drained) == (MEMBERS, b"{}", drained + 1)
        assert message.at == fakes.clock.now() + pause
        assert message.message_id
        drained = message.drained
    fakes.dead_letters.dead_letters = [Undelivered(MEMBERS, b"{}", "MaxDeliveryCountExceeded", drained)]
    assert await drain(fakes.world) == 1
    assert fakes.sent() == []
    (dead_letter,) = (await fakes.world.stores.dead_letters.page(10))[0]
    assert (dead_letter.queue, dead_letter.body) == (MEMBERS, b"{}")
    assert dead_letter.reason == "given up after 3 tries out of the dead letters: MaxDeliveryCountExceeded"
    assert fakes.dead_letters.dead_letters == []


async def test_every_queue_that_has_a_function_is_drained_and_one_that_is_away_holds_up_no_other() -> None:
    fakes = fake_world()
    fakes.dead_letters.dead_letters = [Undelivered(queue, b"{}", "x") for queue in QUEUES]
    fakes.dead_letters.away = {OPERATIONS}
    assert await drain(fakes.world) == len(QUEUES) - 1
    assert [dead_letter.queue for dead_letter in fakes.dead_letters.dead_letters] == [OPERATIONS]
    assert {message.queue for message in fakes.sent()} == set(QUEUES) - {OPERATIONS}


async def test_a_dead_letter_that_can_neither_be_sent_nor_kept_stays_where_it_is() -> None:
    fakes = fake_world()
    fakes.dead_letters.dead_letters = [Undelivered(JOBS, b"{}", "x"), Undelivered(MEMBERS, b"{}", "x", 3)]
    fakes.queue_away(times=1)
    fakes.stores_away()
    assert await drain(fakes.world) == 0
    assert len(fakes.dead_letters.dead_letters) == 2
    with pytest.raises(Unavailable):
        (await fakes.world.stores.dead_letters.page(1))[0]


def test_the_last_try_is_far_enough_away_to_repair_something() -> None:
    assert PAUSES[-1] >= timedelta(hours=1)
