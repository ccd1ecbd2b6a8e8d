"""Holders of privileged roles, read from the simulated tenant at every position of its switches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from azure.identity.aio import ManagedIdentityCredential

from local.tenant.http.server import SimulatedTenant
from shared.adapters.graph import GraphClient
from shared.adapters.privileged_roles import GraphPrivilegedRoles
from shared.domain.errors import PermissionDenied, Unavailable
from shared.domain.ids import GroupId

ANN, BOB, EVE, DAN, TEAM, CUSTOM = (f"00000000-0000-4000-8000-{n:012x}" for n in range(1, 7))


async def _no_sleep(seconds: float) -> None:
    return


async def control(tenant: SimulatedTenant, method: str, path: str, body: Any) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{tenant.url}/_tenant/{path}", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()


@pytest.fixture
async def tenant(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SimulatedTenant]:
    async with SimulatedTenant(members=0, settings={"quotaScale": 100}) as running:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{running.url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", "local")
        users = [{"id": each} for each in (ANN, BOB, EVE, DAN)]
        await control(
            running, "POST", "objects", {"users": users, "groups": [{"id": TEAM, "isAssignableToRole": True}]}
        )
        roles = {
            "definitions": [{"id": CUSTOM, "displayName": "Key keeper", "privileged": True}],
            "active": [
                {"principalId": ANN, "role": "Global Administrator"},
                {"principalId": TEAM, "role": "User Administrator"},
                {"principalId": DAN, "role": "Reports Reader"},
                {"principalId": EVE, "role": "Key keeper"},
            ],
            "eligible": [
                {"principalId": BOB, "role": "Privileged Role Administrator"},
                {"principalId": ANN, "role": "Global Reader"},
                {"principalId": DAN, "role": "License Administrator"},
            ],
            "groupEligible": [
                {"groupId": TEAM, "principalId": BOB, "accessId": "member"},
                {"groupId": TEAM, "principalId": EVE, "accessId": "member"},
                {"groupId": TEAM, "principalId": DAN, "accessId": "owner"},
                {"groupId": CUSTOM, "principalId": ANN, "accessId": "member"},
            ],
        }
        await control(running, "POST", "roles", roles)
        yield running


@pytest.fixture
async def roles(tenant: SimulatedTenant) -> AsyncIterator[GraphPrivilegedRoles]:
    graph = GraphClient(
        tenant.graph_url, "https://graph.microsoft.com/.default", ManagedIdentityCredential, sleep=_no_sleep
    )
    yield GraphPrivilegedRoles(graph)
    await graph.close()


ALL = {
    ANN: ("Global Administrator", "Global Reader"),
    TEAM: ("User Administrator",),
    BOB: ("Privileged Role Administrator",),
}


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize("shown", [True, False])
async def test_active_and_eligible_holders_are_found_on_all_pages(
    tenant: SimulatedTenant, roles: GraphPrivilegedRoles, size: int, shown: bool
) -> None:
    await control(tenant, "PATCH", "settings", {"rolePageSize": size, "rolePrivilegeShown": shown})
    assert await roles.holders() == (ALL | {EVE: ("Key keeper",)} if shown else ALL)


async def test_a_tenant_without_eligible_assignments_has_only_active_holders(
    tenant: SimulatedTenant, roles: GraphPrivilegedRoles
) -> None:
    await control(tenant, "PATCH", "settings", {"roleEligibility": False})
    assert await roles.holders() == {ANN: ("Global Administrator",), TEAM: ("User Administrator",)}


@pytest.mark.parametrize("size", [1, 100])
async def test_eligible_members_of_one_group_are_found_on_all_pages(
    tenant: SimulatedTenant, roles: GraphPrivilegedRoles, size: int
) -> None:
    await control(tenant, "PATCH", "settings", {"rolePageSize": size})
    assert await roles.eligible_members(GroupId(TEAM)) == frozenset({BOB, EVE})
    assert await roles.eligible_members(GroupId(ANN)) == frozenset()


async def test_without_the_license_no_group_has_eligible_members(
    tenant: SimulatedTenant, roles: GraphPrivilegedRoles
) -> None:
    await control(tenant, "PATCH", "settings", {"roleEligibility": False})
    assert await roles.eligible_members(GroupId(TEAM)) == frozenset()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 400, "code": "Request_BadRequest", "message": "AadPremiumLicenseRequired is not the code"},
        {"status": 404, "code": "ResourceNotFound"},
        {"status": 403, "code": "UnknownError"},
        {"status": 500, "code": "InternalServerError"},
    ],
)
async def test_any_other_answer_about_eligible_members_is_a_failed_read(
    tenant: SimulatedTenant, roles: GraphPrivilegedRoles, fault: dict[str, Any]
) -> None:
    await control(tenant, "POST", "faults", {"match": {"path": "privilegedAccess"}, "action": fault})
    with pytest.raises((PermissionDenied, Unavailable)):
        await roles.eligible_members(GroupId(TEAM))


async def test_eligible_members_need_a_permission_of_their_own(
    tenant: SimulatedTenant, roles: GraphPrivilegedRoles
) -> None:
    await control(
        tenant,
        "PATCH",
        "settings",
        {"permissionsFromToken": False, "permissions": {"product": ["RoleManagement.Read.Directory"]}},
    )
    assert await roles.holders()
    with pytest.raises(PermissionDenied):
        await roles.eligible_members(GroupId(TEAM))


@pytest.mark.parametrize("kept", ["eligible", "nobody"])
async def test_a_tenant_without_an_active_role_holder_is_a_failed_read(
    tenant: SimulatedTenant, roles: GraphPrivilegedRoles, kept: str
) -> None:
    eligible = [{"principalId": BOB, "role": "Global Administrator"}] if kept == "eligible" else []
    active = [{"principalId": DAN, "role": "Reports Reader"}]
    await control(tenant, "POST", "roles", {"active": active, "eligible": eligible})
    with pytest.raises(Unavailable, match="Global Administrator"):
        await roles.holders()


async def test_without_the_permission_the_read_is_denied(tenant: SimulatedTenant, roles: GraphPrivilegedRoles) -> None:
    await control(
        tenant,
        "PATCH",
        "settings",
        {"permissionsFromToken": False, "permissions": {"product": ["User.Read.All", "Group.Read.All"]}},
    )
    with pytest.raises(PermissionDenied):
        await roles.holders()
    await control(
        tenant,
        "PATCH",
        "settings",
        {"permissionsFromToken": False, "permissions": {"product": ["RoleEligibilitySchedule.Read.Directory"]}},
    )
    with pytest.raises(PermissionDenied):
        await roles.holders()


async def test_a_second_page_that_fails_is_a_failed_read(tenant: SimulatedTenant, roles: GraphPrivilegedRoles) -> None:
    await control(tenant, "PATCH", "settings", {"rolePageSize": 1})
    await control(
        tenant, "POST", "faults", {"match": {"path": "roleAssignments"}, "action": {"status": 500}, "after": 1}
    )
    with pytest.raises(Unavailable):
        await roles.holders()
