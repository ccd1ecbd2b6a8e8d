"""Service Bus: senders and peeking receivers kept open, messages sent in batches; azure.servicebus and its exceptions
stop here.

Opening a sender takes about half a second, and a receiver about one. So one per queue is kept while the process runs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.domain import trace_context
from shared.domain.errors import BadRequest, Unavailable
from shared.ports.messaging import Outgoing, QueueState, Undelivered

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch, ServiceBusReceivedMessage
    from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

SEND_TIMEOUT_S = 30.0
DRAINED_AT_ONCE = 10
"""Dead letters under lock at a time: their lock of a minute must outlast what is done with all of them."""

DRAIN_WAIT_S = 2.0
READ_TIMEOUT_S = 5.0
"""A person waits for the look."""

DRAINED, DENIED = "drained", "denied"
"""Application property: how often the message was taken out of the dead letters."""

ENVELOPE = 1024
"""Bytes kept free in a batch. The SDK copies properties of the first message around the batch and does not count them
(24 bytes and more, by the length of its id). Without the spare bytes, a full batch would be rejected as too large."""

RETRY_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class ServiceBusConfig:
    """Either a connection string, or a namespace (`<name>.servicebus.windows.net`) with a credential."""

    connection_string: str | None = None
    namespace: str | None = None
    credential: AsyncTokenCredential | None = None


class ServiceBusQueue:
    """Implements Queue, QueueWatch and DeadLetterQueues."""

    def __init__(self, config: ServiceBusConfig) -> None:
        self._config = config
        self._client: ServiceBusClient | None = None
        self._senders: dict[str, ServiceBusSender] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._receivers: dict[str, ServiceBusReceiver] = {}
        self._peeks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, messages: Sequence[Outgoing]) -> None:
        by_queue: dict[str, list[Outgoing]] = defaultdict(list)
        for message in messages:
            by_queue[message.queue].append(message)
        for queue, queued in by_queue.items():
            async with self._locks[queue]:
                await self._send(queue, queued)

    async def drain(self, queue: str, top: int, take: Callable[[Undelivered], Awaitable[None]]) -> int:
        """Give dead letters of a queue to `take`, a few at a time, and complete each that was taken."""
        from azure.core.exceptions import AzureError
        from azure.servicebus import ServiceBusSubQueue

        taken = 0
        try:
            client = self._connect()
            async with client.get_queue_receiver(queue, sub_queue=ServiceBusSubQueue.DEAD_LETTER) as receiver:
                while taken < top:
                    messages = await receiver.receive_messages(min(DRAINED_AT_ONCE, top - taken), DRAIN_WAIT_S)
                    if not messages:
                        break
                    for message in messages:
                        await take(_undelivered(queue, message))
                        await receiver.complete_message(message)
                        taken += 1
        except (AzureError, OSError, TimeoutError, ValueError) as fault:
            raise Unavailable(RETRY_AFTER_S, f"dead letters of {queue}: {type(fault).__name__}: {fault}") from fault
        return taken

    async def check(self, queue: str, most: int) -> QueueState:
        """By peeking, for which the right to receive is enough; a count would take the right to manage.

        A receiver that was open can have lost its connection: Service Bus ends idle links after ten minutes
        (learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-troubleshoot). Then a new one peeks.
        """
        async with self._peeks[queue]:
            if queue in self._receivers:
                with suppress(Unavailable):
                    return await self._checked(queue, most)
            return await self._checked(queue, most)

    async def _checked(self, queue: str, most: int) -> QueueState:
        from azure.core.exceptions import AzureError

        try:
            messages = await asyncio.wait_for(self._peek(queue, most + 1), READ_TIMEOUT_S)
        except (AzureError, OSError, TimeoutError, ValueError) as fault:
            await _closed(self._receivers.pop(queue, None))
            raise Unavailable(RETRY_AFTER_S, f"queue {queue}: {type(fault).__name__}: {fault}") from fault
        return _state_of(queue, messages[:most], more=len(messages) > most)

    async def _peek(self, queue: str, most: int) -> list[ServiceBusReceivedMessage]:
        if queue not in self._receivers:
            self._receivers[queue] = self._connect().get_queue_receiver(queue)
        return await _peeked(self._receivers[queue], most)

    async def _send(self, queue: str, messages: Sequence[Outgoing]) -> None:
        """Send, with one new connection if the old one broke. A message that may have been accepted twice has the same
        id, or is work that a duplicate does not change."""
        from azure.core.exceptions import AzureError

        for last in (False, True):
            try:
                sender = await self._sender(queue)
                await asyncio.wait_for(self._send_batches(sender, messages), SEND_TIMEOUT_S)
                return
            except (AzureError, OSError, TimeoutError, ValueError) as fault:
                await self._drop(queue)
                if last:
                    raise Unavailable(RETRY_AFTER_S, f"queue {queue}: {type(fault).__name__}: {fault}") from fault
            except asyncio.CancelledError:
                # The caller has stopped waiting in the middle of a send: the next one opens a sender of its own.
                self._abandon(queue)
                raise

    def _abandon(self, queue: str) -> None:
        if queue in self._senders:
            closing = asyncio.create_task(self._drop(queue))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def _send_batches(self, sender: ServiceBusSender, messages: Sequence[Outgoing]) -> None:
        """Every message is put into a batch before the first batch is sent: one that is too large stops them all."""
        largest = (await sender.create_message_batch()).max_size_in_bytes - ENVELOPE
        batches = [await sender.create_message_batch(largest)]
        for message in messages:
            built = _message(message)
            if _added(batches[-1], built):
                continue
            batches.append(await sender.create_message_batch(largest))
            if not _added(batches[-1], built):
                limit = batches[-1].max_size_in_bytes
                text = f"A message of {len(message.body)} bytes for queue {message.queue}; the limit is {limit}."
                raise BadRequest("MessageTooLarge", text)
        for batch in batches:
            if len(batch):
                await sender.send_messages(batch)

    async def _sender(self, queue: str) -> ServiceBusSender:
        if queue not in self._senders:
            self._senders[queue] = self._connect().get_queue_sender(queue)
        return self._senders[queue]

    def _connect(self) -> ServiceBusClient:
        from azure.servicebus.aio import ServiceBusClient

        if self._client is None:
            options: dict[str, Any] = {"retry_total": 2, "retry_backoff_factor": 0.4, "socket_timeout": 10}
            if self._config.connection_string:
                self._client = ServiceBusClient.from_connection_string(self._config.connection_string, **options)
            elif self._config.namespace and self._config.credential:
                self._client = ServiceBusClient(self._config.namespace, self._config.credential, **options)
            else:
                raise ValueError("Service Bus needs a connection string, or a namespace and a credential")
        return self._client

    async def _drop(self, queue: str) -> None:
        await _closed(self._senders.pop(queue, None))

    async def close(self) -> None:
        """Close senders, receivers and connection."""
        for queue in list(self._senders):
            await self._drop(queue)
        for queue in list(self._receivers):
            await _closed(self._receivers.pop(queue, None))
        if self._client is not None:
            await self._client.close()
            self._client = None


async def _closed(link: ServiceBusSender | ServiceBusReceiver | None) -> None:
    from azure.core.exceptions import AzureError

    if link is None:
        return
    try:
        await asyncio.wait_for(link.close(), 5.0)
    except (AzureError, OSError, TimeoutError, ValueError):
        return


async def _peeked(receiver: ServiceBusReceiver, most: int) -> list[ServiceBusReceivedMessage]:
    """The first messages of a queue; one answer holds what has room in it."""
    found: list[ServiceBusReceivedMessage] = []
    while len(found) < most:
        # From the first on: 0 would go on after what this receiver has peeked before.
        after = (found[-1].sequence_number or 0) + 1 if found else 1
        more = await receiver.peek_messages(most - len(found), sequence_number=after)
        if not more:
            break
        found += more
    return found


def _state_of(queue: str, messages: Sequence[ServiceBusReceivedMessage], *, more: bool) -> QueueState:
    from azure.servicebus import ServiceBusMessageState

    waiting = [each for each in messages if each.state == ServiceBusMessageState.ACTIVE]
    scheduled = sum(each.state == ServiceBusMessageState.SCHEDULED for each in messages)
    times = [each.enqueued_time_utc for each in waiting if each.enqueued_time_utc]
    denials = [why for each in messages if isinstance(why := _properties_of(each).get(DENIED), str)]
    denial = denials[0] if denials else ""
    return QueueState(queue, len(waiting), scheduled, min(times, default=None), more, len(denials), denial)


def _added(batch: ServiceBusMessageBatch, message: ServiceBusMessage) -> bool:
    """Whether the message had room in the batch."""
    from azure.servicebus.exceptions import MessageSizeExceededError

    try:
        batch.add_message(message)
    except MessageSizeExceededError:
        return False
    return True


def _message(message: Outgoing) -> ServiceBusMessage:
    from azure.servicebus import ServiceBusMessage

    return ServiceBusMessage(
        message.body,
        message_id=message.message_id,
        scheduled_enqueue_time_utc=message.at,
        content_type="application/json",
        application_properties=_properties(message),
    )


def _properties(message: Outgoing) -> dict[str | bytes, Any]:
    """The count of tries, the permission that is missing, and the trace under the names by which the Functions host and
    the Azure SDK go on with it."""
    found: dict[str | bytes, Any] = {DRAINED: message.drained} if message.drained else {}
    found |= {DENIED: message.denied} if message.denied else {}
    trace = trace_context.current.get()
    return {**found, "traceparent": trace, "Diagnostic-Id": trace} if trace else found


def _undelivered(queue: str, message: ServiceBusReceivedMessage) -> Undelivered:
    body = message.body
    data = body if isinstance(body, bytes) else b"".join(body)
    count = _properties_of(message).get(DRAINED, 0)
    reason = ": ".join(part for part in (message.dead_letter_reason, message.dead_letter_error_description) if part)
    return Undelivered(queue, data, reason or "no reason is given", count if isinstance(count, int) else 0)


def _properties_of(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    """Texts come as bytes or as text."""
    read = {_text(key): value for key, value in (message.application_properties or {}).items()}
    return {key: _text(value) if isinstance(value, bytes) else value for key, value in read.items()}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
