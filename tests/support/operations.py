"""Operations that tests stop in the middle, and removals that wait for an approval."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.directory import AssignedLicense
from shared.domain.group_status import GroupState
from shared.domain.ids import ServicePlanId, UserId
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from shared.handlers.views import queries
from tests.support.runs import MIA, SMALL, TEAM, Run

ALLOWED = 20


def slow(run: Run) -> None:
    """One chunk at a time."""
    run.world = replace(run.world, policy=replace(run.world.policy, outstanding_chunks=1))


def adds_up(operation: Operation) -> bool:
    """Whether every member has an outcome."""
    return operation.totals.done == operation.totals.members


async def group_state(run: Run) -> GroupState:
    status = await run.world.stores.group_status.get(TEAM)
    assert status is not None
    return status.state


async def leave(run: Run, people: list[UserId]) -> None:
    """Take people out of the group one by one, each with an event."""
    for each in people:
        run.directory.leave(TEAM, each)
        await run.reconcile(each, cause=f"left-{each}")


async def held_run(count: int = 5, off: frozenset[ServicePlanId] = frozenset()) -> tuple[Run, list[UserId], Operation]:
    """A group whose removal allowance is used up, with `count` more removals held for an approval. `off`: plans that
    the group does not assign."""
    run = Run()
    people = run.people(60)
    change = LicenseChange((AssignedLicense(SMALL.sku_id, off),))
    await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, change)))
    await leave(run, people[: ALLOWED + count])
    (waiting,) = await queries.approvals(run.world)
    return run, people[ALLOWED : ALLOWED + count], waiting


async def waiting_removal(size: int) -> tuple[Run, list[UserId], Operation]:
    """A removal from `size` people that waits for approval."""
    run = Run()
    people = run.people(size)
    await run.change([SMALL])
    operation = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert operation.state is OperationState.AWAITING_APPROVAL
    return run, people, operation


async def open_approval(run: Run) -> str | None:
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    return stored.assignment.open_approval
