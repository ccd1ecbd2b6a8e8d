"""How long to wait before something is tried or read again: a pause that grows with the wait, within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

MAX_DOUBLINGS = 16
"""More are not computed, so that a large count of tries cannot overflow a timedelta."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The bounds of a pause. All times are timedeltas; `share` is a fraction of the time waited so far, without unit.

    Raises ValueError for a shortest pause that is not above zero, for a longest one below it, and for a share that is
    not above zero.
    """

    shortest: timedelta
    longest: timedelta
    share: float = 1.0

    def __post_init__(self) -> None:
        if not timedelta(0) < self.shortest <= self.longest:
            raise ValueError(f"pauses from {self.shortest} to {self.longest}: must be above 0 and in this order")
        if self.share <= 0:
            raise ValueError(f"share is {self.share}, must be above 0")

    def after(self, waited: timedelta) -> timedelta:
        """The next pause after waiting this long: `share` of that time, within the bounds. A negative time, from clocks
        that differ, counts as none."""
        return min(max(self.shortest, waited * self.share), self.longest)

    def after_tries(self, tries: int) -> timedelta:
        """The next pause after this many failed tries. It starts with the shortest, is multiplied by two with each try,
        and ends with the longest."""
        return min(self.shortest * 2.0 ** min(max(0, tries), MAX_DOUBLINGS), self.longest)
