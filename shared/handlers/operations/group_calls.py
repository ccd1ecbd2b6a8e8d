"""One `assignLicense` call for a group: alone on its group, within the write budget, like other license writes.

Every part of the app that changes the licenses of a group calls it here. Who calls reads the group afterwards, because
Graph accepts a call before the change is there (learn.microsoft.com/graph/api/group-assignlicense).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from shared.domain.concurrency import update
from shared.domain.denials import Right, concerns_everybody
from shared.domain.errors import Unavailable
from shared.domain.group_call_lease import GroupLease
from shared.domain.ids import GroupId, UserId
from shared.domain.write_results import Accepted, Contended, LicenseCall, Throttled, Unanswered, Unsent, WriteResult
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.write_limiter import Pacer

MAX_TRIES = 10
"""ETag races of the lease before it counts as unavailable."""

BUSY_S = 30.0
"""When a call that Graph rejected beside other writes is made again, unless the answer says when."""

log = logging.getLogger(__name__)


async def call_group(
    world: Needs, group_id: GroupId, call: LicenseCall, holder: str, *, urgent: bool
) -> WriteResult | datetime:
    """Graph's answer, or when to call again because nothing was sent or nothing was changed. `holder`: who calls, such
    as the ID of an operation; a second call of the same holder does not wait for the first one.

    Raises Unavailable while the tables do not answer.
    """
    busy_until = await _take(world, group_id, holder)
    if busy_until is not None:
        return busy_until
    answer: WriteResult | datetime | None = None
    try:
        answer = await _paced(world, group_id, call, urgent=urgent)
    finally:
        # Graph may still work on a call that it has not answered, so the lease then stays until it expires.
        if answer is not None and not isinstance(answer, Unanswered):
            await _release(world, group_id, holder)
    return answer


async def _paced(world: Needs, group_id: GroupId, call: LicenseCall, *, urgent: bool) -> WriteResult | datetime:
    pacer = Pacer(world)
    grant, _ = await pacer.take([1], urgent=urgent)
    now = world.clock.now()
    if grant.lease is None:
        return datetime.fromtimestamp(grant.slot.start, tz=now.tzinfo)
    key = UserId(group_id)  # the controls only compare the objects of writes
    answers: dict[UserId, WriteResult] = {}
    try:
        await world.clock.sleep(max(0.0, grant.slot.start - now.timestamp()))
        answers[key] = await world.native.assign_group_licenses(group_id, call.add, call.remove, urgent=urgent)
    finally:
        await pacer.report(grant.lease, answers)
    answer = answers[key]
    if concerns_everybody([answer]):
        await pacer.denied(Right.LICENSES)
    elif isinstance(answer, Accepted):
        await pacer.allowed(Right.LICENSES)
    if isinstance(answer, Throttled | Unsent | Contended):
        log.info("group call is made again group=%s answer=%s", group_id, type(answer).__name__)
        return world.clock.now() + timedelta(seconds=answer.retry_after_s or BUSY_S)
    return answer


async def _take(world: Needs, group_id: GroupId, holder: str) -> datetime | None:
    """Take the lease of the group; or until when another holder has it."""
    busy: list[datetime] = []

    def taken(lease: GroupLease) -> GroupLease | None:
        after = lease.taken_by(holder, world.clock.now())
        busy[:] = [] if after else [lease.until]
        return after

    await _change(world, group_id, taken)
    return busy[0] if busy else None


async def _release(world: Needs, group_id: GroupId, holder: str) -> None:
    """Let others call. If this cannot be stored, the lease expires."""
    try:
        await _change(world, group_id, lambda lease: GroupLease() if lease.holder == holder else None)
    except Unavailable:
        log.warning("the lease of a group was not released group=%s", group_id)


async def _change(world: Needs, group_id: GroupId, change: Callable[[GroupLease], GroupLease | None]) -> None:
    key, store = f"group-{group_id}", world.stores.budget

    def changed(known: tuple[str, str | None]) -> tuple[GroupLease, str | None] | None:
        after = change(GroupLease.from_text(known[0]))
        return None if after is None else (after, known[1])

    async def save(changed: tuple[GroupLease, str | None]) -> None:
        await store.save(changed[0].to_text(), changed[1], key)

    lost = Unavailable(retry_after_s=5.0, what=f"the lease of group {group_id}: too many lost updates")
    await update(partial(store.load, key), changed, save, tries=MAX_TRIES, lost=lost)
