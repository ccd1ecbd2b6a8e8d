"""The allowance of removals and the budget of requests against Azurite: a lost race is reported."""

from __future__ import annotations

import pytest

from shared.domain.errors import Conflict
from shared.ports.world import Stores
from tests.support.table_rows import BY_SALES


async def test_allowance_and_budget_tell_a_lost_race(stores: Stores) -> None:
    assert await stores.permits.allowance(str(BY_SALES)) == ("", None)
    await stores.permits.save_allowance(str(BY_SALES), "{}", None)
    text, etag = await stores.permits.allowance(str(BY_SALES))
    await stores.permits.save_allowance(str(BY_SALES), '{"1":2}', etag)
    with pytest.raises(Conflict):
        await stores.permits.save_allowance(str(BY_SALES), text, etag)
    first = await stores.budget.save("one", None)
    await stores.budget.save("two", first)
    with pytest.raises(Conflict):
        await stores.budget.save("three", first)
    assert (await stores.budget.load())[0] == "two"
