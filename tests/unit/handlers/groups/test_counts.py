"""What pages and lists count of a group's members, after changes that no operation on the group has made."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.errors import Conflict
from shared.domain.group_status import SETTLED_AFTER, GroupState
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.domain.member_status import MemberState
from shared.domain.move import Direction, MovePhase
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.groups.status import publish_counts
from shared.handlers.maintenance.open_items import count_open_items
from shared.handlers.maintenance.person import erase_person
from shared.handlers.membership.nightly_sync import PARTITIONS, sweep
from shared.handlers.membership.watching import watch_errors
from shared.handlers.operations.accept import accept
from shared.handlers.reconcile.seats import assign_freed_licenses
from shared.handlers.views import license_center, queries
from tests.support.moving import MovingRun
from tests.support.native_runs import NativeRun
from tests.support.runs import EXTRA, LARGE, MIA, OTHER_TEAM, SMALL, TEAM, Run, user


async def publish(run: Run) -> None:
    """The timer runs; a minute goes by before it."""
    run.later(minutes=1)
    await publish_counts(run.world)
    await count_open_items(run.world)


async def counts_of_page(run: Run) -> dict[str, int]:
    return dict((await queries.group_status(run.world, TEAM)).status.counts)


async def of_list(run: Run) -> license_center.ManagedGroup:
    return next(each for each in await license_center.managed_groups(run.world) if each.assignment.group_id == TEAM)


async def some_wait(run: Run, members: int, licenses: int) -> list[UserId]:
    """The team is licensed, and there are fewer licenses than members."""
    people = run.people(members)
    run.directory.add_sku(replace(SMALL, enabled=licenses))
    await run.change([SMALL, EXTRA])
    return people


async def test_counts_follow_when_purchased_licenses_are_assigned() -> None:
    run = Run()
    await some_wait(run, 6, 2)
    assert await counts_of_page(run) == {"Active": 2, "Waiting": 4}
    run.directory.add_sku(replace(SMALL, enabled=5))
    await assign_freed_licenses(run.world)
    await run.work_off()
    assert await counts_of_page(run) == {"Active": 5, "Waiting": 1}
    await publish(run)
    rows, _ = await queries.members(run.world, TEAM, 99, None, MemberState.WAITING)
    assert len(rows) == (await of_list(run)).status.counts["Waiting"] == 1


async def test_a_new_member_who_fails_changes_the_state_of_the_group() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    await publish(run)
    assert (await of_list(run)).status.state is GroupState.ALL_ASSIGNED
    late = run.directory.add_user(user(7), groups=[TEAM])
    run.writer.reject(late, "Another object with the same value for property proxyAddresses already exists.")
    await run.reconcile(late)
    view = await queries.group_status(run.world, TEAM)
    assert (view.status.state, view.status.counts) == (GroupState.ERRORS, {"Active": 2, "Error": 1})
    await publish(run)
    found = (await of_list(run)).status
    assert (found.state, found.with_errors, found.shown_members) == (GroupState.ERRORS, 1, 3)
    # And back, when the cause is gone.
    await run.change(reprocess=True)
    await publish(run)
    assert (await of_list(run)).status.state is GroupState.ALL_ASSIGNED


async def test_each_product_is_counted_in_its_groups_and_over_all_groups() -> None:
    run = Run()
    await some_wait(run, 5, 3)
    status = (await queries.group_status(run.world, TEAM)).status
    assert (status.of_product(SMALL.sku_id).assigned, status.of_product(SMALL.sku_id).waiting) == (3, 2)
    assert (status.of_product(EXTRA.sku_id).assigned, status.of_product(EXTRA.sku_id).waiting) == (5, 0)
    late = run.directory.add_user(user(9), groups=[TEAM])
    await run.reconcile(late)
    await publish(run)
    products = {view.sku.sku_id: view.counts for view in await license_center.products(run.world)}
    assert (products[SMALL.sku_id].assigned, products[SMALL.sku_id].waiting) == (3, 3)
    assert products[EXTRA.sku_id].assigned == 6


async def test_a_member_who_left_is_counted_no_longer() -> None:
    run = Run()
    people = run.people(3)
    await run.change([SMALL])
    run.directory.leave(TEAM, people[0])
    await run.reconcile(people[0])
    await publish(run)
    found = (await of_list(run)).status
    assert (found.shown_members, found.counts) == (2, {"Active": 2, "Removed": 1})
    assert found.members == 3, "the allowance counts by the size that was read"


async def test_a_failed_operation_stays_visible_until_another_one_ends() -> None:
    run = Run()
    people = run.people(2)
    await run.change([SMALL])
    operation = await run.ask([EXTRA])
    run.directory.remove_group(TEAM)
    await run.finish(operation)
    await run.reconcile(*people)
    await publish(run)
    assert (await of_list(run)).status.state is GroupState.ERRORS


async def test_an_operation_that_is_not_over_stays_in_progress() -> None:
    run = Run()
    people = run.people(3)
    await run.change([SMALL])
    await run.ask([EXTRA])
    await run.work_off(lambda: any(run.licenses(each) == {"SMALL", "EXTRA"} for each in people))
    await publish(run)
    found = (await of_list(run)).status
    assert (found.state, sum(found.counts.values())) == (GroupState.IN_PROGRESS, 3)


async def test_counts_are_published_until_the_change_is_surely_written() -> None:
    run = Run()
    run.people(1)
    await run.change([SMALL])
    assert [await publish_counts(run.world) for _ in range(2)] == [1, 1]
    run.fakes.clock.move(SETTLED_AFTER)
    run.later(seconds=1)
    assert [await publish_counts(run.world) for _ in range(2)] == [1, 0]
    await run.reconcile(run.directory.add_user(user(5), groups=[TEAM]))
    assert await publish_counts(run.world) == 1


async def test_an_erased_person_is_counted_no_longer() -> None:
    run = Run()
    people = run.people(2)
    await run.change([SMALL])
    await erase_person(run.world, people[0], Initiator("mia", "Mia"))
    assert await counts_of_page(run) == {"Active": 1}


async def test_the_nightly_sync_corrects_counts_of_each_group() -> None:
    run = Run()
    run.people(2)
    run.directory.add_user(user(3), groups=[OTHER_TEAM])
    await run.change([SMALL])
    for number in (1, 2):
        await run.fakes.tables.delete("members", TEAM, f"m-{user(number)}")
    assert await counts_of_page(run) == {"Active": 2}
    for partition in PARTITIONS:
        await sweep(run.world, partition, run.world.clock.now())
    assert await counts_of_page(run) == {}


async def test_a_status_that_others_change_all_the_time_ends_in_a_conflict() -> None:
    run = Run()
    run.people(1)
    await run.change([SMALL])
    await run.reconcile(run.directory.add_user(user(5), groups=[TEAM]))
    run.fakes.tables.contested.add("groupstatus")
    with pytest.raises(Conflict):
        await publish(run)


async def published_are_right(run: Run) -> dict[str, int]:
    """The counts that lists show, which must be those of the rows."""
    await publish(run)
    shown = await of_list(run)
    states = await run.world.stores.members.states(TEAM)
    counted = {str(state): number for state, number in Counter(states.values()).items()}
    assert dict(shown.status.counts) == counted
    rows = [row for row in (await queries.members(run.world, TEAM, 999, None))[0]]
    for sku in (SMALL, LARGE, EXTRA):
        assigned = sum(sku.sku_id in row.sku_ids and row.state is not MemberState.REMOVED for row in rows)
        assert shown.status.of_product(sku.sku_id).assigned == assigned, sku.sku_part_number
    return counted


async def test_members_of_a_natively_licensed_group_are_counted_after_a_change_by_the_app() -> None:
    run = await NativeRun.of(4)
    assert await published_are_right(run) == {"Active": 4}
    run.stock(LARGE, available=4)
    await run.finish(await run.ask_for(AssignedLicense(LARGE.sku_id)))
    assert await published_are_right(run) == {"Active": 4}
    assert (await of_list(run)).status.of_product(LARGE.sku_id).assigned == 4


async def test_members_are_counted_when_their_group_is_no_longer_managed() -> None:
    run = Run()
    people = run.people(5)
    await run.change([SMALL])
    assert await published_are_right(run) == {"Active": 5}
    change = LicenseChange(remove=(SMALL.sku_id,), keep=True)
    await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, change)))
    await run.reconcile(*people, cause="later")
    await published_are_right(run)


async def test_members_are_counted_at_each_step_of_a_move() -> None:
    run = MovingRun()
    people = run.native_group(8, broken=2)
    await watch_errors(run.world)
    await run.work_off()
    assert sum((await published_are_right(run)).values()) == 8
    for direction in (Direction.TO_DIRECT, Direction.TO_NATIVE):
        await run.begin(direction)
        move = await run.complete()
        assert move.phase is MovePhase.DONE
        await run.reconcile(*people, cause=f"after-{direction}")
        assert sum((await published_are_right(run)).values()) == 8
