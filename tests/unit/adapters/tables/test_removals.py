"""What dropping pending removals costs: requests, by their number."""

from __future__ import annotations

import pytest

from shared.adapters.tables.removals import TableRemovals
from shared.domain.pending_removal import PendingRemoval
from shared.domain.permit import Claim
from tests.support.table_rows import BY_SALES, E3, E5, NOW, user
from tests.support.worlds import MemoryTables

SCOPE = str(BY_SALES)


@pytest.mark.parametrize(("users", "requests"), [(20, 21), (1000, 21)])
async def test_removals_are_dropped_in_transactions(users: int, requests: int) -> None:
    tables = MemoryTables()
    removals = TableRemovals(tables)
    due = [PendingRemoval(Claim(BY_SALES), user(n), sku, NOW) for n in range(users) for sku in (E3, E5)]
    await removals.note(SCOPE, [*due, PendingRemoval(Claim(BY_SALES), user(users), E3, NOW)])
    tables.requests = 0
    await removals.drop(SCOPE, [each.what for each in due])
    assert tables.requests == requests
    assert [row.user_id for row in (await removals.load(SCOPE)).rows] == [user(users)]
