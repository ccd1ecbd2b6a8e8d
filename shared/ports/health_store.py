"""The record of the app's own health."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from shared.domain.health_record import HealthRecord


class HealthStore(Protocol):
    """One record for the whole app."""

    async def load(self) -> HealthRecord:
        """An empty one before anything was noted."""
        ...

    async def change(self, change: Callable[[HealthRecord], HealthRecord]) -> HealthRecord:
        """Replace the record by what the change makes of it; one that stays the same is not written. Raises Conflict
        if every try lost a race."""
        ...
