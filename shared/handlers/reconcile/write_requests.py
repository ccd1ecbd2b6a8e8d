"""A request for room to write. It waits with others of its process, and one update of the stored state answers all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.budget import BudgetLimits, BudgetState, Burst, Charged, Lane, Slot, charge, drawn
from shared.domain.write_control import Grant, take

LEASE_AGAIN_S = 30.0
"""When users come back that waited in vain for a lease. Nothing is stored for it, as an update would hold up writes."""


@dataclass(slots=True, eq=False)
class Request:
    """`costs`: writes of each user whose license write needs a lease; None for writes that need none."""

    lane: Lane
    writes: int
    answer: asyncio.Future[tuple[Grant, Charged | None]]
    costs: Sequence[int] | None = None
    charged: Charged | None = None
    burst: Burst = Burst.NEVER
    until: datetime | None = None
    is_new: bool = True

    def decided(
        self, state: BudgetState, limits: BudgetLimits, now: float
    ) -> tuple[tuple[Grant, Charged | None] | None, BudgetState]:
        """The answer, or None as long as it waits for a lease."""
        if self.costs is None:
            return self._reserved(state, limits, now)
        grant, left, after = take(state, limits, self.lane, self.costs, now, charged=self.charged, burst=self.burst)
        if grant is not None:
            return (grant, left), after
        if self.until is not None and now < self.until.timestamp():
            return None, after
        return (Grant(Slot(now + LEASE_AGAIN_S, charged=False)), self.charged), after

    def _reserved(
        self, state: BudgetState, limits: BudgetLimits, now: float
    ) -> tuple[tuple[Grant, Charged | None], BudgetState]:
        if self.charged is None:
            slot, state = charge(state, limits, self.lane, self.writes, now, self.burst)
            return (Grant(slot), None), state
        slot, left, state = drawn(state, limits, self.lane, self.charged, self.writes, now)
        return (Grant(slot), left), state
