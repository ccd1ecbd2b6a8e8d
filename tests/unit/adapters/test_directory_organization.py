"""Reading products and the organization from Graph, and how long they are kept."""

from __future__ import annotations

from typing import Any

import pytest

from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.domain.errors import Unavailable
from tests.unit.adapters.graph_stub import E3, PLAN, Answer, StubGraph, guid


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


SKU_ROW: dict[str, Any] = {
    "skuId": E3.upper(),
    "skuPartNumber": "SPE_E3",
    "appliesTo": "User",
    "capabilityStatus": "Enabled",
    "consumedUnits": 412,
    "prepaidUnits": {"enabled": 450, "suspended": 5, "warning": 25, "lockedOut": 1},
    "servicePlans": [
        {
            "servicePlanId": PLAN.upper(),
            "servicePlanName": "EXCHANGE_S_ENTERPRISE",
            "appliesTo": "User",
            "provisioningStatus": "Success",
        }
    ],
}


async def test_products_are_read_again_when_they_are_older_than_asked(stub: StubGraph, graph: GraphClient) -> None:
    ticks = Ticks()
    directory = GraphDirectory(graph, monotonic=ticks)
    later = {**SKU_ROW, "consumedUnits": 413}
    stub.on("GET", r"^/subscribedSkus\?", Answer({"value": [SKU_ROW]}), Answer({"value": [later]}))
    (sku,) = await directory.subscribed_skus()
    assert (sku.sku_id, sku.available, sku.suspended, sku.locked_out) == (E3, 63, 5, 1)
    assert sku.plan_ids == {PLAN}
    ticks.now = 29.0
    assert (await directory.subscribed_skus(30.0))[0].consumed_units == 412
    assert (await directory.subscribed_skus(10.0))[0].consumed_units == 413
    assert len(stub.requests) == 2


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": [{**SKU_ROW, "prepaidUnits": None}]}])
async def test_products_that_are_not_complete_raise(
    stub: StubGraph, directory: GraphDirectory, body: dict[str, Any]
) -> None:
    stub.on("GET", r"^/subscribedSkus\?", Answer(body))
    with pytest.raises(Unavailable):
        await directory.subscribed_skus()


async def test_the_organization_is_read_once_an_hour(stub: StubGraph, graph: GraphClient) -> None:
    ticks = Ticks()
    directory = GraphDirectory(graph, monotonic=ticks)
    row = {"id": guid(7), "displayName": "Fabrikam", "countryLetterCode": None}
    stub.on("GET", r"^/organization\?", Answer({"value": [row]}), Answer({"value": []}))
    assert (await directory.organization()).country_letter_code is None
    ticks.now = 3599.0
    assert (await directory.organization()).display_name == "Fabrikam"
    ticks.now = 3601.0
    with pytest.raises(Unavailable):
        await directory.organization()
