"""Every operation of the simulated tenant, asked by the typed client of msgraph-sdk: its answers must become models,
and what the SDK sends must be what the tenant understands."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from local.tenant.call import Call
from local.tenant.http.routing import ROUTES, find_route
from tests.integration.typed_reads import READS, eventual
from tests.support.tenant_stage import ALL, ANNA, BEN, CARA, E3, F3, GUEST, INNER, NATIVE, NATIVE_GROUP, TenantStage

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the SDK, about itself

EVERYTHING = [
    "User.ReadWrite.All",
    "Group.ReadWrite.All",
    "Directory.ReadWrite.All",
    "Group.Read.All",
    "LicenseAssignment.ReadWrite.All",
    "Organization.Read.All",
    "RoleManagement.Read.Directory",
    "PrivilegedEligibilitySchedule.Read.AzureADGroup",
]


@dataclass(frozen=True, slots=True)
class Typed:
    """The SDK's client, and what the calls of a test need beside it."""

    client: Any
    stage: TenantStage
    hook: str

    def user(self, user_id: str) -> Any:
        return self.client.users.by_user_id(user_id)

    def group(self, group_id: str) -> Any:
        return self.client.groups.by_group_id(group_id)

    async def subscribed(self) -> Any:
        """A subscription on groups, made if there is none."""
        found = await self.client.subscriptions.get()
        return found.value[0] if found.value else await _subscribe(self)


Called = Callable[[Typed], Awaitable[object]]


def licenses(kind: str, *add: str) -> Any:
    from msgraph.generated.groups.item.assign_license import assign_license_post_request_body as of_groups
    from msgraph.generated.models.assigned_license import AssignedLicense
    from msgraph.generated.users.item.assign_license import assign_license_post_request_body as of_users

    body = {"users": of_users, "groups": of_groups}[kind].AssignLicensePostRequestBody
    return body(
        add_licenses=[AssignedLicense(sku_id=uuid.UUID(each), disabled_plans=[]) for each in add], remove_licenses=[]
    )


async def _organization(typed: Typed) -> object:
    found = await typed.client.organization.get()
    return found.value[0].id == (await typed.stage.control("GET", "summary"))["tenantId"]


async def _skus(typed: Typed) -> object:
    found = (await typed.client.subscribed_skus.get()).value
    return {str(each.sku_id): each.prepaid_units.enabled for each in found}[E3] == 100


async def _users(typed: Typed) -> object:
    return ANNA in {each.id for each in (await typed.client.users.get()).value}


async def _user(typed: Typed) -> object:
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.user_item_request_builder import UserItemRequestBuilder

    asked = UserItemRequestBuilder.UserItemRequestBuilderGetQueryParameters(
        select=["id", "usageLocation", "assignedLicenses", "licenseAssignmentStates"]
    )
    ben = await typed.user(BEN).get(request_configuration=RequestConfiguration(query_parameters=asked))
    (state,) = ben.license_assignment_states
    return (ben.usage_location, str(state.sku_id), state.state) == ("DE", E3, "Active")


async def _locate(typed: Typed) -> object:
    from msgraph.generated.models.user import User

    await typed.user(ANNA).patch(User(usage_location="FR"))
    return (await typed.stage.directory.users([ANNA]))[ANNA].usage_location == "FR"  # type: ignore[union-attr]


async def _assign(typed: Typed) -> object:
    answered = await typed.user(ANNA).assign_license.post(licenses("users", E3))
    managed = await typed.stage.directory.users([ANNA])
    return answered.id == ANNA and set(managed[ANNA].direct) == {E3}  # type: ignore[union-attr]


async def _reprocess(typed: Typed) -> object:
    return (await typed.user(NATIVE).reprocess_license_assignment.post()).id == NATIVE


async def _details(typed: Typed) -> object:
    (found,) = (await typed.user(BEN).license_details.get()).value
    return str(found.sku_id) == E3 and found.service_plans


async def _member_of(typed: Typed) -> object:
    return {each.id for each in (await typed.user(BEN).member_of.get()).value} == {ALL, INNER}


async def _transitive_member_of(typed: Typed) -> object:
    return {each.id for each in (await typed.user(CARA).transitive_member_of.get()).value} >= {ALL, INNER}


async def _get_member_groups(typed: Typed) -> object:
    from msgraph.generated.users.item.get_member_groups import get_member_groups_post_request_body as of

    body = of.GetMemberGroupsPostRequestBody(security_enabled_only=False)
    return set((await typed.user(BEN).get_member_groups.post(body)).value) == {ALL, INNER}


