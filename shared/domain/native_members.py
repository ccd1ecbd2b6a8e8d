"""The status rows of members whose licenses Microsoft's own group-based licensing assigns.

Of a group's products, a member gets all or none. Those that are not at fault show `Other`
(learn.microsoft.com/entra/fundamentals/licensing-groups-resolve-problems), so here they name the products that are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryUser, LicenseAssignmentState, LicenseError, LicenseState
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import GroupId, SkuId
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.read_models import MemberRow

NESTED_ONLY = "nestedOnly"
"""The note of a member who belongs only to a group inside the licensed one."""

NOT_PROCESSED = "notProcessedYet"
"""The note of a member whom Microsoft's licensing has not processed yet, which can take a day."""

THEN_REPROCESS = "Then reprocess the member: Microsoft's licensing does not try again."
DIAGNOSE = "Microsoft Graph gives no reason here. Diagnose the member to read it, correct it, and reprocess the member."
HELD_BACK = "Correct the error of the other product. Microsoft's licensing assigns all products of the group, or none."
NOT_ASSIGNED = "Not assigned, because another product of the group could not be assigned."
STILL_ASSIGNED = "Still assigned, but another product of the group could not be assigned."
"""Microsoft's page says only that other products are not assigned; some of them can be there from before."""

_CODES = {each.value: each for each in LicenseError}


def from_group(user: DirectoryUser, group_id: GroupId) -> tuple[LicenseAssignmentState, ...]:
    """The licenses of a user from a group, one row for each product."""
    return tuple(row for row in user.license_assignment_states if row.assigned_by_group == group_id)


def watched_row(
    user: DirectoryUser, assignment: GroupLicenseAssignment, now: datetime, *, inside: bool = True
) -> MemberRow:
    """The row of a member of a watched group. `inside`: still a direct member; what cannot be removed stays listed."""
    own = from_group(user, assignment.group_id)
    state = _state(own, {each.sku_id for each in assignment.native}, inside=inside)
    wrong = [row for row in own if row.error or row.state is LicenseState.ERROR]
    return MemberRow(
        assignment.group_id,
        user.id,
        user.user_principal_name,
        user.display_name,
        state,
        now,
        problems=problems_of(wrong),
        notes=(NOT_PROCESSED,) if state is MemberState.PENDING else (),
        sku_ids=tuple(sorted(row.sku_id for row in own if row.state.counts)),
        left=not inside,
        engine=assignment.engine,
        since=min((row.last_updated for row in wrong or own if row.last_updated), default=None),
    )


def unreachable_row(user: DirectoryUser, assignment: GroupLicenseAssignment, now: datetime) -> MemberRow:
    """The row of a user who belongs only to a group inside the licensed one."""
    return MemberRow(
        assignment.group_id,
        user.id,
        user.user_principal_name,
        user.display_name,
        MemberState.UNREACHABLE,
        now,
        notes=(NESTED_ONLY,),
        engine=assignment.engine,
    )


def _state(own: Sequence[LicenseAssignmentState], products: set[SkuId], *, inside: bool) -> MemberState:
    states = {row.state for row in own}
    has_some = any(row.state.counts for row in own)
    if any(row.error for row in own) or LicenseState.ERROR in states:
        return MemberState.ACTIVE_WITH_ERROR if has_some else MemberState.ERROR
    if not inside and not own:
        return MemberState.REMOVED
    if not products <= {row.sku_id for row in own}:
        return MemberState.PENDING
    return MemberState.ACTIVE if states <= {LicenseState.ACTIVE} else MemberState.DISABLED


def problems_of(wrong: Iterable[LicenseAssignmentState]) -> tuple[Problem, ...]:
    """One problem for each product with an error. A product without an error of its own names those that have one."""
    rows = sorted(wrong, key=lambda row: row.sku_id)
    culprits = tuple(row.sku_id for row in rows if error_of(row) is not LicenseError.OTHER)
    return tuple(_problem(row, culprits) for row in rows)


def _problem(row: LicenseAssignmentState, culprits: tuple[SkuId, ...]) -> Problem:
    error = error_of(row)
    if error is LicenseError.OTHER and culprits:
        text = STILL_ASSIGNED if row.state.counts else NOT_ASSIGNED
        return Problem(error, text, HELD_BACK, row.sku_id, culprits)
    text = f"Microsoft's licensing reports {row.error or error} for this product."
    remedy = DIAGNOSE if error is LicenseError.OTHER else f"{remedy_for(error)} {THEN_REPROCESS}"
    return Problem(error, text, remedy, row.sku_id)


def error_of(row: LicenseAssignmentState) -> LicenseError:
    """The error of a row. Names that no list has, such as Others, say as little as Other."""
    return _CODES.get(row.error or "", LicenseError.OTHER)


def next_round(
    rows: Iterable[MemberRow], available: Mapping[SkuId, int], began: datetime, most: int
) -> tuple[MemberRow, ...]:
    """Members to process again now, the longest in error first, without those that were since the run began.

    `available`: licenses left of each product. A member who lacks some takes one of each, so no more are taken than
    there are licenses: Microsoft's licensing does not say for whom it has none.
    """
    left, found = dict(available), list[MemberRow]()
    open_rows = [row for row in rows if row.diagnosis is None or row.diagnosis.at < began]
    for row in sorted(open_rows, key=lambda row: (row.since or row.updated_at, row.user_id)):
        short = [p.sku_id for p in row.problems if p.error is LicenseError.COUNT_VIOLATION and p.sku_id is not None]
        if len(found) == most:
            break
        if all(left.get(sku_id, 0) > 0 for sku_id in short):
            left.update({sku_id: left[sku_id] - 1 for sku_id in short})
            found.append(row)
    return tuple(found)
