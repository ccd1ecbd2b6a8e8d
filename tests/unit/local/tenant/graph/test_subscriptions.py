"""Subscriptions on groups: what a request must say, quotas, doubles, expiry, and whose they are."""

from __future__ import annotations

import time
from typing import Any

import pytest

from local.tenant.call import GraphError, timestamp
from local.tenant.notifications.subscriptions import GraphSubscription, GraphSubscriptions, parse_subscription
from local.tenant.settings import Settings
from local.tenant.tenant import Tenant
from tests.support.graph_schema import validate, validate_error
from tests.unit.local.tenant.calls import SALES, UNKNOWN, a_tenant, ask

NOW = 1_790_000_000.0
HOUR = 3_600.0


def body(**changes: Any) -> dict[str, Any]:
    whole = {
        "changeType": "updated,deleted",
        "notificationUrl": "https://licenses.fabrikam.example/graph/notifications?key=1",
        "resource": "/groups",
        "expirationDateTime": timestamp(NOW + 24 * HOUR),
        "clientState": "a secret",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def parsed(settings: dict[str, Any] | None = None, **changes: Any) -> GraphSubscription:
    switches = Settings()
    switches.patch(settings or {})
    return parse_subscription(body(**changes), "app", switches, NOW)


def placed(tenant: Tenant, client: str = "product", **changes: Any) -> GraphSubscription:
    """A subscription that is there without its handshake."""
    now = time.time()
    asked = body(expirationDateTime=timestamp(now + 24 * HOUR), **changes)
    new = parse_subscription(asked, tenant.clients[client].app_id, tenant.settings, now)
    tenant.graph_subscriptions.add(new, now, tenant.settings)
    return new


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"changeType": ...}, "changeType"),
        ({"notificationUrl": ...}, "notificationUrl"),
        ({"resource": ""}, "resource"),
        ({"expirationDateTime": None}, "expirationDateTime"),
        ({"changeType": "updated,renamed"}, "renamed"),
        ({"changeType": "created"}, "created"),
        ({"notificationUrl": "http://licenses.fabrikam.example/"}, "notificationUrl"),
        ({"notificationUrl": "http://127.0.0.1:7071/"}, "notificationUrl"),
        ({"lifecycleNotificationUrl": "ftp://licenses.fabrikam.example/"}, "lifecycleNotificationUrl"),
        ({"lifecycleNotificationUrl": 7}, "lifecycleNotificationUrl"),
        ({"clientState": "x" * 129}, "128"),
        ({"resource": "/users"}, "/users"),
        ({"resource": "/groups/sales"}, "/groups/sales"),
        ({"includeResourceData": True}, "includeResourceData"),
        ({"expirationDateTime": "tomorrow"}, "tomorrow"),
        ({"expirationDateTime": "2027-01-01T00:00:00"}, "offset"),
        ({"expirationDateTime": timestamp(NOW - 1)}, "future"),
    ],
)
def test_a_request_that_says_too_little_or_wrong_is_rejected_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(GraphError) as rejected:
        parsed(**changes)
    assert (rejected.value.status, rejected.value.code) == (400, "InvalidRequest")
    assert named in rejected.value.message


def test_a_life_up_to_the_longest_is_taken_and_a_short_one_becomes_45_minutes() -> None:
    assert parsed(expirationDateTime=timestamp(NOW + 41_760 * 60)).expires == NOW + 41_760 * 60
    assert parsed(expirationDateTime=timestamp(NOW + 60)).expires == NOW + 45 * 60
    assert (
        parsed({"subscriptionMinimumSeconds": 0}, expirationDateTime="2026-09-21T14:13:21.5+00:00").expires == 1.5 + NOW
    )


def test_a_longer_life_is_shortened_today_and_may_be_rejected_in_future() -> None:
    longer = timestamp(NOW + 41_760 * 60 + 60)
    assert parsed(expirationDateTime=longer).expires == NOW + 41_760 * 60
    with pytest.raises(GraphError, match="41760 minutes"):
        parsed({"subscriptionTooLong": "rejected"}, expirationDateTime=longer)


def test_http_is_taken_on_this_machine_only_and_only_where_allowed() -> None:
    allowed = {"notificationHttp": True}
    assert parsed(allowed, notificationUrl="http://127.0.0.1:7071/x").notification_url.endswith("/x")
    with pytest.raises(GraphError):
        parsed(allowed, notificationUrl="http://10.0.0.1:7071/x")


def test_a_subscription_wants_its_group_and_its_kinds_of_change() -> None:
    every, one = parsed(), parsed(resource=f"groups/{SALES.upper()}/members", changeType="updated")
    assert every.wants(SALES, "deleted") and every.wants(UNKNOWN, "updated")
    assert one.wants(SALES, "updated")
    assert not one.wants(SALES, "deleted") and not one.wants(UNKNOWN, "updated")


