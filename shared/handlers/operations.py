"""The steps of an operation: seal and plan, then permit or reject what a person decided, release chunks, finish.

Each step does its work, advances the row under its ETag, and sends the next message; a doubled or late message finds an
older step and returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.errors import (
    AssignmentError,
    BadRequest,
    Conflict,
    NotFound,
    PermissionDenied,
)
from shared.domain.messages import OPERATIONS, OperationStep, ProcessUsers, decode_operation_step
from shared.domain.model import GroupId, GroupLicenseAssignment, Source, SourceKind
from shared.domain.operation import SYSTEM, Operation, OperationError, OperationState, Phase, Totals
from shared.domain.outcomes import ChunkOutcome, OutcomeClass
from shared.domain.records import GroupState, GroupStatus
from shared.domain.sealing import Chunk, SealedPage, chunks_of
from shared.domain.tracing import followed
from shared.handlers import decisions
from shared.handlers.auditing import group_act
from shared.handlers.permits import allowance_limit, take_up_to
from shared.handlers.requests import write_intent
from shared.handlers.sealing import Sealed, listed, seal
from shared.ports import Outgoing, World

SHORT_STEP = timedelta(seconds=1)
STEP = timedelta(seconds=3)
LONG_STEP = timedelta(seconds=15)
"""Time to the next step: short while an operation is young, long while it only waits for users looked at later."""

STUCK_AFTER = timedelta(minutes=5)
"""A released chunk without an outcome for this long is sent again."""

SMALL = 100
"""Operations with at most this many due users run in the interactive lane: somebody waits for them."""


Rows = Mapping[int, tuple[ChunkOutcome, ...]]


async def take_step(world: World, body: bytes) -> None:
    """Take the step a message names.

    Raises PoisonMessage for an unreadable body, Unavailable when a dependency is away.
    """
    message = decode_operation_step(body)
    followed(message.traceparent)
    operation = await world.stores.operations.get(message.operation_id)
    if operation is None or message.run != operation.run or operation.state.is_ended:
        return
    if message.step == operation.step - 1:
        await _send_next(world, operation, timedelta(0))
        return
    if message.step != operation.step or operation.state in (OperationState.PAUSED, OperationState.AWAITING_APPROVAL):
        return
    try:
        await _advance(world, operation)
    except Conflict:
        await world.queue.send([Outgoing(OPERATIONS, message.encode(), None, world.clock.now() + SHORT_STEP)])
    except (NotFound, PermissionDenied, BadRequest, AssignmentError) as fault:
        await _fail(world, operation, fault)


async def _advance(world: World, operation: Operation) -> None:
    if await _superseded(world, operation):
        return
    match operation.phase:
        case Phase.SEAL:
            await _seal(world, operation)
        case Phase.PERMIT:
            await decisions.write_permits(world, operation)
            await _save_and_go_on(world, replace(operation, phase=Phase.RELEASE), timedelta(0))
        case Phase.REJECT:
            await decisions.write_kept(world, operation)
            await _finish(world, operation)
        case Phase.RELEASE | Phase.FINISH:
            await _release(world, operation)
        case Phase.APPROVE:
            return


async def _superseded(world: World, operation: Operation) -> bool:
    """End an operation whose group a person has given a newer intent; what it handed out is done by the newer one."""
    group_id = operation.target.group_id
    if group_id is None or not operation.intent_written:
        return False
    stored = await world.stores.assignments.get(group_id)
    newest = stored.assignment.operation_id if stored else None
    if newest is None or newest == operation.id:
        return False
    error = OperationError("Superseded", f"A newer operation on the group, {newest}, took its place.")
    ended = operation.ended(OperationState.CANCELLED, world.clock.now(), error)
    ended = replace(ended, superseded_by=newest, totals=_with_cancelled(ended.totals))
    await world.stores.operations.save(ended)
    return True


def _with_cancelled(totals: Totals) -> Totals:
    return replace(totals, skipped=totals.skipped + totals.remaining)


async def _seal(world: World, operation: Operation) -> None:
    """Read and plan every user, keep the sealed pages, and decide whether a person must approve."""
    operation = await write_intent(world, operation)
    if await _superseded(world, operation):
        return
    await _write_list_grants(world, operation)
    known = {assignment.group_id: assignment for assignment in await world.stores.assignments.all()}
    sealed = await seal(world, operation, known)
    seal_id = world.token()[:16]
    await world.stores.sealed.write(operation.id, seal_id, sealed.pages)
    if operation.target.group_id is not None and sealed.gone and not operation.preview:
        await world.stores.members.forget(operation.target.group_id, sealed.gone)
    chunks = _chunk_count(world, operation, sealed.pages)
    operation = _described(operation, sealed, seal_id, world.policy.chunk_size, chunks, world.clock.now())
    if operation.preview:
        ended = operation.ended(OperationState.COMPLETE, world.clock.now())
        await world.stores.operations.save(replace(ended, phase=Phase.FINISH))
        return
    await _note_size(world, operation, sealed.size, known)
    if sealed.summary.users_losing == 0:
        await _save_and_go_on(world, replace(operation, phase=Phase.RELEASE), timedelta(0))
    elif await _is_permitted(world, operation, sealed, known):
        await _save_and_go_on(world, replace(operation, phase=Phase.PERMIT), timedelta(0))
    else:
        await decisions.open_approval(world, operation)
        waiting = replace(operation, state=OperationState.AWAITING_APPROVAL, phase=Phase.APPROVE)
        await world.stores.operations.save(replace(waiting, step=operation.step + 1))


def _described(
    operation: Operation, sealed: Sealed, seal_id: str, chunk_size: int, chunks: int, now: datetime
) -> Operation:
    return replace(
        operation,
        state=OperationState.IN_PROGRESS,
        seal_id=seal_id,
        pages=len(sealed.pages),
        chunk_size=chunk_size,
        chunks=chunks,
        released=0,
        reported=0,
        totals=sealed.totals,
        counted=sealed.totals,
        plan=sealed.summary,
        checksum=sealed.checksum,
        started_at=now,
        progress_at=now,
    )


def _chunk_count(world: World, operation: Operation, pages: Sequence[SealedPage]) -> int:
    if not pages:
        return 0
    return pages[-1].first_chunk + len(chunks_of(operation.id, pages[-1], world.policy.chunk_size))


async def _write_list_grants(world: World, operation: Operation) -> None:
    """The intent of an operation on named users: a grant for each, until it is removed."""
    if operation.preview or operation.target.is_group:
        return
    grants = listed((), operation)
    users = operation.target.user_ids
    await world.stores.grants.put((user_id, grant) for user_id in users for grant in grants)
    await world.stores.grants.remove(
        (user_id, decisions.list_grant(sku_id)) for user_id in users for sku_id in operation.change.remove
    )


async def _is_permitted(
    world: World, operation: Operation, sealed: Sealed, known: dict[GroupId, GroupLicenseAssignment]
) -> bool:
    """Whether the removals need no further decision: they fit the allowance, or the same person has just approved
    them by the preview."""
    if await decisions.approved_by_preview(world, operation):
        return True
    source = source_of(operation)
    maximum = await allowance_limit(world, source, known, sealed.size)
    wanted = sealed.summary.users_losing
    return await take_up_to(world, source, wanted, maximum, whole=True) == wanted


def source_of(operation: Operation) -> Source:
    """Whose removal allowance an operation's removals count against."""
    group_id = operation.target.group_id
    return Source(SourceKind.GROUP, group_id) if group_id else Source(SourceKind.LIST)


