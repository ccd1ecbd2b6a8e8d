"""From an event to its person: the account it names, whether it is the event's turn, and what to do while it waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.onboarding import (
    HrEventType,
    OnboardingRecord,
    OnboardingState,
    PersonRef,
    Turn,
    removal_due,
    turn_of,
)
from shared.handlers.onboarding.record_updates import Saver, ended, waiting
from shared.ports.directory import Account, ReadFailed
from shared.ports.world import World

ACCOUNT_LOOK_SOONEST, ACCOUNT_LOOK_LATEST = timedelta(seconds=5), timedelta(minutes=15)
"""Bounds of the pause before an account that does not exist yet is looked for again."""

EARLIER_LOOK = timedelta(seconds=5)
RELEASE_LOOK = timedelta(days=7)
"""A release wakes its leaver; this look is for one whose message was lost."""
READ_RETRY = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class Found:
    """A record whose turn it is, and its account."""

    record: OnboardingRecord
    account: Account


def pause_since(since: datetime, now: datetime) -> timedelta:
    """Until the next look at what has lasted since a time: a quarter as long again, within bounds."""
    return min(max(ACCOUNT_LOOK_SOONEST, (now - since) / 4), ACCOUNT_LOOK_LATEST)


def starts_at(world: World, record: OnboardingRecord) -> datetime | None:
    """When the record is worked on; None for a leaver who waits for a release."""
    event, policy = record.event, world.policy
    match event.type:
        case HrEventType.LEAVER:
            return removal_due(event, record.released, timedelta(seconds=policy.leaver_removal_after_s))
        case HrEventType.JOINER:
            return event.effective_at - timedelta(seconds=policy.onboarding_lead_s)
        case HrEventType.MOVER:
            return event.effective_at
        case HrEventType.RELEASE:
            return record.received_at


async def pinned(world: World, saver: Saver, records: Sequence[OnboardingRecord]) -> list[OnboardingRecord]:
    """The records, those just arrived that have to wait with the account that their names fit now, as they may fit
    another one by then. Left out are those whose account could not be read; they come back for that."""
    fleeting = [record for record in records if _has_to_be_pinned(world, record)]
    if not fleeting:
        return list(records)
    accounts = await world.accounts.find([record.event.person for record in fleeting])
    results = []
    for record in records:
        read = accounts[record.event.person] if record in fleeting else ()
        if isinstance(read, ReadFailed):
            await read_again(world, saver, record, read)
            continue
        if len(read) == 1:
            await _know(world, record, read[0])
            record = replace(record, user_id=read[0].id)
        results.append(record)
    return results


async def _know(world: World, record: OnboardingRecord, account: Account) -> None:
    """Have the record found under the names of its account too; under its event's it is found since it came."""
    more = [name for name in account.ref.identities if name not in record.event.person.identities]
    if more:
        await world.stores.onboarding.know(record.key, more)


def _has_to_be_pinned(world: World, record: OnboardingRecord) -> bool:
    """A leaver, and a mover without a sure name: both are of an account that is there. A joiner's may yet be made."""
    start, kind = starts_at(world, record), record.event.type
    waits = start is None or world.clock.now() < start
    fleeting = kind is HrEventType.LEAVER or (kind is HrEventType.MOVER and not _is_named_surely(record))
    return waits and fleeting and record.state is OnboardingState.RECEIVED and record.user_id is None


def _named(record: OnboardingRecord) -> PersonRef:
    """By what the account is looked for: its id once it is known, whatever its names fit now; but an account that a
    joiner had may have been made anew."""
    if record.user_id is None or record.event.type is HrEventType.JOINER:
        return record.event.person
    return PersonRef(record.user_id)


async def read_again(world: World, saver: Saver, record: OnboardingRecord, failed: ReadFailed) -> None:
    """Soon where Graph is away; where it refuses, as for an account that does not exist."""
    if failed.refused:
        await wait_for_account(world, saver, record, f"The account could not be read ({failed.why})")
        return
    now = world.clock.now()
    wait = timedelta(seconds=failed.retry_after_s) if failed.retry_after_s else READ_RETRY
    await saver.save(waiting(record, record.state, now, now + wait, f"The account could not be read: {failed.why}"))


async def is_due(world: World, saver: Saver, record: OnboardingRecord) -> bool:
    """Whether the record's time has come; one whose time has not is put away until then."""
    now, start = world.clock.now(), starts_at(world, record)
    if start is None:
        note = "The licenses go when a leaver release event comes."
        await saver.save(waiting(record, OnboardingState.WAITING_FOR_RELEASE, now, now + RELEASE_LOOK, note))
        await _wake_releases(world, saver, record)
        return False
    if now < start:
        what = "The licenses go" if record.event.type is HrEventType.LEAVER else "Taken up"
        note = f"{what} on {start:%Y-%m-%d %H:%M} UTC."
        if record.state is not OnboardingState.SCHEDULED or record.note != note:
            await saver.save(waiting(record, OnboardingState.SCHEDULED, now, start, note))
        return False
    return True


async def _wake_releases(world: World, saver: Saver, leaver: OnboardingRecord) -> None:
    """A release that came before its leaver is looked at now."""
    for other in await world.stores.onboarding.of_person(leaver.event.person.identities):
        if other.event.type is HrEventType.RELEASE and not other.state.is_ended:
            saver.wake(other.key)


async def found(world: World, saver: Saver, records: Sequence[OnboardingRecord]) -> list[Found]:
    """The records whose account exists and whose turn it is; the others are put away with their reason."""
    if not records:
        return []
    accounts = await world.accounts.find([_named(record) for record in records])
    results = []
    for record in records:
        account = await _one_account(world, saver, record, accounts[_named(record)])
        if account is not None:
            results.append(Found(replace(record, user_id=account.id), account))
    return results


