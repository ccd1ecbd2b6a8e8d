"""Keeping what is observed of products: two workers at once, lost races, and a night without one product."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.catalog import Catalog
from shared.domain.directory import UserGone
from shared.domain.errors import Unavailable
from shared.domain.ids import UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.plan import UserPlan
from shared.domain.product_facts import PROBE_LASTS, ObservedConflict, Pair, ProductFacts
from shared.domain.reconciliation import Attempted, Planned, Read
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.reconcile.product_facts import note_attempts, taken_probes
from tests.support.runs import EXTRA, LARGE, SMALL, Run, user

PAIR = Pair.of(SMALL.sku_id, EXTRA.sku_id)
OTHER_PAIR = Pair.of(SMALL.sku_id, LARGE.sku_id)
PLANS = SMALL.plan_ids


def planned(user_id: UserId, *probes: Pair) -> Planned:
    row = LedgerRow(user_id)
    return Planned(Read(user_id, UserGone(), row, row), row, plan=UserPlan(user_id, probes=frozenset(probes)))


def attempted(run: Run, conflict: ObservedConflict) -> Attempted:
    row = LedgerRow(user(1))
    each = planned(user(1))
    return Attempted(each, each.read.user, row, row, wrote=False, conflicts={conflict.pair: conflict})


async def facts(run: Run) -> ProductFacts:
    return await run.world.stores.product_facts.all(run.world.clock.now(), 0.0)


def conflict_at(run: Run, **ago: float) -> ObservedConflict:
    return ObservedConflict(PAIR, PLANS, "No.", run.world.clock.now() - timedelta(**ago))


class TestProbes:
    async def test_of_two_workers_one_user_of_one_probes(self) -> None:
        run = Run()
        await run.world.stores.product_facts.save_conflict(conflict_at(run, days=31), None)
        first = [planned(user(1), PAIR), planned(user(2), PAIR), planned(user(3))]
        assert await taken_probes(run.world, first) == {user(1): frozenset(), user(2): {PAIR}}
        assert await taken_probes(run.world, [planned(user(4), PAIR)]) == {user(4): {PAIR}}

    async def test_another_pair_is_probed_at_the_same_time(self) -> None:
        run = Run()
        for pair in (PAIR, OTHER_PAIR):
            conflict = replace(conflict_at(run, days=31), pair=pair)
            await run.world.stores.product_facts.save_conflict(conflict, None)
        found = await taken_probes(run.world, [planned(user(1), PAIR), planned(user(2), OTHER_PAIR)])
        assert found == {user(1): frozenset(), user(2): frozenset()}

    async def test_a_probe_that_came_to_no_end_is_begun_again_after_a_while(self) -> None:
        run = Run()
        await run.world.stores.product_facts.save_conflict(conflict_at(run, days=31), None)
        await taken_probes(run.world, [planned(user(1), PAIR)])
        run.later(seconds=PROBE_LASTS.total_seconds() - 1)
        assert await taken_probes(run.world, [planned(user(2), PAIR)]) == {user(2): {PAIR}}
        run.later(seconds=1)
        assert await taken_probes(run.world, [planned(user(2), PAIR)]) == {user(2): frozenset()}

    async def test_nobody_probes_what_was_observed_again_or_removed_meanwhile(self) -> None:
        run = Run()
        assert await taken_probes(run.world, [planned(user(1), PAIR)]) == {user(1): {PAIR}}
        await run.world.stores.product_facts.save_conflict(conflict_at(run, days=1), None)
        assert await taken_probes(run.world, [planned(user(1), PAIR)]) == {user(1): {PAIR}}


class TestConflicts:
    async def test_one_that_is_observed_every_minute_is_written_once_a_day(self) -> None:
        run = Run()
        first = conflict_at(run)
        await note_attempts(run.world, [attempted(run, first)])
        run.later(hours=23)
        await note_attempts(run.world, [attempted(run, conflict_at(run))])
        assert (await facts(run)).conflicts == {PAIR: first}
        run.later(hours=1)
        second = conflict_at(run)
        await note_attempts(run.world, [attempted(run, second)])
        assert (await facts(run)).conflicts == {PAIR: second}

    async def test_plans_that_another_text_names_are_added_and_an_expired_one_is_replaced(self) -> None:
        run = Run()
        await note_attempts(run.world, [attempted(run, conflict_at(run))])
        more = replace(conflict_at(run), plans=EXTRA.plan_ids)
        await note_attempts(run.world, [attempted(run, more)])
        assert (await facts(run)).conflicts[PAIR].plans == PLANS | EXTRA.plan_ids
        run.later(days=31)
        await note_attempts(run.world, [attempted(run, replace(more, at=run.world.clock.now()))])
        assert (await facts(run)).conflicts[PAIR].plans == EXTRA.plan_ids

    async def test_a_row_that_others_always_change_is_left_to_them(self) -> None:
        run = Run()
        run.fakes.tables.contested.add("productfacts")
        await note_attempts(run.world, [attempted(run, conflict_at(run))])
        assert (await facts(run)).conflicts == {}


async def test_a_night_without_a_product_proves_nothing_of_its_plans() -> None:
    run = Run()
    await sync_all(run.world)
    run.directory.remove_sku(LARGE.sku_id)
    for _ in range(3):
        run.later(days=1)
        await sync_all(run.world)
    found = await facts(run)
    catalog = Catalog({SMALL.sku_id: SMALL}, facts=found)
    assert found.retired(LARGE.sku_id, frozenset()) == frozenset()
    assert (catalog.plans(LARGE.sku_id), catalog.name(LARGE.sku_id)) == (LARGE.plan_ids, "LARGE")


async def test_syncs_are_sent_although_the_products_cannot_be_read() -> None:
    run = Run()
    run.directory.go_away()
    with pytest.raises(Unavailable):
        await sync_all(run.world)
    assert run.fakes.sent()
    assert (await facts(run)).products == {}
