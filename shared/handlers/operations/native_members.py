"""Members of watched groups with an error: ask Microsoft's licensing for the reason, and have it process them again.

Both make the same call of Graph for one member, which changes only what Microsoft's licensing assigns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.assignment import GroupLicenseAssignment, is_watched
from shared.domain.change_messages import ReprocessErrors, WatchGroup
from shared.domain.directory import DirectoryUser, LicenseError
from shared.domain.errors import BadRequest, NotFound, Unavailable
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.initiator import SYSTEM, Initiator
from shared.domain.messages import NOTIFICATIONS
from shared.domain.native_members import next_round, watched_row
from shared.domain.read_models import EVERYBODY, AuditEntry, Diagnosis, MemberFilter, MemberRow
from shared.domain.write_results import Accepted, Contended, Rejected, Throttled, Unanswered, Unsent, WriteResult
from shared.domain.writing import READ_ONLY, WHY
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.write_limiter import Pacer, writing
from shared.ports.messaging import Outgoing

BATCH = 20
MOST = 200
"""Members of one step: about ten seconds of writes."""

PAGE = 1000
"""Rows of a group's list of errors that one read of the table returns."""

START = "Start applying group based license to users"
FINISH = "Finish applying group based license to users"
"""Activities as in Entra's own audit log."""

NOT_PERMITTED = "Graph does not let the app process members again: grant it User.ReadWrite.All (--with usage-location)."
BUSY_S = 30.0
"""When a call that Graph rejected beside other writes is made again, unless the answer says when."""

BUSY_FOR = timedelta(days=1)
"""How long a run makes such calls again, as for direct licenses; then the member keeps Graph's text."""

NO_ANSWER = "Graph did not answer. The next reading shows whether the member was processed."


async def diagnose(world: Needs, group_id: GroupId, user_id: UserId, initiator: Initiator) -> MemberRow:
    """Have one member processed again and keep the reason that Graph gives. Returns the member's row after it.

    Raises NotFound, BadRequest while the app does not write, Unavailable while the write quota is used.
    """
    assignment = await _watched(world, group_id)
    if not await world.stores.members.of_user(user_id, [group_id]):
        raise NotFound(f"User {user_id} is not a recorded member of group {group_id}.")
    await _must_write(world)
    answers = await call_members(world, Pacer(world), [user_id], urgent=True)
    if isinstance(answers, datetime):
        wait_s = (answers - world.clock.now()).total_seconds()
        raise Unavailable(max(1.0, wait_s), "the write quota is used, or other license writes are in flight; try again")
    answer = answers[user_id]
    await world.stores.audit.append([_entry(world, "Reprocess user license", group_id, initiator, answer, user_id)])
    if isinstance(answer, Throttled | Unsent | Contended):
        raise Unavailable(answer.retry_after_s, "Graph is busy; try again")
    (row,) = await _kept(world, assignment, {user_id: answer}) or (None,)
    if row is None:
        raise NotFound(f"User {user_id} cannot be read.")
    return row


async def reprocess_errors(
    world: Needs, group_id: GroupId, error: LicenseError | None, sku_id: SkuId | None, initiator: Initiator
) -> ReprocessErrors:
    """Have all members of a watched group processed again who have an error, or one error. Returns the run.

    Raises NotFound, BadRequest while the app does not write.
    """
    await _watched(world, group_id)
    await _must_write(world)
    run = ReprocessErrors(group_id, world.token(), world.clock.now(), error or "", sku_id or "")
    detail = " ".join(part for part in (run.error, run.sku_id) if part)
    entry = AuditEntry(f"{run.run}-start", run.began, START, initiator, "success", group_id=group_id, detail=detail)
    await world.stores.audit.append([entry])
    await _send(world, run)
    return run


async def reprocess_step(world: Needs, run: ReprocessErrors) -> None:
    """Process the next members of a run, and send the next step. Raises Unavailable."""
    stored = await world.stores.assignments.get(run.group_id)
    if stored is None or not is_watched(stored.assignment):
        await _finish(world, run)
        return
    rows = await _next(world, run)
    if not rows:
        await _finish(world, run)
        return
    pacer, processed = Pacer(world), 0
    while processed < len(rows):
        part = rows[processed : processed + BATCH]
        answers = await call_members(world, pacer, [row.user_id for row in part], urgent=False)
        if isinstance(answers, datetime):
            await _send(world, run, answers)
            return
        again = await _recorded(world, stored.assignment, answers, run.began + BUSY_FOR)
        if isinstance(again, datetime):
            await _send(world, run, again)
            return
        processed += len(answers)
        failed = sum(row.state.needs_a_person for row in again)
        run = replace(run, done=run.done + len(answers), failed=run.failed + failed)
        if any(row.diagnosis and row.diagnosis.text == NOT_PERMITTED for row in again):
            await _finish(world, run, NOT_PERMITTED)
            return
    await _send(world, run)


async def _next(world: Needs, run: ReprocessErrors) -> tuple[MemberRow, ...]:
    """The members of the next step: of those who lack a license no more than there are licenses now."""
    rows = await members_in_error(world, run.group_id, MemberFilter("", run.error, run.sku_id))
    skus = await world.directory.subscribed_skus(0.0)
    return next_round(rows, {sku.sku_id: sku.available for sku in skus}, run.began, MOST)


