"""The queue function `onboarding`: events come in, and records are taken up whenever something may have come of
them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared.domain.budget import Charged
from shared.domain.directory import DirectoryUser
from shared.domain.messages import MAX_USERS, load_object
from shared.domain.onboarding import HrEventType, OnboardingRecord, OnboardingState
from shared.handlers.groups.assignment_cache import Intents
from shared.handlers.onboarding.accounts import Found, found, is_due, pause_since, pinned, read_again, wait_for_account
from shared.handlers.onboarding.group_rules import GroupsKnown
from shared.handlers.onboarding.intake import IF_DUE, accept, event_of, keys_of, open_keys, send_take_up
from shared.handlers.onboarding.joiner import Working
from shared.handlers.onboarding.leaver import Leaving
from shared.handlers.onboarding.membership_writes import Writer
from shared.handlers.onboarding.progress import assess
from shared.handlers.onboarding.record_updates import Saver, ended, waiting
from shared.handlers.onboarding.undo import give_back
from shared.handlers.reconcile.write_limiter import Pacer
from shared.ports.directory import NotAUser, ReadFailed
from shared.ports.world import World

SENDER = "onboarding queue"
DUE_AT_ONCE, MOST_ROUNDS = 1000, 5
"""Entries of one round of the timer, and rounds of one run. More rounds are for entries that need nothing any more:
what is sent goes behind a queue that may be late already, and the next run takes the rest."""

SENT_AGAIN, SELDOM = timedelta(minutes=5), timedelta(hours=1)
"""When the timer looks again at what it had taken up: later the longer nothing came of it, at most so much."""

EARLY = timedelta(seconds=10)
"""A message may come so much before its time, by clocks that differ."""

SAME_PERSON_LOOK = timedelta(seconds=10)
"""When an event is taken up again that came in one message with an earlier one of its person."""

LIKELY = frozenset({OnboardingState.RECEIVED, OnboardingState.SCHEDULED})
"""States from which the next look mostly writes a membership."""


class Onboarding:
    """One per process, for its caches and its share of the write quota."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._intents = Intents(world)
        self._pacer = Pacer(world)
        groups = GroupsKnown(world)
        self._working = Working(world, groups)
        self._leaving = Leaving(world, groups)

    async def take(self, body: bytes) -> None:
        """A message: an event, or keys of records to take up. Raises PoisonMessage for an unreadable body, Unavailable
        and Conflict when the same message later is right."""
        fields = load_object(body, "onboarding message")
        keys = keys_of(fields)
        if keys is None:
            keys = open_keys(await accept(self._world, [event_of(fields)], SENDER))
        await self.take_up(keys, if_due=bool(fields.get(IF_DUE)))

    async def take_up(self, keys: Sequence[str], *, if_due: bool = False) -> None:
        """Do for each record what its time and its person's state allow now; at most 20. `if_due`: only for those whose
        next look is not later, so that a message that came twice is not followed by looks twice from then on."""
        saver = Saver(self._world)
        try:
            await self._take_up(keys, saver, if_due)
        finally:
            await saver.flush()

    async def _take_up(self, keys: Sequence[str], saver: Saver, if_due: bool) -> None:
        now = self._world.clock.now()
        read = await asyncio.gather(*map(self._world.stores.onboarding.get, keys))
        records = [record for record in read if record is not None]
        if if_due:
            records = [record for record in records if not _is_put_off(record, now)]
        for record in records:
            if record.state.is_ended and not record.announced:
                await saver.announce(record)
        open_ones = [record for record in records if not record.state.is_ended]
        back = [record for record in open_ones if record.cancelled_by]
        working = [r for r in open_ones if r.working_since and r.state is OnboardingState.WORKING and r not in back]
        waiting_ones = []
        for record in open_ones:
            if record in working or record in back:
                continue
            if record.event.type is HrEventType.RELEASE:
                await self._release(saver, record)
            else:
                waiting_ones.append(record)
        known = await pinned(self._world, saver, waiting_ones)
        ready = [record for record in known if await is_due(self._world, saver, record)]
        some = bool(ready or back)
        assignments = await self._intents.at_least({}, now) if some else await self._intents.at_least({})
        if working:
            await assess(self._world, saver, working, assignments, await self._pacer.backlog())
        await give_back(self._world, saver, Writer(self._world, self._pacer), back, assignments)
        writer = await self._paid(saver, ready)
        if writer is None:
            return
        try:
            people = await self._read(saver, await found(self._world, saver, ready))
            leaving = [pair for pair in people if pair[0].record.event.type is HrEventType.LEAVER]
            await self._leaving.work(saver, writer, leaving, assignments)
            coming = [pair for pair in people if pair not in leaving]
            if coming:
                await self._working.work(saver, writer, coming, assignments)
        finally:
            await writer.give_back()

    async def _paid(self, saver: Saver, ready: Sequence[OnboardingRecord]) -> Writer | None:
        """Charge a write for each event that will most likely need one, before anything is read for it; in a burst,
        events come back at their place. Returns what writes with them, None where all come back. Those that wait for an
        account or for another event are not charged for looking, nor are leavers without leave, most of whom are held
        when there are many."""
        likely = sum(
            record.state in LIKELY and (record.event.type is not HrEventType.LEAVER or bool(record.permitted_by))
            for record in ready
        )
        if not likely:
            return Writer(self._world, self._pacer)
        slot = await self._pacer.charge(urgent=True, writes=likely)
        if slot.charged:
            return Writer(self._world, self._pacer, Charged(slot.start, likely))
        now, at = self._world.clock.now(), datetime.fromtimestamp(slot.start, tz=UTC)
        for record in ready:
            await saver.save(waiting(record, record.state, now, at, "The write quota is used; comes back."))
        return None

    async def _read(self, saver: Saver, persons: Sequence[Found]) -> list[tuple[Found, DirectoryUser]]:
        """The accounts with groups and licenses; one that cannot be read, or is not replicated, comes later. Of several
        events of one person the first in order goes on, the others after it."""
        if not persons:
            return []
        now = self._world.clock.now()
        first: dict[str, Found] = {}
        for each in sorted(persons, key=lambda each: each.record.order):
            if each.account.id in first:
                at = now + SAME_PERSON_LOOK
                note = f"Waits for an earlier event of the same person: {first[each.account.id].record.key}."
                await saver.save(waiting(each.record, OnboardingState.WAITING_FOR_EARLIER, now, at, note))
            else:
                first[each.account.id] = each
        reads = await self._world.directory.users([each.account.id for each in first.values()])
        people = []
        for each in first.values():
            read = reads[each.account.id]
            if isinstance(read, DirectoryUser):
                people.append((each, read))
                continue
            if isinstance(read, NotAUser):
                note, remedy = f"The id is of a {read.kind}, not of a user.", "Correct the id, in a new event."
                await saver.save(ended(each.record, OnboardingState.FAILED, now, note, remedy))
                continue
            if isinstance(read, ReadFailed):
                await read_again(self._world, saver, each.record, read)
                continue
            await wait_for_account(self._world, saver, each.record, "The account is not replicated yet")
        return people

    async def _release(self, saver: Saver, record: OnboardingRecord) -> None:
        """Let the person's waiting leaver go on; one that has not come yet is waited for."""
        now = self._world.clock.now()
        others = await self._of_person(record)
        leavers = [o for o in others if o.event.type is HrEventType.LEAVER and not o.state.is_ended]
        for leaver in leavers:
            await self._world.stores.onboarding.save(replace(leaver, released=True, updated_at=now))
            saver.wake(leaver.key)
        if leavers:
            keys = ", ".join(leaver.key for leaver in leavers)
            await saver.save(ended(record, OnboardingState.DONE, now, f"Released {keys}."))
            return
        until = (record.waits_since or record.received_at) + timedelta(seconds=self._world.policy.account_wait_s)
        if now >= until:
            note = f"No leaver event of the person came until {until:%Y-%m-%d}."
            await saver.save(ended(record, OnboardingState.FAILED, now, note, "Send the leaver event."))
            return
        at = now + pause_since(record.received_at, now)
        await saver.save(waiting(record, OnboardingState.WAITING_FOR_EARLIER, now, at, "Waits for the leaver event."))

    async def _of_person(self, record: OnboardingRecord) -> Sequence[OnboardingRecord]:
        """Records of the person, by the names of the event and those of the account."""
        accounts = (await self._world.accounts.find([record.event.person]))[record.event.person]
        refs = [record.event.person]
        if not isinstance(accounts, ReadFailed) and len(accounts) == 1:
            refs.append(accounts[0].ref)
        names = {name for ref in refs for name in ref.identities}
        return await self._world.stores.onboarding.of_person(sorted(names))


