"""What is kept for people to read, and no longer than they want it kept: audit entries and events of HR that ended."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from shared.ports import World

log = logging.getLogger(__name__)

MONTHS_BACK = 24
"""Months before the last one kept that are deleted, so that nights without the timer are made up for."""

EVENTS_A_NIGHT = 5000


async def forget_old(world: World) -> int:
    """Delete months of the audit log that are over the retention as a whole, and events of HR that ended and came
    before it. Returns how many events."""
    before = world.clock.now() - timedelta(seconds=world.policy.retention_s)
    await world.stores.audit.forget(months_before(before))
    forgotten = await world.stores.onboarding.forget(before, EVENTS_A_NIGHT)
    if forgotten:
        log.info("%d events of HR from before %s were deleted", forgotten, before.date())
    return forgotten


def months_before(at: datetime) -> list[str]:
    """The months (YYYYMM) that ended before the month of a time, latest first."""
    months, year, month = [], at.year, at.month
    for _ in range(MONTHS_BACK):
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
        months.append(f"{year:04d}{month:02d}")
    return months
