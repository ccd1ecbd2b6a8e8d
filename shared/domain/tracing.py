"""Trace context: from the request that began the work, in every message, to Graph (w3.org/TR/trace-context)."""

from __future__ import annotations

import re
from contextvars import ContextVar

current: ContextVar[str] = ContextVar("traceparent", default="")
"""The `traceparent` of the work this task is doing; empty where none is known."""

_FORM = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def begun(given: str, token: str) -> str:
    """The caller's `traceparent` where it is one, else a new one made of 32 random hex digits."""
    if _FORM.fullmatch(given):
        return given
    return f"00-{token}-{token[:15]}1-01"


def followed(traceparent: str) -> None:
    """From now on this task works for that trace."""
    current.set(traceparent)
