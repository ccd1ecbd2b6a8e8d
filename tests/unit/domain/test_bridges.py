"""Bridge licenses: who gets one, what counts as one, and when it ends."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.assignment import AssignmentState, Engine, GroupLicenseAssignment
from shared.domain.bridges import bridges_for, has_ended, is_bridged
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState, LicenseState, SubscribedSku
from shared.domain.grant import Grant, Source, SourceKind, bridge_of
from shared.domain.ids import NO_PLANS, GroupId, UserId
from shared.domain.operation import LicenseChange
from tests.support.runs import LARGE, MAIL, OTHER_TEAM, SMALL, TEAM

SWAP = LicenseChange((AssignedLicense(LARGE.sku_id),), (SMALL.sku_id,))
WITHOUT_MAIL = frozenset({MAIL})
AFTER = GroupLicenseAssignment(TEAM, engine=Engine.NATIVE, native=(AssignedLicense(LARGE.sku_id),), version=2)
BRIDGE = Grant(SMALL.sku_id, NO_PLANS, bridge_of(TEAM))


def row(
    sku: SubscribedSku, state: str = "Active", error: str | None = None, group: GroupId | None = TEAM, off: bool = False
) -> LicenseAssignmentState:
    return LicenseAssignmentState(
        sku.sku_id, WITHOUT_MAIL if off else NO_PLANS, group, LicenseState.parse(state), error
    )


def a_user(*rows: LicenseAssignmentState, inside: bool = True) -> DirectoryUser:
    groups = frozenset({TEAM} if inside else ())
    return DirectoryUser(UserId("ann"), "ann@fabrikam.example", "Ann", True, "Member", "DE", tuple(rows), groups)


KEPT = row(SMALL, "ActiveWithError", "Other", off=True)
FAILED = row(LARGE, "Error", "MutuallyExclusiveViolation")


@pytest.mark.parametrize(
    ("rows", "gets_one"),
    [
        ((KEPT, FAILED), True),
        ((row(SMALL), row(LARGE)), False),  # nothing is missing
        ((row(SMALL),), False),  # not processed yet
        ((row(SMALL, "Error", "Other"), FAILED), False),  # nothing left to keep
        ((row(SMALL, group=OTHER_TEAM), FAILED), False),  # another group keeps it
    ],
)
def test_only_a_member_in_error_who_still_has_the_former_product_gets_a_bridge(
    rows: tuple[LicenseAssignmentState, ...], gets_one: bool
) -> None:
    found = bridges_for(a_user(*rows), TEAM, SWAP)
    assert found == ((Grant(SMALL.sku_id, rows[0].disabled_plans, bridge_of(TEAM)),) if gets_one else ())


@pytest.mark.parametrize(
    ("direct", "there"),
    [
        ((), False),
        ((row(SMALL, group=None, off=True),), True),
        ((row(SMALL, group=None),), True),
        ((row(SMALL, "Error", "CountViolation", group=None),), False),
        ((row(LARGE, group=None),), False),
    ],
)
def test_a_bridge_is_there_when_the_directory_shows_it_with_the_same_apps(
    direct: tuple[LicenseAssignmentState, ...], there: bool
) -> None:
    assert is_bridged(a_user(KEPT, FAILED, *direct), TEAM, SWAP) is there


def test_without_all_apps_it_is_no_bridge() -> None:
    whole = replace(KEPT, disabled_plans=NO_PLANS)
    assert not is_bridged(a_user(whole, FAILED, row(SMALL, group=None, off=True)), TEAM, SWAP)


def test_a_bridge_ends_with_the_replacement_the_membership_or_the_engine() -> None:
    stays, known = a_user(FAILED, row(SMALL, group=None)), {TEAM: AFTER}
    assert not has_ended(BRIDGE, stays, known)
    assert has_ended(BRIDGE, a_user(row(LARGE)), known)
    assert not has_ended(BRIDGE, a_user(row(LARGE, "ActiveWithError", "Other")), known)
    assert has_ended(BRIDGE, replace(stays, group_ids=frozenset()), known)
    assert has_ended(BRIDGE, stays, {})
    assert has_ended(BRIDGE, stays, {TEAM: GroupLicenseAssignment(TEAM)})
    assert has_ended(BRIDGE, stays, {TEAM: replace(AFTER, state=AssignmentState.ENDED)})
    assert not has_ended(BRIDGE, stays, {TEAM: replace(AFTER, native=())})
    assert not has_ended(replace(BRIDGE, source=Source(SourceKind.LIST)), a_user(row(LARGE)), known)
