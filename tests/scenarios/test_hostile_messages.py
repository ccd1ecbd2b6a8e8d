"""Whatever is put into a queue is worked on or kept as a dead letter with its reason: no message kills its function,
and none gives or takes a license that nobody asked for."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from shared.adapters.telemetry import give_log_its_context
from shared.bootstrap import App
from shared.domain.change_messages import GroupsChanged, LifecycleHappened, ReadDelta, Sweep, SyncGroup
from shared.domain.directory import AssignedLicense
from shared.domain.ids import SkuId, UserId
from shared.domain.membership_changes import GroupChange, LifecycleEvent
from shared.domain.messages import (
    JOBS,
    MEMBERS,
    MEMBERS_BULK,
    NOTIFICATIONS,
    ONBOARDING,
    OPERATIONS,
    OPERATIONS_BULK,
    OperationStep,
    ProcessUsers,
)
from shared.domain.operation import Operation
from shared.handlers.messaging.settlement import MAX_REASON
from shared.ports.messaging import Outgoing
from tests.support.api_calls import ON, client
from tests.support.hires import event as hr_event
from tests.support.hostile import NASTY, broken, one_part_replaced
from tests.support.runs import EXTRA, OTHER_TEAM, SMALL, TEAM, Run, user

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
OPERATION = "0123456789ab" + "0" * 20
"""Stands in messages for the operation that is under way."""

STRANGER = user(50)
SHOWN = (
    "/api/operations",
    "/api/deadLetters",
    "/api/audit",
    "/api/onboarding",
    "/api/changeFeed",
    "/api/approvals",
    f"/api/groups/{TEAM}/members",
    "/operations",
    "/onboarding",
    "/audit",
    "/audit.csv",
    "/health",
)
"""Lists of the results of messages."""

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Door = Callable[[App, bytes], Awaitable[None]]


def _parsed(*bodies: bytes) -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(body) for body in bodies)


MESSAGES: dict[str, tuple[dict[str, Any], ...]] = {
    JOBS: (
        {
            "version": "1.0",
            "id": "job-1",
            "operation": "preview",
            "groupId": OTHER_TEAM,
            "addLicenses": [{"skuId": SMALL.sku_id, "disabledPlans": [SMALL.service_plans[0].service_plan_id]}],
            "requestedBy": "ITSM",
            "correlationId": "c-1",
        },
        {"version": "1.0", "id": "job-2", "operation": "reprocess", "userIds": [user(1), STRANGER]},
    ),
    OPERATIONS: _parsed(OperationStep(OPERATION, step=1, run=1, traceparent="00-1-2-01").encode()),  # type: ignore[arg-type]
    MEMBERS: _parsed(
        ProcessUsers(
            (user(1), STRANGER),
            "event",
            bulk=False,
            attempts={user(1): 1},
            first_sent_at=NOW,
            intent_versions={TEAM: 1},
            expects={STRANGER: {TEAM: True}},
            changed_at=NOW,
        ).encode(),
        ProcessUsers((user(1), user(2)), "operation:x", bulk=False, operation_id=OPERATION, run=1).encode(),  # type: ignore[arg-type]
    ),
    NOTIFICATIONS: _parsed(
        GroupsChanged((GroupChange(TEAM, {user(1): True, STRANGER: False}),), NOW).encode(),
        LifecycleHappened("s-1", LifecycleEvent("missed")).encode(),
        ReadDelta(0).encode(),
        SyncGroup(TEAM, "sync", NOW, NOW).encode(),
        Sweep("0", NOW).encode(),
    ),
    ONBOARDING: (
        hr_event("joiner", "e-1", STRANGER, groups=[TEAM], sequence=1),
        hr_event("leaver", "e-2", STRANGER, removal="P0D"),
        {"v": 1, "keys": ["0" * 32]},
    ),
}
MESSAGES[MEMBERS_BULK] = MESSAGES[MEMBERS]
MESSAGES[OPERATIONS_BULK] = MESSAGES[OPERATIONS]

DOORS: dict[str, Door] = {
    JOBS: lambda app, body: app.process_jobs(body),
    OPERATIONS: lambda app, body: app.process_operations(OPERATIONS, body),
    OPERATIONS_BULK: lambda app, body: app.process_operations(OPERATIONS_BULK, body),
    MEMBERS: lambda app, body: app.process_members(MEMBERS, body),
    MEMBERS_BULK: lambda app, body: app.process_members(MEMBERS_BULK, body),
    NOTIFICATIONS: lambda app, body: app.process_notifications(body),
    ONBOARDING: lambda app, body: app.process_hr_events(body),
}


class Lines(logging.Handler):
    """Keeps what the app logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[Lines]:
    make, log, kept = logging.getLogRecordFactory(), logging.getLogger("shared"), Lines()
    give_log_its_context()
    log.addHandler(kept)
    log.propagate = False
    yield kept
    log.propagate = True
    log.removeHandler(kept)
    logging.setLogRecordFactory(make)


