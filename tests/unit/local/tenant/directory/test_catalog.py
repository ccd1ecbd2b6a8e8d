"""The products that the simulated tenant knows, and its tables as they are changed one by one."""

from __future__ import annotations

import re

import pytest

from local.tenant.directory.catalog import Catalog, Dependency, published
from tests.unit.local.tenant.calls import E1, E3, E5, EMS, F3, SHAREPOINT_2, TEAMS_PLAN

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SHAREPOINT_1 = "c7699d2e-19aa-44de-8edf-1736da088ca1"
FOUNDATION = "113feb6c-3fe4-4440-bddc-54d774bf0318"


def test_the_tenant_knows_the_150_products_and_three_older_ones() -> None:
    products = published().products
    assert len(products) == 153
    assert {
        "O365_w/o\u00a0Teams\u00a0Bundle_M3": "Microsoft 365 E3 EEA (no Teams)",
        "Microsoft_Teams_EEA_New": "Microsoft Teams EEA",
        "MICROSOFT_365_E7": "Microsoft 365 E7",
        "WORKPLACE_ANALYTICS": "Microsoft Workplace Analytics",
    }.items() <= {product.part_number: product.name for product in products.values()}.items()
    plan_ids = list(published().plan_ids.values())
    assert all(GUID.fullmatch(one) for one in (*products, *plan_ids))
    assert len(set(plan_ids)) == len(plan_ids)
    assert all(product.plans and len(product.plans) == len(product.plan_ids) for product in products.values())


def test_a_plan_applies_to_users_unless_it_is_of_the_company() -> None:
    applies: dict[str, set[str]] = {}
    for product in published().products.values():
        for plan in product.plans:
            applies.setdefault(plan.applies_to, set()).add(plan.name)
    assert applies["Company"] == {"EXCHANGE_S_FOUNDATION", "INTUNE_O365", "M365_LIGHTHOUSE_CUSTOMER_PLAN1"}
    assert {"TEAMS1", "EXCHANGE_S_ENTERPRISE"} <= applies["User"]
    assert not applies["User"] & applies["Company"]


def test_no_product_has_two_plans_that_exclude_each_other() -> None:
    for position, pairs in published().exclusions.items():
        for product in published().products.values():
            assert not [pair for pair in pairs if pair <= product.plan_ids], (position, product.name)


def test_a_part_number_that_two_products_have_is_ambiguous() -> None:
    catalog = Catalog()
    assert catalog.by_part_number("SPE_E3").sku_id == E3
    with pytest.raises(ValueError, match="names 2 products"):
        catalog.by_part_number("MCOPSTN5")
    with pytest.raises(ValueError, match="NOTHING"):
        catalog.by_part_number("NOTHING")


def test_pairs_come_and_go_in_one_tenant_alone() -> None:
    mine, others = Catalog(), Catalog()
    mine.permit(frozenset({SHAREPOINT_1, SHAREPOINT_2}))
    mine.exclude(frozenset({TEAMS_PLAN, SHAREPOINT_2}))
    assert mine.partners(SHAREPOINT_2, "since2023") & {SHAREPOINT_1, TEAMS_PLAN} == {TEAMS_PLAN}
    assert others.partners(SHAREPOINT_2, "since2023") & {SHAREPOINT_1, TEAMS_PLAN} == {SHAREPOINT_1}
    mine.exclude(frozenset({SHAREPOINT_1, SHAREPOINT_2}))
    mine.permit(frozenset({TEAMS_PLAN, SHAREPOINT_2}))
    for position in ("since2023", "page2022"):
        assert mine.exclusions(position) == others.exclusions(position)


def test_a_retired_plan_is_off_for_everybody_and_comes_back_at_its_place() -> None:
    catalog = Catalog()
    before = catalog.products[E3]
    assert TEAMS_PLAN in catalog.enabled_plans(E3, ())
    catalog.retire(E3, TEAMS_PLAN)
    assert TEAMS_PLAN not in catalog.enabled_plans(E3, ())
    assert TEAMS_PLAN in catalog.enabled_plans(E5, ())
    with pytest.raises(ValueError, match="is not in SPE_E3"):
        catalog.retire(E3, TEAMS_PLAN)
    catalog.bring_back(E3, TEAMS_PLAN)
    assert catalog.products[E3] == before
    with pytest.raises(ValueError, match="never was in EMS"):
        catalog.bring_back(EMS, TEAMS_PLAN)


def test_a_plan_can_be_made_one_of_the_company_in_every_product() -> None:
    catalog = Catalog()
    catalog.apply_to(TEAMS_PLAN, "Company")
    catalog.apply_to(FOUNDATION, "User")
    found = {
        plan.id: plan.applies_to
        for sku in (E1, E3, F3)
        for plan in catalog.products[sku].plans
        if plan.id in (TEAMS_PLAN, FOUNDATION)
    }
    assert found.get(TEAMS_PLAN) == "Company"
    assert {plan.applies_to for plan in catalog.products[EMS].plans if plan.id == FOUNDATION} == {"User"}
    assert {plan.applies_to for plan in published().products[EMS].plans if plan.id == FOUNDATION} == {"Company"}


def test_a_plan_has_one_dependency_at_a_time() -> None:
    catalog = Catalog()
    catalog.depend(Dependency(TEAMS_PLAN, (SHAREPOINT_1,), documented=True))
    catalog.depend(Dependency(TEAMS_PLAN, (SHAREPOINT_2,), documented=True))
    assert [rule.any_of for rule in catalog.dependencies if rule.dependent == TEAMS_PLAN] == [(SHAREPOINT_2,)]
    catalog.dependencies = catalog.independent(TEAMS_PLAN)
    assert catalog.dependencies == published().dependencies
