"""A managed group that was deleted, or that reads as empty, removes no license without an approval."""

from __future__ import annotations

from shared.domain.group_status import GroupState
from shared.domain.membership_changes import GroupChange
from shared.domain.operation import OperationState
from shared.handlers.views import queries
from tests.support.notifications import managed, notify
from tests.support.runs import SMALL, TEAM, Run, user


async def test_a_deleted_group_holds_everything_and_goes_on_when_it_is_restored() -> None:
    run, people = await managed(5)
    kept = run.directory.groups[TEAM]
    for each in people:
        run.directory.leave(TEAM, each)
    run.directory.remove_group(TEAM)
    await notify(run, GroupChange(TEAM, deleted=True))
    await run.reconcile(*people, cause="some-event")
    run.later(days=1)
    await run.reconcile(*people, cause="another")
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    status = await run.world.stores.group_status.get(TEAM)
    assert status is not None
    assert status.state is GroupState.ERRORS
    run.directory.add_group(TEAM, people, group=kept)
    newcomer = run.directory.add_user(user(80), groups=[TEAM])
    await notify(run, GroupChange(TEAM))
    assert run.licenses(newcomer) == {"SMALL"}
    assert all(run.licenses(each) == {"SMALL"} for each in people)


async def test_a_person_can_take_away_what_a_group_gave_that_is_gone() -> None:
    run, people = await managed(5)
    for each in people:
        run.directory.leave(TEAM, each)
    run.directory.remove_group(TEAM)
    asked = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert asked.state is OperationState.AWAITING_APPROVAL
    await run.finish(asked)
    assert not any(run.licenses(each) for each in people)


async def test_a_group_that_reads_empty_takes_nothing_away_without_a_person() -> None:
    run = Run()
    people = run.people(5)
    await run.change([SMALL])
    for each in people:
        run.directory.leave(TEAM, each)
    ended = await run.finish(await run.ask(reprocess=True), approve=False)
    assert (ended.state, ended.totals.skipped) == (OperationState.COMPLETE, 5)
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    (waiting,) = await queries.approvals(run.world)
    assert waiting.reason == "5 of 5 members left: the group reads as empty."


async def test_a_group_that_vanished_holds_what_it_gave() -> None:
    run = Run()
    people = run.people(2)
    await run.change([SMALL])
    run.directory.remove_group(TEAM)
    for number in range(3):
        await run.reconcile(*people, cause=f"event-{number}")
        run.later(minutes=5)
    assert [run.licenses(each) for each in people] == [{"SMALL"}, {"SMALL"}]
