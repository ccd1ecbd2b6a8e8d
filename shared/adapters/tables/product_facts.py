"""Table `productfacts`: what was observed of the tenant's products.

PartitionKey `products`, RowKey SKU id; `body` JSON: `name`, `plans` by id (see `_plan_json`). PartitionKey `conflicts`,
RowKey the two SKU ids with `_` between; `body` JSON: `plans`, `text`, `at`, `probedAt`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from shared.adapters.shared_read import SharedRead
from shared.adapters.tables.client import Tables
from shared.adapters.tables.packing import dump, must_be_time, plans_of, time_of, time_text
from shared.adapters.tables.rows import Op, Row, joined_body, split_body
from shared.domain.directory import ServicePlan
from shared.domain.ids import ServicePlanId, SkuId
from shared.domain.product_facts import ObservedConflict, Pair, ProductFacts, SeenPlan, SeenProduct

TABLE = "productfacts"
PRODUCTS = "products"
CONFLICTS = "conflicts"


class TableProductFacts:
    """Implements ProductFactsStore."""

    def __init__(self, tables: Tables, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._tables = tables
        self._facts = SharedRead(self._read, monotonic)

    async def all(self, now: datetime, max_age_s: float) -> ProductFacts:
        products, conflicts = await self._facts.get(max_age_s)
        return ProductFacts.at(products, conflicts, now)

    async def _read(self) -> tuple[dict[SkuId, SeenProduct], dict[Pair, ObservedConflict]]:
        products = [_product(row) async for row in self._tables.query(TABLE, PRODUCTS)]
        conflicts = [_conflict(row) async for row in self._tables.query(TABLE, CONFLICTS)]
        return {one.sku_id: one for one in products}, {one.pair: one for one in conflicts}

    async def product(self, sku_id: SkuId) -> tuple[SeenProduct | None, str | None]:
        row = await self._tables.get(TABLE, PRODUCTS, sku_id)
        return (_product(row), row["etag"]) if row else (None, None)

    async def save_product(self, product: SeenProduct, etag: str | None) -> None:
        body = {"name": product.part_number, "plans": {key: _plan_json(one) for key, one in product.plans.items()}}
        await self._save(PRODUCTS, product.sku_id, body, etag)

    async def conflict(self, pair: Pair) -> tuple[ObservedConflict | None, str | None]:
        row = await self._tables.get(TABLE, CONFLICTS, _key(pair))
        return (_conflict(row), row["etag"]) if row else (None, None)

    async def save_conflict(self, conflict: ObservedConflict, etag: str | None) -> None:
        body = {
            "plans": sorted(conflict.plans),
            "text": conflict.text,
            "at": time_text(conflict.at),
            "probedAt": time_text(conflict.probed_at),
        }
        await self._save(CONFLICTS, _key(conflict.pair), body, etag)

    async def remove_conflict(self, pair: Pair) -> None:
        await self._tables.delete(TABLE, CONFLICTS, _key(pair))
        self._facts.forget()

    async def _save(self, partition: str, key: str, body: dict[str, Any], etag: str | None) -> None:
        row = {"PartitionKey": partition, "RowKey": key, **split_body(dump(body))}
        await self._tables.write(TABLE, Op("create" if etag is None else "replace", row, etag))
        self._facts.forget()


def _key(pair: Pair) -> str:
    return f"{pair.one}_{pair.two}"


def _product(row: Row) -> SeenProduct:
    body = json.loads(joined_body(row))
    plans = {ServicePlanId(key): _plan(ServicePlanId(key), value) for key, value in body["plans"].items()}
    return SeenProduct(SkuId(row["RowKey"]), body["name"], plans)


def _plan_json(seen: SeenPlan) -> list[Any]:
    """Name, what it applies to, and four times: missing since, missing again, rejected, returned."""
    times = (seen.missing_since, seen.missing_again, seen.rejected_at, seen.returned_at)
    return [seen.plan.service_plan_name, seen.plan.applies_to, *(time_text(at) for at in times)]


def _plan(plan_id: ServicePlanId, value: list[Any]) -> SeenPlan:
    name, applies_to, *times = value
    return SeenPlan(ServicePlan(plan_id, name, applies_to), *(time_of(at) for at in times))


def _conflict(row: Row) -> ObservedConflict:
    body = json.loads(joined_body(row))
    one, two = row["RowKey"].split("_")
    return ObservedConflict(
        Pair(SkuId(one), SkuId(two)),
        plans_of(body["plans"]),
        body["text"],
        must_be_time(body["at"]),
        time_of(body["probedAt"]),
    )
