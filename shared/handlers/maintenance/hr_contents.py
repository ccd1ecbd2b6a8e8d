"""Delete what HR wrote about people, once its events ended long enough ago."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.errors import Conflict
from shared.domain.hr_contents import ended_at, without_content
from shared.domain.onboarding import OnboardingRecord, OnboardingState
from shared.handlers.maintenance.needs import Needs

AT_ONCE = 500
LATER = timedelta(days=1)
"""When a statement is checked again that can still count again."""


async def forget_contents(world: Needs, before: datetime, deadline: datetime) -> int:
    """Delete the contents of events that ended before a time; returns how many. The next night continues if the
    time is over."""
    forgotten = 0
    while world.clock.now() < deadline:
        entries = await world.stores.onboarding.ended(before, AT_ONCE)
        if not entries:
            break
        later = []
        for _, key in entries:
            record = await world.stores.onboarding.get(key)
            if record is None or not record.is_over or not record.body or ended_at(record) >= before:
                # Gone, begun again, or done: one that ended again has another entry.
                continue
            if await _can_count_again(world, record, before):
                later.append((before + LATER, key))
                continue
            forgotten += await _forget(world, record)
        await world.stores.onboarding.check_ended_again(later)
        await world.stores.onboarding.ended_checked(entries)
    return forgotten


async def _can_count_again(world: Needs, record: OnboardingRecord, before: datetime) -> bool:
    """Whether a statement that counts instead is open, or ended only lately: if that is cancelled, this one counts
    again and is carried out."""
    seen: set[str] = set()
    while record.state is OnboardingState.SUPERSEDED and record.superseded_by and record.key not in seen:
        seen.add(record.key)
        newer = await world.stores.onboarding.get(record.superseded_by)
        if newer is None:
            return False
        if not newer.is_over or ended_at(newer) >= before:
            return True
        record = newer
    return False


async def _forget(world: Needs, record: OnboardingRecord) -> bool:
    try:
        await world.stores.onboarding.forget_content(record, without_content(record))
    except Conflict:  # it begins again at this moment, and its next end has another entry
        return False
    return True
