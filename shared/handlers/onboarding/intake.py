"""Events come in: read, kept as rows, and taken up. What is broken is kept with its reason; nothing is dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.errors import PoisonMessage
from shared.domain.hr_events import BrokenEvent, Fault, accepted
from shared.domain.messages import MAX_USERS, ONBOARDING
from shared.domain.onboarding import FARTHEST_MESSAGE, OnboardingRecord, OnboardingState
from shared.handlers.messaging.settlement import AWAY, bury
from shared.ports.messaging import Outgoing
from shared.ports.world import World

MAX_BATCH = 1000
"""Events of one request: 1 MB at 1,000 characters an event."""

TAKE_UP, IF_DUE = "takeUp", "ifDue"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one event of a request. `record`: as it is now stored. `taken`: the same id was received before
    with other content."""

    position: int
    record: OnboardingRecord | None = None
    faults: tuple[Fault, ...] = ()
    taken: bool = False


async def accept(world: World, values: Sequence[object], sender: str) -> tuple[Receipt, ...]:
    """Keep each event as a row, in the order given; one that cannot be read, and one under an id that has another
    content already, is kept as a dead letter instead. Raises Unavailable; then sending all of them again is right."""
    now = world.clock.now()
    read = [_read(position, value, now, sender) for position, value in enumerate(values)]
    first: dict[str, OnboardingRecord] = {}
    for each in read:
        if each.record is not None:
            first.setdefault(each.record.key, each.record)
    stored = {record.key: record for record in await world.stores.onboarding.insert(list(first.values()))}
    receipts = [_against(each, stored) for each in read]
    for receipt, value in zip(receipts, values, strict=True):
        if receipt.faults or receipt.taken:
            body = json.dumps(value, default=str).encode()
            await bury(world, ONBOARDING, body, reason_of(receipt), _for_the_log(receipt))
    return tuple(receipts)


def reason_of(receipt: Receipt) -> str:
    """Why an event was not taken."""
    if receipt.taken and receipt.record is not None:
        event = receipt.record.event
        return f"event {event.id!r} of {event.source!r} was received before with other content; use a new id"
    return "; ".join(map(str, receipt.faults))


def _for_the_log(receipt: Receipt) -> str:
    """The reason without the values, which may be names of people."""
    if receipt.taken:
        return "its id was received before with other content"
    return f"not a valid event: {', '.join(sorted({fault.field.split('.')[-1][:32] for fault in receipt.faults}))}"


def _read(position: int, value: object, now: datetime, sender: str) -> Receipt:
    try:
        event, body = accepted(value, now)
    except BrokenEvent as broken:
        return Receipt(position, faults=broken.faults)
    arrived = now + timedelta(microseconds=position)  # the order within a request is the last that decides
    record = OnboardingRecord(event, body, OnboardingState.RECEIVED, arrived, now, sender, next_at=now)
    return Receipt(position, record)


def _against(receipt: Receipt, stored: Mapping[str, OnboardingRecord]) -> Receipt:
    if receipt.record is None:
        return receipt
    known = stored[receipt.record.key]
    return replace(receipt, record=known, taken=known.body != receipt.record.body)


def open_keys(receipts: Iterable[Receipt]) -> tuple[str, ...]:
    """Records to take up: also those received before that have not ended, or whose end was not told."""
    records = [receipt.record for receipt in receipts if receipt.record is not None and not receipt.taken]
    return tuple(dict.fromkeys(each.key for each in records if not each.is_over))


async def send_take_up(world: World, keys: Sequence[str], at: datetime | None = None, *, if_due: bool = False) -> None:
    """Have records taken up, now or at a time; for one further away than a day the timer is left to it. `if_due`: not
    those that have been put off meanwhile."""
    if at is not None and at - world.clock.now() > FARTHEST_MESSAGE:
        return
    parts = [keys[start : start + MAX_USERS] for start in range(0, len(keys), MAX_USERS)]
    if parts:
        await world.queue.send([Outgoing(ONBOARDING, take_up_body(part, if_due), None, at) for part in parts])


def take_up_body(keys: Sequence[str], if_due: bool) -> bytes:
    only = {IF_DUE: True} if if_due else {}
    return json.dumps({"v": 1, "type": TAKE_UP, "keys": list(keys), **only}, separators=(",", ":")).encode()


def keys_of(fields: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The keys of a message that has records taken up; None for any other message.

    Raises PoisonMessage for one that is broken.
    """
    if "specversion" in fields or fields.get("type") != TAKE_UP:
        return None
    keys = fields.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_USERS or not all(isinstance(key, str) for key in keys):
        raise PoisonMessage(f"onboarding message: keys must be an array of 1 to {MAX_USERS} texts")
    return tuple(dict.fromkeys(keys))


def event_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The event in a message, without what the queue's settling added."""
    return {name: value for name, value in fields.items() if name != AWAY}
