"""Counters and the write log: every write once, with what it changed, and settings that reject nonsense."""

from __future__ import annotations

from typing import Any

import pytest

from local.tenant.settings import Settings
from tests.unit.local.tenant.calls import ANN, BOB, E3, EMS, SALES, TEAMS_PLAN, a_tenant, ask, assign


async def test_each_kind_of_write_is_logged_with_both_sides() -> None:
    tenant = a_tenant()
    await assign(tenant, ANN, [(E3, [TEAMS_PLAN])])
    await assign(tenant, ANN, [EMS], [E3], client="product")
    for place in ("AT", "at"):
        await ask(tenant, "PATCH", f"/users/{BOB}", {"usageLocation": place})
    await ask(tenant, "DELETE", f"/groups/{SALES}/members/{BOB}/$ref")
    log = tenant.metrics.writes_after(0, 100)
    assert [(e["operation"], e["userId"], e["before"], e["after"], e["changed"]) for e in log] == [
        ("assignLicense", ANN, {}, {E3: (TEAMS_PLAN,)}, True),
        ("assignLicense", ANN, {E3: (TEAMS_PLAN,)}, {EMS: ()}, True),
        ("usageLocation", BOB, {"usageLocation": "DE"}, {"usageLocation": "AT"}, True),
        ("usageLocation", BOB, {"usageLocation": "AT"}, {"usageLocation": "AT"}, False),
        ("membership", BOB, {"groupId": SALES, "member": True}, {"groupId": SALES, "member": False}, True),
    ]
    product = tenant.clients["product"].app_id
    assert [entry["appId"] == product for entry in log] == [False, True, False, False, False]
    assert (tenant.metrics.by_app[product].writes, tenant.metrics.total.unchangedWrites) == (1, 1)


async def test_plans_in_another_order_change_nothing() -> None:
    tenant = a_tenant()
    other = next(iter(tenant.directory.catalog.products[E3].plan_ids - {TEAMS_PLAN}))
    for plans in ([TEAMS_PLAN, other], [other, TEAMS_PLAN]):
        await assign(tenant, ANN, [(E3, plans)])
    assert [entry.changed for entry in tenant.metrics.log] == [True, False]


async def test_a_reset_keeps_the_log_and_its_numbers() -> None:
    tenant = a_tenant()
    await assign(tenant, ANN, [E3])
    tenant.metrics.reset()
    await assign(tenant, BOB, [E3])
    assert tenant.metrics.total.writes == 1
    assert [entry["seq"] for entry in tenant.metrics.writes_after(0, 10)] == [1, 2]
    assert [entry["seq"] for entry in tenant.metrics.writes_after(1, 10)] == [2]
    assert tenant.metrics.writes_after(2, 10) == []


@pytest.mark.parametrize(
    "change",
    [
        {"latencyMs": [60, 20]},
        {"latencyMs": 5},
        {"staleSeconds": -1},
        {"staleSeconds": "5"},
        {"quotaKind": "cup"},
        {"concurrencyConflict": 1},
        {"prohibitedPlans": []},
        {"unheardOf": 1},
    ],
)
def test_a_bad_setting_is_named_and_nothing_is_changed(change: dict[str, Any]) -> None:
    settings = Settings()
    with pytest.raises(ValueError, match=next(iter(change))):
        settings.patch({"quotaScale": 2, **change})
    assert settings == Settings()


def test_settings_come_back_under_their_json_names() -> None:
    settings = Settings()
    settings.patch({"latencyMs": [20, 60], "quotaScale": 3})
    shown = settings.as_json()
    assert (shown["latencyMs"], shown["quotaScale"]) == ((20.0, 60.0), 3.0)
    again = Settings()
    again.patch(shown)
    assert again == settings
