"""Keep what is observed of the tenant's products: at night from a complete read, and from what Graph rejects."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.concurrency import update
from shared.domain.directory import SubscribedSku
from shared.domain.errors import Conflict, PermissionDenied, Unavailable
from shared.domain.ids import NO_PLANS, Plans, SkuId, UserId
from shared.domain.product_facts import (
    ObservedConflict,
    Pair,
    SeenProduct,
    after_nightly_read,
    after_rejection,
)
from shared.domain.reconciliation import Attempted, Planned
from shared.domain.shown_facts import probed, retired_plans
from shared.handlers.reconcile.needs import Needs

Fact = TypeVar("Fact", SeenProduct, ObservedConflict)

MAX_TRIES = 5
"""Lost races for one row; what is observed again later is kept then."""

RENEWED_AFTER = timedelta(days=1)
"""A conflict that is observed again within this time is not written again."""


async def note_products(
    world: Needs, skus: Iterable[SubscribedSku], assignments: Iterable[GroupLicenseAssignment]
) -> None:
    """After a complete nightly read: which plans each product has, and which it lacks."""
    now = world.clock.now()
    turned_off: dict[SkuId, Plans] = {}
    for sku_assignment in (sku for assignment in assignments for sku in assignment.skus):
        known = turned_off.get(sku_assignment.sku_id, NO_PLANS)
        turned_off[sku_assignment.sku_id] = known | sku_assignment.disabled_plans
    for sku in skus:
        off = turned_off.get(sku.sku_id, NO_PLANS)
        await _change_product(world, sku.sku_id, partial(after_nightly_read, sku=sku, now=now, turned_off=off))


async def note_new_products(world: Needs, catalog: Catalog, sku_ids: Iterable[SkuId]) -> None:
    """When products are assigned: what they contain, in case the tenant loses them before the first night."""
    new = [catalog.skus[sku_id] for sku_id in sku_ids if sku_id not in catalog.facts.products]
    await note_products(world, new, ())


async def note_attempts(world: Needs, users: Sequence[Attempted]) -> None:
    """Keep the facts that answers to some users have shown: conflicts, plans that left their product, and conflicts
    that do not exist any more."""
    now = world.clock.now()
    conflicts = {pair: found for each in users for pair, found in each.conflicts.items()}
    for pair in sorted({pair for each in users for pair in probed(each)} - conflicts.keys()):
        await world.stores.product_facts.remove_conflict(pair)
    for pair in sorted(conflicts):
        await _note_conflict(world, conflicts[pair])
    rejected = _rejected(users)
    # The users were planned by an answer of the last seconds, which may still list a plan that has just been retired.
    # Then it would count as rejected although it is listed, and be left out for a week after it is back.
    fresh = await _plans_now(world) if rejected else {}
    for (sku_id, listed), plans in sorted(rejected.items(), key=lambda item: item[0][0]):
        present = fresh.get(sku_id, listed)
        rejection = partial(after_rejection, sku_id=sku_id, plans=plans, listed=present, now=now)
        await _change_product(world, sku_id, rejection)


async def _plans_now(world: Needs) -> dict[SkuId, Plans]:
    """The plans of each product; nothing if they cannot be read, since an older answer will do."""
    try:
        skus = await world.directory.subscribed_skus(0.0)
    except (Unavailable, PermissionDenied):
        return {}
    return {sku.sku_id: sku.plan_ids for sku in skus}


def _rejected(users: Sequence[Attempted]) -> Mapping[tuple[SkuId, Plans], Plans]:
    """Rejected plans by SKU and the plans that it listed."""
    found: dict[tuple[SkuId, Plans], Plans] = {}
    for each in users:
        for sku_id, plans in retired_plans(each).items():
            sku = each.planned.context.catalog.skus.get(sku_id) if each.planned.context else None
            key = (sku_id, sku.plan_ids if sku else NO_PLANS)
            found[key] = found.get(key, plans) | plans
    return found


async def _change_product(world: Needs, sku_id: SkuId, change: Callable[[SeenProduct | None], SeenProduct]) -> None:
    facts = world.stores.product_facts
    await _change(partial(facts.product, sku_id), change, facts.save_product)


async def _note_conflict(world: Needs, found: ObservedConflict) -> None:
    def renewed(before: ObservedConflict | None) -> ObservedConflict | None:
        if before is None or not before.holds_at(found.at):
            return found
        if found.plans <= before.plans and found.at < before.at + RENEWED_AFTER:
            return None
        return replace(found, plans=found.plans | before.plans)

    facts = world.stores.product_facts
    await _change(partial(facts.conflict, found.pair), renewed, facts.save_conflict)


async def _change(
    read: Callable[[], Awaitable[tuple[Fact | None, str | None]]],
    change: Callable[[Fact | None], Fact | None],
    save: Callable[[Fact, str | None], Awaitable[None]],
) -> bool:
    """Whether a row was changed. `change`: what it becomes; None or the same leaves it as it is."""

    def changed(stored: tuple[Fact | None, str | None]) -> tuple[Fact, str | None] | None:
        before, etag = stored
        after = change(before)
        return None if after is None or after == before else (after, etag)

    async def saved(after: tuple[Fact, str | None]) -> bool:
        await save(*after)
        return True

    with suppress(Conflict):
        return await update(read, changed, saved, tries=MAX_TRIES) or False
    return False


async def taken_probes(world: Needs, planned: Sequence[Planned]) -> dict[UserId, frozenset[Pair]]:
    """For each user whose additions depend on an expired conflict: the pairs that another person probes. The first user
    of a pair that is not being probed yet is the one who does."""
    mine: dict[Pair, UserId] = {}
    for each in planned:
        for pair in sorted(each.plan.probes if each.plan else ()):
            if pair not in mine:
                mine[pair] = each.read.user_id if await _claim(world, pair) else UserId("")
    return {
        each.read.user_id: frozenset(pair for pair in each.plan.probes if mine[pair] != each.read.user_id)
        for each in planned
        if each.plan is not None and each.plan.probes
    }


async def _claim(world: Needs, pair: Pair) -> bool:
    """Whether this worker is to probe a pair."""
    now, facts = world.clock.now(), world.stores.product_facts

    def probing(found: ObservedConflict | None) -> ObservedConflict | None:
        if found is None or found.holds_at(now) or not found.can_be_probed(now):
            return None
        return replace(found, probed_at=now)

    return await _change(partial(facts.conflict, pair), probing, facts.save_conflict)
