"""The status rows of one user after reconciling: one in each managed group that concerns the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain import ledger
from shared.domain.assignment import Engine, GroupLicenseAssignment
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Grant, Source, SourceKind, is_blocked
from shared.domain.ids import GroupId, SkuId
from shared.domain.member_status import (
    MemberState,
    grace_ends_at,
    is_inside,
    no_seat_problem,
    note_text,
    owes,
    relevant,
    state_of,
)
from shared.domain.named_users import NAMED, assignment_by_name, source_of_scope
from shared.domain.outcomes import Failed, RetryAt, Skipped
from shared.domain.plan import UserPlan
from shared.domain.plan_draft import Note, NoteKind
from shared.domain.read_models import MemberRow
from shared.domain.reconciliation import Attempted, Recorded, Work
from shared.domain.removals import settled_sources

NOT_TO_BE_LICENSED = "doNotLicense"
"""The note of a member whom HR reported as a leaver while the membership stays."""

_ENDING = frozenset(
    {
        NoteKind.SECOND_READ,
        NoteKind.PROTECTION_UNKNOWN,
        NoteKind.HELD,
        NoteKind.PROTECTED,
        NoteKind.KEPT,
        NoteKind.KEPT_UNTIL_REPLACED,
        NoteKind.IN_GRACE,
    }
)
"""Notes on licenses, or plans of them, that nothing assigns any more."""

_UNSETTLED = frozenset(
    {NoteKind.SECOND_READ, NoteKind.PROTECTION_UNKNOWN, NoteKind.NOT_VISIBLE_YET, NoteKind.AFTER_REMOVAL}
)
"""Notes on what the next read decides."""


def member_rows(recorded: Recorded, work: Work, now: datetime, before: MemberRow | None = None) -> list[MemberRow]:
    """Rows of the groups the user is in, of those of the operation and the event, and of those a managed license came
    from. `before`: the row in the operation's group of a user who could not be read."""
    attempted = recorded.attempted
    user = attempted.user
    if user is None:
        scope = scope_of(work)
        return [_unread_row(recorded, work, scope, now, before)] if scope else []
    sources = {
        s.id for managed in attempted.row.managed.values() for s in managed.sources if s.kind is SourceKind.GROUP
    }
    concerned = user.group_ids | {GroupId(source) for source in sources} | attempted.planned.read.came_from
    concerned |= {work.group_id} if work.group_id is not None else set()
    concerned |= work.observed.get(user.id, {}).keys()
    known = [work.assignments[group_id] for group_id in sorted(concerned & work.assignments.keys())]
    assignments = [assignment for assignment in known if assignment.engine is Engine.DIRECT]
    if scope_of(work) == NAMED or _is_licensed_by_name(attempted):
        assignments.append(assignment_by_name(_grants_now(attempted)))
    return [_row(recorded, user, work, assignment, now) for assignment in assignments]


def scope_of(work: Work) -> GroupId | None:
    """Of an operation, the group whose rows it writes, or NAMED if it changes the licenses of named users."""
    operation = work.operation
    if operation is None or operation.target.is_group:
        return work.group_id
    return NAMED if operation.change.changes_intent else None


def _is_licensed_by_name(attempted: Attempted) -> bool:
    by_name = Source(SourceKind.LIST)
    managed = attempted.planned.row.managed.values()
    return any(grant.source == by_name for grant in attempted.planned.grants) or any(
        by_name in o.sources for o in managed
    )


def _unread_row(recorded: Recorded, work: Work, scope: GroupId, now: datetime, before: MemberRow | None) -> MemberRow:
    """The row keeps the result of the last read, and says why this one failed."""
    result = recorded.result
    state = {RetryAt: MemberState.PENDING, Skipped: MemberState.DISABLED}.get(type(result), MemberState.ERROR)
    known = before or MemberRow(scope, recorded.user_id, "", "", state, now)
    if isinstance(result, RetryAt):
        earlier = known.notes if known.next_check_at is None else known.notes[1:]
        known = replace(known, notes=(result.why, *earlier), next_check_at=result.at)
    else:
        problems = result.problems if isinstance(result, Failed) else ()
        state = MemberState.ACTIVE_WITH_ERROR if problems and known.sku_ids else state
        known = replace(known, state=state, problems=problems, notes=(), next_check_at=None, waiting_since=None)
    return replace(
        known,
        updated_at=now,
        attempts=work.attempts.get(recorded.user_id, 0),
        operation_id=work.operation.id if work.operation else None,
    )


