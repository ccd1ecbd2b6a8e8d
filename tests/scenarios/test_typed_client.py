"""Calls of programs that others wrote: eighty of them, made by msgraph-sdk's typed client where it can make them.

The simulated tenant must answer them as Graph's pages say, also those that this project's own app never makes.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from local.tenant.generator.given_objects import place_objects
from local.tenant.graph.service_principals import principal_id
from local.tenant.http.server import SimulatedTenant
from shared.adapters.graph import GraphClient
from tests.support.tenant_run import SCOPE, Directly, ManagedIdentity
from tests.support.tenant_stage import E3, E5, F3, guid

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the SDK, about itself

ANN, BOB, CEM, DEE, EVA, GONE = (guid(number) for number in range(1, 7))
DEVICE, SALES, NORTH, LAB, OLD = guid(0x50), guid(0x100), guid(0x101), guid(0x102), guid(0x103)
GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"

OBJECTS: dict[str, Any] = {
    "skus": [{"skuId": sku, "enabled": 20} for sku in (E3, E5, F3)],
    "devices": [{"id": DEVICE, "displayName": "Laptop"}],
    "users": [
        {"id": ANN, "displayName": "Ann Berg", "userPrincipalName": "ann@fabrikam.example", "department": "Sales",
         "licenses": [{"skuId": E3}]},
        {"id": BOB, "displayName": "Bob Kern", "userPrincipalName": "bob@fabrikam.example", "department": "Sales",
         "usageLocation": None},
        {"id": CEM, "displayName": "Cem Roth", "userPrincipalName": "cem@fabrikam.example", "department": "Lab",
         "accountEnabled": False, "licenses": [{"skuId": F3}]},
        {"id": DEE, "displayName": "Dee O'Hara", "userPrincipalName": "dee@fabrikam.example", "userType": "Guest"},
        {"id": EVA, "displayName": "Eva Wolf", "userPrincipalName": "eva@fabrikam.example", "department": "Lab"},
        {"id": GONE, "displayName": "Gil Gone", "userPrincipalName": "gil@fabrikam.example", "deleted": True},
    ],
    "groups": [
        {"id": NORTH, "displayName": "North", "members": [BOB, CEM]},
        {"id": SALES, "displayName": "Sales", "members": [ANN, BOB, DEVICE, NORTH], "owners": [EVA, ANN]},
        {"id": LAB, "displayName": "Lab", "groupTypes": ["Unified"], "members": [EVA],
         "assignedLicenses": [{"skuId": E5}]},
        {"id": OLD, "displayName": "Old", "members": []},
    ],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """The typed client, and the tenant behind it."""

    client: Any
    graph: GraphClient
    tenant: SimulatedTenant

    def user(self, key: str = ANN) -> Any:
        return self.client.users.by_user_id(key)

    def group(self, key: str = SALES) -> Any:
        return self.client.groups.by_group_id(key)

    def at(self, path: str) -> Any:
        """Users at a raw address."""
        return self.client.users.with_url(f"{self.graph.base_url}{path}")

    async def batch(self, *items: dict[str, Any]) -> dict[str, Any]:
        reply = await self.graph.send("/$batch", {"requests": list(items)})
        return {each["id"]: each for each in reply.json().get("responses", ())} | {"status": reply.status}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what is asked, with which query, and whether the answer is right. `status`: that of an error."""

    name: str
    on: Callable[[Asked], Any]
    right: Callable[[Any], object] = bool
    query: dict[str, Any] = field(default_factory=dict)
    eventual: bool = False
    status: int = 0


def names(found: Any) -> list[str]:
    return [each.display_name for each in found.value]


def ids(found: Any) -> set[str]:
    return {each.id for each in found.value}


def users(asked: Asked) -> Any:
    return asked.client.users


def groups(asked: Asked) -> Any:
    return asked.client.groups


