"""Leavers that HR announced at least a day ahead: a person can approve them together, as a dated list, before their
day. They then need no part of the allowance. A protected person needs the approval of two people."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.errors import Outdated
from shared.domain.hr_events import MAX_AHEAD, MAX_REMOVAL
from shared.domain.initiator import Initiator
from shared.domain.onboarding import HrEventType, OnboardingRecord, OnboardingState
from shared.handlers.onboarding.administration import AT_ONCE, approve_leavers, checksum_of, protecting
from shared.handlers.onboarding.needs import Needs
from shared.handlers.reconcile.plan import protection_of

AHEAD = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Announced:
    """Scheduled leavers that still need an approval, by the time at which their licenses are removed. `protected`: why
    some of them are protected, by key."""

    records: tuple[OnboardingRecord, ...]
    checksum: str
    protected: Mapping[str, tuple[str, ...]]


async def announced_leavers(world: Needs) -> Announced:
    """The list as it is now."""
    now = world.clock.now()
    keys = await world.stores.onboarding.scheduled(now + MAX_AHEAD + MAX_REMOVAL)
    found = [record for record in await _read(world, keys) if _is_announced(record)]
    found.sort(key=lambda record: (_removal_at(record), record.key))
    protection = await protection_of(world)
    reasons = {record.key: protecting(record, protection, now) for record in found}
    return Announced(tuple(found), checksum_of(found), {key: why for key, why in reasons.items() if why})


async def approve_announced(world: Needs, checksum: str, initiator: Initiator) -> int:
    """Approve exactly the leavers that a person has seen; returns how many need no other approval. Raises Outdated for
    others, and Conflict for one that changed meanwhile: those before it are approved then. Raises ApprovalDenied if the
    person cannot approve any of them."""
    listed = await announced_leavers(world)
    if listed.checksum != checksum:
        text = f"There are {len(listed.records)} announced leavers now, not those that you have seen; read them again."
        raise Outdated(text)
    return len(await approve_leavers(world, listed.records, initiator))


async def _read(world: Needs, keys: Sequence[str]) -> list[OnboardingRecord]:
    found: list[OnboardingRecord] = []
    for start in range(0, len(keys), AT_ONCE):
        part = await asyncio.gather(*map(world.stores.onboarding.get, keys[start : start + AT_ONCE]))
        found += [record for record in part if record is not None]
    return found


def _is_announced(record: OnboardingRecord) -> bool:
    """Whether the leaver waits for its day, which HR named at least a day before."""
    waits = record.event.type is HrEventType.LEAVER and record.state is OnboardingState.SCHEDULED
    return waits and not record.permitted_by and _removal_at(record) - record.received_at >= AHEAD


def _removal_at(record: OnboardingRecord) -> datetime:
    return record.next_at or record.event.effective_at
