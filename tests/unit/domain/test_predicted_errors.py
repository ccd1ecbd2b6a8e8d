"""What Graph will probably reject of one user's call, with the product that is the cause."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from shared.domain.catalog import Catalog
from shared.domain.directory import (
    AssignedLicense,
    DirectoryUser,
    LicenseAssignmentState,
    LicenseError,
    LicenseState,
    ServicePlan,
    SubscribedSku,
)
from shared.domain.ids import GroupId, ServicePlanId, SkuId, UserId
from shared.domain.predicted_errors import Certainty, PredictedError, needs_address, predicted_rejections
from shared.domain.product_facts import ObservedConflict, Pair, ProductFacts
from shared.domain.write_results import LicenseCall

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def plan(number: int) -> ServicePlanId:
    return ServicePlanId(str(UUID(int=500 + number)))


def sku(number: int, *plans: int, mailbox: int = 0) -> SubscribedSku:
    services = [ServicePlan(plan(each), f"EXCHANGE_S_{each}" if each == mailbox else f"PLAN{each}") for each in plans]
    return SubscribedSku(SkuId(str(UUID(int=number))), f"P{number}", tuple(services), enabled=9)


ONE, TWO, BOTH, BASE, ADD_ON, FREE, MAIL = (
    sku(1, 1),
    sku(2, 2),
    sku(3, 1, 2),
    sku(4, 4),
    sku(5, 5),
    sku(6, 6),
    sku(7, 7, mailbox=7),
)
CATALOG = Catalog(
    {each.sku_id: each for each in (ONE, TWO, BOTH, BASE, ADD_ON, FREE, MAIL)},
    exclusions=(frozenset({plan(1), plan(2)}),),
    dependencies={plan(5): (frozenset({plan(4)}),)},
)


def having(*managed: SubscribedSku, group: bool = False, state: LicenseState = LicenseState.ACTIVE) -> DirectoryUser:
    by = GroupId("g") if group else None
    rows = tuple(LicenseAssignmentState(each.sku_id, assigned_by_group=by, state=state) for each in managed)
    return DirectoryUser(UserId("u"), "u@x", "U", True, "Member", "DE", rows)


def call(*add: SubscribedSku, remove: tuple[SubscribedSku, ...] = ()) -> LicenseCall:
    return LicenseCall(tuple(AssignedLicense(each.sku_id) for each in add), tuple(each.sku_id for each in remove))


def predicted(user: DirectoryUser, wanted: LicenseCall, catalog: Catalog = CATALOG) -> list[tuple[str, str, list[str]]]:
    return [
        (
            each.problem.error,
            catalog.name(each.problem.sku_id or SkuId("")),
            [catalog.name(sku) for sku in each.because],
        )
        for each in errors_of(user, wanted, catalog)
    ]


def errors_of(user: DirectoryUser, wanted: LicenseCall, catalog: Catalog = CATALOG) -> tuple[PredictedError, ...]:
    return predicted_rejections(user, wanted, {}, catalog, NOW)


EXCLUSIVE, DEPENDENCY = str(LicenseError.MUTUALLY_EXCLUSIVE), str(LicenseError.DEPENDENCY)


@pytest.mark.parametrize("group", [False, True])
def test_an_addition_that_excludes_a_license_of_the_user_is_named_with_that_license(group: bool) -> None:
    assert predicted(having(ONE, FREE, group=group), call(TWO, FREE)) == [(EXCLUSIVE, "P2", ["P1"])]


def test_a_license_that_goes_in_the_same_call_or_does_not_count_is_no_cause() -> None:
    assert predicted(having(ONE), call(TWO, remove=(ONE,))) == []
    assert predicted(having(ONE, state=LicenseState.DISABLED), call(TWO)) == []


def test_of_two_additions_that_exclude_each_other_the_second_is_rejected() -> None:
    assert predicted(having(), call(ONE, TWO, FREE)) == [(EXCLUSIVE, "P2", ["P1"])]


def test_a_removal_whose_replacement_is_rejected_stays_and_excludes_too() -> None:
    """P3 replaces P1, and P2 excludes it, so P1 stays."""
    assert predicted(having(TWO, ONE), call(BOTH, remove=(ONE,))) == []
    replaced = replace(CATALOG, exclusions=(frozenset({plan(2), plan(6)}),))
    assert predicted(having(FREE, ONE), call(BOTH, remove=(ONE,)), replaced) == [(EXCLUSIVE, "P3", ["P6"])]


def test_a_product_with_both_plans_excludes_nothing_that_has_one_of_them() -> None:
    assert predicted(having(BOTH), call(ONE)) == []
    assert predicted(having(ONE), call(BOTH)) == []


def test_a_plan_without_the_plan_that_it_needs_is_predicted_unless_the_same_call_brings_it() -> None:
    assert predicted(having(), call(ADD_ON)) == [(DEPENDENCY, "P5", [])]
    assert predicted(having(), call(ADD_ON, BASE)) == []
    assert predicted(having(BASE), call(ADD_ON)) == []


def test_a_removal_that_takes_a_needed_plan_away_is_predicted_with_the_product_that_needs_it() -> None:
    assert predicted(having(BASE, ADD_ON), call(FREE, remove=(BASE,))) == [(DEPENDENCY, "P4", ["P5"])]
    assert predicted(having(ADD_ON, FREE), call(remove=(FREE,))) == []


def test_an_addition_that_needs_a_rejected_one_is_rejected_too() -> None:
    catalog = replace(CATALOG, exclusions=(frozenset({plan(1), plan(4)}),))
    assert predicted(having(ONE), call(BASE, ADD_ON), catalog) == [(EXCLUSIVE, "P4", ["P1"]), (DEPENDENCY, "P5", [])]


def test_an_observed_conflict_is_expected_and_a_listed_one_likely() -> None:
    pair = Pair.of(ONE.sku_id, FREE.sku_id)
    observed = ObservedConflict(pair, frozenset({plan(1), plan(6)}), "Graph said no", NOW)
    catalog = replace(CATALOG, facts=ProductFacts(conflicts={pair: observed}))
    (known,) = errors_of(having(FREE), call(ONE), catalog)
    (listed,) = errors_of(having(TWO), call(ONE), catalog)
    assert (known.certainty, known.problem.text) == (Certainty.EXPECTED, "Graph said no")
    assert listed.certainty is Certainty.LIKELY
    assert listed.problem.text == "Microsoft lists P1 and P2 as exclusive (PLAN1 and PLAN2)."


def test_an_address_of_another_object_stops_the_product_with_a_mailbox_alone() -> None:
    def taken(user: DirectoryUser, wanted: LicenseCall) -> list[str]:
        found = predicted_rejections(user, wanted, {}, CATALOG, NOW, is_address_taken=True)
        assert all(each.problem.error is LicenseError.UNIQUENESS for each in found)
        return [CATALOG.name(each.problem.sku_id or SkuId("")) for each in found]

    assert taken(having(), call(MAIL, FREE)) == ["P7"]
    assert taken(having(MAIL, group=True), call(MAIL, FREE)) == []
    assert needs_address(having(), call(MAIL).add, CATALOG)
    assert not needs_address(having(MAIL), call(MAIL, FREE).add, CATALOG)
    off = (AssignedLicense(MAIL.sku_id, frozenset({plan(7)})),)
    assert not needs_address(having(), off, CATALOG)


def test_pairs_that_another_page_of_microsoft_permits_are_not_exclusive() -> None:
    deskless, standard, essentials = (
        frozenset({ServicePlanId(each)})
        for each in (
            "4a82b400-a79f-41a4-b4e2-e94f5787b113",
            "9aaf7827-d63c-4b61-89c3-182f06f82e5c",
            "1126bef5-da20-4f07-b45e-ad25d2581aa8",
        )
    )
    catalog = Catalog({})
    assert catalog.listed_exclusive(deskless, standard) is None
    assert catalog.listed_exclusive(deskless, essentials)
