"""Reads: $select, members with and without rights, casts and counts, nesting, stale reads, schema of every answer."""

from __future__ import annotations

from typing import Any

import pytest

from local.tenant.directory.history import History
from local.tenant.directory.model import UserState
from local.tenant.graph.query import PAGE_MAX
from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import (
    ANN,
    BOB,
    CEM,
    E3,
    SALES,
    TEAMS_PLAN,
    UNKNOWN,
    a_tenant,
    a_user,
    ask,
    assign,
    new_ids,
)

NESTED = "22222222-0000-4000-8000-000000000002"
DEEP = "33333333-0000-4000-8000-000000000003"
MAIL = "44444444-0000-4000-8000-000000000004"
LAPTOP = "dddddddd-0000-4000-8000-00000000000d"
ROBOT = "eeeeeeee-0000-4000-8000-00000000000e"
MEMBER = (
    "id,displayName,userPrincipalName,accountEnabled,userType,usageLocation,assignedLicenses,licenseAssignmentStates"
)
EVENTUAL = {"ConsistencyLevel": "eventual"}


def nested_tenant(settings: dict[str, Any] | None = None) -> Any:
    """Sales > Nested > Deep, with one user each, a device and a service principal; Mail is not a security group."""
    return a_tenant(
        settings,
        devices=[{"id": LAPTOP}],
        servicePrincipals=[{"id": ROBOT}],
        groups=[
            {"id": SALES, "displayName": "Sales", "members": [ANN, LAPTOP, ROBOT, NESTED]},
            {"id": NESTED, "displayName": "Nested", "members": [BOB, DEEP]},
            {"id": DEEP, "displayName": "Deep", "members": [CEM, ANN]},
            {"id": MAIL, "displayName": "Mail", "securityEnabled": False, "members": [DEEP]},
        ],
    )


def ids(body: dict[str, Any]) -> set[str]:
    return {row["id"] for row in body["value"]}


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


async def test_an_unknown_property_is_refused_by_name() -> None:
    status, body, _ = await ask(a_tenant(), "GET", f"/users/{ANN}?$select=id,shoeSize")
    assert (status, "shoeSize" in body["error"]["message"]) == (400, True)


async def test_members_are_direct_and_leave_out_service_principals() -> None:
    tenant = nested_tenant()
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}/members?$select={MEMBER}")
    assert ids(body) == {ANN, LAPTOP, NESTED}
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}/transitiveMembers?$select={MEMBER}")
    assert ids(body) == {ANN, BOB, CEM, LAPTOP, ROBOT, NESTED, DEEP}
    assert len(body["value"]) == 7


async def test_a_cast_shows_users_only_and_needs_advanced_parameters_where_transitive() -> None:
    tenant = nested_tenant()
    url = f"/groups/{SALES}/transitiveMembers/microsoft.graph.user"
    status, body, _ = await ask(tenant, "GET", url)
    assert (status, body["error"]["code"]) == (400, "Request_UnsupportedQuery")
    status, body, _ = await ask(tenant, "GET", f"{url}?$count=true", headers=EVENTUAL)
    assert (ids(body), body["@odata.count"]) == ({ANN, BOB, CEM}, 3)
    validate(body, "user")
    status, body, _ = await ask(tenant, "GET", f"/groups/{SALES}/members/microsoft.graph.user")
    assert ids(body) == {ANN}


async def test_a_count_needs_the_consistency_level() -> None:
    tenant = nested_tenant()
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}/members?$count=true")
    assert "@odata.count" not in body
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}/members?$count=true", headers=EVENTUAL)
    assert body["@odata.count"] == 3
    assert (await ask(tenant, "GET", f"/groups/{SALES}/members/$count"))[0] == 400
    assert (await ask(tenant, "GET", f"/groups/{SALES}/members/$count", headers=EVENTUAL))[1] == "3"


@pytest.mark.parametrize("top", ["0", "1000", "ten"])
async def test_a_page_size_outside_1_to_999_is_refused(top: str) -> None:
    assert PAGE_MAX == 999
    assert (await ask(a_tenant(), "GET", f"/groups/{SALES}/members?$top={top}"))[0] == 400


