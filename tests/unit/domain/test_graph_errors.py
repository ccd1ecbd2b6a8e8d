"""What Graph's refusals mean, text by text, and what is left of a call without a SKU."""

from __future__ import annotations

import pytest

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.dropped_skus import skus_to_drop, without
from shared.domain.graph_errors import REMEDIES, Advice, Refusal, classify, remedy_for
from shared.domain.ids import SkuId
from tests.support.builders import (
    CALLING,
    CATALOG,
    E1,
    E3,
    E5,
    EXCHANGE_2,
    F3,
    PHONE,
    SHAREPOINT_1,
    SHAREPOINT_2,
    SHAREPOINT_KIOSK,
    SKUS,
    TEAMS,
    VISIO,
    plans,
    sku,
)

BAD = "Request_BadRequest"
CONFLICT_PAIRS = (
    "The license can't be assigned because the user has licensed service plans that conflict with plans in the new"
    " license. Resolve these conflicting service plan pairs to solve this problem:"
    f" [{SHAREPOINT_2}, {TEAMS}]. Licenses being added: [{E3}]"
)

ROWS = [
    (
        400,
        BAD,
        "License assignment cannot be done for user with invalid usage location.",
        LicenseError.PROHIBITED_IN_USAGE_LOCATION,
        Advice.FAIL_USER,
    ),
    (
        400,
        BAD,
        f"Subscription with SKU {E5} does not have any available licenses.",
        LicenseError.COUNT_VIOLATION,
        Advice.WAIT_FOR_SEAT,
    ),
    (
        400,
        BAD,
        f"LicenseQuotaExceededException: Account x and SKU {E5} does not have any available licenses left",
        LicenseError.COUNT_VIOLATION,
        Advice.WAIT_FOR_SEAT,
    ),
    (
        400,
        BAD,
        f"License assignment failed because service plans {SHAREPOINT_2}, {TEAMS} are mutually exclusive",
        LicenseError.MUTUALLY_EXCLUSIVE,
        Advice.DROP_SKU,
    ),
    (400, BAD, CONFLICT_PAIRS, LicenseError.MUTUALLY_EXCLUSIVE, Advice.DROP_SKU),
    (
        400,
        BAD,
        f"License assignment failed because service plan {CALLING} depends on the service plan(s) {TEAMS}",
        LicenseError.DEPENDENCY,
        Advice.DROP_SKU,
    ),
    (
        400,
        BAD,
        f"License assignment failed because service plan {CALLING} depends on the service plan(s) {TEAMS}, {E1}",
        LicenseError.DEPENDENCY,
        Advice.DROP_SKU,
    ),
    (
        400,
        BAD,
        f"License {E5} does not correspond to a valid company License.",
        LicenseError.INVALID_LICENSE,
        Advice.STOP_OPERATION,
    ),
    (400, BAD, "License ROOM cannot be assigned to a user.", LicenseError.INVALID_LICENSE, Advice.DROP_SKU),
    (400, BAD, "User does not have a corresponding license.", LicenseError.OTHER, Advice.TREAT_AS_DONE),
    (
        400,
        BAD,
        "User license is inherited from a group membership and it cannot be removed directly from the user.",
        LicenseError.OTHER,
        Advice.DROP_SKU,
    ),
    (400, BAD, "No license changes provided", LicenseError.OTHER, Advice.TREAT_AS_DONE),
    (
        400,
        BAD,
        "Another object with the same value for property proxyAddresses already exists.",
        LicenseError.UNIQUENESS,
        Advice.DROP_SKU,
    ),
    (400, BAD, "Proxy address is already being used", LicenseError.UNIQUENESS, Advice.DROP_SKU),
    (
        404,
        "Request_ResourceNotFound",
        "Resource 'x' does not exist or one of its queried reference-property objects are not present.",
        LicenseError.NOT_FOUND,
        Advice.FAIL_USER,
    ),
    (409, "Directory_ConcurrencyViolation", "Please wait and retry.", LicenseError.CONCURRENCY, Advice.RETRY),
    (
        403,
        "Authorization_RequestDenied",
        "Insufficient privileges to complete the operation.",
        LicenseError.PERMISSION,
        Advice.STOP_OPERATION,
    ),
    (401, "InvalidAuthenticationToken", "Access token has expired.", LicenseError.PERMISSION, Advice.STOP_OPERATION),
]


@pytest.mark.parametrize(("status", "code", "text", "error", "advice"), ROWS)
def test_each_known_text_has_its_error_its_advice_and_a_remedy(
    status: int, code: str, text: str, error: LicenseError, advice: Advice
) -> None:
    refusal = classify(status, code, text)
    assert (refusal.error, refusal.advice, refusal.text) == (error, advice, text)
    assert refusal.remedy == remedy_for(error)


def test_capitals_do_not_matter_and_the_ids_found_are_lower_case() -> None:
    refusal = classify(400, BAD, f"SUBSCRIPTION WITH SKU {E5.upper()} DOES NOT HAVE ANY AVAILABLE LICENSES.")
    assert (refusal.error, refusal.sku_ids) == (LicenseError.COUNT_VIOLATION, (E5,))


@pytest.mark.parametrize("sku", [f"{{{E5}}}", f"'{E5}'", f'"{E5.upper()}",'])
def test_braces_and_quotes_around_an_id_do_not_matter(sku: str) -> None:
    refusal = classify(400, BAD, f"Subscription with SKU {sku} does not have any available licenses.")
    assert refusal.sku_ids == (E5,)


