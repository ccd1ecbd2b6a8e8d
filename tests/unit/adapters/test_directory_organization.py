"""Reading products and the organization from Graph, and how long they are kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.domain.errors import Unavailable
from tests.unit.adapters.graph_stub import BASE, E3, PLAN, Answer, StubGraph, error, guid


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


async def test_products_come_from_all_pages_and_a_lost_page_is_no_end(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    """A product that a cut list leaves out would be taken for one that the tenant no longer has."""
    other = {**SKU_ROW, "skuId": guid(77), "skuPartNumber": "VISIO"}
    link = f"{BASE}/subscribedSkus?$skiptoken=2"
    stub.on("GET", r"skiptoken=2", Answer({"value": [other]}), Answer(error("Request_ResourceNotFound", "gone"), 404))
    stub.on("GET", r"^/subscribedSkus\?\$select", Answer({"value": [SKU_ROW], "@odata.nextLink": link}))
    assert [each.sku_part_number for each in await directory.subscribed_skus()] == ["SPE_E3", "VISIO"]
    with pytest.raises(Unavailable):
        await directory.subscribed_skus(-1.0)


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


@pytest.mark.parametrize("status", [400, 403, 404])
async def test_an_organization_that_may_not_be_read_has_no_known_country_for_some_minutes(
    stub: StubGraph, graph: GraphClient, status: int
) -> None:
    ticks = Ticks()
    directory = GraphDirectory(graph, monotonic=ticks)
    row = {"id": guid(7), "displayName": "Fabrikam", "countryLetterCode": "CH"}
    stub.on("GET", r"^/organization\?", Answer(error("Denied", "no"), status), Answer({"value": [row]}))
    assert (await directory.organization()).country_letter_code is None
    ticks.now = 301.0
    assert (await directory.organization()).country_letter_code == "CH"


async def test_an_organization_that_shows_only_its_name_has_no_known_country(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    row = {"id": guid(7), "displayName": "Fabrikam", "verifiedDomains": []}
    stub.on("GET", r"^/organization\?", Answer({"value": [row]}))
    found = await directory.organization()
    assert (found.display_name, found.country_letter_code) == ("Fabrikam", None)


@pytest.mark.parametrize("left_out", ["lockedOut", "suspended", "warning"])
async def test_units_that_are_left_out_are_none(stub: StubGraph, directory: GraphDirectory, left_out: str) -> None:
    units = {key: count for key, count in SKU_ROW["prepaidUnits"].items() if key != left_out}
    other = {**SKU_ROW, "skuId": guid(8)}
    stub.on("GET", r"^/subscribedSkus\?", Answer({"value": [{**SKU_ROW, "prepaidUnits": units}, other]}))
    first, second = await directory.subscribed_skus()
    names = {"lockedOut": "locked_out"}
    assert getattr(first, names.get(left_out, left_out)) == 0
    assert (second.available, second.locked_out) == (63, 1)


async def test_eight_views_at_a_slow_graph_share_one_read_of_the_products(stub: StubGraph, graph: GraphClient) -> None:
    """Each read takes six seconds, and its answer is older than five when it comes."""
    ticks = Ticks()

    def slow(_: str, __: Any) -> Answer:
        ticks.now += 6.0
        return Answer({"value": [SKU_ROW]})

    stub.route("GET", "/subscribedSkus", slow)
    directory = GraphDirectory(graph, monotonic=ticks)
    await asyncio.gather(*(directory.subscribed_skus(5.0) for _ in range(8)))
    assert len(stub.requests) == 1


async def test_callers_at_the_same_time_share_one_read_of_the_organization(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    stub.on("GET", "/organization", Answer({"value": [{"id": "t", "displayName": "F", "countryLetterCode": "DE"}]}))
    await asyncio.gather(*(directory.organization() for _ in range(8)))
    assert len(stub.requests) == 1
