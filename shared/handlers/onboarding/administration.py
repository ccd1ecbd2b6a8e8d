"""People's decisions about HR events: cancel one, replay one, decide an ambiguous one, approve or reject held
leavers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain import onboarding_ends as ends
from shared.domain.approval_rules import Given, Request, Ruling, denial, ruling
from shared.domain.concurrency import together
from shared.domain.errors import ApprovalDenied, BadRequest, Conflict, NotFound, Outdated, StateConflict
from shared.domain.initiator import Initiator
from shared.domain.leaver import held_as_protected, protected_note
from shared.domain.leaver_events import revived
from shared.domain.onboarding import HrEventType, OnboardingRecord, OnboardingState, waiting
from shared.domain.onboarding_ends import ended
from shared.domain.onboarding_order import turned_back
from shared.domain.operation import Approval
from shared.domain.protected_people import Protection
from shared.handlers.notes import note
from shared.handlers.onboarding import people, records
from shared.handlers.onboarding.leaver import leavers_allowed
from shared.handlers.onboarding.needs import Needs
from shared.handlers.operations.own_requests import count_own
from shared.handlers.operations.state_changes import approved_as
from shared.handlers.reconcile.plan import protection_of

PAGE = 500
AT_ONCE = 16
"""Records that are changed at the same time."""
REPLAYABLE = (OnboardingState.FAILED, OnboardingState.DONE_WITH_ERRORS)


@dataclass(frozen=True, slots=True)
class HeldLeavers:
    """Leavers over the allowance, by `checksum` of whom a person approves exactly those that were seen."""

    records: tuple[OnboardingRecord, ...]
    allowed: int
    checksum: str


async def record_of(world: Needs, key: str) -> OnboardingRecord:
    """Raises NotFound."""
    record = await world.stores.onboarding.get(key)
    if record is None:
        raise NotFound(f"There is no onboarding event {key}.")
    return record


def can_be_replayed(record: OnboardingRecord) -> bool:
    return record.state in REPLAYABLE and bool(record.body)


def can_be_carried_out(record: OnboardingRecord) -> bool:
    """Whether a person's decision is all that is missing; an event that names none of several employments would only
    ask again."""
    return record.state is OnboardingState.NEEDS_DECISION and record.note != ends.WHICH_EMPLOYMENT.note


def can_be_cancelled(record: OnboardingRecord) -> bool:
    """A leaver until it is done, any other event until it is worked on."""
    if record.state is not OnboardingState.WORKING:
        return not record.state.is_ended
    return record.event.type is HrEventType.LEAVER and not record.is_being_written


async def cancel(world: Needs, key: str, initiator: Initiator) -> OnboardingRecord:
    """End an event before it is worked on, or a leaver before it is done: what that took is given back, and the record
    ends then. A repeat changes nothing. Raises NotFound, Conflict when it is too late or changed meanwhile."""
    record = await record_of(world, key)
    if record.state is OnboardingState.CANCELLED or record.cancelled_by:
        return record
    if record.event.type is HrEventType.LEAVER and record.is_being_written:
        raise Conflict("The leaver's memberships are being written at this moment; try again in a few seconds.")
    if not can_be_cancelled(record):
        text = (
            f"The event is {record.state}: it cannot be cancelled any more. Send a later event of the person instead."
        )
        raise Conflict(text)
    return await (_cancelled if record.taken is None else _turned_back)(world, record, initiator)


async def _turned_back(world: Needs, record: OnboardingRecord, initiator: Initiator) -> OnboardingRecord:
    saved = await records.keep(world, turned_back(record, initiator.display_name, world.clock.now()).record)
    await _note(world, "Cancel onboarding event", record, initiator)
    await records.resume(world, [record.key])
    return saved


async def _cancelled(world: Needs, record: OnboardingRecord, initiator: Initiator) -> OnboardingRecord:
    done = await _ended(world, record, ends.cancelled(initiator.display_name))
    await _note(world, "Cancel onboarding event", record, initiator)
    return done


async def _ended(world: Needs, record: OnboardingRecord, end: ends.End) -> OnboardingRecord:
    """The record at its end. Events that it superseded as a leaver count again, and events that waited for it go on."""
    now = world.clock.now()
    done = await records.announce(world, await records.keep(world, ended(record, end, now)))
    others = await people.others_of(world, record, None)
    if record.event.type is HrEventType.LEAVER:
        async with records.Saver(world) as saver:
            await saver.save(revived(record, others, now))
    await records.resume(world, _waiting(others))
    return done


def _waiting(others: Iterable[OnboardingRecord]) -> list[str]:
    """Statements of a person that wait for another one."""
    return [each.key for each in others if each.state is OnboardingState.WAITING_FOR_EARLIER]


async def decide(world: Needs, key: str, initiator: Initiator, *, carry_out: bool) -> OnboardingRecord:
    """Answer a statement that needs a decision: carry it out after all, with the account that was shown, or dismiss it.

    Raises NotFound, BadRequest for one in another state, Conflict when it changed meanwhile.
    """
    record = await record_of(world, key)
    if record.state is not OnboardingState.NEEDS_DECISION:
        text = f"The event is {record.state}; only one that is {OnboardingState.NEEDS_DECISION} can be decided."
        raise StateConflict("NothingToDecide", text)
    if carry_out and not can_be_carried_out(record):
        raise BadRequest("EmploymentUnknown", f"{record.note} {record.remedy}")
    activity = "Carry out onboarding event" if carry_out else "Dismiss onboarding event"
    if not carry_out:
        saved = await _ended(world, record, ends.dismissed(initiator.display_name))
        await _note(world, activity, record, initiator)
        return saved
    now = world.clock.now()
    going_on = waiting(
        record, OnboardingState.RECEIVED, now, now, f"To be carried out, as {initiator.display_name} decided."
    )
    user_id = record.candidate or record.user_id
    decided = replace(going_on, decided_by=initiator.display_name, user_id=user_id, candidate=None)
    saved = await records.keep(world, decided)
    await _note(world, activity, record, initiator)
    others = await people.others_of(world, record, None)
    await records.resume(world, [key, *_waiting(others)])
    return saved


async def replay(world: Needs, key: str, initiator: Initiator) -> OnboardingRecord:
    """Start an event again that failed or ended with errors, once the cause is repaired.

    Raises NotFound, BadRequest for one in another state, Conflict when it changed meanwhile.
    """
    record = await record_of(world, key)
    if record.state not in REPLAYABLE:
        raise StateConflict(
            "NotReplayable", f"The event is {record.state}; only {', '.join(REPLAYABLE)} can be replayed."
        )
    if not can_be_replayed(record):
        text = "The content of the event was deleted, because it ended some time ago. HR must send it under a new id."
        raise BadRequest("ContentDeleted", text)
    now = world.clock.now()
    again = replace(
        record,
        state=OnboardingState.RECEIVED,
        next_at=now,
        waits_since=now,
        updated_at=now,
        completed_at=None,
        note=f"Replayed by {initiator.display_name}.",
        remedy="",
    )
    saved = await records.keep(world, again)
    await _note(world, "Replay onboarding event", record, initiator)
    await records.resume(world, [key])
    return saved


async def held_leavers(world: Needs) -> HeldLeavers:
    """All leavers that wait for a person."""
    found: list[OnboardingRecord] = []
    after: str | None = None
    while True:
        page, after = await world.stores.onboarding.attention(PAGE, after)
        found += [record for record in page if record.state is OnboardingState.HELD]
        if after is None:
            break
    return HeldLeavers(tuple(found), await leavers_allowed(world), checksum_of(found))


def checksum_of(records: Iterable[OnboardingRecord]) -> str:
    """64 hex digits over the held leavers."""
    return hashlib.sha256(",".join(sorted(record.key for record in records)).encode()).hexdigest()


async def approve_held(world: Needs, checksum: str, initiator: Initiator) -> int:
    """Approve the held leavers that a person has seen; returns how many go on. A protected person needs a second
    approval by another person. Raises Outdated for other leavers, ApprovalDenied if the person can approve none."""
    held = await _as_seen(world, checksum)
    going = await approve_leavers(world, held.records, initiator)
    await records.resume(world, going)
    return len(going)


async def approve_leavers(world: Needs, leavers: Sequence[OnboardingRecord], initiator: Initiator) -> list[str]:
    """Keep the person's approval of each leaver; returns the keys of those that need no other one. Raises
    ApprovalDenied if the person cannot approve any of them."""
    protection = await protection_of(world)
    sent = Counter(map(_requester, leavers))
    requests = {each.key: _request(world, each, protection, sent[_requester(each)]) for each in leavers}
    own = [each for each in requests.values() if each.requester_id == initiator.id]
    if own:
        before = await count_own(world, own[0], initiator.id)
        requests |= {key: replace(each, before=before) for key, each in requests.items() if each in own}
    now, rules = world.clock.now(), world.policy.approval_rules
    rulings = {key: ruling(initiator.id, request, now, rules) for key, request in requests.items()}
    denied = [each for each in rulings.values() if not each.approver.may_approve]
    if denied and len(denied) == len(rulings):
        raise ApprovalDenied(denial(denied[0].approver, requests[leavers[0].key]))
    await _each(
        [each for each in leavers if rulings[each.key].approver.may_approve],
        lambda record: _approved(world, initiator, record, rulings[record.key], protection),
    )
    return [record.key for record in leavers if rulings[record.key].enough]


def _requester(record: OnboardingRecord) -> str | None:
    """The person who sent the event; None for an application or the queue."""
    return record.sender.person_id


def _request(world: Needs, record: OnboardingRecord, protection: Protection, sent: int) -> Request:
    """Each leaver of HR is decided alone: a list of many needs no second approver. Those that one person sent, `sent`
    of the list, are one request of that person. A protected leaver needs two people, independent of the sender."""
    protected = bool(protecting(record, protection, world.clock.now()))
    given = [Given(each.by.id, each.at) for each in record.approvals]
    requester = None if protected else _requester(record)
    return Request(requester, record.received_at, sent if requester else 1, protected, given)


def protecting(record: OnboardingRecord, protection: Protection, now: datetime) -> tuple[str, ...]:
    """Why the person is protected; empty if not, or while only a name is known. Then the day of the leaver decides."""
    user_id = record.user_id or record.event.person.id
    return protection.reasons(user_id, now) if user_id is not None else ()


async def _approved(
    world: Needs, initiator: Initiator, record: OnboardingRecord, found: Ruling, protection: Protection
) -> None:
    """Keep the approval; the leaver goes on, or on its day, unless another person has to approve too. An approval from
    before the protection is none of the two that are needed after that."""
    now, is_held = world.clock.now(), record.state is OnboardingState.HELD
    why = protecting(record, protection, now)
    approvals = (*record.approvals, Approval(initiator, now)) if why else ()
    approved = replace(record, approvals=approvals, updated_at=now)
    if found.enough:
        names = dict.fromkeys(each.by.display_name for each in approvals) or (initiator.display_name,)
        text = f"Approved by {initiator.display_name}."
        approved = replace(
            approved,
            permitted_by=" and ".join(names),
            permitted_from=now if is_held else max(now, record.next_at or now),
            for_protected=bool(why),
            note=text,
            remedy="",
        )
        if is_held:
            approved = replace(approved, state=OnboardingState.RECEIVED, next_at=now)
    elif is_held:
        approved = held_as_protected(approved, why, now).record
    else:
        approved = replace(approved, note=protected_note(approved, why))
    await records.keep(world, approved)
    await _note(world, approved_as(found.approver, "Approve leaver", f"key={record.key}", initiator), record, initiator)


async def _each(records: Sequence[OnboardingRecord], act: Callable[[OnboardingRecord], Awaitable[object]]) -> None:
    """Some at the same time, so that thousands are done within the time of a request."""
    for start in range(0, len(records), AT_ONCE):
        await together(map(act, records[start : start + AT_ONCE]))


async def reject_held(world: Needs, checksum: str, initiator: Initiator) -> int:
    """Cancel the held leavers that a person has seen; returns their number. Raises Outdated when they are others."""
    held = await _as_seen(world, checksum)
    await _each(held.records, lambda record: _cancelled(world, record, initiator))
    return len(held.records)


async def _as_seen(world: Needs, checksum: str) -> HeldLeavers:
    held = await held_leavers(world)
    if held.checksum != checksum:
        raise Outdated(f"There are {len(held.records)} held leavers now, not those you have seen. Read the list again.")
    return held


async def _note(world: Needs, activity: str, record: OnboardingRecord, initiator: Initiator) -> None:
    """Record a person's decision about an event. It names the event by its key alone, because readers of the audit log
    may lack the role that shows future leavers."""
    await note(world, activity, initiator, before=str(record.state), detail=f"event {record.key}")
