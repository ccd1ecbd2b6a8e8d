"""Rejected requests in the log: at most one line for each caller, route and minute, with the number it stands for.

A line holds the caller's object id, the route without its ids, and the reason; no name, address or token. Each process
counts for itself.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

WINDOW_S = 60.0
MAX_CALLERS = 1000
"""Pairs of caller and route that are counted apart: further ones share one line, so that a flood fills no memory."""

OTHERS = ("others", "any")


@dataclass(slots=True)
class _Counted:
    since: float
    reasons: Counter[str] = field(default_factory=Counter)


class RejectionLog:
    """Counts rejections and logs them. `now`: seconds that never go back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._counted: dict[tuple[str, str], _Counted] = {}

    def note(self, caller: str, route: str, reason: str) -> None:
        """Count a rejection. The first of a caller on a route is logged at once, the others of its minute after it."""
        self.write_due()
        key = (caller or "unknown", route)
        if key not in self._counted and len(self._counted) >= MAX_CALLERS:
            key = OTHERS
        counted = self._counted.get(key)
        if counted is None:
            self._counted[key] = _Counted(self._now())
            _write(key, Counter([reason]))
        else:
            counted.reasons[reason] += 1

    def write_due(self) -> None:
        """Log what was counted in minutes that are over."""
        now = self._now()
        for key, counted in list(self._counted.items()):
            if now - counted.since < WINDOW_S:
                continue
            if counted.reasons:
                _write(key, counted.reasons)
                self._counted[key] = _Counted(now)
            else:
                del self._counted[key]


def _write(key: tuple[str, str], reasons: Counter[str]) -> None:
    caller, route = key
    why = ", ".join(sorted(reasons))
    log.warning('request rejected caller=%s route="%s" reason="%s" count=%d', caller, route, why, reasons.total())
