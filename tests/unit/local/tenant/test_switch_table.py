"""The table of numbered switches: whole, in agreement with the settings, and each position makes a difference."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from local.tenant import clock, profile
from local.tenant.call import GraphError
from local.tenant.quota import TENANT_WRITES_PER_5_MIN
from local.tenant.settings import CHOICES, Settings
from local.tenant.switches import SWITCHES, described, flips, settings_at, switch
from local.tenant.tenant import Tenant
from tests.unit.local.tenant.calls import (
    ANN,
    BOB,
    CEM,
    E3,
    EMS,
    SALES,
    UNKNOWN,
    VISIO,
    a_tenant,
    ask,
    ask_batch,
    assign_item,
    change,
)

README = Path(__file__).parents[4] / "local" / "tenant" / "README.md"

DIRECTORY = ("User.Read.All", "Group.Read.All", "LicenseAssignment.ReadWrite.All", "GroupMember.ReadWrite.All")


def test_the_table_has_each_number_once_and_names_are_unique() -> None:
    assert [each.number for each in SWITCHES] == [*range(1, 37), 50, 51]
    assert len({each.name for each in SWITCHES}) == len(SWITCHES)
    for each in SWITCHES:
        names = [position.name for position in each.positions]
        assert len(set(names)) == len(names) > 1, each.name
        assert each.source and each.question


def test_the_default_of_each_switch_is_that_of_the_settings() -> None:
    settings = Settings().as_json()
    for each in SWITCHES:
        for name, value in each.default.settings.items():
            assert settings[name] == value, each.name


def test_each_position_can_be_set_and_differs_from_the_default() -> None:
    before = Settings()
    before.patch(settings_at({}))
    for positions in flips():
        settings = Settings()
        settings.patch(settings_at(positions))
        assert settings != before, described(positions)


def test_each_named_position_of_a_numbered_setting_is_in_the_table() -> None:
    listed: dict[str, set[Any]] = {}
    for each in SWITCHES:
        for position in each.positions:
            for name, value in position.settings.items():
                listed.setdefault(name, set()).add(value)
    for name, values in listed.items():
        if name in CHOICES:
            assert set(CHOICES[name]) == values, name


def test_the_readme_has_a_row_for_each_switch() -> None:
    for each in SWITCHES:
        positions = ", ".join(f"`{position.name}`" for position in each.positions)
        assert f"| {each.number} | {each.question} | {positions} | {each.source} |" in README.read_text(), each.number


def test_positions_of_recordings_are_positions_of_the_switches() -> None:
    """Some assumptions above 36 have settings of their own."""
    known = {each.number: each for each in SWITCHES}
    for number, (setting, values) in profile.SWITCHES.items():
        if number in known:
            listed = {position.settings.get(setting) for position in known[number].positions}
            assert set(values.values()) <= listed, number


def at(number: int, position: str, **objects: Any) -> Tenant:
    """A tenant with one switch at a position."""
    return a_tenant(settings_at({number: position}), **objects)


def narrow(tenant: Tenant, *permissions: str) -> Tenant:
    """The client `other` has these permissions alone."""
    tenant.clients["other"].graph = frozenset(permissions or DIRECTORY)
    return tenant


async def batch_of_three(tenant: Tenant) -> list[tuple[int, str]]:
    items = [assign_item(name, one, [E3]) for name, one in (("1", ANN), ("2", BOB), ("3", CEM))]
    _, body = await ask_batch(tenant, items)
    found = {each["id"]: each for each in body["responses"]}
    return [(found[name]["status"], found[name]["body"].get("error", {}).get("code", "")) for name in ("1", "2", "3")]


async def test_1_license_writes_beside_others_are_taken_or_rejected() -> None:
    assert [status for status, _ in await batch_of_three(at(1, "taken"))] == [200] * 3
    assert [status for status, _ in await batch_of_three(at(1, "one"))] == [200, 409, 409]
    some = set()
    for seed in range(12):
        tenant = at(1, "some")
        tenant.chance.seed(seed)
        some.add(sum(status == 200 for status, _ in await batch_of_three(tenant)))
    assert some == {1, 2, 3}


async def test_1_a_tenant_that_takes_one_write_at_a_time_is_busy_after_it() -> None:
    now = [1_000_000.0]
    with clock.following(lambda: now[0]):
        tenant = at(1, "one")
        assert (await ask(tenant, "POST", f"/users/{ANN}/assignLicense", change([E3])))[0] == 200
        assert (await ask(tenant, "POST", f"/users/{BOB}/assignLicense", change([E3])))[0] == 409
        now[0] += 30
        assert (await ask(tenant, "POST", f"/users/{BOB}/assignLicense", change([E3])))[0] == 200


@pytest.mark.parametrize("position", [each.name for each in switch(2).positions])
async def test_2_the_rejection_of_concurrent_writes_has_its_status_and_code(position: str) -> None:
    tenant = at(2, position)
    tenant.settings.patch({"concurrentWrites": "one"})
    status, _, code = position.partition(" ")
    assert (await batch_of_three(tenant))[1] == (int(status), code)


async def test_7_locked_out_units_are_there_or_absent() -> None:
    for position, there in (("there", True), ("absent", False)):
        _, body, _ = await ask(at(7, position), "GET", "/subscribedSkus")
        assert {"lockedOut" in one["prepaidUnits"] for one in body["value"]} == {there}


async def test_8_the_organization_is_open_rejected_or_sparse_without_its_permission() -> None:
    for position, expected in (("open", 200), ("rejected", 403), ("sparse", 200)):
        tenant = narrow(at(8, position))
        status, body, _ = await ask(tenant, "GET", "/organization?$select=id,countryLetterCode", client="other")
        assert status == expected
        if status == 200:
            assert ("countryLetterCode" in body["value"][0]) == (position == "open")
        narrow(tenant, "Organization.Read.All")
        status, body, _ = await ask(tenant, "GET", "/organization", client="other")
        assert (status, body["value"][0]["countryLetterCode"]) == (200, "DE")


async def test_9_get_by_ids_needs_the_whole_directory_or_not() -> None:
    for position, expected in (("directory", 403), ("objects", 200)):
        tenant = narrow(at(9, position))
        assert (await ask(tenant, "POST", "/directoryObjects/getByIds", {"ids": [ANN]}, client="other"))[0] == expected
        narrow(tenant, "Directory.Read.All")
        assert (await ask(tenant, "POST", "/directoryObjects/getByIds", {"ids": [ANN]}, client="other"))[0] == 200


@pytest.mark.parametrize(
    ("position", "reads"),
    [("seconds", str.isdigit), ("float", lambda text: "." in text), ("date", lambda text: text.endswith("GMT"))],
)
async def test_17_retry_after_comes_in_each_form(position: str, reads: Callable[[str], bool]) -> None:
    tenant = at(17, position)
    tenant.quota.take(TENANT_WRITES_PER_5_MIN, clock.time())
    status, _, headers = await ask(tenant, "POST", f"/users/{ANN}/assignLicense", change([E3]))
    assert status == 429 and reads(headers["Retry-After"])


async def test_17_retry_after_can_be_absent() -> None:
    tenant = at(17, "absent")
    tenant.quota.take(TENANT_WRITES_PER_5_MIN, clock.time())
    status, _, headers = await ask(tenant, "POST", f"/users/{ANN}/assignLicense", change([E3]))
    assert status == 429 and "Retry-After" not in headers


async def test_18_of_a_batch_some_items_are_throttled_or_all_that_follow() -> None:
    for position, expected in (("some", [200, 429, 200]), ("rest", [200, 429, 429])):
        tenant = at(18, position)
        rule = {"match": {"path": f"{BOB}/assignLicense"}, "action": {"status": 429}}
        tenant.faults.add([rule])
        assert [status for status, _ in await batch_of_three(tenant)] == expected


async def test_19_binding_members_costs_a_write_each_or_one_in_all() -> None:
    bound = {"members@odata.bind": [f"https://graph.microsoft.com/v1.0/directoryObjects/{one}" for one in (ANN, BOB)]}
    for position, writes in (("each", 3), ("one", 1)):
        tenant = at(19, position, groups=[{"id": SALES, "members": []}])
        tenant.settings.patch({"quotaScale": writes / 3000, "throttlePercentage": "from0.8"})
        status, _, headers = await ask(tenant, "PATCH", f"/groups/{SALES}", bound)
        assert (status, headers["x-ms-throttle-limit-percentage"]) == (204, "1.00")
        assert tenant.directory.groups[SALES].member_ids == [ANN, BOB]
        assert (await ask(tenant, "PATCH", f"/groups/{SALES}", {"displayName": "x"}))[0] == 429


async def test_19_more_than_twenty_or_a_member_twice_is_rejected_as_a_whole() -> None:
    tenant = a_tenant(groups=[{"id": SALES, "members": [ANN]}])
    address = "https://graph.microsoft.com/v1.0/directoryObjects/"
    for members in ([BOB] * 21, [BOB, ANN], [BOB, UNKNOWN]):
        bound = {"members@odata.bind": [address + one for one in members]}
        assert (await ask(tenant, "PATCH", f"/groups/{SALES}", bound))[0] in (400, 404)
    assert tenant.directory.groups[SALES].member_ids == [ANN]


async def test_21_a_group_with_an_unknown_product_is_rejected_at_once_or_ignored() -> None:
    for position, expected in (("rejected", 400), ("ignored", 202)):
        tenant = at(21, position)
        status, _, _ = await ask(tenant, "POST", f"/groups/{SALES}/assignLicense", change([UNKNOWN]))
        assert (status, tenant.directory.groups[SALES].licenses) == (expected, ())


async def test_26_reads_lag_for_all_or_some() -> None:
    async def shown(tenant: Tenant) -> set[str]:
        await ask(tenant, "PATCH", f"/users/{ANN}", {"usageLocation": "AT"})
        found = [await ask(tenant, "GET", f"/users/{ANN}?$select=usageLocation") for _ in range(20)]
        return {body["usageLocation"] for _, body, _ in found}

    assert await shown(at(26, "none")) == {"AT"}
    assert await shown(at(26, "minutes")) == {"DE"}
    assert await shown(at(26, "byReplica")) == {"AT", "DE"}


async def test_34_an_id_that_is_no_guid_is_invalid_or_not_found() -> None:
    for position, expected in (("invalid", 400), ("notFound", 404)):
        status, body, _ = await ask(at(34, position), "GET", "/groups/sales")
        assert status == expected
        assert position == "notFound" or body["error"]["message"].startswith("Invalid object identifier")


async def test_35_depending_on_a_later_item_is_rejected_or_taken() -> None:
    items = [assign_item("1", ANN, [E3], dependsOn=["2"]), assign_item("2", BOB, [E3])]
    with pytest.raises(GraphError, match="Invalid dependency for request Id"):
        await ask_batch(at(35, "rejected"), items)
    assert (await ask_batch(at(35, "taken"), items))[0] == 200
    assert (await ask_batch(at(35, "rejected"), items[::-1]))[0] == 200


Asking = Callable[[Tenant], Awaitable[int]]


async def _other_case(tenant: Tenant) -> int:
    return (await ask(tenant, "GET", f"/Users/{ANN}/LicenseDetails"))[0]


async def _other_case_of_a_type(tenant: Tenant) -> int:
    return (await ask(tenant, "GET", f"/groups/{SALES}/members/Microsoft.Graph.User"))[0]


async def _absolute(tenant: Tenant) -> int:
    item = {"id": "1", "method": "GET", "url": f"https://graph.microsoft.com/v1.0/users/{ANN}"}
    try:
        return int((await ask_batch(tenant, [item]))[1]["responses"][0]["status"])
    except GraphError as rejected:
        return rejected.status


@pytest.mark.parametrize("asking", [_other_case, _other_case_of_a_type, _absolute])
async def test_36_other_spellings_are_taken_or_rejected(asking: Asking) -> None:
    assert await asking(at(36, "taken")) == 200
    assert await asking(at(36, "rejected")) == 400


@pytest.mark.parametrize(("position", "state"), [("lost", "Error"), ("kept", "ActiveWithError")])
async def test_50_products_that_a_member_has_are_lost_or_kept_if_another_one_cannot_be_assigned(
    position: str, state: str
) -> None:
    tenant = at(50, position, skus=[{"skuId": VISIO, "enabled": 0}])
    for add in ([E3], [VISIO]):
        assert (await ask(tenant, "POST", f"/groups/{SALES}/assignLicense", change(add)))[0] == 202
        await tenant.native.advance(1.0)
    rows = {row.sku_id: (row.state, row.error) for row in tenant.directory.users[ANN].rows}
    assert rows == {E3: (state, "Other"), VISIO: ("Error", "CountViolation")}
    assert tenant.directory.subscriptions[E3].consumed == (3 if position == "kept" else 0)
    tenant.directory.subscriptions[VISIO].enabled = 10
    assert (await ask(tenant, "POST", f"/users/{ANN}/reprocessLicenseAssignment"))[0] == 200
    assert {row.state for row in tenant.directory.users[ANN].rows} == {"Active"}


async def test_50_a_member_who_keeps_a_product_loses_one_that_the_group_has_no_more() -> None:
    tenant = at(50, "kept", skus=[{"skuId": VISIO, "enabled": 0}])
    for add, remove in (([E3, EMS], []), ([VISIO], [E3])):
        assert (await ask(tenant, "POST", f"/groups/{SALES}/assignLicense", change(add, remove)))[0] == 202
        await tenant.native.advance(1.0)
    rows = {row.sku_id: row.state for row in tenant.directory.users[ANN].rows}
    assert rows == {EMS: "ActiveWithError", VISIO: "Error"}


async def test_51_the_plans_of_a_license_show_at_once_or_minutes_later() -> None:
    now = [1_000_000.0]
    with clock.following(lambda: now[0]):
        for position, later in (("none", 0.0), ("minutes", 600.0)):
            tenant = at(51, position)
            assert (await ask(tenant, "POST", f"/users/{ANN}/assignLicense", change([E3])))[0] == 200
            seen = []
            for _ in range(2):
                _, body, _ = await ask(tenant, "GET", f"/users/{ANN}?$select=id,assignedPlans")
                seen.append(bool(body["assignedPlans"]))
                now[0] += 600
            assert seen == [not later, True]
