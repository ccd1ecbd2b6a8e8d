"""Which changes of a profile another person must approve, and what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, ServicePlanId, SkuId
from shared.domain.profile_changes import changes, reasons_to_approve
from shared.domain.profiles import Profile

SALES, LABS = GroupId("g-sales"), GroupId("g-labs")
E3, E5 = AssignedLicense(SkuId("e3")), AssignedLicense(SkuId("e5"))
MATCH = {"department": ("Sales", "Field"), "country": ("DE",)}
OLD = Profile("sales", match=MATCH, groups=(SALES,), licenses=(E5,))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"groups": (SALES, LABS)}, ["adds groups: g-labs"]),
        ({"selectable": True}, ["selectable"]),
        ({"match": {"department": ("Sales", "Field", "*"), "country": ("DE",)}}, ["did not match before"]),
        ({"match": {"department": ("Sales",)}}, ["did not match before"]),
        ({"match": {"jobTitle": ("Clerk",)}, "groups": (LABS, SALES)}, ["adds groups", "did not match before"]),
        ({"groups": ()}, ["removes groups: g-sales"]),
        ({"groups": (LABS,)}, ["adds groups: g-labs", "removes groups: g-sales"]),
        ({"match": {}}, ["no longer matches"]),
        ({"match": {"department": ("Sales",), "country": ("DE",)}}, ["no longer matches"]),
        ({"match": {**OLD.match, "jobTitle": ("Clerk",)}}, ["no longer matches"]),
        ({"licenses": (E3,)}, ["changes licenses"]),
        ({"licenses": (replace(E5, disabled_plans=frozenset({ServicePlanId("plan")})),)}, ["changes licenses"]),
        ({"priority": 5}, ["priority"]),
        ({"exclusive": True}, ["exclusive"]),
        ({"usage_location": "DE"}, ["usage location"]),
        ({"usage_location": "DE", "priority": 5, "exclusive": True}, ["usage location", "priority", "exclusive"]),
    ],
)
def test_whatever_changes_what_people_get_needs_another_person(changed: dict[str, Any], words: list[str]) -> None:
    reasons = reasons_to_approve(OLD, replace(OLD, **changed))
    assert [word in reason for word, reason in zip(words, reasons, strict=True)] == [True] * len(words)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"display_name": "Sales"},
        {"match": {"country": ("DE",), "department": ("Field", "Sales")}},
        {"groups": (SALES, SALES), "licenses": (E5, E5)},
    ],
)
def test_a_change_of_text_or_order_does_not(changed: dict[str, Any]) -> None:
    assert reasons_to_approve(OLD, replace(OLD, **changed)) == ()


def test_a_profile_that_can_no_longer_be_named_needs_another_person_too() -> None:
    (reason,) = reasons_to_approve(replace(OLD, selectable=True), OLD)
    assert "no longer selectable" in reason


def test_a_deletion_needs_another_person_unless_the_profile_gives_nothing() -> None:
    (reason,) = reasons_to_approve(OLD, None)
    assert "deleted" in reason
    assert reasons_to_approve(Profile("empty", display_name="Empty"), None) == ()
    assert ("groups", '["g-sales"]', "null") in changes(OLD, None)


def test_a_new_profile_needs_another_person_unless_it_gives_nothing_to_anyone() -> None:
    assert len(reasons_to_approve(None, OLD)) == 3
    assert reasons_to_approve(None, Profile("empty")) == ()


def test_the_changes_are_shown_field_by_field() -> None:
    assert changes(OLD, replace(OLD, priority=3, groups=(SALES, LABS))) == [
        ("groups", '["g-sales"]', '["g-labs", "g-sales"]'),
        ("priority", "0", "3"),
    ]
    assert ("selectable", "null", "false") in changes(None, OLD)
