"""Reconcile a chunk of users: read, plan, apply, record. The steps are the same for a chunk of an operation, an event
and a retry, so a duplicate, late or reordered message changes nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import trace_context
from shared.domain.budget import Burst, Charged
from shared.domain.errors import NotFound, PoisonMessage
from shared.domain.held_removals import held_removals
from shared.domain.ids import UserId
from shared.domain.messages import ProcessUsers, decode_process_users
from shared.domain.operation import Operation, OperationState, Phase
from shared.domain.outcomes import ChunkOutcome, OutcomeClass, RetryAt, classify
from shared.domain.reconciliation import Attempted, Planned, Recorded, Work
from shared.domain.retry import attempts_after
from shared.domain.snapshot_pages import LEFT, SnapshotPage
from shared.domain.verdict import before_apply, contradicts_snapshot, is_left_by_its_operation
from shared.domain.writing import RETRY_S
from shared.handlers.groups.assignment_cache import Intents
from shared.handlers.operations.first_contact import must_not_be_in_use
from shared.handlers.operations.held_removals import collect
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.apply import apply, burst_for
from shared.handlers.reconcile.plan import plan
from shared.handlers.reconcile.prepaid import Prepaid
from shared.handlers.reconcile.read import read
from shared.handlers.reconcile.record import record
from shared.handlers.reconcile.write_limiter import Pacer
from shared.ports.messaging import Outgoing

ROUNDING = timedelta(seconds=2)
"""Users who go back within this time of each other share a message."""


class Members:
    """The queue functions `members` and `members-bulk`; one per process, for its caches and its share of the budget."""

    def __init__(self, world: Needs) -> None:
        self._world = world
        self._intents = Intents(world)
        self._pacer = Pacer(world)

    async def process(self, body: bytes) -> None:
        """Reconcile the users of one message. Raises PoisonMessage for an unreadable body, Unavailable when a
        dependency is away: then nothing is lost by doing the same message again."""
        message = decode_process_users(body)
        trace_context.followed(message.traceparent)
        writing = await self._pacer.writing()
        if not writing.is_on:
            await self._park(message)
            return
        await must_not_be_in_use(self._world, message.user_ids)
        operation = None
        if message.operation_id is not None:
            operation = await self._world.stores.operations.get(message.operation_id)
            if operation is None or is_over(operation, message) or operation.state is OperationState.PAUSED:
                # Resuming hands out every chunk again that has a user without an outcome.
                return
        trace_context.operation.set(operation.id if operation else "")
        trace_context.correlation.set(operation.correlation_id if operation else "")
        work = Work(
            cause=f"operation:{operation.id}" if operation else message.cause,
            urgent=not message.bulk,
            assignments=await self._intents.at_least(message.intent_versions, message.changed_at),
            began=self._world.clock.now(),
            operation=operation,
            attempts=message.attempts,
            first_sent_at=message.first_sent_at,
            observed=message.expects,
            observed_at=message.changed_at,
            writing_since=writing.since,
        )
        prepaid = await self._prepaid(message, work)
        if prepaid is None:
            return
        try:
            planned = await plan(self._world, work, await read(self._world, work, message.user_ids))
            judged = await self._judged(message, work, planned)
            attempted = await apply(self._world, work, self._pacer, prepaid, judged)
        finally:
            await prepaid.give_back()
        recorded = await record(self._world, work, attempted)
        await self._report(message, work, recorded)

    async def _park(self, message: ProcessUsers) -> None:
        """Nothing is read or counted while writing is turned off: the work begins again later. Chunks of operations are
        handed out again when it is turned on."""
        if message.operation_id is None:
            fresh = replace(message, send=message.send + 1, attempts={}, first_sent_at=None)
            at = self._world.clock.now() + timedelta(seconds=RETRY_S)
            await self._world.queue.send([Outgoing(fresh.queue, fresh.encode(), fresh.message_id, at)])

    async def _prepaid(self, message: ProcessUsers, work: Work) -> Prepaid | None:
        """For bulk work that is known to write, reserve writes before its users are read. If the write quota has no
        room soon, the message is sent again for later, and None is returned."""
        if work.urgent or not message.writes or self._pacer.is_narrow:
            return Prepaid(self._pacer)
        burst = burst_for(self._world, work) if may_burst(work) else Burst.NEVER
        slot = await self._pacer.charge(urgent=False, writes=message.writes, burst=burst)
        if slot.charged:
            return Prepaid(self._pacer, Charged(slot.start, message.writes, slot.is_burst))
        again = replace(message, send=message.send + 1, first_sent_at=message.first_sent_at or work.began)
        at = datetime.fromtimestamp(slot.start, tz=work.began.tzinfo)
        await self._world.queue.send([Outgoing(again.queue, again.encode(), again.message_id, at)])
        return None

    async def _judged(self, message: ProcessUsers, work: Work, planned: Sequence[Planned]) -> list[Planned]:
        """With the result of every user that must not be written."""
        now = self._world.clock.now()
        doubted = await self._doubted(message, work, planned, now)
        return [
            replace(each, result=before_apply(work, each, now, doubted=each.read.user_id in doubted))
            for each in planned
        ]

    async def _doubted(
        self, message: ProcessUsers, work: Work, planned: Sequence[Planned], now: datetime
    ) -> frozenset[UserId]:
        """Users whom this read does not show in the group although the plan snapshot lists them as members."""
        window = timedelta(seconds=self._world.policy.removal_window_s)
        users = [each.read.user_id for each in planned if contradicts_snapshot(work, each, window, now)]
        if work.operation is None or not users:
            return frozenset()
        page = await self._page(work.operation, message)
        places = {user_id: place for place, user_id in enumerate(page.user_ids)}
        for user_id in users:
            if user_id not in places:
                raise PoisonMessage(f"members message: {user_id} is not on page {page.number} of {work.operation.id}")
        return frozenset(user_id for user_id in users if LEFT not in page.action(places[user_id]).notes)

    async def _page(self, operation: Operation, message: ProcessUsers) -> SnapshotPage:
        try:
            return await self._world.stores.snapshots.page(operation.id, operation.snapshot_id, message.page)
        except NotFound as fault:
            raise PoisonMessage(f"members message: {fault}") from fault

    async def _report(self, message: ProcessUsers, work: Work, recorded: Sequence[Recorded]) -> None:
        """Open approvals for held removals, report the results of the users to the operation, and send the retries."""
        now = self._world.clock.now()
        self._measure(message, recorded, now)
        held = held_removals(each.attempted for each in recorded)
        if held:
            await collect(self._world, held)
        if work.operation is not None:
            # Before any user is sent alone: the first report must have the whole chunk, or the chunk counts as done.
            await self._world.stores.chunks.report(work.operation.id, message.chunk, outcomes_of(work, recorded, now))
        again = going_back(message, work, recorded, now)
        if again:
            await self._world.queue.send(again)

    def _measure(self, message: ProcessUsers, recorded: Sequence[Recorded], now: datetime) -> None:
        """Members by outcome, and how long it took from a change of membership to the license."""
        telemetry = self._world.telemetry
        lane = "bulk" if message.bulk else "interactive"
        for outcome, number in Counter(type(each.result).__name__ for each in recorded).items():
            telemetry.count("licensing.members", number, outcome=outcome, lane=lane)
        if message.changed_at is not None:
            for each in recorded:
                if each.attempted.wrote and not each.attempted.planned.read.wrote:
                    telemetry.measure("licensing.change_to_license", (now - message.changed_at).total_seconds())


def may_burst(work: Work) -> bool:
    """Whether the operation asks for additions only. Removals in the plan of a user are known later."""
    return work.operation is not None and bool(work.operation.change.add) and not work.operation.change.remove


def outcomes_of(work: Work, recorded: Sequence[Recorded], now: datetime) -> list[ChunkOutcome]:
    """The part of each user that the chunk row keeps. One that the operation does not wait for needed nothing more of
    it.
    """
    return [
        ChunkOutcome(
            each.user_id,
            OutcomeClass.UNCHANGED if _is_left(work, each, now) else classify(each.result),
            each.attempted.wrote,
            each.result.at if isinstance(each.result, RetryAt) and not _is_left(work, each, now) else None,
        )
        for each in recorded
    ]


def _is_left(work: Work, recorded: Recorded, now: datetime) -> bool:
    """Whether the user is read again without the operation."""
    again = isinstance(recorded.result, RetryAt) and recorded.retry is None
    return again and is_left_by_its_operation(work, recorded.attempted, now)


def going_back(message: ProcessUsers, work: Work, recorded: Sequence[Recorded], now: datetime) -> list[Outgoing]:
    """Messages for users that must be reconciled again, those with about the same time together."""
    groups: dict[tuple[int, bool], list[tuple[Recorded, datetime]]] = defaultdict(list)
    for each in recorded:
        if isinstance(each.result, RetryAt):
            bucket = int(each.result.at.timestamp() // ROUNDING.total_seconds())
            groups[bucket, _is_left(work, each, now)].append((each, each.result.at))
    messages = []
    for (_, is_left), users in groups.items():
        user_ids = tuple(each.user_id for each, _ in users)
        if is_left:
            again = ProcessUsers(
                user_ids,
                message.cause,
                message.bulk,
                intent_versions=message.intent_versions,
                traceparent=message.traceparent,
            )
        else:
            attempts = {
                each.user_id: attempts_after(each.result, message.attempts.get(each.user_id, 0)) for each, _ in users
            }
            again = replace(
                message,
                user_ids=user_ids,
                attempts={user_id: count for user_id, count in attempts.items() if count},
                send=message.send + 1,
                first_sent_at=message.first_sent_at or now,
                writes=sum(_writes_expected(each.attempted) for each, _ in users),
            )
        messages.append(Outgoing(again.queue, again.encode(), again.message_id, max(at for _, at in users)))
    return messages


def _writes_expected(attempted: Attempted) -> int:
    """Expected writes of the next message: most written users are only read again."""
    return 0 if attempted.wrote or attempted.plan is None else attempted.plan.write_count


def is_over(operation: Operation, message: ProcessUsers) -> bool:
    """Whether the message belongs to an operation that ended, or to an older run of it."""
    return operation.state.is_ended or message.run < operation.run or operation.phase is Phase.SNAPSHOT
