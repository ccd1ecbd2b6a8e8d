"""Reading members: casts, counts, pages, and what each permission shows."""

from __future__ import annotations

import pytest

from local.tenant.graph.query import PAGE_MAX
from tests.support.graph_schema import validate
from tests.unit.local.tenant.calls import ANN, BOB, CEM, SALES, a_tenant, a_user, ask, new_ids
from tests.unit.local.tenant.nested import DEEP, EVENTUAL, LAPTOP, MEMBER, NESTED, ROBOT, ids, nested_tenant


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
async def test_a_page_size_outside_1_to_999_is_rejected(top: str) -> None:
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
    assert (await ask(tenant, "GET", url, client="other"))[0] == 403
    tenant.settings.hidden_membership = "empty"
    assert (await ask(tenant, "GET", url, client="other"))[1]["value"] == []
    assert len((await ask(tenant, "GET", url))[1]["value"]) == 3
