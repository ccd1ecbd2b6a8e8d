"""The tenant's time. It is the machine's, unless a test in the same process gives it another one."""

from __future__ import annotations

import time as machine
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_source: Callable[[], float] = machine.time


def time() -> float:
    """Seconds since 1970."""
    return _source()


@contextmanager
def following(source: Callable[[], float]) -> Iterator[None]:
    """Inside, the time of every tenant of this process is this one, for example that of a world that is moved."""
    global _source
    before, _source = _source, source
    try:
        yield
    finally:
        _source = before
