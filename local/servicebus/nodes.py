"""A queue as links see it: messages in, deliveries out while there is credit, outcomes applied."""

from __future__ import annotations

import asyncio
from collections import deque
from uuid import UUID

from local.servicebus.amqp import frames
from local.servicebus.amqp.frames import outcome
from local.servicebus.amqp.links import Link
from local.servicebus.amqp.types import AmqpError, Described
from local.servicebus.message import BATCH_FORMAT, DESCRIPTION, REASON, parse, render, unbatch
from local.servicebus.queue import Queue

PUMP_LIMIT = 200
"""Deliveries in one go; then the event loop gets its turn."""
NO_LOCK = bytes(16)
"""Delivery tag of a message that is not locked."""


class QueueNode:
    """Receivers with credit are served in turn. A delivery's tag is its lock token in the byte order of a .NET Guid."""

    def __init__(self, queue: Queue, *, accepts_messages: bool) -> None:
        self.queue = queue
        self.accepts_messages = accepts_messages
        self._receivers: deque[Link] = deque()
        self._pump_planned = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        queue.changed = self._plan_pump

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def attached(self, link: Link) -> None:
        if link.sends:
            self._receivers.append(link)

    def detached(self, link: Link) -> None:
        """The locks of its deliveries run on: they are back when their time is over."""
        if link in self._receivers:
            self._receivers.remove(link)

    def credited(self, link: Link) -> None:
        self.pump()

    def received(self, link: Link, data: bytes, message_format: int) -> None:
        self.queue.send(unbatch(data) if message_format == BATCH_FORMAT else [parse(data)])

    def settled(self, link: Link, tag: bytes, state: Described | None) -> Described | None:
        try:
            return self._apply(UUID(bytes_le=tag), state)
        except AmqpError as rejection:
            return outcome(frames.REJECTED, frames.error(rejection.condition, str(rejection)))

    def _apply(self, token: UUID, state: Described | None) -> Described | None:
        match state:
            case Described(frames.ACCEPTED):
                self.queue.complete(token)
            case Described(frames.MODIFIED, [_, True, *_]):
                self.queue.defer(token)
            case Described(frames.MODIFIED):
                self.queue.abandon(token)
            case Described(frames.REJECTED, fields):
                self.queue.dead_letter(token, *_dead_letter_reason(fields))
                return outcome(frames.REJECTED)
            case _:
                self.queue.release(token)
                return outcome(frames.RELEASED)
        return state

    def _plan_pump(self) -> None:
        if not self._pump_planned:
            self._pump_planned = True
            self._loop.call_soon(self.pump)

    def pump(self) -> None:
        """Deliver available messages to waiting receivers, and set the timer for the next due time."""
        self._pump_planned = False
        for _ in range(PUMP_LIMIT):
            link = self._next_receiver()
            if link is None or not self._deliver(link):
                self._set_timer()
                return
        self._plan_pump()

    def _next_receiver(self) -> Link | None:
        for _ in range(len(self._receivers)):
            self._receivers.rotate(-1)
            if self._receivers[-1].ready:
                return self._receivers[-1]
        return None

    def _deliver(self, link: Link) -> bool:
        if link.presettled:
            message = self.queue.take_for_good()
            if message is not None:
                link.send(render(message), NO_LOCK, settled=True)
            return message is not None
        lock = self.queue.take()
        if lock is not None:
            link.send(render(lock.message, lock.token), lock.token.bytes_le, settled=False)
        return lock is not None

    def _set_timer(self) -> None:
        """One timer for each queue, for the earliest of its due times. It can run early if that time was postponed."""
        due = self.queue.next_due()
        if due is None:
            return
        at = self._loop.time() + max(0.0, due - self.queue.now()) + 0.001
        if self._timer is not None and not self._timer.cancelled():
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._ring)

    def clock_moved(self) -> None:
        """The queue's clock went forward at once; the timer was set by the old one."""
        self.close()
        self._ring()

    def _ring(self) -> None:
        self._timer = None
        self.queue.tick()
        self.pump()


def _dead_letter_reason(fields: object) -> tuple[str | None, str | None]:
    """Reason and description from a rejected outcome, which has them in its error's info."""
    match fields:
        case [Described(_, [_, _, dict(info), *_]), *_]:
            reason, description = info.get(REASON), info.get(DESCRIPTION)
            return (
                None if reason is None else str(reason),
                None if description is None else str(description),
            )
    return None, None
