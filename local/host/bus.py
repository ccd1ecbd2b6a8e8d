"""The Service Bus trigger: one message an invocation, completed on return and abandoned on an exception.

Semantics of the extension (learn.microsoft.com/azure/azure-functions/functions-bindings-service-bus): at most
`maxConcurrentCalls` at once, no prefetch, locks renewed until the function ends or `maxAutoLockRenewalDuration` has
passed. One coroutine alone uses the receiver, since the client is not made for concurrent use of one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.exceptions import AzureError
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import MessageLockLostError

from local.host.invoking import bus_message, invoke
from local.host.metadata import Function, HostSettings

log = logging.getLogger("local.host.bus")

BUSY_WAIT_S = 0.05
IDLE_WAIT_S = 1.0
RECONNECT_S = 1.0
DRAIN_S = 5.0
RENEW_AT = 0.5
"""Part of the lock's time after which it is renewed."""


@dataclass(eq=False)
class _Running:
    message: ServiceBusReceivedMessage
    task: asyncio.Task[None]
    began: float
    renew_at: float


class BusTrigger:
    """Serves one queue function until stopped."""

    def __init__(self, function: Function, host: HostSettings, connection: str, directory: Path) -> None:
        self._function = function
        self._host = host
        self._connection = connection
        self._directory = directory
        self._running: list[_Running] = []
        self._stopping = False

    def stop(self) -> None:
        """Take no more messages; what runs is finished within a few seconds."""
        self._stopping = True

    async def run(self) -> None:
        """Receive until stopped, and connect again if the broker is lost."""
        while not self._stopping:
            try:
                await self._serve()
            except (AzureError, OSError, TimeoutError, ValueError) as fault:
                log.warning("%s: connection lost: %s", self._function.name, fault)
                await asyncio.sleep(RECONNECT_S)

    async def _serve(self) -> None:
        queue = str(self._function.trigger["queueName"])
        async with (
            ServiceBusClient.from_connection_string(self._connection, retry_total=1, socket_timeout=10) as client,
            client.get_queue_receiver(queue, prefetch_count=0) as receiver,
        ):
            try:
                while not self._stopping:
                    await self._turn(receiver)
                ending = time.monotonic() + DRAIN_S
                while self._running and time.monotonic() < ending:
                    await self._settle(receiver)
                    await asyncio.sleep(BUSY_WAIT_S)
            finally:
                for running in self._running:
                    running.task.cancel()
                self._running.clear()

    async def _turn(self, receiver: ServiceBusReceiver) -> None:
        """Settle what has ended, renew what needs it, and take a message where there is room."""
        await self._settle(receiver)
        if len(self._running) >= self._host.max_concurrent_calls:
            await asyncio.wait([running.task for running in self._running], return_when="FIRST_COMPLETED", timeout=1)
            return
        wait = BUSY_WAIT_S if self._running else IDLE_WAIT_S
        for message in await receiver.receive_messages(max_message_count=1, max_wait_time=wait):
            self._start(message)

    def _start(self, message: ServiceBusReceivedMessage) -> None:
        now = time.time()
        until = message.locked_until_utc.timestamp() if message.locked_until_utc else now
        argument = bus_message(b"".join(_body(message)), metadata_of(message))
        task = asyncio.create_task(invoke(self._function, argument, self._directory))
        self._running.append(_Running(message, task, now, now + (until - now) * RENEW_AT))

    async def _settle(self, receiver: ServiceBusReceiver) -> None:
        now = time.time()
        for running in list(self._running):
            if running.task.done():
                self._running.remove(running)
                await self._end(receiver, running)
            elif now >= running.renew_at and now - running.began < self._host.max_lock_renewal_s:
                await self._renew(receiver, running)

    async def _renew(self, receiver: ServiceBusReceiver, running: _Running) -> None:
        """Renew a lock. Where it is lost, the function goes on, its message comes again, and no other is disturbed."""
        now = time.time()
        try:
            until = await receiver.renew_message_lock(running.message)
        except MessageLockLostError:
            log.warning("%s: the lock of message %s is lost", self._function.name, running.message.message_id)
            running.renew_at = math.inf
        else:
            running.renew_at = now + (until.timestamp() - now) * RENEW_AT

    async def _end(self, receiver: ServiceBusReceiver, running: _Running) -> None:
        fault = None if running.task.cancelled() else running.task.exception()
        try:
            if fault is None and not running.task.cancelled():
                if self._host.auto_complete:
                    await receiver.complete_message(running.message)
                return
            log.error("%s failed: %r", self._function.name, fault, exc_info=fault)
            await receiver.abandon_message(running.message)
        except AzureError as lost:
            log.warning("%s: message %s not settled: %s", self._function.name, running.message.message_id, lost)


def _body(message: ServiceBusReceivedMessage) -> list[bytes]:
    return [bytes(part) for part in message.body]


def metadata_of(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """The trigger metadata that the extension sends; a first delivery counts 1."""
    properties = {
        (key.decode() if isinstance(key, bytes) else str(key)): (value.decode() if isinstance(value, bytes) else value)
        for key, value in (message.application_properties or {}).items()
    }
    return {
        "DeliveryCount": (message.delivery_count or 0) + 1,
        "DeadLetterSource": message.dead_letter_source,
        "LockToken": str(message.lock_token),
        "ExpiresAtUtc": message.expires_at_utc.isoformat() if message.expires_at_utc else None,
        "EnqueuedTimeUtc": message.enqueued_time_utc.isoformat() if message.enqueued_time_utc else None,
        "MessageId": message.message_id,
        "ContentType": message.content_type,
        "ReplyTo": message.reply_to,
        "SequenceNumber": message.sequence_number,
        "To": message.to,
        "Subject": message.subject,
        "Label": message.subject,
        "CorrelationId": message.correlation_id,
        "ApplicationProperties": properties,
        "UserProperties": properties,
        "SessionId": message.session_id,
        "ReplyToSessionId": message.reply_to_session_id,
        "PartitionKey": message.partition_key,
    }