def wants(call: str, text: str, people: set[str], *, eventual: bool = False) -> Call:
    """A filter of users."""
    query = {"filter": text, **({"count": True} if eventual else {})}
    return Call(call, users, lambda found: ids(found) == people, query, eventual)


def rejects(call: str, on: Callable[[Asked], Any], status: int = 400, **query: Any) -> Call:
    return Call(call, on, query=query, status=status)


EVERYTHING = frozenset(
    {"User.ReadWrite.All", "Directory.ReadWrite.All", "Group.Read.All", "Application.Read.All", "Organization.Read.All"}
)

ALL = {ANN, BOB, CEM, DEE, EVA}

CALLS = (
    # $filter on users
    wants("eq", "department eq 'Sales'", {ANN, BOB}),
    wants("eq in another case", "DisplayName eq 'ANN BERG'", {ANN}),
    wants("eq with a quote", "displayName eq 'Dee O''Hara'", {DEE}),
    wants("eq null", "usageLocation eq null", {BOB}),
    wants("eq false", "accountEnabled eq false", {CEM}),
    wants("or", "department eq 'Lab' or userType eq 'Guest'", {CEM, DEE, EVA}),
    wants("and before or", "userType eq 'Guest' or department eq 'Lab' and accountEnabled eq true", {DEE, EVA}),
    wants("parentheses", "(userType eq 'Guest' or department eq 'Lab') and accountEnabled eq true", {DEE, EVA}),
    wants("in", "userPrincipalName in ('ann@fabrikam.example','eva@fabrikam.example')", {ANN, EVA}),
    wants("in with ids", f"id in ('{BOB}', '{CEM}')", {BOB, CEM}),
    wants("startswith", "startswith(displayName,'e')", {EVA}),
    wants("ge on a time", "createdDateTime ge 2020-01-01T00:00:00Z", ALL),
    wants("any of licenses", f"assignedLicenses/any(x:x/skuId eq {E3})", {ANN}),
    wants("any of licenses or", f"assignedLicenses/any(x:x/skuId eq {E3} or x/skuId eq {F3})", {ANN, CEM}),
    wants("any of addresses", "proxyAddresses/any(p:startswith(p,'smtp:ann'))", {ANN}),
    wants("ne", "department ne 'Sales'", {CEM, DEE, EVA}, eventual=True),
    wants("ne null", "usageLocation ne null", ALL - {BOB}, eventual=True),
    wants("not", "not(startsWith(displayName,'a'))", ALL - {ANN}, eventual=True),
    wants("not in", "not(department in ('Sales','Lab'))", {DEE}, eventual=True),
    wants("endswith", "endsWith(userPrincipalName,'@fabrikam.example')", ALL, eventual=True),
    wants("licenses counted", "assignedLicenses/$count eq 0 and userType eq 'Member'", {BOB}, eventual=True),
    rejects("ne without the header", users, filter="department ne 'Sales'"),
    rejects("endswith without the header", users, filter="endsWith(mail,'x')"),
    rejects("gt", users, filter="displayName gt 'a'"),
    rejects("contains", users, filter="contains(displayName,'a')"),
    rejects("an unknown property", users, filter="shoeSize eq 44"),
    rejects("a filter that is cut off", users, filter="department eq"),
    rejects("sixteen alternatives", users, filter=" or ".join(f"displayName eq '{n}'" for n in range(16))),
    # $orderby, $top, $count, $search on users
    Call("orderby", users, lambda found: names(found)[0] == "Ann Berg", {"orderby": ["displayName"]}),
    Call("orderby desc", users, lambda found: names(found)[0] == "Eva Wolf", {"orderby": ["displayName desc"]}),
    Call("orderby upn", users, lambda found: names(found)[-1] == "Eva Wolf", {"orderby": ["userPrincipalName"]}),
    Call("orderby with a filter", users, lambda found: names(found) == ["Bob Kern", "Ann Berg"],
         {"orderby": ["displayName desc"], "filter": "department eq 'Sales'", "count": True}, eventual=True),
    rejects("orderby with a filter, without the header", users, orderby=["displayName"], filter="userType eq 'Guest'"),
    rejects("orderby of something else", users, orderby=["usageLocation"]),
    Call("count beside the page", users, lambda found: (found.odata_count, len(found.value)) == (5, 2),
         {"count": True, "top": 2}, eventual=True),
    Call("count with a filter", users, lambda found: found.odata_count == 2,
         {"count": True, "top": 1, "filter": "department eq 'Sales'"}, eventual=True),
    Call("count without the header", users, lambda found: found.odata_count is None, {"count": True}),
    Call("$count", lambda asked: users(asked).count, lambda found: found == 5, eventual=True),
    Call("$count with a filter", lambda asked: users(asked).count, lambda found: found == 1,
         {"filter": "userType eq 'Guest'"}, eventual=True),
    rejects("$count without the header", lambda asked: users(asked).count),
    Call("search", users, lambda found: names(found) == ["Bob Kern"], {"search": '"displayName:ker"'}, eventual=True),
    Call("select", users, lambda found: found.value[0].department and not found.value[0].display_name,
         {"select": ["id", "department"]}),
    Call("a next link of a sorted page", users, lambda found: "skiptoken" in found.odata_next_link,
         {"orderby": ["displayName"], "top": 2}),
    # One user
    Call("expand memberOf", lambda asked: asked.user(BOB), lambda found: {one.id for one in found.member_of}
         == {SALES, NORTH}, {"expand": ["memberOf"]}),
    Call("expand memberOf with select", lambda asked: asked.user(BOB),
         lambda found: [one.display_name for one in found.member_of] == ["Sales", "North"],
         {"expand": ["memberOf($select=id,displayName)"]}),
    Call("expand transitiveMemberOf", lambda asked: asked.user(CEM),
         lambda found: {one.id for one in found.transitive_member_of} == {SALES, NORTH},
         {"expand": ["transitiveMemberOf"]}),
    Call("expand manager", lambda asked: asked.user(), lambda found: found.manager is None, {"expand": ["manager"]}),
    Call("expand and select", lambda asked: asked.user(), lambda found: found.department == "Sales" and found.member_of,
         {"select": ["id", "department"], "expand": ["memberOf"]}),
    rejects("expand of something else", lambda asked: asked.user(), expand=["shoes"]),
    Call("expand on a list", users, lambda found: {one.id for one in found.value[0].member_of} == {SALES},
         {"expand": ["memberOf"], "top": 1}),
    Call("memberOf cast", lambda asked: asked.user(BOB).member_of.graph_group, lambda found: ids(found)
         == {SALES, NORTH}),
    Call("memberOf counted", lambda asked: asked.user(BOB).member_of.count, lambda found: found == 2, eventual=True),
    Call("transitiveMemberOf", lambda asked: asked.user(CEM).transitive_member_of, lambda found: ids(found)
         == {SALES, NORTH}),
    Call("a userPrincipalName as key", lambda asked: asked.user("ann@fabrikam.example"), lambda found: found.id == ANN),
    # Groups
    Call("groups ne", groups, lambda found: LAB not in ids(found), {"filter": "displayName ne 'Lab'", "count": True},
         eventual=True),
    Call("groups in", groups, lambda found: ids(found) == {SALES, OLD}, {"filter": "displayName in ('Sales','Old')"}),
    Call("groups of Microsoft 365", groups, lambda found: ids(found) == {LAB},
         {"filter": "groupTypes/any(c:c eq 'Unified')"}),
    Call("groups with a product", groups, lambda found: ids(found) == {LAB},
         {"filter": f"assignedLicenses/any(x:x/skuId eq {E5})"}),
    Call("groups orderby", groups, lambda found: names(found) == ["Lab", "North", "Old", "Sales"],
         {"orderby": ["displayName"]}),
    Call("groups $count", lambda asked: groups(asked).count, lambda found: found == 4, eventual=True),
    Call("expand members", lambda asked: asked.group(), lambda found: {one.id for one in found.members}
         == {ANN, BOB, DEVICE, NORTH}, {"expand": ["members"]}),
    Call("expand members with select", lambda asked: asked.group(NORTH),
         lambda found: {one.id for one in found.members} == {BOB, CEM}, {"expand": ["members($select=id)"]}),
    Call("expand owners", lambda asked: asked.group(), lambda found: {one.id for one in found.owners} == {ANN, EVA},
         {"expand": ["owners"]}),
    Call("expand members on a list", groups, lambda found: {each.id: len(each.members) for each in found.value}
         == {SALES: 4, NORTH: 2, LAB: 1, OLD: 0}, {"expand": ["members"]}),
    Call("owners", lambda asked: asked.group().owners, lambda found: ids(found) == {ANN, EVA}),
    Call("owners cast", lambda asked: asked.group().owners.graph_user, lambda found: names(found)
         == ["Ann Berg", "Eva Wolf"]),
    Call("no owners", lambda asked: asked.group(OLD).owners, lambda found: found.value == []),
    Call("memberOf of a group", lambda asked: asked.group(NORTH).member_of, lambda found: ids(found) == {SALES}),
    Call("members cast to devices", lambda asked: asked.group().members.graph_device, lambda found: ids(found)
         == {DEVICE}),
    Call("members counted", lambda asked: asked.group().members.count, lambda found: found == 4, eventual=True),
    # Deleted items, directory objects, products, the organization
    Call("deleted users", lambda asked: asked.client.directory.deleted_items.graph_user, lambda found: ids(found)
         == {GONE}),
    Call("deleted groups", lambda asked: asked.client.directory.deleted_items.graph_group,
         lambda found: found.value == []),
    Call("one deleted item", lambda asked: asked.client.directory.deleted_items.by_directory_object_id(GONE),
         lambda found: found.display_name == "Gil Gone"),
    rejects("a deleted item that is none",
            lambda asked: asked.client.directory.deleted_items.by_directory_object_id(ANN), 404),
    Call("a directory object", lambda asked: asked.client.directory_objects.by_directory_object_id(LAB),
         lambda found: type(found).__name__ == "Group"),
    Call("one product", lambda asked: asked.client.subscribed_skus.by_subscribed_sku_id(sku_key(asked)),
         lambda found: str(found.sku_id) == E3 and found.prepaid_units.enabled == 20),
    Call("the organization by id", lambda asked: asked.client.organization.by_organization_id(tenant_id(asked)),
         lambda found: found.country_letter_code == "DE"),
    # Service principals
    Call("a service principal by appId", lambda asked: asked.client.service_principals_with_app_id(GRAPH_APP_ID),
         lambda found: "Group.Read.All" in {role.value for role in found.app_roles}),
    Call("service principals", lambda asked: asked.client.service_principals, lambda found: names(found) == ["product"],
         {"filter": "displayName eq 'product'"}),
    Call("app roles of an identity", lambda asked: asked.client.service_principals.by_service_principal_id(
        oid(asked)).app_role_assignments, lambda found: len(found.value) == len(EVERYTHING)),
    # Other spellings
    Call("a key in parentheses", lambda asked: asked.at(f"/users('{ANN}')"), lambda found: bool(found)),
    Call("names in another case", lambda asked: asked.at("/Users"), lambda found: ids(found) == ALL),
)  # fmt: skip


