"""Products and the rules between their plans."""

from __future__ import annotations

from shared.domain.catalog import Catalog
from shared.domain.catalog_data import DEPENDENCIES, EXCLUSIONS
from shared.domain.ids import NO_PLANS
from tests.support.builders import (
    CALLING,
    CATALOG,
    DRAWING,
    E1,
    E3,
    E5,
    F3,
    PHONE,
    SHAREPOINT_1,
    SHAREPOINT_2,
    SHAREPOINT_KIOSK,
    SKUS,
    TEAMS,
    VISIO,
    plan_id,
    plans,
    sku,
    sku_id,
)

UNKNOWN = sku_id(99)


def test_products_and_plans_the_tenant_does_not_own_have_no_plans_and_are_called_by_their_id() -> None:
    assert CATALOG.plans(UNKNOWN) == NO_PLANS
    assert (CATALOG.name(UNKNOWN), CATALOG.plan_name(plan_id(99))) == (UNKNOWN, plan_id(99))
    assert (CATALOG.name(E3), CATALOG.plan_name(TEAMS)) == ("E3", "TEAMS")


def test_products_overlap_that_share_a_plan_or_exclude_each_other_in_either_order() -> None:
    pairs = {(E3, E5): True, (E1, E3): True, (F3, E3): True, (E5, PHONE): True, (VISIO, E3): False, (F3, PHONE): False}
    for (one, two), expected in pairs.items():
        assert CATALOG.overlaps(one, two) is CATALOG.overlaps(two, one) is expected
    assert not CATALOG.overlaps(E3, E3)
    assert not CATALOG.overlaps(E3, UNKNOWN)


def test_plans_touch_that_are_the_same_or_exclude_each_other() -> None:
    assert CATALOG.touches(plans(TEAMS), plans(TEAMS, DRAWING))
    assert CATALOG.touches(plans(SHAREPOINT_1), plans(SHAREPOINT_2))
    assert not CATALOG.touches(plans(SHAREPOINT_1), plans(TEAMS))
    assert not CATALOG.touches(NO_PLANS, plans(TEAMS))


def test_two_plans_of_one_set_conflict_and_the_same_plan_from_two_products_does_not() -> None:
    assert CATALOG.conflict([SHAREPOINT_KIOSK, SHAREPOINT_2, TEAMS]) == (SHAREPOINT_2, SHAREPOINT_KIOSK)
    assert CATALOG.conflict([SHAREPOINT_2, SHAREPOINT_2, TEAMS]) is None
    assert CATALOG.conflict([]) is None


def test_plans_of_two_sides_clash_but_not_what_excludes_within_one_side() -> None:
    assert CATALOG.clash(plans(SHAREPOINT_1, TEAMS), plans(SHAREPOINT_2)) == (SHAREPOINT_1, SHAREPOINT_2)
    assert CATALOG.clash(plans(SHAREPOINT_2), plans(SHAREPOINT_1, TEAMS)) == (SHAREPOINT_2, SHAREPOINT_1)
    assert CATALOG.clash(plans(SHAREPOINT_1, SHAREPOINT_2), plans(SHAREPOINT_1, TEAMS)) is None
    assert CATALOG.clash(plans(SHAREPOINT_1, TEAMS), plans(SHAREPOINT_1, SHAREPOINT_2)) is None
    assert CATALOG.clash(plans(SHAREPOINT_1, SHAREPOINT_2), plans(SHAREPOINT_KIOSK)) is not None
    assert CATALOG.clash(plans(SHAREPOINT_1), plans(SHAREPOINT_1)) is None
    assert CATALOG.clash(NO_PLANS, plans(SHAREPOINT_1)) is None


def test_a_catalog_has_the_published_rules_unless_told_otherwise() -> None:
    catalog = Catalog(SKUS)
    assert (catalog.exclusions, catalog.dependencies) == (EXCLUSIONS, DEPENDENCIES)


def test_each_catalog_remembers_only_its_own_products() -> None:
    other = Catalog({E3: sku(E3, "OTHER", (CALLING,))}, (), {})
    assert CATALOG.plans(E3) != other.plans(E3) == plans(CALLING)
    assert (CATALOG.overlaps(E3, E5), other.overlaps(E3, E5)) == (True, False)
