"""Process a chunk of users: read, plan, apply, record. The same whatever caused it: a chunk of an operation, an event,
or a retry; so a doubled, late or reordered message changes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import trace_context
from shared.domain.budget import Charged
from shared.domain.directory import LicenseError
from shared.domain.errors import Conflict, NotFound, PoisonMessage
from shared.domain.ids import GroupId
from shared.domain.messages import ProcessUsers, decode_process_users
from shared.domain.operation import Operation, OperationError, OperationState, Phase
from shared.domain.outcomes import Applied, Problem, RetryAt, Skipped, SkipReason, Unchanged
from shared.domain.snapshot_pages import LEFT, SealedPage
from shared.domain.trace_context import followed
from shared.handlers.groups.assignment_cache import Intents
from shared.handlers.groups.status import write_group_status
from shared.handlers.operations.dispatch import totals_at_the_end
from shared.handlers.operations.held_removals import collect
from shared.handlers.reconcile.apply import apply
from shared.handlers.reconcile.held import held_by_group
from shared.handlers.reconcile.planning_inputs import tenant_facts
from shared.handlers.reconcile.read import EVENTS_SETTLE_WITHIN, finished, look, pause
from shared.handlers.reconcile.record import record, skipped_as
from shared.handlers.reconcile.retry import bound_retries, going_back, outcomes_of
from shared.handlers.reconcile.state import Case, Work
from shared.handlers.reconcile.write_limiter import Pacer, Prepaid
from shared.ports.messaging import Outgoing
from shared.ports.world import World

STOPPING = frozenset({LicenseError.PERMISSION, LicenseError.INVALID_LICENSE})


class Members:
    """The queue functions `members` and `members-bulk`; one per process, for its caches and its share of the budget."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._intents = Intents(world)
        self._pacer = Pacer(world)

    async def process(self, body: bytes) -> None:
        """Look at the users of one message. Raises PoisonMessage for an unreadable body, Unavailable when a dependency
        is away: then nothing is lost by doing the same message again."""
        message = decode_process_users(body)
        followed(message.traceparent)
        operation = None
        if message.operation_id is not None:
            operation = await self._world.stores.operations.get(message.operation_id)
            if operation is None or is_over(operation, message):
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
            told=message.expects,
            told_at=message.changed_at,
            asked_at=operation.created_at if operation else None,
        )
        prepaid = await self._prepaid(message, work)
        if prepaid is None:
            return
        try:
            cases, going_on = await self._cases(message, work, prepaid)
        finally:
            await prepaid.give_back()
        await self._finish(message, work, cases)
        if not going_on:
            await self._stop(message, work, cases)

    async def _prepaid(self, message: ProcessUsers, work: Work) -> Prepaid | None:
        """Bulk work that is known to write is charged before its users are read; where the write quota has no room soon
        it goes back, and None is returned."""
        if work.urgent or not message.writes:
            return Prepaid(self._pacer)
        slot = await self._pacer.charge(urgent=False, writes=message.writes)
        if slot.charged:
            return Prepaid(self._pacer, Charged(slot.start, message.writes))
        again = replace(message, send=message.send + 1, first_sent_at=message.first_sent_at or work.began)
        at = datetime.fromtimestamp(slot.start, tz=work.began.tzinfo)
        await self._world.queue.send([Outgoing(again.queue, again.encode(), again.message_id, at)])
        return None

    async def _cases(self, message: ProcessUsers, work: Work, prepaid: Prepaid) -> tuple[list[Case], bool]:
        """Every user of the message with a result, and whether the operation may go on."""
        going_on = True
        facts = await tenant_facts(self._world, work.asked_at)
        cases = await look(self._world, work, message.user_ids, facts)
        for case in cases:
            case.wrote_before = case.wrote
        await self._doubt(message, work, cases)
        now = self._world.clock.now()
        unsettled = unsettled_events(message, cases, now)
        for case in unsettled:
            if case.plan is not None and (case.plan.remove or case.plan.plans_off):
                case.result = _look_again(message, now)
        cancelled = work.operation is not None and work.operation.cancel_requested_by is not None
        if cancelled:
            for case in cases:
                case.result = case.result if case.wrote else Skipped(SkipReason.CANCELLED)
        else:
            going_on = await apply(self._world, work, self._pacer, prepaid, cases)
        for case in cases:
            case.result = finished(case)
            case.result = skipped_as(case, work) or case.result
        for case in unsettled:
            if isinstance(case.result, (Applied, Unchanged, Skipped)):
                case.result = _look_again(message, now)
        return cases, going_on

    async def _doubt(self, message: ProcessUsers, work: Work, cases: list[Case]) -> None:
        """A sealed member whom this read does not show in the group is looked at again, not called done, until it is
        as long after the seal as two reads must be apart to be believed, twice over."""
        operation, now = work.operation, self._world.clock.now()
        if operation is None or not operation.started_at:
            return
        settled = operation.started_at + 2 * timedelta(seconds=self._world.policy.removal_settle_s)
        if now > settled:
            return
        doubtful = [case for case in cases if contradicts_seal(case, work)]
        if not doubtful:
            return
        page = await self._page(operation, message)
        places = {user_id: place for place, user_id in enumerate(page.user_ids)}
        for case in doubtful:
            if case.user_id not in places:
                raise PoisonMessage(f"members message: {case.user_id} is not on page {page.number} of {operation.id}")
            if LEFT not in page.action(places[case.user_id]).notes:
                case.result = RetryAt(
                    now + pause(operation.started_at, now), "the directory does not show the membership yet"
                )

    async def _page(self, operation: Operation, message: ProcessUsers) -> SealedPage:
        try:
            return await self._world.stores.sealed.page(operation.id, operation.seal_id, message.page)
        except NotFound as fault:
            raise PoisonMessage(f"members message: {fault}") from fault

    async def _finish(self, message: ProcessUsers, work: Work, cases: list[Case]) -> None:
        now = self._world.clock.now()
        self._tell(message, cases, now)
        attempts = bound_retries(work, cases, now)
        await record(self._world, work, cases)
        await collect(self._world, held_by_group(cases))
        if work.operation is not None:
            # Before anybody goes back alone: whoever reports first must report the whole chunk, or it counts as done.
            await self._world.stores.chunks.report(work.operation.id, message.chunk, outcomes_of(cases))
        again = going_back(message, cases, {**message.attempts, **attempts}, now)
        if again:
            await self._world.queue.send(again)

    def _tell(self, message: ProcessUsers, cases: list[Case], now: datetime) -> None:
        """Members by outcome, and how long it took from a change of membership to the license."""
        telemetry = self._world.telemetry
        lane = "bulk" if message.bulk else "interactive"
        for outcome, number in Counter(type(case.result).__name__ for case in cases).items():
            telemetry.count("licensing.members", number, outcome=outcome, lane=lane)
        if message.changed_at is not None:
            for case in cases:
                if case.wrote and not case.wrote_before:
                    telemetry.measure("licensing.change_to_license", (now - message.changed_at).total_seconds())

    async def _stop(self, message: ProcessUsers, work: Work, cases: list[Case]) -> None:
        """One error for the whole operation instead of the same one for each of its users."""
        problems = [p for case in cases for p in case.problems if p.error in STOPPING]
        if work.operation is None or not problems:
            return
        first: Problem = problems[0]
        error = OperationError(str(first.error), first.text, first.remedy)
        for _ in range(5):
            operation = await self._world.stores.operations.get(work.operation.id)
            if operation is None or operation.state.is_ended:
                return
            try:
                ended = operation.ended(OperationState.FAILED, self._world.clock.now(), error)
                totals = await totals_at_the_end(self._world, operation, message.chunk)
                ended = await self._world.stores.operations.save(replace(ended, totals=totals))
            except Conflict:
                continue
            await write_group_status(self._world, ended)
            return


