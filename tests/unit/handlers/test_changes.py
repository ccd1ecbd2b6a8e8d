"""Changes of membership on a whole app: told by notifications, by delta, by nobody; early, late, doubled, wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.domain.assignment import Enforcement, OptionsChange
from shared.domain.change_messages import GroupsChanged, LifecycleHappened, ReadDelta, SyncGroup
from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, UserId
from shared.domain.member_status import MemberState
from shared.domain.membership_changes import GroupChange, LifecycleEvent
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import GroupState
from shared.handlers.groups.nesting import add_nested, keep_nesting, watched_groups
from shared.handlers.membership.delta import ask_for_deltas
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.membership.notifications_queue import take_change
from shared.handlers.membership.subscription import LIFE, RENEW_BEFORE, keep_subscription
from shared.handlers.operations import control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.operations.sync import NESTED, SYNC
from shared.handlers.reconcile.grant_expiry import look_at_due
from shared.handlers.views import queries
from shared.ports.messaging import Outgoing
from tests.support.runs import EXTRA, MIA, OTHER_TEAM, SMALL, TEAM, Run, user

INNER = GroupId(str(UUID(int=910)))
DEEP = GroupId(str(UUID(int=911)))
DEVICE = str(UUID(int=930))


async def tell(run: Run, *changes: GroupChange, times: int = 1) -> None:
    """What a notification says, taken by the queue, and all that follows."""
    message = GroupsChanged(changes, run.world.clock.now())
    await run.world.queue.send([Outgoing(NOTIFICATIONS, message.encode())] * times)
    await run.work_off()


def came(group: str, *members: str) -> GroupChange:
    return GroupChange(GroupId(group), {UserId(each): True for each in members})


def went(group: str, *members: str) -> GroupChange:
    return GroupChange(GroupId(group), {UserId(each): False for each in members})


async def managed(people: int = 3) -> tuple[Run, list[UserId]]:
    run = Run()
    members = run.people(people)
    await run.change([SMALL])
    return run, members


async def operations(run: Run, cause: str) -> list[Operation]:
    found, _ = await run.world.stores.operations.newest(100)
    return [each for each in found if each.cause == cause]


async def test_who_joins_is_licensed_and_who_leaves_is_unlicensed_after_two_reads() -> None:
    run, (stays, leaves, _) = await managed()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.directory.leave(TEAM, leaves)
    began = run.world.clock.now()
    await tell(run, came(TEAM, joins), went(TEAM, leaves), times=2)
    assert [run.licenses(each) for each in (stays, joins, leaves)] == [{"SMALL"}, {"SMALL"}, set()]
    assert timedelta(minutes=1) <= run.world.clock.now() - began < timedelta(minutes=3)
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
    await tell(run, went(TEAM, member))
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


async def accept_on(run: Run, group_id: GroupId) -> Operation:
    change = LicenseChange((AssignedLicense(SMALL.sku_id),))
    return await accept(run.world, OperationRequest(Target(group_id), MIA, change))


async def test_an_id_added_and_removed_at_once_is_decided_by_the_directory() -> None:
    run, (member, *_) = await managed()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    await tell(run, GroupChange(TEAM, {member: None, joins: None}))
    assert (run.licenses(member), run.licenses(joins)) == ({"SMALL"}, {"SMALL"})


async def test_a_group_that_comes_into_a_nested_one_brings_its_people_and_takes_them_along() -> None:
    run, _ = await managed()
    run.directory.add_group(INNER)
    deep_one = run.directory.add_user(user(60))
    run.directory.add_group(DEEP, [deep_one])
    run.directory.join(TEAM, INNER)
    await tell(run, came(TEAM, INNER))
    run.directory.join(INNER, DEEP)
    await tell(run, came(INNER, DEEP))
    assert run.licenses(deep_one) == {"SMALL"}
    assert (await watched_groups(run.world, 0.0)).roots(DEEP) == {TEAM}
    another = run.directory.add_user(user(61), groups=[DEEP])
    await tell(run, came(DEEP, another))
    assert run.licenses(another) == {"SMALL"}
    run.directory.leave(TEAM, INNER)
    await tell(run, went(TEAM, INNER))
    assert [run.licenses(each) for each in (deep_one, another)] == [set(), set()]


async def test_the_map_knows_a_group_that_came_and_what_lies_in_it_before_its_people_are_read() -> None:
    run, _ = await managed()
    run.directory.add_group(DEEP, [run.directory.add_user(user(60))])
    run.directory.add_group(INNER)
    run.directory.join(INNER, DEEP)
    run.directory.join(TEAM, INNER)
    message = GroupsChanged((came(TEAM, INNER),), run.world.clock.now())
    await take_change(run.world, message.encode())
    assert not await operations(run, NESTED)
    assert {INNER, DEEP} <= (await watched_groups(run.world, 0)).managed.keys()


async def test_a_reading_that_began_before_a_group_came_does_not_forget_it() -> None:
    run, _ = await managed()
    began = run.world.clock.now()
    run.later(seconds=1)
    run.directory.add_group(INNER)
    await add_nested(run.world, TEAM, [INNER])
    await keep_nesting(run.world, TEAM, [], began)
    assert INNER in (await watched_groups(run.world, 0)).managed
    run.later(seconds=1)
    await keep_nesting(run.world, TEAM, [], run.world.clock.now())
    assert INNER not in (await watched_groups(run.world, 0)).managed


async def test_groups_in_a_circle_are_harmless() -> None:
    run, (member, *_) = await managed()
    run.directory.add_group(INNER)
    run.directory.join(TEAM, INNER)
    run.directory.join(INNER, TEAM)
    await tell(run, came(TEAM, INNER), came(INNER, TEAM))
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
    await take_change(run.world, message.encode())
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
    await tell(run, came(TEAM, INNER))
    assert run.licenses(user(70)) == {"EXTRA"}
    assert all("SMALL" in run.licenses(each) for each in people)
    await control.approve(run.world, waiting.id, waiting.checksum, MIA)
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


async def test_devices_and_ids_nobody_knows_end_without_harm() -> None:
    run, (member, *_) = await managed()
    run.directory.add_other(DEVICE)
    await tell(run, came(TEAM, DEVICE, user(98), member))
    assert run.licenses(member) == {"SMALL"}
    assert not run.fakes.queue.messages


async def test_changes_of_groups_that_concern_nobody_cost_no_look_at_users() -> None:
    run, _ = await managed()
    reads = len(run.directory.reads)
    await tell(run, came(OTHER_TEAM, user(1), user(2)))
    assert len(run.directory.reads) == reads


async def test_an_excluded_group_takes_effect_when_somebody_comes_into_it() -> None:
    run, (member, other, _) = await managed()
    options = OptionsChange({"excluded_groups": frozenset({OTHER_TEAM})})
    await set_options(run.world, TEAM, options, MIA, None)
    await ask_for_deltas(run.world)
    await run.work_off()
    run.directory.join(OTHER_TEAM, member)
    await tell(run, came(OTHER_TEAM, member))
    assert (run.licenses(member), run.licenses(other)) == (set(), {"SMALL"})


async def test_a_deleted_group_holds_everything_and_goes_on_when_it_is_restored() -> None:
    run, people = await managed(5)
    kept = run.directory.groups[TEAM]
    for each in people:
        run.directory.leave(TEAM, each)
    run.directory.remove_group(TEAM)
    await tell(run, GroupChange(TEAM, deleted=True))
    await run.look_at(*people, cause="some-event")
    run.later(days=1)
    await run.look_at(*people, cause="another")
    assert all(run.licenses(each) == {"SMALL"} for each in people)
    status = await run.world.stores.group_status.get(TEAM)
    assert status is not None
    assert status.state is GroupState.ERRORS
    run.directory.add_group(TEAM, people, group=kept)
    newcomer = run.directory.add_user(user(80), groups=[TEAM])
    await tell(run, GroupChange(TEAM))
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


async def test_delta_finds_what_no_notification_told_once() -> None:
    run, (leaves, *_) = await managed()
    await ask_for_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.directory.leave(TEAM, leaves)
    for member, there in ((joins, True), (leaves, False)):
        run.fakes.changes.happened(TEAM, member, came=there)
    for number in range(8):
        run.fakes.changes.happened(OTHER_TEAM, user(200 + number), came=True)
    for _ in range(2):
        await ask_for_deltas(run.world)
        await run.work_off()
    assert (run.licenses(joins), run.licenses(leaves)) == ({"SMALL"}, set())
    assert run.writes_of(joins) == 1


async def test_when_the_token_is_forgotten_the_groups_are_read_whole() -> None:
    run, _ = await managed()
    await ask_for_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.fakes.changes.happened(TEAM, joins, came=True)
    run.fakes.changes.forget_tokens()
    await ask_for_deltas(run.world)
    await run.work_off()
    assert run.licenses(joins) == {"SMALL"}


async def test_a_round_of_delta_that_dies_before_it_is_kept_is_read_again() -> None:
    run, _ = await managed()
    await ask_for_deltas(run.world)
    await run.work_off()
    joins = run.directory.add_user(user(50), groups=[TEAM])
    run.fakes.changes.happened(TEAM, joins, came=True)
    run.fakes.queue_away(times=4)
    await run.deliver(Outgoing(NOTIFICATIONS, ReadDelta(0).encode()))
    await run.work_off()
    assert run.licenses(joins) == {"SMALL"}


async def test_the_nightly_sync_mends_drift_of_any_cause_and_is_started_once() -> None:
    run, (lost, left, fine) = await managed()
    missed = run.directory.add_user(user(50), groups=[TEAM])
    run.directory.leave(TEAM, left)
    run.later(hours=1)
    truth = run.directory.truth(lost)
    run.directory.change_user(replace(truth, license_assignment_states=()))
    for _ in range(2):
        await sync_all(run.world)
    await run.work_off()
    assert [run.licenses(each) for each in (lost, left, fine, missed)] == [{"SMALL"}, set(), {"SMALL"}, {"SMALL"}]
    (operation,) = await operations(run, SYNC)
    assert (operation.plan.additions, operation.plan.removals) == ({SMALL.sku_id: 2}, {SMALL.sku_id: 1})


async def test_a_sync_named_by_the_hour_is_newer_than_an_operation_of_the_same_hour() -> None:
    run, _ = await managed()
    run.later(minutes=5)
    await run.change(reprocess=True)
    missed = run.directory.add_user(user(50), groups=[TEAM])
    await sync_all(run.world)
    await run.work_off()
    assert run.licenses(missed) == {"SMALL"}


async def test_people_whom_no_group_accounts_for_are_found_at_night() -> None:
    run, (restored, fine, _) = await managed()
    run.directory.delete_user(restored)
    await run.finish(await run.ask(reprocess=True))
    run.directory.restore_user(restored)
    run.directory.leave(TEAM, restored)
    await sync_all(run.world)
    await run.work_off()
    assert (run.licenses(restored), run.licenses(fine)) == (set(), {"SMALL"})


async def test_a_group_whose_operation_was_cancelled_is_not_completed_at_night() -> None:
    run = Run()
    people = run.people(45)
    run.world = replace(run.world, policy=replace(run.world.policy, outstanding_chunks=1))
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: len(run.writer.log) >= 20)
    await control.cancel(run.world, operation.id, MIA)
    await run.work_off()
    had = [each for each in people if run.licenses(each)]
    await sync_all(run.world)
    await run.work_off()
    assert [each for each in people if run.licenses(each)] == had
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    assert {sku.enforcement for sku in stored.assignment.skus} == {Enforcement.CANCELLED}


async def test_a_leaver_in_grace_keeps_the_license_until_it_ends_and_coming_back_cancels() -> None:
    run, (leaves, returns, _) = await managed()
    await set_options(run.world, TEAM, OptionsChange({"grace": timedelta(days=30)}), MIA, None)
    for each in (leaves, returns):
        run.directory.leave(TEAM, each)
    await tell(run, went(TEAM, leaves, returns))
    assert [run.licenses(each) for each in (leaves, returns)] == [{"SMALL"}, {"SMALL"}]
    (row,) = await run.world.stores.members.of_user(leaves, [TEAM])
    assert row.state is MemberState.PENDING
    run.later(days=10)
    run.directory.join(TEAM, returns)
    await tell(run, came(TEAM, returns))
    await look_at_due(run.world)
    await run.work_off()
    run.later(days=21)
    assert await look_at_due(run.world) >= 1
    await run.work_off()
    assert [run.licenses(each) for each in (leaves, returns)] == [set(), {"SMALL"}]
    assert await look_at_due(run.world) == 0


async def test_a_thousand_leavers_by_events_stop_at_the_allowance_and_are_collected_once() -> None:
    run, people = await managed(80)
    for each in people[:60]:
        run.directory.leave(TEAM, each)
    await tell(run, went(TEAM, *people[:60]))
    assert sum(not run.licenses(each) for each in people) == 20
    assert len(await queries.approvals(run.world)) == 1


async def test_one_subscription_is_made_renewed_and_made_again_when_it_is_gone() -> None:
    run = Run()
    feed = run.fakes.changes
    first = await keep_subscription(run.world)
    assert first is not None
    assert await keep_subscription(run.world) == first
    run.later(seconds=(LIFE - RENEW_BEFORE).total_seconds() + 60)
    renewed = await keep_subscription(run.world)
    assert renewed is not None
    assert (renewed.id, renewed.expires_at) == (first.id, run.world.clock.now() + LIFE)
    feed.made.clear()
    again = await keep_subscription(run.world)
    assert again is not None
    assert again.id != first.id
    assert [each.id for each in await run.world.stores.subscriptions.all()] == [again.id]
    assert again.client_state == feed.secrets[again.id] != first.client_state


async def test_subscriptions_that_are_double_or_whose_secret_is_lost_are_removed_and_others_left_alone() -> None:
    run = Run()
    feed = run.fakes.changes
    kept = await keep_subscription(run.world)
    assert kept is not None
    now = run.world.clock.now()
    await feed.subscribe(kept.notification_url, "", "unknown", now + LIFE)
    foreign = await feed.subscribe("https://other.example/hook", "", "theirs", now + LIFE)
    assert await keep_subscription(run.world) == kept
    assert feed.made.keys() == {kept.id, foreign.id}


async def test_a_subscription_refused_because_nobody_answers_is_tried_again_later() -> None:
    run = Run()
    run.fakes.changes.unreachable = True
    with pytest.raises(Exception, match="does not answer"):
        await keep_subscription(run.world)
    assert await keep_subscription(run.world) is None
    run.fakes.changes.unreachable = False
    run.later(minutes=11)
    assert await keep_subscription(run.world) is not None
    assert len(await run.world.stores.subscriptions.all()) == 1


async def test_without_a_public_address_nothing_is_subscribed() -> None:
    run = Run()
    world = replace(run.world, policy=replace(run.world.policy, public_url=""))
    assert await keep_subscription(world) is None
    assert run.fakes.changes.made == {}


@pytest.mark.parametrize("event", list(LifecycleEvent))
async def test_lifecycle_events_are_answered_and_what_may_be_lost_is_read_again(event: LifecycleEvent) -> None:
    run, _ = await managed()
    kept = await keep_subscription(run.world)
    assert kept is not None
    if event is LifecycleEvent.SUBSCRIPTION_REMOVED:
        run.fakes.changes.made.clear()
    missed = run.directory.add_user(user(50), groups=[TEAM])
    for subscription in ("sub-77", kept.id):
        await run.world.queue.send([Outgoing(NOTIFICATIONS, LifecycleHappened(subscription, event).encode())])
    await run.work_off()
    reauthorized = run.fakes.changes.reauthorized
    assert reauthorized == ([kept.id] if event is LifecycleEvent.REAUTHORIZATION_REQUIRED else [])
    assert run.licenses(missed) == (set() if event is LifecycleEvent.REAUTHORIZATION_REQUIRED else {"SMALL"})
    assert len(run.fakes.changes.made) == 1
