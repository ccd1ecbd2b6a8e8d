"""Assignments against Azurite: they are read as they were written, with their history, and a lost race is reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.assignment import (
    AssignmentOptions,
    Enforcement,
    GroupLicenseAssignment,
    SkuAssignment,
)
from shared.domain.errors import Conflict
from shared.ports.world import Stores
from tests.support.table_rows import E3, E5, NOW, OPERATION, SALES, STAFF, TEAMS, YAMMER


def an_assignment() -> GroupLicenseAssignment:
    sku = SkuAssignment(E3, frozenset({TEAMS, YAMMER}), Enforcement.PAUSED)
    options = AssignmentOptions(
        usage_location="CH",
        require_usage_location=True,
        count_inherited=True,
        include_guests=False,
        include_disabled_accounts=False,
        excluded_groups=frozenset({STAFF}),
        grace=timedelta(days=30),
        priority=7,
        removal_allowance=300,
        removal_allowance_reason="The term ends",
    )
    return GroupLicenseAssignment(
        SALES,
        (sku, SkuAssignment(E5, frozenset(), changed_at=NOW)),
        options,
        version=3,
        pauses=2,
        operation_id=OPERATION,
        open_approval=OPERATION,
        display_name="Sales",
        changed_by="Mia",
        changed_by_id="mia",
        changed_at=NOW,
    )


async def test_an_assignment_comes_back_whole_with_its_history_and_a_lost_race_is_told(stores: Stores) -> None:
    first = an_assignment()
    etag = await stores.assignments.save(first, None)
    second = replace(first, version=4, skus=first.skus[:1])
    await stores.assignments.save(second, etag)
    with pytest.raises(Conflict):
        await stores.assignments.save(replace(first, version=5), etag)
    with pytest.raises(Conflict):
        await stores.assignments.save(first, None)
    stored = await stores.assignments.get(SALES)
    assert stored is not None
    assert stored.assignment == second
    assert await stores.assignments.all() == (second,)
    assert await stores.assignments.history(SALES) == (second, first)
    assert await stores.assignments.get(STAFF) is None
