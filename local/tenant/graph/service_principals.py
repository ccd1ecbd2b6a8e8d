"""/servicePrincipals: the declared clients and Graph itself, and which application permissions each client has.

learn.microsoft.com/graph/api/resources/serviceprincipal and /serviceprincipal-list-approleassignments. Ids of roles and
assignments are this project's own, but for those that Microsoft's permission reference names here.
"""

from __future__ import annotations

import uuid
from typing import Any

from local.tenant.call import GRAPH, Call, Reply, not_found
from local.tenant.graph.query import check_options, filter_test, page_of, selected, wants_count
from local.tenant.identity.permissions import Client
from local.tenant.tenant import Tenant

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
GRAPH_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "graph.principal.example"))
_ROLE_IDS = {
    "LicenseAssignment.ReadWrite.All": "5facf0c1-8979-4e95-abcf-ff3d079771c0",
    "Group.Read.All": "5b567255-7703-4780-807c-7be8301ae99b",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
    "User.ReadWrite.All": "741f803b-c850-494e-b5df-cde7c675a1ca",
    "Member.Read.Hidden": "658aa5d8-239f-45c4-aa12-864f4fc7e490",
}
_PROPERTIES = (
    "id", "appId", "displayName", "accountEnabled", "servicePrincipalType", "appRoles", "alternativeNames",
    "servicePrincipalNames", "tags", "appOwnerOrganizationId", "deletedDateTime",
)  # fmt: skip
_FILTERS = ("id", "appId", "displayName", "servicePrincipalType", "accountEnabled")


def principal_id(client: Client) -> str:
    """Object id of a client's service principal, which its tokens have as `oid`."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{client.name}.principal.example"))


def list_principals(tenant: Tenant, call: Call) -> Reply:
    """GET /servicePrincipals"""
    check_options(call)
    test, chosen = filter_test(call, _FILTERS), selected(call, _PROPERTIES, "servicePrincipal")
    found = {one["id"]: one for one in _all(tenant) if test is None or test(one.get)}
    page, link = page_of(call, sorted(found), None)
    body: dict[str, Any] = {"@odata.context": f"{GRAPH}/$metadata#servicePrincipals"}
    if wants_count(call):
        body["@odata.count"] = len(found)
    if link is not None:
        body["@odata.nextLink"] = link
    body["value"] = [_chosen(found[one], chosen) for one in page]
    return Reply(200, body)


def get_principal(tenant: Tenant, call: Call) -> Reply:
    """GET /servicePrincipals/{id}, also by `appId='...'`"""
    check_options(call)
    found = _present(tenant, call.segments[1])
    shown = _chosen(found, selected(call, _PROPERTIES, "servicePrincipal"))
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#servicePrincipals/$entity", **shown})


def role_assignments_of(tenant: Tenant, call: Call) -> Reply:
    """GET /servicePrincipals/{id}/appRoleAssignments: permissions of Graph that a client has."""
    check_options(call)
    principal = _present(tenant, call.segments[1])
    clients = {principal_id(client): client for client in tenant.clients.values()}
    client = clients.get(principal["id"])
    granted = sorted(client.graph) if client is not None else []
    shown = [_assignment(principal, name) for name in granted]
    return Reply(200, {"@odata.context": f"{GRAPH}/$metadata#appRoleAssignments", "value": shown})


def _assignment(principal: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "id": uuid.uuid5(uuid.UUID(principal["id"]), name).hex,
        "deletedDateTime": None,
        "appRoleId": _role_id(name),
        "createdDateTime": "2026-01-04T08:00:00Z",
        "principalDisplayName": principal["displayName"],
        "principalId": principal["id"],
        "principalType": "ServicePrincipal",
        "resourceDisplayName": "Microsoft Graph",
        "resourceId": GRAPH_ID,
    }


def _role_id(name: str) -> str:
    return _ROLE_IDS.get(name) or str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.role.example"))


def _present(tenant: Tenant, key: str) -> dict[str, Any]:
    app_id = key.removeprefix("appId=").lower()
    for one in _all(tenant):
        if one["appId"] == app_id if key.startswith("appId=") else one["id"] == key.lower():
            return one
    raise not_found(key)


def _all(tenant: Tenant) -> list[dict[str, Any]]:
    names = sorted({name for client in tenant.clients.values() for name in client.graph})
    roles = [
        {
            "allowedMemberTypes": ["Application"],
            "description": name,
            "displayName": name,
            "id": _role_id(name),
            "isEnabled": True,
            "origin": "Application",
            "value": name,
        }
        for name in names
    ]
    clients = [
        _principal(principal_id(client), client.app_id, client.name, "ManagedIdentity" if is_app else "Application", [])
        for client in tenant.clients.values()
        for is_app in (client.name == "product",)
    ]
    return [_principal(GRAPH_ID, GRAPH_APP_ID, "Microsoft Graph", "Application", roles), *clients]


def _principal(object_id: str, app_id: str, name: str, kind: str, roles: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": object_id,
        "deletedDateTime": None,
        "accountEnabled": True,
        "alternativeNames": [],
        "appId": app_id,
        "appOwnerOrganizationId": None,
        "appRoles": roles,
        "displayName": name,
        "servicePrincipalNames": [app_id],
        "servicePrincipalType": kind,
        "tags": [],
    }


def _chosen(whole: dict[str, Any], chosen: tuple[str, ...] | None) -> dict[str, Any]:
    return whole if chosen is None else {name: whole[name] for name in chosen}
