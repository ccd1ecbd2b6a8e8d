"""Watching licensed groups: found, read whole or for errors; what changes or leaves, and that nothing is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.assignment import AssignmentState, Engine
from shared.domain.change_messages import GroupsChanged, WatchGroup, decode_change
from shared.domain.directory import LicenseError, LicenseState
from shared.domain.errors import BadRequest, NotFound, Unavailable
from shared.domain.group_status import GroupState
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.initiator import SYSTEM
from shared.domain.member_status import MemberState
from shared.domain.membership_changes import GroupChange
from shared.domain.read_models import AuditFilter
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.membership.watching import watch_all, watch_errors, watch_group, watch_now
from shared.handlers.views.license_center import managed_groups
from tests.support.runs import LARGE as SUITE
from tests.support.runs import SMALL
from tests.support.watching import (
    ANN,
    BOB,
    CEM,
    DAN,
    INNER,
    OTHER,
    TEAM,
    a_world,
    guid,
    intent,
    rows,
    status,
    watched,
    work,
)
from tests.support.worlds import Fakes, fake_world


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


async def test_a_group_that_hides_its_members_keeps_its_rows_instead_of_reading_empty() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "CountViolation")
    await watched(fakes)
    before, read_at = await rows(fakes, TEAM), (await status(fakes, TEAM)).updated_at
    hide(fakes, TEAM)
    fakes.clock.move(timedelta(hours=1))
    await watched(fakes)
    assert (await rows(fakes, TEAM), (await status(fakes, TEAM)).updated_at) == (before, read_at)
    await watch_errors(fakes.world)
    await work(fakes)
    assert (await rows(fakes, TEAM), (await status(fakes, TEAM)).updated_at) == (before, read_at)
    await watch_group(fakes.world, WatchGroup(TEAM, fakes.clock.now(), members=(ANN,)))
    assert await rows(fakes, TEAM) == before


async def test_a_group_without_members_that_hides_none_is_read_as_empty() -> None:
    fakes = a_world()
    await watched(fakes)
    for each in (ANN, BOB):
        fakes.native.take(each, TEAM)
        fakes.directory.leave(TEAM, each)
    await watched(fakes)
    assert await rows(fakes, TEAM) == {}


async def test_a_group_with_hidden_membership_that_the_app_can_see_is_read_as_usual() -> None:
    fakes = a_world()
    await watched(fakes)
    group = fakes.directory.groups[TEAM]
    fakes.directory.groups[TEAM] = replace(group, hidden_membership=True)
    fakes.native.take(BOB, TEAM)
    fakes.directory.leave(TEAM, BOB)
    await watched(fakes)
    assert set(await rows(fakes, TEAM)) == {ANN}


async def test_the_time_of_a_group_is_not_that_of_a_run_that_could_not_read_one_of_its_members() -> None:
    fakes = a_world()
    fakes.native.give(BOB, TEAM, "CountViolation")
    await watched(fakes)
    read_at = (await status(fakes, TEAM)).updated_at
    fakes.native.give(BOB, TEAM)
    fakes.clock.move(timedelta(hours=1))
    fakes.directory.fail_read(BOB)
    await watch_errors(fakes.world)
    await work(fakes)
    assert (await rows(fakes, TEAM))[BOB].state is MemberState.ERROR
    assert (await status(fakes, TEAM)).updated_at == read_at
    fakes.clock.move(timedelta(hours=1))
    await watch_errors(fakes.world)
    await work(fakes)
    assert (await rows(fakes, TEAM))[BOB].state is MemberState.ACTIVE
    assert (await status(fakes, TEAM)).updated_at == fakes.clock.now()


def hide(fakes: Fakes, group_id: GroupId) -> None:
    """Hidden membership without Member.Read.Hidden: the group reads empty, and users do not show it."""
    members = fakes.directory.direct_members(group_id)
    fakes.directory.groups[group_id] = replace(fakes.directory.groups[group_id], hidden_membership=True)
    for each in members:
        fakes.directory.leave(group_id, each)


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
