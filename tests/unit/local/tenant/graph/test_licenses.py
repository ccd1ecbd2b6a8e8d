"""The error catalogue of licensing, one test a row: status, code, text, and that nothing was changed."""

from __future__ import annotations

import asyncio

import pytest

from local.tenant.directory.model import net_licenses
from tests.support.graph_schema import validate, validate_error
from tests.unit.local.tenant.calls import (
    ANALYTICS,
    ANN,
    BOB,
    CEM,
    E1,
    E3,
    E5,
    EMS,
    EXCHANGE_P2_PLAN,
    F3,
    PROJECT,
    SALES,
    SHAREPOINT_2,
    TEAMS_PLAN,
    UNKNOWN,
    VISIO,
    a_tenant,
    a_user,
    ask,
    assign,
    change,
)


async def test_no_usage_location_is_rejected_until_it_is_set() -> None:
    tenant = a_tenant(users=[a_user(ANN, usageLocation=None)])
    text = "License assignment cannot be done for user with invalid usage location."
    assert await assign(tenant, ANN, [E3]) == (400, text)
    assert (await ask(tenant, "PATCH", f"/users/{ANN}", {"usageLocation": "DE"}))[0] == 204
    assert (await assign(tenant, ANN, [E3]))[0] == 200


async def test_a_code_that_is_not_of_iso_3166_is_rejected_unless_switched_off() -> None:
    for only, status in ((True, 400), (False, 204)):
        tenant = a_tenant({"isoLocationsOnly": only}, users=[a_user(ANN, usageLocation=None)])
        assert (await ask(tenant, "PATCH", f"/users/{ANN}", {"usageLocation": "UK"}))[0] == status
        assert (await ask(tenant, "PATCH", f"/users/{ANN}", {"usageLocation": "GB"}))[0] == 204


async def test_a_fresh_usage_location_is_rejected_for_the_lag() -> None:
    tenant = a_tenant({"locationLagSeconds": 60}, users=[a_user(ANN, usageLocation=None)])
    await ask(tenant, "PATCH", f"/users/{ANN}", {"usageLocation": "DE"})
    assert (await assign(tenant, ANN, [E3]))[0] == 400
    assert (await assign(tenant, BOB, [E3]))[0] == 200
    tenant.directory.users[ANN].location_changed -= 61
    assert (await assign(tenant, ANN, [E3]))[0] == 200


async def test_a_removal_needs_no_usage_location() -> None:
    tenant = a_tenant(users=[a_user(ANN, usageLocation=None, licenses=[EMS])])
    assert (await assign(tenant, ANN, remove=[EMS]))[0] == 200


async def test_a_service_that_is_not_sold_at_the_location_is_rejected() -> None:
    tenant = a_tenant({"prohibitedPlans": {"DE": [TEAMS_PLAN]}}, users=[a_user(BOB, usageLocation="AT")])
    status, text = await assign(tenant, ANN, [E3])
    assert status == 400
    assert TEAMS_PLAN in text
    assert (await assign(tenant, ANN, [(E3, [TEAMS_PLAN])]))[0] == 200
    assert (await assign(tenant, BOB, [E3]))[0] == 200


async def test_no_seats_left_names_the_sku() -> None:
    tenant = a_tenant(skus=[{"skuId": E3, "enabled": 1, "warning": 1, "suspended": 5}])
    assert [(await assign(tenant, one, [E3]))[0] for one in (ANN, BOB)] == [200, 200]
    assert await assign(tenant, CEM, [E3]) == (
        400,
        f"Subscription with SKU {E3} does not have any available licenses.",
    )
    assert (await assign(tenant, ANN, remove=[E3]))[0] == 200
    assert (await assign(tenant, CEM, [E3]))[0] == 200


async def test_a_user_takes_one_unit_however_many_sources_grant_it() -> None:
    tenant = a_tenant(
        skus=[{"skuId": E3, "enabled": 1}],
        groups=[{"id": UNKNOWN, "displayName": "native", "members": [ANN], "assignedLicenses": [E3]}],
    )
    assert (await assign(tenant, ANN, [E3]))[0] == 200
    assert tenant.directory.subscriptions[E3].consumed == 1
    assert (await assign(tenant, BOB, [E3]))[0] == 400


async def test_conflicting_plans_are_rejected_and_swapped_in_one_call() -> None:
    tenant = a_tenant(users=[a_user(ANN, licenses=[E1])])
    status, text = await assign(tenant, ANN, [E3])
    assert status == 400
    assert text.startswith("License assignment failed because service plans ")
    assert text.endswith(" are mutually exclusive")
    assert SHAREPOINT_2 in text
    assert (await assign(tenant, ANN, [E3], [E1]))[0] == 200
    assert [license_.sku_id for license_ in net_licenses(tenant.directory.users[ANN].rows)] == [E3]


