"""What Microsoft sells: products, their service plans, and which plans exclude or need each other.

Read once from the JSON files beside this module; the license rules ask it questions about values.
Identifiers: learn.microsoft.com/entra/identity/users/licensing-service-plan-reference.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

DATA = Path(__file__).parent.parent / "data"

COMPANY_PLANS = frozenset({"113feb6c-3fe4-4440-bddc-54d774bf0318"})
"""EXCHANGE_S_FOUNDATION is provisioned for the company, not for a person."""

PENDING_PLANS = frozenset({"882e1d05-acd1-4ccb-8708-6ee03664b117"})
"""INTUNE_O365: the documentation's example of PendingActivation (learn.microsoft.com/graph/api/subscribedsku-list)."""

EXCHANGE_PLAN_1 = "9aaf7827-d63c-4b61-89c3-182f06f82e5c"
EXCHANGE_PLAN_2 = "efb87545-963c-4e0d-99df-69c6916d9eb0"

_CACHE_LIMIT = 20_000  # distinct (SKU, disabledPlans) pairs; far above what one tenant uses


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One part of a product, as `servicePlanInfo` shows it."""

    id: str
    name: str
    applies_to: str
    provisioning_status: str


@dataclass(frozen=True, slots=True)
class Product:
    """A SKU that can be bought; `plan_ids` has every plan, those for the company included."""

    sku_id: str
    part_number: str
    name: str
    plans: tuple[ServicePlan, ...]
    plan_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Dependency:
    """`dependent` may be on only while one of `any_of` is on."""

    dependent: str
    any_of: tuple[str, ...]
    documented: bool


@dataclass(slots=True)
class Catalog:
    """All products and the rules between their plans."""

    products: dict[str, Product]
    exclusions: tuple[frozenset[str], ...]
    dependencies: tuple[Dependency, ...]
    exchange_plans: frozenset[str]
    _enabled: dict[tuple[str, tuple[str, ...]], frozenset[str]] = field(default_factory=dict)

    def enabled_plans(self, sku_id: str, disabled: tuple[str, ...]) -> frozenset[str]:
        """The plans that are on when the SKU is held with these plans disabled; none for an unknown SKU."""
        key = (sku_id, disabled)
        found = self._enabled.get(key)
        if found is None:
            product = self.products.get(sku_id)
            found = product.plan_ids.difference(disabled) if product else frozenset()
            if len(self._enabled) >= _CACHE_LIMIT:
                self._enabled.clear()
            self._enabled[key] = found
        return found

    def by_part_number(self, part_number: str) -> Product:
        """The product with this `skuPartNumber`; ValueError names an unknown one."""
        for product in self.products.values():
            if product.part_number == part_number:
                return product
        raise ValueError(f"skuPartNumber {part_number!r} is not in the product list of the simulated tenant")


def _product(raw: dict[str, Any]) -> Product:
    plans = tuple(
        ServicePlan(
            id=plan["servicePlanId"],
            name=plan["servicePlanName"],
            applies_to="Company" if plan["servicePlanId"] in COMPANY_PLANS else "User",
            provisioning_status="PendingActivation" if plan["servicePlanId"] in PENDING_PLANS else "Success",
        )
        for plan in raw["servicePlans"]
    )
    return Product(raw["skuId"], raw["skuPartNumber"], raw["productName"], plans, frozenset(p.id for p in plans))


@lru_cache(maxsize=1)
def load_catalog() -> Catalog:
    """The catalog from the data files, shared by all tenants of the process."""
    products = [_product(raw) for raw in orjson.loads((DATA / "skus.json").read_bytes())["skus"]]
    exclusions = orjson.loads((DATA / "exclusions.json").read_bytes())["sets"]
    dependencies = orjson.loads((DATA / "dependencies.json").read_bytes())["rules"]
    return Catalog(
        products={product.sku_id: product for product in products},
        exclusions=tuple(frozenset(p["servicePlanId"] for p in one["servicePlans"]) for one in exclusions),
        dependencies=tuple(
            Dependency(
                dependent=rule["dependent"]["servicePlanId"],
                any_of=tuple(p["servicePlanId"] for p in rule["anyOf"]),
                documented=rule["documented"],
            )
            for rule in dependencies
        ),
        exchange_plans=frozenset(
            plan.id
            for product in products
            for plan in product.plans
            if plan.name.startswith(("EXCHANGE_S_", "EXCHANGE_B_")) and plan.id not in COMPANY_PLANS
        ),
    )