def test_a_text_that_names_plans_and_then_products_keeps_them_apart() -> None:
    refusal = classify(400, BAD, CONFLICT_PAIRS)
    assert (refusal.plan_ids, refusal.sku_ids) == ((SHAREPOINT_2, TEAMS), (E3,))


@pytest.mark.parametrize("text", ["Something new of Microsoft's.", "Plan x does not belong to the subscription"])
def test_an_unknown_text_is_kept_whole_and_drops_a_product(text: str) -> None:
    refusal = classify(400, BAD, text)
    assert (refusal.error, refusal.advice, refusal.text) == (LicenseError.OTHER, Advice.DROP_SKU, text)
    assert (refusal.sku_ids, refusal.plan_ids) == ((), ())


def test_a_refusal_without_a_text_shows_its_code() -> None:
    assert classify(400, BAD, "").text == BAD


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_throttling_and_trouble_of_the_service_are_no_refusals(status: int) -> None:
    with pytest.raises(ValueError, match=str(status)):
        classify(status, "", "does not have any available licenses")


def test_every_error_has_a_remedy() -> None:
    assert set(REMEDIES) == set(LicenseError)
    assert all(REMEDIES.values())


def _adding(*ids: SkuId) -> tuple[AssignedLicense, ...]:
    return tuple(AssignedLicense(each) for each in ids)


def _refusal(text: str) -> Refusal:
    return classify(400, BAD, text)


class TestWhichProductToDrop:
    def test_the_one_that_the_text_names(self) -> None:
        refusal = _refusal(f"Subscription with SKU {E5} does not have any available licenses.")
        assert skus_to_drop(refusal, _adding(VISIO, E5), (E3,), CATALOG) == (E5,)

    def test_of_those_with_a_named_plan_the_last_added(self) -> None:
        refusal = _refusal(f"service plans {SHAREPOINT_2}, {EXCHANGE_2} are mutually exclusive")
        assert skus_to_drop(refusal, _adding(E3, E5, VISIO), (), CATALOG) == (E5,)

    def test_where_a_text_lists_all_products_of_the_call_only_one_with_a_named_plan(self) -> None:
        refusal = _refusal(
            f"Resolve these conflicting service plan pairs: [{CALLING}]. Licenses being added: [{E5}, {E1}]"
        )
        assert skus_to_drop(refusal, _adding(E5, E1), (), CATALOG) == (E5,)

    def test_where_no_product_is_known_to_have_a_named_plan_the_last_one_listed(self) -> None:
        new_plan = "99999999-0000-0000-0000-000000000001"
        refusal = _refusal(f"Resolve these conflicting service plan pairs: [{new_plan}]. Licenses being added: [{E3}]")
        assert skus_to_drop(refusal, _adding(VISIO, E3), (F3,), CATALOG) == (E3,)

    def test_not_one_in_which_the_named_plan_is_off(self) -> None:
        refusal = _refusal(f"service plan {CALLING} depends on the service plan(s) x")
        add = (AssignedLicense(PHONE), AssignedLicense(E5, plans(CALLING)))
        assert skus_to_drop(refusal, add, (), CATALOG) == (PHONE,)

    def test_a_removal_that_something_depends_on(self) -> None:
        refusal = _refusal(f"service plan {CALLING} depends on the service plan(s) {TEAMS}")
        assert skus_to_drop(refusal, _adding(VISIO), (F3, E1), CATALOG) == (E1,)

    def test_none_where_the_text_names_nothing_of_the_call(self) -> None:
        assert skus_to_drop(_refusal("Proxy address is already being used"), _adding(E3, VISIO), (), CATALOG) == ()
        gone = _refusal(f"Subscription with SKU {E5} does not have any available licenses.")
        assert skus_to_drop(gone, _adding(E3), (F3,), CATALOG) == ()


class TestACallWithoutAProduct:
    def test_sold_out_the_successor_takes_the_removal_of_the_old_license_with_it(self) -> None:
        """E3 to E5 while E5 is sold out: removing E3 alone would cost the user the mailbox."""
        assert without(_adding(E5, VISIO), (E3, F3), E5, CATALOG) == (_adding(VISIO), ())

    def test_unrelated_removals_go_on(self) -> None:
        assert without(_adding(E5), (E3, VISIO), E5, CATALOG) == ((), (VISIO,))

    def test_a_refused_removal_takes_the_addition_that_conflicts_with_what_stays(self) -> None:
        assert without(_adding(E3, VISIO), (F3,), F3, CATALOG) == (_adding(VISIO), ())

    def test_also_where_the_license_that_stays_excludes_within_itself(self) -> None:
        odd = Catalog({**SKUS, F3: sku(F3, "F3", (SHAREPOINT_KIOSK, SHAREPOINT_1))}, CATALOG.exclusions, {})
        assert without(_adding(E3, VISIO), (F3,), F3, odd) == (_adding(VISIO), ())

    def test_and_what_that_addition_was_to_replace_stays_too(self) -> None:
        assert without(_adding(E3), (E1, F3), F3, CATALOG) == ((), ())

    def test_a_refused_removal_does_not_touch_additions_that_may_stand_beside_it(self) -> None:
        assert without(_adding(VISIO), (F3,), F3, CATALOG) == (_adding(VISIO), ())

    def test_plans_that_the_dropped_product_was_to_bring_stay_on(self) -> None:
        add = (AssignedLicense(E5, plans(CALLING)), AssignedLicense(PHONE))
        off = {E5: plans(CALLING)}
        assert without(add, (), PHONE, CATALOG, off) == ((), ())
        assert without(add, (), PHONE, CATALOG) == ((AssignedLicense(E5, plans(CALLING)),), ())
