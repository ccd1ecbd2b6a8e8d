"""Tables that differ from what Microsoft publishes, by a seed.

Microsoft says that its tables are accurate only as of their date. So here pairs of plans that exclude each other are
missing or added, dependencies too, plans are retired, and products are gone. How many is our own number.
"""

from __future__ import annotations

import random

from local.tenant.directory.catalog import Catalog, Dependency, Product
from local.tenant.directory.directory import Directory

PERMITTED_SHARE = 0.2
"""Published pairs that do not exclude each other here."""

ADDED_PAIRS = 4
"""Pairs of plans of two owned products that exclude each other here, though no list has them."""

RETIRED_SHARE = 0.04
"""Plans that Microsoft retired from a product."""

GONE = 3
"""Products that the tenant no longer has, at most; only unassigned ones."""

DEPENDENCY_CHANGES = 2
"""Dependencies that are missing, and as many that are in no list."""


def vary(directory: Directory, position: str, seed: int) -> None:
    """Change the tables of a directory; the same seed changes the same. `position`: one of catalog.EXCLUSIONS."""
    chance = random.Random(f"tables {seed}")
    catalog = directory.catalog
    managed = [catalog.products[sku_id] for sku_id in sorted(directory.subscriptions)]
    _pairs(catalog, managed, position, chance)
    _dependencies(catalog, managed, chance)
    needed = {plan_id for rule in catalog.dependencies for plan_id in rule.any_of}
    for product in managed:
        for plan in product.plans[1:]:  # a product keeps one plan at least, and what its plans can need
            if chance.random() < RETIRED_SHARE and plan.id not in needed:
                catalog.retire(product.sku_id, plan.id)
    unheld = sorted(one.sku_id for one in directory.subscriptions.values() if one.consumed == 0)
    for sku_id in chance.sample(unheld, min(len(unheld), chance.randint(0, GONE))):
        directory.withdraw(sku_id, 0.0, keep_assignments=False)


def _pairs(catalog: Catalog, managed: list[Product], position: str, chance: random.Random) -> None:
    for pair in sorted(catalog.exclusions(position), key=sorted):
        if chance.random() < PERMITTED_SHARE:
            catalog.permit(pair)
    for _ in range(ADDED_PAIRS if len(managed) > 1 else 0):
        one, two = chance.sample(managed, 2)
        first, second = chance.choice(one.plans).id, chance.choice(two.plans).id
        # A pair within one product would keep that product from everybody.
        if first != second and not any({first, second} <= each.plan_ids for each in catalog.products.values()):
            catalog.exclude(frozenset({first, second}))


def _dependencies(catalog: Catalog, managed: list[Product], chance: random.Random) -> None:
    known = [rule for rule in catalog.dependencies if rule.documented]
    for rule in chance.sample(known, min(len(known), DEPENDENCY_CHANGES)):
        catalog.dependencies = catalog.independent(rule.dependent)
    for product in chance.sample(managed, min(len(managed), DEPENDENCY_CHANGES)):
        dependent = chance.choice(product.plans).id
        # Wherever the plan is, the one that it needs is too: every product can still be assigned alone.
        beside = [each.plan_ids for each in catalog.products.values() if dependent in each.plan_ids]
        needed = sorted(frozenset.intersection(*beside) - {dependent})
        if needed:
            catalog.depend(Dependency(dependent, (chance.choice(needed),), documented=True))
