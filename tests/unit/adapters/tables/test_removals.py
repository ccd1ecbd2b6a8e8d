"""What dropping pending removals costs: requests, by their number."""

from __future__ import annotations

import pytest

from shared.adapters.tables.packing import dump
from shared.adapters.tables.removals import TableRemovals
from shared.adapters.tables.rows import split_body
from shared.domain.pending_removal import Hold, HoldKind, PendingRemoval
from shared.domain.permit import Claim
from tests.support.table_rows import BY_SALES, E3, E5, NOW, user
from tests.support.worlds import MemoryTables

SCOPE = str(BY_SALES)


@pytest.mark.parametrize(("users", "requests"), [(20, 21), (1000, 23)])
async def test_removals_are_dropped_in_transactions(users: int, requests: int) -> None:
    tables = MemoryTables()
    removals = TableRemovals(tables)
    due = [PendingRemoval(Claim(BY_SALES), user(n), sku, NOW) for n in range(users) for sku in (E3, E5)]
    await removals.note(SCOPE, [*due, PendingRemoval(Claim(BY_SALES), user(users), E3, NOW)])
    tables.requests = 0
    await removals.drop(SCOPE, [each.what for each in due])
    assert tables.requests == requests
    assert [row.user_id for row in (await removals.load(SCOPE)).rows] == [user(users)]


async def test_a_hold_of_an_earlier_version_has_no_kind() -> None:
    tables = MemoryTables()
    body = {"hold": [NOW.isoformat(), "Why."], "counted": None, "approvals": []}
    tables.place("removals", SCOPE, "state", **split_body(dump(body)))
    assert (await TableRemovals(tables).state(SCOPE)).state.hold == Hold(NOW, "Why.", HoldKind.OTHER)
