"""The pieces of work that are traced, each played on the world in memory and entered where a trigger enters the app."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from shared.bootstrap import App, SignIn
from shared.domain.messages import MEMBERS_BULK, ONBOARDING, OPERATIONS_BULK, RESULTS
from shared.ports.messaging import Outgoing
from tests.support.hires import Hires, event
from tests.support.runs import SMALL, TEAM, user
from tests.support.worlds import Fakes, fake_world
from tests.trace.tracer import Trace, Tracer

BULK = 101
"""Members of a group large enough for the lane of bulk work."""

FEW = 3

Scene = Callable[[Tracer], Awaitable[None]]


async def members_message(tracer: Tracer) -> None:
    """One user of a bulk operation gets a license."""
    run = Hires(_one_user_a_message())
    run.people(BULK)
    await run.ask((SMALL,))
    await run.work_off(lambda: any(message.queue == MEMBERS_BULK for message in run.fakes.queue.messages))
    message = _take(run, MEMBERS_BULK)
    app = _app(run)
    with tracer:
        await app.process_members(message.queue, message.body)
    licensed = sum(run.licenses(user(number)) == {"SMALL"} for number in range(1, BULK + 1))
    assert licensed == 1, licensed


async def job_message(tracer: Tracer) -> None:
    """Another system asks for licenses for a group: the request is accepted."""
    run, app = _with_a_few()
    with tracer:
        await app.process_jobs(_job())
    assert [message.queue for message in run.fakes.queue.messages] == [OPERATIONS_BULK]


async def job_and_first_step(tracer: Tracer) -> None:
    """The same request, and the first step of its operation: every member is read and planned."""
    run, app = _with_a_few()
    with tracer:
        await app.process_jobs(_job())
        await app.process_operations(OPERATIONS_BULK, _take(run, OPERATIONS_BULK).body)
    (operation,), _ = await run.world.stores.operations.newest(10)
    assert operation.totals.remaining == FEW, operation


async def joiner_event(tracer: Tracer) -> None:
    """A joiner whose account exists is added to the group of a profile, and the license is requested."""
    run, body = await _with_a_joiner()
    app = _app(run)
    with tracer:
        await app.process_hr_events(body)
    assert run.member(user(1))
    assert await run.state("1") == "Working"


async def joiner_until_done(tracer: Tracer) -> None:
    """The same event with every message that follows, until the joiner has the license and HR is told."""
    run, body = await _with_a_joiner()
    app = _app(run)
    with tracer:
        await app.process_hr_events(body)
        while not run.results:
            await _deliver_next(run, app)
    assert run.licenses(user(1)) == {"SMALL"}
    assert await run.state("1") == "Done"


SCENES: Mapping[str, Scene] = {
    "members": members_message,
    "job": job_message,
    "job and first step": job_and_first_step,
    "joiner": joiner_event,
    "joiner until done": joiner_until_done,
}


async def trace(scene: Scene, in_scope: Callable[[str], bool]) -> Trace:
    """Play a scene and return the calls between the modules in scope."""
    tracer = Tracer(in_scope)
    await scene(tracer)
    return tracer.trace


def _one_user_a_message() -> Fakes:
    fakes = fake_world()
    return replace(fakes, world=replace(fakes.world, policy=replace(fakes.world.policy, chunk_size=1)))


def _with_a_few() -> tuple[Hires, App]:
    run = Hires()
    run.people(FEW)
    return run, _app(run)


async def _with_a_joiner() -> tuple[Hires, bytes]:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,), usage_location="FR")
    joiner = run.directory.add_user(user(1), location=None)
    return run, json.dumps(event("joiner", "1", joiner, attributes={"department": "Sales"})).encode()


async def _deliver_next(run: Hires, app: App) -> None:
    """Deliver the message that falls due next, as `work_off` does, but through the app."""
    now = run.world.clock.now()
    message = min(run.fakes.queue.messages, key=lambda each: each.at or now)
    run.fakes.queue.messages.remove(message)
    if message.at is not None and message.at > now:
        run.fakes.clock.move(message.at - now)
    if message.queue == ONBOARDING:
        await app.process_hr_events(message.body)
    elif message.queue == RESULTS:
        run.results.append(json.loads(message.body))
    else:
        await app.process_members(message.queue, message.body)


def _app(run: Hires) -> App:
    return App(
        run.world, SignIn(platform_authentication=True, tenant_id=run.world.policy.tenant_id, audiences=frozenset())
    )


def _job() -> bytes:
    job = {"version": "1.0", "id": "j-1", "operation": "assignLicense", "groupId": TEAM}
    return json.dumps({**job, "addLicenses": [{"skuId": SMALL.sku_id}]}).encode()


def _take(run: Hires, queue: str) -> Outgoing:
    """The oldest message of a queue, taken off it."""
    message = next(each for each in run.fakes.queue.messages if each.queue == queue)
    run.fakes.queue.messages.remove(message)
    return message
