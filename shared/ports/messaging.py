"""The queues: sending, counting waiting messages, and their own dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send. `at`: not before then. `drained`: how often it was taken out of the dead letters. `denied`:
    the permission that its work waits for, in words."""

    queue: str
    body: bytes
    message_id: str | None = None
    at: datetime | None = None
    drained: int = 0
    denied: str = ""


class Queue(Protocol):
    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Send all of them. Raises Unavailable when any may not have been accepted; sending again is then right."""
        ...


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A message that the queue put aside after too many deliveries that failed, or too long a wait."""

    queue: str
    body: bytes
    reason: str
    drained: int = 0


class DeadLetterQueues(Protocol):
    """The queues' own dead letters."""

    async def drain(self, queue: str, top: int, take: Callable[[Undelivered], Awaitable[None]]) -> int:
        """Give at most `top` dead letters of a queue to `take`, one by one; each is taken off once that has returned.
        Returns how many were. Raises Unavailable, and what `take` raises: that letter stays."""
        ...


@dataclass(frozen=True, slots=True)
class QueueState:
    """Messages of a queue: `waiting` can be processed now, since `oldest_at`; `scheduled` is for later. `more`: there
    are more than were counted. `denied`: how many wait for a permission, and `denial` which one, in words."""

    queue: str
    waiting: int
    scheduled: int
    oldest_at: datetime | None
    more: bool = False
    denied: int = 0
    denial: str = ""


class QueueWatch(Protocol):
    """What waits in the queues, without taking it."""

    async def check(self, queue: str, most: int) -> QueueState:
        """Look at no more than `most` messages. Raises Unavailable."""
        ...
