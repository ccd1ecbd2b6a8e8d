"""What Microsoft sells, and the tables of one tenant: products, service plans, which plans exclude or need each other.

`published` reads the data files once. A `Catalog` is one tenant's own copy: a test can change it, and a seed can.
Identifiers: learn.microsoft.com/entra/identity/users/licensing-service-plan-reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any

import orjson

DATA = Path(__file__).parent.parent / "data"

PENDING_PLANS = frozenset({"882e1d05-acd1-4ccb-8708-6ee03664b117"})
"""INTUNE_O365: the documentation's example of PendingActivation (learn.microsoft.com/graph/api/subscribedsku-list)."""

EXCLUSIONS = ("since2023", "page2022")
"""Which plans exclude each other: as since January 2023, or as the page of 2022 has it (data/exclusions.json)."""

_CACHE_LIMIT = 20_000  # distinct (SKU, disabledPlans) pairs; far above what one tenant uses
_NO_PLANS: frozenset[str] = frozenset()

Pair = frozenset[str]
"""Two service plans that cannot both be on for one user."""


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

    def with_plans(self, plans: Iterable[ServicePlan]) -> Product:
        """The product with other plans."""
        whole = tuple(plans)
        return replace(self, plans=whole, plan_ids=frozenset(plan.id for plan in whole))


@dataclass(frozen=True, slots=True)
class Dependency:
    """`dependent` may be on only while one of `any_of` is on."""

    dependent: str
    any_of: tuple[str, ...]
    documented: bool


@dataclass(frozen=True, slots=True)
class Published:
    """What Microsoft publishes. `exclusions` by the positions of EXCLUSIONS."""

    products: Mapping[str, Product]
    exclusions: Mapping[str, frozenset[Pair]]
    dependencies: tuple[Dependency, ...]
    plan_ids: Mapping[str, str]
    """Service plan id by name, those of exclusions included."""
    exchange_plans: frozenset[str]


class Catalog:
    """All products and the rules between their plans, as one tenant has them."""

    def __init__(self) -> None:
        whole = published()
        self.products = dict(whole.products)
        self.dependencies = whole.dependencies
        self.exchange_plans = whole.exchange_plans
        self._added: frozenset[Pair] = frozenset()
        self._permitted: frozenset[Pair] = frozenset()
        self._enabled: dict[tuple[str, tuple[str, ...]], frozenset[str]] = {}
        self._partners: dict[str, dict[str, frozenset[str]]] = {}

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
        """The product with this `skuPartNumber`; ValueError names an unknown one, and one that several products have.

        Part numbers are not unique (MicrosoftDocs/azure-docs issue 108975).
        """
        found = [product for product in self.products.values() if product.part_number == part_number]
        if len(found) > 1:
            ids = ", ".join(product.sku_id for product in found)
            raise ValueError(f"skuPartNumber {part_number!r} names {len(found)} products; give one of the skuIds {ids}")
        if not found:
            raise ValueError(f"skuPartNumber {part_number!r} is not in the product list of the simulated tenant")
        return found[0]

    def exclusions(self, position: str) -> frozenset[Pair]:
        """The pairs of plans that exclude each other here, at a position of EXCLUSIONS."""
        return (published().exclusions[position] - self._permitted) | self._added

    def partners(self, plan_id: str, position: str) -> frozenset[str]:
        """The plans that cannot be on together with this one."""
        index = self._partners.get(position)
        if index is None:
            index = {}
            for pair in self.exclusions(position):
                one, two = pair
                index[one] = index.get(one, _NO_PLANS) | {two}
                index[two] = index.get(two, _NO_PLANS) | {one}
            self._partners[position] = index
        return index.get(plan_id, _NO_PLANS)

    def exclude(self, pair: Pair) -> None:
        """From now on these two plans cannot be on together."""
        self._added |= {pair}
        self._permitted -= {pair}
        self._partners.clear()

    def permit(self, pair: Pair) -> None:
        """From now on these two plans can be on together, whatever is published."""
        self._added -= {pair}
        self._permitted |= {pair}
        self._partners.clear()

    def retire(self, sku_id: str, plan_id: str) -> None:
        """Microsoft takes a plan out of a product. ValueError if it is not in it."""
        product = self.products[sku_id]
        if plan_id not in product.plan_ids:
            raise ValueError(f"service plan {plan_id} is not in {product.part_number}")
        self._change(product.with_plans(plan for plan in product.plans if plan.id != plan_id))

    def bring_back(self, sku_id: str, plan_id: str) -> None:
        """A plan of the published product is in it again, at its place. ValueError if it never was."""
        product, whole = self.products[sku_id], published().products[sku_id]
        if plan_id not in whole.plan_ids:
            raise ValueError(f"service plan {plan_id} never was in {product.part_number}")
        now = {plan.id: plan for plan in product.plans}
        self._change(
            product.with_plans(now.get(plan.id, plan) for plan in whole.plans if plan.id in now or plan.id == plan_id)
        )

    def apply_to(self, plan_id: str, applies_to: str) -> None:
        """Let a plan apply to `User` or `Company` in every product."""
        for product in list(self.products.values()):
            if plan_id in product.plan_ids:
                self._change(
                    product.with_plans(
                        replace(plan, applies_to=applies_to) if plan.id == plan_id else plan for plan in product.plans
                    )
                )

    def depend(self, rule: Dependency) -> None:
        """From now on a plan needs one of others."""
        self.dependencies = (*self.independent(rule.dependent), rule)

    def independent(self, plan_id: str) -> tuple[Dependency, ...]:
        """The dependencies without those of a plan."""
        return tuple(rule for rule in self.dependencies if rule.dependent != plan_id)

    def _change(self, product: Product) -> None:
        self.products[product.sku_id] = product
        self._enabled.clear()