async def members_in_error(world: Needs, group_id: GroupId, wanted: MemberFilter = EVERYBODY) -> list[MemberRow]:
    """Every recorded member of a group with an error, or with one error."""
    rows: list[MemberRow] = []
    after: str | None = None
    while True:
        page, after = await world.stores.members.errors(group_id, PAGE, after, wanted)
        rows += page
        if after is None:
            return rows


async def call_members(
    world: Needs, pacer: Pacer, user_ids: Sequence[UserId], *, urgent: bool
) -> Mapping[UserId, WriteResult] | datetime:
    """Graph's answers for the first users, as many as can be in flight now; or when to come back because none can.
    Each call changes licenses, so it takes a lease like every license write."""
    grant, _ = await pacer.take([1] * len(user_ids), urgent=urgent)
    now = world.clock.now()
    if grant.lease is None:
        return datetime.fromtimestamp(grant.slot.start, tz=now.tzinfo)
    answers: Mapping[UserId, WriteResult] = {}
    try:
        await world.clock.sleep(max(0.0, grant.slot.start - now.timestamp()))
        answers = await world.native.reprocess(user_ids[: grant.users], urgent=urgent)
    finally:
        await pacer.report(grant.lease, answers)
    return answers


async def _recorded(
    world: Needs, assignment: GroupLicenseAssignment, answers: Mapping[UserId, WriteResult], until: datetime
) -> Sequence[MemberRow] | datetime:
    """The rows after the calls, or when to come back because some were not processed. `until`: how long a rejection
    beside other writes is no result."""
    busy = Throttled | Unsent | Contended if world.clock.now() < until else Throttled | Unsent
    done = {key: each for key, each in answers.items() if not isinstance(each, busy)}
    kept = await _kept(world, assignment, done)
    waits = [each.retry_after_s or BUSY_S for each in answers.values() if isinstance(each, busy)]
    if waits:
        return world.clock.now() + timedelta(seconds=max(waits))
    return kept


async def _kept(
    world: Needs, assignment: GroupLicenseAssignment, answers: Mapping[UserId, WriteResult]
) -> Sequence[MemberRow]:
    """Read the members again and record them with Graph's reason. Users who cannot be read are left to the next
    reading."""
    if not answers:
        return ()
    reads, now = await world.directory.users(list(answers)), world.clock.now()
    rows = []
    for user_id, answer in answers.items():
        user = reads.get(user_id)
        if isinstance(user, DirectoryUser):
            inside = assignment.group_id in user.group_ids
            row = watched_row(user, assignment, now, inside=inside)
            rows.append(replace(row, diagnosis=Diagnosis(_reason(answer), now)) if row.state.needs_a_person else row)
    await world.stores.members.record(rows)
    return rows


def _reason(answer: WriteResult) -> str:
    match answer:
        case Rejected(status=401 | 403):
            return NOT_PERMITTED
        case Rejected(message=message, code=code):
            return message or code
        case Contended(message=message):
            return message
        case Accepted():
            return ""
        case _:
            return NO_ANSWER


async def _watched(world: Needs, group_id: GroupId) -> GroupLicenseAssignment:
    stored = await world.stores.assignments.get(group_id)
    if stored is None or not is_watched(stored.assignment):
        raise NotFound(f"Microsoft's own group-based licensing does not license group {group_id}, as far as is known.")
    return stored.assignment


async def _must_write(world: Needs) -> None:
    found = await writing(world)
    if not found.is_on:
        raise BadRequest("WritingOff", READ_ONLY if found.is_read_only else WHY)


async def _finish(world: Needs, run: ReprocessErrors, fault: str = "") -> None:
    """The result in the words of Entra's own log. Members in error are read again: a step that died after its call has
    not recorded what became of them."""
    done = run.done - run.failed
    detail = (
        f"[Users successfully assigned licenses: {done}, Users for whom license assignment failed: {run.failed}.]"
        f"{' ' if fault else ''}{fault}"
    )
    result, now = "failure" if fault else "success", world.clock.now()
    entry = AuditEntry(f"{run.run}-finish", now, FINISH, SYSTEM, result, group_id=run.group_id, detail=detail)
    await world.stores.audit.append([entry])
    await world.queue.send([Outgoing(NOTIFICATIONS, WatchGroup(run.group_id, now, errors_only=True).encode())])


async def _send(world: Needs, run: ReprocessErrors, at: datetime | None = None) -> None:
    await world.queue.send([Outgoing(NOTIFICATIONS, run.encode(), at=at)])


def _entry(
    world: Needs, activity: str, group_id: GroupId, initiator: Initiator, answer: WriteResult, user_id: UserId
) -> AuditEntry:
    result = "success" if isinstance(answer, Accepted) else "failure"
    detail = answer.why if isinstance(answer, Unanswered) else _reason(answer)
    return AuditEntry(world.token(), world.clock.now(), activity, initiator, result, user_id, group_id, detail=detail)
