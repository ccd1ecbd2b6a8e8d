"""Times that people write: a date, a time, or an age such as `7d`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from seatkeeper.errors import CliError

_AGE = re.compile(r"(\d{1,4})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def since_text(text: str) -> str | None:
    """The time as the API takes it; None for an empty text. Raises CliError."""
    text = text.strip()
    if not text:
        return None
    if match := _AGE.fullmatch(text):
        return (datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})).isoformat(timespec="seconds")
    try:
        datetime.fromisoformat(text)
    except ValueError as fault:
        raise CliError(f"{text!r} is not a time. Write 2026-01-31, 2026-01-31T08:00, or an age such as 7d.") from fault
    return text
