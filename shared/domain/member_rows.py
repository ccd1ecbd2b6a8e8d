"""The status rows of one user after reconciling: one in each managed group that concerns the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant, SourceKind, is_blocked
from shared.domain.ids import GroupId, SkuId
from shared.domain.member_status import MemberState, grace_ends_at, no_seat_problem, note_text, owes, relevant, state_of
from shared.domain.outcomes import Failed, RetryAt, Skipped
from shared.domain.plan_draft import Note, NoteKind
from shared.domain.read_models import MemberRow
from shared.domain.reconciliation import Attempted, Recorded, Work

NOT_TO_BE_LICENSED = "doNotLicense"
"""The note of a member whom HR reported as a leaver while the membership stays."""


def member_rows(recorded: Recorded, work: Work, now: datetime) -> list[MemberRow]:
    """Rows of the groups the user is in, of the operation's, and of those a managed license came from."""
    attempted = recorded.attempted
    user = attempted.user
    if user is None:
        return [_unread_row(recorded, work, now)] if work.group_id else []
    sources = {s.id for owned in attempted.row.owned.values() for s in owned.sources if s.kind is SourceKind.GROUP}
    concerned = user.group_ids | {GroupId(source) for source in sources} | attempted.planned.read.came_from
    concerned |= {work.group_id} if work.group_id is not None else set()
    return [
        _row(recorded, user, work, work.assignments[group_id], now)
        for group_id in sorted(concerned & work.assignments.keys())
    ]


def _unread_row(recorded: Recorded, work: Work, now: datetime) -> MemberRow:
    result = recorded.result
    state = {RetryAt: MemberState.PENDING, Skipped: MemberState.DISABLED}.get(type(result), MemberState.ERROR)
    return MemberRow(
        group_id=work.group_id or GroupId(""),
        user_id=recorded.user_id,
        user_principal_name="",
        display_name="",
        state=state,
        updated_at=now,
        problems=result.problems if isinstance(result, Failed) else (),
        notes=(result.why,) if isinstance(result, RetryAt) else (),
        attempts=work.attempts.get(recorded.user_id, 0),
        next_look_at=result.at if isinstance(result, RetryAt) else None,
        operation_id=work.operation.id if work.operation else None,
    )


def _row(
    recorded: Recorded, user: DirectoryUser, work: Work, assignment: GroupLicenseAssignment, now: datetime
) -> MemberRow:
    attempted, result = recorded.attempted, recorded.result
    row, grants = attempted.row, _grants_now(attempted)
    skus = frozenset(sku.sku_id for sku in assignment.skus)
    problems, no_seat = relevant(result, skus), _waiting_for(recorded, skus)
    due = (*row.removal_seen_at, *(attempted.plan.removal_seen_at if attempted.plan else ()))
    owing, blocked = owes(row, assignment.group_id, grants, due), is_blocked(grants, now)
    return MemberRow(
        group_id=assignment.group_id,
        user_id=user.id,
        user_principal_name=user.user_principal_name,
        display_name=user.display_name,
        state=state_of(result, user, assignment, problems, waiting=bool(no_seat), owes=owing, blocked=blocked),
        updated_at=now,
        problems=(*problems, *map(no_seat_problem, no_seat)),
        notes=(
            *((result.why,) if isinstance(result, RetryAt) else ()),
            *((NOT_TO_BE_LICENSED,) if blocked else ()),
            *dict.fromkeys(note_text(note) for note in _notes(attempted, grants)),
        ),
        sku_ids=tuple(sorted(skus & user.direct.keys())),
        attempts=work.attempts.get(user.id, 0),
        next_look_at=result.at if isinstance(result, RetryAt) else None,
        waiting_since=min(row.waiting_since.values(), default=now) if no_seat else None,
        removal_at=grace_ends_at(row, assignment.group_id, grants),
        operation_id=work.operation.id if work.operation else None,
        left=assignment.group_id not in user.group_ids,
    )


def _notes(attempted: Attempted, grants: Sequence[Grant]) -> Iterator[Note]:
    """The notes of the plan, and those of licenses that an earlier plan held and that still wait for a person."""
    yield from attempted.plan.notes if attempted.plan else ()
    context = attempted.planned.context
    for grant in grants:
        if grant.source.kind is SourceKind.HELD:
            yield Note(NoteKind.HELD, grant.sku_id)
            if context is not None and context.protected:
                yield Note(NoteKind.PROTECTED, grant.sku_id)


def _waiting_for(recorded: Recorded, skus: frozenset[SkuId]) -> tuple[SkuId, ...]:
    """The SKUs of a group that a user waits for, also where another SKU is an error."""
    if isinstance(recorded.result, RetryAt):
        return ()
    planned = recorded.attempted.plan.waiting if recorded.attempted.plan else ()
    return tuple(sorted(skus.intersection((*planned, *recorded.attempted.waiting))))


def _grants_now(attempted: Attempted) -> list[Grant]:
    """The user's grants, those of this plan included and those that it ended left out."""
    new = attempted.plan.new_grants if attempted.plan else ()
    over = attempted.plan.ended_grants if attempted.plan else ()
    return [grant for grant in (*attempted.planned.grants, *new) if grant not in over]
