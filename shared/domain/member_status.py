"""The status shown for one member of a managed group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

from shared.domain.assignment import AssignmentState, Enforcement, GroupLicenseAssignment, is_active
from shared.domain.desired_licenses import exclusion_of
from shared.domain.directory import DirectoryUser, LicenseError
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import GroupId, SkuId
from shared.domain.ledger_row import LedgerRow
from shared.domain.named_users import NAMED, source_of_scope
from shared.domain.outcomes import Failed, Problem, Result
from shared.domain.plan_draft import Note


class MemberState(StrEnum):
    """The state that is shown for one (group, user): Graph's four words, and four of this app."""

    ACTIVE = "Active"
    ACTIVE_WITH_ERROR = "ActiveWithError"
    DISABLED = "Disabled"
    ERROR = "Error"
    PENDING = "Pending"
    WAITING = "Waiting"
    REMOVED = "Removed"
    UNREACHABLE = "Unreachable"
    """Only in a group inside this one: Microsoft's licensing does not license such members."""

    @property
    def needs_a_person(self) -> bool:
        """Whether the member is in the group's list of errors and waiting members."""
        return self in (MemberState.ACTIVE_WITH_ERROR, MemberState.ERROR, MemberState.WAITING)


def no_seat_problem(sku_id: SkuId) -> Problem:
    """The problem that is shown for a waiting member."""
    error = LicenseError.COUNT_VIOLATION
    return Problem(error, "No seat of this product is free; the user waits for one.", remedy_for(error), sku_id)


def relevant(result: Result, skus: frozenset[SkuId]) -> tuple[Problem, ...]:
    """The problems that concern a group: those of its SKUs, and those of the user as a whole."""
    if not isinstance(result, Failed):
        return ()
    return tuple(problem for problem in result.problems if problem.sku_id is None or problem.sku_id in skus)


def state_of(
    user: DirectoryUser,
    assignment: GroupLicenseAssignment,
    problems: tuple[Problem, ...],
    *,
    inside: bool,
    waiting: bool,
    owes: bool,
    blocked: bool = False,
    unsettled: bool = False,
) -> MemberState:
    """The word for a member of a group, by what the directory shows of the user.

    `inside`: a member, see `is_inside`. `owes`: see `owes`. `blocked`: is not to be licensed. `unsettled`: the
    next read can change what the user has from the group.
    """
    if unsettled:
        return MemberState.PENDING
    if problems:
        has_some = any(sku.sku_id in user.direct for sku in assignment.skus)
        return MemberState.ACTIVE_WITH_ERROR if has_some else MemberState.ERROR
    if waiting:
        return MemberState.WAITING
    excluded = exclusion_of(user, assignment, blocked=blocked)
    if inside and excluded is None and is_active(assignment):
        return _licensed_state(user, assignment)
    if owes and assignment.state is not AssignmentState.NOT_MANAGED:
        return MemberState.PENDING
    return MemberState.DISABLED if inside and is_active(assignment) else MemberState.REMOVED


def _licensed_state(user: DirectoryUser, assignment: GroupLicenseAssignment) -> MemberState:
    """Whether a member has every license that the group assigns. One whose operation was cancelled is not assigned."""
    by_native = assignment.options.count_inherited or assignment.is_handed_over(user)
    has = {*user.direct, *(user.inherited if by_native else ())}
    asked = {sku.sku_id for sku in assignment.skus if sku.enforcement is not Enforcement.CANCELLED}
    if not asked <= has:
        return MemberState.PENDING
    return MemberState.ACTIVE if any(sku.sku_id in has for sku in assignment.skus) else MemberState.DISABLED


def is_inside(user: DirectoryUser, group_id: GroupId, grants: Iterable[Grant], now: datetime) -> bool:
    """Whether the user is a member of the group, or is licensed by name. A membership that HR has just written counts,
    although no read shows it yet."""
    joined = Source(SourceKind.LIST) if group_id == NAMED else Source(SourceKind.JOINED, group_id)
    return group_id in user.group_ids or any(grant.source == joined and grant.holds_at(now) for grant in grants)


def owes(row: LedgerRow, group_id: GroupId, user: DirectoryUser, sources: Mapping[SkuId, Sequence[Source]]) -> bool:
    """Whether the directory still shows a managed license that came from the group and that it no longer assigns.

    `sources`: what assigns each license now. The license is held, kept, in grace, or due to go.
    """
    source = source_of_scope(group_id)
    return any(
        source in license.sources and source not in sources.get(sku_id, ()) and sku_id in user.assigned
        for sku_id, license in row.managed.items()
    )


def grace_ends_at(row: LedgerRow, group_id: GroupId, grants: Iterable[Grant]) -> datetime | None:
    """When the first managed license that came from the group and is in grace goes."""
    source = source_of_scope(group_id)
    managed = {sku_id for sku_id, license in row.managed.items() if source in license.sources}
    ends = [grant.until for grant in grants if grant.source.kind is SourceKind.GRACE and grant.sku_id in managed]
    return min((end for end in ends if end is not None), default=None)


def note_text(note: Note) -> str:
    """A note in a form for reading back: kind, SKU, plans."""
    return " ".join([str(note.kind), note.sku_id, *sorted(note.plans)])