@lru_cache(maxsize=1)
def published() -> Published:
    """The data files."""
    raw = orjson.loads((DATA / "products.json").read_bytes())
    tables = orjson.loads((DATA / "exclusions.json").read_bytes())
    ids: dict[str, str] = dict(raw["servicePlans"])
    for one in tables["sets"]:
        ids.update(one["servicePlans"])
    company = {one["servicePlanName"] for one in raw["companyPlans"]}
    products = [_product(one, ids, company) for one in raw["products"]]
    rules = orjson.loads((DATA / "dependencies.json").read_bytes())["rules"]
    return Published(
        products={product.sku_id: product for product in products},
        exclusions=_exclusions(tables, ids),
        dependencies=tuple(
            Dependency(
                dependent=rule["dependent"]["servicePlanId"],
                any_of=tuple(plan["servicePlanId"] for plan in rule["anyOf"]),
                documented=rule["documented"],
            )
            for rule in rules
        ),
        plan_ids=ids,
        exchange_plans=frozenset(
            plan_id
            for name, plan_id in ids.items()
            if name.startswith(("EXCHANGE_S_", "EXCHANGE_B_")) and name not in company
        ),
    )


def _product(raw: dict[str, Any], ids: Mapping[str, str], company: set[str]) -> Product:
    plans = tuple(
        ServicePlan(
            id=ids[name],
            name=name,
            applies_to="Company" if name in company else "User",
            provisioning_status="PendingActivation" if ids[name] in PENDING_PLANS else "Success",
        )
        for name in raw["servicePlans"]
    )
    return Product(raw["skuId"], raw["skuPartNumber"], raw["productName"], plans, frozenset(plan.id for plan in plans))


def _exclusions(tables: dict[str, Any], ids: Mapping[str, str]) -> dict[str, frozenset[Pair]]:
    together = {frozenset(ids[name] for name in one["servicePlans"]) for one in tables["together"]}
    now: set[Pair] = set()
    page: set[Pair] = set()
    for one in tables["sets"]:
        plans = set(one["servicePlans"].values())
        earlier = plans | set(tables["page2022"].get(one["name"], {}).values())
        now |= {frozenset(pair) for pair in combinations(plans, 2)}
        page |= {frozenset(pair) for pair in combinations(earlier, 2)}
    return {"since2023": frozenset(now - together), "page2022": frozenset(page)}
