"""Calls of msgraph-sdk's typed client that the app does not make, by the operation of the simulated tenant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from local.tenant.tenant import TENANT_ID
from tests.support.tenant_stage import E3


def eventual(parameters: Any = None) -> Any:
    """The header that advanced queries need, and query parameters."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from kiota_abstractions.headers_collection import HeadersCollection

    headers = HeadersCollection()
    headers.add("ConsistencyLevel", "eventual")
    return RequestConfiguration(headers=headers, query_parameters=parameters)


async def _one_organization(client: Any) -> object:
    found = await client.organization.by_organization_id(TENANT_ID).get()
    return found.id == TENANT_ID


async def _one_sku(client: Any) -> object:
    found = await client.subscribed_skus.by_subscribed_sku_id(f"{TENANT_ID}_{E3}").get()
    return str(found.sku_id) == E3


async def _count_users(client: Any) -> object:
    listed = (await client.users.get()).value
    return await client.users.count.get(request_configuration=eventual()) == len(listed)


async def _count_groups(client: Any) -> object:
    listed = (await client.groups.get()).value
    return await client.groups.count.get(request_configuration=eventual()) == len(listed)


READS: dict[str, Callable[[Any], Awaitable[object]]] = {
    "GET organization/{}": _one_organization,
    "GET subscribedSkus/{}": _one_sku,
    "GET users/$count": _count_users,
    "GET groups/$count": _count_groups,
}
