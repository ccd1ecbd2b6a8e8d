"""Watching licensed groups: found, read whole or for errors; what changes or leaves, and that nothing is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.domain.assignment import AssignmentState, Engine, GroupLicenseAssignment, OptionsChange
from shared.domain.change_messages import GroupsChanged, WatchGroup, decode_change
from shared.domain.directory import AssignedLicense, LicenseError, LicenseState
from shared.domain.errors import BadRequest, NotFound, Unavailable
from shared.domain.grant import do_not_license
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.initiator import SYSTEM
from shared.domain.member_status import MemberState
from shared.domain.membership_changes import GroupChange, Nesting
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import AuditFilter, MemberRow
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.membership.notifications_queue import process_notifications, sync_all_soon
from shared.handlers.membership.watching import watch_all, watch_errors, watch_group, watch_now
from shared.handlers.operations.accept import accept
from shared.handlers.reconcile.enqueue import enqueue
from shared.handlers.views.license_center import managed_groups
from tests.support.fakes_directory import FakeLicenseWriter
from tests.support.runs import LARGE as SUITE
from tests.support.runs import MIA, SMALL, Run
from tests.support.worlds import Fakes, fake_world


def guid(number: int) -> str:
    return str(UUID(int=number))


TEAM, OTHER, INNER = (GroupId(guid(number)) for number in (21, 22, 23))
ANN, BOB, CEM, DAN = (UserId(guid(number)) for number in (11, 12, 13, 14))


def a_world() -> Fakes:
    """Two licensed groups: Ann and Bob in one, Cem and a nested group with Dan in the other."""
    fakes = fake_world()
    for sku in (SUITE, SMALL):
        fakes.directory.add_sku(replace(sku, enabled=10))
    for user_id in (ANN, BOB, CEM, DAN):
        fakes.directory.add_user(user_id)
    fakes.native.license(TEAM, SUITE.sku_id, SMALL.sku_id, members=[ANN, BOB])
    fakes.directory.add_group(INNER, [DAN, CEM])
    fakes.native.license(OTHER, SUITE.sku_id, members=[CEM, INNER])
    return fakes


async def work(fakes: Fakes) -> None:
    """Do everything that was sent to the queue of notifications."""
    while fakes.queue.messages:
        message = fakes.queue.messages.pop(0)
        if message.queue == NOTIFICATIONS:
            await process_notifications(fakes.world, message.body)


async def watched(fakes: Fakes) -> None:
    await watch_all(fakes.world)
    await work(fakes)


async def rows(fakes: Fakes, group_id: GroupId) -> dict[str, MemberRow]:
    found, _ = await fakes.world.stores.members.page(group_id, 100)
    return {row.user_id: row for row in found}


async def intent(fakes: Fakes, group_id: GroupId) -> GroupLicenseAssignment:
    stored = await fakes.world.stores.assignments.get(group_id)
    assert stored is not None
    return stored.assignment


async def status(fakes: Fakes, group_id: GroupId) -> GroupStatus:
    found = await fakes.world.stores.group_status.get(group_id)
    assert found is not None
    return found


def license_writes(fakes: Fakes) -> int:
    writer = fakes.world.licenses
    assert isinstance(writer, FakeLicenseWriter)
    return writer.calls_made


async def test_every_licensed_group_is_found_and_each_member_is_shown_with_state_and_cause() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "MutuallyExclusiveViolation", SUITE.sku_id)
    await watched(fakes)
    team = await intent(fakes, TEAM)
    assert (team.engine, team.skus, team.version) == (Engine.WATCHED, (), 0)
    assert {each.sku_id for each in team.native} == {SUITE.sku_id, SMALL.sku_id}
    found = await rows(fakes, TEAM)
    assert {key: row.state for key, row in found.items()} == {ANN: MemberState.ACTIVE, BOB: MemberState.ERROR}
    held = {problem.sku_id: problem.held_by for problem in found[BOB].problems}
    assert held == {SUITE.sku_id: (), SMALL.sku_id: (SUITE.sku_id,)}
    shown = await status(fakes, TEAM)
    assert (shown.state, shown.members, shown.counts) == (GroupState.ERRORS, 2, {"Active": 1, "Error": 1})
    assert (shown.products[SUITE.sku_id].errors, shown.products[SUITE.sku_id].assigned) == (1, 1)
    assert {each.assignment.group_id for each in await managed_groups(fakes.world)} == {TEAM, OTHER}


async def test_members_whom_native_licensing_does_not_reach_are_counted_and_listed() -> None:
    fakes = a_world()
    await watched(fakes)
    found = await rows(fakes, OTHER)
    assert {key: row.state for key, row in found.items()} == {CEM: MemberState.ACTIVE, DAN: MemberState.UNREACHABLE}
    assert (await status(fakes, OTHER)).counts == {"Active": 1, "Unreachable": 1}


async def test_the_processing_state_shows_that_the_group_is_in_progress() -> None:
    fakes = a_world()
    fakes.native.processing[TEAM] = "ProcessingInProgress"
    fakes.native.take(BOB, TEAM)
    await watched(fakes)
    assert (await status(fakes, TEAM)).state is GroupState.IN_PROGRESS
    assert (await rows(fakes, TEAM))[BOB].state is MemberState.PENDING
    fakes.native.processing[TEAM] = "ProcessingComplete"
    fakes.native.give(BOB, TEAM)
    fakes.clock.move(timedelta(hours=1))
    await watch_errors(fakes.world)
    await work(fakes)
    assert (await status(fakes, TEAM)).state is GroupState.ALL_ASSIGNED
    assert (await rows(fakes, TEAM))[BOB].state is MemberState.ACTIVE
    fakes.native.processing[TEAM] = "ProcessingFailed"
    await watch_errors(fakes.world)
    assert (await status(fakes, TEAM)).state is GroupState.ERRORS


async def test_the_hourly_check_reads_members_in_error_and_those_who_no_longer_are() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "CountViolation")
    await watched(fakes)
    fakes.native.give(BOB, TEAM)
    fakes.native.give(ANN, TEAM, "CountViolation")
    fakes.native.calls.clear()
    fakes.clock.move(timedelta(hours=1))
    await watch_errors(fakes.world)
    await work(fakes)
    found = await rows(fakes, TEAM)
    assert (found[ANN].state, found[BOB].state) == (MemberState.ERROR, MemberState.ACTIVE)
    assert fakes.native.calls == ["groups", "errors", "errors"]


async def test_a_member_who_left_is_forgotten_and_one_whose_license_is_stuck_stays() -> None:
    fakes = a_world()
    await watched(fakes)
    for user_id in (ANN, BOB):
        fakes.directory.leave(TEAM, user_id)
    fakes.native.take(BOB, TEAM)
    stuck = fakes.directory.truth(ANN)
    states = tuple(
        replace(row, state=LicenseState.ACTIVE_WITH_ERROR, error="DependencyViolation")
        for row in stuck.license_assignment_states
    )
    fakes.directory.change_user(replace(stuck, license_assignment_states=states))
    await watched(fakes)
    found = await rows(fakes, TEAM)
    assert list(found) == [ANN]
    assert (found[ANN].state, found[ANN].left) == (MemberState.ACTIVE_WITH_ERROR, True)


async def test_changed_licenses_have_a_history_and_the_group_is_read_whole() -> None:
    fakes = a_world()
    await watched(fakes)
    fakes.native.license(TEAM, SUITE.sku_id)
    fakes.native.calls.clear()
    fakes.clock.move(timedelta(hours=1))
    await watch_errors(fakes.world)
    await work(fakes)
    assert sorted(fakes.native.calls) == ["errors", "groups", "members"]
    assert (await intent(fakes, TEAM)).sku_ids == (SUITE.sku_id,)
    entries, _ = await fakes.world.stores.audit.search(
        AuditFilter(), fakes.clock.now() - timedelta(days=1), fakes.clock.now() + timedelta(minutes=1), 50
    )
    assert [each.activity for each in entries if each.group_id == TEAM] == ["Watch group licensing"] * 2
    assert {each.initiator for each in entries} == {SYSTEM}


async def test_a_list_that_lacks_a_group_ends_nothing_and_a_group_without_licenses_is_no_longer_watched() -> None:
    fakes = a_world()
    await watched(fakes)
    fakes.native.unlisted.add(TEAM)
    await watched(fakes)
    assert (await intent(fakes, TEAM)).engine is Engine.WATCHED
    assert len(await rows(fakes, TEAM)) == 2
    fakes.native.license(TEAM)
    fakes.directory.remove_group(OTHER)
    await watched(fakes)
    assert (await intent(fakes, TEAM)).state is AssignmentState.ENDED
    assert (await rows(fakes, TEAM), await rows(fakes, OTHER)) == ({}, {})
    assert await managed_groups(fakes.world) == ()


async def test_a_failed_list_changes_nothing() -> None:
    fakes = a_world()
    await watched(fakes)
    fakes.native.away = True
    with pytest.raises(Unavailable):
        await watch_all(fakes.world)
    assert (await intent(fakes, TEAM)).native


async def test_where_licenses_of_members_cannot_be_read_only_those_in_error_are_recorded_and_it_says_so() -> None:
    fakes = a_world()
    fakes.native.shows_licenses = False
    fakes.native.give(BOB, TEAM, "UniquenessViolation")
    await watched(fakes)
    assert set(await rows(fakes, TEAM)) == {BOB}
    assert (await status(fakes, TEAM)).errors_only
    fakes.native.give(BOB, TEAM)
    fakes.native.give(ANN, TEAM, "UniquenessViolation")
    await watch_errors(fakes.world)
    await work(fakes)
    assert set(await rows(fakes, TEAM)) == {ANN}
    fakes.native.shows_licenses = True
    await watched(fakes)
    assert not (await status(fakes, TEAM)).errors_only
    assert set(await rows(fakes, TEAM)) == {ANN, BOB}


async def test_a_notification_reads_the_changed_members_of_a_watched_group() -> None:
    fakes = a_world()
    await watched(fakes)
    fakes.directory.join(TEAM, DAN)
    fakes.directory.leave(TEAM, BOB)
    fakes.native.take(BOB, TEAM)
    fakes.native.calls.clear()
    change = GroupChange(TEAM, {DAN: True, BOB: False})
    await process_notifications(fakes.world, GroupsChanged((change,), fakes.clock.now()).encode())
    await work(fakes)
    found = await rows(fakes, TEAM)
    assert {key: row.state for key, row in found.items()} == {ANN: MemberState.ACTIVE, DAN: MemberState.PENDING}
    assert fakes.native.calls == []


async def test_a_nested_group_that_came_has_the_watched_group_read_whole() -> None:
    fakes = a_world()
    await watched(fakes)
    fakes.directory.join(TEAM, INNER)
    change = GroupChange(TEAM, {UserId(INNER): True})
    await process_notifications(fakes.world, GroupsChanged((change,), fakes.clock.now()).encode())
    await work(fakes)
    assert (await rows(fakes, TEAM))[DAN].state is MemberState.UNREACHABLE


async def test_a_person_can_have_a_group_read_now_and_is_told_why_not() -> None:
    fakes = a_world()
    await watch_now(fakes.world, TEAM)
    await work(fakes)
    assert set(await rows(fakes, TEAM)) == {ANN, BOB}
    with pytest.raises(BadRequest) as fault:
        await watch_now(fakes.world, INNER)
    assert fault.value.code == "GroupNotLicensed"
    with pytest.raises(NotFound):
        await watch_now(fakes.world, GroupId(guid(99)))


async def test_a_group_that_this_app_licenses_is_not_watched() -> None:
    fakes = a_world()
    await _assign(fakes, TEAM, overlap=True)
    before = await intent(fakes, TEAM)
    await watched(fakes)
    assert await intent(fakes, TEAM) == before
    assert (await intent(fakes, OTHER)).engine is Engine.WATCHED
    with pytest.raises(BadRequest) as fault:
        await watch_now(fakes.world, TEAM)
    assert fault.value.code == "GroupManagedDirectly"


async def _assign(fakes: Fakes, group_id: GroupId, *, overlap: bool = False) -> None:
    change = LicenseChange(add=(AssignedLicense(SMALL.sku_id),))
    options = OptionsChange({"allow_native_overlap": overlap})
    await accept(fakes.world, OperationRequest(Target(group_id), MIA, change=change, options=options))


async def test_a_person_who_assigns_directly_to_a_watched_group_makes_it_direct() -> None:
    fakes = a_world()
    await watched(fakes)
    with pytest.raises(BadRequest):
        await _assign(fakes, TEAM)
    assert (await intent(fakes, TEAM)).engine is Engine.WATCHED
    await _assign(fakes, TEAM, overlap=True)
    after = await intent(fakes, TEAM)
    assert (after.engine, after.native, [each.sku_id for each in after.skus]) == (Engine.DIRECT, (), [SMALL.sku_id])
    now = fakes.clock.now()
    (entry,), _ = await fakes.world.stores.audit.search(
        AuditFilter(activity="licensing engine"), now - timedelta(days=1), now + timedelta(days=1), 9
    )
    assert (entry.before, entry.after, entry.initiator) == ("watched", "direct", MIA)


@pytest.mark.parametrize("change", [LicenseChange(), LicenseChange(remove=(SUITE.sku_id,))])
async def test_neither_a_reprocess_nor_a_removal_of_the_direct_engine_is_accepted_for_a_watched_group(
    change: LicenseChange,
) -> None:
    fakes = a_world()
    await watched(fakes)
    request = OperationRequest(Target(TEAM), MIA, change=change, reprocess=not change.remove)
    with pytest.raises(BadRequest) as fault:
        await accept(fakes.world, request)
    assert fault.value.code == "NativeGroup"


async def test_syncs_and_notifications_write_no_license_and_no_other_row_for_a_watched_group() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "CountViolation")
    await watched(fakes)
    run = Run(fakes)
    before = await rows(fakes, TEAM)
    assert await sync_all(fakes.world) == 0
    await sync_all_soon(fakes.world)
    change = GroupChange(TEAM, {ANN: False, BOB: True})
    await process_notifications(fakes.world, GroupsChanged((change,), fakes.clock.now()).encode())
    await run.work_off()
    assert license_writes(fakes) == 0
    assert await rows(fakes, TEAM) == before
    assert await fakes.world.stores.operations.open() == ()


async def test_work_on_a_managed_group_leaves_rows_and_licenses_of_a_watched_one_with_the_same_members() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "CountViolation")
    outer = fakes.directory.add_group(guid(50), [ANN, BOB])
    await watched(fakes)
    before = await rows(fakes, TEAM)
    inherited = fakes.directory.truth(ANN).inherited
    run = Run(fakes)
    await _assign(fakes, outer)
    await run.work_off()
    assert SMALL.sku_id in fakes.directory.licenses(ANN)
    assert await rows(fakes, TEAM) == before
    fakes.directory.leave(outer, ANN)
    for _ in range(3):
        await sync_all(fakes.world)
        await run.work_off()
        fakes.clock.move(timedelta(hours=1))
    assert fakes.directory.licenses(ANN) == {}
    assert fakes.directory.truth(ANN).inherited == inherited
    assert await rows(fakes, TEAM) == before


async def test_a_person_whom_hr_reports_as_a_leaver_keeps_what_microsoft_assigns() -> None:
    fakes = a_world()
    await watched(fakes)
    before = await rows(fakes, TEAM)
    await fakes.world.stores.grants.put([(ANN, do_not_license("leaver-1", fakes.clock.now()))])
    await enqueue(fakes.world, [ANN], "hr:leaver")
    await Run(fakes).work_off()
    assert set(fakes.directory.truth(ANN).inherited) == {SUITE.sku_id, SMALL.sku_id}
    assert await rows(fakes, TEAM) == before
    assert license_writes(fakes) == 0


async def test_a_watched_group_inside_a_managed_one_still_leads_to_the_managed_one() -> None:
    fakes = a_world()
    outer = fakes.directory.add_group(guid(50), [TEAM])
    await _assign(fakes, outer)
    await watched(fakes)
    fakes.queue.messages.clear()
    fakes.clock.move(timedelta(minutes=2))
    await fakes.world.stores.nesting.save(Nesting(outer, frozenset({TEAM}), fakes.clock.now()))
    change = GroupChange(TEAM, {DAN: True})
    await process_notifications(fakes.world, GroupsChanged((change,), fakes.clock.now()).encode())
    queues = [message.queue for message in fakes.queue.messages]
    assert len(queues) == 2
    assert NOTIFICATIONS in queues


async def test_a_death_at_any_write_is_made_up_for_by_the_next_run() -> None:
    whole = a_world()
    await watched(whole)
    expected = {group: await rows(whole, group) for group in (TEAM, OTHER)}
    for writes in range(100):
        fakes = a_world()
        fakes.tables.dies_after = writes
        try:
            await watched(fakes)
        except Unavailable:
            fakes.tables.dies_after = None
            await watched(fakes)
        else:
            break
        assert {group: await rows(fakes, group) for group in (TEAM, OTHER)} == expected
        assert (await status(fakes, TEAM)).counts == {"Active": 2}
        entries, _ = await fakes.world.stores.audit.search(
            AuditFilter(group_id=TEAM), fakes.clock.now() - timedelta(days=1), fakes.clock.now() + timedelta(days=1), 9
        )
        assert {each.activity for each in entries} == {"Watch group licensing"}
    assert 5 < writes < 99


async def test_a_death_at_any_write_while_a_watched_group_ends_leaves_nothing_of_it() -> None:
    for writes in range(100):
        fakes = a_world()
        await watched(fakes)
        fakes.native.license(TEAM)
        fakes.tables.dies_after = writes
        try:
            await watch_all(fakes.world)
        except Unavailable:
            fakes.tables.dies_after = None
            await watch_all(fakes.world)
        else:
            break
        assert (await intent(fakes, TEAM)).state is AssignmentState.ENDED
        assert await rows(fakes, TEAM) == {}
    assert 2 < writes < 99


async def test_a_group_whose_members_are_hidden_is_left_as_it_was_and_the_others_are_read() -> None:
    fakes = a_world()
    await watched(fakes)
    before = await rows(fakes, OTHER)
    fakes.directory.thin_members(INNER)
    await watched(fakes)
    assert await rows(fakes, OTHER) == before
    assert len(await rows(fakes, TEAM)) == 2


def test_messages_come_back_as_they_were_sent() -> None:
    at = fake_world().clock.now()
    for message in (WatchGroup(TEAM, at), WatchGroup(TEAM, at, errors_only=True), WatchGroup(TEAM, at, members=(ANN,))):
        assert decode_change(message.encode()) == message


async def test_an_error_keeps_its_first_time_and_a_member_without_an_answer_is_left_as_it_was() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "CountViolation")
    began = fakes.clock.now()
    await watched(fakes)
    fakes.clock.move(timedelta(days=2))
    fakes.directory.fail_read(ANN)
    await watched(fakes)
    found = await rows(fakes, TEAM)
    assert found[BOB].since == began
    assert found[BOB].problems[0].error is LicenseError.COUNT_VIOLATION
    await watch_group(fakes.world, WatchGroup(TEAM, began, members=(ANN,)))
    assert (await rows(fakes, TEAM))[ANN].state is MemberState.ACTIVE
    assert SkuId(SUITE.sku_id) in found[ANN].sku_ids
