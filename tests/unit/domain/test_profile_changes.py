"""Which changes of a profile another person must approve, and what they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.ids import GroupId
from shared.domain.profile_changes import changes, reasons_to_approve
from shared.domain.profiles import Profile

SALES, LABS = GroupId("g-sales"), GroupId("g-labs")
OLD = Profile("sales", match={"department": ("Sales", "Field"), "country": ("DE",)}, groups=(SALES,))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"groups": (SALES, LABS)}, ["adds groups: g-labs"]),
        ({"selectable": True}, ["selectable"]),
        ({"match": {"department": ("Sales", "Field", "*"), "country": ("DE",)}}, ["did not match before"]),
        ({"match": {"department": ("Sales",)}}, ["did not match before"]),
        ({"match": {"jobTitle": ("Clerk",)}, "groups": (LABS,)}, ["adds groups", "did not match before"]),
    ],
)
def test_what_could_give_more_needs_another_person(changed: dict[str, Any], words: list[str]) -> None:
    reasons = reasons_to_approve(OLD, replace(OLD, **changed))
    assert [word in reason for word, reason in zip(words, reasons, strict=True)] == [True] * len(words)


@pytest.mark.parametrize(
    "changed",
    [
        {"groups": ()},
        {"match": {}},
        {"match": {"department": ("Sales",), "country": ("DE",)}},
        {"match": {"department": ("Sales", "Field"), "country": ("DE",), "jobTitle": ("Clerk",)}},
        {"display_name": "Sales", "priority": 5, "exclusive": True, "usage_location": "DE"},
    ],
)
def test_what_gives_less_or_the_same_does_not(changed: dict[str, Any]) -> None:
    assert reasons_to_approve(OLD, replace(OLD, **changed)) == ()
    assert reasons_to_approve(replace(OLD, selectable=True), replace(OLD, **changed)) == ()


def test_a_new_profile_needs_another_person_unless_it_gives_nothing_to_anyone() -> None:
    assert len(reasons_to_approve(None, OLD)) == 2
    assert reasons_to_approve(None, Profile("empty")) == ()


def test_the_changes_are_shown_field_by_field() -> None:
    assert changes(OLD, replace(OLD, priority=3, groups=(SALES, LABS))) == [
        ("groups", '["g-sales"]', '["g-labs", "g-sales"]'),
        ("priority", "0", "3"),
    ]
    assert ("selectable", "null", "false") in changes(None, OLD)
