"""A tenant that takes few license writes at once, and the license writes that are in flight there."""

from __future__ import annotations

from shared.domain.budget import BudgetState
from shared.domain.width import STEPS, Width
from tests.support.worlds import Fakes


async def narrow(fakes: Fakes, limit: int) -> None:
    """License writes in flight at once, for the whole tenant."""
    state = BudgetState(width=Width(step=STEPS.index(limit)))
    _, etag = await fakes.world.stores.budget.load()
    await fakes.world.stores.budget.save(state.to_json(), etag)


async def leases(fakes: Fakes) -> int:
    """License writes in flight now."""
    text, _ = await fakes.world.stores.budget.load()
    return sum(each.users for each in BudgetState.from_json(text).width.leases)
