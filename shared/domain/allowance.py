"""An allowance: how many of something need no person within 24 hours, counted by hour. Leavers of HR have one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

HOURS = 24


@dataclass(frozen=True, slots=True)
class AllowanceState:
    """Counts by hour since the epoch."""

    hours: Mapping[int, int] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({str(hour): count for hour, count in sorted(self.hours.items())}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> AllowanceState:
        return cls({int(hour): int(count) for hour, count in json.loads(text).items()})


def limit(size: int, minimum: int, percent: float) -> int:
    """How many are allowed in 24 hours: the larger of a minimum and a share of `size`."""
    return max(minimum, math.floor(size * percent / 100))


def used(state: AllowanceState, now: datetime) -> int:
    """How many were counted in the last 24 hours, the hour that began 24 hours ago included."""
    current = int(now.timestamp() // 3600)
    return sum(count for hour, count in state.hours.items() if hour >= current - HOURS)


def remaining(state: AllowanceState, maximum: int, now: datetime) -> int:
    """How many are still allowed now."""
    return max(0, maximum - used(state, now))


def take(state: AllowanceState, wanted: int, maximum: int, now: datetime) -> tuple[int, AllowanceState]:
    """As many of the wanted ones as are allowed, and the state with them counted; hours that are over go.

    Raises ValueError for fewer than none: that would raise the allowance.
    """
    if wanted < 0:
        raise ValueError(f"{wanted} wanted: must be 0 or more")
    granted = min(wanted, remaining(state, maximum, now))
    current = int(now.timestamp() // 3600)
    hours = {hour: count for hour, count in state.hours.items() if hour >= current - HOURS}
    if granted:
        hours[current] = hours.get(current, 0) + granted
    return granted, AllowanceState(hours)
