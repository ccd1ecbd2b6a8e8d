"""One queue in memory: peek-lock, schedules, expiry, duplicates, dead letters. The clock is injected.

Semantics: learn.microsoft.com/azure/service-bus-messaging, pages message-transfers-locks-settlement,
message-sequencing, message-expiration, message-deferral, duplicate-detection, service-bus-dead-letter-queues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol
from uuid import UUID, uuid4

from local.servicebus.agenda import Agenda
from local.servicebus.amqp.types import AmqpError
from local.servicebus.config import QueueSettings
from local.servicebus.disturbance import Disturbance
from local.servicebus.message import Message, MessageState, dead

LOCK_LOST = "com.microsoft:message-lock-lost"
NOT_FOUND = "com.microsoft:message-not-found"
QUOTA_EXCEEDED = "amqp:resource-limit-exceeded"


class _Clearable(Protocol):
    def clear(self) -> None: ...


@dataclass(slots=True)
class Lock:
    """A delivery that is not settled. Each delivery has a token of its own."""

    message: Message
    token: UUID


class Queue:
    """`dead_letters` is where this queue's dead messages go; None for a dead-letter queue, where they stay.

    `changed` is called after every change that may give receivers something to do or move the next due time.
    """

    def __init__(
        self,
        name: str,
        settings: QueueSettings,
        now: Callable[[], float],
        *,
        dead_letters: Queue | None = None,
        disturbance: Disturbance | None = None,
    ) -> None:
        self.name = name
        self.settings = settings
        self.dead_letters = dead_letters
        self.changed: Callable[[], None] = lambda: None
        self.now = now
        self._disturbance = disturbance or Disturbance()
        self._sequence = 0
        self._bytes = 0
        self._messages: dict[int, Message] = {}  # in sequence order, since numbers only rise
        self._ready: Agenda[int] = Agenda()
        self._scheduled: Agenda[int] = Agenda()
        self._expiring: Agenda[int] = Agenda()
        self._deferred: set[int] = set()
        self._locks: dict[UUID, Lock] = {}
        self._lock_ends: Agenda[UUID] = Agenda()
        self._seen: dict[Any, float] = {}  # message id to the end of its window, oldest first

    def counts(self) -> dict[str, int]:
        """Messages by state; each is counted once."""
        self.tick()
        return {
            "active": len(self._ready),
            "scheduled": len(self._scheduled),
            "locked": len(self._locks),
            "deferred": len(self._deferred),
            "deadLetter": len(self.dead_letters) if self.dead_letters is not None else 0,
        }

    def __len__(self) -> int:
        return len(self._messages)

    def send(self, messages: Sequence[Message]) -> list[int]:
        """Take in messages, all or none; returns a sequence number for each. A duplicate is accepted and dropped.

        Raises AmqpError when the queue is full.
        """
        held = self._bytes + (self.dead_letters._bytes if self.dead_letters is not None else 0)
        if held + sum(message.size for message in messages) > self.settings.max_size_bytes:
            text = f"The queue {self.name} holds {held} bytes; the limit is {self.settings.max_size_bytes} bytes."
            raise AmqpError(QUOTA_EXCEEDED, text)
        numbers = [self._accept(message) for message in messages]
        self.changed()
        return numbers

    def _accept(self, message: Message) -> int:
        if self._is_duplicate(message):
            return self._next_number()
        if message.scheduled_at is not None and message.scheduled_at > self.now():
            self._store(message, MessageState.SCHEDULED)
            self._scheduled.put(message.sequence, message.scheduled_at)
        else:
            self._activate(message)
        return message.sequence

    def _is_duplicate(self, message: Message) -> bool:
        if not self.settings.requires_duplicate_detection or message.message_id is None:
            return False
        now = self.now()
        while self._seen and (oldest := next(iter(self._seen.items())))[1] <= now:
            del self._seen[oldest[0]]
        if message.message_id in self._seen:
            return True
        self._seen[message.message_id] = now + self.settings.duplicate_window_s
        return False

    def _next_number(self) -> int:
        self._sequence += 1
        return self._sequence

    def _store(self, message: Message, state: MessageState) -> None:
        message.sequence = self._next_number()
        message.enqueued_at = self.now()
        message.state = state
        self._messages[message.sequence] = message
        self._bytes += message.size

    def _remove(self, message: Message) -> None:
        del self._messages[message.sequence]
        self._bytes -= message.size

    def _activate(self, message: Message) -> None:
        copies = [message, replace(message)] if self._disturbance.doubles() else [message]
        for copy in copies:
            self._store(copy, MessageState.ACTIVE)
            limits = [ttl for ttl in (copy.ttl_s, self.settings.default_ttl_s) if ttl is not None]
            is_dead = self.dead_letters is None
            copy.expires_at = copy.enqueued_at + min(limits) if limits and not is_dead else None
            self._offer(copy)

    def _offer(self, message: Message) -> None:
        """Make a message receivable, in its place."""
        if message.expires_at is not None and message.expires_at <= self.now():
            self._expire(message)
            return
        message.state = MessageState.ACTIVE
        self._ready.put(message.sequence, self._disturbance.place(message.sequence))
        if message.expires_at is not None:
            self._expiring.put(message.sequence, message.expires_at)

    def take(self) -> Lock | None:
        """Lock the next message; None when there is none."""
        message = self._take()
        return self._lock(message) if message is not None else None

    def take_for_good(self) -> Message | None:
        """Remove the next message; None when there is none."""
        message = self._take()
        if message is not None:
            self._remove(message)
        return message

    def _take(self) -> Message | None:
        self.tick()
        sequence = self._ready.pop()
        if sequence is None:
            return None
        self._expiring.discard(sequence)
        return self._messages[sequence]

    def _lock(self, message: Message) -> Lock:
        lock = Lock(message, uuid4())
        self._locks[lock.token] = lock
        self._start(lock)
        return lock

    def _start(self, lock: Lock) -> float:
        until = self.now() + self.settings.lock_duration_s
        lock.message.locked_until = until
        self._lock_ends.put(lock.token, until)
        return until

    def _unlock(self, token: UUID) -> Message:
        lock = self._locked(token)
        self._lock_ends.discard(token)
        return self._end(lock)

    def _end(self, lock: Lock) -> Message:
        del self._locks[lock.token]
        lock.message.locked_until = None
        return lock.message

    def _locked(self, token: UUID) -> Lock:
        self.tick()
        lock = self._locks.get(token)
        if lock is None:
            raise AmqpError(LOCK_LOST, f"The lock {token} is invalid: it expired, or the message is settled.")
        return lock

    def complete(self, token: UUID) -> None:
        """Remove a locked message. This and the other outcomes raise AmqpError for a lock that is lost."""
        self._remove(self._unlock(token))

    def abandon(self, token: UUID) -> None:
        """A failed delivery: receivable again at once, dead after too many."""
        self._failed(self._unlock(token))
        self.changed()

    def release(self, token: UUID) -> None:
        """Return an unread delivery: it does not count. A delivery whose lock is lost is back already."""
        if token in self._locks:
            self._give_back(self._unlock(token))
            self.changed()

    def defer(self, token: UUID) -> None:
        """Keep a message until it is asked for by its sequence number."""
        message = self._unlock(token)
        message.delivery_count += 1
        self._put_aside(message)

    def dead_letter(self, token: UUID, reason: str | None, description: str | None) -> None:
        """Move a message to the dead-letter queue; in such a queue it stays where it is."""
        self._dead_letter_message(self._unlock(token), reason, description)

    def renew(self, token: UUID) -> float:
        """A full lock duration from now; returns its end."""
        return self._start(self._locked(token))

    def cancel(self, sequences: Sequence[int]) -> None:
        """Remove scheduled messages, all or none. Raises AmqpError when one is not scheduled (any more)."""
        self.tick()
        self._require(sequences, self._scheduled, "scheduled")
        for sequence in sequences:
            self._scheduled.discard(sequence)
            self._remove(self._messages[sequence])

    def take_deferred(self, sequences: Sequence[int]) -> list[Lock]:
        """Lock deferred messages, all or none. Raises AmqpError when one is not deferred."""
        return [self._lock(message) for message in self._recall(sequences)]

    def take_deferred_for_good(self, sequences: Sequence[int]) -> list[Message]:
        """Remove deferred messages, all or none. Raises AmqpError when one is not deferred."""
        messages = self._recall(sequences)
        for message in messages:
            self._remove(message)
        return messages

    def _recall(self, sequences: Sequence[int]) -> list[Message]:
        self.tick()
        self._require(sequences, self._deferred, "deferred")
        self._deferred.difference_update(sequences)
        self.changed()
        return [self._messages[sequence] for sequence in sequences]

    @staticmethod
    def _require(sequences: Sequence[int], known: Agenda[int] | set[int], what: str) -> None:
        missing = [sequence for sequence in sequences if sequence not in known]
        if missing or len(set(sequences)) != len(sequences):
            raise AmqpError(NOT_FOUND, f"No {what} message has the sequence number {missing or sequences}.")

    def peek(self, first: int, count: int) -> list[Message]:
        """Messages of any state in the order of their sequence numbers, from `first` on; nothing is changed."""
        self.tick()
        return list(islice((each for number, each in self._messages.items() if number >= first), max(0, count)))

    def purge(self) -> None:
        """Forget every message, lock and message id; sequence numbers go on."""
        collections: tuple[_Clearable, ...] = (
            self._messages,
            self._ready,
            self._scheduled,
            self._expiring,
            self._deferred,
            self._locks,
            self._lock_ends,
            self._seen,
        )
        for each in collections:
            each.clear()
        self._bytes = 0

    def tick(self) -> None:
        """Do what has fallen due: schedules, lock ends, expiry."""
        now = self.now()
        for sequence in self._scheduled.pop_until(now):
            message = self._messages[sequence]
            self._remove(message)
            self._activate(message)
        for token in self._lock_ends.pop_until(now):
            self._failed(self._end(self._locks[token]))
        for sequence in self._expiring.pop_until(now):
            self._ready.discard(sequence)
            self._expire(self._messages[sequence])

    def next_due(self) -> float | None:
        """When `tick` is needed next; None while nothing waits for a time."""
        return min(self._due_times(), default=None)

    def _due_times(self) -> Iterator[float]:
        for agenda in (self._scheduled, self._expiring):
            if (first := agenda.first()) is not None:
                yield first
        if (end := self._lock_ends.first()) is not None:
            yield end

    def _failed(self, message: Message) -> None:
        message.delivery_count += 1
        if self.dead_letters is not None and message.delivery_count >= self.settings.max_delivery_count:
            text = f"The message was not consumed in {message.delivery_count} deliveries."
            self._dead_letter_message(message, "MaxDeliveryCountExceeded", text)
        else:
            self._give_back(message)

    def _give_back(self, message: Message) -> None:
        if message.state is MessageState.DEFERRED:
            self._put_aside(message)
        else:
            self._offer(message)

    def _put_aside(self, message: Message) -> None:
        message.state = MessageState.DEFERRED
        self._deferred.add(message.sequence)

    def _expire(self, message: Message) -> None:
        if self.settings.dead_letter_on_expiration:
            self._dead_letter_message(message, "TTLExpiredException", "The message expired and was dead-lettered.")
        else:
            self._remove(message)

    def _dead_letter_message(self, message: Message, reason: str | None, description: str | None) -> None:
        if self.dead_letters is None:
            self._give_back(message)
            self.changed()
            return
        self._remove(message)
        buried = dead(message, reason, description)
        self.dead_letters._activate(buried)
        self.dead_letters.changed()
