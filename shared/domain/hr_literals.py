"""The forms of texts in HR events: the reader matches whole texts by them, and the published schema has the same ones.

They are written so that they mean the same in Python and in JSON schema: only ASCII digits, and blanks by code point.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, tzinfo

BLANK = r"[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"
"""A blank of any kind (Unicode White_Space): HR systems export no-break spaces too."""

_NO_BLANK = BLANK[1:-1]
_CONTROL = r"\x00-\x1f\x7f"
_LEAP = r"(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
_LONG, _SHORT = r"(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])", r"(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_YEAR = r"(?!000[01])(?!9)"
"""Years whose days have a time in every zone."""
_DAY = rf"{_YEAR}(?:[0-9]{{4}}-(?:{_LONG}|{_SHORT}|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP}-02-29)"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"

ABSENT = rf"{BLANK}*"
"""An optional field with nothing but blanks in it is absent."""
VISIBLE = r"[\x21-\x7e]+"
MEDIA = rf"{BLANK}*[Aa][Pp][Pp][Ll][Ii][Cc][Aa][Tt][Ii][Oo][Nn]/[Jj][Ss][Oo][Nn]{BLANK}*(?:;[\s\S]*)?"
GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
PRINTED = rf"[^{_CONTROL}]*"
"""A text without control characters. Its length is counted in its normal form."""
PRINCIPAL_NAME = (
    rf"{BLANK}*[^{_NO_BLANK}{_CONTROL}@\ufe6b\uff20]+[@\ufe6b\uff20][^{_NO_BLANK}{_CONTROL}@\ufe6b\uff20]+{BLANK}*"
)
"""Guests have `#EXT#` in their name (learn.microsoft.com/entra/external-id/user-properties)."""
COUNTRY = r"[A-Z]{2}"
PROFILE = r"[a-z0-9][a-z0-9-]{0,63}"
DAYS = r"P(?:[0-9]{1,2}|[0-2][0-9]{2}|3[0-5][0-9]|36[0-5])D"
DATE = rf"{BLANK}*{_DAY}{BLANK}*"
TIME = rf"{BLANK}*{_DAY}[Tt ]{_CLOCK}(?::[0-5][0-9](?:\.[0-9]{{1,9}})?)?(?:[Zz]|[+-]{_CLOCK}){BLANK}*"
"""A time of RFC 3339, also without seconds. Digits after the sixth decimal of a second are dropped."""

_BLANKS = re.compile(rf"^{BLANK}+|{BLANK}+\Z")
_DATE, _TIME = re.compile(DATE), re.compile(TIME)


def moment(value: object, zone: tzinfo) -> datetime | None:
    """A date (its beginning in the time zone) or a time with offset, in UTC; None for anything else."""
    if not isinstance(value, str):
        return None
    text = _BLANKS.sub("", value).upper()
    try:
        if _DATE.fullmatch(value):
            return datetime.combine(date.fromisoformat(text), time(), zone).astimezone(UTC)
        return datetime.fromisoformat(text).astimezone(UTC) if _TIME.fullmatch(value) else None
    except (ValueError, OverflowError):
        return None
