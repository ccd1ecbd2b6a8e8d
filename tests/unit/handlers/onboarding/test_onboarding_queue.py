"""The timer of onboarding: each event has an entry until it is over, and no look is doubled for good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from shared.adapters.tables import onboarding as tables
from shared.domain.errors import LicensingError, PermissionDenied, Unavailable
from shared.domain.hr_intake import open_keys
from shared.domain.initiator import queue_sender
from shared.domain.messages import ONBOARDING
from shared.domain.onboarding import OnboardingRecord
from shared.handlers.onboarding.onboarding_queue import resume_due_events
from shared.handlers.onboarding.records import accept, resume
from shared.handlers.reconcile.write_limiter import Pacer
from tests.support.fakes_onboarding import FakeAccounts
from tests.support.hires import Hires, event
from tests.support.runs import TEAM, user

FAR = timedelta(days=40)
EVER = timedelta(days=3650)

QUEUE = queue_sender("onboarding", "")


async def a_run() -> Hires:
    run = Hires()
    run.directory.add_user(user(1))
    await run.licensed_team()
    return run


def starts_later(run: Hires) -> dict[str, object]:
    return event("joiner", "j", user(1), on=f"{run.fakes.clock.now() + FAR:%Y-%m-%d}", groups=[])


async def entries(run: Hires) -> int:
    return len(await run.world.stores.onboarding.due(run.fakes.clock.now() + EVER, 1000))


def messages(run: Hires) -> int:
    return sum(message.queue == ONBOARDING for message in run.fakes.queue.messages)


async def minute(run: Hires) -> None:
    """What falls due within a minute, then the timer."""
    end = run.fakes.clock.now() + timedelta(minutes=1)
    await run.work_off(lambda: all(each.at and each.at > end for each in run.fakes.queue.messages))
    run.fakes.clock.move(max(timedelta(0), end - run.fakes.clock.now()))
    await resume_due_events(run.world)


@pytest.mark.parametrize("fault", [Unavailable(5.0, "Graph"), PermissionDenied("no")])
async def test_an_outage_of_hours_leaves_one_chain_of_looks_behind(
    fault: LicensingError, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await a_run()

    async def away(accounts: FakeAccounts, refs: Sequence[object]) -> None:
        raise fault

    with monkeypatch.context() as outage:
        outage.setattr(FakeAccounts, "find", away)
        receipts = await accept(run.world, [event("joiner", "j", {"employeeId": "77"})], QUEUE)
        await resume(run.world, open_keys(receipts))
        for _ in range(180):
            await minute(run)
        assert messages(run) <= 10, "each of them is sent again until Graph is back"
    before = run.done
    for _ in range(120):
        await minute(run)
    assert (messages(run), await entries(run)) == (1, 1)
    assert run.done - before < 25, "as many looks as of one that was never doubled, about"


async def test_an_event_put_off_for_long_is_found_though_somebody_took_its_entry_off() -> None:
    run = await a_run()
    await accept(run.world, [starts_later(run)], QUEUE)
    run.later(minutes=2)
    due = await run.world.stores.onboarding.due(run.fakes.clock.now(), 10)
    await resume(run.world, [key for _, key in due])
    await run.world.stores.onboarding.checked(due)
    await run.work_off()
    assert (await run.state("j"), messages(run), await entries(run)) == ("Scheduled", 0, 1)


async def test_the_timer_may_run_while_events_are_slowly_written(monkeypatch: pytest.MonkeyPatch) -> None:
    run = await a_run()
    store = run.world.stores.onboarding
    assert isinstance(store, tables.TableOnboarding)
    insert, times = store._insert, iter((0.0, 61.0))

    async def slowly(record: OnboardingRecord) -> OnboardingRecord:
        run.later(seconds=61)
        await resume_due_events(run.world)
        return await insert(record)

    monkeypatch.setattr(store, "_insert", slowly)
    monkeypatch.setattr(store, "_monotonic", lambda: next(times))
    await accept(run.world, [starts_later(run)], QUEUE)
    assert await entries(run) == 1
    for _ in range(3):
        await run.wait(minutes=10)
    assert (await run.state("j"), messages(run), await entries(run)) == ("Scheduled", 0, 1)


async def test_an_event_that_waits_has_one_entry_and_one_message() -> None:
    run = await a_run()
    await run.send(event("joiner", "j", user(5)))
    for _ in range(60):
        await minute(run)
    assert (await run.state("j"), messages(run), await entries(run)) == ("WaitingForAccount", 1, 1)


async def test_licenses_that_wait_for_the_quota_are_not_asked_after_before_their_turn() -> None:
    run = await a_run()
    await run.send(event("joiner", "j", user(1), groups=[TEAM]))
    queue_states = [message for message in run.fakes.queue.messages if message.queue == ONBOARDING]
    await run.deliver(queue_states[0])
    run.fakes.queue.messages.remove(queue_states[0])
    assert (await run.record("j")).working_since is not None
    pacer = Pacer(run.world)
    await pacer.charge(urgent=True, writes=1800)
    for _ in range(3):
        assert not (await pacer.charge(urgent=True, writes=20)).charged
    run.later(seconds=6)
    (check,) = [message for message in run.fakes.queue.messages if message.queue == ONBOARDING]
    await run.deliver(check)
    put_off = await run.record("j")
    assert put_off.next_at is not None
    assert timedelta(seconds=85) < put_off.next_at - run.fakes.clock.now() <= timedelta(minutes=2)