async def _check_member_groups(typed: Typed) -> object:
    from msgraph.generated.users.item.check_member_groups import check_member_groups_post_request_body as of

    body = of.CheckMemberGroupsPostRequestBody(group_ids=[ALL, NATIVE_GROUP])
    return (await typed.user(BEN).check_member_groups.post(body)).value == [ALL]


async def _groups(typed: Typed) -> object:
    return {each.id for each in (await typed.client.groups.get()).value} >= {ALL, INNER}


async def _delta(typed: Typed) -> object:
    found = await typed.client.groups.delta.get()
    return ALL in {each.id for each in found.value} and (found.odata_delta_link or found.odata_next_link)


async def _group(typed: Typed) -> object:
    return (await typed.group(ALL).get()).security_enabled is True


async def _members(typed: Typed) -> object:
    from msgraph.generated.models.group import Group
    from msgraph.generated.models.user import User

    found = (await typed.group(ALL).members.get()).value
    return {each.id: type(each) for each in found} == {ANNA: User, BEN: User, INNER: Group}


async def _members_of_a_kind(typed: Typed) -> object:
    return {each.id for each in (await typed.group(ALL).members.graph_user.get()).value} == {ANNA, BEN}


async def _transitive(typed: Typed) -> object:
    return {each.id for each in (await typed.group(ALL).transitive_members.get()).value} >= {ANNA, BEN, CARA, INNER}


async def _transitive_of_a_kind(typed: Typed) -> object:
    from msgraph.generated.groups.item.transitive_members.graph_user import graph_user_request_builder as of

    counted = of.GraphUserRequestBuilder.GraphUserRequestBuilderGetQueryParameters(count=True)
    found = (await typed.group(ALL).transitive_members.graph_user.get(eventual(counted))).value
    return {ANNA, BEN, CARA} <= {each.id for each in found} and INNER not in {each.id for each in found}


async def _count(typed: Typed) -> object:
    return await typed.group(ALL).members.graph_user.count.get(eventual()) == 2


async def _transitive_count(typed: Typed) -> object:
    return await typed.group(ALL).transitive_members.graph_user.count.get(eventual()) == 4


async def _license_errors(typed: Typed) -> object:
    return (await typed.group(NATIVE_GROUP).members_with_license_errors.get()).value == []


async def _bind_members(typed: Typed) -> object:
    from msgraph.generated.models.group import Group

    address = f"https://graph.microsoft.com/v1.0/directoryObjects/{GUEST}"
    await typed.group(ALL).patch(Group(additional_data={"members@odata.bind": [address]}))
    return GUEST in typed.stage.tenant.state.directory.groups[ALL].member_ids


async def _add_member(typed: Typed) -> object:
    from msgraph.generated.models.reference_create import ReferenceCreate

    address = f"https://graph.microsoft.com/v1.0/directoryObjects/{CARA}"
    await typed.group(INNER).members.ref.post(ReferenceCreate(odata_id=address))
    return CARA in typed.stage.tenant.state.directory.groups[INNER].member_ids


async def _remove_member(typed: Typed) -> object:
    await typed.group(INNER).members.by_directory_object_id(BEN).ref.delete()
    return BEN not in typed.stage.tenant.state.directory.groups[INNER].member_ids


async def _assign_group(typed: Typed) -> object:
    return (await typed.group(NATIVE_GROUP).assign_license.post(licenses("groups", F3))).id == NATIVE_GROUP


async def _by_ids(typed: Typed) -> object:
    from msgraph.generated.directory_objects.get_by_ids.get_by_ids_post_request_body import GetByIdsPostRequestBody

    found = await typed.client.directory_objects.get_by_ids.post(GetByIdsPostRequestBody(ids=[ANNA, ALL]))
    return {each.id: each.odata_type for each in found.value} == {
        ANNA: "#microsoft.graph.user",
        ALL: "#microsoft.graph.group",
    }


async def _subscribe(typed: Typed) -> Any:
    from msgraph.generated.models.subscription import Subscription

    return await typed.client.subscriptions.post(
        Subscription(
            change_type="updated,deleted",
            notification_url=f"{typed.hook}/notifications",
            lifecycle_notification_url=f"{typed.hook}/lifecycle",
            resource="groups",
            client_state="secret",
            expiration_date_time=datetime.now(UTC) + timedelta(days=1),
        )
    )


async def _subscriptions(typed: Typed) -> object:
    made = await typed.subscribed()
    return [each.id for each in (await typed.client.subscriptions.get()).value] == [made.id]


