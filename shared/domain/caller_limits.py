"""How much one caller can ask for: a rate for each kind of request, with a minute's worth at once.

A pure function of one number, the time at which everything that was admitted is paid off (the generic cell rate
algorithm). Times are seconds since the epoch.
"""

from __future__ import annotations

from enum import StrEnum

SPAN_S = 60.0
"""Rates are for a minute, and so much can come at once after a rest."""


class Kind(StrEnum):
    """What is counted apart; the value is what an error calls it."""

    READS = "reads"
    CHANGES = "changes"
    HR_EVENTS = "HR events"


def admitted(paid_until: float, per_minute: int, n: int, now: float) -> tuple[float, float]:
    """The time at which all is paid off with `n` more, and the seconds until they can be admitted: 0 for now, and then
    the first number is to be kept.

    More than a minute's worth at once is admitted if nothing is owed.
    """
    before = max(paid_until, now)
    after = before + n * SPAN_S / per_minute
    if before == now:
        return after, 0.0
    wait_s = after - now - SPAN_S if n <= per_minute else before - now
    return after, max(0.0, wait_s)
