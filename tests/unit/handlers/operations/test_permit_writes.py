"""Previews that approve the removals they showed."""

from __future__ import annotations

from shared.domain.operation import OperationState
from tests.support.runs import SMALL, Run


async def test_a_preview_approves_what_it_showed_and_nobody_else() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    preview = await run.finish(await run.ask(remove=[SMALL], preview=True))
    operation = await run.ask(remove=[SMALL], preview_id=preview.id)
    ended = await run.finish(operation, approve=False)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, 30)
    assert all(run.licenses(each) == set() for each in people)


async def test_a_preview_older_than_an_hour_approves_nothing() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    preview = await run.finish(await run.ask(remove=[SMALL], preview=True))
    run.later(minutes=61)
    ended = await run.finish(await run.ask(remove=[SMALL], preview_id=preview.id), approve=False)
    assert ended.state is OperationState.AWAITING_APPROVAL
    assert all(run.licenses(each) == {"SMALL"} for each in people)
