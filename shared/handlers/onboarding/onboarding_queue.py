"""The queue function `onboarding`: events come in, and records are resumed whenever something may have come of them.

Each step reads (`people`), has the domain decide, writes (`joiner`, `leaver`, `undo`), and saves (`records`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.backoff import Backoff
from shared.domain.budget import Charged
from shared.domain.errors import PoisonMessage
from shared.domain.hr_intake import IF_DUE, keys_of, open_keys
from shared.domain.initiator import queue_sender
from shared.domain.messages import MAX_USERS, ONBOARDING, load_object
from shared.domain.onboarding import HrEventType, Next, OnboardingRecord, OnboardingState, waiting
from shared.domain.onboarding_order import looked_for, starts_at
from shared.domain.writing import WHY
from shared.handlers.groups.assignment_cache import Intents
from shared.handlers.messaging.settlement import AWAY
from shared.handlers.onboarding import people, records
from shared.handlers.onboarding.hr_scope import former_use
from shared.handlers.onboarding.joiner import process_joiners
from shared.handlers.onboarding.leaver import process_leavers
from shared.handlers.onboarding.membership_writes import GroupsKnown, Writer
from shared.handlers.onboarding.needs import Needs
from shared.handlers.onboarding.people import Match, waits_of
from shared.handlers.onboarding.records import Saver
from shared.handlers.onboarding.rejected import keep_rejected
from shared.handlers.onboarding.undo import restore_leavers
from shared.handlers.reconcile.write_limiter import Pacer

DUE_AT_ONCE, MOST_ROUNDS = 1000, 5
"""Entries of one round of the timer, and rounds of one run. More than one round is for entries that need nothing any
more. Messages are added to a queue that may be late already, so the next run sends the rest."""

SENT_AGAIN = Backoff(timedelta(minutes=5), timedelta(hours=1))
"""When the timer sends a record again that it has sent before: the pause grows as long as nothing happens."""

EARLY = timedelta(seconds=10)
"""A message may come so much before its time, by clocks that differ."""

LIKELY = frozenset({OnboardingState.RECEIVED, OnboardingState.SCHEDULED})
"""States whose next step mostly writes a membership."""


class Onboarding:
    """One per process, for its caches and its share of the write quota."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        self._intents = Intents(world)
        self._pacer = Pacer(world)
        self._groups = GroupsKnown(world)

    async def take(self, body: bytes) -> None:
        """A message: an event, or keys of records to resume. Raises Unavailable and Conflict when the same message
        later is right."""
        try:
            fields = load_object(body, "onboarding message")
            keys = keys_of(fields)
        except PoisonMessage as fault:
            await keep_rejected(self._world, body, None, str(fault), "not a readable message")
            return
        keys = keys or await self._accepted(fields)
        if not (await self._pacer.writing()).is_on:
            # The events are rows, and the timer resumes each when writing is turned on.
            return
        await self.resume(keys, if_due=bool(fields.get(IF_DUE)))

    async def _accepted(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """The record of an event to resume. One that was not taken is kept where people see it."""
        event = {name: value for name, value in fields.items() if name != AWAY}
        receipts = await records.accept(self._world, [event], queue_sender(ONBOARDING, ""))
        for each in receipts:
            if each.reason:
                whole = json.dumps(event, default=str).encode()
                await keep_rejected(self._world, whole, event.get("source"), each.reason, each.logged_reason)
        return open_keys(receipts)

    async def resume(self, keys: Sequence[str], *, if_due: bool = False) -> None:
        """Do for each record what its time and its person's state allow now; at most 20. `if_due`: only for those whose
        next step is not later, so that a duplicate message does not cause duplicate steps from then on."""
        world, now = self._world, self._world.clock.now()
        read = await asyncio.gather(*map(world.stores.onboarding.get, keys))
        found = [each for each in read if each is not None and not (if_due and _is_put_off(each, now))]
        for record in found:
            if record.state.is_ended and not record.announced:
                await records.announce(world, record)
        async with Saver(world) as saver:
            await self._process(saver, [record for record in found if not record.state.is_ended])

    async def _process(self, saver: Saver, open_ones: Sequence[OnboardingRecord]) -> None:
        world, now = self._world, self._world.clock.now()
        cancelled = [record for record in open_ones if record.cancelled_by]
        others = [record for record in open_ones if not record.cancelled_by]
        working = [each for each in others if each.working_since and each.state is OnboardingState.WORKING]
        early, ready = self._by_time([record for record in others if record not in working])
        some = bool(ready or cancelled)
        assignments = await self._intents.at_least({}, now) if some else await self._intents.at_least({})
        if working:
            await saver.save(await people.assess(world, working, assignments, await self._pacer.backlog()))
        if cancelled:
            steps = await restore_leavers(world, Writer(world, self._pacer), cancelled, assignments)
            await saver.save(steps, assignments)
        matched = await self._matched(saver, early)
        writer = await self._paid(saver, ready) if ready else None
        if writer is None and not matched:
            return
        try:
            writer, ready = (writer, ready) if writer is not None else (Writer(world, self._pacer), [])
            read, steps = await people.read(world, [*matched, *await self._matched(saver, ready)])
            await saver.save(steps)
            leaving = [each for each in read if each.record.event.type is HrEventType.LEAVER]
            coming = [each for each in read if each not in leaving]
            if leaving:
                await saver.save(await process_leavers(world, self._groups, writer, leaving, assignments))
            if coming:
                await saver.save(await process_joiners(world, self._groups, writer, coming, assignments), assignments)
        finally:
            if writer is not None:
                await writer.give_back()

    def _by_time(self, candidates: Sequence[OnboardingRecord]) -> tuple[list[OnboardingRecord], list[OnboardingRecord]]:
        """Those whose time has not come, which are compared with HR's other statements all the same, and those whose
        time has."""
        now, waits = self._world.clock.now(), waits_of(self._world)
        starts = [starts_at(record, waits) for record in candidates]
        due = [start is not None and start <= now for start in starts]
        pairs = list(zip(candidates, due, strict=True))
        return [record for record, is_due in pairs if not is_due], [record for record, is_due in pairs if is_due]

    async def _paid(self, saver: Saver, ready: Sequence[OnboardingRecord]) -> Writer | None:
        """Reserve a write for each event that will most likely need one, before anything is read for it. In a burst,
        events return at the time of their reservation. Returns the writer for the reservations, None if all return.
        Events that wait for an account or another event reserve nothing. Leavers without a permit reserve nothing
        either, because most of them are held when there are many."""
        likely = sum(
            record.state in LIKELY
            and not record.event.type.names_a_leaver
            and (record.event.type is not HrEventType.LEAVER or bool(record.permitted_by))
            for record in ready
        )
        if not likely:
            return Writer(self._world, self._pacer)
        slot = await self._pacer.charge(urgent=True, writes=likely)
        if slot.charged:
            return Writer(self._world, self._pacer, Charged(slot.start, likely))
        now, at = self._world.clock.now(), datetime.fromtimestamp(slot.start, tz=UTC)
        note = WHY if slot.is_off else "The write quota is used; comes back."
        await saver.save([Next(waiting(each, each.state, now, at, note)) for each in ready])
        return None

    async def _matched(self, saver: Saver, candidates: Sequence[OnboardingRecord]) -> list[Match]:
        """The records that are carried out now; the others are put away with their reason, or end. Each is saved before
        the next is decided, which may be of the same person."""
        if not candidates:
            return []
        accounts = await self._world.accounts.find([looked_for(record) for record in candidates])
        matched = []
        for record in candidates:
            steps, found = await people.match(self._world, record, accounts[looked_for(record)])
            await saver.save(steps)
            if found is not None:
                matched.append(found)
        return matched


def _is_put_off(record: OnboardingRecord, now: datetime) -> bool:
    """A record whose writer died is not: its message comes back before the look that was planned for that."""
    return record.next_at is not None and record.next_at > now + EARLY and not record.is_being_written


async def resume_due_events(world: Needs) -> int:
    """The timer: send due records that no message has started. They are sent first and rescheduled second.

    Each stays on the list until it is over. Returns how many were sent.
    """
    if None in (world.policy.onboarding_groups, world.policy.hr_senders):
        await former_use(world)  # Groups and senders from before an upgrade are found within a minute of it.
    sent = 0
    for _ in range(MOST_ROUNDS):
        now = world.clock.now()
        entries = await world.stores.onboarding.due(now, DUE_AT_ONCE)
        open_ones = await _not_over(world, list(dict.fromkeys(key for _, key in entries)))
        times = {record.key: record.next_at or record.updated_at for record in open_ones}
        keys = [key for key, at in times.items() if at <= now]
        await records.resume(world, keys, if_due=True)
        later = [(max(at, now + SENT_AGAIN.after(now - at)), key) for key, at in times.items()]
        await records.reschedule(world, entries, later)
        sent += len(keys)
        if len(entries) < DUE_AT_ONCE or sent >= DUE_AT_ONCE:
            break
    return sent


async def _not_over(world: Needs, keys: Sequence[str]) -> list[OnboardingRecord]:
    """Records that have not ended, or whose result was not sent. Most due records are neither."""
    found = []
    for start in range(0, len(keys), MAX_USERS):
        for record in await asyncio.gather(*map(world.stores.onboarding.get, keys[start : start + MAX_USERS])):
            if record is not None and not record.is_over:
                found.append(record)
    return found
