"""What an assignment means when it is accepted."""

from __future__ import annotations

import pytest

from shared.domain.assignment import DependencyRule, SwitchedOffPlan
from shared.domain.catalog import Catalog
from shared.domain.dependencies import resolve
from shared.domain.directory import AssignedLicense
from shared.domain.errors import AssignmentError
from tests.support.builders import (
    CALLING,
    CATALOG,
    DRAWING,
    E1,
    E3,
    E5,
    PHONE,
    ROOM,
    SHAREPOINT_1,
    SHAREPOINT_2,
    SHAREPOINT_KIOSK,
    SKUS,
    TEAMS,
    VISIO,
    plans,
    sku,
    sku_id,
)

SAME_GROUP, UNION = DependencyRule.SAME_GROUP, DependencyRule.UNION


def license(sku: str, *disabled: str) -> AssignedLicense:
    return AssignedLicense(type(E3)(sku), frozenset(map(type(TEAMS), disabled)))


def test_an_assignment_with_all_it_needs_is_what_was_asked_sorted_by_product() -> None:
    resolved = resolve([license(PHONE), license(E3, SHAREPOINT_2)], CATALOG, SAME_GROUP)
    assert [(sku.sku_id, sku.disabled_plans, sku.switched_off) for sku in resolved] == [
        (E3, plans(SHAREPOINT_2), ()),
        (PHONE, frozenset(), ()),
    ]


def test_a_plan_without_its_prerequisite_is_switched_off_with_its_reason_and_the_request_is_kept() -> None:
    (sku,) = resolve([license(E5, TEAMS)], CATALOG, SAME_GROUP)
    assert sku.disabled_plans == {TEAMS, CALLING}
    assert sku.requested_disabled_plans == {TEAMS}
    assert sku.switched_off == (SwitchedOffPlan(CALLING, (TEAMS,)),)


def test_new_data_changes_nothing_that_was_accepted() -> None:
    """One wrong pair in a release must not turn plans off for everybody at the next sync: what is stored is used."""
    accepted = resolve([license(E3)], CATALOG, SAME_GROUP)
    newer = Catalog(SKUS, (), {TEAMS: (plans(DRAWING),)})
    assert resolve([license(E3)], newer, SAME_GROUP)[0].disabled_plans == {TEAMS}
    assert accepted[0].disabled_plans == frozenset()


def test_a_plan_switched_off_takes_those_that_need_it_along() -> None:
    chained = Catalog(SKUS, (), {CALLING: (plans(TEAMS),), TEAMS: (plans(DRAWING),)})
    (sku,) = resolve([license(E5)], chained, SAME_GROUP)
    assert sku.disabled_plans == {TEAMS, CALLING}
    assert {each.service_plan_id: each.missing for each in sku.switched_off} == {
        TEAMS: (DRAWING,),
        CALLING: (TEAMS,),
    }


def test_of_alternatives_one_is_enough_and_of_several_needs_each_counts() -> None:
    either = Catalog(SKUS, (), {CALLING: (plans(TEAMS, DRAWING),)})
    assert resolve([license(E5, TEAMS), license(VISIO)], either, SAME_GROUP)[0].switched_off == ()
    both = Catalog(SKUS, (), {CALLING: (plans(TEAMS), plans(DRAWING))})
    assert resolve([license(E5)], both, SAME_GROUP)[0].switched_off == (SwitchedOffPlan(CALLING, (DRAWING,)),)


def test_a_product_left_with_no_plan_is_refused_and_told_what_it_needs() -> None:
    """A group with the phone add-on only: silently switched off it would cost a seat and give nothing."""
    with pytest.raises(AssignmentError, match=r"PHONE would be left with no service plan.*TEAMS") as caught:
        resolve([license(PHONE)], CATALOG, SAME_GROUP)
    assert caught.value.target == "addLicenses"


def test_with_the_rule_union_plans_of_other_groups_count_and_with_same_group_they_do_not() -> None:
    assert resolve([license(PHONE)], CATALOG, UNION, plans(TEAMS))[0].disabled_plans == frozenset()
    with pytest.raises(AssignmentError):
        resolve([license(PHONE)], CATALOG, SAME_GROUP, plans(TEAMS))


def test_products_that_exclude_each_other_are_refused_unless_the_plan_is_off() -> None:
    with pytest.raises(AssignmentError, match="SKUs E1 and E3 exclude each other: SHAREPOINT_1 and SHAREPOINT_2"):
        resolve([license(E1), license(E3)], CATALOG, SAME_GROUP)
    assert len(resolve([license(E1, SHAREPOINT_1), license(E3)], CATALOG, SAME_GROUP)) == 2
    assert len(resolve([license(E3), license(E5)], CATALOG, SAME_GROUP)) == 2


def test_every_fault_of_a_request_is_told_at_once() -> None:
    asked = [license(E3, DRAWING), license(E3), license(ROOM), license(sku_id(99))]
    with pytest.raises(AssignmentError) as caught:
        resolve(asked, CATALOG, SAME_GROUP)
    text = str(caught.value)
    assert "SKU E3 is given 2 times." in text
    assert f"Service plan {DRAWING} is not part of E3." in text
    assert "ROOM applies to the company" in text
    assert f"SKU {sku_id(99)} is not a license of this tenant." in text


def test_faults_of_single_products_do_not_hide_those_between_products() -> None:
    asked = [license(E1), license(E3), license(sku_id(99)), license(VISIO, DRAWING)]
    with pytest.raises(AssignmentError) as caught:
        resolve(asked, CATALOG, SAME_GROUP)
    text = str(caught.value)
    assert f"SKU {sku_id(99)} is not a license of this tenant." in text
    assert "SKUs E1 and E3 exclude each other" in text
    assert "VISIO would be left with no service plan" in text


def test_a_prerequisite_that_an_unusable_product_may_bring_is_not_called_missing() -> None:
    """A mistyped id of E3 beside the phone add-on: that the add-on lacks Teams would send the person the wrong way."""
    with pytest.raises(AssignmentError) as caught:
        resolve([license(PHONE), license(sku_id(99))], CATALOG, SAME_GROUP)
    assert "PHONE" not in str(caught.value)


def test_a_product_that_excludes_within_itself_still_excludes_another() -> None:
    odd = Catalog(
        {**SKUS, VISIO: sku(VISIO, "VISIO", (SHAREPOINT_1, SHAREPOINT_KIOSK))},
        CATALOG.exclusions,
        {},
    )
    assert len(resolve([license(VISIO)], odd, SAME_GROUP)) == 1
    with pytest.raises(AssignmentError, match="SKUs E3 and VISIO exclude each other"):
        resolve([license(VISIO), license(E3)], odd, SAME_GROUP)


def test_a_product_with_every_plan_disabled_is_refused() -> None:
    with pytest.raises(AssignmentError, match="VISIO would be left with no service plan"):
        resolve([license(VISIO, DRAWING)], CATALOG, SAME_GROUP)


def test_nothing_asked_is_an_assignment_of_nothing() -> None:
    assert resolve([], CATALOG, SAME_GROUP) == ()
