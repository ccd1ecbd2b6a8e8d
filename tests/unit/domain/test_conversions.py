"""Which unmanaged direct licenses are converted in a move to native licensing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from shared.domain.assignment import GroupLicenseAssignment, SkuAssignment
from shared.domain.conversions import with_converted
from shared.domain.directory import DirectoryUser, LicenseAssignmentState, LicenseState
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import NO_PLANS, Plans, UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.native_handover import NativeHandover
from tests.support.runs import MAIL, SMALL, TEAM

NOW = datetime(2026, 1, 5, tzinfo=UTC)
ANN = UserId("ann")
ROW = LedgerRow(ANN)


def assignment(*convert: UserId, percent: int = 100) -> GroupLicenseAssignment:
    skus = (SkuAssignment(SMALL.sku_id, frozenset({MAIL})),)
    return GroupLicenseAssignment(
        TEAM, skus, version=3, handover=NativeHandover(percent=percent, convert=frozenset(convert))
    )


def a_user(native: LicenseState | None = LicenseState.ACTIVE, off: Plans = frozenset({MAIL})) -> DirectoryUser:
    """Ann has SMALL directly without mail, and from the group with `off`."""
    rows = [LicenseAssignmentState(SMALL.sku_id, frozenset({MAIL}), last_updated=NOW)]
    if native is not None:
        rows.append(LicenseAssignmentState(SMALL.sku_id, off, TEAM, native))
    return DirectoryUser(ANN, "ann@fabrikam.example", "Ann", True, "Member", "DE", tuple(rows), frozenset({TEAM}))


def test_a_listed_and_covered_license_becomes_that_of_the_group() -> None:
    found = with_converted(ROW, a_user(), {TEAM: assignment(ANN)}, NOW)
    assert found.managed[SMALL.sku_id].sources == (Source(SourceKind.GROUP, TEAM),)
    assert not found.managed[SMALL.sku_id].unclear
    assert with_converted(found, a_user(), {TEAM: assignment(ANN)}, NOW) is found


def test_everything_else_stays_unmanaged() -> None:
    for person, known in (
        (a_user(), assignment()),  # not listed
        (a_user(), assignment(ANN, percent=0)),  # not this member's turn
        (a_user(native=None), assignment(ANN)),  # not processed yet
        (a_user(LicenseState.ACTIVE_WITH_ERROR), assignment(ANN)),
        (replace(a_user(), group_ids=frozenset()), assignment(ANN)),  # left the group
    ):
        assert with_converted(ROW, person, {TEAM: known}, NOW) is ROW


def test_a_direct_license_with_more_apps_than_the_native_one_stays_unmanaged() -> None:
    rows = list(a_user().license_assignment_states)
    rows[0] = replace(rows[0], disabled_plans=NO_PLANS)
    more = replace(a_user(), license_assignment_states=tuple(rows))
    assert with_converted(ROW, more, {TEAM: assignment(ANN)}, NOW) is ROW
