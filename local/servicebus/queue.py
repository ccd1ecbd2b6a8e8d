"""One queue: peek-lock with an injected clock, so that locks, expiry and schedules are tested without waiting.

Semantics: learn.microsoft.com/azure/service-bus-messaging/message-transfers-locks-settlement, .../message-sequencing,
.../message-expiration, .../duplicate-detection, .../service-bus-dead-letter-queues.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from local.servicebus.config import QueueSettings
from local.servicebus.message import ACTIVE, DEFERRED, SCHEDULED, Message, mark_dead


class QueueError(Exception):
    """A refused act: the AMQP error condition and a text."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition


LOCK_LOST = "com.microsoft:message-lock-lost"
NOT_FOUND = "com.microsoft:message-not-found"


@dataclass
class Lock:
    """A delivery that has not been settled. Each delivery has a token of its own."""

    message: Message
    token: UUID
    until: float
    was_deferred: bool = False


@dataclass
class Queue:
    """`dead_letters` is the queue's own dead-letter queue, None for one that is such a queue itself."""

    name: str
    settings: QueueSettings
    now: Callable[[], float]
    dead_letters: Queue | None = None
    shuffle: Callable[[int], int] | None = None
    """Picks which of the ready messages goes next, where the order is to be disturbed."""
    _sequence: int = 0
    _ready: list[tuple[int, Message]] = field(default_factory=list)
    _scheduled: dict[int, Message] = field(default_factory=dict)
    _due: list[tuple[float, int]] = field(default_factory=list)
    _locks: dict[UUID, Lock] = field(default_factory=dict)
    _expiry: list[tuple[float, int, UUID]] = field(default_factory=list)
    _deferred: dict[int, Message] = field(default_factory=dict)
    _seen: OrderedDict[Any, float] = field(default_factory=OrderedDict)
    _ttl: list[tuple[float, int]] = field(default_factory=list)
    on_ready: Callable[[], None] = lambda: None

    def counts(self) -> dict[str, int]:
        self.tick()
        return {
            "active": len(self._ready),
            "scheduled": len(self._scheduled),
            "locked": len(self._locks),
            "deferred": len(self._deferred),
            "deadLetter": len(self.dead_letters._ready) + len(self.dead_letters._locks) if self.dead_letters else 0,
        }

    def send(self, message: Message) -> None:
        """Accept a message; a duplicate is accepted and dropped."""
        if self._is_duplicate(message):
            return
        at = message.scheduled_at
        if at is not None and at > self.now():
            self._schedule(message, at)
        else:
            self._enqueue(message)

    def schedule(self, message: Message) -> int:
        """Accept a message for its scheduled time; returns the sequence number by which it can be cancelled."""
        if self._is_duplicate(message):
            self._sequence += 1
            return self._sequence
        return self._schedule(message, message.scheduled_at or self.now())

    def cancel(self, sequence: int) -> None:
        """Raises QueueError for a message that is not scheduled."""
        if self._scheduled.pop(sequence, None) is None:
            raise QueueError(NOT_FOUND, f"no scheduled message has the sequence number {sequence}")

    def _is_duplicate(self, message: Message) -> bool:
        settings, now = self.settings, self.now()
        if not settings.requires_duplicate_detection or message.message_id is None:
            return False
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        if message.message_id in self._seen:
            return True
        self._seen[message.message_id] = now + settings.duplicate_window_s
        return False

    def _schedule(self, message: Message, at: float) -> int:
        self._sequence += 1
        message.sequence, message.state = self._sequence, SCHEDULED
        message.enqueued_at = self.now()
        self._scheduled[message.sequence] = message
        heapq.heappush(self._due, (at, message.sequence))
        return message.sequence

    def _enqueue(self, message: Message) -> None:
        self._sequence += 1
        message.sequence, message.state = self._sequence, ACTIVE
        message.enqueued_at = self.now()
        limits = [ttl for ttl in (message.ttl_s, self.settings.default_ttl_s) if ttl is not None]
        if limits and self.dead_letters is not None:
            message.expires_at = message.enqueued_at + min(limits)
            heapq.heappush(self._ttl, (message.expires_at, message.sequence))
        self._put_back(message)

    def _put_back(self, message: Message) -> None:
        message.state = ACTIVE
        heapq.heappush(self._ready, (message.sequence, message))
        self.on_ready()

    def take(self, *, lock: bool) -> Lock | Message | None:
        """The next message: with a lock, or for good. None when there is none."""
        self.tick()
        if not self._ready:
            return None
        if self.shuffle is not None and len(self._ready) > 1:
            _, message = self._ready.pop(self.shuffle(len(self._ready)))
            heapq.heapify(self._ready)
        else:
            _, message = heapq.heappop(self._ready)
        return self._lock(message) if lock else message

    def _lock(self, message: Message, *, was_deferred: bool = False) -> Lock:
        until = self.now() + self.settings.lock_duration_s
        taken = Lock(message, uuid4(), until, was_deferred)
        self._locks[taken.token] = taken
        heapq.heappush(self._expiry, (until, message.sequence, taken.token))
        return taken

    def _unlock(self, token: UUID) -> Lock:
        self.tick()
        lock = self._locks.pop(token, None)
        if lock is None:
            raise QueueError(LOCK_LOST, "The lock supplied is invalid: it expired, or the message was settled.")
        return lock

    def complete(self, token: UUID) -> None:
        self._unlock(token)

    def abandon(self, token: UUID) -> None:
        """A failed delivery: again at once, or dead-lettered after too many."""
        self._failed(self._unlock(token))

    def release(self, token: UUID) -> None:
        """Give back a delivery that was never looked at: its count does not rise."""
        lock = self._locks.pop(token, None)
        if lock is not None:
            self._put_back(lock.message)

    def defer(self, token: UUID) -> None:
        message = self._unlock(token).message
        message.delivery_count += 1
        message.state = DEFERRED
        self._deferred[message.sequence] = message

    def dead_letter(self, token: UUID, reason: str | None, description: str | None) -> None:
        self._bury(self._unlock(token).message, reason, description)

    def renew(self, token: UUID) -> float:
        """Returns the new end of the lock."""
        self.tick()
        lock = self._locks.get(token)
        if lock is None:
            raise QueueError(LOCK_LOST, "The lock supplied is invalid: it expired, or the message was settled.")
        lock.until = self.now() + self.settings.lock_duration_s
        heapq.heappush(self._expiry, (lock.until, lock.message.sequence, token))
        return lock.until

    def take_deferred(self, sequences: Iterable[int], *, lock: bool) -> list[Lock | Message]:
        """Deferred messages by sequence number. Raises QueueError when one is not there; then none is taken."""
        wanted = list(sequences)
        missing = [number for number in wanted if number not in self._deferred]
        if missing:
            raise QueueError(NOT_FOUND, f"no deferred message has the sequence number {missing[0]}")
        messages = [self._deferred.pop(number) for number in wanted]
        return [self._lock(message, was_deferred=True) if lock else message for message in messages]

    def peek(self, first: int, count: int) -> list[tuple[Message, Lock | None]]:
        """Messages from a sequence number on, of any state, without taking them."""
        self.tick()
        found = [(message, lock) for message, lock in self._all() if message.sequence >= first]
        return sorted(found, key=lambda each: each[0].sequence)[:count]

    def _all(self) -> Iterator[tuple[Message, Lock | None]]:
        yield from ((message, None) for _, message in self._ready)
        yield from ((message, None) for message in self._scheduled.values())
        yield from ((message, None) for message in self._deferred.values())
        yield from ((lock.message, lock) for lock in self._locks.values())

    def purge(self) -> None:
        """Forget every message."""
        for kept in (self._ready, self._scheduled, self._due, self._locks, self._expiry, self._deferred, self._ttl):
            kept.clear()
        self._seen.clear()

    def _failed(self, lock: Lock) -> None:
        message = lock.message
        message.delivery_count += 1
        if self.dead_letters is not None and message.delivery_count >= self.settings.max_delivery_count:
            text = f"Message could not be consumed after {message.delivery_count} delivery attempts."
            self._bury(message, "MaxDeliveryCountExceeded", text)
        elif lock.was_deferred:
            message.state = DEFERRED
            self._deferred[message.sequence] = message
        else:
            self._put_back(message)

    def _bury(self, message: Message, reason: str | None, description: str | None) -> None:
        if self.dead_letters is None:
            self._put_back(message)
            return
        dead = replace(message, expires_at=None)
        mark_dead(dead, reason, description)
        self.dead_letters._enqueue(dead)

    def tick(self) -> float | None:
        """Do what has fallen due: schedules, locks, expiry. Returns when the next thing falls due."""
        now = self.now()
        while self._due and self._due[0][0] <= now:
            message = self._scheduled.pop(heapq.heappop(self._due)[1], None)
            if message is not None:
                self._enqueue(message)
        while self._expiry and self._expiry[0][0] <= now:
            until, _, token = heapq.heappop(self._expiry)
            lock = self._locks.get(token)
            if lock is not None and lock.until <= until:
                del self._locks[token]
                self._failed(lock)
        self._expire(now)
        return min((heap[0][0] for heap in (self._due, self._expiry, self._ttl) if heap), default=None)

    def _expire(self, now: float) -> None:
        """Take messages whose time to live is over; a locked one is left to its lock."""
        over = set()
        while self._ttl and self._ttl[0][0] <= now:
            over.add(heapq.heappop(self._ttl)[1])
        if not over:
            return
        expired = [message for number, message in self._ready if number in over]
        self._ready = [each for each in self._ready if each[0] not in over]
        heapq.heapify(self._ready)
        if self.settings.dead_letter_on_expiration:
            for message in expired:
                self._bury(message, "TTLExpiredException", "The message expired and was dead lettered.")
