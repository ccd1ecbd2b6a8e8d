"""The tenant's time. It is the machine's, unless a test in the same process gives it another one, or moves it."""

from __future__ import annotations

import time as machine
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_source: Callable[[], float] = machine.time
_ahead = 0.0


def time() -> float:
    """Seconds since 1970."""
    return _source() + _ahead


def pass_by(seconds: float) -> None:
    """From now on the tenants of this process are so much further ahead of their source."""
    global _ahead
    _ahead += seconds


@contextmanager
def following(source: Callable[[], float]) -> Iterator[None]:
    """Inside, the time of every tenant of this process is this one, for example that of a world that is moved."""
    global _source, _ahead
    before, _source, _ahead = (_source, _ahead), source, 0.0
    try:
        yield
    finally:
        _source, _ahead = before
