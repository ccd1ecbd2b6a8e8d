"""Every position of the switches about rejections: what is rejected, in which words, and what is left behind."""

from __future__ import annotations

import re
from typing import Any

import pytest

from local.tenant.tenant import Tenant
from tests.unit.local.tenant.calls import (
    ANN,
    BOB,
    E1,
    E3,
    E5,
    EMS,
    EXCHANGE_1,
    EXCHANGE_2,
    F3,
    SALES,
    SHAREPOINT_2,
    TEAMS_PLAN,
    UNKNOWN,
    VISIO,
    a_tenant,
    a_user,
    ask,
    assign,
)

SHAREPOINT_1 = "c7699d2e-19aa-44de-8edf-1736da088ca1"
NO_TEAMS = "O365_w/o\u00a0Teams\u00a0Bundle_M3"
TEAMS_EEA = "Microsoft_Teams_EEA_New"
TEAMS_ENTERPRISE = "Microsoft_Teams_Enterprise_New"
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def with_products(settings: dict[str, Any], *part_numbers: str) -> tuple[Tenant, list[str]]:
    """A tenant with these products too, and their ids."""
    tenant = a_tenant(settings, skus=[{"skuPartNumber": one, "enabled": 10} for one in part_numbers])
    return tenant, [tenant.directory.catalog.by_part_number(one).sku_id for one in part_numbers]


@pytest.mark.parametrize("together", [(E1, EXCHANGE_2), (EXCHANGE_1, EXCHANGE_2), (F3, EXCHANGE_1), (F3, EXCHANGE_2)])
async def test_exchange_plans_go_together_since_2023_and_did_not_on_the_page_of_2022(together: tuple[str, str]) -> None:
    assert (await assign(a_tenant(), ANN, list(together)))[0] == 200
    status, text = await assign(a_tenant({"exclusions": "page2022"}), ANN, list(together))
    assert (status, text.endswith("are mutually exclusive")) == (400, True)


@pytest.mark.parametrize("teams", [TEAMS_EEA, TEAMS_ENTERPRISE])
async def test_a_suite_without_teams_goes_with_teams_since_2023(teams: str) -> None:
    tenant, skus = with_products({}, NO_TEAMS, teams)
    assert (await assign(tenant, ANN, skus))[0] == 200
    tenant, skus = with_products({"exclusions": "page2022"}, NO_TEAMS, teams)
    assert (await assign(tenant, ANN, skus))[0] == 400


@pytest.mark.parametrize(
    ("position", "shape"),
    [
        ("mutuallyExclusive", "License assignment failed because service plans {}, {} are mutually exclusive"),
        ("withoutBlank", "License assignment failed because service plans {},{} are mutually exclusive"),
        ("conflictsWith", "License assignment failed because service plan {} conflicts with service plan {}"),
    ],
)
async def test_a_conflict_is_told_in_the_words_of_the_switch(position: str, shape: str) -> None:
    tenant = a_tenant({"exclusionText": position}, users=[a_user(ANN, licenses=[E1])])
    assert await assign(tenant, ANN, [EMS, E3]) == (400, shape.format(SHAREPOINT_2, SHAREPOINT_1))


async def test_the_newer_text_names_the_pair_and_the_products_of_the_call() -> None:
    tenant = a_tenant({"exclusionText": "conflictingPairs"}, users=[a_user(ANN, licenses=[E1])])
    status, text = await assign(tenant, ANN, [EMS, E3])
    assert (status, GUID.findall(text)) == (400, [SHAREPOINT_2, SHAREPOINT_1, EMS, E3])


async def test_a_rejected_call_leaves_nothing_behind_unless_the_switch_says_so() -> None:
    change = ([EMS, E5, VISIO], [E1])
    for position, held in (("none", {E1}), ("additions", {E1, EMS, VISIO})):
        tenant = a_tenant(
            {"partialApplication": position},
            skus=[{"skuId": E5, "enabled": 0}],
            users=[a_user(ANN, licenses=[E1]), a_user(BOB, licenses=[E1])],
        )
        assert await assign(tenant, ANN, *change) == (
            400,
            f"Subscription with SKU {E5} does not have any available licenses.",
        )
        assert {row.sku_id for row in tenant.directory.users[ANN].rows} == held
        assert tenant.directory.subscriptions[EMS].consumed == len(held & {EMS})
        assert (await assign(tenant, BOB, [EMS, VISIO], [E1]))[0] == 200
        assert {row.sku_id for row in tenant.directory.users[BOB].rows} == {EMS, VISIO}


async def test_what_is_left_behind_is_in_the_write_log_and_nothing_is_where_nothing_was_possible() -> None:
    tenant = a_tenant({"partialApplication": "additions"}, skus=[{"skuId": E5, "enabled": 0}])
    assert (await assign(tenant, ANN, [E5]))[0] == 400
    assert tenant.metrics.log == []
    assert (await assign(tenant, ANN, [E5, EMS]))[0] == 400
    assert [entry["changed"] for entry in tenant.metrics.writes_after(0, 10)] == [True]


async def test_removing_what_is_only_inherited_can_be_answered_with_200_and_do_nothing() -> None:
    native = [{"id": UNKNOWN, "displayName": "native", "members": [ANN], "assignedLicenses": [E3]}]
    tenant = a_tenant({"removalOfInherited": "ignored"}, users=[a_user(ANN, licenses=[EMS])], groups=native)
    assert (await assign(tenant, ANN, remove=[E3, EMS]))[0] == 200
    assert [(row.sku_id, row.group) for row in tenant.directory.users[ANN].rows] == [(E3, UNKNOWN)]


