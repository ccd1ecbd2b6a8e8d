"""Waiting for a seat on whole operations: in order, whoever comes in between, and after crashes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.tables.rows import Op
from shared.adapters.tables.stores import table_stores
from shared.domain.directory import LicenseAssignmentState, SubscribedSku
from shared.domain.ids import SkuId, UserId
from shared.handlers.operations import control
from shared.handlers.reconcile.seats import ORPHANED_AFTER, assign_freed_licenses
from shared.ports.stores import InLine
from tests.support.fakes_directory import FakeDirectory
from tests.support.runs import MIA, OTHER_TEAM, SMALL, TEAM, Run, user
from tests.support.worlds import MemoryTables, fake_world


def seats(run: Run, enabled: int) -> None:
    run.directory.add_sku(replace(SMALL, enabled=enabled))


async def line(run: Run, sku_id: SkuId = SMALL.sku_id) -> list[UserId]:
    return [entry.user_id for entry in await run.world.stores.waiting.first(sku_id, 100)]


async def waiting_run() -> tuple[Run, list[UserId]]:
    """Two have the license; three wait, each a minute longer than the next, in an order that is not that of ids."""
    run = Run()
    run.people(2)
    seats(run, 2)
    await run.change([SMALL])
    waiting = []
    for number in (9, 5, 7):
        waiting.append(run.directory.add_user(user(number), groups=[TEAM]))
        await run.reconcile(waiting[-1], cause=f"joined-{number}")
        run.later(minutes=1)
    assert await line(run) == waiting
    return run, waiting


async def give(run: Run) -> int:
    called = await assign_freed_licenses(run.world)
    await run.work_off()
    return called


async def test_free_seats_go_to_the_longest_wait_without_anyone_asking() -> None:
    run, (first, second, third) = await waiting_run()
    assert await give(run) == 0
    seats(run, 3)
    assert await give(run) == 1
    assert [bool(run.licenses(each)) for each in (first, second, third)] == [True, False, False]
    assert await line(run) == [second, third]
    seats(run, 5)
    await give(run)
    assert await line(run) == []
    assert all(run.licenses(each) for each in (second, third))
    seats(run, 6)
    assert await give(run) == 0
    assert await run.world.stores.waiting.lines(0.0) == frozenset()


async def test_a_newcomer_does_not_pass_those_who_wait_and_is_served_at_once_when_nobody_does() -> None:
    run, (first, second, third) = await waiting_run()
    seats(run, 4)
    run.later(minutes=1)
    newcomer = run.directory.add_user(user(3), groups=[TEAM])
    await run.reconcile(newcomer, third, second, first, cause="event")
    served = [bool(run.licenses(each)) for each in (first, second, third, newcomer)]
    assert served == [True, True, False, False]
    assert await line(run) == [third, newcomer]
    seats(run, 10)
    run.later(minutes=1)
    await give(run)
    late = run.directory.add_user(user(4), groups=[TEAM])
    await run.reconcile(late, cause="late")
    assert run.licenses(late) == {"SMALL"}


async def test_a_throttled_seat_is_not_lost_to_the_next_in_line() -> None:
    run, (first, second, _) = await waiting_run()
    seats(run, 3)
    run.writer.throttle(first, 20.0)
    await give(run)
    assert (run.licenses(first), run.licenses(second)) == ({"SMALL"}, set())


async def test_looking_again_neither_moves_a_user_back_nor_puts_him_in_line_twice() -> None:
    run, waiting = await waiting_run()
    for number in range(3):
        await run.reconcile(*reversed(waiting), cause=f"again-{number}")
        run.later(minutes=1)
    await run.change(reprocess=True)
    assert await line(run) == waiting


async def test_who_leaves_or_is_deleted_leaves_the_line() -> None:
    run, (first, second, third) = await waiting_run()
    run.directory.leave(TEAM, first)
    run.directory.delete_user(second)
    seats(run, 3)
    for _ in range(3):
        await give(run)
        run.later(minutes=5)
    assert await line(run) == []
    assert run.licenses(third) == {"SMALL"}


async def test_a_place_left_over_from_a_crash_does_not_hold_up_the_line() -> None:
    run, (first, *_) = await waiting_run()
    orphaned = InLine(SMALL.sku_id, user(1), run.world.clock.now() - timedelta(days=1))
    young = InLine(SMALL.sku_id, user(2), run.world.clock.now() - timedelta(minutes=5))
    await run.world.stores.waiting.join([orphaned, young])
    seats(run, 3)
    await give(run)
    assert orphaned.user_id not in await line(run)
    assert young.user_id in await line(run)
    run.later(seconds=ORPHANED_AFTER.total_seconds())
    await give(run)
    await give(run)
    assert young.user_id not in await line(run)
    assert run.licenses(first) == {"SMALL"}
    assert orphaned.user_id not in await line(run)


async def test_a_paused_group_is_given_no_seats_until_it_goes_on_or_another_group_asks() -> None:
    run, (first, *_) = await waiting_run()
    operation = await run.ask(reprocess=True)
    await control.pause(run.world, operation.id, MIA)
    seats(run, 3)
    assert await give(run) == 0
    await control.resume(run.world, operation.id, MIA)
    await run.work_off()
    assert run.licenses(first) == {"SMALL"}


@pytest.mark.parametrize("reads", [1, 2])
async def test_a_user_with_the_license_from_elsewhere_needs_no_seat_and_joins_no_line(reads: int) -> None:
    run, waiting = await waiting_run()
    owner = run.directory.add_user(user(20), groups=[OTHER_TEAM])
    run.directory.join(TEAM, owner)
    inherited = LicenseAssignmentState(SMALL.sku_id, frozenset(), assigned_by_group=OTHER_TEAM)
    run.directory.change_user(replace(run.directory.truth(owner), license_assignment_states=(inherited,)))
    for number in range(reads):
        await run.reconcile(owner, cause=f"look-{number}")
    assert run.licenses(owner) == {"SMALL"}
    assert await line(run) == waiting


class RememberedSeats(FakeDirectory):
    """Seat counts of an earlier moment, given to whoever takes an answer that is some seconds old."""

    remembered: tuple[SubscribedSku, ...] | None = None

    async def subscribed_skus(self, max_age_s: float = 30.0) -> tuple[SubscribedSku, ...]:
        if self.remembered is not None and max_age_s > 0:
            return self.remembered
        return await super().subscribed_skus(max_age_s)


async def test_a_remembered_seat_count_lets_nobody_pass_those_who_wait_longer() -> None:
    """Two licenses were available when they were counted. The first two in line have taken them, and one more was
    bought: it is the third's, although the fourth is looked at first."""
    directory = RememberedSeats()
    fakes = fake_world()
    directory.now = fakes.clock.now
    world = replace(fakes.world, directory=directory, licenses=replace(fakes.world.licenses, directory=directory))  # type: ignore[type-var]
    run = Run(replace(fakes, world=world, directory=directory))
    waiting = await fill_line(run, 4)
    seats(run, 4)
    counted = await directory.subscribed_skus(0.0)
    await run.reconcile(*waiting[:2], cause="another process")
    assert await line(run) == waiting[2:]
    seats(run, 5)
    directory.remembered = counted
    await run.reconcile(waiting[3], cause="for another reason")
    assert [run.licenses(each) for each in waiting[2:]] == [set(), set()]
    await run.reconcile(waiting[2], cause="for another reason too")
    assert [run.licenses(each) for each in waiting[2:]] == [{"SMALL"}, set()]


