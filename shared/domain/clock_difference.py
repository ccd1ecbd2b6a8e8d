"""How far a machine's clock differs from Graph's, by the Date header of an answer (RFC 9110, 6.6.1).

Times of the ledger and of pending removals are compared by machines with clocks of their own. A clock that runs ahead
makes a removal seem due later than it is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

TOLERATED = timedelta(seconds=30)
"""The header has whole seconds, and an answer takes seconds. All pauses before a removal are a minute and more."""

REMEDY = (
    "Pending removals can wait longer. Restart the app, so that it gets another machine. If the difference stays, "
    "contact Azure support."
)


def difference(date: str, now: datetime) -> timedelta | None:
    """How far `now` is ahead of a Date header; negative: behind. None for a header that is no date."""
    try:
        at = parsedate_to_datetime(date)
    except ValueError:
        return None
    return now - (at if at.tzinfo else at.replace(tzinfo=UTC))


def is_wrong(ahead: timedelta | None) -> bool:
    """Whether the difference is too large; one that is not known is not."""
    return ahead is not None and abs(ahead) > TOLERATED


def described(ahead: timedelta) -> str:
    """The difference for a person."""
    seconds = round(abs(ahead).total_seconds())
    return f"{seconds:,} s {'ahead of' if ahead > timedelta(0) else 'behind'} Microsoft Graph's"
