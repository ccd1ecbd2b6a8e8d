"""Tables that differ by a seed: the same seed the same, another seed others, and every suite can still be assigned."""

from __future__ import annotations

from typing import Any

import pytest

from local.tenant.directory.catalog import Pair, published
from local.tenant.directory.directory import Directory
from local.tenant.directory.model import AssignedLicense
from local.tenant.directory.variation import vary
from local.tenant.generator.generate import generate
from local.tenant.licensing.rules import Change, Licensee, Rejection, Rules, apply_change
from local.tenant.settings import Settings
from local.tenant.tenant import Tenant
from tests.unit.local.tenant.calls import SHAREPOINT_2, TEAMS_PLAN

SEEDS = range(1, 13)


def varied(seed: int) -> Directory:
    directory, _ = generate(members=20, seed=1)
    vary(directory, "since2023", seed)
    return directory


def fingerprint(directory: Directory) -> tuple[Any, ...]:
    catalog = directory.catalog
    return catalog.exclusions("since2023"), catalog.dependencies, catalog.products, set(directory.subscriptions)


def test_the_same_seed_gives_the_same_tables_and_another_seed_others() -> None:
    assert fingerprint(varied(3)) == fingerprint(varied(3))
    assert fingerprint(varied(3)) != fingerprint(varied(4))


def test_over_some_seeds_everything_that_can_differ_does() -> None:
    known = published()
    seen: set[str] = set()
    for seed in SEEDS:
        directory = varied(seed)
        pairs: frozenset[Pair] = directory.catalog.exclusions("since2023")
        if known.exclusions["since2023"] - pairs:
            seen.add("pairs missing")
        if pairs - known.exclusions["since2023"]:
            seen.add("pairs added")
        if set(known.dependencies) - set(directory.catalog.dependencies):
            seen.add("dependencies missing")
        if set(directory.catalog.dependencies) - set(known.dependencies):
            seen.add("dependencies added")
        if any(product != known.products[one] for one, product in directory.catalog.products.items()):
            seen.add("plans retired")
        if directory.withdrawn:
            seen.add("products gone")
    assert seen == {
        "pairs missing",
        "pairs added",
        "dependencies missing",
        "dependencies added",
        "plans retired",
        "products gone",
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_every_suite_of_the_tenant_can_still_be_assigned_alone_and_nobody_lost_a_license(seed: int) -> None:
    before, _ = generate(members=20, seed=1)
    directory = varied(seed)
    assert {user.id: user.rows for user in directory.users.values()} == {u.id: u.rows for u in before.users.values()}
    rules = Rules(directory.catalog, {})
    for name in ("SPE_E3", "SPE_E5", "SPE_F1", "STANDARDPACK", "EMS"):
        sku_id = directory.catalog.by_part_number(name).sku_id
        if sku_id in directory.subscriptions:
            alone = Change((AssignedLicense(sku_id, ()),), ())
            assert not isinstance(
                apply_change(alone, Licensee((), "DE"), directory.subscriptions, rules, 1.0), Rejection
            ), name


def test_the_switch_lays_the_tables_of_the_seed_and_those_published_again() -> None:
    tenant = Tenant(Settings(), "k" * 32)
    tenant.replace_directory(*generate(members=20, seed=5, tables="bySeed"))
    assert tenant.settings.tables == "bySeed"
    assert fingerprint(tenant.directory) == fingerprint_of_seed(5)
    tenant.directory.catalog.exclude(frozenset({TEAMS_PLAN, SHAREPOINT_2}))
    tenant.settings.patch({"tables": "asPublished"})
    tenant.lay_tables()
    assert tenant.directory.catalog.products == published().products
    assert tenant.directory.catalog.exclusions("since2023") == published().exclusions["since2023"]
    assert tenant.directory.withdrawn == {}
    assert len(tenant.directory.subscriptions) == 30


def fingerprint_of_seed(seed: int) -> tuple[Any, ...]:
    directory, _ = generate(members=20, seed=seed)
    vary(directory, "since2023", seed)
    return fingerprint(directory)
