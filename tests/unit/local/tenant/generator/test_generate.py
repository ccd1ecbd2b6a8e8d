"""The generator: the same seed gives the same tenant, and the summary's counts are those of the directory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from local.tenant.directory.directory import Directory
from local.tenant.directory.model import Device, ServicePrincipal, User
from local.tenant.generator.generate import generate

KINDS: dict[str, Callable[[User], bool]] = {
    "missingUsageLocation": lambda user: user.usage_location is None,
    "guests": lambda user: user.user_type == "Guest",
    "disabledAccounts": lambda user: not user.account_enabled,
    "proxyAddressClash": lambda user: user.proxy_clash,
    "nativeInherited": lambda user: any(row.group for row in user.rows),
    "unmanagedLacking": lambda user: any(row.disabled for row in user.rows),
}


def made(**options: Any) -> tuple[Directory, dict[str, Any]]:
    directory, summary = generate(**options)
    return directory, dict(summary)


def members_of_main(directory: Directory, summary: dict[str, Any]) -> list[User]:
    ids = directory.transitive_members(directory.groups[summary["groups"]["main"]], None)
    return [directory.users[one] for one in ids if one in directory.users and directory.users[one].deleted is None]


def fingerprint(directory: Directory) -> list[Any]:
    users = [(u.id, u.user_principal_name, u.usage_location, u.rows, u.parents) for u in directory.users.values()]
    groups = [(g.id, g.display_name, tuple(g.member_ids)) for g in directory.groups.values()]
    return [users, groups, [(s.sku_id, s.enabled, s.consumed) for s in directory.subscriptions.values()]]


def test_the_same_seed_gives_the_same_tenant_and_another_seed_another() -> None:
    one, two, other = (made(members=60, seed=seed)[0] for seed in (3, 3, 4))
    assert fingerprint(one) == fingerprint(two)
    assert set(one.users) & set(other.users) == set()


@pytest.mark.parametrize("members", [10, 37, 1000])
def test_the_main_group_has_exactly_so_many_users_in_four_levels(members: int) -> None:
    directory, summary = made(members=members, seed=1)
    assert len(members_of_main(directory, summary)) == members
    main = directory.groups[summary["groups"]["main"]]
    level, depth = main, 0
    while nested := [directory.groups[one] for one in level.member_ids if one in directory.groups]:
        level, depth = nested[0], depth + 1
    assert depth == 3
    kinds = {type(directory.objects[one]) for one in directory.transitive_members(main, None)}
    assert {Device, ServicePrincipal} < kinds


@pytest.mark.parametrize("members", [10, 400])
def test_the_counts_of_the_summary_are_true(members: int) -> None:
    directory, summary = made(members=members, seed=2)
    found = members_of_main(directory, summary)
    counts = summary["counts"]
    for kind, test in KINDS.items():
        assert sum(1 for user in found if test(user)) == counts[kind] >= 1, kind
    sku = summary["skus"]
    conflicting = [u for u in found if {row.sku_id for row in u.rows} & {sku["SPE_F1"], sku["STANDARDPACK"]}]
    assert len(conflicting) == counts["conflicting"]
    direct = [u for u in found if any(r.sku_id == sku["SPE_E3"] and r.group is None for r in u.rows)]
    assert len(direct) == counts["unmanagedFull"] + counts["unmanagedLacking"]
    assert sum(1 for user in directory.users.values() if user.deleted is not None) == counts["recycled"]
    assert counts["users"] == len(directory.users)


def test_consumed_units_are_those_of_the_users() -> None:
    directory, _ = made(members=300, seed=5)
    for sku_id, subscription in directory.subscriptions.items():
        holders = [u for u in directory.users.values() if u.deleted is None and any(r.sku_id == sku_id for r in u.rows)]
        assert subscription.consumed == len(holders)


def test_scarce_seats_are_one_percent_short_of_what_can_be_needed() -> None:
    directory, summary = made(members=500, seed=1, scarceSeats=True)
    suite = directory.subscriptions[summary["skus"]["SPE_E3"]]
    able = [
        u
        for u in members_of_main(directory, summary)
        if not u.proxy_clash
        and not any(r.sku_id in {summary["skus"]["SPE_F1"], summary["skus"]["STANDARDPACK"]} for r in u.rows)
    ]
    lacking = sum(1 for u in able if not any(r.sku_id == suite.sku_id for r in u.rows))
    assert suite.available == lacking - 5


def test_seats_and_shares_can_be_given() -> None:
    directory, summary = made(members=100, seed=1, seats={"SPE_E5": 7}, shares={"guests": 0.2, "conflicting": 0})
    assert directory.subscriptions[summary["skus"]["SPE_E5"]].enabled == 7
    assert (summary["counts"]["guests"], summary["counts"]["conflicting"]) == (20, 0)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"members": 9}, "members"),
        ({"members": 200_001}, "members"),
        ({"members": 50, "shares": {"ghosts": 1}}, "ghosts"),
        ({"members": 50, "seats": {"NO_SUCH_SKU": 1}}, "NO_SUCH_SKU"),
        ({"members": 50, "shares": {"guests": 0.9, "conflicting": 0.9}}, "conflicting"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        generate(**options)


def test_a_tenant_owns_the_usual_products_and_those_that_are_asked_for() -> None:
    directory, summary = made(members=20, seed=1)
    assert (len(summary["skus"]), len(directory.catalog.products)) == (30, 153)
    directory, summary = made(
        members=20, seed=1, products=["Microsoft_Teams_EEA_New", "d43177b5-475b-4880-92d4-d54c27b5efbd"]
    )
    assert summary["skus"].keys() > {"Microsoft_Teams_EEA_New", "SPE_E3"}
    assert len(directory.subscriptions) == 32


def test_a_product_that_microsoft_does_not_sell_is_named() -> None:
    with pytest.raises(ValueError, match="NO_SUCH_SKU"):
        generate(members=20, products=["NO_SUCH_SKU"])
