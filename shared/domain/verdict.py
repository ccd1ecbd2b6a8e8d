"""Every decision between reading a user, writing for the user and recording the result.

`before_apply` names users who must not be written, with the reason. `after_apply` decides how each user's part ends.
Both are functions of values alone, so one place answers why a user was retried, skipped, or shown as an error.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain import denials
from shared.domain.desired_licenses import exclusion_of
from shared.domain.directory import LicenseError, NotAUser, ReadFailed, UserGone
from shared.domain.grant import Source, SourceKind, is_blocked
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import GroupId, SkuId
from shared.domain.operation import Operation, decides_removals, is_for_tenant
from shared.domain.outcomes import Applied, Failed, Problem, Result, RetryAt, Skipped, SkipReason, Unchanged
from shared.domain.plan import RECHECK
from shared.domain.plan_draft import NoteKind
from shared.domain.reconciliation import Attempted, Planned, Read, Work
from shared.domain.retry import bounded

READ_RETRY = timedelta(seconds=30)

RACE_RETRY = timedelta(seconds=5)

EVENTS_SETTLE_WITHIN = timedelta(minutes=10)
"""How long a read that contradicts an event is doubted; after that the directory wins."""

SNAPSHOT_DOUBTED_FOR = timedelta(minutes=2)
"""How long a read that contradicts a plan snapshot is doubted. Notifications or delta find a change that lags longer;
the operation does not stay open for it."""

LOST_RACE = "another write to this user was quicker"


def before_apply(work: Work, planned: Planned, now: datetime, *, doubted: bool) -> Result | None:
    """How a user's part ends before anything is written; None: the plan goes out.

    `doubted`: the plan snapshot lists the user as a member, and this read does not show it (see
    `contradicts_snapshot`).
    """
    if work.is_cancelled and not planned.read.wrote:
        return Skipped(SkipReason.CANCELLED)
    unread = _unread(work, planned.read, now)
    if unread is not None:
        return unread
    if doubted:
        since = work.operation.started_at if work.operation and work.operation.started_at else now
        return RetryAt(now + RECHECK.after(now - since), "the directory does not show the membership yet")
    plan = planned.plan
    if plan is not None and (plan.remove or plan.plans_off) and contradicts_event(work, planned, now):
        return _wait_for_event(work, now)
    return None


def _unread(work: Work, read: Read, now: datetime) -> Result | None:
    """The result of a user that cannot be planned; None for one that can."""
    match read.answer:
        case ReadFailed(denied=True, why=why):
            at = denials.retry_at(work.first_sent_at, now)
            return RetryAt(at, f"{denials.WAITS_FOR_GRANT}: {why}", unread=True, error=LicenseError.PERMISSION)
        case ReadFailed():
            wait = timedelta(seconds=read.answer.retry_after_s) if read.answer.retry_after_s else READ_RETRY
            return RetryAt(now + wait, read.answer.why, rejected=read.answer.rejected, unread=True)
        case UserGone():
            why = "the directory does not know the user"
            return RetryAt(now + READ_RETRY, why, rejected=True, error=LicenseError.NOT_FOUND)
        case NotAUser():
            return Skipped(SkipReason.NOT_A_USER)
        case _:
            pass
    if read.locked_until is None:
        return None
    # Mostly another worker that is about to end; the whole lock is waited for only if that one died.
    since = read.row.intent.at if read.row.intent else now
    at = min(now + RECHECK.after(now - since), read.locked_until)
    return RetryAt(at, "another write to this user has not been resolved")


def contradicts_snapshot(work: Work, planned: Planned, window: timedelta, now: datetime) -> bool:
    """Whether a user of a group's plan snapshot is read as no member, lacks what the group gives, and would be called
    done. Doubted for SNAPSHOT_DOUBTED_FOR after the snapshot, or for two removal windows if that is shorter."""
    operation, user, plan = work.operation, planned.read.user, planned.plan
    doubted_for = min(2 * window, SNAPSHOT_DOUBTED_FOR)
    if operation is None or operation.started_at is None or now > operation.started_at + doubted_for:
        return False
    if work.group_id is None or user is None or plan is None or plan.writes or planned.read.wrote:
        return False
    assignment = work.assignments.get(work.group_id)
    lacks = assignment is not None and any(sku.sku_id not in user.direct for sku in assignment.skus)
    return lacks and work.group_id not in user.group_ids


def contradicts_event(work: Work, planned: Planned, now: datetime) -> bool:
    """Whether the directory does not show the event of the user yet. After a while the directory wins. A newer event
    with another statement ends the wait at once."""
    observed_at, user = work.observed_at, planned.read.user
    if observed_at is None or now > observed_at + EVENTS_SETTLE_WITHIN or user is None or planned.plan is None:
        return False
    return any(
        (group_id in user.group_ids) is not came and not _was_overtaken(planned.read, group_id, came, observed_at)
        for group_id, came in work.observed.get(planned.read.user_id, {}).items()
    )


def _was_overtaken(read: Read, group_id: GroupId, came: bool, observed_at: datetime) -> bool:
    newest = read.row.observed.get(group_id)
    return newest is not None and newest.at > observed_at and newest.came is not came


def _wait_for_event(work: Work, now: datetime) -> RetryAt:
    return RetryAt(
        now + RECHECK.after(now - (work.observed_at or now)), "the directory does not show yet what the event said"
    )


def after_apply(work: Work, attempted: Attempted, now: datetime) -> Result:
    """How a user's part ends, retries over the limit as the error that they become."""
    attempts = work.attempts.get(attempted.user_id, 0)
    return bounded(_as_settled(work, attempted, now), attempts, work.first_sent_at, now)


