"""Cancel and go back: end an operation, and give its group the intent that it had before it."""

from __future__ import annotations

from shared.domain.assignment import Enforcement, GroupLicenseAssignment
from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest, NotFound
from shared.domain.ids import GroupId, OperationId
from shared.domain.initiator import Initiator
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations import control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.needs import Needs

RESTORE = "restore"
"""The cause of an operation that brings a former intent back."""


async def cancel_and_restore(world: Needs, operation_id: OperationId, initiator: Initiator) -> Operation:
    """Cancel an operation, and start one that restores the former intent of its group. Returns the new one.

    Its removals need a permit like any removal. A repeat returns the same operation. Raises BadRequest for an operation
    on named users or a preview, which changed no intent of a group. Raises it also if the operation has ended, or a
    newer one has changed the intent since.
    """
    operation = await world.stores.operations.get(operation_id)
    if operation is None:
        raise NotFound(f"There is no operation {operation_id}.")
    group_id = operation.target.group_id
    if group_id is None or operation.preview:
        raise BadRequest(
            "NoFormerAssignment",
            "Only an operation on a group has a former assignment. Cancel it with assignment 'keep', and request the "
            "right change.",
            "assignment",
        )
    if operation.native is not None:
        raise BadRequest(
            "NativeGroup",
            "Microsoft's own group-based licensing assigns the licenses of this group. Cancel the operation with "
            "assignment 'keep', and request the right change.",
            "assignment",
        )
    former = await _former(world, group_id, operation)
    await control.cancel(world, operation_id, initiator)
    request = await _request_for(world, group_id, former, operation, initiator)
    try:
        return await accept(world, request)
    except BadRequest as fault:
        raise BadRequest(
            fault.code,
            f"The operation is cancelled, but its former assignment cannot be restored: {fault}",
            "assignment",
        ) from fault


async def _former(world: Needs, group_id: GroupId, operation: Operation) -> GroupLicenseAssignment:
    for version in await world.stores.assignments.history(group_id):
        if version.version < operation.intent_version:
            return version
    return GroupLicenseAssignment(group_id)


async def _request_for(
    world: Needs, group_id: GroupId, former: GroupLicenseAssignment, operation: Operation, initiator: Initiator
) -> OperationRequest:
    """What leads from the intent as the cancelled operation left it to the former one."""
    stored = await world.stores.assignments.get(group_id)
    current = stored.assignment if stored else GroupLicenseAssignment(group_id)
    key = f"{RESTORE}-{operation.id}"
    restored = await world.stores.operations.get(current.operation_id) if current.operation_id else None
    newest = restored.id if restored is not None else operation.id
    if newest != operation.id and (restored is None or restored.idempotency_key != key):
        raise BadRequest(
            "NewerAssignment", f"Operation {newest} has changed the assignment of the group since.", "assignment"
        )
    if restored is not None and restored.idempotency_key == key:
        return OperationRequest(
            Target(group_id), initiator, restored.change, reprocess=restored.reprocess, idempotency_key=key
        )
    change = LicenseChange(
        tuple(
            AssignedLicense(sku.sku_id, sku.disabled_plans)
            for sku in former.skus
            if (now := current.sku(sku.sku_id)) is None
            or now.disabled_plans != sku.disabled_plans
            or now.enforcement is Enforcement.CANCELLED
        ),
        tuple(sku.sku_id for sku in current.skus if former.sku(sku.sku_id) is None),
        former.options if _has_set_options(operation, former, current) else None,
    )
    nothing = not change.add and not change.remove
    return OperationRequest(Target(group_id), initiator, change, reprocess=nothing, idempotency_key=key, cause=RESTORE)


def _has_set_options(operation: Operation, former: GroupLicenseAssignment, current: GroupLicenseAssignment) -> bool:
    """Whether the options are still those that the operation set: options that were set beside it stay."""
    return operation.change.options == current.options != former.options
