"""Who may do what: each operation with its least permission, and rejected one short of it."""

from __future__ import annotations

from typing import Any

import pytest

from local.tenant.identity.permissions import declared_clients
from tests.support.granted import features, granted
from tests.unit.local.tenant.calls import ANN, E3, SALES, a_tenant, ask, change

ROWS: list[tuple[str, str, Any, tuple[str, ...]]] = [
    ("GET", "/subscribedSkus", None, ("LicenseAssignment.Read.All",)),
    ("GET", "/subscribedSkus", None, ("Organization.Read.All",)),
    ("GET", f"/users/{ANN}/licenseDetails", None, ("LicenseAssignment.Read.All",)),
    ("GET", f"/groups/{SALES}/members", None, ("GroupMember.ReadBasic.All",)),
    ("GET", f"/groups/{SALES}/transitiveMembers", None, ("GroupMember.Read.All",)),
    ("GET", f"/groups/{SALES}", None, ("Group.Read.All",)),
    ("GET", f"/users/{ANN}?$select=usageLocation", None, ("User.Read.All",)),
    ("POST", f"/users/{ANN}/assignLicense", change([E3]), ("LicenseAssignment.ReadWrite.All",)),
    ("POST", f"/users/{ANN}/assignLicense", change([E3]), ("User.ReadWrite.All",)),
    ("POST", f"/groups/{SALES}/assignLicense", change([E3]), ("LicenseAssignment.ReadWrite.All",)),
    ("POST", f"/groups/{SALES}/assignLicense", change([E3]), ("Group.ReadWrite.All",)),
    ("POST", f"/users/{ANN}/reprocessLicenseAssignment", None, ("User.ReadWrite.All",)),
    ("PATCH", f"/users/{ANN}", {"usageLocation": "AT"}, ("User.ReadWrite.All",)),
    ("DELETE", f"/groups/{SALES}/members/{ANN}/$ref", None, ("GroupMember.ReadWrite.All",)),
    ("GET", "/organization", None, ("Organization.Read.All",)),
    ("GET", f"/groups/{SALES}/owners", None, ("GroupMember.Read.All",)),
    ("GET", "/users/delta", None, ("User.Read.All",)),
    ("GET", f"/directoryObjects/{ANN}", None, ("Directory.Read.All",)),
    ("GET", "/directory/deletedItems/microsoft.graph.user", None, ("User.Read.All",)),
    ("GET", "/directory/deletedItems/microsoft.graph.group", None, ("Group.Read.All",)),
    ("GET", "/servicePrincipals", None, ("Application.Read.All",)),
    (
        "POST",
        f"/users/{ANN}/getMemberGroups",
        {"securityEnabledOnly": True},
        ("User.Read.All", "GroupMember.Read.All"),
    ),
]


@pytest.mark.parametrize(("method", "url", "body", "granted"), ROWS)
async def test_the_least_permission_is_enough_and_less_is_rejected(
    method: str, url: str, body: Any, granted: tuple[str, ...]
) -> None:
    tenant = a_tenant()
    client = tenant.clients["other"]
    for short in range(len(granted)):
        client.graph = frozenset({*granted[:short], *granted[short + 1 :], "AuditLog.Read.All"})
        status, answer, _ = await ask(tenant, method, url, body, client="other")
        assert (status, answer["error"]["code"]) == (403, "Authorization_RequestDenied")
    client.graph = frozenset(granted)
    assert (await ask(tenant, method, url, body, client="other"))[0] < 300


NOT_ENOUGH: list[tuple[str, str, Any, str]] = [
    ("PATCH", f"/users/{ANN}", {"usageLocation": "AT"}, "LicenseAssignment.ReadWrite.All"),
    ("POST", f"/users/{ANN}/reprocessLicenseAssignment", None, "LicenseAssignment.ReadWrite.All"),
    ("GET", "/subscribedSkus", None, "LicenseAssignment.ReadWrite.All"),
    ("GET", f"/users/{ANN}?$select=usageLocation", None, "User.ReadBasic.All"),
    ("POST", f"/users/{ANN}/assignLicense", change([E3]), "Group.ReadWrite.All"),
    ("POST", f"/groups/{SALES}/assignLicense", change([E3]), "User.ReadWrite.All"),
    ("GET", f"/groups/{SALES}/members", None, "User.Read.All"),
    ("GET", "/directory/deletedItems/microsoft.graph.user", None, "Group.Read.All"),
    ("GET", f"/directoryObjects/{ANN}", None, "User.Read.All"),
]


@pytest.mark.parametrize(("method", "url", "body", "granted"), NOT_ENOUGH)
async def test_a_permission_for_something_else_is_not_enough(method: str, url: str, body: Any, granted: str) -> None:
    tenant = a_tenant()
    tenant.clients["other"].graph = frozenset({granted})
    assert (await ask(tenant, method, url, body, client="other"))[0] == 403


async def test_a_role_assignable_group_needs_a_permission_of_its_own() -> None:
    tenant = a_tenant(groups=[{"id": SALES, "displayName": "Sales", "isAssignableToRole": True}])
    url = f"/groups/{SALES}/members/{ANN}/$ref"
    assert (await ask(tenant, "DELETE", url, client="product"))[0] == 403
    assert (await ask(tenant, "DELETE", url, client="administrator"))[0] == 204


def test_the_product_has_what_the_script_grants_with_all_features_and_nothing_else() -> None:
    assert declared_clients()["product"].graph == granted(*features())
