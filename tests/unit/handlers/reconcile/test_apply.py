"""What happens after Graph answers a write: rejected, throttled, lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from shared.domain.ids import UserId
from shared.domain.messages import MEMBERS, ProcessUsers
from shared.domain.write_results import LicenseCall, WriteResult
from shared.handlers.operations.members_queue import Members
from shared.ports.graph_writes import LicenseWriter
from shared.ports.messaging import Outgoing
from tests.support.runs import EXTRA, LARGE, SMALL, Run

OWN_PLAN_OF_LARGE = LARGE.service_plans[3].service_plan_id


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
    rejected, fine = run.people(2)
    await run.change([SMALL])
    calls = run.writer.calls_made
    run.writer.on_call = lambda user_id: run.writer.reject(rejected, text) if user_id == rejected else None
    ended = await run.change([LARGE, EXTRA], [SMALL])
    assert "SMALL" in run.licenses(rejected)
    assert run.licenses(fine) == {"LARGE", "EXTRA"}
    assert run.writer.calls_made - calls <= 6
    assert (ended.totals.failed, ended.totals.applied, ended.totals.remaining) == (1, 1, 0)


async def test_a_rejection_that_names_a_plan_leaves_the_rest_of_the_call() -> None:
    run = Run()
    rejected, fine = run.people(2)
    await run.change([SMALL])
    run.writer.reject(rejected, f"service plans {OWN_PLAN_OF_LARGE} are mutually exclusive", times=2)
    await run.change([LARGE, EXTRA], [SMALL])
    assert run.licenses(rejected) == {"SMALL", "EXTRA"}
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


async def test_a_rejection_is_tried_again_after_a_week_and_not_before() -> None:
    run = Run()
    rejected, fine = run.people(2)
    text = "Another object with the same value for property proxyAddresses already exists."
    run.writer.reject(rejected, text, times=2)
    await run.change([SMALL])
    calls = run.writer.calls_made
    run.later(days=6)
    await run.reconcile(rejected, fine)
    assert run.writer.calls_made == calls
    run.later(days=2)
    await run.reconcile(rejected, fine, cause="event-2")
    assert run.writer.calls_made == calls + 1
    await run.reconcile(rejected, fine, cause="event-3")
    assert run.writer.calls_made == calls + 1
    run.later(days=8)
    await run.reconcile(rejected, fine, cause="event-4")
    assert run.licenses(rejected) == {"SMALL"}


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


@pytest.mark.parametrize("observed", ["lose_answer", "drop"])
async def test_an_event_during_an_unanswered_write_waits_for_it(observed: str) -> None:
    run = Run()
    unlucky, other = run.people(2)
    getattr(run.writer, observed)(unlucky)
    operation = await run.ask([SMALL])
    await run.work_off(until=lambda: run.writer.calls_made >= 2)
    body = ProcessUsers((unlucky, other), "event-1", bulk=False).encode()
    await run.world.queue.send([Outgoing(MEMBERS, body)])
    ended = await run.finish(operation)
    assert (ended.totals.applied, ended.totals.wrote) == (2, 2)
    assert (run.writes_of(unlucky), run.writes_of(other)) == (1, 1)
    row = (await run.world.stores.ledger.rows([unlucky]))[unlucky]
    assert row.intent is None
    assert SMALL.sku_id in row.managed


@dataclass
class SlowWriter:
    """Takes a minute and a half for every call, and rejects the first ones so that more are made."""

    run: Run
    writer: LicenseWriter
    calls: int = 0

    async def assign(self, calls: Mapping[UserId, LicenseCall], *, urgent: bool) -> Mapping[UserId, WriteResult]:
        self.calls += 1
        self.run.later(seconds=90)
        return await self.writer.assign(calls, urgent=urgent)

    async def set_usage_locations(
        self, locations: Mapping[UserId, str], *, urgent: bool
    ) -> Mapping[UserId, WriteResult]:
        return await self.writer.set_usage_locations(locations, urgent=urgent)


async def test_a_chunk_whose_calls_are_slow_gives_its_users_back_before_its_lock_ends() -> None:
    run = Run()
    slow_one, other = run.people(2)
    for each in (slow_one, other):
        run.writer.reject(each, "a text that names nothing", times=6)
    slow = SlowWriter(run, run.world.licenses)
    run.world = replace(run.world, licenses=slow)
    spent: list[timedelta] = []
    deliver = run.deliver

    async def timed(message: Outgoing) -> None:
        began = run.world.clock.now()
        await deliver(message)
        spent.append(run.world.clock.now() - began)

    run.deliver = timed  # type: ignore[method-assign]
    run.workers = [Members(run.world), Members(run.world)]
    await run.change([SMALL, LARGE, EXTRA])
    assert slow.calls > 2
    assert max(spent) < timedelta(minutes=5)


@pytest.mark.parametrize("urgent", [True, False])
async def test_concurrency_rejections_are_pacing_and_no_person_ends_in_error(urgent: bool) -> None:
    """Half of all license writes are rejected for 40 s."""
    run = Run()
    people = run.people(30)
    until = run.world.clock.now() + timedelta(seconds=40)

    def contend(user_id: UserId) -> None:
        if run.world.clock.now() < until and people.index(user_id) % 2:
            run.writer.contend(user_id)

    run.writer.on_call = contend
    if urgent:
        await run.change([SMALL])
    else:
        await run.change([SMALL, EXTRA])
    assert all("SMALL" in run.licenses(each) for each in people)
    assert all(run.writes_of(each) == 1 for each in people)


async def test_more_than_eight_concurrency_rejections_count_as_no_attempt() -> None:
    run = Run()
    one, two = run.people(2)
    run.writer.contend(one, times=20)
    run.writer.contend(two, times=20)
    ended = await run.change([SMALL])
    assert (ended.totals.applied, ended.totals.failed) == (2, 0)


async def test_a_single_user_rejected_as_concurrent_for_a_day_is_an_error_of_that_user() -> None:
    run = Run(most_messages=40_000)
    stuck, fine = run.people(2)
    began = run.world.clock.now()
    run.writer.contend(stuck, times=100_000)
    ended = await run.change([SMALL])
    assert (ended.totals.applied, ended.totals.failed) == (1, 1)
    assert run.world.clock.now() - began > timedelta(hours=24)
    assert run.licenses(fine) == {"SMALL"}


async def test_a_write_that_was_done_although_it_was_rejected_as_concurrent_is_managed() -> None:
    run = Run()
    odd, fine = run.people(2)
    run.writer.contend(odd, done=True)
    await run.change([SMALL])
    rows = await run.world.stores.ledger.rows([odd, fine])
    assert all(SMALL.sku_id in rows[each].managed for each in (odd, fine))
    assert run.writes_of(odd) == 1
