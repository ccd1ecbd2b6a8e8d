"""Release: fold in what chunks reported, and hand out more, a few dozen at a time.

The rows of chunks are the truth: a chunk is counted once, when every user before it has an outcome.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.messages import SMALL, ProcessUsers
from shared.domain.operation import Operation, Totals
from shared.domain.outcomes import ChunkOutcome, OutcomeClass
from shared.domain.snapshot_pages import Chunk, chunks_of
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.snapshot import last_page
from shared.ports.messaging import Outgoing

STUCK_AFTER = timedelta(minutes=5)
"""A released chunk without an outcome for this long is sent again."""

Rows = Mapping[int, tuple[ChunkOutcome, ...]]


async def hand_out(world: Needs, operation: Operation) -> Operation:
    """The operation with what its chunks reported, after handing out as many more as there is room for.

    Chunks that stopped reporting are sent again. Nothing is saved: a repeat sends the same messages.
    """
    now = world.clock.now()
    rows = await _open_rows(world, operation)
    moved = _fold(operation, rows, now)
    # Before the room is counted: a cancelled operation ends here although chunks are left.
    if all_reported(moved):
        return moved
    # Outstanding chunks were distributed before the last observed progress. New outcomes have come since then.
    if operation.progress_at is not None and now - operation.progress_at > STUCK_AFTER:
        silent = [n for n in range(moved.reported, moved.released) if is_overdue(rows.get(n, ()), now)]
        if silent:
            return await _send_again(world, moved, silent)
    # A chunk that has reported needs no room, even if users of it are reconciled again: they wait without a worker.
    outstanding = sum(number not in rows for number in range(moved.reported, moved.released))
    room = max(0, world.policy.outstanding_chunks - outstanding)
    if moved.cancel_requested_by is None and room and moved.released < moved.chunks:
        chunks = await _next_chunks(world, moved, room)
        await world.queue.send([_outgoing(moved, chunk) for chunk in chunks])
        return replace(moved, released=moved.released + len(chunks), progress_at=now)
    return moved


def all_reported(operation: Operation) -> bool:
    """Whether every chunk has an outcome for each of its users, distributed or not."""
    all_out = operation.released == operation.chunks or operation.cancel_requested_by is not None
    return all_out and operation.reported == operation.released


def _fold(operation: Operation, rows: Rows, now: datetime) -> Operation:
    """Move `reported` over every chunk that is done, and show the outcomes of those that are not."""
    reported, counted = operation.reported, operation.counted
    while reported < operation.released and all_final(rows.get(reported, ())):
        counted = add_outcomes(counted, rows[reported])
        reported += 1
    shown = counted
    for number, outcomes in rows.items():
        if number >= reported:
            shown = add_outcomes(shown, [outcome for outcome in outcomes if outcome.is_final])
    progressed = shown != operation.totals or reported != operation.reported
    return replace(
        operation,
        reported=reported,
        counted=counted,
        totals=shown,
        progress_at=now if progressed else operation.progress_at,
    )


def all_final(outcomes: Sequence[ChunkOutcome]) -> bool:
    """Whether a chunk has reported and none of its users must be reconciled again."""
    return bool(outcomes) and all(outcome.is_final for outcome in outcomes)


def add_outcomes(totals: Totals, outcomes: Sequence[ChunkOutcome]) -> Totals:
    """Totals with the users of some outcomes counted."""
    classes = [outcome.outcome for outcome in outcomes]
    return replace(
        totals,
        applied=totals.applied + classes.count(OutcomeClass.APPLIED),
        unchanged=totals.unchanged + classes.count(OutcomeClass.UNCHANGED),
        waiting=totals.waiting + classes.count(OutcomeClass.WAITING),
        failed=totals.failed + classes.count(OutcomeClass.FAILED),
        skipped=totals.skipped + classes.count(OutcomeClass.SKIPPED),
        wrote=totals.wrote + sum(outcome.wrote for outcome in outcomes),
    )


async def totals_at_the_end(world: Needs, operation: Operation, last: int) -> Totals:
    """Totals of an operation that stops now. Every outcome up to chunk `last` or the last released chunk is counted,
    and users without an outcome are `skipped`."""
    last = max(last, operation.released - 1)
    rows = await world.stores.chunks.rows(operation.id, operation.reported, last)
    totals = operation.counted
    for outcomes in rows.values():
        totals = add_outcomes(totals, [outcome for outcome in outcomes if outcome.is_final])
    return totals.with_rest_skipped()


async def _next_chunks(world: Needs, operation: Operation, room: int) -> list[Chunk]:
    """The next chunks in order, at most `room`, from the pages of the snapshot."""
    found: list[Chunk] = []
    number = await last_page(world, operation, lambda page: page.first_chunk <= operation.released)
    while number < operation.pages and len(found) < room:
        page = await world.stores.snapshots.page(operation.id, operation.snapshot_id, number)
        chunks = chunks_of(operation.id, page, operation.chunk_size)
        found += [chunk for chunk in chunks if chunk.number >= operation.released]
        number += 1
    return found[:room]


def _outgoing(operation: Operation, chunk: Chunk, send: int = 0) -> Outgoing:
    group_id = operation.target.group_id
    message = ProcessUsers(
        user_ids=chunk.user_ids,
        cause=f"operation:{operation.id}",
        bulk=operation.totals.due > SMALL,
        operation_id=operation.id,
        page=chunk.page,
        chunk=chunk.number,
        run=operation.run,
        send=send,
        intent_versions={group_id: operation.intent_version} if group_id else {},
        traceparent=operation.traceparent,
        writes=chunk.writes,
    )
    return Outgoing(message.queue, message.encode(), message.message_id)


async def _open_rows(world: Needs, operation: Operation) -> Rows:
    if operation.released <= operation.reported:
        return {}
    return await world.stores.chunks.rows(operation.id, operation.reported, operation.released - 1)


def is_overdue(outcomes: Sequence[ChunkOutcome], now: datetime) -> bool:
    """Whether a chunk's message seems lost: nothing was reported, or a reconciliation was due minutes ago."""
    waiting = [outcome.retry_at for outcome in outcomes if not outcome.is_final]
    return not outcomes or any(at is not None and at + STUCK_AFTER < now for at in waiting)


async def _send_again(world: Needs, operation: Operation, silent: Sequence[int]) -> Operation:
    """Send chunks whose messages were lost once more."""
    rewound = replace(operation, released=silent[0])
    chunks = await _next_chunks(world, rewound, silent[-1] - silent[0] + 1)
    again = [chunk for chunk in chunks if chunk.number in silent]
    # `send` makes the ids differ from those of the lost messages, which duplicate detection may still know.
    await world.queue.send([_outgoing(operation, chunk, send=operation.step) for chunk in again])
    return replace(operation, progress_at=world.clock.now())
