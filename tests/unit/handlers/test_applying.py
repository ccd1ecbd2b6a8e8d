"""What becomes of answers to writes: refused, throttled, lost, changed by somebody else in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense, LicenseAssignmentState, LicenseError
from shared.domain.ids import UserId
from shared.domain.messages import MEMBERS, ProcessUsers
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from shared.ports.messaging import Outgoing
from tests.support.runs import EXTRA, LARGE, MIA, SMALL, TEAM, Run, user

INVALID_LOCATION = "License assignment cannot be done for user with invalid usage location."
OWN_PLAN_OF_LARGE = LARGE.service_plans[3].service_plan_id


def take_by_hand(run: Run, user_id: UserId) -> None:
    """An administrator takes all licenses away."""
    run.directory.change_user(replace(run.directory.truth(user_id), license_assignment_states=()))


def give_by_hand(run: Run, user_id: UserId) -> None:
    given = LicenseAssignmentState(SMALL.sku_id, last_updated=run.world.clock.now())
    run.directory.change_user(replace(run.directory.truth(user_id), license_assignment_states=(given,)))


async def errors(run: Run) -> dict[UserId, list[LicenseError]]:
    rows, _ = await run.world.stores.members.errors(TEAM, 50)
    return {row.user_id: [problem.error for problem in row.problems] for row in rows}


@pytest.mark.parametrize(
    "text",
    [
        f"License assignment failed because service plans {OWN_PLAN_OF_LARGE} are mutually exclusive",
        f"the service plan depends on the service plan {OWN_PLAN_OF_LARGE}",
        "Something nobody knows.",
    ],
)
async def test_whatever_graph_names_nobody_loses_what_was_to_be_replaced_and_calls_are_bounded(text: str) -> None:
    run = Run()
    refused, fine = run.people(2)
    await run.change([SMALL])
    calls = run.writer.calls_made
    run.writer.on_call = lambda user_id: run.writer.refuse(refused, text) if user_id == refused else None
    ended = await run.change([LARGE, EXTRA], [SMALL])
    assert "SMALL" in run.licenses(refused)
    assert run.licenses(fine) == {"LARGE", "EXTRA"}
    assert run.writer.calls_made - calls <= 6
    assert (ended.totals.failed, ended.totals.applied, ended.totals.remaining) == (1, 1, 0)


async def test_a_refusal_that_names_a_plan_leaves_the_rest_of_the_call() -> None:
    run = Run()
    refused, fine = run.people(2)
    await run.change([SMALL])
    run.writer.refuse(refused, f"service plans {OWN_PLAN_OF_LARGE} are mutually exclusive", times=2)
    await run.change([LARGE, EXTRA], [SMALL])
    assert run.licenses(refused) == {"SMALL", "EXTRA"}
    assert run.licenses(fine) == {"LARGE", "EXTRA"}


async def test_an_expected_shortage_keeps_the_old_license_and_waiting_ends_when_a_seat_is_free() -> None:
    run = Run()
    people = run.people(2)
    await run.change([SMALL])
    run.directory.add_sku(replace(LARGE, enabled=0))
    calls = run.writer.calls_made
    ended = await run.change([LARGE], [SMALL])
    assert run.writer.calls_made == calls
    assert [run.licenses(each) for each in people] == [{"SMALL"}, {"SMALL"}]
    assert (ended.totals.waiting, ended.totals.remaining) == (2, 0)
    run.directory.add_sku(replace(LARGE, enabled=1))
    await run.change(reprocess=True)
    assert sorted(map(sorted, map(run.licenses, people))) == [["LARGE"], ["SMALL"]]


async def test_a_location_we_set_that_graph_does_not_know_yet_is_tried_again() -> None:
    run = Run()
    slow, fine = run.people(2, location=None)
    run.writer.refuse(slow, INVALID_LOCATION, times=2)
    ended = await run.change([SMALL])
    assert (ended.totals.applied, run.licenses(slow), run.licenses(fine)) == (2, {"SMALL"}, {"SMALL"})


async def test_a_location_that_stays_invalid_ends_as_that_error_after_a_bounded_number_of_calls() -> None:
    run = Run()
    hopeless, fine = run.people(2, location=None)
    run.writer.refuse(hopeless, INVALID_LOCATION, times=50)
    ended = await run.change([SMALL])
    assert (ended.state, ended.totals.failed, ended.totals.applied) == (OperationState.COMPLETE, 1, 1)
    assert await errors(run) == {hopeless: [LicenseError.PROHIBITED_IN_USAGE_LOCATION]}
    assert run.licenses(fine) == {"SMALL"}
    assert run.writer.calls_made <= 10


async def test_a_location_that_was_there_before_and_is_refused_is_an_error_at_once() -> None:
    run = Run()
    odd, fine = run.people(2)
    run.writer.refuse(odd, INVALID_LOCATION, times=50)
    ended = await run.change([SMALL])
    assert (ended.totals.failed, ended.totals.applied, run.licenses(fine)) == (1, 1, {"SMALL"})
    assert await errors(run) == {odd: [LicenseError.PROHIBITED_IN_USAGE_LOCATION]}
    assert run.writer.calls_made == 2


async def test_a_location_that_is_required_and_missing_is_an_error_without_a_call() -> None:
    run = Run()
    nowhere = run.directory.add_user(user(1), location=None, groups=[TEAM])
    fine = run.directory.add_user(user(2), groups=[TEAM])
    options = AssignmentOptions(require_usage_location=True)
    change = LicenseChange((AssignedLicense(SMALL.sku_id),), (), options)
    ended = await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, change)))
    assert (ended.totals.failed, ended.totals.applied, run.licenses(fine)) == (1, 1, {"SMALL"})
    assert await errors(run) == {nowhere: [LicenseError.PROHIBITED_IN_USAGE_LOCATION]}
    assert [set(each) for each in run.writer.calls] == [{fine}]


async def test_the_assignments_location_goes_before_the_organizations() -> None:
    run = Run()
    nowhere, elsewhere = run.people(1, location=None)[0], run.directory.add_user(user(2), location="FR", groups=[TEAM])
    change = LicenseChange((AssignedLicense(SMALL.sku_id),), (), AssignmentOptions(usage_location="CH"))
    await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, change)))
    assert [run.directory.truth(each).usage_location for each in (nowhere, elsewhere)] == ["CH", "FR"]


async def test_a_permission_denied_for_the_location_fails_the_user_and_makes_no_license_call() -> None:
    run = Run()
    denied, fine = run.people(2, location=None)
    run.writer.refuse_location(denied, "Insufficient privileges to complete the operation.", times=9)
    ended = await run.change([SMALL])
    assert await errors(run) == {denied: [LicenseError.PERMISSION]}
    assert all(denied not in call for call in run.writer.calls)
    assert (ended.state, ended.totals.applied, ended.totals.failed) == (OperationState.COMPLETE, 1, 1)
    assert run.licenses(fine) == {"SMALL"}


async def test_a_refusal_is_tried_again_after_a_week_and_not_before() -> None:
    run = Run()
    refused, fine = run.people(2)
    text = "Another object with the same value for property proxyAddresses already exists."
    run.writer.refuse(refused, text, times=2)
    await run.change([SMALL])
    calls = run.writer.calls_made
    run.later(days=6)
    await run.look_at(refused, fine)
    assert run.writer.calls_made == calls
    run.later(days=2)
    await run.look_at(refused, fine, cause="event-2")
    assert run.writer.calls_made == calls + 1
    await run.look_at(refused, fine, cause="event-3")
    assert run.writer.calls_made == calls + 1
    run.later(days=8)
    await run.look_at(refused, fine, cause="event-4")
    assert run.licenses(refused) == {"SMALL"}


async def test_while_graph_throttles_nobody_writes_and_the_frozen_budget_is_everybodys() -> None:
    run = Run()
    people = run.people(45)
    times: list[datetime] = []
    run.writer.on_call = lambda _: times.append(run.world.clock.now())
    run.writer.throttle(people[0], 120.0)
    ended = await run.change([SMALL])
    first = min(times)
    together = sum(each == first for each in times)
    later = [each for each in times if each != first]
    assert together <= 20
    assert all((each - first).total_seconds() >= 120 for each in later)
    assert (ended.totals.applied, ended.totals.wrote) == (45, 45)
    assert all(run.writes_of(each) == 1 for each in people)


@pytest.mark.parametrize("told", ["lose_answer", "drop"])
async def test_an_event_during_an_unanswered_write_waits_for_it(told: str) -> None:
    run = Run()
    unlucky, other = run.people(2)
    getattr(run.writer, told)(unlucky)
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: run.writer.calls_made >= 2)
    body = ProcessUsers((unlucky, other), "event-1", bulk=False).encode()
    await run.world.queue.send([Outgoing(MEMBERS, body)])
    ended = await run.finish(operation)
    assert (ended.totals.applied, ended.totals.wrote) == (2, 2)
    assert (run.writes_of(unlucky), run.writes_of(other)) == (1, 1)
    row = (await run.world.stores.ledger.rows([unlucky]))[unlucky]
    assert row.intent is None
    assert SMALL.sku_id in row.owned


async def test_a_license_taken_by_hand_during_a_swap_counts_as_removed_and_the_new_one_is_given() -> None:
    run = Run()
    taken, fine = run.people(2)
    await run.change([SMALL])
    run.writer.on_call = lambda user_id: take_by_hand(run, taken) if not run.writes_of(taken) > 1 else None
    ended = await run.change([LARGE], [SMALL])
    assert (run.licenses(taken), run.licenses(fine)) == ({"LARGE"}, {"LARGE"})
    assert (ended.totals.applied, ended.totals.remaining) == (2, 0)


async def test_a_license_of_ours_that_was_taken_by_hand_and_given_again_is_not_ours_any_more() -> None:
    run = Run()
    taken, fine = run.people(2)
    await run.change([SMALL])
    run.later(hours=1)
    take_by_hand(run, taken)
    run.directory.leave(TEAM, taken)
    for number in range(2):
        await run.look_at(taken, fine, cause=f"event-{number}")
        run.later(minutes=20)
    give_by_hand(run, taken)
    for number in range(2, 4):
        await run.look_at(taken, fine, cause=f"event-{number}")
        run.later(minutes=20)
    assert (run.licenses(taken), run.licenses(fine)) == ({"SMALL"}, {"SMALL"})


async def test_who_was_refused_definitely_keeps_no_intent_and_what_is_given_by_hand_stays() -> None:
    run = Run()
    refused, fine = run.people(2)
    run.writer.refuse(refused, "Something nobody knows.", times=5)
    await run.change([SMALL])
    give_by_hand(run, refused)
    for each in (refused, fine):
        run.directory.leave(TEAM, each)
    for number in range(2):
        await run.look_at(refused, fine, cause=f"event-{number}")
        run.later(minutes=20)
    assert (run.licenses(refused), run.licenses(fine)) == ({"SMALL"}, set())
