"""How much one caller can ask for: a rate for each kind of request, with a minute's worth at once.

A pure function of one number, the time at which everything that was admitted is paid off (the generic cell rate
algorithm). Times are seconds since the epoch.
"""

from __future__ import annotations

from enum import StrEnum

SPAN_S = 60.0
"""Rates are for a minute, and so much can come at once after a rest."""


class Kind(StrEnum):
    """Kinds of requests that are counted separately; the value is the name in an error."""

    READS = "reads"
    CHANGES = "changes"
    PREVIEWS = "previews"
    HR_EVENTS = "HR events"


def admitted(paid_until: float, per_minute: int, n: int, now: float) -> tuple[float, float]:
    """The time at which all requests and `n` more are paid off, and the seconds until these can be admitted. For 0
    seconds they are admitted now, and the caller must store the time.

    More than one minute's number at once is admitted if nothing is owed.
    """
    before = max(paid_until, now)
    after = before + n * SPAN_S / per_minute
    if before == now:
        return after, 0.0
    wait_s = after - now - SPAN_S if n <= per_minute else before - now
    return after, max(0.0, wait_s)
