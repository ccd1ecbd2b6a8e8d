"""Cancelling an operation and restoring what its group had before."""

from __future__ import annotations

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations import control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.rollback import cancel_and_restore
from tests.support.operations import adds_up, slow
from tests.support.runs import EXTRA, LARGE, MIA, SMALL, Run


async def test_cancelling_with_the_former_intent_leads_back_to_what_the_group_had() -> None:
    run = Run()
    people = run.people(45)
    await run.change([SMALL, EXTRA])
    slow(run)
    operation = await run.ask([LARGE], [SMALL])
    await run.work_off(until=lambda: any("LARGE" in run.licenses(each) for each in people))
    restoring = await cancel_and_restore(run.world, operation.id, MIA)
    again = await cancel_and_restore(run.world, operation.id, MIA)
    assert restoring.id == again.id
    ended = await run.finish(restoring)
    cancelled = await run.read(operation)
    assert cancelled.state is OperationState.CANCELLED
    assert adds_up(cancelled)
    assert ended.state is OperationState.COMPLETE
    assert all(run.licenses(each) == {"SMALL", "EXTRA"} for each in people)


async def test_cancelling_the_first_assignment_of_a_group_takes_back_what_it_gave() -> None:
    run = Run()
    people = run.people(15)
    slow(run)
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: len(run.writer.log) > 0)
    await run.finish(await cancel_and_restore(run.world, operation.id, MIA))
    assert not any(run.licenses(each) for each in people)


async def test_there_is_no_former_intent_of_a_list_a_preview_or_of_what_a_newer_request_has_changed() -> None:
    run = Run()
    people = run.people(3)
    on_list = await accept(
        run.world,
        OperationRequest(Target(user_ids=tuple(people)), MIA, LicenseChange((AssignedLicense(SMALL.sku_id),))),
    )
    preview = await run.ask([SMALL], preview=True)
    for each in (on_list, preview):
        with pytest.raises(BadRequest, match="former assignment"):
            await cancel_and_restore(run.world, each.id, MIA)
    older = await run.ask([SMALL])
    await control.cancel(run.world, older.id, MIA)
    await run.work_off()
    await run.change([EXTRA])
    with pytest.raises(BadRequest, match="changed the assignment"):
        await cancel_and_restore(run.world, older.id, MIA)
