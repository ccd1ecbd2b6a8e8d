"""What a person should know is told, each thing once a look, and nothing is told where all is well."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from shared.domain.move import Direction
from shared.domain.operation import OperationState
from shared.handlers.maintenance.alerts import DECIDED_WITHIN, SUBSCRIPTION_LEFT, WATCHED_WITHIN, check_alerts
from shared.handlers.membership.delta import query_deltas
from shared.handlers.membership.subscription import LIFE, renew_subscription
from shared.handlers.membership.watching import watch_all, watch_errors
from shared.handlers.operations import approvals
from tests.support.moving import MovingRun
from tests.support.runs import EXTRA, NOA, SMALL, TEAM, Run, user

MINUTE = timedelta(minutes=1)


async def watched() -> Run:
    """A managed group whose changes are told and read."""
    run = Run()
    run.people(40)
    await run.change([SMALL])
    await renew_subscription(run.world)
    await query_deltas(run.world)
    await run.work_off()
    return run


async def test_where_all_is_well_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert await check_alerts((await watched()).world) == ()
    assert await check_alerts(Run().world) == ()
    assert caplog.records == []


async def test_a_subscription_that_nobody_renews_is_told_of_ten_days_before_it_ends() -> None:
    run = await watched()
    run.fakes.clock.move(LIFE - SUBSCRIPTION_LEFT - MINUTE)
    assert not [text for text in await check_alerts(run.world) if "subscription" in text]
    run.fakes.clock.move(2 * MINUTE)
    (observed, *_) = await check_alerts(run.world)
    assert observed.startswith("the subscription to changes is about to expire: it ends on ")
    await renew_subscription(run.world)
    assert not [text for text in await check_alerts(run.world) if "subscription" in text]


async def test_a_subscription_that_was_never_made_is_told_of_after_an_hour_and_not_where_none_is_wanted() -> None:
    run = Run()
    run.people(2)
    await run.change([SMALL])
    assert await check_alerts(run.world) == ()
    run.later(hours=2)
    assert await check_alerts(run.world) == ("the subscription to changes is about to expire: there is none",)
    without = replace(run.world, policy=replace(run.world.policy, public_url=""))
    assert await check_alerts(without) == ()


async def test_deltas_that_stopped_are_told_of() -> None:
    run = await watched()
    run.later(minutes=61)
    assert [text[:39] for text in await check_alerts(run.world)] == ["changes of groups have not been read si"]
    await query_deltas(run.world)
    await run.work_off()
    assert await check_alerts(run.world) == ()


async def test_delta_links_that_graph_always_rejects_are_reported_with_its_answer() -> None:
    run = await watched()
    run.fakes.changes.rejects = lambda link: ":all:" not in link
    for _ in range(12):
        run.later(minutes=5)
        await query_deltas(run.world)
        await run.work_off()
    (observed,) = [
        text for text in await check_alerts(run.world) if "changes of groups have not been read since" in text
    ]
    assert "Graph rejected 4 delta links in a row: 404 UnknownError" in observed


async def test_an_approval_that_nobody_decides_is_told_of_after_three_days() -> None:
    run = await watched()
    waiting = await run.finish(await run.ask(remove=[SMALL]), approve=False)
    assert waiting.state is OperationState.AWAITING_APPROVAL
    run.fakes.clock.move(DECIDED_WITHIN + MINUTE)
    observed = f"approvals wait for a person: 1 for over 3 days, the oldest is {waiting.id}"
    assert observed in await check_alerts(run.world)
    await approvals.approve(run.world, waiting.id, waiting.checksum, NOA)
    assert not [text for text in await check_alerts(run.world) if "approvals" in text]


async def test_a_move_that_waits_for_a_person_is_reported_after_three_days_until_it_goes_on() -> None:
    run = MovingRun()
    run.native_group(3)
    await run.begin(Direction.TO_DIRECT)
    await run.act("pause")
    assert not [text for text in await check_alerts(run.world) if "moves wait" in text]
    run.later(days=3, minutes=1)
    observed = f"moves wait for a person: 1 for over 3 days, the oldest is of group {TEAM}"
    assert observed in await check_alerts(run.world)
    await run.act("resume")
    run.later(days=3, minutes=1)
    assert not [text for text in await check_alerts(run.world) if "moves wait" in text]


@pytest.mark.parametrize(("seats", "observed"), [(45, "5 of 45"), (46, ""), (40, "0 of 40")])
async def test_few_seats_of_a_product_that_a_group_gives_are_told_of(seats: int, observed: str) -> None:
    run = await watched()
    run.directory.add_sku(replace(SMALL, enabled=seats))
    run.directory.add_sku(replace(EXTRA, enabled=1))
    assert await check_alerts(run.world) == ((f"seats are low: SMALL has {observed} left",) if observed else ())


async def test_members_in_error_of_natively_licensed_groups_and_groups_that_are_not_read_are_reported() -> None:
    run = await watched()
    run.directory.add_user(user(80))
    run.directory.add_user(user(81))
    group = run.fakes.native.license(str(UUID(int=77)), SMALL.sku_id, members=[user(80), user(81)])
    await watch_all(run.world)
    await run.work_off()
    assert await check_alerts(run.world) == ()
    run.fakes.native.give(user(80), group, "CountViolation")
    await watch_errors(run.world)
    await run.work_off()
    assert await check_alerts(run.world) == ("watched groups have errors: members=1 groups=1",)
    began = run.world.clock.now()
    run.fakes.clock.move(WATCHED_WITHIN + MINUTE)
    said = f"watched groups are not read: the oldest reading is of {began:%Y-%m-%d %H:%M}"
    assert said in await check_alerts(run.world)


async def test_what_cannot_be_read_now_keeps_nothing_else_from_being_told() -> None:
    run = await watched()
    run.later(minutes=61)
    run.directory.add_sku(replace(SMALL, enabled=40))
    assert len(await check_alerts(run.world)) == 2
    run.directory.go_away()
    assert [text[:7] for text in await check_alerts(run.world)] == ["changes"]


@pytest.mark.parametrize(("seconds", "said"), [(45, "45 s ahead of"), (-3600, "3,600 s behind")])
async def test_a_clock_that_differs_from_graphs_is_told_of_with_what_to_do(seconds: int, said: str) -> None:
    run = await watched()
    run.fakes.clock.is_ahead = timedelta(seconds=seconds)
    (observed,) = await check_alerts(run.world)
    assert observed.startswith(f"the clock is wrong: it is {said} Microsoft Graph's. ")
    assert "Restart the app" in observed
    run.fakes.clock.is_ahead = timedelta(seconds=20)
    assert await check_alerts(run.world) == ()
