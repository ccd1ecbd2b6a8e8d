"""The oracle of the end-to-end tests: it says nothing of a right directory, and names each way of being wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from local.tenant.directory.catalog import Catalog
from tests.support.oracle import Act, Oracle, holdings

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
E5 = "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
F1 = "66b55226-6b4f-492c-910c-a3b7a3c9d993"
TEAMS = "57ff2da0-773e-42df-b2af-ffb7a2317929"

CATALOG = Catalog()
PLANS = {sku: {plan.id: plan.name for plan in CATALOG.products[sku].plans} for sku in (E3, E5, F1)}
TABLES: dict[str, Any] = {
    "plans": PLANS,
    "companyPlans": ["113feb6c-3fe4-4440-bddc-54d774bf0318"],
    "exclusions": [sorted(pair) for pair in CATALOG.exclusions("since2023")],
    "dependencies": [],
}

Directory = dict[str, Any]


def row(sku: str, disabled: tuple[str, ...] = (), group: str | None = None, state: str = "Active") -> dict[str, Any]:
    return {"skuId": sku, "disabledPlans": list(disabled), "assignedByGroup": group, "state": state}


def user(name: str, *rows: dict[str, Any], location: str | None = "DE", **more: Any) -> dict[str, Any]:
    licenses = [dict(each) for each in rows]
    return {"id": name, "usageLocation": location, "deleted": False, "licenseAssignmentStates": licenses, **more}


def directory(*users: dict[str, Any], free: int = 5) -> Directory:
    groups = [
        {"id": "top", "members": ["inner", *[each["id"] for each in users[1:]]]},
        {"id": "inner", "members": [users[0]["id"], "top"]},
    ]
    units = {"enabled": 100, "warning": 0}
    skus = [
        {"skuId": sku, "appliesTo": "User", "prepaidUnits": units, "consumedUnits": 100 - free} for sku in (E3, E5, F1)
    ]
    return {"users": list(users), "groups": groups, "subscribedSkus": skus, "tables": TABLES}


def changed(found: Directory, name: str, change: Callable[[dict[str, Any]], object]) -> Directory:
    copied = copy.deepcopy(found)
    change(next(each for each in copied["users"] if each["id"] == name))
    return copied


def licensed() -> tuple[Oracle, Directory]:
    """Two members, one nested and one with a foreign and an inherited license, both given E3 rightly."""
    unmanaged, inherited = row(F1, tuple(PLANS[F1])), row(E5, tuple(PLANS[E5]), "native")
    oracle = Oracle(directory(user("ann", location=None), user("bob", unmanaged, inherited)))
    oracle.act(Act("top", {E3: (TEAMS,)}))
    after = directory(user("ann", row(E3, (TEAMS,))), user("bob", unmanaged, inherited, row(E3, (TEAMS,))))
    return oracle, after


def test_a_right_directory_is_right_through_nesting_and_cycles() -> None:
    oracle, after = licensed()
    assert oracle.disagreements(after) == []
    assert oracle.in_error(after, "top") == {}


WRONGS: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "is missing": ("ann", lambda u: u["licenseAssignmentStates"].clear()),
    "off, must be": ("ann", lambda u: u["licenseAssignmentStates"][0]["disabledPlans"].clear()),
    "was not removed": ("ann", lambda u: u["licenseAssignmentStates"].append(row(E5))),
    "without a usage location": ("ann", lambda u: u.update(usageLocation=None)),
    "must be DE": ("ann", lambda u: u.update(usageLocation="US")),
    "changed from DE": ("bob", lambda u: u.update(usageLocation="US")),
    f"foreign {F1} was removed": ("bob", lambda u: u["licenseAssignmentStates"].pop(0)),
    f"foreign {F1} was changed": ("bob", lambda u: u["licenseAssignmentStates"][0]["disabledPlans"].pop()),
    "inherited licenses were changed": ("bob", lambda u: u["licenseAssignmentStates"].pop(1)),
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_each_way_of_being_wrong_is_named_for_its_user_only(wrong: str) -> None:
    oracle, after = licensed()
    name, change = WRONGS[wrong]
    (found,) = oracle.disagreements(changed(after, name, change))
    assert found.startswith(name)
    assert wrong in found


def test_a_user_who_is_gone_and_a_location_nobody_asked_for_are_wrong() -> None:
    oracle = Oracle(directory(user("ann"), user("bob", location=None)))
    after = changed(directory(user("ann"), user("bob", location=None)), "bob", lambda u: u.update(usageLocation="DE"))
    after["users"].pop(0)
    assert sorted(oracle.disagreements(after)) == [
        "ann: is gone",
        "bob: usage location was set of somebody nobody asked about",
    ]


def test_without_seats_a_missing_license_is_excused_and_its_predecessor_stays() -> None:
    oracle = Oracle(directory(user("ann"), user("bob"), free=0))
    oracle.act(Act("top", {E3: ()}))
    oracle.act(Act("top", {E5: ()}, [E3]))
    swapped = directory(user("ann", row(E3)), user("bob", row(E5)), free=0)
    assert oracle.disagreements(swapped) == []
    assert oracle.in_error(swapped, "top") == {"ann": {"CountViolation"}}
    assert len(oracle.disagreements(directory(user("ann", row(E3)), user("bob", row(E5)), free=1))) == 1
    both = directory(user("ann", row(E3), row(E5)), user("bob", row(E5)), free=0)
    assert oracle.disagreements(both) == [f"ann: {E3} was not removed"]


def test_only_a_conflict_with_what_stays_is_an_excuse() -> None:
    unmanaged = Oracle(directory(user("ann", row(F1)), user("bob")))
    unmanaged.act(Act("top", {E3: ()}))
    conflict = directory(user("ann", row(F1)), user("bob", row(E3)))
    assert unmanaged.disagreements(conflict) == []
    assert unmanaged.in_error(conflict, "top") == {"ann": {"MutuallyExclusiveViolation"}}
    managed = Oracle(directory(user("ann"), user("bob")))
    managed.act(Act("top", {F1: ()}))
    managed.act(Act("top", {E3: ()}, [F1]))
    assert managed.disagreements(conflict) == [f"ann: {E3} is missing"]


def test_an_unmanaged_license_with_a_plan_off_that_is_granted_is_in_error_and_left_alone() -> None:
    oracle = Oracle(directory(user("ann", row(E3, (TEAMS,))), user("bob")))
    oracle.act(Act("top", {E3: ()}))
    after = directory(user("ann", row(E3, (TEAMS,))), user("bob", row(E3)))
    assert oracle.disagreements(after) == []
    assert oracle.in_error(after, "top") == {"ann": {"foreign"}}


def test_what_is_taken_back_must_go_and_what_another_group_gives_must_stay() -> None:
    oracle = Oracle(directory(user("ann"), user("bob")))
    oracle.give(["ann", "bob"], E3)
    oracle.act(Act("inner", {E3: ()}))
    oracle.take(["ann", "bob"], E3)
    oracle.before["out"] = user("out")
    oracle.give(["out"], E3)
    oracle.take(["out"], E3)
    after = directory(user("ann", row(E3)), user("bob", row(E3)))
    after["users"].append(user("out", row(E3)))
    assert oracle.disagreements(after) == [f"out: {E3} was not removed"]


def changing(found: Directory, *, skus: tuple[str, ...] = (E3, E5, F1), **tables: Any) -> Directory:
    """The directory of a tenant that has these products, with other tables."""
    left = [sku for sku in found["subscribedSkus"] if sku["skuId"] in skus]
    return {**found, "subscribedSkus": left, "tables": {**TABLES, **tables}}


def test_the_tenants_own_pairs_excuse_and_those_of_others_do_not() -> None:
    oracle = Oracle(directory(user("ann", row(F1)), user("bob", row(F1))))
    oracle.act(Act("top", {E3: ()}))
    after = directory(user("ann", row(F1)), user("bob", row(F1), row(E3)))
    assert oracle.disagreements(after) == []
    assert oracle.disagreements(changing(after, exclusions=[])) == [f"ann: {E3} is missing"]
    teams_and_teams = [sorted([TEAMS, next(plan for plan in PLANS[F1] if plan not in PLANS[E3])])]
    assert oracle.disagreements(changing(after, exclusions=teams_and_teams)) == []


def test_whether_a_retired_plan_is_named_makes_no_difference() -> None:
    oracle = Oracle(directory(user("ann"), user("bob")))
    oracle.act(Act("top", {E3: (TEAMS,)}))
    after = directory(user("ann", row(E3, (TEAMS,))), user("bob", row(E3)))
    assert len(oracle.disagreements(after)) == 1
    retired = {**PLANS, E3: {plan: name for plan, name in PLANS[E3].items() if plan != TEAMS}}
    assert oracle.disagreements(changing(after, plans=retired)) == []


def test_a_product_that_is_gone_is_neither_missing_nor_left_behind() -> None:
    oracle = Oracle(directory(user("ann", row(F1)), user("bob", row(F1))))
    oracle.act(Act("top", {E3: (), E5: ()}))
    oracle.act(Act("top", {}, [E5]))
    after = directory(user("ann", row(F1)), user("bob", row(E5)))
    wrong = oracle.disagreements(changing(after, exclusions=[]))
    assert wrong == [f"ann: {E3} is missing", f"bob: foreign {F1} was removed", f"bob: {E3} is missing"]
    assert oracle.disagreements(changing(after, skus=(), exclusions=[])) == []
    assert oracle.in_error(changing(after, skus=(E5, F1)), "top") == {
        "ann": {"InvalidLicense"},
        "bob": {"InvalidLicense"},
    }


def test_a_plan_that_others_need_is_an_excuse_for_both_directions() -> None:
    phone = next(plan for plan in PLANS[E5] if plan not in PLANS[E3])
    needs = [{"servicePlanId": phone, "anyOf": [next(plan for plan in PLANS[F1] if plan not in PLANS[E5])]}]
    oracle = Oracle(directory(user("ann"), user("bob")))
    oracle.act(Act("top", {E5: ()}))
    without = directory(user("ann"), user("bob"))
    assert len(oracle.disagreements(changing(without, exclusions=[]))) == 2
    assert oracle.disagreements(changing(without, exclusions=[], dependencies=needs)) == []
    kept = directory(user("ann", row(E5), row(F1)), user("bob", row(E5), row(F1)))
    assert len(oracle.disagreements(changing(kept, exclusions=[]))) == 2
    assert oracle.disagreements(changing(kept, exclusions=[], dependencies=needs)) == []


def test_products_that_share_only_plans_of_the_company_are_no_successors() -> None:
    shared = {E3: {"both": "BOTH"}, E5: {"both": "BOTH", "own": "OWN"}, F1: {"third": "THIRD"}}
    oracle = Oracle(directory(user("ann"), user("bob"), free=0))
    oracle.act(Act("top", {E5: ()}))
    after = directory(user("ann", row(E3)), user("bob", row(E5)), free=0)
    assert oracle.disagreements(changing(after, plans=shared, exclusions=[])) == []
    company = changing(after, plans=shared, exclusions=[], companyPlans=["both"])
    assert oracle.disagreements(company) == [f"ann: {E3} was not removed"]


def driven(*bobs: dict[str, Any], anns: tuple[dict[str, Any], ...] = (), free: int = 5) -> list[str]:
    """What is wrong when the group has E3 without Teams and F1 natively, Bob is a member, and Ann is nested only."""
    oracle = Oracle(directory(user("ann"), user("bob")))
    oracle.act(Act("top", {E3: (TEAMS,), E5: ()}))
    oracle.drive("top")
    return oracle.disagreements(directory(user("ann", *anns), user("bob", *bobs), free=free))


def native(sku: str, state: str = "Active", disabled: tuple[str, ...] = ()) -> dict[str, Any]:
    return row(sku, disabled, "top", state)


def test_native_licensing_gives_all_products_of_the_group_to_its_own_members() -> None:
    assert driven(native(E3, disabled=(TEAMS,)), native(E5)) == []
    assert driven(native(E3, disabled=(TEAMS,))) == [f"bob: {E5} of top is missing"]
    assert driven(native(E3), native(E5)) == [f"bob: {E3} of top has [] off, must be ['{TEAMS}']"]
    nested = driven(native(E3, disabled=(TEAMS,)), native(E5), anns=(native(E5),))
    assert nested == [f"ann: {E5} of top was not removed"]
    direct = driven(native(E3, disabled=(TEAMS,)), native(E5), anns=(row(E5),))
    assert direct == [f"ann: {E5} was not removed"]


def test_a_native_row_in_error_needs_a_reason_that_is_true_of_one_product_of_the_group() -> None:
    failed = (native(E3, "Error", (TEAMS,)), native(E5, "Error"))
    assert len(driven(*failed)) == 2
    assert driven(*failed, free=0) == []
    assert driven(*failed, row(F1)) == [f"bob: {F1} was not removed"]


def test_the_same_plans_are_the_same_holdings_whatever_the_source() -> None:
    one = holdings(directory(user("ann", row(E3, (TEAMS,))), user("bob")))
    two = holdings(directory(user("ann", native(E3, disabled=(TEAMS,))), user("bob")))
    three = holdings(directory(user("ann", native(E3), row(E3, (TEAMS,))), user("bob", native(E3, "Error"))))
    assert one == two
    assert TEAMS in three["ann"][E3] - one["ann"][E3]
    assert three["bob"] == {}
