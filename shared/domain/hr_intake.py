"""HR events as they come in: each is read, and compared with the event stored under its id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.domain.errors import PoisonMessage
from shared.domain.hr_events import BrokenEvent, Fault, Sources, accepted, shown
from shared.domain.hr_senders import HrSenders
from shared.domain.initiator import Initiator, hr_sender
from shared.domain.messages import MAX_USERS
from shared.domain.onboarding import OnboardingRecord, OnboardingState

RESUME, IF_DUE = "takeUp", "ifDue"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one event of a request. `record`: as it is now stored. `taken`: the same id was received before
    with other content."""

    position: int
    record: OnboardingRecord | None = None
    faults: tuple[Fault, ...] = ()
    taken: bool = False

    @property
    def reason(self) -> str:
        """Why the event was not taken; empty for one that was."""
        if self.taken and self.record is not None:
            event = self.record.event
            return f"event {event.id!r} of {event.source!r} was received before with other content; use a new id"
        return "; ".join(map(str, self.faults))

    @property
    def logged_reason(self) -> str:
        """The reason without the values, which may be names of people."""
        if self.taken:
            return "its id was received before with other content"
        return f"not a valid event: {', '.join(sorted({each.field.split('.')[-1][:32] for each in self.faults}))}"


def received(
    values: Sequence[object], now: datetime, sender: Initiator, sources: Sources, senders: HrSenders
) -> list[Receipt]:
    """The events of a request, none stored yet."""
    return [_received(position, value, now, sender, sources, senders) for position, value in enumerate(values)]


def _received(
    position: int, value: object, now: datetime, sender: Initiator, sources: Sources, senders: HrSenders
) -> Receipt:
    unmanaged = _unmanaged(value, sender, senders)
    try:
        event, body = accepted(value, now, sources)
    except BrokenEvent as broken:
        return Receipt(position, faults=(*unmanaged, *broken.faults))
    if unmanaged:
        return Receipt(position, faults=unmanaged)
    arrived = now + timedelta(microseconds=position)  # the order within a request is the last that decides
    record = OnboardingRecord(
        event, body, OnboardingState.RECEIVED, arrived, now, hr_sender(sender, event.source), next_at=now
    )
    return Receipt(position, record)


def _unmanaged(value: object, sender: Initiator, senders: HrSenders) -> tuple[Fault, ...]:
    """The fault of an event whose source is bound to others; an unreadable source has a fault of its own."""
    source = value.get("source") if isinstance(value, dict) else None
    rule = senders.why_not(source, sender) if isinstance(source, str) else ""
    return (Fault("source", shown(source), rule),) if rule else ()


def as_stored(receipt: Receipt, stored: Mapping[str, OnboardingRecord]) -> Receipt:
    """The receipt with the event that is stored under the same id, which can be another one."""
    if receipt.record is None:
        return receipt
    known = stored[receipt.record.key]
    return replace(receipt, record=known, taken=known.fingerprint != receipt.record.fingerprint)


def open_keys(receipts: Iterable[Receipt]) -> tuple[str, ...]:
    """Records to resume: also those received before that have not ended, or whose end was not announced."""
    records = [receipt.record for receipt in receipts if receipt.record is not None and not receipt.taken]
    return tuple(dict.fromkeys(each.key for each in records if not each.is_over))


def resume_body(keys: Sequence[str], *, if_due: bool) -> bytes:
    """The message that has records resumed. `if_due`: not those that have been rescheduled meanwhile."""
    only = {IF_DUE: True} if if_due else {}
    return json.dumps({"v": 1, "type": RESUME, "keys": list(keys), **only}, separators=(",", ":")).encode()


def keys_of(fields: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The keys of a message that has records resumed; None for any other message.

    Raises PoisonMessage for one that is broken.
    """
    if "specversion" in fields or fields.get("type") != RESUME:
        return None
    keys = fields.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_USERS or not all(isinstance(key, str) for key in keys):
        raise PoisonMessage(f"onboarding message: keys must be an array of 1 to {MAX_USERS} texts")
    return tuple(dict.fromkeys(keys))