async def _subscription(typed: Typed) -> object:
    made = await typed.subscribed()
    return (await typed.client.subscriptions.by_subscription_id(made.id).get()).resource.strip("/") == "groups"


async def _renew(typed: Typed) -> object:
    from msgraph.generated.models.subscription import Subscription

    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    one = typed.client.subscriptions.by_subscription_id((await typed.subscribed()).id)
    return (await one.patch(Subscription(expiration_date_time=until))).expiration_date_time == until


async def _unsubscribe(typed: Typed) -> object:
    await typed.client.subscriptions.by_subscription_id((await typed.subscribed()).id).delete()
    return (await typed.client.subscriptions.get()).value == []


async def _reauthorize(typed: Typed) -> object:
    one = typed.client.subscriptions.by_subscription_id((await typed.subscribed()).id)
    return await one.reauthorize.post() is None


async def _role_definitions(typed: Typed) -> object:
    found = (await typed.client.role_management.directory.role_definitions.get()).value
    return "62e90394-69f5-4237-9190-012177145e10" in {each.id for each in found}


async def _role_assignments(typed: Typed) -> object:
    await typed.stage.control("POST", "roles", {"active": [{"principalId": ANNA, "role": "Global Administrator"}]})
    found = (await typed.client.role_management.directory.role_assignments.get()).value
    return ANNA in {each.principal_id for each in found}


async def _role_eligibility(typed: Typed) -> object:
    directory = typed.client.role_management.directory
    return (await directory.role_eligibility_schedule_instances.get()).value == []


async def _group_eligibility(typed: Typed) -> object:
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.identity_governance.privileged_access.group.eligibility_schedule_instances import (
        eligibility_schedule_instances_request_builder as builder,
    )

    one = {"groupId": NATIVE_GROUP, "principalId": ANNA, "accessId": "member"}
    await typed.stage.control("POST", "roles", {"groupEligible": [one]})
    query = (
        builder.EligibilityScheduleInstancesRequestBuilder.EligibilityScheduleInstancesRequestBuilderGetQueryParameters(
            filter=f"groupId eq '{NATIVE_GROUP}'"
        )
    )
    instances = typed.client.identity_governance.privileged_access.group.eligibility_schedule_instances
    found = (await instances.get(RequestConfiguration(query_parameters=query))).value
    return [each.principal_id for each in found] == [ANNA]


UNIT = "00000000-0000-4000-8000-0000000000aa"


async def _unit_members(typed: Typed) -> object:
    await typed.stage.control("POST", "administrativeUnits", {UNIT: [ANNA, NATIVE_GROUP]})
    members = typed.client.directory.administrative_units.by_administrative_unit_id(UNIT).members
    return {each.id for each in (await members.get()).value} == {ANNA, NATIVE_GROUP}


async def _unit_groups(typed: Typed) -> object:
    await typed.stage.control("POST", "administrativeUnits", {UNIT: [ANNA, NATIVE_GROUP]})
    members = typed.client.directory.administrative_units.by_administrative_unit_id(UNIT).members
    return [each.id for each in (await members.graph_group.get()).value] == [NATIVE_GROUP]


async def _delete_group(typed: Typed) -> object:
    await typed.stage.control("POST", "objects", {"groups": [{"id": UNIT, "displayName": "Gone"}]})
    await typed.client.groups.by_group_id(UNIT).delete()
    return typed.stage.tenant.state.directory.groups[UNIT].deleted is not None


CALLS: dict[str, Called] = {
    "GET organization": _organization,
    "GET subscribedSkus": _skus,
    "GET users": _users,
    "GET users/{}": _user,
    "PATCH users/{}": _locate,
    "POST users/{}/assignLicense": _assign,
    "POST users/{}/reprocessLicenseAssignment": _reprocess,
    "GET users/{}/licenseDetails": _details,
    "GET users/{}/memberOf": _member_of,
    "GET users/{}/transitiveMemberOf": _transitive_member_of,
    "POST users/{}/getMemberGroups": _get_member_groups,
    "POST users/{}/checkMemberGroups": _check_member_groups,
    "GET groups": _groups,
    "GET groups/delta": _delta,
    "GET groups/{}": _group,
    "PATCH groups/{}": _bind_members,
    "DELETE groups/{}": _delete_group,
    "GET groups/{}/members": _members,
    "GET groups/{}/members/{}": _members_of_a_kind,
    "GET groups/{}/members/{}/$count": _count,
    "GET groups/{}/transitiveMembers": _transitive,
    "GET groups/{}/transitiveMembers/{}": _transitive_of_a_kind,
    "GET groups/{}/transitiveMembers/{}/$count": _transitive_count,
    "GET groups/{}/membersWithLicenseErrors": _license_errors,
    "POST groups/{}/members/$ref": _add_member,
    "DELETE groups/{}/members/{}/$ref": _remove_member,
    "POST groups/{}/assignLicense": _assign_group,
    "POST directoryObjects/getByIds": _by_ids,
    "GET subscriptions": _subscriptions,
    "GET subscriptions/{}": _subscription,
    "POST subscriptions": _subscribe,
    "PATCH subscriptions/{}": _renew,
    "DELETE subscriptions/{}": _unsubscribe,
    "POST subscriptions/{}/reauthorize": _reauthorize,
    "GET roleManagement/directory/roleDefinitions": _role_definitions,
    "GET roleManagement/directory/roleAssignments": _role_assignments,
    "GET roleManagement/directory/roleEligibilityScheduleInstances": _role_eligibility,
    "GET directory/administrativeUnits/{}/members": _unit_members,
    "GET directory/administrativeUnits/{}/members/{}": _unit_groups,
    "GET identityGovernance/privilegedAccess/group/eligibilityScheduleInstances": _group_eligibility,
}