async def _one_account(
    world: World, saver: Saver, record: OnboardingRecord, accounts: tuple[Account, ...] | ReadFailed
) -> Account | None:
    now = world.clock.now()
    if isinstance(accounts, ReadFailed):
        await read_again(world, saver, record, accounts)
        return None
    names = {name for ref in (record.event.person, *(each.ref for each in accounts)) for name in ref.identities}
    if not await _has_its_turn(world, saver, record, names, accounts):
        return None
    if len(accounts) > 1:
        ids = ", ".join(sorted(each.id for each in accounts))
        await saver.save(
            ended(
                record,
                OnboardingState.FAILED,
                now,
                f"The names fit {len(accounts)} accounts: {ids}.",
                "Name the person by object id alone, in a new event.",
            )
        )
        return None
    if not accounts:
        await _without_account(world, saver, record)
        return None
    account = accounts[0]
    if record.user_id is not None and record.user_id != account.id:
        note = f"The names fitted account {record.user_id} before and fit {account.id} now."
        await saver.save(
            ended(record, OnboardingState.FAILED, now, note, "Name the person by object id, in a new event.")
        )
        return None
    fault = _why_somebody_elses(record, account)
    if fault:
        await saver.save(ended(record, OnboardingState.FAILED, now, *fault))
        return None
    if record.user_id is None:
        await _know(world, record, account)
    return account


def _is_named_surely(record: OnboardingRecord) -> bool:
    """A userPrincipalName alone is used again for other people."""
    person = record.event.person
    return person.id is not None or bool(person.employee_id)


def _why_somebody_elses(record: OnboardingRecord, account: Account) -> tuple[str, str] | None:
    """A joiner named by userPrincipalName alone must not get a former employee's account, and such a leaver must not
    take from who got the name later: what is wrong, and what to do."""
    if _is_named_surely(record) or record.user_id is not None:
        return None
    old = account.created_at is None or account.created_at < record.received_at
    if record.event.type is HrEventType.JOINER and not account.account_enabled and old:
        return (
            "The account was there before the event and is disabled; it may be a former employee's.",
            "Name the person by object id or employeeId, or enable the account, then replay the event.",
        )
    if record.event.type is HrEventType.LEAVER and not old:
        return (
            "The account was created after the event came; it may be another person's of the same name.",
            "Name the person by object id or employeeId, in a new event.",
        )
    return None


async def _has_its_turn(
    world: World, saver: Saver, record: OnboardingRecord, names: set[str], accounts: Sequence[Account]
) -> bool:
    """Order among the events of the same person. Events resolved to another account are another person's."""
    now = world.clock.now()
    ids = {each.id for each in accounts}
    others = [
        other
        for other in await world.stores.onboarding.of_person(sorted(names))
        if other.user_id is None or not ids or other.user_id in ids
    ]
    standings = await world.stores.standings.of_users(sorted(ids)) if len(ids) == 1 else {}
    taken = turn_of(record, others, next(iter(standings.values()), None), now)
    if taken.turn is Turn.SUPERSEDED:
        note = f"A later event of the same person counts instead: {taken.other}."
        await saver.save(ended(record, OnboardingState.SUPERSEDED, now, note))
        return False
    if taken.turn is Turn.AFTER:
        note = f"Waits for an earlier event of the same person: {taken.other}."
        at = now + max(EARLIER_LOOK, pause_since(_taken_up_since(world, record), now))
        await saver.save(waiting(record, OnboardingState.WAITING_FOR_EARLIER, now, at, note))
        return False
    for other in taken.ends:
        note = f"A later event of the same person counts instead: {record.key}."
        await saver.save(ended(other, OnboardingState.SUPERSEDED, now, note))
    return True


async def _without_account(world: World, saver: Saver, record: OnboardingRecord) -> None:
    """A joiner and a mover wait for the account; of a leaver there is nothing to take away."""
    now = world.clock.now()
    if record.event.type in (HrEventType.LEAVER, HrEventType.RELEASE):
        if record.user_id is not None:
            note = "The account is gone, and its licenses with it."
            await saver.save(ended(record, OnboardingState.DONE, now, note))
            return
        note = "There is no such account, so nothing was taken away."
        remedy = "If there should be one, correct the names and send a new event."
        await saver.save(ended(record, OnboardingState.DONE_WITH_ERRORS, now, note, remedy))
        return
    await wait_for_account(world, saver, record, f"No account fitted {record.event.person}")


def _taken_up_since(world: World, record: OnboardingRecord) -> datetime:
    """Since when the record is looked at: its arrival or its replay, or the day on which its work began, if that was
    later; with a lead time that is before the effective date."""
    arrived = record.waits_since or record.received_at
    return max(arrived, starts_at(world, record) or arrived)


async def wait_for_account(world: World, saver: Saver, record: OnboardingRecord, what: str) -> None:
    """Look again later, for days if set; then it is an error. `what`: what was found, in words."""
    now = world.clock.now()
    begins = max(record.waits_since or record.received_at, record.event.effective_at)
    until = begins + timedelta(seconds=world.policy.account_wait_s)
    if now >= until:
        note = f"{what} until {until:%Y-%m-%d %H:%M} UTC."
        remedy = "Create the account or correct the names, then replay the event."
        await saver.save(ended(record, OnboardingState.FAILED, now, note, remedy))
        return
    note = f"Waits for the account, until {until:%Y-%m-%d}."
    at = min(until, now + pause_since(_taken_up_since(world, record), now))
    await saver.save(waiting(record, OnboardingState.WAITING_FOR_ACCOUNT, now, at, note))
