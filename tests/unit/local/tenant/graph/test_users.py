"""Reading users: $select, names, and the groups that they are in."""

from __future__ import annotations

from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import ANN, BOB, CEM, E3, SALES, UNKNOWN, a_tenant, a_user, ask
from tests.unit.local.tenant.nested import DEEP, MAIL, MEMBER, NESTED, ids, nested_tenant


async def test_a_user_without_select_has_the_default_properties() -> None:
    tenant = a_tenant(users=[a_user(ANN, licenses=[E3])])
    _, body, _ = await ask(tenant, "GET", f"/users/{ANN}")
    validate(body, "user")
    assert {"usageLocation", "assignedLicenses", "licenseAssignmentStates"}.isdisjoint(body)


async def test_a_user_is_found_by_name_and_shows_what_was_selected() -> None:
    tenant = a_tenant(users=[a_user(BOB, userPrincipalName="bob@fabrikam.example", licenses=[E3])])
    _, body, _ = await ask(tenant, "GET", f"/users/BOB@fabrikam.example?$select={MEMBER}")
    validate(body, "user", MEMBER.split(","))
    state = body["licenseAssignmentStates"][0]
    assert (state["error"], state["state"], state["assignedByGroup"]) == ("None", "Active", None)
    tenant.settings.success_error_null = True
    _, body, _ = await ask(tenant, "GET", f"/users/{BOB}?$select=licenseAssignmentStates")
    assert body["licenseAssignmentStates"][0]["error"] is None


async def test_an_unknown_property_is_rejected_by_name() -> None:
    status, body, _ = await ask(a_tenant(), "GET", f"/users/{ANN}?$select=id,shoeSize")
    assert (status, "shoeSize" in body["error"]["message"]) == (400, True)


async def test_member_groups_are_transitive_and_security_groups_only_on_request() -> None:
    tenant = nested_tenant()
    for only, expected in ((False, {SALES, NESTED, DEEP, MAIL}), (True, {SALES, NESTED, DEEP})):
        _, body, _ = await ask(tenant, "POST", f"/users/{CEM}/getMemberGroups", {"securityEnabledOnly": only})
        assert set(body["value"]) == expected
        assert len(body["value"]) == len(expected)
    _, body, _ = await ask(tenant, "POST", f"/users/{BOB}/checkMemberGroups", {"groupIds": [SALES, DEEP, UNKNOWN]})
    assert body["value"] == [SALES]
    assert (await ask(tenant, "POST", f"/users/{BOB}/checkMemberGroups", {"groupIds": [SALES] * 21}))[0] == 400
    assert (await ask(tenant, "POST", f"/users/{BOB}/getMemberGroups", {}))[0] == 400


async def test_member_of_lists_groups() -> None:
    tenant = nested_tenant()
    _, body, _ = await ask(tenant, "GET", f"/users/{CEM}/memberOf")
    assert ids(body) == {DEEP}
    validate(body, "group")
    _, body, _ = await ask(tenant, "GET", f"/users/{CEM}/transitiveMemberOf?$select=id,displayName")
    assert ids(body) == {SALES, NESTED, DEEP, MAIL}
    validate(body, "group", ("id", "displayName"))


async def test_a_deleted_user_is_gone_from_groups_and_comes_back_with_everything() -> None:
    tenant = a_tenant(users=[a_user(ANN, licenses=[E3])])
    user = tenant.directory.users[ANN]
    tenant.directory.delete_user(user, 1.0)
    assert (await ask(tenant, "GET", f"/users/{ANN}"))[0] == 404
    assert ids((await ask(tenant, "GET", f"/groups/{SALES}/members"))[1]) == {BOB, CEM}
    assert tenant.directory.subscriptions[E3].consumed == 0
    tenant.directory.restore_user(user, 2.0)
    assert ids((await ask(tenant, "GET", f"/groups/{SALES}/members"))[1]) == {ANN, BOB, CEM}
    assert (len(user.rows), tenant.directory.subscriptions[E3].consumed) == (1, 1)


async def test_users_are_filtered_by_a_product_that_they_have_from_any_source() -> None:
    people = [a_user(ANN, licenses=[E3]), a_user(BOB), a_user(CEM)]
    groups = [{"id": SALES, "displayName": "Sales", "members": [BOB], "assignedLicenses": [E3]}]
    url = f"/users?$select=id&$filter=assignedLicenses/any(x:x/skuId eq {E3})"
    assert ids((await ask(a_tenant(users=people, groups=groups), "GET", url))[1]) == {ANN, BOB}
    assert (await ask(a_tenant({"assignedLicenseFilter": False}), "GET", url))[0] == 400
