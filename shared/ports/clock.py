"""The clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time, UTC and aware."""
        ...

    def ahead(self) -> timedelta | None:
        """How far it was ahead of Graph's clock at Graph's last answer to this process; None: not known."""
        ...

    async def sleep(self, seconds: float) -> None: ...