async def _note_size(
    world: World, operation: Operation, size: int, known: dict[GroupId, GroupLicenseAssignment]
) -> None:
    """The group is in progress, with its size; a size of none where there was one is not recorded."""
    group_id = operation.target.group_id
    if group_id is None:
        return
    before = await world.stores.group_status.get(group_id) or GroupStatus(group_id, GroupState.IN_PROGRESS)
    status = replace(
        before,
        state=GroupState.IN_PROGRESS,
        members=size or before.members,
        operation_id=operation.id,
        updated_at=world.clock.now(),
    )
    await world.stores.group_status.save(status)
    actor = SYSTEM if operation.actor.kind == "system" else operation.actor
    activity = "Start applying group based license to users"
    await world.stores.audit.append([group_act(activity, operation, actor, world.clock.now())])


async def _release(world: World, operation: Operation) -> None:
    """Fold in what chunks reported, hand out more, and go on until every sealed user has an outcome."""
    rows = await _open_rows(world, operation)
    moved = _fold(operation, rows, world.clock.now())
    if moved.reported == moved.released and (moved.released == moved.chunks or moved.cancel_requested_by):
        await _finish(world, moved)
        return
    outstanding = sum(number not in rows for number in range(moved.reported, moved.released))
    room = max(0, world.policy.outstanding_chunks - outstanding)
    if moved.cancel_requested_by is None and room and moved.released < moved.chunks:
        chunks = await _next_chunks(world, moved, room)
        await world.queue.send([_outgoing(moved, chunk) for chunk in chunks])
        moved = replace(moved, released=moved.released + len(chunks), progress_at=world.clock.now())
    elif _is_stuck(operation, moved, world.clock.now()):
        moved = await _send_again(world, moved, rows)
    await _save_and_go_on(world, moved, _pause(moved, world.clock.now()))


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
    """Whether a chunk has reported and none of its users is to be looked at again."""
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


async def _next_chunks(world: World, operation: Operation, room: int) -> list[Chunk]:
    """The next chunks in order, at most `room`, from the sealed pages."""
    found: list[Chunk] = []
    number = await _page_with(world, operation, operation.released)
    while number < operation.pages and len(found) < room:
        page = await world.stores.sealed.page(operation.id, operation.seal_id, number)
        chunks = chunks_of(operation.id, page, operation.chunk_size)
        found += [chunk for chunk in chunks if chunk.number >= operation.released]
        number += 1
    return found[:room]


