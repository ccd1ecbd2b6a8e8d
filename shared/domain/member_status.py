"""The status shown for one member of a managed group."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.desired_licenses import exclusion_of
from shared.domain.directory import DirectoryUser, LicenseError
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import GroupId, SkuId
from shared.domain.ledger_row import LedgerRow
from shared.domain.outcomes import Failed, Problem, Result, RetryAt
from shared.domain.plan_draft import Note
from shared.domain.removals import pending_skus


class MemberState(StrEnum):
    """The state that is shown for one (group, user): Graph's four words, and three of this app."""

    ACTIVE = "Active"
    ACTIVE_WITH_ERROR = "ActiveWithError"
    DISABLED = "Disabled"
    ERROR = "Error"
    PENDING = "Pending"
    WAITING = "Waiting"
    REMOVED = "Removed"

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
    result: Result,
    user: DirectoryUser,
    assignment: GroupLicenseAssignment,
    problems: tuple[Problem, ...],
    *,
    waiting: bool,
    owes: bool,
    blocked: bool = False,
) -> MemberState:
    """The state of a member of a group after a reconciliation. `owes`: has a managed license from the group.
    `blocked`: must not be licensed."""
    if isinstance(result, RetryAt):
        return MemberState.PENDING
    if problems:
        has_some = any(sku.sku_id in user.direct for sku in assignment.skus)
        return MemberState.ACTIVE_WITH_ERROR if has_some else MemberState.ERROR
    if waiting:
        return MemberState.WAITING
    return resting_state(user, assignment, owes=owes, blocked=blocked)


def owes(row: LedgerRow, group_id: GroupId, grants: Iterable[Grant], due: Iterable[str]) -> bool:
    """Whether the user has a license of ours that came from the group and only waits for its end: it is held, in grace,
    or due to go. `due`: keys of removals that a read found due, of whole SKUs or of single service plans."""
    source = Source(SourceKind.GROUP, group_id)
    ending = {grant.sku_id for grant in grants if grant.source.kind in (SourceKind.HELD, SourceKind.GRACE)}
    ending |= pending_skus(due)
    return any(source in license.sources for sku_id, license in row.owned.items() if sku_id in ending)


def grace_ends_at(row: LedgerRow, group_id: GroupId, grants: Iterable[Grant]) -> datetime | None:
    """When the first license of ours that came from the group and is in grace goes."""
    source = Source(SourceKind.GROUP, group_id)
    ours = {sku_id for sku_id, license in row.owned.items() if source in license.sources}
    ends = [grant.until for grant in grants if grant.source.kind is SourceKind.GRACE and grant.sku_id in ours]
    return min((end for end in ends if end is not None), default=None)


def resting_state(
    user: DirectoryUser, assignment: GroupLicenseAssignment, *, owes: bool = False, blocked: bool = False
) -> MemberState:
    """The state of a member without a problem and without pending work.

    A former member is `Removed` only when no license from the group remains.
    """
    if assignment.group_id not in user.group_ids or not assignment.skus:
        return MemberState.PENDING if owes else MemberState.REMOVED
    excluded = exclusion_of(user, assignment, blocked=blocked)
    return MemberState.ACTIVE if excluded is None else MemberState.DISABLED


def note_text(note: Note) -> str:
    """A note in a form for reading back: kind, SKU, plans."""
    return " ".join([str(note.kind), note.sku_id, *sorted(note.plans)])
