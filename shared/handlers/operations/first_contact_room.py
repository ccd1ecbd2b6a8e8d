"""Room in the write quota for the writes of a first-contact run. They are reserved before they are sent, as all writes.

A single license write also leases its place among those in flight. A batch of the level `load` does not, because it
tests how many can be in flight.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.domain.budget import Slot
from shared.domain.errors import Unavailable
from shared.domain.first_contact import Answer, Subject
from shared.domain.first_contact_load import is_contended
from shared.domain.first_contact_observations import error_of, retry_after_form
from shared.domain.ids import UserId
from shared.domain.width import Lease
from shared.domain.write_results import Accepted, Contended, Rejected, Throttled, Unanswered, WriteResult
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.write_limiter import Pacer

LICENSE_WRITES: Mapping[str, str] = {
    **dict.fromkeys(("partial", "unknownPlan", "assign", "assignAgain", "removeUnknown", "remove"), "user"),
    **dict.fromkeys(("groupUnknownSku", "restoreGroup"), "group"),
}
"""Writes of licenses that are sent alone, and the kind of the object that they change."""

LONGEST_WAIT_S = 120.0
"""How long a run waits for room before another process continues it."""

BARE_THROTTLE_S = 10.0
"""The wait after a 429 without a `Retry-After` in seconds (learn.microsoft.com/graph/throttling)."""


@dataclass(slots=True)
class Room:
    """A reservation. `answers`: Graph's answers to the writes that were sent with it; empty if none was."""

    answers: Sequence[Answer] = ()


class WriteRoom:
    """Reserves writes of one run."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        self._pacer = Pacer(world)

    @asynccontextmanager
    async def reserved(self, name: str, subject: Subject, writes: int = 1) -> AsyncIterator[Room]:
        """A reservation that lasts until the block ends, and then is released with the answer.

        Raises Unavailable if writing is turned off, or if there is no room for minutes.
        """
        slot, lease = await self._reserve(licenses=name in LICENSE_WRITES, writes=writes)
        about_group = LICENSE_WRITES.get(name) == "group"
        key = UserId(subject.test_group_id if about_group else subject.test_user_id)
        room = Room()
        try:
            await self._world.clock.sleep(max(0.0, slot.start - self._world.clock.now().timestamp()))
            yield room
        finally:
            results = [result_of(each) for each in room.answers]
            if lease is not None:
                await self._pacer.report(lease, dict(zip([key], results, strict=False)))
            else:
                await self._pacer.heed_throttling(results)
            if not results:
                await self._pacer.give_back(slot, writes)

    async def _reserve(self, *, licenses: bool, writes: int) -> tuple[Slot, Lease | None]:
        clock = self._world.clock
        began = clock.now().timestamp()
        while True:
            lease: Lease | None = None
            if licenses:
                grant, _ = await self._pacer.take([writes], urgent=True)
                slot, lease = grant.slot, grant.lease
            else:
                slot = await self._pacer.charge(urgent=True, writes=writes)
            now = clock.now().timestamp()
            if slot.charged:
                return slot, lease
            if slot.is_off:
                raise Unavailable(60, "writing is turned off, and the first-contact check waits for it")
            if slot.start - began > LONGEST_WAIT_S:
                raise Unavailable(60, "the write quota has no room for the first-contact check yet")
            await clock.sleep(max(0.5, slot.start - now))


def result_of(answer: Answer) -> WriteResult:
    """The answer as the controls of rate and width take it."""
    code, message = error_of(answer.body)
    if answer.ok:
        return Accepted()
    if is_contended(answer):
        return Contended(message or code)
    if answer.status == 429:
        asked = answer.headers.get("retry-after", "")
        is_number = bool(asked) and retry_after_form(asked) != "date"
        return Throttled(float(asked) if is_number else BARE_THROTTLE_S, answer.headers.get("x-ms-throttle-scope", ""))
    return Rejected(answer.status, code, message) if 400 <= answer.status < 500 else Unanswered(message or code)
