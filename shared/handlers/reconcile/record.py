"""Record: ledger, user grants, member rows of the user's managed groups, the chunk's outcomes, and what goes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain import ledger
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryUser, LicenseError
from shared.domain.grant import Grant, SourceKind
from shared.domain.grants import exclusion_of
from shared.domain.ids import GroupId, SkuId
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_status import MemberState, grace_ends_at, no_seat_problem, note_text, owes, relevant, state_of
from shared.domain.outcomes import (
    Failed,
    Result,
    RetryAt,
    Skipped,
    SkipReason,
    Unchanged,
)
from shared.domain.read_models import MemberRow
from shared.handlers.reconcile.grant_expiry import note_ends
from shared.handlers.reconcile.retry import ROUNDING
from shared.handlers.reconcile.seats import joining
from shared.handlers.reconcile.state import Case, Work
from shared.ports.world import World


async def record(world: World, work: Work, cases: Sequence[Case]) -> None:
    """Write what is known of each user: the ledger and the user's grants, then the member rows people read."""
    now = world.clock.now()
    entries = [entry for case in cases for entry in case.audit]
    if entries:
        await world.stores.audit.append(entries)
    await _record_ledger(world, work, cases, now)
    await _record_grants(world, cases)
    rows = [row for case in cases for row in member_rows(case, work, now)]
    if rows:
        await world.stores.members.record(rows)


async def _record_ledger(world: World, work: Work, cases: Sequence[Case], now: datetime) -> None:
    """Write the rows that changed, and after an event each row: a look that read the user before this one, and has not
    written yet, must lose its race and read again."""
    rows = {case.user_id: _final_row(case, now) for case in cases}
    stored = {case.user_id: case.stored or case.row for case in cases}
    await world.stores.waiting.join(place for user_id in rows for place in joining(stored[user_id], rows[user_id]))
    changed = [case for case in cases if case.unsaved or rows[case.user_id] != case.row or _must_be_seen(case, work)]
    written = await world.stores.ledger.write([rows[case.user_id] for case in changed]) if changed else {}
    for case in changed:
        if written[case.user_id].lost and not isinstance(case.result, RetryAt):
            case.result = RetryAt(now + ROUNDING, "another write to this user was quicker")
    left = [user_id for user_id in rows if user_id not in written or not written[user_id].lost]
    await world.stores.waiting.leave(place for user_id in left for place in joining(rows[user_id], stored[user_id]))


def _must_be_seen(case: Case, work: Work) -> bool:
    settled = case.user is not None and not isinstance(case.result, RetryAt)
    return work.operation is None and settled and not case.wrote


def _final_row(case: Case, now: datetime) -> LedgerRow:
    plan = case.plan
    if case.user is None or plan is None:
        if _is_denied(case):
            return ledger.denied(case.row, now) if _has_something(case.row) else case.row
        gone = case.user is None and isinstance(case.result, (Failed, Skipped))
        return replace(case.row, waiting_since={}) if gone and case.row.waiting_since else case.row
    row = ledger.retag(case.row, plan.sources)
    waiting = {sku: case.row.waiting_since.get(sku, now) for sku in dict.fromkeys((*plan.waiting, *case.waiting))}
    if isinstance(case.result, RetryAt):
        waiting = {**case.row.waiting_since, **waiting}
    remembered = {k: v for k, v in case.row.refusals.items() if v.fingerprint == plan.fingerprint}
    seen = {k: v for k, v in plan.removal_seen_at.items() if k.split("/")[0] in row.owned}
    return replace(
        row,
        removal_seen_at=seen,
        waiting_since=waiting,
        refusals={**remembered, **case.refusals},
    )


def _is_denied(case: Case) -> bool:
    """Whether every look has found that the directory does not know the user."""
    problems = case.result.problems if case.user is None and isinstance(case.result, Failed) else ()
    return any(problem.error is LicenseError.NOT_FOUND for problem in problems)


def _has_something(row: LedgerRow) -> bool:
    return bool(row.owned or row.intent or row.unseen or row.waiting_since)