def _is_put_off(record: OnboardingRecord, now: datetime) -> bool:
    """A record whose writer died is not: its message comes back before the look that was planned for that."""
    return record.next_at is not None and record.next_at > now + EARLY and not record.is_being_written


async def take_up_due(world: World) -> int:
    """The timer: have records taken up whose time has come and which no message took up; sent first, taken off second.

    Each stays on the list until it is over. Returns how many were sent.
    """
    sent = 0
    for _ in range(MOST_ROUNDS):
        now = world.clock.now()
        entries = await world.stores.onboarding.due(now, DUE_AT_ONCE)
        records = await _not_over(world, list(dict.fromkeys(key for _, key in entries)))
        times = {record.key: record.next_at or record.updated_at for record in records}
        keys = [key for key, at in times.items() if at <= now]
        await send_take_up(world, keys, if_due=True)
        await world.stores.onboarding.look_again(
            (max(at, now + min(max(SENT_AGAIN, now - at), SELDOM)), key) for key, at in times.items()
        )
        await world.stores.onboarding.looked_at(entries)
        sent += len(keys)
        if len(entries) < DUE_AT_ONCE or sent >= DUE_AT_ONCE:
            break
    return sent


async def _not_over(world: World, keys: Sequence[str]) -> list[OnboardingRecord]:
    """Those that have not ended, or whose end was not told; of most that fall due neither is so any more."""
    found = []
    for start in range(0, len(keys), MAX_USERS):
        for record in await asyncio.gather(*map(world.stores.onboarding.get, keys[start : start + MAX_USERS])):
            if record is not None and not record.is_over:
                found.append(record)
    return found
