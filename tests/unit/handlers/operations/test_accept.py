"""Requests that are rejected, before an operation starts or when it lost every race."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest, Conflict
from shared.domain.messages import OPERATIONS, OPERATIONS_BULK, STEPS
from shared.domain.messages import SMALL as SMALL_LIST
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from shared.handlers.operations.watchdog import NO_PROGRESS, watchdog
from tests.support.runs import EXTRA, MIA, OTHER_TEAM, SMALL, TEAM, Run, user


async def test_a_group_whose_members_cannot_be_seen_is_rejected_and_one_whose_can_is_not() -> None:
    run = Run()
    run.directory.groups[TEAM] = replace(run.directory.groups[TEAM], hidden_membership=True)
    with pytest.raises(BadRequest, match=r"Member\.Read\.Hidden"):
        await run.ask([SMALL])
    assert await run.world.stores.assignments.get(TEAM) is None
    (member,) = run.people(1)
    await run.change([SMALL])
    assert run.licenses(member) == {"SMALL"}


async def test_a_request_that_lost_every_race_is_rejected_and_never_carried_out() -> None:
    """The caller is told to try again: the watchdog must not do the first request as well."""
    run = Run()
    (member,) = run.people(1)
    run.fakes.assignments_always_change()
    with pytest.raises(Conflict):
        await run.ask([SMALL], idempotency_key="once")
    (operation,), _ = await run.world.stores.operations.newest(10)
    assert operation.state is OperationState.FAILED
    assert operation.error is not None
    assert "changed by others" in operation.error.message
    run.fakes.tables.contested.clear()
    run.later(seconds=NO_PROGRESS.total_seconds())
    assert await watchdog(run.world) == 0
    await run.work_off()
    assert run.licenses(member) == set()
    again = await run.change([SMALL], idempotency_key="once")
    assert (again.id != operation.id, again.state) == (True, OperationState.COMPLETE)
    assert run.licenses(member) == {"SMALL"}


async def test_snapshots_of_many_users_have_a_queue_of_their_own_and_small_requests_do_not_wait_there() -> None:
    run = Run()
    run.people(3)
    unknown = await run.ask([SMALL], preview=True)
    assert _queues(run) == [OPERATIONS_BULK]
    await run.finish(unknown)
    await run.change([SMALL])
    run.directory.add_group(OTHER_TEAM, [user(number) for number in range(1, 4)])
    waiting = [await run.ask([SMALL], preview=True) for _ in range(3)]
    assert _queues(run) == [OPERATIONS] * 3, "the group is known to be small"
    run.fakes.queue.messages.clear()
    change = LicenseChange((AssignedLicense(EXTRA.sku_id),))
    for count, queue in ((1, OPERATIONS), (SMALL_LIST, OPERATIONS), (SMALL_LIST + 1, OPERATIONS_BULK)):
        users = tuple(user(number) for number in range(1, count + 1))
        await accept(run.world, OperationRequest(Target(user_ids=users), MIA, change))
        assert _queues(run) == [queue]
        run.fakes.queue.messages.clear()
    assert len(waiting) == 3


async def test_the_steps_after_the_snapshot_of_many_users_are_short_and_share_the_queue_of_small_requests() -> None:
    run = Run()
    run.people(3)
    seen: list[str] = []
    run.before = lambda message: seen.append(message.queue) if message.queue in STEPS else None
    await run.change([SMALL])
    assert seen[0] == OPERATIONS_BULK
    assert set(seen[1:]) == {OPERATIONS}


def _queues(run: Run) -> list[str]:
    return [message.queue for message in run.fakes.queue.messages]
