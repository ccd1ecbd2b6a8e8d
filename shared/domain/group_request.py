"""A change of a group, checked against the group as it was read: its faults, and the group's assignment with the change
merged in.

The API, the page, messages of the `jobs` queue and recovery after a crash share these rules. Nothing here reads or
writes: after a lost race, the assignment is read again and the same functions decide again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.assignment import (
    AssignmentState,
    Enforcement,
    Engine,
    GroupLicenseAssignment,
    OptionsChange,
    SkuAssignment,
)
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryGroup
from shared.domain.errors import BadRequest, Outdated, raise_all
from shared.domain.initiator import Initiator
from shared.domain.native_changes import products_after
from shared.domain.native_request import check_native, check_security_enabled
from shared.domain.operation import LicenseChange, Operation
from shared.domain.operation_request import OperationRequest, check_known
from shared.domain.product_checks import check_products, warnings_of


@dataclass(frozen=True, slots=True)
class GroupRequest:
    """What one request on a group is decided on, read once. `etag`: of the stored assignment, None if there is none."""

    assignment: GroupLicenseAssignment
    etag: str | None
    group: DirectoryGroup
    catalog: Catalog

    @property
    def is_native(self) -> bool:
        """Whether Microsoft's licensing assigns what this app decides for the group."""
        return self.assignment.engine is Engine.NATIVE

    def change_of(self, request: OperationRequest) -> LicenseChange:
        """The change of a request, with the options that it names set in those of the group."""
        if request.options is None:
            return request.change
        return replace(request.change, options=request.options.applied_to(self.assignment.options))

    def check(self, change: LicenseChange) -> None:
        """Check a change on the group. Raises BadRequest, AssignmentError."""
        if self.is_native:
            check_native(self.assignment, self.group, change, self.catalog)
            return
        if not change.add and self.assignment.engine is not Engine.DIRECT:
            raise BadRequest(
                "NativeGroup",
                f"Microsoft's own group-based licensing assigns the licenses of group {self.group.display_name}; this "
                "app only watches it. Use diagnose and reprocessLicenseErrors for its members.",
                "group",
            )
        check_known((*change.manage, *change.enable), self.catalog)
        _check_group(self.group, change, (change.options or self.assignment.options).allow_native_overlap)
        changed(self.assignment, change, self.catalog)
        if not change.changes_intent and self.assignment.version == 0:
            text = f"Group {self.group.display_name} has no license assignment here."
            raise BadRequest("GroupNotManaged", text, "group")

    def warnings(self, change: LicenseChange) -> tuple[str, ...]:
        """What Microsoft's lists and the tenant's subscriptions say against the products after a change."""
        if not self.is_native:
            return warnings(changed(self.assignment, change, self.catalog), change, self.catalog)
        after = products_after(self.group.native_skus, change)
        return warnings_of(after, {license.sku_id for license in change.add}, self.catalog)

    def intent_after(self, operation: Operation, now: datetime) -> GroupLicenseAssignment:
        """The assignment as an operation makes it: reprocessing enforces again what was paused or cancelled.

        Raises BadRequest, AssignmentError, also if the group has another engine than when the request was checked.
        """
        before, change = self.assignment, operation.change
        if self.is_native != (operation.native is not None):
            text = f"The engine of group {self.group.display_name} has been changed meanwhile. Try again."
            raise BadRequest("EngineChanged", text, "group")
        merges = change.changes_intent and not self.is_native
        after = changed(before, change, self.catalog) if merges else before
        enforced = tuple(
            replace(sku, enforcement=Enforcement.ENFORCED).after(before.sku(sku.sku_id), now) for sku in after.skus
        )
        return replace(
            after,
            skus=enforced,
            version=before.version + 1,
            operation_id=operation.id,
            open_approval=None,
            more_held=False,
            display_name=self.group.display_name,
            changed_by=operation.initiator.display_name,
            changed_by_id=operation.initiator.person_id or "",
            changed_at=operation.created_at,
        )


def _check_group(group: DirectoryGroup, change: LicenseChange, allow_native_overlap: bool) -> None:
    check_security_enabled(group)
    native = {license.sku_id for license in group.native_skus}
    overlap = sorted(native.intersection(license.sku_id for license in change.add))
    if overlap and not allow_native_overlap:
        raise BadRequest(
            "NativeOverlap",
            f"Group {group.display_name} is also licensed by native group-based licensing with {', '.join(overlap)}. "
            "Remove it there first, or set the option allowNativeOverlap.",
            "addLicenses",
        )


def check_version(assignment: GroupLicenseAssignment, if_match: int | None) -> None:
    """Raises Outdated if the caller saw another version; None matches any."""
    if if_match is not None and if_match != assignment.version:
        raise Outdated(f"The license assignment is at version {assignment.version}, not {if_match}; read it again.")


def changed(assignment: GroupLicenseAssignment, change: LicenseChange, catalog: Catalog) -> GroupLicenseAssignment:
    """The assignment with a change merged into it: a SKU given again replaces its `disabledPlans`, as in Graph. Only
    what the change adds is checked: other products of the group are no reason against it.

    Raises BadRequest for a SKU to remove that is not assigned, AssignmentError for what cannot be assigned.
    """
    known = {sku.sku_id: sku for sku in assignment.skus}
    missing = sorted(set(change.remove) - known.keys())
    text = "SKU {} is not assigned to the group."
    raise_all([BadRequest("SkuNotAssigned", text.format(sku_id), "removeLicenses") for sku_id in missing])
    check_products(change.add, catalog, {sku_id: sku.disabled_plans for sku_id, sku in known.items()})
    merged = {sku_id: sku for sku_id, sku in known.items() if sku_id not in change.remove}
    merged.update({license.sku_id: SkuAssignment(license.sku_id, license.disabled_plans) for license in change.add})
    options = change.options or assignment.options
    skus = tuple(merged[sku_id] for sku_id in sorted(merged))
    if change.keep and skus:
        left = ", ".join(sku.sku_id for sku in skus)
        text = f"With keepLicenses, removeLicenses must name every product of the group. Missing: {left}."
        raise BadRequest("KeepsNothing", text, "removeLicenses")
    return replace(
        assignment, engine=Engine.DIRECT, native=(), skus=skus, options=options, state=state_after(skus, change)
    )


def state_after(skus: Sequence[SkuAssignment], change: LicenseChange) -> AssignmentState:
    """The state of an assignment with these SKUs after a change."""
    if skus:
        return AssignmentState.ACTIVE
    return AssignmentState.NOT_MANAGED if change.keep else AssignmentState.ENDED


def warnings(assignment: GroupLicenseAssignment, change: LicenseChange, catalog: Catalog) -> tuple[str, ...]:
    """The warnings in a preview of a change. `assignment`: with the change merged in."""
    licenses = [AssignedLicense(sku.sku_id, sku.disabled_plans) for sku in assignment.skus]
    return warnings_of(licenses, {license.sku_id for license in change.add}, catalog)


def with_options(
    assignment: GroupLicenseAssignment, options: OptionsChange, initiator: Initiator, now: datetime
) -> GroupLicenseAssignment:
    """The next version of the assignment, with options set and its SKUs as they are."""
    return replace(
        assignment,
        options=options.applied_to(assignment.options),
        version=assignment.version + 1,
        changed_by=initiator.display_name,
        changed_by_id=initiator.person_id or "",
        changed_at=now,
    )
