"""JSON batching: envelope, matching by id, order, dependsOn, and each item charged and rejected for itself."""

from __future__ import annotations

from typing import Any

import pytest

from local.tenant.call import GraphError
from tests.support.graph_schema import validate_batch, validate_error
from tests.unit.local.tenant.calls import (
    ANN,
    BOB,
    CEM,
    E1,
    E3,
    EMS,
    UNKNOWN,
    a_tenant,
    a_user,
    ask_batch,
    assign_item,
    new_ids,
)


def get(item_id: str, url: str, **more: Any) -> dict[str, Any]:
    return {"id": item_id, "method": "GET", "url": url, **more}


def by_id(body: dict[str, Any]) -> dict[str, Any]:
    return {response["id"]: response for response in body["responses"]}


async def test_twenty_items_are_taken_and_twenty_one_rejected_as_a_whole() -> None:
    tenant = a_tenant()
    status, body = await ask_batch(tenant, [get(str(n), f"/users/{ANN}") for n in range(20)])
    assert (status, len(body["responses"])) == (200, 20)
    with pytest.raises(GraphError) as rejection:
        await ask_batch(tenant, [get(str(n), f"/users/{ANN}") for n in range(21)])
    assert (rejection.value.status, tenant.metrics.total.items) == (400, 20)


@pytest.mark.parametrize(
    "requests",
    [
        [],
        "nothing",
        [{"method": "GET", "url": "/users"}],
        [{"id": "1", "url": "/users"}],
        [{"id": "1", "method": "BREW", "url": "/users"}],
        [{"id": "1", "method": "GET", "url": "https://example.com/v1.0/users"}],
        [get("1", "/users", dependsOn=["2"])],
        [get("1", "/users", dependsOn=["2"]), get("2", "/users", dependsOn=["1"])],
        [get("1", "/users", headers=["x"])],
    ],
)
async def test_a_malformed_envelope_is_rejected_as_a_whole(requests: Any) -> None:
    with pytest.raises(GraphError) as rejection:
        await ask_batch(a_tenant(), requests)
    assert rejection.value.status == 400


async def test_ids_are_unique_without_regard_to_case() -> None:
    with pytest.raises(GraphError):
        await ask_batch(a_tenant(), [get("a", "/users"), get("A", "/groups")])


async def test_every_item_has_its_own_result_and_the_whole_is_200() -> None:
    tenant = a_tenant(users=[a_user(BOB, licenses=[E1])])
    requests = [assign_item("ok", ANN, [E3]), assign_item("no", BOB, [E3]), get("gone", f"/users/{UNKNOWN}")]
    status, body = await ask_batch(tenant, requests)
    assert status == 200
    assert {name: one["status"] for name, one in by_id(body).items()} == {"ok": 200, "no": 400, "gone": 404}
    validate_batch(body, ["ok", "no", "gone"])


async def test_responses_come_in_any_order() -> None:
    tenant = a_tenant()
    ids = [str(number) for number in range(20)]
    orders = set()
    for _ in range(5):
        _, body = await ask_batch(tenant, [get(one, f"/users/{ANN}?$select=id") for one in ids])
        orders.add(tuple(response["id"] for response in body["responses"]))
        assert sorted(orders.copy().pop()) == sorted(ids)
    assert len(orders) > 1


async def test_a_body_needs_its_content_type_even_when_empty() -> None:
    item = assign_item("1", ANN, [E3])
    del item["headers"]
    status, body = await ask_batch(a_tenant(), [item, assign_item("2", BOB, [E3])])
    assert status == 200
    assert by_id(body)["1"]["status"] == 400
    assert by_id(body)["2"]["status"] == 200
    validate_error(by_id(body)["1"]["body"])


async def test_an_item_whose_predecessor_failed_gets_424_and_is_not_done() -> None:
    tenant = a_tenant()
    requests = [
        assign_item("1", UNKNOWN, [E3]),
        assign_item("2", ANN, [E3], dependsOn=["1"]),
        assign_item("3", BOB, [E3]),
        assign_item("4", BOB, [EMS], dependsOn=["3"]),
        assign_item("5", CEM, [EMS], dependsOn=["2"]),
    ]
    _, body = await ask_batch(tenant, requests)
    assert {name: one["status"] for name, one in by_id(body).items()} == {
        "1": 404,
        "2": 424,
        "3": 200,
        "4": 200,
        "5": 424,
    }
    assert tenant.directory.users[ANN].rows == ()
    assert len(tenant.directory.users[BOB].rows) == 2


async def test_items_are_charged_one_by_one_and_rejected_with_their_own_retry_after() -> None:
    ids = new_ids(20)
    tenant = a_tenant({"quotaScale": 0.004}, users=[a_user(one) for one in ids])  # 12 writes
    status, body = await ask_batch(tenant, [assign_item(one, one, [EMS if n % 2 else E3]) for n, one in enumerate(ids)])
    assert status == 200
    done = [one for one in body["responses"] if one["status"] == 200]
    throttled = [one for one in body["responses"] if one["status"] == 429]
    assert (len(done), len(throttled)) == (12, 8)
    assert all(float(one["headers"]["Retry-After"]) > 0 for one in throttled)
    assert (tenant.metrics.total.items, tenant.metrics.total.throttled) == (20, 8)
    validate_batch(body, ids)


async def test_the_contradicting_page_can_be_followed_with_424_for_the_whole() -> None:
    ids = new_ids(5)
    tenant = a_tenant({"quotaScale": 1 / 3000, "batchThrottleStatus": 424}, users=[a_user(one) for one in ids])
    status, body = await ask_batch(tenant, [assign_item(one, one, [E3]) for one in ids])
    assert status == 424
    assert {one["status"] for one in body["responses"]} == {200, 429}


async def test_two_items_for_one_user_in_one_batch_collide() -> None:
    requests = [assign_item("1", ANN, [E3]), assign_item("2", ANN, [EMS]), assign_item("3", BOB, [E3])]
    _, body = await ask_batch(a_tenant(), requests)
    assert sorted(one["status"] for one in body["responses"]) == [200, 200, 409]


async def test_an_item_can_be_left_out_and_another_fail_on_demand() -> None:
    tenant = a_tenant()
    tenant.faults.add(
        [
            {"match": {"path": f"{ANN}/assignLicense"}, "times": 1, "action": {"dropItem": True}},
            {
                "match": {"path": BOB, "app": "administrator"},
                "action": {"status": {"status": 503, "retryAfter": 2.5, "message": "busy"}},
            },
            {"match": {"path": CEM}, "action": {"timeoutAfter": True}},
        ]
    )
    requests = [assign_item(one, one, [E3]) for one in (ANN, BOB, CEM)]
    _, body = await ask_batch(tenant, requests)
    found = by_id(body)
    assert set(found) == {BOB, CEM}
    assert (found[BOB]["status"], found[BOB]["headers"]["Retry-After"]) == (503, "2.5")
    assert found[CEM]["status"] == 504
    held = [bool(tenant.directory.users[one].rows) for one in (ANN, BOB, CEM)]
    assert held == [True, False, True]


async def test_an_answer_without_content_has_no_body() -> None:
    item = {
        "id": "1",
        "method": "PATCH",
        "url": f"/users/{ANN}",
        "headers": {"Content-Type": "application/json"},
        "body": {"usageLocation": "AT"},
    }
    _, body = await ask_batch(a_tenant(), [item])
    assert (body["responses"][0]["status"], "body" in body["responses"][0]) == (204, False)
