"""A small tenant with nested groups, a device and a service principal."""

from __future__ import annotations

from typing import Any

from tests.unit.local.tenant.calls import ANN, BOB, CEM, SALES, a_tenant

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
    """The ids in the answer of a list."""
    return {row["id"] for row in body["value"]}
