"""The tenant's products and the rules between service plans: which exclude each other, which need another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.domain.catalog_data import DEPENDENCIES, EXCLUSIONS
from shared.domain.directory import SubscribedSku
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """Products by SKU id; `dependencies`: of every set named for a plan at least one plan must be on."""

    skus: Mapping[SkuId, SubscribedSku]
    exclusions: tuple[Plans, ...] = EXCLUSIONS
    dependencies: Mapping[ServicePlanId, tuple[Plans, ...]] = field(default_factory=lambda: DEPENDENCIES)
    _plans: dict[SkuId, Plans] = field(default_factory=dict, repr=False)
    _overlaps: dict[tuple[SkuId, SkuId], bool] = field(default_factory=dict, repr=False)
    _plan_names: dict[ServicePlanId, str] = field(default_factory=dict, repr=False)

    def plans(self, sku_id: SkuId) -> Plans:
        """The service plans of a SKU; none for one the tenant does not own."""
        if sku_id not in self._plans:
            sku = self.skus.get(sku_id)
            self._plans[sku_id] = sku.plan_ids if sku else NO_PLANS
        return self._plans[sku_id]

    def name(self, sku_id: SkuId) -> str:
        """The SKU's part number, or its id where it is unknown."""
        sku = self.skus.get(sku_id)
        return sku.sku_part_number if sku else sku_id

    def plan_name(self, plan_id: ServicePlanId) -> str:
        """The service plan's name, or its id where it is unknown."""
        if not self._plan_names:
            for sku in self.skus.values():
                self._plan_names.update({plan.service_plan_id: plan.service_plan_name for plan in sku.service_plans})
        return self._plan_names.get(plan_id, plan_id)

    def overlaps(self, a: SkuId, b: SkuId) -> bool:
        """Whether two SKUs share a service plan, or have plans in one exclusion set: one may replace the other."""
        if a == b:
            return False
        key = (a, b) if a < b else (b, a)
        if key not in self._overlaps:
            self._overlaps[key] = self.touches(self.plans(a), self.plans(b))
        return self._overlaps[key]

    def touches(self, old: Plans, new: Plans) -> bool:
        """Whether plans `new` may be there to replace plans `old`: one is in both, or one excludes another."""
        return bool(old & new) or any(old & group and new & group for group in self.exclusions)

    def clash(self, one: Plans, two: Plans) -> tuple[ServicePlanId, ServicePlanId] | None:
        """The first plan of `one` and plan of `two` that exclude each other, or None.

        A pair that is in one side already is no clash between the two: there are products with such plans in them.
        """
        for group in self.exclusions:
            for first in sorted(one & group):
                for second in sorted(two & group):
                    if first != second and second not in one and first not in two:
                        return first, second
        return None

    def conflict(self, enabled: Iterable[ServicePlanId]) -> tuple[ServicePlanId, ServicePlanId] | None:
        """The first pair of different plans of one exclusion set, or None where all may be on together."""
        plans = frozenset(enabled)
        for group in self.exclusions:
            found = sorted(plans & group)
            if len(found) > 1:
                return found[0], found[1]
        return None
