"""Connections to Service Bus that are reset during a send: every message arrives, and once if it has an id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from local.servicebus.config import QueueSettings
from local.servicebus.emulator import ServiceBusEmulator
from shared.adapters.service_bus import ServiceBusConfig, ServiceBusQueue
from shared.ports.messaging import Outgoing
from tests.support.resetting import ResettingProxy, resetting

QUEUES = {"work": QueueSettings(), "once": QueueSettings(requires_duplicate_detection=True)}


@dataclass
class Stage:
    broker: ServiceBusEmulator
    queue: ServiceBusQueue
    proxy: ResettingProxy

    def active(self, name: str) -> int:
        return self.broker.broker.queues[name].counts()["active"]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with ServiceBusEmulator(QUEUES) as broker, resetting(broker.port) as proxy:
        address = broker.connection_string.replace(f":{broker.port}", f":{proxy.port}")
        queue = ServiceBusQueue(ServiceBusConfig(address))
        yield Stage(broker, queue, proxy)
        await queue.close()


async def test_messages_arrive_past_a_reset_of_an_idle_connection(stage: Stage) -> None:
    await stage.queue.send([Outgoing("work", b"1")])
    stage.proxy.forget()
    stage.proxy.idle = 1
    await stage.queue.send([Outgoing("work", b"2"), Outgoing("work", b"3")])
    assert stage.active("work") == 3
    assert (stage.proxy.resets, stage.proxy.connections) == (1, 1)


async def test_a_message_whose_acceptance_was_lost_is_there_once(stage: Stage) -> None:
    await stage.queue.send([Outgoing("once", b"1", "id-1")])
    stage.proxy.forget()
    stage.proxy.answers = 1
    await stage.queue.send([Outgoing("once", b"2", "id-2"), Outgoing("once", b"3", "id-3")])
    assert stage.active("once") == 3
    assert (stage.proxy.resets, stage.proxy.connections) == (1, 1)


async def test_checks_of_a_queue_share_a_connection_that_is_replaced_when_it_is_lost(stage: Stage) -> None:
    await stage.queue.send([Outgoing("work", b"1")])
    stage.proxy.forget()
    for _ in range(2):
        assert (await stage.queue.check("work", 10)).waiting == 1
    assert stage.proxy.connections == 1
    stage.proxy.idle = 1
    checked = await asyncio.gather(*(stage.queue.check("work", 10) for _ in range(3)))
    assert [each.waiting for each in checked] == [1, 1, 1]
    assert (stage.proxy.resets, stage.proxy.connections) == (1, 2)