async def _page_with(world: World, operation: Operation, chunk: int) -> int:
    """The number of the page that holds a chunk, by bisection over the pages' first chunks."""
    low, high = 0, operation.pages - 1
    while low < high:
        middle = (low + high + 1) // 2
        page = await world.stores.sealed.page(operation.id, operation.seal_id, middle)
        if page.first_chunk <= chunk:
            low = middle
        else:
            high = middle - 1
    return low


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
    )
    return Outgoing(message.queue, message.encode(), message.message_id)


def _is_stuck(before: Operation, after: Operation, now: datetime) -> bool:
    return after.progress_at is not None and now - after.progress_at > STUCK_AFTER and after.released > after.reported


async def _open_rows(world: World, operation: Operation) -> Rows:
    if operation.released <= operation.reported:
        return {}
    return await world.stores.chunks.rows(operation.id, operation.reported, operation.released - 1)


def is_overdue(outcomes: Sequence[ChunkOutcome], now: datetime) -> bool:
    """Whether a chunk's message seems lost: nothing reported, or a look that was due minutes ago."""
    waiting = [outcome.retry_at for outcome in outcomes if not outcome.is_final]
    return not outcomes or any(at is not None and at + STUCK_AFTER < now for at in waiting)


async def _send_again(world: World, operation: Operation, rows: Rows) -> Operation:
    """Send chunks whose messages were lost once more."""
    now = world.clock.now()
    silent = [n for n in range(operation.reported, operation.released) if is_overdue(rows.get(n, ()), now)]
    if silent:
        rewound = replace(operation, released=silent[0])
        chunks = await _next_chunks(world, rewound, silent[-1] - silent[0] + 1)
        again = [chunk for chunk in chunks if chunk.number in silent]
        await world.queue.send([_outgoing(operation, chunk, send=operation.step) for chunk in again])
    return replace(operation, progress_at=world.clock.now())


def _pause(operation: Operation, now: datetime) -> timedelta:
    if operation.started_at is not None and now - operation.started_at < timedelta(seconds=20):
        return SHORT_STEP
    if operation.progress_at is not None and now - operation.progress_at > timedelta(minutes=2):
        return LONG_STEP
    return STEP


async def _finish(world: World, operation: Operation) -> None:
    """Write totals, state, and the group's snapshot that pages read: the one place that does."""
    now = world.clock.now()
    error = operation.error
    if operation.cancel_requested_by is not None:
        state = OperationState.CANCELLED
        error = error or OperationError("Cancelled", f"Cancelled by {operation.cancel_requested_by.name}.")
        totals = _with_cancelled(operation.counted)
    else:
        state, totals = OperationState.COMPLETE, operation.counted
    await write_group_status(world, operation)
    ended = replace(operation.ended(state, now, error), phase=Phase.FINISH, totals=totals)
    detail = f"Users successfully assigned licenses: {totals.applied + totals.unchanged}, "
    detail += f"Users for whom license assignment failed: {totals.failed + totals.waiting}."
    activity = "Finish applying group based license to users"
    await world.stores.audit.append([group_act(activity, ended, SYSTEM, now, detail=detail)])
    await world.stores.operations.save(ended)


async def write_group_status(world: World, operation: Operation) -> None:
    """The snapshot of the operation's group, counted from its member rows."""
    group_id = operation.target.group_id
    if group_id is None:
        return
    counts = await world.stores.members.counts(group_id)
    wrong = any(counts.get(state, 0) for state in ("Error", "ActiveWithError", "Waiting"))
    before = await world.stores.group_status.get(group_id) or GroupStatus(group_id, GroupState.IN_PROGRESS)
    status = replace(
        before,
        state=GroupState.ERRORS if wrong else GroupState.ALL_ASSIGNED,
        counts=dict(counts),
        operation_id=operation.id,
        updated_at=world.clock.now(),
    )
    await world.stores.group_status.save(status)


async def _fail(world: World, operation: Operation, fault: Exception) -> None:
    """End an operation that cannot be done, with its reason; what the group grants is held, nothing is removed."""
    error = OperationError(type(fault).__name__, str(fault), "Correct what the message names, then start it again.")
    ended = operation.ended(OperationState.FAILED, world.clock.now(), error)
    await world.stores.operations.save(ended)


async def _save_and_go_on(world: World, operation: Operation, wait: timedelta) -> None:
    saved = await world.stores.operations.save(replace(operation, step=operation.step + 1))
    await _send_next(world, saved, wait)


async def _send_next(world: World, operation: Operation, wait: timedelta) -> None:
    step = OperationStep(operation.id, operation.step, operation.run, operation.traceparent)
    at = world.clock.now() + wait if wait else None
    await world.queue.send([Outgoing(OPERATIONS, step.encode(), step.message_id, at)])
