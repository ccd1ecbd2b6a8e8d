"""Deletes records after their retention: audit entries, completed HR events, and completed operations with their lists.
Also permits, ledger rows of people without managed licenses, ended moves of groups, and dead letters.

Records that are still needed stay: an open operation, and the preview that approves it. The row of an operation that a
group's assignment or status names stays too, without its list of people. The ledger proves which licenses are managed
without any operation.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.concurrency import together
from shared.domain.errors import Conflict
from shared.domain.ids import OperationId
from shared.domain.operation import Operation
from shared.domain.operation_request import claim_key
from shared.domain.pending_removal import DAY, WAITS_AT_MOST
from shared.handlers.maintenance.hr_contents import forget_contents
from shared.handlers.maintenance.needs import Needs

log = logging.getLogger(__name__)

MONTHS_BACK = 24
"""Months before the last one kept that are deleted, so that nights without the timer are made up for."""

EVENTS_AT_ONCE = 500
AT_ONCE = 8
"""Operations deleted side by side: each is about seven calls of some milliseconds."""

LONGEST = timedelta(minutes=4)
"""Of one night, well within the ten minutes that the platform gives a function; the next night goes on."""

REMOVALS_COUNT_FOR = WAITS_AT_MOST + DAY
"""Pending removals count for a week, and those that an allowance let go for a day more."""

PARTITIONS = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one night deleted. `done`: nothing is left for the next night."""

    events: int = 0
    contents: int = 0
    operations: int = 0
    permits: int = 0
    people: int = 0
    dead_letters: int = 0
    moves: int = 0
    done: bool = True


async def forget_old(world: Needs) -> Forgotten:
    """Delete records after their retention. These are whole months of the audit log, kept dead letters, completed
    operations and completed HR events. A sixteenth of the permits and ledger rows that prove nothing any more is
    deleted each night. The content of an HR event is deleted some time after its end."""
    began = world.clock.now()
    before, deadline = began - timedelta(seconds=world.policy.retention_s), began + LONGEST
    await world.stores.audit.forget(months_before(before))
    payloads_before = began - timedelta(seconds=world.policy.payload_retention_s)
    await world.stores.audit.forget_messages(payloads_before)
    dead_letters = await world.stores.dead_letters.forget(max(before, payloads_before))
    tonight = PARTITIONS[began.toordinal() % len(PARTITIONS)]
    permits = await world.stores.permits.forget(tonight, before)
    people = await world.stores.ledger.forget(tonight, before)
    await world.stores.removals.forget(began - REMOVALS_COUNT_FOR)
    moves = await world.stores.moves.forget(before)
    operations = await _forget_operations(world, before, deadline)
    events = await _forget_events(world, before, deadline)
    contents = await forget_contents(world, payloads_before, deadline)
    found = Forgotten(
        events, contents, operations, permits, people, dead_letters, moves, done=world.clock.now() < deadline
    )
    if found != Forgotten():
        log.info("deleted what is from before %s: %s", before.date(), found)
    return found


async def _forget_events(world: Needs, before: datetime, deadline: datetime) -> int:
    forgotten = 0
    while world.clock.now() < deadline:
        some = await world.stores.onboarding.forget(before, EVENTS_AT_ONCE)
        if not some:
            break
        forgotten += some
    return forgotten


async def _forget_operations(world: Needs, before: datetime, deadline: datetime) -> int:
    shown, named = await _shown_to_open_ones(world), await _still_named(world)
    forgotten = 0
    old: list[Operation] = []
    async for operation in world.stores.operations.from_before(before):
        if world.clock.now() >= deadline:
            return forgotten
        ended_at = operation.completed_at or operation.created_at
        if operation.state.is_ended and ended_at < before and operation.id not in shown:
            old.append(operation)
        if len(old) == AT_ONCE:
            forgotten += await _forget_some(world, old, named)
            old = []
    return forgotten + await _forget_some(world, old, named)


async def _forget_some(world: Needs, old: Sequence[Operation], named: AbstractSet[OperationId | None]) -> int:
    """Returns how many rows went; of an operation that is named the row stays."""
    await together(_without_lists(world, each) for each in old if each.id in named and each.pages)
    unnamed = [each for each in old if each.id not in named]
    await together(_forget(world, each) for each in unnamed)
    return len(unnamed)


async def _forget(world: Needs, operation: Operation) -> None:
    """The row goes last, so that a night that ends in between is made up for by the next one."""
    await _forget_lists(world, operation)
    if operation.idempotency_key:
        key = claim_key(operation.initiator, operation.idempotency_key)
        await world.stores.idempotency.release(key, operation.id)
    await world.stores.operations.remove(operation)


async def _shown_to_open_ones(world: Needs) -> set[OperationId | None]:
    """Previews whose lists say what an open operation may remove."""
    return {operation.preview_id for operation in await world.stores.operations.open()}


async def _still_named(world: Needs) -> set[OperationId | None]:
    """Operations that a group names: as its intent, its approval, and where its status is from."""
    named: set[OperationId | None] = set()
    for assignment in await world.stores.assignments.all():
        named |= {assignment.operation_id, assignment.open_approval}
    named |= {status.operation_id for status in await world.stores.group_status.all()}
    return named


async def _forget_lists(world: Needs, operation: Operation) -> None:
    await world.stores.chunks.forget(operation.id)
    await world.stores.snapshots.forget(operation.id)


async def _without_lists(world: Needs, operation: Operation) -> None:
    """No other writer changes a completed operation. If a second timer was quicker, the result is the same."""
    await _forget_lists(world, operation)
    try:
        await world.stores.operations.save(replace(operation, pages=0))
    except Conflict:
        return


def months_before(at: datetime) -> list[str]:
    """The months (YYYYMM) that ended before the month of a time, latest first."""
    months, year, month = [], at.year, at.month
    for _ in range(MONTHS_BACK):
        year, month = (year - 1, 12) if month == 1 else (year, month - 1)
        months.append(f"{year:04d}{month:02d}")
    return months