async def _record_grants(world: World, cases: Sequence[Case]) -> None:
    new = [(case.user_id, grant) for case in cases if case.plan for grant in case.plan.new_grants]
    ended = [
        (case.user_id, grant)
        for case in cases
        if case.plan and not isinstance(case.result, (RetryAt, Failed))
        for grant in case.plan.ended_grants
    ]
    if new:
        await note_ends(world, new)
        await world.stores.grants.put(new)
    if ended:
        await world.stores.grants.remove(ended)


def member_rows(case: Case, work: Work, now: datetime) -> list[MemberRow]:
    """The user's row in each managed group: those the user is in, the operation's, and those a license came from."""
    user = case.user
    if user is None:
        return [_unread_row(case, work, now)] if work.group_id and case.result else []
    concerned = user.group_ids & work.assignments.keys()
    if work.group_id is not None and work.group_id in work.assignments:
        concerned |= {work.group_id}
    sources = {s.id for owned in case.row.owned.values() for s in owned.sources if s.kind is SourceKind.GROUP}
    concerned |= ({GroupId(source) for source in sources} | case.came_from) & work.assignments.keys()
    return [_row(case, user, work, work.assignments[group_id], now) for group_id in sorted(concerned)]


def _unread_row(case: Case, work: Work, now: datetime) -> MemberRow:
    state = {RetryAt: MemberState.PENDING, Skipped: MemberState.DISABLED}.get(type(case.result), MemberState.ERROR)
    return MemberRow(
        group_id=work.group_id or GroupId(""),
        user_id=case.user_id,
        user_principal_name="",
        display_name="",
        state=state,
        updated_at=now,
        problems=case.result.problems if isinstance(case.result, Failed) else (),
        notes=(case.result.why,) if isinstance(case.result, RetryAt) else (),
        attempts=work.attempts.get(case.user_id, 0),
        next_look_at=case.result.at if isinstance(case.result, RetryAt) else None,
        operation_id=work.operation.id if work.operation else None,
    )


def _row(case: Case, user: DirectoryUser, work: Work, assignment: GroupLicenseAssignment, now: datetime) -> MemberRow:
    skus = frozenset(sku.sku_id for sku in assignment.skus)
    result = case.result or Unchanged()
    problems = relevant(result, skus)
    no_seat = waiting_for(case, skus)
    grants = _standing(case)
    return MemberRow(
        group_id=assignment.group_id,
        user_id=user.id,
        user_principal_name=user.user_principal_name,
        display_name=user.display_name,
        state=state_of(
            result, user, assignment, problems, waiting=bool(no_seat), owes=owes(case.row, assignment.group_id, grants)
        ),
        updated_at=now,
        problems=(*problems, *map(no_seat_problem, no_seat)),
        notes=(
            *((result.why,) if isinstance(result, RetryAt) else ()),
            *(note_text(note) for note in (case.plan.notes if case.plan else ())),
        ),
        sku_ids=tuple(sorted(skus & user.direct.keys())),
        attempts=work.attempts.get(user.id, 0),
        next_look_at=result.at if isinstance(result, RetryAt) else None,
        waiting_since=min(case.row.waiting_since.values(), default=now) if no_seat else None,
        removal_at=grace_ends_at(case.row, assignment.group_id, grants),
        operation_id=work.operation.id if work.operation else None,
    )


def waiting_for(case: Case, skus: frozenset[SkuId]) -> tuple[SkuId, ...]:
    """The SKUs of a group that a user waits for, also where another SKU is an error."""
    if isinstance(case.result, RetryAt):
        return ()
    planned = case.plan.waiting if case.plan else ()
    return tuple(sorted(skus.intersection((*planned, *case.waiting))))


def _standing(case: Case) -> list[Grant]:
    """The user's grants after this look."""
    new = case.plan.new_grants if case.plan else ()
    over = case.plan.ended_grants if case.plan else ()
    return [grant for grant in (*case.grants, *new) if grant not in over]


def skipped_as(case: Case, work: Work) -> Result | None:
    """Why a member of the operation's group is left out by the assignment's options, for one with nothing to do."""
    assignment = work.assignments.get(work.group_id) if work.group_id else None
    if case.user is None or assignment is None or not isinstance(case.result, Unchanged):
        return None
    reason: SkipReason | None = exclusion_of(case.user, assignment)
    return Skipped(reason) if reason and assignment.skus else None