async def test_pages_follow_each_other_without_loss_or_repetition_while_members_change() -> None:
    users = sorted(new_ids(250))
    tenant = a_tenant(
        users=[a_user(one) for one in users], groups=[{"id": SALES, "displayName": "Sales", "members": users}]
    )
    _, first, _ = await ask(tenant, "GET", f"/groups/{SALES}/members?$select=id")
    assert len(first["value"]) == 100
    group = tenant.directory.groups[SALES]
    tenant.directory.remove_member(group, tenant.directory.users[users[99]])
    _, second, _ = await ask(tenant, "GET", first["@odata.nextLink"].split("/v1.0")[1])
    _, third, _ = await ask(tenant, "GET", second["@odata.nextLink"].split("/v1.0")[1])
    assert "@odata.nextLink" not in third
    assert [row["id"] for page in (first, second, third) for row in page["value"]] == users


async def test_without_the_right_to_read_users_members_are_ids_and_nulls() -> None:
    tenant = nested_tenant()
    tenant.clients["other"].graph = frozenset({"GroupMember.Read.All"})
    _, body, _ = await ask(tenant, "GET", f"/groups/{SALES}/members?$select={MEMBER}", client="other")
    ann = next(row for row in body["value"] if row["id"] == ANN)
    assert ann.pop("@odata.type") == "#microsoft.graph.user"
    assert {name for name, value in ann.items() if value is not None} == {"id"}
    assert set(ann) == set(MEMBER.split(","))


async def test_hidden_members_need_a_right_of_their_own() -> None:
    tenant = a_tenant(groups=[{"id": SALES, "displayName": "Sales", "visibility": "HiddenMembership"}])
    url = f"/groups/{SALES}/members"
    assert (await ask(tenant, "GET", url, client="product"))[0] == 403
    tenant.settings.hidden_membership = "empty"
    assert (await ask(tenant, "GET", url, client="product"))[1]["value"] == []
    assert len((await ask(tenant, "GET", url))[1]["value"]) == 3


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


async def test_objects_by_ids_leave_out_unknown_and_deleted_ones_and_stop_at_a_thousand() -> None:
    tenant = nested_tenant()
    tenant.directory.delete_user(tenant.directory.users[BOB], 1.0)
    asked = {"ids": [ANN, BOB, UNKNOWN, LAPTOP, SALES]}
    _, body, _ = await ask(tenant, "POST", "/directoryObjects/getByIds", asked)
    assert ids(body) == {ANN, LAPTOP, SALES}
    _, body, _ = await ask(tenant, "POST", "/directoryObjects/getByIds", {**asked, "types": ["User", "device"]})
    assert ids(body) == {ANN, LAPTOP}
    assert (await ask(tenant, "POST", "/directoryObjects/getByIds", {"ids": [ANN] * 1000}))[0] == 200
    status, body, _ = await ask(tenant, "POST", "/directoryObjects/getByIds", {"ids": [ANN] * 1001})
    assert (status, body["error"]["message"]) == (400, "Number of included identifiers cannot exceed '1000'.")


async def test_groups_are_found_by_name() -> None:
    tenant = nested_tenant()
    _, body, _ = await ask(tenant, "GET", "/groups?$filter=startswith(displayName,'ne')&$select=id,displayName")
    assert ids(body) == {NESTED}
    validate(body, "group", ("id", "displayName"))
    search = '/groups?$search="displayName:dee"'
    assert (await ask(tenant, "GET", search))[0] == 400
    assert ids((await ask(tenant, "GET", search, headers=EVENTUAL))[1]) == {DEEP}


async def test_the_filter_for_license_errors_is_broken_by_default() -> None:
    url = "/groups?$filter=hasMembersWithLicenseErrors eq true"
    status, body, _ = await ask(a_tenant(), "GET", url)
    assert (status, "query filter clause" in body["error"]["message"]) == (400, True)
    assert (await ask(a_tenant({"licenseErrorFilter": True}), "GET", url))[0] == 200


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("/organization", "organization"),
        ("/subscribedSkus", "subscribedSku"),
        ("/users", "user"),
        ("/groups", "group"),
        (f"/groups/{SALES}", "group"),
        (f"/users/{ANN}/licenseDetails", "licenseDetails"),
        (f"/groups/{SALES}/membersWithLicenseErrors", "user"),
        (f"/groups/{SALES}/members", "directoryObject"),
        (f"/groups/{SALES}/transitiveMembers", "directoryObject"),
    ],
)
async def test_every_answer_is_what_the_metadata_says(url: str, kind: str) -> None:
    tenant = nested_tenant()
    await assign(tenant, ANN, [(E3, [TEAMS_PLAN])])
    status, body, _ = await ask(tenant, "GET", url)
    assert status == 200
    validate(body, kind)


