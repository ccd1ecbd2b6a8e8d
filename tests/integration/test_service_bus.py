"""The queue adapter against the Service Bus emulator: each message arrives once, and a failing broker is reported."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus.aio import ServiceBusClient

from local.ports import free_port
from local.servicebus.config import QueueSettings
from local.servicebus.emulator import ServiceBusEmulator
from shared.adapters.service_bus import ServiceBusConfig, ServiceBusQueue
from shared.domain.errors import BadRequest, Unavailable
from shared.ports.messaging import Outgoing, Undelivered
from tests.integration import PATIENCE_S

QUEUES = {"work": QueueSettings(), "other": QueueSettings(), "once": QueueSettings(requires_duplicate_detection=True)}
BATCH_LIMIT = 256 * 1024
"""Bytes of one batch in the standard tier (learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas)."""


@pytest.fixture
async def broker() -> AsyncIterator[ServiceBusEmulator]:
    async with ServiceBusEmulator(QUEUES) as running:
        yield running


@pytest.fixture
async def queue(broker: ServiceBusEmulator) -> AsyncIterator[ServiceBusQueue]:
    opened = ServiceBusQueue(ServiceBusConfig(broker.connection_string))
    yield opened
    await opened.close()


def active(broker: ServiceBusEmulator, name: str) -> int:
    return broker.broker.queues[name].counts()["active"]


async def test_messages_for_two_queues_arrive_each_in_its_own(
    broker: ServiceBusEmulator, queue: ServiceBusQueue
) -> None:
    await queue.send([Outgoing("work", b"1"), Outgoing("other", b"2"), Outgoing("work", b"3")])
    assert (active(broker, "work"), active(broker, "other")) == (2, 1)


async def test_sending_nothing_asks_nobody() -> None:
    queue = ServiceBusQueue(ServiceBusConfig(f"Endpoint=sb://127.0.0.1:{free_port()};UseDevelopmentEmulator=true"))
    await queue.send([])
    await queue.close()


async def test_more_than_one_batch_holds_is_sent_whole(broker: ServiceBusEmulator, queue: ServiceBusQueue) -> None:
    body = b"x" * 20_000
    count = 3 * BATCH_LIMIT // len(body)
    await queue.send([Outgoing("work", body) for _ in range(count)])
    assert active(broker, "work") == count


@pytest.mark.parametrize("length", (332, 335, 342, 346))
async def test_batches_filled_to_the_last_byte_are_not_rejected(
    broker: ServiceBusEmulator, queue: ServiceBusQueue, length: int
) -> None:
    name = "operation-01a2139663420116bf069a969733feba-page-0-chunk"
    await queue.send([Outgoing("work", b"x" * length, f"{name}-{n:04d}") for n in range(1200)])
    assert active(broker, "work") == 1200


async def test_a_message_for_later_is_not_there_before_its_time(
    broker: ServiceBusEmulator, queue: ServiceBusQueue
) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    await queue.send([Outgoing("work", b"now"), Outgoing("work", b"later", at=at)])
    counts = broker.broker.queues["work"].counts()
    assert (counts["active"], counts["scheduled"]) == (1, 1)
    broker.broker.pass_by(3601)
    async with asyncio.timeout(PATIENCE_S):
        while active(broker, "work") < 2:
            await asyncio.sleep(0.05)


async def test_a_message_sent_again_with_its_id_is_there_once(
    broker: ServiceBusEmulator, queue: ServiceBusQueue
) -> None:
    await queue.send([Outgoing("once", b"a", "step-1"), Outgoing("once", b"b", "step-2")])
    await queue.send([Outgoing("once", b"a", "step-1"), Outgoing("once", b"c", "step-3")])
    assert active(broker, "once") == 3


async def test_a_queue_that_is_not_there_is_told_and_the_others_still_work(
    broker: ServiceBusEmulator, queue: ServiceBusQueue
) -> None:
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unavailable, match="absent"):
            await queue.send([Outgoing("absent", b"x")])
    await queue.send([Outgoing("work", b"y")])
    assert active(broker, "work") == 1


async def test_a_message_over_the_limit_is_rejected_and_nothing_of_the_rest_is_doubled(
    broker: ServiceBusEmulator, queue: ServiceBusQueue
) -> None:
    with pytest.raises(BadRequest, match="300000 bytes for queue work"):
        await queue.send([Outgoing("work", b"small"), Outgoing("work", b"x" * 300_000), Outgoing("work", b"after")])
    assert active(broker, "work") == 0


async def test_many_senders_of_one_queue_at_once_lose_nothing(
    broker: ServiceBusEmulator, queue: ServiceBusQueue
) -> None:
    await asyncio.gather(*(queue.send([Outgoing("work", str(n).encode())]) for n in range(30)))
    assert active(broker, "work") == 30


async def test_after_the_broker_was_started_again_sending_works_again() -> None:
    port = free_port()
    async with ServiceBusEmulator(QUEUES, port=port) as first:
        queue = ServiceBusQueue(ServiceBusConfig(first.connection_string))
        await queue.send([Outgoing("work", b"1")])
    async with ServiceBusEmulator(QUEUES, port=port) as second:
        async with asyncio.timeout(PATIENCE_S):
            await queue.send([Outgoing("work", b"2")])
        assert active(second, "work") == 1
    await queue.close()


async def test_a_broker_that_is_away_is_told_within_bounds_and_works_when_it_is_back() -> None:
    port = free_port()
    connection = f"Endpoint=sb://127.0.0.1:{port};SharedAccessKeyName=a;SharedAccessKey=b;UseDevelopmentEmulator=true"
    queue = ServiceBusQueue(ServiceBusConfig(connection))
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Unavailable, match="work"):
            await queue.send([Outgoing("work", b"1")])
    async with ServiceBusEmulator(QUEUES, port=port) as back:
        await queue.send([Outgoing("work", b"2")])
        assert active(back, "work") == 1
    await queue.close()


async def _put_aside(broker: ServiceBusEmulator, name: str, count: int) -> None:
    """What the platform does with a message whose function fails too often."""
    async with (
        ServiceBusClient.from_connection_string(broker.connection_string) as client,
        client.get_queue_receiver(name) as receiver,
    ):
        for _ in range(count):
            (message,) = await receiver.receive_messages(1, PATIENCE_S)
            await receiver.dead_letter_message(message, reason="MaxDeliveryCountExceeded", error_description="10")


def _dead(broker: ServiceBusEmulator, name: str) -> int:
    return broker.broker.queues[name].counts()["deadLetter"]


async def test_dead_letters_are_given_with_their_reason_and_taken_off_once_taken(
    broker: ServiceBusEmulator, queue: ServiceBusQueue
) -> None:
    await queue.send([Outgoing("work", b"%d" % number, drained=number) for number in range(3)])
    await _put_aside(broker, "work", 3)
    assert _dead(broker, "work") == 3
    found: list[Undelivered] = []

    async def take(dead_letter: Undelivered) -> None:
        found.append(dead_letter)

    assert await queue.drain("work", 2, take) == 2
    assert _dead(broker, "work") == 1
    assert await queue.drain("work", 100, take) == 1
    assert await queue.drain("work", 100, take) == 0
    assert found == [Undelivered("work", b"%d" % n, "MaxDeliveryCountExceeded: 10", n) for n in range(3)]


async def test_a_dead_letter_that_could_not_be_taken_stays(broker: ServiceBusEmulator, queue: ServiceBusQueue) -> None:
    await queue.send([Outgoing("work", b"1"), Outgoing("work", b"2")])
    await _put_aside(broker, "work", 2)

    async def take(dead_letter: Undelivered) -> None:
        if dead_letter.body == b"2":
            raise Unavailable(None, "cannot")

    with pytest.raises(Unavailable, match="cannot"):
        await queue.drain("work", 100, take)
    assert _dead(broker, "work") == 1


async def test_dead_letters_of_a_broker_that_is_away_are_told_to_be_so() -> None:
    queue = ServiceBusQueue(ServiceBusConfig(f"Endpoint=sb://127.0.0.1:{free_port()};UseDevelopmentEmulator=true"))

    async def take(dead_letter: Undelivered) -> None:
        raise AssertionError(dead_letter)

    with pytest.raises(Unavailable, match="dead letters of work"):
        await queue.drain("work", 1, take)
    await queue.close()


async def test_a_queue_is_checked_without_taking_anything(broker: ServiceBusEmulator, queue: ServiceBusQueue) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    before, why = datetime.now(UTC) - timedelta(seconds=1), "403 to GET /organization"
    await queue.send(
        [Outgoing("work", b"now"), Outgoing("work", b"now too"), Outgoing("work", b"later", at=later, denied=why)]
    )
    seen = await queue.check("work", 10)
    assert (seen.queue, seen.waiting, seen.scheduled, seen.more) == ("work", 2, 1, False)
    assert (seen.denied, seen.denial) == (1, "403 to GET /organization")
    assert seen.oldest_at is not None
    assert before <= seen.oldest_at <= datetime.now(UTC)
    assert (await queue.check("work", 2)).more
    nothing = await queue.check("other", 10)
    assert (nothing.waiting, nothing.scheduled, nothing.oldest_at, nothing.more) == (0, 0, None, False)
    assert active(broker, "work") == 2


async def test_a_check_a_queue_whose_broker_is_away_is_told() -> None:
    queue = ServiceBusQueue(ServiceBusConfig(f"Endpoint=sb://127.0.0.1:{free_port()};UseDevelopmentEmulator=true"))
    with pytest.raises(Unavailable, match="queue work"):
        await queue.check("work", 1)
    await queue.close()
