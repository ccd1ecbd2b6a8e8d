"""Texts as HR systems, profiles and the directory write them, in one form to compare by.

Compatibility forms of a character count as the character (NFKC, unicode.org/reports/tr15): a full-width digit is a
digit.
"""

from __future__ import annotations

import unicodedata


def tidy(text: str) -> str:
    """The text in NFKC, without blanks at its ends, each run of blanks as one; letters keep their case."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def normal_form(text: str) -> str:
    """The text in the form in which two texts are compared: tidy, and without regard to case."""
    # Folding the case can take a text out of NFKC.
    return tidy(unicodedata.normalize("NFKC", tidy(text).casefold()))
