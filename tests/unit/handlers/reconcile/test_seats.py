"""Waiting for a seat on whole operations: in order, whoever comes in between, and after crashes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import LicenseAssignmentState
from shared.domain.ids import SkuId, UserId
from shared.handlers.operations import control
from shared.handlers.reconcile.seats import give_seats
from shared.ports.stores import InLine
from tests.support.runs import MIA, OTHER_TEAM, SMALL, TEAM, Run, user


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
        await run.look_at(waiting[-1], cause=f"joined-{number}")
        run.later(minutes=1)
    assert await line(run) == waiting
    return run, waiting


async def give(run: Run) -> int:
    called = await give_seats(run.world)
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
    await run.look_at(newcomer, third, second, first, cause="event")
    served = [bool(run.licenses(each)) for each in (first, second, third, newcomer)]
    assert served == [True, True, False, False]
    assert await line(run) == [third, newcomer]
    seats(run, 10)
    run.later(minutes=1)
    await give(run)
    late = run.directory.add_user(user(4), groups=[TEAM])
    await run.look_at(late, cause="late")
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
        await run.look_at(*reversed(waiting), cause=f"again-{number}")
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
    stray = InLine(SMALL.sku_id, user(1), run.world.clock.now() - timedelta(days=1))
    await run.world.stores.waiting.join([stray])
    seats(run, 3)
    await give(run)
    await give(run)
    assert run.licenses(first) == {"SMALL"}
    assert stray.user_id not in await line(run)


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
        await run.look_at(owner, cause=f"look-{number}")
    assert run.licenses(owner) == {"SMALL"}
    assert await line(run) == waiting
