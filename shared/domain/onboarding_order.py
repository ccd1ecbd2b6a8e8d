"""When an event is worked on: its time, and what becomes of it by its account and its person's other statements."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain import onboarding_ends as ends
from shared.domain.backoff import Backoff
from shared.domain.hr_case import Judgement, Turn
from shared.domain.hr_identity import Identified
from shared.domain.onboarding import (
    Account,
    HrEvent,
    HrEventType,
    Next,
    OnboardingRecord,
    OnboardingState,
    PersonRef,
    waiting,
)
from shared.domain.onboarding_ends import End, asked, ended, superseded_record

CHECK_AGAIN = Backoff(timedelta(seconds=5), timedelta(minutes=15), share=0.25)
"""The pause before an account or an earlier event is looked for again."""

SAME_MESSAGE_RETRY = timedelta(seconds=10)
"""Pause of an event that came in one message with an earlier one of its person."""

READ_RETRY = timedelta(seconds=15)
RELEASE_RETRY = timedelta(days=7)
"""A release wakes its leaver; this is for a release whose message was lost."""


@dataclass(frozen=True, slots=True)
class Waits:
    """The settings. `lead`: how long before the effective date a joiner is begun. `account`: how long after it the
    account is waited for. `removal`: how long after it a leaver keeps the licenses. `minimum`: how long a leaver keeps
    them in any case, from the arrival of the event, whatever it says of date and delay."""

    lead: timedelta
    account: timedelta
    removal: timedelta
    minimum: timedelta = timedelta(0)


def removal_due(event: HrEvent, released: bool, default: timedelta) -> datetime | None:
    """When a leaver's licenses go: at once when released, else some time after the effective date; None: when released.

    Never before the effective date.
    """
    if released:
        return event.effective_at
    if event.removal_on_release:
        return None
    return event.effective_at + (default if event.removal_after is None else event.removal_after)


def starts_at(record: OnboardingRecord, waits: Waits, *, on_its_day: bool = False) -> datetime | None:
    """When the event is processed; None for a leaver that waits for a release. `on_its_day`: without the lead time."""
    match record.event.type:
        case HrEventType.LEAVER:
            due = removal_due(record.event, record.released, waits.removal)
            return None if due is None else max(due, record.received_at + waits.minimum)
        case HrEventType.JOINER:
            return record.event.effective_at - (timedelta(0) if on_its_day else waits.lead)
        case HrEventType.MOVER:
            return record.event.effective_at
        case HrEventType.RELEASE | HrEventType.RESCISSION:
            return record.received_at


def scheduled(record: OnboardingRecord, start: datetime, now: datetime) -> list[Next]:
    """Put away until it starts, unless it already is."""
    what = "The licenses are removed" if record.event.type is HrEventType.LEAVER else "Carried out"
    note = f"{what} on {start:%Y-%m-%d %H:%M} UTC."
    if record.state is OnboardingState.SCHEDULED and record.note == note and record.next_at == start:
        return []
    return [Next(waiting(record, OnboardingState.SCHEDULED, now, start, note))]


def awaiting_release(record: OnboardingRecord, releases: Iterable[str], now: datetime) -> Next:
    """`releases`: those that came before their leaver; they are resumed now."""
    note = "The licenses are removed when a leaver release event comes."
    leaver = waiting(record, OnboardingState.WAITING_FOR_RELEASE, now, now + RELEASE_RETRY, note)
    return Next(leaver, wake=tuple(releases))


def looked_for(record: OnboardingRecord) -> PersonRef:
    """The reference by which the account is searched: its id once it is known, even if its names have changed. The
    account of a joiner may have been created again, so a joiner's id is not used."""
    if record.user_id is None or record.event.type is HrEventType.JOINER:
        return record.event.person
    return PersonRef(record.user_id)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What becomes of a record, with other records that it ends, and its account if it is worked on now."""

    steps: tuple[Next, ...] = ()
    account: Account | None = None
    known: Account | None = None
    """The account under whose names the record is found from now on."""
    record: OnboardingRecord | None = None
    """As it is worked on."""


def resolve(
    record: OnboardingRecord,
    found: Identified,
    judgement: Judgement,
    waits: Waits,
    now: datetime,
    releases: tuple[str, ...] = (),
) -> Resolved:
    """Decide by the account, the other statements, and the time.

    A statement that no account fits yet is asked about, or fails, only when its time has come: the account may be made
    until then. A leaver and a mover are about an account that is there, so it is kept from now on.
    """
    start = starts_at(record, waits, on_its_day=judgement.on_its_day)
    is_due = start is not None and start <= now
    is_start = record.event.type is HrEventType.JOINER
    # A statement that no longer counts needs no account: it ends before the account is judged.
    if judgement.turn is Turn.SUPERSEDED:
        return Resolved((Next(superseded_record(record, judgement.other, now), wake=(judgement.other,)),))
    if found.end is not None and (is_due or not is_start):
        return Resolved((stopped(record, found.end, found.account, now),))
    if judgement.turn is Turn.FORMER:
        return Resolved((Next(ended(record, ends.former(judgement.other), now)),))
    if found.account is not None and not is_start and judgement.turn is not Turn.ASK:
        # Its names can change until the day. A joiner's account can be made again, so it is looked for each time.
        record = replace(record, user_id=found.account.id)
    if any(each.is_being_written for each in judgement.replaces):
        # Its writer saves the record when it ends. To end it now would lose what that worker has done for the user.
        at = now + pause_since(record.received_at, now)
        return Resolved((after_earlier(record, judgement.other, now, at),), known=found.account)
    again = f"Counts again: it concerns the employment that event {record.event.id} starts."
    replaced = (
        *_replaced(record, judgement.replaces, now, is_due=is_due),
        *(counts_again(each, again, now) for each in judgement.revives),
    )
    # A question comes before the date: a person should have the time until then to answer it.
    if judgement.turn is Turn.ASK and judgement.question is not None:
        tied = [Next(asked(each, ends.same_order(record.event.id), now)) for each in judgement.asks]
        steps = [*tied, Next(asked(record, judgement.question, now))]
    elif start is None:
        steps = [awaiting_release(record, releases, now)]
    elif not is_due:
        steps = scheduled(record, start, now)
    elif judgement.turn is Turn.AFTER:
        pause = ends.ASKED_RETRY if judgement.needs_answer else pause_since(_begun(record, waits), now)
        steps = [after_earlier(record, judgement.other, now, now + pause)]
    else:
        return _carried_out(record, found, judgement, replaced, waits, now)
    return Resolved((*replaced, *steps), known=found.account)


def _replaced(
    record: OnboardingRecord, replaces: Iterable[OnboardingRecord], now: datetime, *, is_due: bool
) -> tuple[Next, ...]:
    """Statements that no longer count. The removals of a leaver are undone until the day of the newer statement."""
    by = f"event {record.event.id}"
    return tuple(
        Next(superseded_record(each, record.key, now)) if is_due or each.taken is None else turned_back(each, by, now)
        for each in replaces
    )


def counts_again(record: OnboardingRecord, note: str, now: datetime) -> Next:
    """A superseded statement, which is judged again."""
    again = replace(
        waiting(record, OnboardingState.RECEIVED, now, now, note),
        superseded_by="",
        revived=True,
        announced=False,
        completed_at=None,
        working_since=None,
    )
    return Next(again, wake=(record.key,))


def turned_back(leaver: OnboardingRecord, by: str, now: datetime) -> Next:
    """A leaver that has begun, or was carried out: its removals must be undone."""
    note = f"Cancelled by {by}; what was taken is being given back."
    back = waiting(leaver, OnboardingState.WORKING, now, now, note)
    back = replace(back, cancelled_by=by, working_since=now, announced=False, completed_at=None)
    return Next(back, wake=(leaver.key,))


def _carried_out(
    record: OnboardingRecord,
    found: Identified,
    judgement: Judgement,
    replaced: tuple[Next, ...],
    waits: Waits,
    now: datetime,
) -> Resolved:
    """The work begins if there is an account. A leaver without one is done, also with what it supersedes."""
    over = tuple(Next(superseded_record(each, record.key, now)) for each in judgement.supersedes)
    if found.account is not None and judgement.is_unknown:
        return Resolved((*replaced, *over, Next(ended(record, ends.UNKNOWN_EMPLOYMENT, now))))
    if found.account is not None:
        doubtful = tuple(Next(asked(each, ends.STARTED_AGAIN, now)) for each in judgement.asks)
        ready = replace(record, user_id=found.account.id, one_of_several=not judgement.alone, matched_by=found.note)
        return Resolved((*replaced, *over, *doubtful), found.account, found.account, ready)
    if record.event.type is HrEventType.LEAVER:
        end = ends.ACCOUNT_GONE if record.user_id else ends.NO_SUCH_ACCOUNT
        return Resolved((*replaced, *over, Next(ended(record, end, now))))
    return Resolved((*replaced, await_account(record, f"No account fitted {record.event.person}", waits, now)))


def stopped(record: OnboardingRecord, end: End, account: Account | None, now: datetime) -> Next:
    """By what the identifiers fit: failed, or asked about with the account that a weak name fits."""
    if end.state is not OnboardingState.NEEDS_DECISION or account is None:
        return Next(ended(record, end, now))
    return Next(replace(asked(record, end, now), candidate=account.id))


def after_earlier(record: OnboardingRecord, earlier: str, now: datetime, at: datetime) -> Next:
    note = f"Waits for another event of the same person: {earlier}."
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
    """The pause before the next try of work that has waited since a time: a quarter of that time, within bounds."""
    return CHECK_AGAIN.after(now - since)


def _begun(record: OnboardingRecord, waits: Waits) -> datetime:
    """When the event arrived or was replayed, or the day on which its work began, if that was later. With a lead time,
    that day is before the effective date."""
    arrived = record.waits_since or record.received_at
    return max(arrived, starts_at(record, waits) or arrived)
