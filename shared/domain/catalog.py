"""The tenant's products: what they contain, which of them overlap, with the published and observed rules about pairs.

The published tables (`exclusions`, `dependencies`) only warn, and order the calls of one user. What removes, keeps or
leaves out something is a shared service plan or an observation of this tenant (`facts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.catalog_data import DEPENDENCIES, EXCLUSIONS, TOGETHER
from shared.domain.directory import AssignedLicense, SubscribedSku
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId
from shared.domain.product_facts import NOTHING_OBSERVED, ObservedConflict, Pair, ProductFacts

NOT_ASSIGNABLE = frozenset({"suspended", "deleted", "lockedout"})
"""`capabilityStatus` of a product that cannot be assigned
(learn.microsoft.com/graph/api/resources/subscribedsku)."""

MAILBOXES = ("EXCHANGE_S_", "EXCHANGE_B_")
"""How the names of service plans with a mailbox begin
(learn.microsoft.com/entra/identity/users/licensing-service-plan-reference)."""


@dataclass(frozen=True, slots=True, eq=False)
class Catalog:
    """Products by SKU id. `exclusions`: sets of plans that Microsoft lists as exclusive. `dependencies`: for a plan,
    the sets of which Microsoft says that one plan each must be on."""

    skus: Mapping[SkuId, SubscribedSku]
    exclusions: tuple[Plans, ...] = EXCLUSIONS
    dependencies: Mapping[ServicePlanId, tuple[Plans, ...]] = field(default_factory=lambda: DEPENDENCIES)
    facts: ProductFacts = NOTHING_OBSERVED
    _plans: dict[SkuId, Plans] = field(default_factory=dict, repr=False)
    _user_plans: dict[SkuId, Plans] = field(default_factory=dict, repr=False)
    _overlaps: dict[tuple[SkuId, SkuId], bool] = field(default_factory=dict, repr=False)
    _plan_names: dict[ServicePlanId, str] = field(default_factory=dict, repr=False)

    def plans(self, sku_id: SkuId) -> Plans:
        """The service plans of a SKU, as the last nightly read found them if the tenant no longer owns it; none for an
        unknown one."""
        if sku_id not in self._plans:
            sku, seen = self.skus.get(sku_id), self.facts.products.get(sku_id)
            self._plans[sku_id] = sku.plan_ids if sku else frozenset(seen.plans) if seen else NO_PLANS
        return self._plans[sku_id]

    def user_plans(self, sku_id: SkuId) -> Plans:
        """The service plans of a SKU that apply to users; plans of the company come with many products and replace
        nothing."""
        if sku_id not in self._user_plans:
            sku, seen = self.skus.get(sku_id), self.facts.products.get(sku_id)
            found = sku.service_plans if sku else [each.plan for each in seen.plans.values()] if seen else ()
            self._user_plans[sku_id] = frozenset(
                plan.service_plan_id for plan in found if plan.applies_to.lower() != "company"
            )
        return self._user_plans[sku_id]

    def on(self, license: AssignedLicense) -> Plans:
        """The service plans that a license turns on."""
        return self.plans(license.sku_id) - license.disabled_plans

    def mailbox_plans(self, license: AssignedLicense) -> Plans:
        """The service plans with a mailbox that a license turns on."""
        on = self.on(license) & self.user_plans(license.sku_id)
        return frozenset(plan for plan in on if self.plan_name(plan).startswith(MAILBOXES))

    def name(self, sku_id: SkuId) -> str:
        """The SKU's part number, or its id where it is unknown."""
        sku, seen = self.skus.get(sku_id), self.facts.products.get(sku_id)
        return sku.sku_part_number if sku else seen.part_number if seen else sku_id

    def plan_name(self, plan_id: ServicePlanId) -> str:
        """The service plan's name, or its id where it is unknown."""
        if not self._plan_names:
            for sku in self.skus.values():
                self._plan_names.update({plan.service_plan_id: plan.service_plan_name for plan in sku.service_plans})
        return self._plan_names.get(plan_id, plan_id)

    def not_assignable(self, sku_id: SkuId) -> str:
        """Why a product cannot be assigned, by the directory; empty if nothing is known against it."""
        sku = self.skus.get(sku_id)
        if sku is None:
            return f"The tenant has no subscription of product {self.name(sku_id)}."
        if sku.applies_to.lower() == "company":
            return f"Product {sku.sku_part_number} applies to the company and cannot be assigned to users."
        if sku.capability_status.lower() in NOT_ASSIGNABLE:
            return f"The subscription of product {sku.sku_part_number} is in state {sku.capability_status}."
        return ""

    def retired(self, sku_id: SkuId) -> Plans:
        """Plans that Microsoft took out of a SKU: never in a call or a comparison, and kept in stored values."""
        sku = self.skus.get(sku_id)
        return self.facts.retired(sku_id, sku.plan_ids if sku else NO_PLANS)

    def ever_listed(self, sku_id: SkuId) -> Plans:
        """The service plans that a SKU has or had in any nightly read."""
        seen = self.facts.products.get(sku_id)
        return self.plans(sku_id) | frozenset(seen.plans if seen else ())

    def overlaps(self, a: SkuId, b: SkuId) -> bool:
        """Whether two SKUs share a service plan that applies to users: one may replace the other."""
        if a == b:
            return False
        key = (a, b) if a < b else (b, a)
        if key not in self._overlaps:
            self._overlaps[key] = bool(self.user_plans(a) & self.user_plans(b))
        return self._overlaps[key]

    def brings(self, sku_id: SkuId, plans: Plans) -> bool:
        """Whether a SKU has any of these plans as plans that apply to users."""
        return bool(plans & self.user_plans(sku_id))

    def conflict(self, one: AssignedLicense, two: AssignedLicense) -> ObservedConflict | None:
        """The conflict between two licenses that this tenant has shown and that still holds."""
        found = self.facts.conflicts.get(Pair.of(one.sku_id, two.sku_id))
        return found if found and found.is_between(self.on(one), self.on(two)) else None

    def to_probe(self, one: AssignedLicense, two: AssignedLicense) -> ObservedConflict | None:
        """The conflict between two licenses that has expired, so that one person must try it again."""
        found = self.facts.expired.get(Pair.of(one.sku_id, two.sku_id))
        return found if found and found.is_between(self.on(one), self.on(two)) else None

    def replaces(self, new: SkuId, old: SkuId) -> bool:
        """Whether a removal of `old` waits for the addition of `new`: they overlap, or Graph has rejected them
        together, so that the one must go for the other. A product of unknown contents may replace anything."""
        unknown = new not in self.skus and new not in self.facts.products
        return unknown or self.overlaps(new, old) or Pair.of(new, old) in self.facts.conflicts

    def listed_exclusive(
        self, one: Plans, two: Plans, known: Plans = NO_PLANS
    ) -> tuple[ServicePlanId, ServicePlanId] | None:
        """The first plan of `one` and plan of `two` that Microsoft lists as exclusive, or None.

        A pair that is in one side already is nothing between the two: there are products with such plans in them.
        Plans of `one` that are `known` are on already, so that they add no pair.
        """
        for group in self.exclusions:
            for first in sorted((one - known) & group):
                for second in sorted(two & group):
                    pair = frozenset((first, second))
                    if first != second and second not in one and first not in two and pair not in TOGETHER:
                        return first, second
        return None

    def shares_call(self, new: AssignedLicense, old: SkuId) -> bool:
        """Whether an addition and a removal go out in one call rather than one after the other."""
        return self.replaces(new.sku_id, old) or self.listed_exclusive(self.on(new), self.plans(old)) is not None

    def missing(self, plan: ServicePlanId, present: Plans) -> Plans:
        """The plans of which Microsoft says that `plan` needs one, where none is present."""
        return NO_PLANS.union(*(any_of for any_of in self.dependencies.get(plan, ()) if not any_of & present))

    def returned_after(self, sku_id: SkuId, at: datetime) -> Plans:
        """Plans of a SKU that were retired and came back after a time."""
        return self.facts.returned_after(sku_id, at)
