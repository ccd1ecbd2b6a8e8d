"""Checks of a request on a group that is managed natively: Microsoft's licensing assigns what the request says."""

from __future__ import annotations

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.directory import DirectoryGroup
from shared.domain.errors import BadRequest, raise_all
from shared.domain.native_changes import products_after
from shared.domain.operation import LicenseChange
from shared.domain.product_checks import check_products


def check_native(
    assignment: GroupLicenseAssignment, group: DirectoryGroup, change: LicenseChange, catalog: Catalog
) -> None:
    """Raises BadRequest, AssignmentError. `group`: as it was just read, with its products."""
    name = group.display_name
    if not change.changes_intent:
        text = (
            f"Microsoft's own group-based licensing assigns the licenses of group {name}. Use diagnose and "
            "reprocessLicenseErrors for its members."
        )
        raise BadRequest("NativeGroup", text, "group")
    if change.options is not None and change.options != assignment.options:
        text = f"Group {name} is managed natively, and Microsoft's licensing has no such options."
        raise BadRequest("NativeOptions", text, "options")
    if change.keep:
        text = f"Microsoft's licensing assigns the licenses of group {name}, and removes them with the product."
        raise BadRequest("KeepsNothing", text, "keepLicenses")
    check_security_enabled(group)
    known = {each.sku_id: each.disabled_plans for each in group.native_skus}
    missing = sorted(set(change.remove) - known.keys())
    text = "SKU {} is not assigned to the group."
    raise_all([BadRequest("SkuNotAssigned", text.format(sku_id), "removeLicenses") for sku_id in missing])
    check_products(change.add, catalog, known)
    if products_after(group.native_skus, change) == tuple(sorted(group.native_skus, key=lambda each: each.sku_id)):
        raise BadRequest("NothingToChange", f"Group {name} has these products already.", "addLicenses")


def check_security_enabled(group: DirectoryGroup) -> None:
    """Raises BadRequest for a group without security: licenses can be assigned to security groups only
    (learn.microsoft.com/entra/fundamentals/concept-group-based-licensing)."""
    if not group.security_enabled:
        raise BadRequest(
            "GroupNotSecurityEnabled",
            f"Group {group.display_name} is not security-enabled; licenses can be assigned to security groups only.",
            "group",
        )
