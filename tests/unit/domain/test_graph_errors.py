"""What Graph's rejections mean, text by text, and what is left of a call without a SKU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.directory import AssignedLicense, LicenseAssignmentState, LicenseError, LicenseState
from shared.domain.dropped_skus import skus_to_drop, without
from shared.domain.graph_errors import REMEDIES, Advice, Rejection, classify, remedy_for
from shared.domain.ids import SkuId
from shared.domain.product_facts import ObservedConflict, Pair, ProductFacts
from shared.domain.write_results import LicenseCall
from tests.support.builders import (
    CALLING,
    CATALOG,
    E1,
    E3,
    E5,
    F3,
    NOW,
    PHONE,
    SHAREPOINT_2,
    SHAREPOINT_KIOSK,
    TEAMS,
    VISIO,
    direct,
    native,
    person,
    plans,
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
    (
        400,
        BAD,
        f"License assignment failed because service plan {SHAREPOINT_2} conflicts with service plan {TEAMS}",
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
        Advice.DROP_SKU,
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
        Advice.WAIT_FOR_GRANT,
    ),
    (401, "InvalidAuthenticationToken", "Access token has expired.", LicenseError.PERMISSION, Advice.WAIT_FOR_GRANT),
]


@pytest.mark.parametrize(("status", "code", "text", "error", "advice"), ROWS)
def test_each_known_text_has_its_error_its_advice_and_a_remedy(
    status: int, code: str, text: str, error: LicenseError, advice: Advice
) -> None:
    rejection = classify(status, code, text)
    assert (rejection.error, rejection.advice, rejection.text) == (error, advice, text)
    assert rejection.remedy == remedy_for(error)


def test_capitals_do_not_matter_and_the_ids_found_are_lower_case() -> None:
    rejection = classify(400, BAD, f"SUBSCRIPTION WITH SKU {E5.upper()} DOES NOT HAVE ANY AVAILABLE LICENSES.")
    assert (rejection.error, rejection.sku_ids) == (LicenseError.COUNT_VIOLATION, (E5,))


@pytest.mark.parametrize("sku", [f"{{{E5}}}", f"'{E5}'", f'"{E5.upper()}",'])
def test_braces_and_quotes_around_an_id_do_not_matter(sku: str) -> None:
    rejection = classify(400, BAD, f"Subscription with SKU {sku} does not have any available licenses.")
    assert rejection.sku_ids == (E5,)


def test_a_text_that_names_plans_and_then_products_keeps_them_apart() -> None:
    rejection = classify(400, BAD, CONFLICT_PAIRS)
    assert (rejection.plan_ids, rejection.sku_ids) == ((SHAREPOINT_2, TEAMS), (E3,))


@pytest.mark.parametrize("text", ["Something new of Microsoft's.", "Plan x does not belong to the subscription"])
def test_an_unknown_text_is_kept_whole_and_drops_a_product(text: str) -> None:
    rejection = classify(400, BAD, text)
    assert (rejection.error, rejection.advice, rejection.text) == (LicenseError.OTHER, Advice.DROP_SKU, text)
    assert (rejection.sku_ids, rejection.plan_ids) == ((), ())


def test_a_rejection_without_a_text_shows_its_code() -> None:
    assert classify(400, BAD, "").text == BAD


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_throttling_and_trouble_of_the_service_are_no_rejections(status: int) -> None:
    with pytest.raises(ValueError, match=str(status)):
        classify(status, "", "does not have any available licenses")


def test_every_error_has_a_remedy() -> None:
    assert set(REMEDIES) == set(LicenseError)
    assert all(REMEDIES.values())


@pytest.mark.parametrize(
    "text",
    [
        f"service plans {SHAREPOINT_2}, {TEAMS} are mutually exclusive",
        f"service plans {SHAREPOINT_2},{TEAMS} are mutually exclusive",
        f"service plan {SHAREPOINT_2} conflicts with service plan {TEAMS}.",
        f"Resolve these conflicting service plan pairs to solve this problem: [{SHAREPOINT_2},{TEAMS}].",
    ],
)
def test_both_plans_of_a_conflict_are_found_in_each_wording(text: str) -> None:
    rejection = classify(400, BAD, text)
    assert (rejection.error, rejection.plan_ids) == (LicenseError.MUTUALLY_EXCLUSIVE, (SHAREPOINT_2, TEAMS))


def test_of_a_dependency_what_lacks_something_and_what_it_needs_are_kept_apart() -> None:
    rejection = classify(400, BAD, f"service plan {CALLING} depends on the service plan(s) {TEAMS}, {SHAREPOINT_2}")
    assert (rejection.plan_ids, rejection.needed_ids) == ((CALLING,), (TEAMS, SHAREPOINT_2))


def test_a_name_is_found_as_a_whole_word() -> None:
    rejection = _rejection("License E3 cannot be assigned to a user.")
    assert (rejection.names("E3"), rejection.names("e3"), rejection.names("E")) == (True, True, False)
    assert not _rejection("License SPE_E3 cannot be assigned to a user.").names("E3")


def _adding(*ids: SkuId) -> tuple[AssignedLicense, ...]:
    return tuple(AssignedLicense(each) for each in ids)


def _rejection(text: str) -> Rejection:
    return classify(400, BAD, text)


def _dropped(
    text: str, add: tuple[AssignedLicense, ...], remove: tuple[SkuId, ...] = (), *rows: LicenseAssignmentState
) -> tuple[SkuId, ...]:
    return skus_to_drop(_rejection(text), LicenseCall(add, remove), person(*rows), CATALOG)


class TestWhichProductToDrop:
    def test_the_one_that_the_text_names(self) -> None:
        text = f"Subscription with SKU {E5} does not have any available licenses."
        assert _dropped(text, _adding(VISIO, E5), (E3,)) == (E5,)

    def test_also_by_its_part_number(self) -> None:
        assert _dropped("License VISIO cannot be assigned to a user.", _adding(E3, VISIO)) == (VISIO,)

    def test_of_several_with_a_named_plan_each_is_to_be_tried_alone(self) -> None:
        text = f"service plans {SHAREPOINT_2}, {SHAREPOINT_KIOSK} are mutually exclusive"
        assert _dropped(text, _adding(E3, F3, VISIO)) == ()
        assert _dropped(text, _adding(E3, E5, VISIO)) == ()

    def test_the_only_one_with_a_named_plan(self) -> None:
        text = f"service plans {SHAREPOINT_2}, {SHAREPOINT_KIOSK} are mutually exclusive"
        assert _dropped(text, _adding(F3, VISIO)) == (F3,)

    def test_not_one_whose_named_plan_is_on_already_by_a_license_that_stays(self) -> None:
        """E5 is there, F3 is in its way, and E3 brings nothing that is not on."""
        text = f"service plans {SHAREPOINT_2}, {SHAREPOINT_KIOSK} are mutually exclusive"
        assert _dropped(text, _adding(E3, F3), (), direct(E5)) == (F3,)
        assert _dropped(text, _adding(E3, F3), (), native(E5)) == (F3,)
        assert _dropped(text, _adding(E5, F3), (), direct(E5, plans(TEAMS))) == (F3,)

    def test_one_whose_named_plan_is_only_on_by_what_goes_or_does_not_count(self) -> None:
        text = f"service plans {SHAREPOINT_2}, {SHAREPOINT_KIOSK} are mutually exclusive"
        assert _dropped(text, _adding(E3, F3), (E5,), direct(E5)) == ()
        assert _dropped(text, _adding(E3, F3), (), direct(E5, state=LicenseState.DISABLED)) == ()
        assert _dropped(text, _adding(E3, F3), (), direct(E5, plans(SHAREPOINT_2))) == ()

    def test_one_in_which_the_change_itself_turns_the_named_plan_on(self) -> None:
        text = f"service plans {SHAREPOINT_2}, {SHAREPOINT_KIOSK} are mutually exclusive"
        assert _dropped(text, _adding(E5, VISIO), (), direct(E5, plans(SHAREPOINT_2)), direct(F3)) == (E5,)

    def test_where_a_text_lists_all_products_of_the_call_only_one_with_a_named_plan(self) -> None:
        text = f"Resolve these conflicting service plan pairs: [{CALLING}]. Licenses being added: [{E5}, {E1}]"
        assert _dropped(text, _adding(E5, E1)) == (E5,)

    def test_where_no_product_is_known_to_have_a_named_plan_the_one_listed(self) -> None:
        new_plan = "99999999-0000-0000-0000-000000000001"
        text = f"Resolve these conflicting service plan pairs: [{new_plan}]. Licenses being added: [{E3}]"
        assert _dropped(text, _adding(VISIO, E3), (F3,)) == (E3,)

    def test_not_one_in_which_the_named_plan_is_off(self) -> None:
        text = f"service plan {CALLING} depends on the service plan(s) x"
        assert _dropped(text, (AssignedLicense(PHONE), AssignedLicense(E5, plans(CALLING)))) == (PHONE,)

    def test_the_one_that_lacks_something_and_not_the_one_that_has_what_is_needed(self) -> None:
        text = f"service plan {CALLING} depends on the service plan(s) {TEAMS}"
        assert _dropped(text, _adding(PHONE, E1)) == (PHONE,)

    def test_a_removal_that_something_depends_on(self) -> None:
        text = f"service plan {CALLING} depends on the service plan(s) {TEAMS}"
        assert _dropped(text, _adding(VISIO), (F3, E1), direct(PHONE), direct(E1)) == (E1,)

    def test_a_license_in_which_a_needed_plan_is_turned_off(self) -> None:
        text = f"service plan {CALLING} depends on the service plan(s) {TEAMS}"
        add = (AssignedLicense(E3, plans(TEAMS)), AssignedLicense(VISIO))
        assert _dropped(text, add, (), direct(E3), direct(PHONE)) == (E3,)

    def test_none_where_the_text_names_nothing_of_the_call(self) -> None:
        assert _dropped("Proxy address is already being used", _adding(E3, VISIO)) == ()
        text = f"Subscription with SKU {E5} does not have any available licenses."
        assert _dropped(text, _adding(E3), (F3,)) == ()


class TestACallWithoutAProduct:
    def test_sold_out_the_successor_takes_the_removal_of_the_old_license_with_it(self) -> None:
        """E3 to E5 while E5 is sold out: removing E3 alone would cost the user the mailbox."""
        assert without(_adding(E5, VISIO), (E3, E1), E5, CATALOG) == (_adding(VISIO), ())

    def test_unrelated_removals_go_on(self) -> None:
        assert without(_adding(E5), (E3, VISIO), E5, CATALOG) == ((), (VISIO,))

    def test_a_rejected_removal_takes_the_addition_that_this_tenant_does_not_allow_beside_what_stays(self) -> None:
        pair = Pair.of(E3, F3)
        conflict = ObservedConflict(pair, plans(SHAREPOINT_2, SHAREPOINT_KIOSK), "No.", NOW)
        seen = replace(CATALOG, facts=ProductFacts(conflicts={pair: conflict}))
        assert without(_adding(E3, VISIO), (F3,), F3, seen) == (_adding(VISIO), ())
        assert without(_adding(E3), (E1, F3), F3, seen) == ((), ())

    def test_what_is_only_listed_as_exclusive_is_tried_beside_what_stays(self) -> None:
        assert without(_adding(E3, VISIO), (F3,), F3, CATALOG) == (_adding(E3, VISIO), ())

    def test_a_removal_that_is_only_listed_as_exclusive_with_a_dropped_addition_goes_on(self) -> None:
        assert without(_adding(E3, VISIO), (F3,), E3, CATALOG) == (_adding(VISIO), (F3,))

    def test_a_rejected_removal_does_not_touch_additions_that_may_stand_beside_it(self) -> None:
        assert without(_adding(VISIO), (F3,), F3, CATALOG) == (_adding(VISIO), ())

    def test_plans_that_the_dropped_product_was_to_bring_stay_on(self) -> None:
        add = (AssignedLicense(E5, plans(CALLING)), AssignedLicense(PHONE))
        off = {E5: plans(CALLING)}
        assert without(add, (), PHONE, CATALOG, off) == ((), ())
        assert without(add, (), PHONE, CATALOG) == ((AssignedLicense(E5, plans(CALLING)),), ())
