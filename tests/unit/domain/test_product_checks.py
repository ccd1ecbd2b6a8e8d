"""What is wrong with products of a request, and what the preview warns of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, SubscribedSku
from shared.domain.errors import AssignmentError
from shared.domain.ids import ServicePlanId, SkuId
from shared.domain.product_checks import check_products, warnings_of
from shared.domain.product_facts import ObservedConflict, Pair, ProductFacts, SeenPlan, SeenProduct
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
    ROOM,
    SHAREPOINT_1,
    SHAREPOINT_2,
    SHAREPOINT_KIOSK,
    SKUS,
    TEAMS,
    VISIO,
    plan_id,
    plans,
    sku_id,
)


def license(sku: SkuId, *disabled: ServicePlanId) -> AssignedLicense:
    return AssignedLicense(sku, frozenset(disabled))


def test_what_microsoft_lists_about_pairs_is_never_a_fault() -> None:
    for requested in ([license(E1), license(E3)], [license(PHONE)], [license(E5, TEAMS)]):
        check_products(requested, CATALOG, {})


def test_every_fault_of_a_request_is_named_at_once() -> None:
    asked = [license(E3, DRAWING), license(E3), license(ROOM), license(sku_id(99)), license(VISIO, DRAWING)]
    with pytest.raises(AssignmentError) as caught:
        check_products(asked, CATALOG, {})
    assert caught.value.target == "addLicenses"
    text = str(caught.value)
    assert "addLicenses lists SKU E3 2 times; list each SKU once." in text
    assert f"Service plan {DRAWING} is not part of E3." in text
    assert "SKU ROOM applies to the company" in text
    assert f"SKU {sku_id(99)} is not a license of this tenant." in text
    assert "SKU VISIO would be left with no service plan." in text


def test_a_plan_that_left_its_product_can_be_repeated_and_a_wrong_one_cannot() -> None:
    old, retired = plan_id(77), plan_id(78)
    seen = SKUS[E3].service_plans[0]
    product = SeenProduct(E3, "E3", {retired: SeenPlan(replace(seen, service_plan_id=retired), rejected_at=NOW)})
    catalog = replace(CATALOG, facts=ProductFacts({E3: product}))
    check_products([license(E3, old, retired)], catalog, {E3: plans(old)})
    with pytest.raises(AssignmentError, match=f"Service plan {old} is not part of E3"):
        check_products([license(E3, old)], catalog, {})


def test_products_of_one_assignment_that_are_listed_as_exclusive_are_warned_of_by_name() -> None:
    (text,) = warnings_of([license(E1), license(E3), license(VISIO)], {E3}, CATALOG)
    assert text.startswith("Microsoft lists E1 and E3 as exclusive (SHAREPOINT_1 and SHAREPOINT_2). Graph decides")
    assert warnings_of([license(E1), license(E3)], {VISIO}, CATALOG) == ()
    assert warnings_of([license(E1, SHAREPOINT_1), license(E3)], {E1, E3}, CATALOG) == ()
    assert warnings_of([license(E3), license(E5)], {E3, E5}, CATALOG) == ()


def test_a_pair_that_graph_rejected_in_this_tenant_is_warned_of_although_it_is_not_listed() -> None:
    conflict = ObservedConflict(Pair.of(VISIO, E3), plans(DRAWING, TEAMS), "No.", NOW)
    catalog = Catalog(SKUS, (), {}, ProductFacts(conflicts={conflict.pair: conflict}))
    assert warnings_of([license(E3), license(VISIO)], {VISIO}, catalog) == (
        "Graph has rejected E3 and VISIO together in this tenant.",
    )


def test_a_plan_whose_prerequisite_is_not_turned_on_is_warned_of() -> None:
    (text,) = warnings_of([license(PHONE)], {PHONE}, CATALOG)
    assert text.startswith("Microsoft says that CALLING of PHONE needs one of TEAMS")
    assert warnings_of([license(PHONE), license(E3)], {PHONE}, CATALOG) == ()
    (text,) = warnings_of([license(E5, TEAMS)], {E5}, CATALOG)
    assert "CALLING of E5" in text
    assert warnings_of([license(E5, TEAMS, CALLING)], {E5}, CATALOG) == ()


def test_of_alternatives_one_is_enough_and_of_several_needs_each_counts() -> None:
    either = Catalog(SKUS, (), {CALLING: (plans(TEAMS, DRAWING),)})
    assert warnings_of([license(E5, TEAMS), license(VISIO)], {E5}, either) == ()
    both = Catalog(SKUS, (), {CALLING: (plans(TEAMS), plans(DRAWING))})
    (text,) = warnings_of([license(E5)], {E5}, both)
    assert "needs one of DRAWING," in text


def test_a_product_whose_subscription_cannot_be_used_is_warned_of() -> None:
    locked: SubscribedSku = replace(SKUS[VISIO], capability_status="LockedOut")
    catalog = Catalog({**SKUS, VISIO: locked}, (), {})
    (text,) = warnings_of([license(VISIO), license(E3)], {VISIO, E3}, catalog)
    assert text.startswith("The subscription of product VISIO is in state LockedOut. Its members will be in error")


def test_a_product_that_excludes_within_itself_still_is_listed_with_another() -> None:
    odd_plans = tuple(
        replace(SKUS[E3].service_plans[0], service_plan_id=each) for each in (SHAREPOINT_1, SHAREPOINT_KIOSK)
    )
    odd = Catalog({**SKUS, VISIO: replace(SKUS[VISIO], service_plans=odd_plans)}, CATALOG.exclusions, {})
    assert warnings_of([license(VISIO)], {VISIO}, odd) == ()
    assert len(warnings_of([license(VISIO), license(E3)], {VISIO}, odd)) == 1
    assert SHAREPOINT_2 in odd.plans(E3)
    assert len(warnings_of([license(F3), license(E3)], {F3}, odd)) == 1
