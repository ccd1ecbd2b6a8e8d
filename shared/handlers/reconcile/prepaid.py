"""Writes that are reserved before it is known how many are needed."""

from __future__ import annotations

from collections.abc import Sequence

from shared.domain.budget import Burst, Charged, Slot
from shared.domain.write_control import Grant
from shared.handlers.reconcile.write_limiter import Pacer


class Prepaid:
    """Writes reserved before the reads that show how many are needed, so that nothing is read if the quota has no room.
    The unused rest is released."""

    def __init__(self, pacer: Pacer, charged: Charged | None = None) -> None:
        self._pacer = pacer
        self._left = charged

    async def start(self, *, urgent: bool, writes: int) -> Slot:
        """A start for writes that need no lease: the one they were charged with, or one that they are charged with
        now."""
        if self._left is None:
            return await self._pacer.charge(urgent=urgent, writes=writes)
        slot, self._left = await self._pacer.draw(self._left, urgent=urgent, writes=writes)
        return slot

    async def take(self, costs: Sequence[int], *, urgent: bool, burst: Burst = Burst.NEVER) -> Grant:
        """Room for the license writes of the first users, out of the reservation as long as it lasts."""
        charged, self._left = self._left, None
        grant, self._left = await self._pacer.take(costs, urgent=urgent, charged=charged, burst=burst)
        return grant

    async def give_back(self) -> None:
        """Release the unused reservation for other work."""
        left, self._left = self._left, None
        if left is not None:
            await self._pacer.give_back(left.slot, left.writes)