def unsettled_events(message: ProcessUsers, cases: list[Case], now: datetime) -> list[Case]:
    """Users whom the directory does not show yet as the event said; after a while the directory wins, and at once
    where a newer event said otherwise."""
    told_at = message.changed_at
    if told_at is None or now > told_at + EVENTS_SETTLE_WITHIN:
        return []
    return [
        case
        for case in cases
        if case.user is not None
        and case.result is None
        and any(
            (group_id in case.user.group_ids) is not came and not _contradicted(case, group_id, came, told_at)
            for group_id, came in message.expects.get(case.user_id, {}).items()
        )
    ]


def _contradicted(case: Case, group_id: GroupId, came: bool, told_at: datetime) -> bool:
    newest = case.row.told.get(group_id)
    return newest is not None and newest.at > told_at and newest.came is not came


def _look_again(message: ProcessUsers, now: datetime) -> RetryAt:
    changed_at = message.changed_at or now
    return RetryAt(now + pause(changed_at, now), "the directory does not show yet what the event said")


def contradicts_seal(case: Case, work: Work) -> bool:
    """Whether a sealed user is read as no member of the group and lacks what the group gives."""
    if work.group_id is None or case.user is None or case.plan is None or case.result or case.plan.writes:
        return False
    assignment = work.assignments.get(work.group_id)
    lacks = assignment is not None and any(sku.sku_id not in case.user.direct for sku in assignment.skus)
    return lacks and not case.wrote and work.group_id not in case.user.group_ids


def is_over(operation: Operation, message: ProcessUsers) -> bool:
    """Whether the message belongs to an operation that ended, or to an older run of it."""
    return operation.state.is_ended or message.run < operation.run or operation.phase is Phase.SEAL
