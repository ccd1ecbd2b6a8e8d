"""Addresses of the page and of the API whose work must not grow with the tenant, for the bench and for unit tests."""

from __future__ import annotations

from shared.domain.ids import GroupId, OperationId, SkuId, UserId


def pages(group: GroupId, native: GroupId, sku: SkuId, person: UserId, preview: OperationId) -> dict[str, str]:
    """Views of the page by name."""
    return {
        "start": "/",
        "licenses": "/licenses",
        "a license": f"/licenses/{sku}",
        "license errors": "/licenseErrors",
        "license errors, a product": f"/licenseErrors?product={sku}",
        "license errors, a cause": "/licenseErrors?error=MutuallyExclusiveViolation",
        "license errors, a group": f"/licenseErrors?group={group}",
        "groups": "/groups",
        "a group, errors": f"/groups/{group}",
        "a group, one problem": f"/groups/{group}?error=UniquenessViolation",
        "a group, all members": f"/groups/{group}?show=all",
        "a group, one state": f"/groups/{group}?show=Active",
        "its live part": f"/groups/{group}/live",
        "assign": f"/groups/{group}/assign",
        "native groups": "/nativeGroups",
        "a native group": f"/nativeGroups/{native}",
        "a move": f"/groups/{native}/move",
        "operations": "/operations",
        "an operation": f"/operations/{preview}",
        "its progress": f"/operations/{preview}/progress",
        "predicted errors": f"/operations/{preview}/errors",
        "approvals": "/approvals",
        "users": "/users",
        "a user": f"/users/{person}",
        "search": "/search",
        "audit": "/audit",
        "audit of a group": f"/audit?group={group}",
        "audit of a user": f"/audit?user={person}",
        "onboarding": "/onboarding",
        "announced leavers": "/onboarding/announced",
        "profiles": "/onboarding/profiles",
        "first day": "/firstDay",
        "first contact": "/firstContact",
        "failed messages": "/deadLetters",
        "health": "/health",
        "health, queues": "/health/queues",
    }


def forms(group: GroupId, sku: SkuId) -> dict[str, tuple[str, dict[str, str]]]:
    """Searches by a form: the address, and the fields."""
    return {
        "search, a name": ("/search", {"search": "an"}),
        "users, a name": ("/users", {"search": "an"}),
        "a group, a name": (f"/groups/{group}", {"show": "all", "name": "an"}),
        "a license, a name": (f"/licenses/{sku}", {"name": "an"}),
        "audit, an administrator": ("/audit", {"initiatedBy": "ada"}),
    }


def collections(group: GroupId, native: GroupId, sku: SkuId, person: UserId, preview: OperationId) -> dict[str, str]:
    """Reads of the API by name. Exports and the report of a move read everything, and are not among them."""
    api = {
        "groups": "groups",
        "status of a group": f"groups/{group}/status",
        "members": f"groups/{group}/members",
        "members, one state": f"groups/{group}/members?state=Active",
        "members with errors": f"groups/{group}/membersWithLicenseErrors",
        "members with errors, all groups": "membersWithLicenseErrors",
        "assignment": f"groups/{group}/licenseAssignment",
        "a move": f"groups/{native}/moveLicensing",
        "operations": "operations",
        "operations of a group": f"operations?groupId={group}",
        "an operation": f"operations/{preview}",
        "planned members": f"operations/{preview}/members",
        "predicted errors": f"operations/{preview}/predictedErrors",
        "approvals": "approvals",
        "products": "licenses",
        "a product": f"licenses/{sku}",
        "users of a product": f"licenses/{sku}/users",
        "subscribed SKUs": "subscribedSkus",
        "a user": f"users/{person}",
        "licenses of a user": f"users/{person}/licenses",
        "audit": "audit",
        "audit of a user": f"audit?user={person}",
        "audit of a group": f"audit?group={group}",
        "HR events": "onboarding",
        "profiles": "onboarding/profiles",
        "dead letters": "deadLetters",
        "first-contact runs": "firstContact",
        "overview": "overview",
    }
    return {f"API: {name}": f"/api/{path}" for name, path in api.items()}
