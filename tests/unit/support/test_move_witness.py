"""The witness of moves sees each gap, each license too many, and each wrong line of a report."""

from __future__ import annotations

from typing import Any

from tests.move_stack.witness import Moment, Row, Witness, differences, expected_report, plans_on

PLANS = {"a": frozenset({"a1", "a2"}), "b": frozenset({"b1"})}
GROUP = "group"
NATIVE = Row("a", "Active", frozenset({"a2"}), GROUP)
DIRECT = Row("a", "Active", frozenset({"a2"}), None)


def entry(at: float, user: str, *rows: Row) -> list[Any]:
    return [at, user, [[row.sku_id, row.state, sorted(row.off), row.group] for row in rows]]


def witness() -> Witness:
    found = Witness(PLANS, {"ann": (NATIVE,), "bob": (NATIVE,), "cem": ()})
    found.keep()
    return found


def test_plans_are_on_if_any_counting_source_has_them_on() -> None:
    whole = Row("a", "ActiveWithError", frozenset(), None)
    failed = Row("b", "Error", frozenset(), GROUP)
    assert plans_on((NATIVE, whole, failed), PLANS) == {"a": frozenset({"a1", "a2"})}


def test_a_second_source_before_the_first_one_ends_is_no_gap() -> None:
    found = witness()
    found.follow([entry(1, "ann", NATIVE, DIRECT), entry(2, "ann", DIRECT)])
    found.end(99)
    assert (found.gaps, found.gap_seconds, found.most_used["a"]) == (0, 0.0, 2)


def test_a_gap_counts_from_its_change_to_the_one_that_ends_it() -> None:
    found = witness()
    found.follow([entry(10, "ann"), entry(14.5, "ann", DIRECT), entry(20, "bob", DIRECT._replace(off=PLANS["a"]))])
    found.end(23)
    assert (found.gaps, found.gap_seconds) == (2, 7.5)
    assert len(found.examples) == 2


def test_a_gap_of_no_time_is_seen_and_a_released_person_has_none() -> None:
    found = witness()
    found.release("bob")
    found.follow([entry(10, "ann"), entry(10, "ann", DIRECT), entry(11, "bob")])
    found.end(99)
    assert (found.gaps, found.gap_seconds) == (1, 0.0)


def test_the_most_licenses_in_use_are_kept_and_a_user_with_two_sources_uses_one() -> None:
    found = witness()
    found.follow([entry(1, "cem", DIRECT), entry(2, "ann", NATIVE, DIRECT), entry(3, "cem")])
    assert (found.used["a"], found.most_used["a"]) == (2, 3)


def test_the_report_is_computed_from_two_directories_and_each_difference_is_named() -> None:
    def directory(members: list[str], **rows: list[Row]) -> dict[str, Any]:
        users = [
            {
                "id": name,
                "deleted": False,
                "licenseAssignmentStates": [
                    {"skuId": r.sku_id, "state": r.state, "disabledPlans": sorted(r.off), "assignedByGroup": r.group}
                    for r in each
                ],
            }
            for name, each in rows.items()
        ]
        return {"users": users, "groups": [{"id": GROUP, "members": members}, {"id": "in", "members": ["cem"]}]}

    before = Moment.of(directory(["ann", "bob", "in"], ann=[NATIVE], bob=[NATIVE], cem=[]), GROUP)
    now = Moment.of(directory(["ann", "dan", "in"], ann=[DIRECT], bob=[], cem=[DIRECT], dan=[]), GROUP)
    expected = expected_report(before, now, GROUP, ["a"], PLANS)
    assert {name: each.outcome for name, each in expected.items()} == {
        "ann": "kept",
        "bob": "left",
        "cem": "gained",
        "dan": "joined",
    }
    assert (expected["ann"].before, expected["ann"].after) == (
        {"a": frozenset({"native"})},
        {"a": frozenset({"direct"})},
    )
    assert differences(expected, expected) == []
    assert differences({**expected, "eve": expected["ann"]}, expected) == ["eve is no member"]
    assert len(differences({"ann": expected["cem"], "bob": expected["bob"], "cem": expected["cem"]}, expected)) == 2
