"""What links attach to: queues (to send, to receive), `$cbs` and `$management`.

Addresses and operations: learn.microsoft.com/azure/service-bus-messaging/service-bus-amqp-request-response.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from local.servicebus.amqp import frames
from local.servicebus.amqp.codec import Described
from local.servicebus.amqp.connection import Link, Refused
from local.servicebus.amqp.frames import outcome
from local.servicebus.config import QueueSettings
from local.servicebus.message import BATCH_FORMAT, Message, parse, render, unbatch
from local.servicebus.queue import Lock, Queue, QueueError

DEAD_LETTER = "/$deadletterqueue"
MANAGEMENT = "/$management"


def token_of(tag: bytes) -> UUID:
    """The lock token in a delivery tag: a .NET Guid's byte order."""
    return UUID(bytes_le=tag)


class Broker:
    """All queues by address, and the clock that wakes them."""

    def __init__(self, queues: Mapping[str, QueueSettings], now: Callable[[], float]) -> None:
        self.queues: dict[str, Queue] = {}
        self._nodes: dict[str, QueueNode] = {}
        self._managements: dict[str, Any] = {}
        self.double = 0.0
        self.random = random.Random(0)
        for name, settings in queues.items():
            dead = Queue(f"{name}{DEAD_LETTER}", settings, now)
            queue = Queue(name, settings, now, dead)
            for each in (queue, dead):
                self.queues[each.name] = each
                self._nodes[each.name] = QueueNode(self, each)

    def resolve(self, source: str | None, target: str | None, client_receives: bool) -> Any:
        """The node of a link. Raises Refused for an address that is none."""
        from local.servicebus.management import CbsNode, ManagementNode

        address = path_of((source if client_receives else target) or "")
        if address == "$cbs":
            return self._managements.setdefault(address, CbsNode())
        if address.endswith(MANAGEMENT):
            queue = self._queue(address.removesuffix(MANAGEMENT))
            return self._managements.setdefault(address, ManagementNode(self, queue))
        queue = self._queue(address)
        if not client_receives and queue.dead_letters is None:
            raise Refused("amqp:not-allowed", f"{address}: messages cannot be sent to a dead-letter queue")
        return self._nodes[queue.name]

    def _queue(self, address: str) -> Queue:
        queue = self.queues.get(address)
        if queue is None:
            raise Refused("amqp:not-found", f"The messaging entity '{address}' could not be found.")
        return queue

    def accept(self, queue: Queue, message: Message) -> None:
        """Put a message into a queue, twice where faults ask for it."""
        twice = self.double > 0 and self.random.random() < self.double
        queue.send(message)
        if twice:
            copy = Message(**{name: getattr(message, name) for name in message.__dataclass_fields__})
            copy.message_id = None
            queue.send(copy)

    def pump_all(self) -> None:
        for node in self._nodes.values():
            node.pump()

    def set_faults(self, *, double: float, shuffle: bool, seed: int) -> None:
        self.double = double
        self.random.seed(seed)
        for queue in self.queues.values():
            queue.shuffle = self.random.randrange if shuffle else None


def path_of(address: str) -> str:
    """The address without scheme and host, in lower case."""
    path = urlsplit(address).path if "://" in address else address
    return path.strip("/").lower()


class QueueNode:
    """A queue as links see it: messages in, deliveries out while there is credit, one message per receiver in turn."""

    def __init__(self, broker: Broker, queue: Queue) -> None:
        self._broker = broker
        self._queue = queue
        self._receivers: list[Link] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._pumping = False
        queue.on_ready = self._wake

    def attached(self, link: Link) -> None:
        if link.sends:
            self._receivers.append(link)

    def detached(self, link: Link) -> None:
        if link in self._receivers:
            self._receivers.remove(link)

    def message(self, link: Link, data: bytes, message_format: int) -> None:
        for message in unbatch(data) if message_format == BATCH_FORMAT else [parse(data)]:
            self._broker.accept(self._queue, message)
        self._watch()

    def credit(self, link: Link) -> None:
        self.pump()

    def _wake(self) -> None:
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self.pump)

    def pump(self) -> None:
        """Deliver what can be delivered."""
        self._pumping = False
        while waiting := [link for link in self._receivers if link.credit > 0 and link.open]:
            link = waiting[0]
            taken = self._queue.take(lock=not link.settled_mode)
            if taken is None:
                break
            self._receivers.remove(link)
            self._receivers.append(link)
            deliver(link, taken)
        self._watch()

    def _watch(self) -> None:
        """Wake up when the next thing of the queue falls due."""
        due = self._queue.tick()
        if due is None or (self._timer is not None and self._timer_at is not None and self._timer_at <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        delay = max(0.001, due - self._queue.now())
        self._timer_at = due
        self._timer = asyncio.get_running_loop().call_later(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        self._timer_at = None
        self.pump()

    def settled(self, link: Link, tag: bytes, state: Described | None) -> Described | None:
        token = token_of(tag)
        code = int(state.descriptor) if isinstance(state, Described) else frames.RELEASED
        try:
            return self._settle(token, code, state)
        except QueueError as fault:
            return outcome(frames.REJECTED, frames.error(fault.condition, str(fault)))

    def _settle(self, token: UUID, code: int, state: Described | None) -> Described | None:
        if code == frames.ACCEPTED:
            self._queue.complete(token)
        elif code == frames.REJECTED:
            self._queue.dead_letter(token, *_dead_letter_reason(state))
            return outcome(frames.REJECTED)
        elif code == frames.MODIFIED:
            fields = state.value if state is not None else []
            if len(fields) > 1 and fields[1]:
                self._queue.defer(token)
            else:
                self._queue.abandon(token)
        else:
            self._queue.release(token)
        return state


def _dead_letter_reason(state: Described | None) -> tuple[str | None, str | None]:
    error = state.value[0] if state is not None and state.value else None
    info = error.value[2] if isinstance(error, Described) and len(error.value) > 2 else None
    fields = {str(key): value for key, value in info.items()} if isinstance(info, dict) else {}
    return fields.get("DeadLetterReason"), fields.get("DeadLetterErrorDescription")


def deliver(link: Link, taken: Lock | Message) -> None:
    """Send a taken message over a link."""
    if isinstance(taken, Lock):
        link.send(render(taken.message, taken.token, taken.until), taken.token.bytes_le, settled=False)
    else:
        link.send(render(taken, None, None), b"\x00" * 16, settled=True)
