"""Notifications of memberships that HR itself brought about: nobody is looked at twice, and nobody is missed."""

from __future__ import annotations

import pytest

from shared.domain.change_messages import GroupsChanged
from shared.domain.ids import GroupId, UserId
from shared.domain.joiner import JOINED_COUNTS
from shared.domain.membership_changes import GroupChange
from shared.domain.messages import MEMBERS, NOTIFICATIONS, ONBOARDING
from shared.handlers.reconcile.grant_expiry import reconcile_due_users
from shared.ports.messaging import Outgoing
from tests.support.hires import Hires, event
from tests.support.runs import OTHER_TEAM, TEAM, user


async def hired() -> tuple[Hires, UserId]:
    """A joiner whose membership of the team is written, and whose licenses HR's own look has not given yet."""
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    await run.send(event("joiner", "j", ann, groups=[TEAM]))
    await run.work_off(lambda: any(message.queue == MEMBERS for message in run.fakes.queue.messages))
    assert run.member(ann)
    assert run.licenses(ann) == set()
    return run, ann


async def notify(run: Hires, person: UserId, *, came: bool, groups: tuple[GroupId, ...] = (TEAM,)) -> int:
    """A notification is taken. Returns how many looks it asked for."""
    before = len(queue_states(run))
    changes = tuple(GroupChange(group, {person: came}) for group in groups)
    message = GroupsChanged(changes, run.world.clock.now())
    await run.deliver(Outgoing(NOTIFICATIONS, message.encode()))
    return len(queue_states(run)) - before


def queue_states(run: Hires) -> list[Outgoing]:
    return [message for message in run.fakes.queue.messages if message.queue == MEMBERS]


async def test_whom_hr_put_in_is_licensed_by_hrs_own_look_alone() -> None:
    run, ann = await hired()
    assert await notify(run, ann, came=True) == 0
    await run.work_off()
    assert run.licenses(ann) == {"SMALL"}
    assert run.writes_of(ann) == 1


async def test_who_is_told_to_have_come_into_another_group_as_well_is_checked() -> None:
    run, ann = await hired()
    run.directory.join(OTHER_TEAM, ann)
    assert await notify(run, ann, came=True, groups=(TEAM, OTHER_TEAM)) == 1
    await run.work_off()
    assert run.licenses(ann) == {"LARGE", "SMALL"}


async def test_who_left_and_came_back_while_the_membership_that_hr_wrote_still_counts_is_checked() -> None:
    run, ann = await hired()
    await run.work_off()
    run.directory.leave(TEAM, ann)
    assert await notify(run, ann, came=False) == 1
    await run.work_off(lambda: not queue_states(run))
    run.directory.join(TEAM, ann)
    assert await notify(run, ann, came=True) == 1
    await run.work_off()
    run.later(seconds=JOINED_COUNTS.total_seconds())
    await reconcile_due_users(run.world)
    await run.work_off()
    assert run.licenses(ann) == {"SMALL"}


@pytest.mark.parametrize("lost", [True, False], ids=["HR's look is lost", "it is not"])
async def test_who_was_left_out_is_checked_when_the_membership_has_long_been_seen(*, lost: bool) -> None:
    """Even a look of HR that is lost for good leaves nobody without a license: the grant's end has one of its own."""
    run, ann = await hired()
    assert await notify(run, ann, came=True) == 0
    if lost:
        for message in [m for m in run.fakes.queue.messages if m.queue in (MEMBERS, ONBOARDING)]:
            run.fakes.queue.messages.remove(message)
    run.later(seconds=JOINED_COUNTS.total_seconds() + 1)
    assert await reconcile_due_users(run.world) == 1
    await run.work_off()
    assert run.licenses(ann) == {"SMALL"}
    assert run.writes_of(ann) == 1


async def test_who_is_told_of_after_the_grant_of_hr_has_ended_is_checked() -> None:
    run, ann = await hired()
    await run.work_off()
    run.later(seconds=JOINED_COUNTS.total_seconds() + 1)
    assert await notify(run, ann, came=True) == 1


async def test_who_was_put_into_the_group_by_another_is_checked() -> None:
    run, _ = await hired()
    bob = run.directory.add_user(user(2), groups=[TEAM])
    assert await notify(run, bob, came=True) == 1
    await run.work_off()
    assert run.licenses(bob) == {"SMALL"}