def _row(
    recorded: Recorded, user: DirectoryUser, work: Work, assignment: GroupLicenseAssignment, now: datetime
) -> MemberRow:
    attempted, result = recorded.attempted, recorded.result
    group_id, plan, grants = assignment.group_id, attempted.plan, _grants_now(attempted)
    skus = frozenset(sku.sku_id for sku in assignment.skus)
    problems, no_seat = relevant(result, skus), _waiting_for(recorded, skus)
    row, sources = attempted.row, plan.sources if plan else {}
    if plan is not None:
        row = ledger.retag(row, settled_sources(sources, plan.removal_seen_at, grants))
    notes = [note for note in _notes(attempted, grants) if _concerns(note, attempted, assignment)]
    inside = is_inside(user, group_id, grants, now)
    blocked = group_id != NAMED and is_blocked(grants, now)
    owing = owes(row, group_id, user, sources)
    unsettled = isinstance(result, RetryAt) and _is_unsettled(attempted, work, assignment, notes, inside=inside)
    again = result if isinstance(result, RetryAt) and (unsettled or owing) else None
    return MemberRow(
        group_id=group_id,
        user_id=user.id,
        user_principal_name=user.user_principal_name,
        display_name=user.display_name,
        state=state_of(
            user,
            assignment,
            problems,
            inside=inside,
            waiting=bool(no_seat),
            owes=owing,
            blocked=blocked,
            unsettled=unsettled,
        ),
        updated_at=now,
        problems=(*problems, *map(no_seat_problem, no_seat)),
        notes=(
            *((again.why,) if again else ()),
            *((NOT_TO_BE_LICENSED,) if blocked else ()),
            *dict.fromkeys(note_text(note) for note in notes),
        ),
        sku_ids=tuple(sorted(skus & user.direct.keys())),
        attempts=work.attempts.get(user.id, 0),
        next_check_at=again.at if again else None,
        waiting_since=min(row.waiting_since.values(), default=now) if no_seat else None,
        removal_at=grace_ends_at(row, group_id, grants),
        operation_id=work.operation.id if work.operation else None,
        left=not inside,
    )


def _is_unsettled(
    attempted: Attempted, work: Work, assignment: GroupLicenseAssignment, notes: Sequence[Note], *, inside: bool
) -> bool:
    """Whether the next read of a user can change what the user has from the group.

    A read that still shows a membership which an event reported as ended changes nothing here. The user can be in the
    group through a nested one.
    """
    planned, group_id = attempted.planned, assignment.group_id
    if attempted.plan is None or any(note.kind in _UNSETTLED for note in notes):
        return True
    is_expected = work.observed.get(attempted.user_id, {}).get(group_id, False)
    is_doubted = isinstance(planned.result, RetryAt) and group_id == work.group_id
    if not inside and (is_expected or is_doubted):
        return True
    not_sent = attempted.retry is not None or planned.result is not None
    return not_sent and any(assignment.sku(license.sku_id) for license in attempted.plan.add)


def _concerns(note: Note, attempted: Attempted, assignment: GroupLicenseAssignment) -> bool:
    """Whether a note is of a license that the group assigns or assigned. The end of a license concerns the groups that
    no longer assign it. If each still does, one of them turns plans off, and it concerns all of them."""
    source, plan = source_of_scope(assignment.group_id), attempted.plan
    managed = attempted.planned.row.managed.get(note.sku_id)
    if managed is None or note.kind not in _ENDING:
        return assignment.sku(note.sku_id) is not None or (managed is not None and source in managed.sources)
    wanted = plan.sources.get(note.sku_id, ()) if plan else ()
    return source in ([each for each in managed.sources if each not in wanted] or managed.sources)


def _notes(attempted: Attempted, grants: Sequence[Grant]) -> Iterator[Note]:
    """The notes of the plan, and those of licenses that an earlier decision keeps."""
    plan, context = attempted.plan, attempted.planned.context
    yield from plan.notes if plan else ()
    for grant in grants:
        if grant.source.kind is SourceKind.HELD:
            yield Note(NoteKind.HELD, grant.sku_id)
            if context is not None and context.protected:
                yield Note(NoteKind.PROTECTED, grant.sku_id)
        elif grant.source.kind is SourceKind.KEPT and _is_only_kept(plan, grant.sku_id):
            yield Note(NoteKind.KEPT, grant.sku_id)


def _is_only_kept(plan: UserPlan | None, sku_id: SkuId) -> bool:
    return plan is not None and all(source.keeps for source in plan.sources.get(sku_id, ()))


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
