"""The status of a group whose operation failed."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.errors import NotFound
from shared.domain.group_status import GroupState
from shared.domain.operation import OperationState
from shared.domain.read_models import AuditFilter
from tests.support.runs import EXTRA, SMALL, TEAM, Run


async def test_a_group_that_vanished_before_it_was_read_is_shown_with_errors() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    operation = await run.ask([EXTRA])
    run.directory.remove_group(TEAM)
    ended = await run.finish(operation)
    assert (ended.state, ended.error and ended.error.code) == (OperationState.FAILED, NotFound.__name__)
    finish = AuditFilter(activity="Finish applying")
    now = run.world.clock.now()
    entries, _ = await run.world.stores.audit.search(finish, now - timedelta(hours=1), now, 9)
    (observed,) = [entry for entry in entries if entry.operation_id == ended.id]
    assert (observed.result, observed.detail) == ("failure", ended.error and ended.error.message)
    status = await run.world.stores.group_status.get(TEAM)
    assert status is not None
    assert status.state is GroupState.ERRORS
