"""Change the state of an operation as a person asked, and record who did."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from shared.domain.approval_rules import Approver
from shared.domain.audit import group_act
from shared.domain.concurrency import update
from shared.domain.errors import Conflict, NotFound, StateConflict
from shared.domain.ids import OperationId
from shared.domain.initiator import Initiator
from shared.domain.operation import Operation, OperationState
from shared.handlers.operations.needs import Needs

MAX_TRIES = 10

log = logging.getLogger(__name__)


def require_state(operation: Operation, act: str, *states: OperationState) -> None:
    if operation.state not in states:
        allowed = " or ".join(states)
        raise StateConflict(
            "IllegalState", f"Cannot {act} an operation that is {operation.state}; it must be {allowed}.", "operation"
        )


async def change_operation(
    world: Needs, operation_id: OperationId, change: Callable[[Operation], Operation]
) -> Operation:
    saved = await update(
        partial(world.stores.operations.get, operation_id),
        lambda operation: change(operation) if operation else None,
        world.stores.operations.save,
        tries=MAX_TRIES,
        lost=Conflict(f"Operation {operation_id} is changing too quickly; try again."),
    )
    if saved is None:
        raise NotFound(f"There is no operation {operation_id}.")
    return saved


async def record_act(world: Needs, operation: Operation, initiator: Initiator, activity: str) -> None:
    # Two people approve, and one can pause twice: each time is an entry of its own.
    entry = group_act(activity, operation, initiator, world.clock.now(), turn=world.token()[:12])
    await world.stores.audit.append([entry])


def approved_as(approver: Approver, activity: str, what: str, initiator: Initiator) -> str:
    """The activity of an approval for the audit log. That of a single approver is logged, which raises an alert."""
    if approver is not Approver.ALONE:
        return activity
    log.warning("single approver: approved alone %s approver=%s", what, initiator.id)
    return f"{activity} as single approver"
