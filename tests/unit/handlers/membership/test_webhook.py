"""The webhook: handshake, secrets, limits, what is queued, and what is answered when it cannot be."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from shared.adapters.tables.subscriptions import COUNT_EVERY_S
from shared.domain.change_messages import GroupsChanged, LifecycleHappened, decode_change
from shared.domain.membership_changes import LifecycleEvent
from shared.domain.messages import NOTIFICATIONS
from shared.handlers.membership import webhook
from shared.handlers.membership.webhook import MAX_BODY, MAX_TOKEN, receive
from shared.handlers.views import queries
from tests.support.notifications import subscribed
from tests.support.runs import OTHER_TEAM, TEAM, Run, user

STRANGER = str(UUID(int=999))


async def post(run: Run, *notifications: object) -> int:
    return (await receive(run.world, json.dumps({"value": list(notifications)}).encode(), None)).status


def queued(run: Run) -> list[object]:
    return [decode_change(each.body) for each in run.fakes.queue.messages if each.queue == NOTIFICATIONS]


async def rejected(run: Run) -> int:
    return await run.world.stores.subscriptions.rejected(run.world.clock.now().date().isoformat())


async def test_the_handshake_is_answered_with_the_token_itself() -> None:
    run = Run()
    token = "Validation: Testing <b>&amp; \u00e4"
    assert (await receive(run.world, b"", token)) == (await receive(run.world, b"not json", token))
    assert (await receive(run.world, b"", token)).body == token
    assert (await receive(run.world, b"", "x" * (MAX_TOKEN + 1))).status == 400


async def test_a_notification_of_our_subscription_is_queued_with_what_it_says() -> None:
    run, observed = await subscribed()
    assert await post(run, observed) == 202
    (message,) = queued(run)
    assert isinstance(message, GroupsChanged)
    assert [(each.group_id, dict(each.members)) for each in message.changes] == [
        (TEAM, {user(7): True, user(1): False})
    ]
    assert await rejected(run) == 0


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    "forge",
    [
        lambda observed: {**observed, "clientState": "guess"},
        lambda observed: {**observed, "subscriptionId": "sub-99"},
        lambda observed: {**observed, "tenantId": STRANGER},
        lambda observed: {key: value for key, value in observed.items() if key != "clientState"},
        lambda observed: {**observed, "resourceData": {"id": "../../users"}},
    ],
)
async def test_a_forged_or_broken_one_changes_nothing_and_is_counted_and_the_good_one_beside_it_counts(
    forge: Change,
) -> None:
    run, observed = await subscribed()
    assert await post(run, forge(observed)) == 202
    assert (queued(run), await rejected(run)) == ([], 1)
    run.later(seconds=COUNT_EVERY_S)
    assert await post(run, observed, forge(observed)) == 202
    assert (len(queued(run)), await rejected(run)) == (1, 2)


async def test_of_many_forged_ones_each_is_counted_in_few_writes() -> None:
    run, observed = await subscribed()
    writes = run.fakes.tables.writes
    await asyncio.gather(*(post(run, {**observed, "clientState": "guess"}) for _ in range(200)))
    assert run.fakes.tables.writes - writes == 1
    assert await rejected(run) == 1
    run.later(seconds=COUNT_EVERY_S)
    await post(run, {**observed, "clientState": "guess"}, {**observed, "tenantId": STRANGER})
    assert run.fakes.tables.writes - writes == 2
    assert await rejected(run) == 202


async def test_counts_that_lose_their_race_are_written_later() -> None:
    run, observed = await subscribed()
    run.fakes.tables.contested.add("graphsubscriptions")
    assert await post(run, {**observed, "clientState": "guess"}) == 202
    run.fakes.tables.contested.clear()
    run.later(seconds=COUNT_EVERY_S)
    assert await post(run, {**observed, "clientState": "guess"}) == 202
    assert await rejected(run) == 2


@pytest.mark.parametrize("hanging", ["queue", "tables"])
async def test_what_hangs_is_answered_503_before_graph_gives_up(
    hanging: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Graph waits 10 s for an answer (learn.microsoft.com/graph/change-notifications-delivery-webhooks)."""
    assert webhook.ANSWER_WITHIN_S <= 5.0
    monkeypatch.setattr(webhook, "ANSWER_WITHIN_S", 0.01)
    run, observed = await subscribed()
    if hanging == "queue":
        run.fakes.queue.hangs = True
    else:
        run.later(minutes=2)
        run.fakes.tables.hangs = True
    with caplog.at_level(logging.WARNING):
        assert await asyncio.wait_for(post(run, observed), 2.0) == 503
    assert "notification not queued" in caplog.text
    run.fakes.queue.hangs = run.fakes.tables.hangs = False
    assert await post(run, observed) == 202
    assert len(queued(run)) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"value": 1}', b"[" * 100_000])
async def test_a_body_that_is_none_of_graphs_is_rejected_and_counted(body: bytes) -> None:
    run, _ = await subscribed()
    assert (await receive(run.world, body, None)).status == 400
    assert (queued(run), await rejected(run)) == ([], 1)


async def test_a_body_over_the_limit_is_not_read() -> None:
    run, _ = await subscribed()
    assert (await receive(run.world, b" " * (MAX_BODY + 1), None)).status == 413


async def test_groups_that_concern_nobody_are_left_out_unless_the_map_is_not_complete() -> None:
    run, observed = await subscribed()
    other = {**observed, "resourceData": {**observed["resourceData"], "id": OTHER_TEAM}}
    assert await post(run, other) == 202
    assert queued(run) == []
    await run.world.stores.nesting.remove(TEAM)
    assert await post(run, other) == 202
    assert len(queued(run)) == 1


async def test_graph_is_told_to_send_again_what_could_not_be_queued_or_checked() -> None:
    run, observed = await subscribed()
    run.fakes.queue_away(times=1)
    assert await post(run, observed) == 503
    assert await post(run, observed) == 202
    run.later(minutes=2)
    run.fakes.stores_away()
    assert await post(run, observed) == 503


async def test_a_notification_that_comes_before_graph_has_answered_us_is_taken() -> None:
    run, observed = await subscribed()
    (kept,) = await run.world.stores.subscriptions.all()
    await run.world.stores.subscriptions.save(replace(kept, id=""))
    assert await post(run, observed) == 202
    assert len(queued(run)) == 1
    run.later(minutes=11)
    assert await post(run, observed) == 202
    assert len(queued(run)) == 1


async def test_lifecycle_events_are_queued_once_each() -> None:
    run, observed = await subscribed()
    event = {key: observed[key] for key in ("clientState", "subscriptionId", "tenantId")}
    event["lifecycleEvent"] = "reauthorizationRequired"
    assert await post(run, event, event) == 202
    assert queued(run) == [LifecycleHappened(observed["subscriptionId"], LifecycleEvent.REAUTHORIZATION_REQUIRED)]


async def test_when_the_last_notification_came_is_known_to_the_minute_and_forged_ones_do_not_count() -> None:
    run, observed = await subscribed()
    assert await post(run, {**observed, "clientState": "guess"}) == 202
    state = await queries.change_feed(run.world)
    assert state.subscription is not None
    assert (state.subscription.last_notification_at, state.rejected_today) == (None, 1)
    run.later(minutes=2)
    assert await post(run, observed) == 202
    noted = (await queries.change_feed(run.world)).subscription
    assert noted is not None
    assert noted.last_notification_at == run.world.clock.now()
