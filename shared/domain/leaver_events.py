"""Events about a leaver event: a release lets it go on, a rescission takes it back.

Either can come before its leaver; it is then stored, and waits for it. Events that a cancelled leaver superseded count
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain import onboarding_ends as ends
from shared.domain.hr_case import waits_for
from shared.domain.hr_identity import Identified
from shared.domain.hr_state import HrState
from shared.domain.hr_statements import employment_of
from shared.domain.onboarding import (
    HrEventType,
    Next,
    OnboardingRecord,
    OnboardingState,
    waiting,
)
from shared.domain.onboarding_ends import asked, ended, superseded_record
from shared.domain.onboarding_order import Waits, counts_again, pause_since, stopped, turned_back


def answer(
    record: OnboardingRecord,
    found: Identified,
    others: Sequence[OnboardingRecord],
    state: HrState | None,
    waits: Waits,
    now: datetime,
) -> list[Next]:
    """What becomes of a release or a rescission, and of the leavers that it is about."""
    if found.end is not None:
        return [stopped(record, found.end, found.account, now)]
    name = employment_of(record, others, state)
    if name is None:
        return [Next(asked(record, ends.WHICH_EMPLOYMENT, now))]
    leavers = [
        each
        for each in others
        if each.event.type is HrEventType.LEAVER and employment_of(each, [record, *others], state) == name
    ]
    if record.event.type is HrEventType.RELEASE:
        return _release(record, leavers, waits, now)
    if newer := _replacing(record, name, others, state):
        return [Next(superseded_record(record, newer.key, now), wake=(newer.key,))]
    end = state.of(name).end if state is not None else None
    ended_by = end.key if end is not None else ""
    return _rescind(record, leavers, ended_by, waits, now)


def _replacing(
    record: OnboardingRecord, employment: str, others: Sequence[OnboardingRecord], state: HrState | None
) -> OnboardingRecord | None:
    """A newer rescission of the same employment: two that wait would take back two leavers."""
    void = (OnboardingState.CANCELLED, OnboardingState.SUPERSEDED)
    for each in others:
        if each.event.type is HrEventType.RESCISSION and each.state not in void:
            is_same = employment_of(each, [record, *others], state) == employment
            if is_same and each.stamp.is_newer_than(record.stamp):
                return each
    return None


def _release(record: OnboardingRecord, leavers: Iterable[OnboardingRecord], waits: Waits, now: datetime) -> list[Next]:
    waiting_ones = [each for each in leavers if not each.state.is_ended]
    if not waiting_ones:
        return [_without_leaver(record, waits, now)]
    going_on = [Next(replace(each, released=True, updated_at=now), wake=(each.key,)) for each in waiting_ones]
    return [*going_on, Next(ended(record, ends.released(each.key for each in waiting_ones), now))]


def _rescind(
    record: OnboardingRecord,
    leavers: Sequence[OnboardingRecord],
    ended_by: str,
    waits: Waits,
    now: datetime,
) -> list[Next]:
    """`ended_by`: the leaver by which the employment is over. Of those before it, nothing can be given back."""
    by = f"rescission {record.event.id}"
    mine = [each for each in leavers if _is_rescinded(record, each, leavers, ended_by)]
    taken_back = [
        each
        for each in leavers
        if each.superseded_by == record.key or each.cancelled_by == by or _is_void_already(record, each, leavers, waits)
    ]
    if any(each.is_being_written for each in mine):
        at = now + pause_since(record.received_at, now)
        note = "Waits until the leaver's memberships are written."
        return [Next(waiting(record, OnboardingState.WAITING_FOR_EARLIER, now, at, note))]
    if not mine and not taken_back:
        return [_without_leaver(record, waits, now)]
    steps = []
    for leaver in mine:
        if leaver.taken is not None:
            steps.append(turned_back(leaver, by, now))
        else:
            steps.append(Next(superseded_record(leaver, record.key, now)))
    keys = [each.key for each in (*mine, *taken_back)]
    return [*steps, Next(ended(record, ends.rescinded(keys), now))]


def _is_rescinded(
    record: OnboardingRecord, leaver: OnboardingRecord, leavers: Iterable[OnboardingRecord], ended_by: str
) -> bool:
    if leaver.cancelled_by or (leaver.state.is_ended and not leaver.state.is_carried_out):
        return False
    if leaver.state.is_ended and leaver.taken is not None and leaver.key != ended_by:
        return False
    waits = not leaver.state.is_ended and waits_for(record, leaver, leavers)
    return waits or record.stamp.is_newer_than(leaver.stamp)


def _is_void_already(
    record: OnboardingRecord, leaver: OnboardingRecord, leavers: Iterable[OnboardingRecord], waits: Waits
) -> bool:
    """Whether the rescission comes after its leaver was cancelled or superseded: it must not wait for the next one."""
    is_void = leaver.state in (OnboardingState.CANCELLED, OnboardingState.SUPERSEDED)
    is_recent = record.received_at - leaver.updated_at <= waits.account
    is_meant = record.stamp.is_newer_than(leaver.stamp) or waits_for(record, leaver, leavers)
    return is_void and is_recent and is_meant


def _without_leaver(record: OnboardingRecord, waits: Waits, now: datetime) -> Next:
    until = (record.waits_since or record.received_at) + waits.account
    if now >= until:
        return Next(ended(record, ends.no_leaver(until), now))
    at = min(until, now + pause_since(record.received_at, now))
    return Next(waiting(record, OnboardingState.WAITING_FOR_EARLIER, now, at, "Waits for the leaver event."))


def revived(void: OnboardingRecord, others: Iterable[OnboardingRecord], now: datetime) -> list[Next]:
    """The statements that one superseded which counts no more count again. Those whose content was deleted do not: what
    they asked is not known any more."""
    superseded = [each for each in others if each.superseded_by == void.key and each.body]
    mine = [each for each in superseded if each.state is OnboardingState.SUPERSEDED]
    note = f"Counts again: event {void.event.id} counts no more."
    return [counts_again(each, note, now) for each in mine]


def with_revived(steps: Iterable[Next], known: Iterable[OnboardingRecord], now: datetime) -> list[Next]:
    """The steps, and the statements that count again because what superseded them is superseded itself. Two of one kind
    stay as they are: the newer one replaces the older one, whatever becomes of it. `known`: all statements of the
    person."""
    steps, by_key = list(steps), {each.key: each for each in known}
    changed = {step.record.key for step in steps}
    found = list(steps)
    for void in (step.record for step in steps if step.record.state is OnboardingState.SUPERSEDED):
        newest = by_key.get(void.superseded_by, void)
        for again in revived(void, by_key.values(), now):
            is_replaced = again.record.event.type in (void.event.type, newest.event.type)
            if again.record.key not in changed and not is_replaced:
                found.append(again)
    return found