async def fill_line(run: Run, count: int) -> list[UserId]:
    """Two have the license; `count` wait, each a minute longer than the next."""
    run.people(2)
    seats(run, 2)
    await run.change([SMALL])
    waiting = []
    for number in range(count):
        waiting.append(run.directory.add_user(user(20 - number), groups=[TEAM]))
        await run.reconcile(waiting[-1], cause=f"joined-{number}")
        run.later(minutes=1)
    assert await line(run) == waiting
    return waiting


class InterruptedTables(MemoryTables):
    """Something happens just before rows of the ledger are written."""

    def __init__(self) -> None:
        super().__init__()
        self.before_ledger: Callable[[], Awaitable[object]] | None = None

    async def transact(self, name: str, ops: Sequence[Op]) -> list[str]:
        interruption = self.before_ledger
        if name == "ledger" and interruption is not None:
            self.before_ledger = None
            await interruption()
        return await super().transact(name, ops)


async def test_seats_given_while_a_user_is_just_joining_the_line_do_not_take_the_user_out_of_it() -> None:
    fakes, tables = fake_world(), InterruptedTables()
    stores = table_stores(tables, monotonic=lambda: fakes.clock.now().timestamp())
    run = Run(replace(fakes, world=replace(fakes.world, stores=stores), tables=tables))
    (first,) = await fill_line(run, 1)
    joins = run.directory.add_user(user(30), groups=[TEAM])

    async def bought_and_given() -> None:
        seats(run, 5)
        await assign_freed_licenses(run.world)

    tables.before_ledger = bought_and_given
    await run.reconcile(joins, cause="joins")
    run.later(minutes=1)
    await give(run)
    assert [run.licenses(each) for each in (first, joins)] == [{"SMALL"}, {"SMALL"}]
    assert await line(run) == []
