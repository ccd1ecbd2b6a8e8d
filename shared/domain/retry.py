"""How often a user is retried before the retry becomes a visible error."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.denials import GRANT_WAIT
from shared.domain.directory import LicenseError
from shared.domain.graph_errors import remedy_for
from shared.domain.outcomes import Failed, Problem, Result, RetryAt

MAX_ATTEMPTS = 8
MAX_AGE = timedelta(hours=24)
"""Attempts, and time since the first retry, after which a retry becomes a visible error.

A rejection by Graph is an attempt, and so is a write without a usable answer, such as a 5xx. A read without an answer
counts by time only, and so does a missing permission, for GRANT_WAIT. Throttling, the write quota, a second read and a
lost race count as neither.
"""

GIVEN_UP_REMEDY = "The next sync tries again automatically; to try now, reprocess the user."


def bounded(result: Result, attempts: int, first_sent_at: datetime | None, now: datetime) -> Result:
    """The result, or the error that a retry over the limit becomes. `attempts`: those before this one."""
    if not isinstance(result, RetryAt):
        return result
    count = attempts_after(result, attempts)
    max_age = GRANT_WAIT if result.error is LicenseError.PERMISSION else MAX_AGE
    too_old = first_sent_at is not None and (result.rejected or result.unread) and now - first_sent_at > max_age
    if count < MAX_ATTEMPTS and not too_old:
        return result
    tried = f"{max_age // timedelta(hours=1)} hours" if too_old else f"{count} attempts"
    unavailable = result.error is LicenseError.UNAVAILABLE
    remedy = GIVEN_UP_REMEDY if unavailable else remedy_for(result.error)
    return Failed((Problem(result.error, f"Given up after {tried}: {result.why}", remedy),))


def attempts_after(result: Result, attempts: int) -> int:
    """Attempts counted so far: only a result marked `rejected` is one more."""
    return attempts + (isinstance(result, RetryAt) and result.rejected)
