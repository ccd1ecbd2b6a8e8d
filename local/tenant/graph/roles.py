"""Directory roles: definitions, active assignments, and eligible ones of Privileged Identity Management."""

from __future__ import annotations

from typing import Any

from local.tenant.call import GRAPH, Call, GraphError, Reply, bad_request
from local.tenant.directory.roles import GroupEligibility, RoleAssignment, RoleDefinition
from local.tenant.graph.query import check_options, filter_test, next_link, skip_token
from local.tenant.tenant import Tenant


def role_definitions(tenant: Tenant, call: Call) -> Reply:
    """GET /roleManagement/directory/roleDefinitions"""
    shown = [_definition(tenant, each) for each in tenant.directory.roles.definitions]
    return _page(tenant, call, shown)


def role_assignments(tenant: Tenant, call: Call) -> Reply:
    """GET /roleManagement/directory/roleAssignments"""
    return _page(tenant, call, [_assignment(each) for each in tenant.directory.roles.active])


def role_eligibility(tenant: Tenant, call: Call) -> Reply:
    """GET /roleManagement/directory/roleEligibilityScheduleInstances; a tenant without the license is rejected."""
    _need_license(tenant)
    shown = [{**_assignment(each), "memberType": "Direct"} for each in tenant.directory.roles.eligible]
    return _page(tenant, call, shown)


def group_eligibility(tenant: Tenant, call: Call) -> Reply:
    """GET /identityGovernance/privilegedAccess/group/eligibilityScheduleInstances of one group or principal
    (learn.microsoft.com/graph/api/privilegedaccessgroup-list-eligibilityscheduleinstances)."""
    _need_license(tenant)
    test = filter_test(call, ("groupId", "principalId"))
    if test is None:
        raise bad_request("The $filter is required, with groupId or principalId.", "MissingFilter")  # own wording
    shown = [_group_eligibility(each) for each in tenant.directory.roles.group_eligible]
    return _page(tenant, call, [each for each in shown if test(each.get)])


def _need_license(tenant: Tenant) -> None:
    if not tenant.settings.role_eligibility:
        raise GraphError(
            400,
            "AadPremiumLicenseRequired",
            "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.",
        )


def _page(tenant: Tenant, call: Call, shown: list[dict[str, Any]]) -> Reply:
    check_options(call)
    start = int(skip_token(call) or "0")
    end = start + tenant.settings.role_page_size
    body: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#{call.path.strip('/')}", "value": shown[start:end]}
    if end < len(shown):
        body["@odata.nextLink"] = next_link(call, str(end))
    return Reply(200, body)


def _definition(tenant: Tenant, role: RoleDefinition) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": role.id,
        "displayName": role.display_name,
        "isBuiltIn": role.built_in,
        "isEnabled": True,
        "templateId": role.id,
        "rolePermissions": [],
    }
    if tenant.settings.role_privilege_shown:
        shown["isPrivileged"] = role.privileged
    return shown


def _assignment(each: RoleAssignment) -> dict[str, Any]:
    return {
        "id": each.id,
        "principalId": each.principal_id,
        "roleDefinitionId": each.role_definition_id,
        "directoryScopeId": "/",
    }


def _group_eligibility(each: GroupEligibility) -> dict[str, Any]:
    return {
        "id": each.id,
        "groupId": each.group_id,
        "principalId": each.principal_id,
        "accessId": each.access_id,
        "memberType": "Direct",
        "startDateTime": "2026-01-01T00:00:00Z",
        "endDateTime": None,
    }
