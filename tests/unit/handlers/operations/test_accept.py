"""Requests that are rejected, before an operation starts or when it lost every race."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.errors import BadRequest, Conflict
from shared.domain.operation import OperationState
from shared.handlers.operations.watchdog import NO_PROGRESS, watchdog
from tests.support.runs import SMALL, TEAM, Run


async def test_a_group_whose_members_cannot_be_seen_is_refused_and_one_whose_can_is_not() -> None:
    run = Run()
    run.directory.groups[TEAM] = replace(run.directory.groups[TEAM], hidden_membership=True)
    with pytest.raises(BadRequest, match=r"Member\.Read\.Hidden"):
        await run.ask([SMALL])
    assert await run.world.stores.assignments.get(TEAM) is None
    (member,) = run.people(1)
    await run.change([SMALL])
    assert run.licenses(member) == {"SMALL"}


async def test_a_request_that_lost_every_race_is_refused_and_never_carried_out() -> None:
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
