"""License writes beside each other: two for one user always collide, and some tenants reject those for others too.

nais/azurerator issue 448 has the text and the 409, Azure/azure-cli issue 23081 the 503; clients of live tenants report
400 with the code, and with the text alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from local.tenant import clock
from local.tenant.call import GraphError
from local.tenant.http.routing import Route
from local.tenant.tenant import Tenant

TEXT = "Error due to concurrent requests being made to the tenant. Please wait briefly and retry."
REJECTED_SHARE = 0.5
"""Of the license writes beside others where `some` are rejected; our own number."""


def rejection(tenant: Tenant) -> GraphError:
    """The rejection at this position of `concurrencyRejection`."""
    status, _, code = tenant.settings.concurrency_rejection.partition(" ")
    return GraphError(int(status), code, TEXT)


@contextmanager
def in_flight(tenant: Tenant, route: Route, key: str) -> Iterator[None]:
    """Inside, a write to the user or group `key` is in flight. Raises GraphError if it may not be beside the others."""
    settings, is_license = tenant.settings, route.template.endswith("assignLicense")
    if route.locks_user and key in tenant.in_flight and settings.concurrency_conflict:
        raise rejection(tenant)
    if is_license and _is_crowded(tenant):
        raise rejection(tenant)
    tenant.in_flight.append(key)
    tenant.license_writes += is_license
    try:
        yield
    finally:
        tenant.in_flight.remove(key)
        tenant.license_writes -= is_license
        if is_license and settings.concurrent_writes == "one":
            tenant.busy_until = clock.time() + tenant.chance.uniform(*settings.busy_seconds)


def _is_crowded(tenant: Tenant) -> bool:
    match tenant.settings.concurrent_writes:
        case "some":
            return tenant.license_writes > 0 and tenant.chance.random() < REJECTED_SHARE
        case "one":
            return tenant.license_writes > 0 or clock.time() < tenant.busy_until
    return False