async def test_a_withdrawn_product_is_no_company_license_any_more() -> None:
    text = f"License {E3} does not correspond to a valid company License."
    tenant = a_tenant(users=[a_user(ANN, licenses=[E3, EMS]), a_user(BOB, licenses=[EMS])])
    tenant.directory.withdraw(E3, 1.0, keep_assignments=True)
    assert await assign(tenant, BOB, [E3]) == (400, text)
    assert await assign(tenant, ANN, remove=[E3]) == (400, text)
    assert (await assign(tenant, ANN, remove=[EMS]))[0] == 200
    tenant.settings.patch({"removalOfUnknownSku": "taken"})
    assert (await assign(tenant, ANN, remove=[E3]))[0] == 200
    assert tenant.directory.users[ANN].rows == ()
    tenant.directory.readmit(E3)
    assert (await assign(tenant, BOB, [E3]))[0] == 200


async def test_a_group_cannot_be_given_a_withdrawn_product_and_its_members_show_an_error() -> None:
    native = [{"id": SALES, "displayName": "Sales", "members": [ANN, BOB], "assignedLicenses": [E3]}]
    tenant = a_tenant(groups=native, users=[a_user(BOB, licenses=[E3])])
    tenant.directory.withdraw(E3, 1.0, keep_assignments=False)
    status, body, _ = await ask(
        tenant,
        "POST",
        f"/groups/{SALES}/assignLicense",
        {"addLicenses": [{"skuId": E3, "disabledPlans": []}], "removeLicenses": []},
    )
    assert (status, "valid company License" in body["error"]["message"]) == (400, True)
    assert (await ask(tenant, "POST", f"/users/{ANN}/reprocessLicenseAssignment"))[0] == 400
    assert [(row.sku_id, row.state, row.error) for row in tenant.directory.users[ANN].rows] == [(E3, "Error", "Other")]


async def test_a_retired_plan_in_disabled_plans_is_rejected_unless_the_switch_says_so() -> None:
    tenant = a_tenant()
    assert (await assign(tenant, ANN, [(E3, [TEAMS_PLAN])]))[0] == 200
    tenant.directory.catalog.retire(E3, TEAMS_PLAN)
    status, text = await assign(tenant, BOB, [(E3, [TEAMS_PLAN])])
    assert (status, TEAMS_PLAN in text, E3 in text) == (400, True, True)
    assert (await assign(tenant, BOB, [(E5, [TEAMS_PLAN])]))[0] == 200
    tenant.settings.patch({"unknownDisabledPlan": "ignored"})
    assert (await assign(tenant, BOB, [(E3, [TEAMS_PLAN])], [E5]))[0] == 200
    tenant.settings.patch({"unknownDisabledPlan": "rejected"})
    tenant.directory.catalog.bring_back(E3, TEAMS_PLAN)
    assert (await assign(tenant, ANN, [(E3, [TEAMS_PLAN])]))[0] == 200


ERRORS = {
    "documented": ("Other", "MutuallyExclusiveViolation", "None"),
    "Others": ("Others", "MutuallyExclusiveViolation", "None"),
    "Unknown": ("Unknown", "MutuallyExclusiveViolation", "None"),
    "new": ("UnlistedViolation", "UnlistedViolation", "None"),
}


@pytest.mark.parametrize("position", ERRORS)
async def test_errors_have_the_names_of_the_switch(position: str) -> None:
    native = [{"id": SALES, "displayName": "Sales", "members": [ANN], "assignedLicenses": [E3, EMS]}]
    tenant = a_tenant({"errorNames": position}, users=[a_user(ANN, licenses=[E1])], groups=native)
    _, body, _ = await ask(tenant, "GET", f"/users/{ANN}?$select=id,licenseAssignmentStates")
    errors = {row["skuId"]: row["error"] for row in body["licenseAssignmentStates"]}
    assert (errors[EMS], errors[E3], errors[E1]) == ERRORS[position]


async def test_ids_can_differ_in_case_between_one_answer_and_another() -> None:
    native = [{"id": SALES, "displayName": "Sales", "members": [ANN], "assignedLicenses": [EMS]}]
    tenant = a_tenant(
        {"idCase": "mixed"}, users=[a_user(ANN, licenses=[{"skuId": E3, "disabledPlans": [TEAMS_PLAN]}])], groups=native
    )
    _, body, _ = await ask(tenant, "GET", f"/users/{ANN}?$select=id,assignedLicenses,licenseAssignmentStates")
    rows = {(row["skuId"], row["assignedByGroup"], *row["disabledPlans"]) for row in body["licenseAssignmentStates"]}
    assert rows == {(E3.upper(), None, TEAMS_PLAN.upper()), (EMS.upper(), SALES.upper())}
    assert {one["skuId"] for one in body["assignedLicenses"]} == {E3, EMS}
    assert body["id"] == ANN
    _, body, _ = await ask(tenant, "GET", "/subscribedSkus")
    assert E3.upper() in {one["skuId"] for one in body["value"]}
    assert TEAMS_PLAN.upper() in {plan["servicePlanId"] for one in body["value"] for plan in one["servicePlans"]}
    assert (await assign(tenant, ANN, [E5.upper()], [E3.upper()]))[0] == 200