class Target:
    """A tenant with a licensed group, an operation that has begun, and somebody with a foreign license."""

    def __init__(self) -> None:
        self.run = Run()
        self.run.people(3)
        self.run.directory.add_user(STRANGER, has=[AssignedLicense(EXTRA.sku_id)])
        self.app = App(self.run.world, ON)
        self.operation: Operation | None = None
        self.handed_out: list[Outgoing] = []

    async def begin(self) -> None:
        await self.run.change([SMALL])
        self.run.directory.add_user(user(4), groups=[TEAM])
        self.operation = await self.run.ask(reprocess=True)
        await self.run.work_off(until=self._is_handed_out)
        self.handed_out = self.run.fakes.sent()
        self.run.directory.leave(TEAM, user(4))
        self.run.fakes.queue.messages.clear()

    def _is_handed_out(self) -> bool:
        return any(message.queue in (MEMBERS, MEMBERS_BULK) for message in self.run.fakes.sent())

    def messages(self, queue: str) -> tuple[dict[str, Any], ...]:
        """Messages as the queue gets them, among them those of the operation that is under way."""
        assert self.operation is not None
        made = json.dumps(MESSAGES[queue]).replace(OPERATION, self.operation.id)
        return (*json.loads(made), *(json.loads(each.body) for each in self.handed_out if each.queue == queue))

    def licenses(self) -> dict[UserId, set[SkuId]]:
        return {each: set(self.run.directory.licenses(each)) for each in self.run.directory.user_ids()}


def test_every_queue_with_a_function_is_tried() -> None:
    from shared.handlers.messaging.dead_letters import QUEUES

    assert set(DOORS) == set(MESSAGES) == set(QUEUES)


@pytest.mark.parametrize("queue", sorted(DOORS))
def test_whatever_comes_is_done_or_kept_with_its_reason(queue: str, lines: Lines) -> None:
    target = Target()
    asyncio.run(target.begin())
    before = target.licenses()
    messages = target.messages(queue)

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(body=broken(messages))
    @example(body=b"[" * 100_000)
    @example(body=b'{"a":' * 100_000)
    @example(body=b"9" * 10_000)
    def send(body: bytes) -> None:
        asyncio.run(_deliver(target, queue, body))

    send()
    for body in one_part_replaced(messages):
        asyncio.run(_deliver(target, queue, body))
    for dead_letter in asyncio.run(_dead_letters(target)):
        assert 0 < len(dead_letter.reason) <= MAX_REASON
        assert dead_letter.queue == queue
    _nobody_was_harmed(target, queue, before)
    asyncio.run(_everything_is_shown(target))
    assert lines.lines
    assert not [line for line in lines.lines if CONTROL.search(line) or len(line) > 10 * MAX_REASON]


def _nobody_was_harmed(target: Target, queue: str, before: dict[UserId, set[SkuId]]) -> None:
    after = target.licenses()
    assert after[STRANGER] >= {EXTRA.sku_id}
    if queue != ONBOARDING:  # whose senders may say that somebody leaves
        for person in (user(1), user(2), user(3)):
            assert after[person] >= before[person]


async def _everything_is_shown(target: Target) -> None:
    async with client(target.run.world) as api:
        for page in SHOWN:
            answer = await api.get(page)
            assert answer.status_code == 200, (page, answer.text[:500])


async def _deliver(target: Target, queue: str, body: bytes) -> None:
    await DOORS[queue](target.app, body)
    target.run.fakes.queue.messages.clear()


async def _dead_letters(target: Target) -> Any:
    return (await target.run.world.stores.dead_letters.page(5000))[0]


NO_IDS = [text for text in NASTY if text and text not in (user(1), "0" * 32)]


async def test_an_id_that_is_none_reaches_neither_tables_nor_graph() -> None:
    target = Target()
    await target.begin()
    reads = len(target.run.directory.reads)
    for text in NO_IDS:
        for wrong in ({"userIds": [text]}, {"expects": {text: {TEAM: True}}}, {"intentVersions": {text: 1}}):
            body = {"userIds": [user(1)], "cause": "event", "bulk": False, **wrong}
            await target.app.process_members(MEMBERS, json.dumps(body).encode())
            assert len(target.run.directory.reads) == reads, text
    assert len(await _dead_letters(target)) == 3 * len(NO_IDS)


async def test_a_chunk_that_names_another_or_no_page_is_kept_and_changes_nothing() -> None:
    target = Target()
    await target.begin()
    (chunk,) = (json.loads(each.body) for each in target.handed_out if each.queue in (MEMBERS, MEMBERS_BULK))
    before = target.licenses()
    target.run.directory.add_user(user(60))
    for wrong in ({"userIds": [user(60)]}, {"page": 7, "userIds": [user(4)]}):
        await target.app.process_members(MEMBERS, json.dumps({**chunk, **wrong}).encode())
    assert target.licenses() == {**before, user(60): set()}
    reasons = [dead_letter.reason for dead_letter in await _dead_letters(target)]
    assert any("is not on page 0" in reason for reason in reasons)
    assert any("has no snapshot page 7" in reason for reason in reasons)


@pytest.mark.parametrize("name", ["requestedBy", "correlationId"])
async def test_a_name_that_is_no_text_does_not_take_the_pages_away(name: str) -> None:
    target = Target()
    await target.begin()
    for number, text in enumerate(NASTY):
        job = {**MESSAGES[JOBS][0], "id": f"nasty-{number}", name: text}
        await target.app.process_jobs(json.dumps(job).encode())
    await target.run.work_off()
    await _everything_is_shown(target)
    assert len(await _dead_letters(target)) < len(NASTY) / 2
