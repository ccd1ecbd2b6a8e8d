"""Observations of products against Azurite: they come back whole, and a lost race is reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import ServicePlan
from shared.domain.errors import Conflict
from shared.domain.product_facts import ObservedConflict, Pair, ProductFacts, SeenPlan, SeenProduct
from shared.ports.world import Stores
from tests.support.table_rows import E3, E5, NOW, TEAMS, YAMMER

PAIR = Pair.of(E5, E3)
CONFLICT = ObservedConflict(PAIR, frozenset({TEAMS, YAMMER}), "They are mutually exclusive.", NOW)
PRODUCT = SeenProduct(
    E3,
    "ENTERPRISEPACK",
    {
        TEAMS: SeenPlan(ServicePlan(TEAMS, "TEAMS1"), NOW, NOW + timedelta(days=1)),
        YAMMER: SeenPlan(ServicePlan(YAMMER, "YAMMER", "Company"), rejected_at=NOW, returned_at=NOW),
    },
)


async def test_observations_come_back_whole_and_count_as_of_a_time(stores: Stores) -> None:
    facts = stores.product_facts
    assert await facts.all(NOW, 0.0) == ProductFacts()
    await facts.save_product(PRODUCT, None)
    await facts.save_product(SeenProduct(E5, "ENTERPRISEPREMIUM"), None)
    await facts.save_conflict(CONFLICT, None)
    found = await facts.all(NOW, 60.0)
    assert found == ProductFacts({E3: PRODUCT, E5: SeenProduct(E5, "ENTERPRISEPREMIUM")}, {PAIR: CONFLICT})
    later = await facts.all(NOW + timedelta(days=30), 60.0)
    assert (later.conflicts, later.expired) == ({}, {PAIR: CONFLICT})
    await facts.remove_conflict(PAIR)
    await facts.remove_conflict(PAIR)
    assert (await facts.all(NOW, 60.0)).conflicts == {}


async def test_the_second_of_two_writers_is_told_that_it_lost(stores: Stores) -> None:
    facts = stores.product_facts
    assert await facts.product(E3) == (None, None)
    assert await facts.conflict(PAIR) == (None, None)
    await facts.save_product(PRODUCT, None)
    await facts.save_conflict(CONFLICT, None)
    product, product_etag = await facts.product(E3)
    conflict, conflict_etag = await facts.conflict(PAIR)
    assert (product, conflict) == (PRODUCT, CONFLICT)
    await facts.save_product(replace(PRODUCT, part_number="SPE_E3"), product_etag)
    await facts.save_conflict(replace(CONFLICT, probed_at=NOW), conflict_etag)
    for etag in (None, product_etag):
        with pytest.raises(Conflict):
            await facts.save_product(PRODUCT, etag)
    for etag in (None, conflict_etag):
        with pytest.raises(Conflict):
            await facts.save_conflict(CONFLICT, etag)
    assert (await facts.conflict(PAIR))[0] == replace(CONFLICT, probed_at=NOW)