def tenant_id(asked: Asked) -> str:
    return asked.tenant.state.directory.tenant_id


def sku_key(asked: Asked) -> str:
    return f"{tenant_id(asked)}_{E3}"


def oid(asked: Asked) -> str:
    return principal_id(asked.tenant.state.clients["product"])


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    tenant = SimulatedTenant(settings={"deltaReplayShare": 0})
    async with tenant:
        place_objects(tenant.state.directory, OBJECTS, 1_770_000_000.0)
        tenant.state.directory_changed()
        tenant.state.clients["product"].graph = EVERYTHING
        graph = GraphClient(
            tenant.graph_url, SCOPE, lambda: ManagedIdentity(tenant), transport=lambda _: Directly(tenant)
        )
        yield Asked(await graph.client(), graph, tenant)
        await graph.close()


async def get(builder: Any, query: dict[str, Any], eventual: bool) -> Any:
    """GET with the SDK's own classes for the query."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from kiota_abstractions.headers_collection import HeadersCollection

    name = f"{type(builder).__name__}GetQueryParameters"
    headers = HeadersCollection()
    if eventual:
        headers.add("ConsistencyLevel", "eventual")
    made = getattr(type(builder), name)(**query)
    return await builder.get(request_configuration=RequestConfiguration(query_parameters=made, headers=headers))


def test_there_are_eighty_calls_or_more() -> None:
    assert len({call.name for call in CALLS}) == len(CALLS) >= 80


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
async def test_the_tenant_answers_as_graph_documents(call: Call, asked: Asked) -> None:
    from kiota_abstractions.api_error import APIError

    if call.status:
        with pytest.raises(APIError) as caught:
            await get(call.on(asked), call.query, call.eventual)
        assert caught.value.response_status_code == call.status
        return
    assert call.right(await get(call.on(asked), call.query, call.eventual)), call.name


async def test_sorted_pages_follow_each_other_without_gap_or_double(asked: Asked) -> None:
    found = await get(asked.client.users, {"orderby": ["displayName desc"], "top": 2}, False)
    seen = names(found)
    while found.odata_next_link:
        found = await asked.client.users.with_url(found.odata_next_link).get()
        seen += names(found)
    assert seen == ["Eva Wolf", "Dee O'Hara", "Cem Roth", "Bob Kern", "Ann Berg"]


async def test_delta_of_users_tells_who_changed_and_who_was_deleted(asked: Asked) -> None:
    from msgraph.generated.models.user import User

    def changed(found: Any) -> dict[str, Any]:
        return {each.id: each.additional_data.get("@removed") for each in found.value}

    first = await asked.client.users.delta.get()
    assert set(changed(first)) == ALL
    await asked.user(EVA).patch(User(usage_location="AT"))
    asked.tenant.state.directory.delete_user(asked.tenant.state.directory.users[BOB], 1_770_000_001.0)
    second = await asked.client.users.delta.with_url(first.odata_delta_link).get()
    assert changed(second) == {EVA: None, BOB: {"reason": "changed"}}
    third = await asked.client.users.delta.with_url(second.odata_delta_link).get()
    assert changed(third) == {}


async def test_a_deleted_user_comes_back_with_licenses(asked: Asked) -> None:
    directory = asked.tenant.state.directory
    directory.delete_user(directory.users[ANN], 1_770_000_001.0)
    await asked.client.directory.deleted_items.by_directory_object_id(ANN).restore.post()
    assert [row.sku_id for row in directory.users[ANN].rows] == [E3]
    assert (await asked.user(ANN).get()).display_name == "Ann Berg"


async def test_a_batch_takes_absolute_urls_keys_and_other_case(asked: Asked) -> None:
    found = await asked.batch(
        {"id": "1", "method": "GET", "url": f"https://graph.microsoft.com/v1.0/users/{ANN}"},
        {"id": "2", "method": "get", "url": f"/users('{ANN}')/memberOf/Microsoft.Graph.Group"},
        {"id": "3", "method": "GET", "url": "/Groups/$count", "headers": {"consistencylevel": "Eventual"}},
        {"id": "4", "method": "GET", "url": f"/ServicePrincipals(appId='{GRAPH_APP_ID}')?$select=id,appId"},
    )
    assert {key: found[key]["status"] for key in "1234"} == dict.fromkeys("1234", 200)
    assert [one["id"] for one in found["2"]["body"]["value"]] == [SALES]
    assert json.loads(str(found["3"]["body"])) == 4