def _as_settled(work: Work, attempted: Attempted, now: datetime) -> Result:
    """The result, doubted while the directory contradicts the event behind the work."""
    planned = attempted.planned
    result = _as_planned(attempted)
    assignment = work.assignments.get(work.group_id) if work.group_id else None
    if planned.read.user is not None and assignment is not None and assignment.skus and isinstance(result, Unchanged):
        # A member with nothing to do, left out by the assignment's options: the reason is shown instead.
        blocked = is_blocked(planned.grants, now)
        reason = exclusion_of(planned.read.user, assignment, blocked=blocked)
        result = Skipped(reason) if reason else result
    is_doubtful = planned.result is None and isinstance(result, Applied | Unchanged | Skipped)
    if is_doubtful and contradicts_event(work, planned, now):
        return _wait_for_event(work, now)
    return result


def _as_planned(attempted: Attempted) -> Result:
    """The result of the plan with Graph's answers: `Applied` also if an earlier attempt of the cause had written.

    Pending second reads come before errors, which would end the user's part too early.
    """
    if attempted.planned.result is not None:
        return attempted.planned.result
    # A call without an answer may have been done. Neither success nor an error is known yet.
    if attempted.retry is not None:
        return attempted.retry
    plan = attempted.plan
    if plan is None:
        error = LicenseError.OTHER
        return Failed((Problem(error, "The user was not planned.", remedy_for(error)),))
    written = Applied() if attempted.wrote else None
    if plan.check_again is not None:
        return replace(plan, problems=(), waiting=()).result(written)
    waiting = tuple(dict.fromkeys((*plan.waiting, *attempted.waiting)))
    return replace(plan, problems=(*plan.problems, *attempted.problems), waiting=waiting).result(written)


def is_left_by_its_operation(work: Work, attempted: Attempted, now: datetime) -> bool:
    """Whether an operation ends without a user who must be read again, because nothing that it asked for depends on it.

    Removals about which the operation does not decide wait for their window without it. A license that the directory
    does not show yet is waited for as long as any read that contradicts a plan snapshot.
    """
    operation, plan, planned = work.operation, attempted.plan, attempted.planned
    if operation is None or plan is None or plan.check_again is None:
        return False
    if planned.result is not None or attempted.retry is not None or plan.probes:
        return False
    notes = {(note.kind, note.sku_id) for note in plan.notes}
    if any(kind is NoteKind.NOT_VISIBLE_YET for kind, _ in notes):
        return now > (operation.started_at or now) + SNAPSHOT_DOUBTED_FOR
    settling = {sku_id for kind, sku_id in notes if kind in (NoteKind.SECOND_READ, NoteKind.PROTECTION_UNKNOWN)}
    if not settling or any(kind is NoteKind.AFTER_REMOVAL for kind, _ in notes):
        return False
    return not any(_decides(operation, planned, sku_id) for sku_id in settling)


def _decides(operation: Operation, planned: Planned, sku_id: SkuId) -> bool:
    group_id, managed = operation.target.group_id, planned.row.managed.get(sku_id)
    source = Source(SourceKind.GROUP, group_id) if group_id else Source(SourceKind.LIST)
    concerns = is_for_tenant(operation) or managed is None or source in managed.sources
    return decides_removals(operation) and (concerns or sku_id in operation.change.remove)


def after_record(attempted: Attempted, now: datetime, *, lost: bool) -> RetryAt | None:
    """When a user is read again whose ledger row another worker wrote first (`lost`); None if the result stands."""
    return RetryAt(now + RACE_RETRY, LOST_RACE) if lost and not isinstance(attempted.result, RetryAt) else None
