"""A read whose answer is kept for a while, and which serves all callers that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Flight(Generic[T]):
    """A read under way. `number`: of all reads; `at`: when it began."""

    number: int
    at: float
    task: asyncio.Task[T]
    callers: int = 0


class SharedRead(Generic[T]):
    """At most one read at a time. A caller takes an answer that was asked for within its `max_age_s`, or a read that
    began after it asked. So all callers of a slow read wait for two reads at most.

    A failed read fails all who waited for it, and the next caller reads again. A cancelled caller leaves the read to
    the others; without any other, the read is cancelled.
    """

    def __init__(self, read: Callable[[], Awaitable[T]], monotonic: Callable[[], float]) -> None:
        self._read = read
        self._monotonic = monotonic
        self._known: tuple[int, float, T] | None = None
        self._flight: _Flight[T] | None = None
        self._begun = 0
        self._forgotten = 0

    @property
    def last(self) -> T | None:
        """The last answer, of whatever age."""
        return self._known[2] if self._known else None

    def forget(self) -> None:
        """A read that began before now is not used again: this process has changed the data."""
        self._known, self._forgotten = None, self._begun

    async def get(self, max_age_s: float) -> T:
        """The answer. Raises what the read raises."""
        asked, begun = self._monotonic(), self._begun

        def fits(number: int, at: float) -> bool:
            return number > begun or (number > self._forgotten and asked - at < max_age_s)

        while True:
            if self._known is not None and fits(*self._known[:2]):
                return self._known[2]
            flight = self._flight or self._start()
            try:
                value = await self._wait(flight)
            except Exception:  # a read that began too early for this caller failed: the loop reads again for it
                if fits(flight.number, flight.at):
                    raise
            else:
                if fits(flight.number, flight.at):
                    return value

    def _start(self) -> _Flight[T]:
        self._begun += 1
        number, at = self._begun, self._monotonic()
        self._flight = flight = _Flight(number, at, asyncio.create_task(self._run(number, at)))
        return flight

    async def _run(self, number: int, at: float) -> T:
        try:
            value = await self._read()
            if number > self._forgotten:
                self._known = (number, at, value)
            return value
        finally:
            if self._flight is not None and self._flight.number == number:
                self._flight = None

    async def _wait(self, flight: _Flight[T]) -> T:
        flight.callers += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.callers -= 1
            if not flight.callers and not flight.task.done():
                flight.task.cancel()
                self._flight = None if self._flight is flight else self._flight
