"""Groups nested in managed groups: added, removed, circular, and changed while an operation is open."""

from __future__ import annotations

from uuid import UUID

from shared.domain.change_messages import GroupsChanged, SyncGroup
from shared.domain.ids import GroupId
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import OperationState
from shared.handlers.groups.nesting import add_nested, group_hierarchy, keep_nesting
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.operations import approvals, control
from shared.handlers.operations.sync import NESTED
from shared.handlers.views import queries
from shared.ports.messaging import Outgoing
from tests.support.notifications import came, managed, notify, operations, went
from tests.support.runs import EXTRA, MIA, NOA, SMALL, TEAM, user

INNER = GroupId(str(UUID(int=910)))
DEEP = GroupId(str(UUID(int=911)))


async def test_a_group_that_comes_into_a_nested_one_brings_its_people_and_takes_them_along() -> None:
    run, _ = await managed()
    run.directory.add_group(INNER)
    deep_one = run.directory.add_user(user(60))
    run.directory.add_group(DEEP, [deep_one])
    run.directory.join(TEAM, INNER)
    await notify(run, came(TEAM, INNER))
    run.directory.join(INNER, DEEP)
    await notify(run, came(INNER, DEEP))
    assert run.licenses(deep_one) == {"SMALL"}
    assert (await group_hierarchy(run.world, 0.0)).roots(DEEP) == {TEAM}
    another = run.directory.add_user(user(61), groups=[DEEP])
    await notify(run, came(DEEP, another))
    assert run.licenses(another) == {"SMALL"}
    run.directory.leave(TEAM, INNER)
    await notify(run, went(TEAM, INNER))
    assert [run.licenses(each) for each in (deep_one, another)] == [set(), set()]


async def test_the_map_knows_a_group_that_came_and_what_lies_in_it_before_its_people_are_read() -> None:
    run, _ = await managed()
    run.directory.add_group(DEEP, [run.directory.add_user(user(60))])
    run.directory.add_group(INNER)
    run.directory.join(INNER, DEEP)
    run.directory.join(TEAM, INNER)
    message = GroupsChanged((came(TEAM, INNER),), run.world.clock.now())
    await process_notifications(run.world, message.encode())
    assert not await operations(run, NESTED)
    assert {INNER, DEEP} <= (await group_hierarchy(run.world, 0)).managed.keys()


async def test_a_reading_that_began_before_a_group_came_does_not_forget_it() -> None:
    run, _ = await managed()
    began = run.world.clock.now()
    run.later(seconds=1)
    run.directory.add_group(INNER)
    await add_nested(run.world, TEAM, [INNER])
    await keep_nesting(run.world, TEAM, [], began)
    assert INNER in (await group_hierarchy(run.world, 0)).managed
    run.later(seconds=1)
    await keep_nesting(run.world, TEAM, [], run.world.clock.now())
    assert INNER not in (await group_hierarchy(run.world, 0)).managed


async def test_groups_in_a_circle_are_harmless() -> None:
    run, (member, *_) = await managed()
    run.directory.add_group(INNER)
    run.directory.join(TEAM, INNER)
    run.directory.join(INNER, TEAM)
    await notify(run, came(TEAM, INNER), came(INNER, TEAM))
    assert run.licenses(member) == {"SMALL"}


async def test_a_change_that_comes_while_a_persons_operation_works_is_done_after_it() -> None:
    run, _ = await managed(60)
    run.directory.add_group(INNER, [run.directory.add_user(user(70))])
    working = await run.ask(reprocess=True)
    await run.work_off(until=lambda: run.done > 2)
    await control.pause(run.world, working.id, MIA)
    await control.resume(run.world, working.id, MIA)
    run.later(seconds=1)
    run.directory.join(TEAM, INNER)
    message = SyncGroup(TEAM, NESTED, run.world.clock.now())
    await process_notifications(run.world, message.encode())
    assert await operations(run, NESTED) == []
    await run.work_off()
    (synced,) = await operations(run, NESTED)
    assert synced.created_at > message.asked_at
    assert run.licenses(user(70)) == {"SMALL"}


async def test_a_change_that_comes_while_a_person_decides_is_done_and_the_decision_still_holds() -> None:
    run, people = await managed(60)
    run.directory.add_group(INNER, [run.directory.add_user(user(70))])
    waiting = await run.finish(await run.ask([EXTRA], [SMALL]), approve=False)
    assert waiting.state is OperationState.AWAITING_APPROVAL
    run.directory.join(TEAM, INNER)
    await notify(run, came(TEAM, INNER))
    assert run.licenses(user(70)) == {"EXTRA"}
    assert all("SMALL" in run.licenses(each) for each in people)
    await approvals.approve(run.world, waiting.id, waiting.checksum, NOA)
    await run.work_off()
    assert {frozenset(run.licenses(each)) for each in people} == {frozenset({"EXTRA"})}
    assert await queries.approvals(run.world) == ()


async def test_many_changes_of_nesting_at_once_need_one_sync() -> None:
    run, _ = await managed()
    groups = [GroupId(str(UUID(int=950 + number))) for number in range(5)]
    for number, group_id in enumerate(groups):
        run.directory.add_group(group_id, [run.directory.add_user(user(70 + number))])
        run.directory.join(TEAM, group_id)
    messages = [GroupsChanged((came(TEAM, each),), run.world.clock.now()) for each in groups]
    await run.world.queue.send([Outgoing(NOTIFICATIONS, each.encode()) for each in messages])
    await run.work_off()
    assert len(await operations(run, NESTED)) <= 2
    assert [run.licenses(user(70 + number)) for number in range(5)] == [{"SMALL"}] * 5
