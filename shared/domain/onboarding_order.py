"""When an event is worked on: its time, its turn among its person's events, and the account that it is for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain import onboarding_ends as ends
from shared.domain.backoff import Backoff
from shared.domain.onboarding import (
    Account,
    HrEvent,
    HrEventType,
    Next,
    OnboardingRecord,
    OnboardingState,
    PersonRef,
    Standing,
    waiting,
)
from shared.domain.onboarding_ends import End, ended

LOOK_AGAIN = Backoff(timedelta(seconds=5), timedelta(minutes=15), share=0.25)
"""The pause before an account or an earlier event is looked for again."""

SAME_MESSAGE_RETRY = timedelta(seconds=10)
"""Pause of an event that came in one message with an earlier one of its person."""

READ_RETRY = timedelta(seconds=15)
RELEASE_RETRY = timedelta(days=7)
"""A release wakes its leaver; this is for a release whose message was lost."""


class Turn(StrEnum):
    """Whether it is an event's turn among those of the same person."""

    NOW = "now"
    AFTER = "after"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """The turn, the event it depends on, and older events that this one ends."""

    turn: Turn
    other: str = ""
    ends: tuple[OnboardingRecord, ...] = ()


def turn_of(
    record: OnboardingRecord, others: Iterable[OnboardingRecord], standing: Standing | None, now: datetime
) -> TurnTaken:
    """Decide by the person's other events and by what was acted on last.

    What is older than the last event acted on, or than a leaver who is due or has left, is superseded. A leaver, and
    whoever comes back after leaving, ends older events that have not ended; one whose memberships are being written is
    waited for. A mover waits for an older joiner or mover. A release only names its leaver and has no order of its own.
    """
    if record.event.type is HrEventType.RELEASE:
        return TurnTaken(Turn.NOW)
    last = standing.last_order if standing is not None and standing.last_key != record.key else None
    if standing is not None and last is not None and last > record.order:
        return TurnTaken(Turn.SUPERSEDED, standing.last_key)
    known = [each for each in others if each.key != record.key and each.event.type is not HrEventType.RELEASE]
    newer_leavers = [
        other
        for other in known
        if other.event.type is HrEventType.LEAVER and other.order > record.order and _has_left(other, now)
    ]
    if newer_leavers:
        return TurnTaken(Turn.SUPERSEDED, newer_leavers[0].key)
    older = [other for other in known if not other.state.is_ended and other.order < record.order]
    writing = [other for other in older if other.is_being_written]
    if writing:
        return TurnTaken(Turn.AFTER, writing[0].key)
    if record.event.type is HrEventType.LEAVER:
        return TurnTaken(Turn.NOW, ends=tuple(older))
    leaving = tuple(other for other in older if other.event.type is HrEventType.LEAVER)
    before = sorted((other for other in older if other not in leaving), key=lambda other: other.order)
    if before:
        return TurnTaken(Turn.AFTER, before[-1].key)
    return TurnTaken(Turn.NOW, ends=leaving)


def _has_left(leaver: OnboardingRecord, now: datetime) -> bool:
    """Whether a leaver counts against older events: due, or done, also where there was no account to do it with."""
    if leaver.state.is_ended:
        return leaver.state in (OnboardingState.DONE, OnboardingState.DONE_WITH_ERRORS)
    return leaver.event.effective_at <= now and not leaver.cancelled_by


@dataclass(frozen=True, slots=True)
class Waits:
    """The settings. `lead`: how long before the effective date a joiner is begun. `account`: how long after it the
    account is waited for. `removal`: how long after it a leaver keeps the licenses."""

    lead: timedelta
    account: timedelta
    removal: timedelta


def removal_due(event: HrEvent, released: bool, default: timedelta) -> datetime | None:
    """When a leaver's licenses go: at once when released, else some time after the effective date; None: when released.

    Never before the effective date.
    """
    if released:
        return event.effective_at
    if event.removal_on_release:
        return None
    return event.effective_at + (default if event.removal_after is None else event.removal_after)


def starts_at(record: OnboardingRecord, waits: Waits) -> datetime | None:
    """When the event is worked on; None for a leaver who waits for a release."""
    match record.event.type:
        case HrEventType.LEAVER:
            return removal_due(record.event, record.released, waits.removal)
        case HrEventType.JOINER:
            return record.event.effective_at - waits.lead
        case HrEventType.MOVER:
            return record.event.effective_at
        case HrEventType.RELEASE:
            return record.received_at


def scheduled(record: OnboardingRecord, start: datetime, now: datetime) -> list[Next]:
    """Put away until it starts, unless it already is."""
    what = "The licenses go" if record.event.type is HrEventType.LEAVER else "Taken up"
    note = f"{what} on {start:%Y-%m-%d %H:%M} UTC."
    if record.state is OnboardingState.SCHEDULED and record.note == note:
        return []
    return [Next(waiting(record, OnboardingState.SCHEDULED, now, start, note))]


def awaiting_release(record: OnboardingRecord, releases: Iterable[str], now: datetime) -> Next:
    """`releases`: those that came before their leaver; they are resumed now."""
    note = "The licenses go when a leaver release event comes."
    leaver = waiting(record, OnboardingState.WAITING_FOR_RELEASE, now, now + RELEASE_RETRY, note)
    return Next(leaver, wake=tuple(releases))