async def test_reads_lag_behind_writes_and_the_write_sees_the_present() -> None:
    tenant = a_tenant({"staleSeconds": 60}, skus=[{"skuId": E3, "enabled": 1}])
    assert (await assign(tenant, ANN, [E3]))[0] == 200
    tenant.directory.remove_member(tenant.directory.groups[SALES], tenant.directory.users[BOB])
    url = f"/users/{ANN}?$select=assignedLicenses"
    assert (await ask(tenant, "GET", url))[1]["assignedLicenses"] == []
    assert BOB in ids((await ask(tenant, "GET", f"/groups/{SALES}/members"))[1])
    assert BOB in ids((await ask(tenant, "GET", f"/groups/{SALES}/transitiveMembers"))[1])
    groups = await ask(tenant, "POST", f"/users/{BOB}/getMemberGroups", {"securityEnabledOnly": False})
    assert groups[1]["value"] == [SALES]
    skus = (await ask(tenant, "GET", "/subscribedSkus?$select=skuId,consumedUnits"))[1]["value"]
    assert next(sku for sku in skus if sku["skuId"] == E3)["consumedUnits"] == 0
    assert (await assign(tenant, BOB, [E3]))[0] == 400
    tenant.settings.stale_seconds = 0.0
    assert len((await ask(tenant, "GET", url))[1]["assignedLicenses"]) == 1
    assert BOB not in ids((await ask(tenant, "GET", f"/groups/{SALES}/members"))[1])
    assert BOB not in ids((await ask(tenant, "GET", f"/groups/{SALES}/transitiveMembers"))[1])
    skus = (await ask(tenant, "GET", "/subscribedSkus?$select=skuId,consumedUnits"))[1]["value"]
    assert next(sku for sku in skus if sku["skuId"] == E3)["consumedUnits"] == 1


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


async def test_no_such_path_and_no_such_method() -> None:
    status, body, _ = await ask(a_tenant(), "GET", "/mugs")
    assert (status, body["error"]["message"]) == (400, "Resource not found for the segment 'mugs'.")
    assert (await ask(a_tenant(), "DELETE", f"/users/{ANN}"))[0] == 405


def test_an_earlier_moment_is_seen_exactly_and_forgotten_after_the_horizon() -> None:
    history = History()
    history.horizon = 10.0
    states = [UserState(place, True, (), None) for place in ("DE", "AT", "CH")]
    history.user_changes(ANN, states[0], 100.0)
    history.user_changes(ANN, states[1], 105.0)
    seen = [history.user_as_of(ANN, states[2], when).usage_location for when in (99.0, 100.0, 104.0, 105.0, 106.0)]
    assert seen == ["DE", "AT", "AT", "CH", "CH"]
    history.membership_changes(SALES, ANN, True, 106.0)
    history.membership_changes(SALES, ANN, False, 107.0)
    history.membership_changes(SALES, BOB, True, 108.0)
    seen_members = [history.members_as_of(SALES, [BOB], when) for when in (105.0, 106.0, 107.0, 108.0)]
    assert seen_members == [[], [ANN], [], [BOB]]
    assert [history.parents_as_of(ANN, (), when) for when in (105.0, 106.0, 107.0)] == [(), (SALES,), ()]
    assert [history.changed_since(when) for when in (107.5, 108.0)] == [True, False]
    history.units_change(E3, 1, 109.0)
    assert [history.consumed_as_of(E3, 5, when) for when in (108.0, 109.0)] == [4, 5]
    history.user_changes(BOB, states[0], 130.0)
    assert history.user_as_of(ANN, states[2], 99.0) == states[2]
    assert history.members_as_of(SALES, [BOB], 99.0) == [BOB]
    assert history.consumed_as_of(E3, 5, 99.0) == 5
