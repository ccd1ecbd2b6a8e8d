"""The quota in both kinds, with a clock of our own: limits, rejected requests, priorities, scopes, headers."""

from __future__ import annotations

import pytest

from local.tenant.quota import Quota, tenant_size
from local.tenant.settings import Settings

TENANT = "7d2f0000-0000-4000-8000-000000000000"


def a_quota(kind: str = "bucket", **settings: object) -> Quota:
    parsed = Settings()
    parsed.patch({"quotaKind": kind, **settings})
    quota = Quota(parsed, TENANT)
    quota.users = 1000
    return quota


def writes(quota: Quota, count: int, now: float, app: str = "a", priority: str = "Normal") -> int:
    """How many of so many writes at one moment are let through."""
    return sum(1 for _ in range(count) if quota.charge(app, 1, 1, priority, now)[0] is None)


@pytest.mark.parametrize(("users", "size"), [(49, "S"), (50, "M"), (500, "M"), (501, "L")])
def test_the_size_of_a_tenant_goes_by_its_users(users: int, size: str) -> None:
    assert tenant_size(users) == size


@pytest.mark.parametrize(("size", "units"), [("S", 3500), ("M", 5000), ("L", 8000)])
def test_resource_units_in_ten_seconds_depend_on_the_size(size: str, units: int) -> None:
    quota = a_quota("window", tenantSize=size)
    done = sum(1 for _ in range(units + 10) if quota.charge("a", 1, 0, "Normal", 100.0)[0] is None)
    assert done == units
    assert quota.charge("b", 1, 0, "Normal", 100.0)[0] is None


@pytest.mark.parametrize("kind", ["bucket", "window"])
def test_an_application_has_3000_writes(kind: str) -> None:
    quota = a_quota(kind, tenantSize="L")
    assert writes(quota, 3010, 100.0) == 3000
    rejection, _ = quota.charge("a", 1, 1, "Normal", 100.0)
    assert rejection is not None
    assert rejection.headers["x-ms-throttle-scope"] == f"Tenant_Application/Write/a/{TENANT}"
    assert rejection.headers["x-ms-throttle-information"] == "WriteLimitExceeded"


def test_all_applications_together_have_18000_writes_in_the_tenant() -> None:
    quota = a_quota("window")
    assert [writes(quota, 3000, 100.0 + n, app=f"app-{n}") for n in range(6)] == [3000] * 6
    rejection, _ = quota.charge("seventh", 1, 1, "Normal", 110.0)
    assert rejection is not None
    assert rejection.headers["x-ms-throttle-scope"].startswith("Tenant/Write/seventh/")


@pytest.mark.parametrize("kind", ["bucket", "window"])
def test_writes_that_others_are_said_to_make_leave_less_of_the_tenants_limit_and_never_more_than_it(kind: str) -> None:
    quota = a_quota(kind)
    quota.take(17_990, 100.0)
    assert writes(quota, 20, 100.0) == 10
    quota = a_quota(kind, rejectedCount=False)
    quota.take(1_000_000, 100.0)
    assert writes(quota, 20, 100.0) == 0
    assert writes(quota, 20, 401.0) == 20


def test_a_bucket_drains_evenly_and_a_window_frees_what_it_took_at_once() -> None:
    for kind, after_15_s, after_151_s in (("bucket", 300, 3000), ("window", 0, 3000)):
        quota = a_quota(kind, rejectedCount=False)
        assert writes(quota, 3000, 100.0) == 3000
        assert writes(quota, 3000, 115.0) == after_15_s
        assert writes(a_quota(kind), 3000, 251.0) == after_151_s
        quota.reset()
        assert writes(quota, 3001, 115.0) == 3000


def test_the_scale_is_a_factor_on_the_limits() -> None:
    assert writes(a_quota("window", quotaScale=0.01), 100, 100.0) == 30
    assert writes(a_quota("window", quotaScale=2), 7000, 100.0) == 6000


def test_rejected_requests_count_too_and_make_it_worse() -> None:
    waits = []
    for count in (True, False):
        quota = a_quota(quotaScale=0.01, rejectedCount=count)
        writes(quota, 40, 100.0)
        rejection, _ = quota.charge("a", 1, 1, "Normal", 100.0)
        assert rejection is not None
        waits.append(float(rejection.headers["Retry-After"]))
    assert waits[0] > waits[1]


@pytest.mark.parametrize("kind", ["bucket", "window"])
def test_after_the_retry_after_a_request_goes_through(kind: str) -> None:
    quota = a_quota(kind, quotaScale=0.01)
    writes(quota, 35, 100.0)
    rejection, _ = quota.charge("a", 1, 1, "Normal", 101.0)
    assert rejection is not None
    assert rejection.headers["Retry-After"].isdigit()
    wait = float(rejection.headers["Retry-After"])
    quota.settings.rejected_count = False
    assert quota.charge("a", 1, 1, "Normal", 101.0 + wait * 0.5)[0] is not None
    assert quota.charge("a", 1, 1, "Normal", 101.2 + wait + 5.0 * (kind == "bucket"))[0] is None


def test_low_priority_is_rejected_first_and_high_last_within_the_same_limit() -> None:
    quota = a_quota("window", quotaScale=0.01)
    assert writes(quota, 40, 100.0, priority="Low") == 28
    quota = a_quota("window", quotaScale=0.01)
    assert writes(quota, 29, 100.0) == 29
    assert writes(quota, 5, 100.0, priority="Low") == 0
    assert writes(quota, 5, 100.0) == 0
    assert writes(quota, 5, 100.0, priority="High") == 1


def test_the_percentage_shows_how_full_the_fullest_limit_is() -> None:
    quota = a_quota("window", quotaScale=0.01)
    shares = [quota.charge("a", 1, 1, "Normal", 100.0)[1] for _ in range(80)]
    assert shares[0] == pytest.approx(1 / 30)
    assert shares[29] == pytest.approx(1.0)
    assert max(shares) == 1.8
