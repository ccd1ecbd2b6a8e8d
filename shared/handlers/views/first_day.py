"""The checklist of the first day: ready steps and open ones. Once all was done, it is not shown again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from shared.domain.first_day import Facts, Step, is_complete, steps_of
from shared.domain.health_record import HealthRecord
from shared.handlers.views import queries
from shared.handlers.views.health import canary_state, permissions_now, writing_now
from shared.handlers.views.needs import Needs


async def open_steps(world: Needs) -> tuple[Step, ...]:
    """Every step while one of them is open, and none once all were done. Raises Unavailable."""
    record = await world.stores.health.load()
    return () if record.first_day_done_at is not None else await first_day_steps(world, record)


async def first_day_steps(world: Needs, record: HealthRecord | None = None) -> tuple[Step, ...]:
    """Every step as it is now. Raises Unavailable."""
    record = record or await world.stores.health.load()
    # First, because it makes sure that a token was read.
    writing = await writing_now(world)
    permissions, feed, assignments, (operations, _) = await asyncio.gather(
        permissions_now(world),
        queries.change_feed(world),
        world.stores.assignments.all(queries.NAMES_MAX_AGE_S),
        world.stores.operations.newest(1),
    )
    made = feed.subscription
    facts = Facts(
        permissions,
        feed.expected,
        made is not None and made.expires_at > world.clock.now(),
        canary_state(world, record.canary),
        bool(operations) or any(each.skus for each in assignments),
        writing,
    )
    return steps_of(facts)


async def note_complete(world: Needs) -> bool:
    """The timer: once every step is done, note it for good. Returns whether it is noted. Raises Unavailable."""
    record = await world.stores.health.load()
    if record.first_day_done_at is not None:
        return True
    if not is_complete(await first_day_steps(world, record)):
        return False
    now = world.clock.now()
    await world.stores.health.change(lambda known: replace(known, first_day_done_at=known.first_day_done_at or now))
    return True