async def test_the_same_plan_from_two_products_is_no_conflict() -> None:
    tenant = a_tenant()
    assert (await assign(tenant, ANN, [E3, PROJECT]))[0] == 200
    assert (await assign(tenant, BOB, [E3, F3]))[0] == 400


async def test_a_missing_prerequisite_is_rejected_when_adding_and_when_removing() -> None:
    tenant = a_tenant()
    text = "License assignment failed because service plan "
    status, message = await assign(tenant, ANN, [ANALYTICS])
    assert status == 400
    assert message.startswith(text)
    assert f"depends on the service plan(s) 9aaf7827-d63c-4b61-89c3-182f06f82e5c, {EXCHANGE_P2_PLAN}" in message
    assert (await assign(tenant, ANN, [E3, ANALYTICS]))[0] == 200
    status, message = await assign(tenant, ANN, remove=[E3])
    assert (status, message.startswith(text)) == (400, True)
    assert (await assign(tenant, ANN, [(E3, [EXCHANGE_P2_PLAN])]))[0] == 400
    assert (await assign(tenant, ANN, remove=[E3, ANALYTICS]))[0] == 200


async def test_an_unknown_sku_is_rejected() -> None:
    text = f"License {UNKNOWN} does not correspond to a valid company License."
    assert await assign(a_tenant(), ANN, [UNKNOWN]) == (400, text)


async def test_a_sku_for_the_company_is_rejected_for_a_user() -> None:
    tenant = a_tenant(skus=[{"skuId": VISIO, "enabled": 5, "appliesTo": "Company"}])
    assert await assign(tenant, ANN, [VISIO]) == (400, "License VISIOCLIENT cannot be assigned to a user.")


async def test_a_plan_that_is_not_in_the_sku_is_rejected() -> None:
    status, text = await assign(a_tenant(), ANN, [(VISIO, [TEAMS_PLAN])])
    assert (status, "does not belong to the subscription" in text) == (400, True)


async def test_removing_what_the_user_does_not_have_is_rejected() -> None:
    assert await assign(a_tenant(), ANN, remove=[E3]) == (400, "User does not have a corresponding license.")


async def test_removing_what_is_only_inherited_is_rejected() -> None:
    tenant = a_tenant(groups=[{"id": UNKNOWN, "displayName": "native", "members": [ANN], "assignedLicenses": [E3]}])
    text = "User license is inherited from a group membership and it cannot be removed directly from the user."
    assert await assign(tenant, ANN, remove=[E3]) == (400, text)
    assert (await assign(tenant, ANN, [E3]))[0] == 200
    assert (await assign(tenant, ANN, remove=[E3]))[0] == 200
    assert [row.group for row in tenant.directory.users[ANN].rows] == [UNKNOWN]


async def test_an_empty_request_is_rejected() -> None:
    assert await assign(a_tenant(), ANN) == (400, "No license changes provided")


@pytest.mark.parametrize("left_out", ["addLicenses", "removeLicenses"])
async def test_both_arrays_are_required(left_out: str) -> None:
    body = change([E3])
    del body[left_out]
    status, answer, _ = await ask(a_tenant(), "POST", f"/users/{ANN}/assignLicense", body)
    assert (status, left_out in answer["error"]["message"]) == (400, True)


async def test_a_proxy_address_clash_is_rejected_where_exchange_would_be_enabled() -> None:
    tenant = a_tenant(users=[a_user(ANN, proxyAddressClash=True)])
    text = "Another object with the same value for property proxyAddresses already exists."
    assert await assign(tenant, ANN, [E3]) == (400, text)
    assert (await assign(tenant, ANN, [EMS]))[0] == 200


async def test_a_deleted_and_an_unknown_user_are_not_found() -> None:
    tenant = a_tenant(users=[a_user(BOB, deleted=True)])
    for one in (BOB, UNKNOWN, SALES):
        status, body, _ = await ask(tenant, "POST", f"/users/{one}/assignLicense", change([E3]))
        assert (status, body["error"]["code"]) == (404, "Request_ResourceNotFound")
        assert body["error"]["message"] == (
            f"Resource '{one}' does not exist or one of its queried reference-property objects are not present."
        )


async def test_two_writes_for_one_user_in_flight_together_collide() -> None:
    tenant = a_tenant({"latencyMs": [10, 10]})
    answers = await asyncio.gather(
        *(
            ask(tenant, "POST", f"/users/{one}/assignLicense", change([E3]))
            for one in (ANN, "ann@fabrikam.example", BOB)
        )
    )
    assert [status for status, _, _ in answers] == [200, 409, 200]
    assert answers[1][1]["error"]["code"] == "Directory_ConcurrencyViolation"
    assert "concurrent requests being made to the tenant" in answers[1][1]["error"]["message"]
    assert (await assign(tenant, ANN, [EMS]))[0] == 200


