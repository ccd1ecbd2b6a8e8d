"""Group changes from the notifications queue: early, late, duplicate, ambiguous or about unmanaged objects."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from shared.domain.assignment import OptionsChange
from shared.domain.change_messages import GroupsChanged
from shared.domain.membership_changes import GroupChange
from shared.domain.messages import NOTIFICATIONS
from shared.handlers.membership.delta import query_deltas
from shared.handlers.operations.assignment_changes import set_options
from shared.ports.messaging import Outgoing
from tests.support.notifications import accept_on, came, managed, notify, went
from tests.support.runs import MIA, OTHER_TEAM, TEAM, user

DEVICE = str(UUID(int=930))


async def test_who_joins_is_licensed_and_who_leaves_is_unlicensed_after_two_reads() -> None:
    run, (stays, leaves, _) = await managed()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.directory.leave(TEAM, leaves)
    began = run.world.clock.now()
    await notify(run, came(TEAM, joins), went(TEAM, leaves), times=2)
    assert [run.licenses(each) for each in (stays, joins, leaves)] == [{"SMALL"}, {"SMALL"}, set()]
    assert timedelta(minutes=5) <= run.world.clock.now() - began < timedelta(minutes=6)
    assert run.writes_of(joins) == 1


async def test_a_joiner_whom_the_directory_does_not_show_yet_is_licensed_when_it_does() -> None:
    run, _ = await managed()
    joins = run.directory.add_user(user(50))
    run.directory.make_stale(joins)
    run.directory.join(TEAM, joins)
    message = GroupsChanged((came(TEAM, joins),), run.world.clock.now())
    await run.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())])
    reads = len(run.directory.reads)
    await run.work_off(until=lambda: len(run.directory.reads) > reads + 2)
    assert run.licenses(joins) == set()
    run.directory.make_fresh(joins)
    await run.work_off()
    assert run.licenses(joins) == {"SMALL"}


async def test_an_event_that_the_directory_never_confirms_is_believed_for_ten_minutes_only() -> None:
    run, (member, *_) = await managed()
    began = run.world.clock.now()
    await notify(run, went(TEAM, member))
    assert run.licenses(member) == {"SMALL"}
    assert timedelta(minutes=9) < run.world.clock.now() - began < timedelta(minutes=12)


async def test_nothing_is_taken_from_a_mover_while_the_new_group_does_not_show() -> None:
    run, (mover, *_) = await managed()
    await run.finish(await accept_on(run, OTHER_TEAM))
    run.directory.leave(TEAM, mover)
    run.directory.make_stale(mover)
    run.directory.join(OTHER_TEAM, mover)
    run.fakes.queue.messages.clear()
    message = GroupsChanged((went(TEAM, mover), came(OTHER_TEAM, mover)), run.world.clock.now())
    await run.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())])
    reads = len(run.directory.reads)
    await run.work_off(until=lambda: len(run.directory.reads) > reads + 4)
    assert run.licenses(mover) == {"SMALL"}
    run.directory.make_fresh(mover)
    await run.work_off()
    assert run.licenses(mover) == {"SMALL"}
    assert run.writes_of(mover) == 1


async def test_an_id_added_and_removed_at_once_is_decided_by_the_directory() -> None:
    run, (member, *_) = await managed()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    await notify(run, GroupChange(TEAM, {member: None, joins: None}))
    assert (run.licenses(member), run.licenses(joins)) == ({"SMALL"}, {"SMALL"})


async def test_devices_and_ids_nobody_knows_end_without_harm() -> None:
    run, (member, *_) = await managed()
    run.directory.add_other(DEVICE)
    await notify(run, came(TEAM, DEVICE, user(98), member))
    assert run.licenses(member) == {"SMALL"}
    assert not run.fakes.queue.messages


async def test_changes_of_groups_that_concern_nobody_cost_no_check_users() -> None:
    run, _ = await managed()
    reads = len(run.directory.reads)
    await notify(run, came(OTHER_TEAM, user(1), user(2)))
    assert len(run.directory.reads) == reads


async def test_an_excluded_group_takes_effect_when_somebody_comes_into_it() -> None:
    run, (member, other, _) = await managed()
    options = OptionsChange({"excluded_groups": frozenset({OTHER_TEAM})})
    await set_options(run.world, TEAM, options, MIA, None)
    await query_deltas(run.world)
    await run.work_off()
    run.directory.join(OTHER_TEAM, member)
    await notify(run, came(OTHER_TEAM, member))
    assert (run.licenses(member), run.licenses(other)) == (set(), {"SMALL"})