def release(record: OnboardingRecord, others: Iterable[OnboardingRecord], waits: Waits, now: datetime) -> list[Next]:
    """Let the person's waiting leavers go on; one that has not come yet is waited for."""
    leavers = [other for other in others if other.event.type is HrEventType.LEAVER and not other.state.is_ended]
    if leavers:
        going_on = [Next(replace(each, released=True, updated_at=now), wake=(each.key,)) for each in leavers]
        return [*going_on, Next(ended(record, ends.released(each.key for each in leavers), now))]
    until = (record.waits_since or record.received_at) + waits.account
    if now >= until:
        return [Next(ended(record, ends.no_leaver(until), now))]
    at = now + pause_since(record.received_at, now)
    return [Next(waiting(record, OnboardingState.WAITING_FOR_EARLIER, now, at, "Waits for the leaver event."))]


def must_be_pinned(record: OnboardingRecord, waits: Waits, now: datetime) -> bool:
    """Whether the account that the names fit now is kept, as they may fit another one by the time the work begins.

    So of a leaver, and of a mover without a sure name: both are of an account that is there. A joiner's may yet be
    made.
    """
    start, kind = starts_at(record, waits), record.event.type
    waits_long = start is None or now < start
    fleeting = kind is HrEventType.LEAVER or (kind is HrEventType.MOVER and not _is_named_surely(record))
    return waits_long and fleeting and record.state is OnboardingState.RECEIVED and record.user_id is None


def looked_for(record: OnboardingRecord) -> PersonRef:
    """By what the account is looked for: its id once it is known, whatever its names fit now; but an account that a
    joiner had may have been made again."""
    if record.user_id is None or record.event.type is HrEventType.JOINER:
        return record.event.person
    return PersonRef(record.user_id)


def resolve(
    record: OnboardingRecord, accounts: Sequence[Account], turn: TurnTaken, waits: Waits, now: datetime
) -> Account | Next:
    """The account of an event whose turn it is; otherwise how the event waits or ends."""
    if turn.turn is Turn.SUPERSEDED:
        return Next(ended(record, ends.superseded(turn.other), now))
    if turn.turn is Turn.AFTER:
        return after_earlier(record, turn.other, now, now + pause_since(_begun(record, waits), now))
    if not accounts:
        if record.event.type is HrEventType.LEAVER:
            return Next(ended(record, ends.ACCOUNT_GONE if record.user_id else ends.NO_SUCH_ACCOUNT, now))
        return await_account(record, f"No account fitted {record.event.person}", waits, now)
    account = accounts[0]
    end = _wrong_account(record, accounts)
    return Next(ended(record, end, now)) if end else account


def after_earlier(record: OnboardingRecord, earlier: str, now: datetime, at: datetime) -> Next:
    note = f"Waits for an earlier event of the same person: {earlier}."
    return Next(waiting(record, OnboardingState.WAITING_FOR_EARLIER, now, at, note))


def await_account(record: OnboardingRecord, fault: str, waits: Waits, now: datetime) -> Next:
    """Look again later, for days if set; then it is an error. `fault`: what was found, in words."""
    until = max(record.waits_since or record.received_at, record.event.effective_at) + waits.account
    if now >= until:
        return Next(ended(record, ends.no_account(fault, until), now))
    at = min(until, now + pause_since(_begun(record, waits), now))
    note = f"Waits for the account, until {until:%Y-%m-%d}."
    return Next(waiting(record, OnboardingState.WAITING_FOR_ACCOUNT, now, at, note))


def pause_since(since: datetime, now: datetime) -> timedelta:
    """Until the next look at what has lasted since a time: a quarter as long again, within bounds."""
    return LOOK_AGAIN.after(now - since)


def _begun(record: OnboardingRecord, waits: Waits) -> datetime:
    """When the event arrived or was replayed, or the day on which its work began, if that was later; with a lead time
    that is before the effective date."""
    arrived = record.waits_since or record.received_at
    return max(arrived, starts_at(record, waits) or arrived)


def _is_named_surely(record: OnboardingRecord) -> bool:
    """A userPrincipalName alone is used again for other people."""
    person = record.event.person
    return person.id is not None or bool(person.employee_id)


def _wrong_account(record: OnboardingRecord, accounts: Sequence[Account]) -> End | None:
    """A joiner named by userPrincipalName alone must not get a former employee's account, and such a leaver must not
    take from somebody who got the name later."""
    if len(accounts) > 1:
        return ends.several_accounts(each.id for each in accounts)
    (account,) = accounts
    if record.user_id is not None:
        return None if record.user_id == account.id else ends.another_account(record.user_id, account.id)
    if _is_named_surely(record):
        return None
    old = account.created_at is None or account.created_at < record.received_at
    if record.event.type is HrEventType.JOINER and not account.account_enabled and old:
        return ends.FORMER_EMPLOYEE
    if record.event.type is HrEventType.LEAVER and not old:
        return ends.NEWER_ACCOUNT
    return None
