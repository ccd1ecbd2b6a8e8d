"""Products and the rules between their plans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.catalog import Catalog
from shared.domain.catalog_data import DEPENDENCIES, EXCLUSIONS
from shared.domain.directory import AssignedLicense, ServicePlan
from shared.domain.ids import NO_PLANS
from shared.domain.product_facts import ObservedConflict, Pair, ProductFacts, after_nightly_read
from tests.support.builders import (
    CALLING,
    CATALOG,
    DRAWING,
    E1,
    E3,
    E5,
    F3,
    NOW,
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


def test_products_overlap_that_share_a_plan_of_users_in_either_order() -> None:
    pairs = {(E3, E5): True, (E1, E3): True, (F3, E3): False, (E5, PHONE): True, (VISIO, E3): False, (F3, PHONE): False}
    for (one, two), expected in pairs.items():
        assert CATALOG.overlaps(one, two) is CATALOG.overlaps(two, one) is expected
    assert not CATALOG.overlaps(E3, E3)
    assert not CATALOG.overlaps(E3, UNKNOWN)


def test_a_plan_of_the_company_makes_no_overlap() -> None:
    foundation = ServicePlan(plan_id(50), "EXCHANGE_S_FOUNDATION", applies_to="Company")
    both = [replace(SKUS[each], service_plans=(*SKUS[each].service_plans, foundation)) for each in (VISIO, PHONE)]
    catalog = Catalog({each.sku_id: each for each in both}, (), {})
    assert not catalog.overlaps(VISIO, PHONE)
    assert catalog.user_plans(VISIO) == {DRAWING}
    assert catalog.plans(VISIO) == {DRAWING, plan_id(50)}
    assert not catalog.brings(VISIO, plans(plan_id(50)))
    assert catalog.brings(VISIO, plans(plan_id(50), DRAWING))


def test_a_product_whose_contents_are_unknown_may_replace_anything_and_is_replaced_by_nothing_special() -> None:
    assert CATALOG.replaces(UNKNOWN, E3)
    assert not CATALOG.replaces(E3, UNKNOWN)
    assert not CATALOG.replaces(VISIO, E3)


def test_a_product_that_the_tenant_has_lost_is_known_from_the_nightly_read() -> None:
    left = {each: SKUS[each] for each in (E3, VISIO)}
    facts = ProductFacts({E5: after_nightly_read(None, SKUS[E5], NOW)})
    catalog = Catalog(left, (), {}, facts)
    assert (catalog.name(E5), catalog.plans(E5)) == ("E5", SKUS[E5].plan_ids)
    assert (catalog.replaces(E5, E3), catalog.replaces(E5, VISIO)) == (True, False)


def test_products_that_graph_rejected_together_replace_each_other_and_conflict_if_the_plans_are_on() -> None:
    named = plans(SHAREPOINT_2, SHAREPOINT_KIOSK)
    facts = ProductFacts(conflicts={Pair.of(F3, E3): ObservedConflict(Pair.of(F3, E3), named, "No.", NOW)})
    catalog = Catalog(SKUS, (), {}, facts)
    assert catalog.replaces(F3, E3)
    assert catalog.replaces(E3, F3)
    assert catalog.conflict(AssignedLicense(F3), AssignedLicense(E3)) is not None
    assert catalog.conflict(AssignedLicense(E3), AssignedLicense(F3)) is not None
    assert catalog.conflict(AssignedLicense(F3), AssignedLicense(E3, plans(SHAREPOINT_2))) is None
    assert catalog.conflict(AssignedLicense(F3), AssignedLicense(E5)) is None
    assert catalog.to_probe(AssignedLicense(F3), AssignedLicense(E3)) is None


def test_an_addition_shares_its_call_with_what_it_replaces_or_is_listed_as_exclusive_with() -> None:
    assert CATALOG.shares_call(AssignedLicense(E5), E3)
    assert CATALOG.shares_call(AssignedLicense(E3), F3)
    assert not CATALOG.shares_call(AssignedLicense(E3, plans(SHAREPOINT_2)), F3)
    assert not CATALOG.shares_call(AssignedLicense(VISIO), E3)


@pytest.mark.parametrize(
    ("status", "applies_to", "text"),
    [
        ("Enabled", "User", ""),
        ("Warning", "User", ""),
        ("Suspended", "User", "The subscription of product E3 is in state Suspended."),
        ("LockedOut", "User", "The subscription of product E3 is in state LockedOut."),
        ("Deleted", "User", "The subscription of product E3 is in state Deleted."),
        ("Enabled", "Company", "Product E3 applies to the company and cannot be assigned to users."),
    ],
)
def test_a_product_can_be_assigned_unless_the_directory_says_otherwise(status: str, applies_to: str, text: str) -> None:
    product = replace(SKUS[E3], capability_status=status, applies_to=applies_to)
    assert Catalog({E3: product}).not_assignable(E3) == text
    assert Catalog({E3: product}).not_assignable(UNKNOWN) == f"The tenant has no subscription of product {UNKNOWN}."


def test_plans_of_two_sides_are_listed_but_not_what_excludes_within_one_side() -> None:
    assert CATALOG.listed_exclusive(plans(SHAREPOINT_1, TEAMS), plans(SHAREPOINT_2)) == (SHAREPOINT_1, SHAREPOINT_2)
    assert CATALOG.listed_exclusive(plans(SHAREPOINT_2), plans(SHAREPOINT_1, TEAMS)) == (SHAREPOINT_2, SHAREPOINT_1)
    assert CATALOG.listed_exclusive(plans(SHAREPOINT_1, SHAREPOINT_2), plans(SHAREPOINT_1, TEAMS)) is None
    assert CATALOG.listed_exclusive(plans(SHAREPOINT_1, TEAMS), plans(SHAREPOINT_1, SHAREPOINT_2)) is None
    assert CATALOG.listed_exclusive(plans(SHAREPOINT_1, SHAREPOINT_2), plans(SHAREPOINT_KIOSK)) is not None
    assert CATALOG.listed_exclusive(plans(SHAREPOINT_1), plans(SHAREPOINT_1)) is None
    assert CATALOG.listed_exclusive(NO_PLANS, plans(SHAREPOINT_1)) is None


def test_a_catalog_has_the_published_rules_unless_told_otherwise() -> None:
    catalog = Catalog(SKUS)
    assert (catalog.exclusions, catalog.dependencies) == (EXCLUSIONS, DEPENDENCIES)


def test_each_catalog_remembers_only_its_own_products() -> None:
    other = Catalog({E3: sku(E3, "OTHER", (CALLING,))}, (), {})
    assert CATALOG.plans(E3) != other.plans(E3) == plans(CALLING)
    assert (CATALOG.overlaps(E3, E5), other.overlaps(E3, E5)) == (True, False)
