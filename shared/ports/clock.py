"""The clock."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, UTC and aware."""
        ...

    async def sleep(self, seconds: float) -> None: ...