OTHER_PROGRAMS = (
    "users/delta",
    "users/{}/memberOf/{}",
    "users/{}/memberOf/{}/$count",
    "users/{}/transitiveMemberOf/{}",
    "users/{}/transitiveMemberOf/{}/$count",
    "groups/{}/owners",
    "groups/{}/owners/{}",
    "groups/{}/memberOf",
    "groups/{}/memberOf/{}",
    "groups/{}/transitiveMemberOf",
    "groups/{}/transitiveMemberOf/{}",
    "directoryObjects/{}",
    "directory/deletedItems/{}",
    "directory/deletedItems/{}/$count",
    "servicePrincipals",
    "servicePrincipals/{}",
    "servicePrincipals/{}/appRoleAssignments",
)
ELSEWHERE = {*(f"GET {each}" for each in OTHER_PROGRAMS), "POST directory/deletedItems/{}/restore"}
"""What only other programs ask: tests/scenarios/test_typed_client.py."""


@pytest.fixture
async def typed(on_tenant: TenantStage, hook: str) -> AsyncIterator[Typed]:
    await on_tenant.control(
        "PATCH",
        "settings",
        {
            "notificationHttp": True,
            "record": True,
            "permissionsFromToken": False,
            "permissions": {"product": EVERYTHING},
        },
    )
    client = await on_tenant.directory._graph.client()  # type: ignore[attr-defined]
    yield Typed(client, on_tenant, hook)


def asked(typed: Typed) -> set[str]:
    """The operations that the tenant answered with success, as method and template."""
    found = set()
    for each in map(orjson.loads, typed.stage.tenant.state.recording):
        if each["status"] < 300 and each["path"] != "/$batch":
            route = find_route(Call(each["method"], each["path"], {}, {}, None, "", frozenset()))
            found.add(f"{route.method} {route.template}")
    return found


def test_every_operation_of_the_tenant_has_a_typed_call() -> None:
    assert {f"{route.method} {route.template}" for route in ROUTES} == {*CALLS, *READS, *ELSEWHERE}


@pytest.mark.parametrize("operation", CALLS)
async def test_the_sdk_asks_and_understands(operation: str, typed: Typed) -> None:
    assert await CALLS[operation](typed), operation
    assert operation in asked(typed)


@pytest.mark.parametrize("operation", READS)
async def test_the_sdk_makes_calls_that_the_app_does_not(operation: str, typed: Typed) -> None:
    assert await READS[operation](typed.client), operation
    assert operation in asked(typed)


async def test_a_batch_of_the_sdk_comes_back_with_every_item(typed: Typed) -> None:
    from msgraph_core.requests.batch_request_content import BatchRequestContent

    content = BatchRequestContent()
    for each in (BEN, "nobody"):
        content.add_request_information(typed.user(each).to_get_request_information())
    answer = await typed.client.batch.post(content)
    assert {key: answer.responses[key].status for key in content.requests} == dict(
        zip(content.requests, (200, 404), strict=True)
    )


async def test_an_error_becomes_the_error_of_the_sdk(typed: Typed) -> None:
    from msgraph.generated.models.o_data_errors.o_data_error import ODataError

    with pytest.raises(ODataError) as caught:
        await typed.group("00000000-0000-4000-8000-00000000dead").get()
    error = caught.value.error
    assert error is not None
    assert (caught.value.response_status_code, error.code) == (404, "Request_ResourceNotFound")