def test_one_application_has_a_hundred_and_a_tenant_a_thousand() -> None:
    held = GraphSubscriptions()
    made = 0
    for app in range(11):
        for number in range(101):
            new = parsed(resource=f"/groups/{number:08d}-0000-4000-8000-000000000000")
            new.app_id = str(app)
            try:
                held.add(new, NOW, Settings())
                made += 1
            except GraphError as rejected:
                # The text of live tenants names no reason.
                assert (rejected.status, rejected.code) == (403, "ExtensionError")
                assert number == 100 or app == 10
    assert made == 1_000
    held.remove(held.alive(NOW)[0])
    held.add(parsed(), NOW, Settings())


def test_a_double_is_a_conflict_for_the_same_application_unless_doubles_are_allowed() -> None:
    held = GraphSubscriptions()
    first = parsed()
    held.add(first, NOW, Settings())
    with pytest.raises(GraphError) as rejected:
        held.add(parsed(resource="groups", changeType="deleted,updated"), NOW, Settings())
    assert rejected.value.status == 409 and first.id in rejected.value.message
    held.add(parsed(changeType="updated"), NOW, Settings())
    held.add(parsed(), NOW, Settings(duplicate_subscriptions=True))
    assert len(held.alive(NOW)) == 3


async def test_an_expired_subscription_is_gone_and_another_lives_on() -> None:
    tenant = a_tenant()
    short, long = placed(tenant), placed(tenant, resource=f"/groups/{SALES}")
    short.expires = time.time()
    assert (await ask(tenant, "GET", f"/subscriptions/{short.id}", client="product"))[0] == 404
    change = {"expirationDateTime": timestamp(time.time() + HOUR)}
    status, error, _ = await ask(tenant, "PATCH", f"/subscriptions/{short.id}", change, client="product")
    assert (status, error["error"]["code"]) == (404, "ResourceNotFound")
    _, listed, _ = await ask(tenant, "GET", "/subscriptions", client="product")
    assert [one["id"] for one in listed["value"]] == [long.id]


async def test_an_application_sees_renews_and_deletes_its_own_and_no_others() -> None:
    tenant = a_tenant()
    mine, other = placed(tenant), placed(tenant, client="other")
    path = f"/subscriptions/{mine.id}"
    status, shown, _ = await ask(tenant, "GET", path, client="product")
    assert (status, shown["clientState"]) == (200, None)
    validate(shown, "subscription")
    change = {"expirationDateTime": timestamp(time.time() + 48 * HOUR)}
    mine.authorized = False
    status, shown, _ = await ask(tenant, "PATCH", path, change, client="product")
    assert (status, shown["expirationDateTime"]) == (200, change["expirationDateTime"])
    assert mine.authorized
    mine.authorized = False
    assert (await ask(tenant, "POST", f"{path}/reauthorize", client="product"))[0] == 204
    assert mine.authorized
    for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/reauthorize")):
        status, error, _ = await ask(tenant, method, f"/subscriptions/{other.id}{rest}", change, client="product")
        assert status == 404
        validate_error(error)
    assert (await ask(tenant, "DELETE", path, client="product"))[0] == 204
    assert (await ask(tenant, "DELETE", path, client="product"))[0] == 404
    assert tenant.graph_subscriptions.alive(time.time()) == [other]


async def test_only_the_permission_to_read_all_groups_allows_subscriptions() -> None:
    tenant = a_tenant()
    assert (await ask(tenant, "GET", "/subscriptions", client="reader"))[0] == 200
    tenant.clients["reader"].graph = frozenset({"Group.ReadWrite.All", "GroupMember.Read.All"})
    for method, url in (("GET", "/subscriptions"), ("POST", "/subscriptions")):
        assert (await ask(tenant, method, url, body(), client="reader"))[0] == 403


async def test_lists_of_subscriptions_are_throttled_at_25_and_nothing_else_is() -> None:
    tenant = a_tenant({"quotaKind": "window"})
    statuses = [(await ask(tenant, "GET", "/subscriptions", client="product"))[0] for _ in range(26)]
    assert statuses == [200] * 25 + [429]
    one = placed(tenant)
    status, _, headers = await ask(tenant, "GET", f"/subscriptions/{one.id}", client="product")
    assert status == 200 and "x-ms-resource-unit" not in headers
    assert (await ask(tenant, "GET", "/subscriptions", client="other"))[0] == 200


async def test_a_subscription_to_a_group_that_is_not_there_is_rejected() -> None:
    tenant = a_tenant()
    asked = body(resource=f"/groups/{UNKNOWN}", expirationDateTime=timestamp(time.time() + HOUR))
    assert (await ask(tenant, "POST", "/subscriptions", asked, client="product"))[0] == 404


async def test_what_a_patch_may_not_change_is_rejected() -> None:
    tenant = a_tenant()
    path = f"/subscriptions/{placed(tenant).id}"
    for change in ({}, {"clientState": "other"}, {"expirationDateTime": "soon"}):
        status, error, _ = await ask(tenant, "PATCH", path, change, client="product")
        assert (status, error["error"]["code"]) == (400, "InvalidRequest")
