"""The rate of writes that a tenant takes, learned from 429: lower after one, and slowly higher again.

Times are seconds since the epoch. The settings name the highest rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

LEAST_PER_S = 0.2

FALL = 0.75
RISE = 1.03
"""Factors of the rate after a 429, and after a while without one."""

PAUSE_S = 5.0
"""Least time without writes after a 429: a limit that is just not exceeded any more has room for one write only."""

ONE_OCCURRENCE_S = 15.0
"""429 within this time after the rate fell do not make it fall again."""

FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 1800.0
"""Time without a 429 before the rate rises. It is multiplied by four with each rise that led to one again."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s`: None as long as the rate of the settings is taken. `throttled_at`: the last 429. `is_trial`: the last
    change was a rise. `failed`: rises that led to a 429."""

    per_s: float | None = None
    changed_at: float = 0.0
    throttled_at: float = 0.0
    failed: int = 0
    is_trial: bool = False

    def to_list(self) -> list[Any]:
        """As JSON values."""
        return [self.per_s, self.changed_at, self.throttled_at, self.failed, self.is_trial]

    @property
    def most_at_once(self) -> int | None:
        """Users of one call: fewer where the rate is learned, so that the next 429 rejects few."""
        return None if self.per_s is None else max(1, math.ceil(self.per_s / 2))


def after_throttling(rate: Rate, highest: float, began: float, now: float) -> Rate:
    """The rate after a 429 of a write that began at a time. One that was sent soon after the last 429 is part of it."""
    if began < rate.throttled_at + ONE_OCCURRENCE_S:
        return rate
    current = rate.per_s or highest
    lower = current / RISE if rate.is_trial else current * FALL
    failed = rate.failed + rate.is_trial
    return Rate(max(lower, LEAST_PER_S), changed_at=now, throttled_at=now, failed=failed)


def after_acceptance(rate: Rate, highest: float, now: float) -> Rate:
    """The rate after writes were accepted: a little higher, if there was no 429 for long enough."""
    if rate.per_s is None:
        return rate
    if now - rate.changed_at < min(FIRST_WAIT_S * 4 ** min(rate.failed, 5), LONGEST_WAIT_S):
        return rate
    higher = rate.per_s * RISE
    if higher >= highest:
        return replace(rate, per_s=None, changed_at=now, failed=0, is_trial=True)
    return replace(rate, per_s=higher, changed_at=now, is_trial=True)
