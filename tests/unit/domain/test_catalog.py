"""Products, the rules between their plans, and the data of those rules."""

from __future__ import annotations

import re

from shared.domain.catalog import Catalog
from shared.domain.catalog_data import DEPENDENCIES, EXCLUSIONS
from shared.domain.ids import NO_PLANS, ServicePlanId
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

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EXCHANGE_P1 = ServicePlanId("9aaf7827-d63c-4b61-89c3-182f06f82e5c")
EXCHANGE_P2 = ServicePlanId("efb87545-963c-4e0d-99df-69c6916d9eb0")
EXCHANGE_KIOSK = ServicePlanId("4a82b400-a79f-41a4-b4e2-e94f5787b113")
SHAREPOINT_P1 = ServicePlanId("c7699d2e-19aa-44de-8edf-1736da088ca1")
SHAREPOINT_P2 = ServicePlanId("5dbe027f-2339-4123-9542-606e4d348a72")
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


class TestTheData:
    def test_every_id_is_a_lower_case_guid(self) -> None:
        ids = [*frozenset().union(*EXCLUSIONS), *DEPENDENCIES, *frozenset().union(*sum(DEPENDENCIES.values(), ()))]
        assert [each for each in ids if not GUID.fullmatch(each)] == []

    def test_every_set_has_two_plans_or_more_and_no_plan_stands_in_two(self) -> None:
        assert min(map(len, EXCLUSIONS)) > 1
        assert sum(map(len, EXCLUSIONS)) == len(frozenset().union(*EXCLUSIONS))

    def test_the_sets_are_those_published(self) -> None:
        assert sorted(map(len, EXCLUSIONS)) == [2, 3, 3, 3, 4, 6, 7, 10]

    def test_kiosk_and_standard_mailboxes_exclude_each_other_and_plan_two_excludes_neither(self) -> None:
        catalog = Catalog({})
        assert catalog.conflict([EXCHANGE_P1, EXCHANGE_KIOSK])
        assert catalog.conflict([EXCHANGE_P1, EXCHANGE_P2]) is None

    def test_the_sharepoint_plans_of_e1_and_e3_exclude_each_other(self) -> None:
        assert Catalog({}).conflict([SHAREPOINT_P1, SHAREPOINT_P2])

    def test_no_plan_needs_itself_and_no_need_is_empty(self) -> None:
        for plan, needs in DEPENDENCIES.items():
            assert needs
            assert all(any_of and plan not in any_of for any_of in needs)

    def test_a_defender_plan_needs_any_exchange_plan(self) -> None:
        (needs,) = DEPENDENCIES[ServicePlanId("8e0c0a52-6a6c-4d40-8370-dd62790dcd70")]
        assert needs == {EXCHANGE_P1, EXCHANGE_P2, EXCHANGE_KIOSK}
