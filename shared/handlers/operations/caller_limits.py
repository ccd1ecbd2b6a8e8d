"""Limits for each caller of the page and the API.

Reads are counted in each process, because they are many and cheap. Changes and HR events cost several table rows each,
so their count is a row that all instances share, read and written under its ETag. A caller over the limit is rejected
without a write, and by the process that rejected it also without a read until the time is over.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial

from shared.domain.caller_limits import Kind, admitted
from shared.domain.concurrency import update
from shared.domain.errors import LimitReached
from shared.domain.initiator import Initiator
from shared.handlers.operations.needs import Needs

MAX_CALLERS = 10_000
"""Callers that a process remembers; then it forgets those whose time is over."""

MAX_TRIES = 5
"""Lost races for the row of a caller. Only requests of the same caller race for it, so losing them all is a flood."""

RACE_RETRY_S = 5.0

SETTINGS = {
    Kind.READS: "CALLER_READS_PER_MINUTE",
    Kind.CHANGES: "CALLER_CHANGES_PER_MINUTE",
    Kind.PREVIEWS: "CALLER_PREVIEWS_PER_MINUTE",
    Kind.HR_EVENTS: "CALLER_HR_EVENTS_PER_MINUTE",
}

PREVIEW_RETRY_S = 30.0
"""The preview of a large group needs up to a minute."""


class CallerLimits:
    """One per process."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        policy = world.policy
        self._per_minute = {
            Kind.READS: policy.caller_reads_per_minute,
            Kind.CHANGES: policy.caller_changes_per_minute,
            Kind.PREVIEWS: policy.caller_previews_per_minute,
            Kind.HR_EVENTS: policy.caller_hr_events_per_minute,
        }
        self._reads: dict[str, float] = {}
        self._rejected_until: dict[tuple[str, Kind], float] = {}

    async def admit(self, caller: str, kind: Kind, n: int = 1) -> None:
        """Count `n` for the caller. Raises LimitReached; then none of them is counted. For 0, it raises only for a
        caller whose rejection is not over yet."""
        now = self._world.clock.now().timestamp()
        until = self._rejected_until.get((caller, kind), 0.0)
        if until > now:
            raise self._reached(caller, kind, until - now)
        if not n:
            return
        if kind is Kind.READS:
            paid, wait_s = admitted(self._reads.get(caller, 0.0), self._per_minute[kind], n, now)
            if not wait_s:
                self._reads[caller] = paid
        else:
            wait_s = await self._counted(caller, kind, n)
        if len(self._reads) > MAX_CALLERS:
            self._reads = {each: paid for each, paid in self._reads.items() if paid > now}
        if wait_s:
            self._remember(caller, kind, now, now + wait_s)
            raise self._reached(caller, kind, wait_s)

    def _remember(self, caller: str, kind: Kind, now: float, until: float) -> None:
        if len(self._rejected_until) > MAX_CALLERS:
            self._rejected_until = {each: at for each, at in self._rejected_until.items() if at > now}
        self._rejected_until[caller, kind] = until

    async def _counted(self, caller: str, kind: Kind, n: int) -> float:
        """Count in the row of the caller. Returns the seconds to wait, 0 if it was counted."""
        store = self._world.stores.budget
        # A hash, because an id in a claim can have characters that no key can have.
        key = f"{kind.name.lower()}-{hashlib.sha256(caller.encode()).hexdigest()[:32]}"
        waits = [0.0]

        def add(stored: tuple[str, str | None]) -> tuple[str, str | None] | None:
            text, etag = stored
            paid_until = float(json.loads(text)["paidUntil"]) if text else 0.0
            now = self._world.clock.now().timestamp()
            paid, waits[0] = admitted(paid_until, self._per_minute[kind], n, now)
            return None if waits[0] else (json.dumps({"paidUntil": paid}), etag)

        async def save(changed: tuple[str, str | None]) -> str:
            return await store.save(*changed, key=key)

        lost = self._reached(caller, kind, RACE_RETRY_S)
        await update(partial(store.load, key), add, save, tries=MAX_TRIES, lost=lost)
        return waits[0]

    def _reached(self, caller: str, kind: Kind, wait_s: float) -> LimitReached:
        limit = self._per_minute[kind]
        return LimitReached(
            wait_s,
            f"A caller can send {limit:,} {kind} a minute. Send this again after the time in Retry-After. An "
            f"administrator of the app can change the setting {SETTINGS[kind]}.",
            caller,
            f"limit of {kind}",
        )


async def check_open_previews(world: Needs, initiator: Initiator) -> None:
    """Raise LimitReached if the caller has too many previews that are not complete. Requests at the same moment can
    exceed the number by as many as there are; the limit of previews a minute bounds them."""
    limit = world.policy.caller_open_previews
    if await world.stores.operations.open_previews(initiator.id) >= limit:
        raise LimitReached(
            PREVIEW_RETRY_S,
            f"{limit} of your previews are not complete yet, and a caller can have no more. Wait for them, or cancel "
            "some. An administrator of the app can change the setting CALLER_OPEN_PREVIEWS.",
            initiator.id,
            "limit of open previews",
        )
