"""Writes of onboarding's own rows, all in this module: records of events accepted, claimed, saved and announced, and
the HR state of people.

The rows say when each event is resumed, so that a message that is not sent is only late.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Self

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.errors import Conflict
from shared.domain.hr_intake import Receipt, as_stored, received, resume_body
from shared.domain.hr_state import HrState
from shared.domain.ids import GroupId
from shared.domain.initiator import Initiator
from shared.domain.messages import MAX_USERS, ONBOARDING, RESULTS
from shared.domain.onboarding import (
    FARTHEST_MESSAGE,
    Account,
    HrEventType,
    Next,
    OnboardingRecord,
    OnboardingState,
    waiting,
)
from shared.domain.onboarding_results import result_event
from shared.handlers.messaging.settlement import MAX_REASON
from shared.handlers.onboarding.hr_scope import senders
from shared.handlers.onboarding.needs import Needs
from shared.handlers.reconcile.enqueue import enqueue
from shared.ports.messaging import Outgoing

MAX_BATCH = 1000
"""Events of one request: 1 MB at 1,000 characters an event."""

WRITER_DIED_RETRY = timedelta(minutes=2)
"""When an event whose writer died is resumed, if its message does not come back sooner."""

log = logging.getLogger(__name__)

NO_ASSIGNMENTS: Mapping[GroupId, GroupLicenseAssignment] = {}


async def accept(world: Needs, values: Sequence[object], sender: Initiator) -> tuple[Receipt, ...]:
    """Store each event as a row, in the given order. Three kinds of events get an error and are not stored. They
    are unreadable, or their source is bound to other senders, or their id already has other content.

    Raises Unavailable; then the sender can send all of them again.
    """
    allowed = await senders(world)
    receipts = received(values, world.clock.now(), sender, world.policy.hr_sources, allowed)
    first: dict[str, OnboardingRecord] = {}
    for each in receipts:
        if each.record is not None:
            first.setdefault(each.record.key, each.record)
    stored = {record.key: record for record in await world.stores.onboarding.insert(list(first.values()))}
    receipts = [as_stored(each, stored) for each in receipts]
    rejected = sum(bool(each.reason) for each in receipts)
    if rejected:
        reasons = "; ".join(sorted({each.logged_reason for each in receipts if each.reason}))
        log.warning("HR events rejected sender=%s count=%d reason=%s", sender.key, rejected, reasons[:MAX_REASON])
    return tuple(receipts)


async def claim(world: Needs, record: OnboardingRecord) -> OnboardingRecord | None:
    """Record that memberships are being written, before the first write. Meanwhile the event cannot be cancelled or
    ended. None if another process was quicker; its version of the record says when the event is resumed."""
    now = world.clock.now()
    note = "Memberships are being written."
    mine = waiting(record, OnboardingState.WORKING, now, now + WRITER_DIED_RETRY, note)
    try:
        return await keep(world, replace(mine, working_since=None))
    except Conflict:
        return None


async def keep(world: Needs, record: OnboardingRecord) -> OnboardingRecord:
    """Store the record as it is. Raises Conflict if another process was quicker."""
    return await world.stores.onboarding.save(record)


async def _reconcile(
    world: Needs, steps: Sequence[Next], assignments: Mapping[GroupId, GroupLicenseAssignment]
) -> None:
    """Reconcile the users of all steps now, with the new grants."""
    if not steps:
        return
    first, now = steps[0].record, world.clock.now()
    alone = len(steps) == 1 and first.event.type is not HrEventType.LEAVER
    expects = {user_id: groups for step in steps for user_id, groups in step.users.items()}
    groups = {group_id for each in expects.values() for group_id in each}
    cause = f"hr:{first.key}" if alone else f"hr:{first.key}:{now.isoformat()}"
    versions = {group_id: assignments[group_id].version for group_id in groups if group_id in assignments}
    await enqueue(world, expects, cause, expects=expects, changed_at=now, intent_versions=versions)


async def announce(world: Needs, record: OnboardingRecord) -> OnboardingRecord:
    """Send the result to the results queue, then store that it was sent: at least once, under the same id."""
    result = result_event(record)
    body = json.dumps(result, separators=(",", ":")).encode()
    await world.queue.send([Outgoing(RESULTS, body, str(result["id"]))])
    return await keep(world, replace(record, announced=True))


async def resume(world: Needs, keys: Sequence[str], at: datetime | None = None, *, if_due: bool = False) -> None:
    """Have events resumed, now or at a time; one further away than a day is left to the timer. `if_due`: not those that
    have been rescheduled meanwhile."""
    if at is not None and at - world.clock.now() > FARTHEST_MESSAGE:
        return
    parts = [keys[start : start + MAX_USERS] for start in range(0, len(keys), MAX_USERS)]
    if parts:
        await world.queue.send([Outgoing(ONBOARDING, resume_body(part, if_due=if_due), None, at) for part in parts])


async def know(world: Needs, record: OnboardingRecord, account: Account) -> None:
    """Have the record found under the names of its account too; under its event's it is found since it came."""
    more = [name for name in account.ref.identities if name not in record.event.person.identities]
    if more:
        await world.stores.onboarding.know(record.key, more)


async def note_state(world: Needs, state: HrState, before: HrState | None = None) -> HrState:
    """Store the HR state of a person. `before`: as it was read; an equal state is not stored again. Raises Conflict if
    another process was quicker."""
    return state if state == before else await world.stores.hr_states.save(state)


class Saver:
    """Saves what the steps of one message come to; when it is left, the events of one time are resumed together."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        self._again: dict[datetime, list[str]] = defaultdict(list)
        self._woken: list[str] = []

    async def save(
        self, steps: Iterable[Next], assignments: Mapping[GroupId, GroupLicenseAssignment] = NO_ASSIGNMENTS
    ) -> None:
        """Have the users reconciled, by assignments not older than these; then save the records in the order given, and
        announce those that ended. Raises Conflict if another process was quicker."""
        steps = list(steps)
        await _reconcile(self._world, [step for step in steps if step.users], assignments)
        for step in steps:
            record = await keep(self._world, step.record)
            if record.state.is_ended:
                await announce(self._world, record)
            elif record.next_at is not None and record.key not in step.wake:
                self._again[record.next_at].append(record.key)
            self._woken += step.wake

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for at, keys in self._again.items():
            await resume(self._world, list(dict.fromkeys(keys)), at, if_due=True)
        await resume(self._world, list(dict.fromkeys(self._woken)))


async def reschedule(
    world: Needs, entries: Iterable[tuple[datetime, str]], later: Iterable[tuple[datetime, str]]
) -> None:
    """Take entries off the list of due events, once the times at which their records fall due again are on it."""
    await world.stores.onboarding.check_again(later)
    await world.stores.onboarding.checked(entries)
