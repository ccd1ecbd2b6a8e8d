"""What the soak counts as taken from a person."""

from __future__ import annotations

from typing import Any

from tests.soak.removals import Removal, removals, without_permit

PLANS = {"suite": ("mail", "office", "power-bi"), "power-bi": ("power-bi",), "visio": ("visio",)}


def written(before: dict[str, list[str]], after: dict[str, list[str]], **other: str) -> dict[str, Any]:
    return {
        "appId": "app",
        "operation": "assignLicense",
        "userId": "ada",
        "before": before,
        "after": after,
        **other,
    }


def found(*writes: dict[str, Any]) -> list[Removal]:
    return list(removals(writes, "app", PLANS))


def test_a_removed_product_loses_its_plans() -> None:
    assert found(written({"visio": [], "suite": []}, {"suite": []})) == [
        Removal("ada", "visio", True, frozenset({"visio"}))
    ]


def test_nothing_is_lost_that_another_product_keeps_on() -> None:
    assert found(written({"power-bi": [], "suite": []}, {"suite": []})) == [
        Removal("ada", "power-bi", True, frozenset())
    ]


def test_a_plan_that_is_off_in_the_other_product_is_lost() -> None:
    [removal] = found(written({"power-bi": [], "suite": ["power-bi"]}, {"suite": ["power-bi"]}))
    assert removal.lost == {"power-bi"}


def test_a_plan_that_is_turned_off_is_lost() -> None:
    assert found(written({"suite": ["mail"]}, {"suite": ["mail", "office"]})) == [
        Removal("ada", "suite", False, frozenset({"office"}))
    ]


def test_additions_and_plans_turned_on_take_nothing() -> None:
    assert found(written({"suite": ["mail"]}, {"suite": [], "visio": []})) == []


def test_writes_of_others_and_other_writes_do_not_count() -> None:
    gone = written({"visio": []}, {})
    assert found({**gone, "appId": "administrator"}, {**gone, "operation": "usageLocation"}) == []


def test_only_a_loss_needs_a_permit_and_only_for_its_own_product() -> None:
    lost = Removal("ada", "visio", True, frozenset({"visio"}))
    harmless = Removal("ada", "power-bi", True, frozenset())
    assert without_permit([lost, harmless], {("ada", "suite"), ("bob", "visio")}) == [lost]
    assert without_permit([lost, harmless], {("ada", "visio")}) == []