async def test_the_collision_can_be_switched_off() -> None:
    tenant = a_tenant({"latencyMs": [5, 5], "concurrencyConflict": False})
    answers = await asyncio.gather(assign(tenant, ANN, [E3]), assign(tenant, ANN, [EMS]))
    assert [status for status, _ in answers] == [200, 200]


async def test_a_missing_permission_is_denied() -> None:
    tenant = a_tenant()
    status, body, _ = await ask(tenant, "POST", f"/users/{ANN}/assignLicense", change([E3]), client="reader")
    assert (status, body["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert body["error"]["message"] == "Insufficient privileges to complete the operation."
    assert tenant.metrics.total.rejected == 1


async def test_being_throttled_says_when_and_why() -> None:
    tenant = a_tenant({"quotaScale": 1 / 3000})
    await assign(tenant, ANN, [E3])
    status, body, headers = await ask(tenant, "POST", f"/users/{BOB}/assignLicense", change([E3]))
    assert (status, body["error"]["code"]) == (429, "TooManyRequests")
    assert float(headers["Retry-After"]) > 0
    app_id = tenant.clients["administrator"].app_id
    assert headers["x-ms-throttle-scope"].split("/")[0] in ("Tenant_Application", "Tenant")
    assert headers["x-ms-throttle-scope"].endswith(f"/{app_id}/{tenant.directory.tenant_id}")
    assert headers["x-ms-throttle-information"] in ("WriteLimitExceeded", "ResourceUnitLimitExceeded")
    validate_error(body, status=429)


async def test_a_rejected_change_changes_nothing_and_its_body_has_graphs_shape() -> None:
    tenant = a_tenant(skus=[{"skuId": E5, "enabled": 0}], users=[a_user(ANN, licenses=[E3])])
    before = tenant.directory.users[ANN].rows
    status, body, _ = await ask(
        tenant,
        "POST",
        f"/users/{ANN}/assignLicense",
        change([EMS, E5], [E3]),
        headers={"client-request-id": "mine"},
    )
    assert (status, body["error"]["code"]) == (400, "Request_BadRequest")
    assert body["error"]["innerError"]["client-request-id"] == "mine"
    validate_error(body)
    assert tenant.directory.users[ANN].rows == before
    assert tenant.directory.subscriptions[EMS].consumed == 0
    assert (tenant.metrics.total.rejected, tenant.metrics.total.writes, tenant.metrics.log) == (1, 0, [])


async def test_disabled_plans_are_replaced_and_only_the_touched_row_gets_a_new_time() -> None:
    tenant = a_tenant(users=[a_user(ANN, licenses=[E3, EMS])])
    user = tenant.directory.users[ANN]
    user.rows = tuple(row._replace(updated=1000.0) for row in user.rows)
    assert (await assign(tenant, ANN, [(E3, [TEAMS_PLAN])]))[0] == 200
    assert (await assign(tenant, ANN, [(E3, [EXCHANGE_P2_PLAN])]))[0] == 200
    rows = {row.sku_id: row for row in user.rows}
    assert rows[E3].disabled == (EXCHANGE_P2_PLAN,)
    assert rows[E3].updated > 1000.0
    assert rows[EMS].updated == 1000.0


async def test_the_answer_is_the_updated_user() -> None:
    status, body, _ = await ask(a_tenant(), "POST", f"/users/{ANN}/assignLicense", change([(E3, [TEAMS_PLAN])]))
    assert status == 200
    validate(body, "user")
    assert body["assignedLicenses"] == [{"disabledPlans": [TEAMS_PLAN], "skuId": E3}]
    assert TEAMS_PLAN not in {plan["servicePlanId"] for plan in body["assignedPlans"]}
    assert len(body["assignedPlans"]) == 50


@pytest.mark.parametrize("moves", [True, False])
async def test_a_license_assigned_as_it_is_may_keep_its_time(moves: bool) -> None:
    tenant = a_tenant({"sameLicenseMovesTime": moves})
    assert (await assign(tenant, ANN, [E3]))[0] == 200
    user = tenant.directory.users[ANN]
    (first,) = user.rows
    user.rows = (first._replace(updated=first.updated - 60),)
    assert (await assign(tenant, ANN, [E3]))[0] == 200
    assert (user.rows[0].updated > first.updated - 60) is moves
    assert (await assign(tenant, ANN, [VISIO]))[0] == 200
    assert {row.sku_id for row in user.rows} == {E3, VISIO}
