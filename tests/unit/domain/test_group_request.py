"""A change decided on what was read of its group: as a value, without a store or a directory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.assignment import AssignmentOptions, GroupLicenseAssignment, OptionsChange, SkuAssignment
from shared.domain.directory import AssignedLicense, DirectoryGroup
from shared.domain.errors import AssignmentError, BadRequest, Outdated
from shared.domain.group_request import GroupRequest, changed, check_version, warnings, with_options
from shared.domain.initiator import Initiator
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from tests.support.builders import CATALOG, E1, E3, GROUP_A, NOW, PHONE, TEAMS, VISIO, plan_id, plans, sku_id

MIA = Initiator("mia", "Mia")
ADD_VISIO = LicenseChange((AssignedLicense(VISIO),))
EMPTY = GroupRequest(
    GroupLicenseAssignment(GROUP_A), None, DirectoryGroup(GROUP_A, "Sales", security_enabled=True), CATALOG
)
MANAGED = replace(
    EMPTY,
    assignment=GroupLicenseAssignment(
        GROUP_A, (SkuAssignment(E3, frozenset(), changed_at=NOW),), AssignmentOptions(priority=3), version=4
    ),
    etag="etag",
)


@pytest.mark.parametrize(
    ("found", "change", "code"),
    [
        (MANAGED, LicenseChange(manage=(sku_id(99),)), "UnknownSku"),
        (
            replace(MANAGED, group=DirectoryGroup(GROUP_A, "Sales", security_enabled=False)),
            ADD_VISIO,
            "GroupNotSecurityEnabled",
        ),
        (
            replace(MANAGED, group=replace(MANAGED.group, native_skus=(AssignedLicense(VISIO),))),
            ADD_VISIO,
            "NativeOverlap",
        ),
        (MANAGED, LicenseChange(remove=(VISIO,)), "SkuNotAssigned"),
        (EMPTY, LicenseChange((AssignedLicense(sku_id(99)),)), "InvalidLicenses"),
        (EMPTY, LicenseChange(enable=(E3,)), "GroupNotManaged"),
        (EMPTY, LicenseChange(), "GroupNotManaged"),
    ],
)
def test_what_is_wrong_with_a_change_on_the_group_is_named(
    found: GroupRequest, change: LicenseChange, code: str
) -> None:
    with pytest.raises(BadRequest) as fault:
        found.check(change)
    assert fault.value.code == code
    assert isinstance(fault.value, AssignmentError) == (code == "InvalidLicenses")


def test_what_microsoft_lists_against_a_change_is_no_fault_of_it_and_is_warned_of() -> None:
    for change in (LicenseChange((AssignedLicense(PHONE),)), LicenseChange((AssignedLicense(E1),))):
        MANAGED.check(change)
    after = changed(MANAGED.assignment, LicenseChange((AssignedLicense(E1),)), CATALOG)
    assert len(warnings(after, LicenseChange((AssignedLicense(E1),)), CATALOG)) == 1
    assert warnings(after, LicenseChange(remove=(E3,)), CATALOG) == ()


def test_only_what_a_request_adds_is_checked() -> None:
    """The group has a product that the tenant lost, and turns off a plan that left its product."""
    gone = SkuAssignment(sku_id(99), frozenset())
    old = SkuAssignment(E3, plans(plan_id(77)))
    found = replace(MANAGED, assignment=replace(MANAGED.assignment, skus=(old, gone)))
    found.check(ADD_VISIO)
    after = changed(found.assignment, ADD_VISIO, CATALOG)
    assert after.skus == (old, SkuAssignment(VISIO, frozenset()), gone)
    again = LicenseChange((AssignedLicense(E3, plans(plan_id(77), TEAMS)),))
    found.check(again)
    with pytest.raises(AssignmentError, match=f"{plan_id(78)} is not part of E3"):
        found.check(LicenseChange((AssignedLicense(E3, plans(plan_id(78))),)))


def test_native_licensing_beside_is_allowed_by_the_option_that_comes_with_the_change() -> None:
    found = replace(MANAGED, group=replace(MANAGED.group, native_skus=(AssignedLicense(VISIO),)))
    request = OperationRequest(Target(GROUP_A), MIA, ADD_VISIO, options=OptionsChange({"allow_native_overlap": True}))
    found.check(found.change_of(request))


def test_options_of_a_request_are_set_in_those_of_the_group_and_the_others_stay() -> None:
    request = OperationRequest(Target(GROUP_A), MIA, ADD_VISIO, options=OptionsChange({"usage_location": "DE"}))
    assert MANAGED.change_of(request).options == AssignmentOptions(priority=3, usage_location="DE")
    assert EMPTY.change_of(request).options == AssignmentOptions(usage_location="DE")
    assert MANAGED.change_of(replace(request, options=None)) == ADD_VISIO


def test_options_alone_make_a_new_version_and_change_no_product() -> None:
    before = replace(MANAGED.assignment, options=AssignmentOptions(include_guests=False))
    later = NOW + timedelta(days=1)
    after = with_options(before, OptionsChange({"grace": timedelta(days=7)}), MIA, later)
    assert (after.version, after.changed_by, after.changed_at) == (5, "Mia", later)
    assert (after.options.grace, after.options.include_guests) == (timedelta(days=7), False)
    assert after.skus == before.skus


def test_a_removal_allowance_of_the_group_needs_a_reason() -> None:
    before, later = MANAGED.assignment, NOW + timedelta(days=1)
    for reason in ({}, {"removal_allowance_reason": "  "}):
        with pytest.raises(BadRequest, match="needs a reason"):
            with_options(before, OptionsChange({"removal_allowance": 300, **reason}), MIA, later)
    named = {"removal_allowance": 300, "removal_allowance_reason": "The term ends"}
    after = with_options(before, OptionsChange(named), MIA, later)
    assert (after.options.removal_allowance, after.options.removal_allowance_reason) == (300, "The term ends")
    again = with_options(after, OptionsChange({"removal_allowance": None}), MIA, later)
    assert (again.options.removal_allowance, again.options.removal_allowance_reason) == (None, "")


def test_another_version_than_the_caller_saw_is_outdated() -> None:
    check_version(MANAGED.assignment, None)
    check_version(MANAGED.assignment, 4)
    with pytest.raises(Outdated, match="at version 4, not 3"):
        check_version(MANAGED.assignment, 3)
