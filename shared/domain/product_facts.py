"""Observations of the tenant's products: plans that left a product, and pairs that Graph rejected together.

Published tables only warn. These facts were seen in this tenant, with their dates, so they can decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from shared.domain.directory import ServicePlan, SubscribedSku
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId

CONFLICT_HOLDS = timedelta(days=30)
"""How long an observed conflict ends grace periods without a new rejection. An estimate: Microsoft changes published
pairs a few times a year (learn.microsoft.com/entra/identity/users/licensing-service-plan-reference)."""

PROBE_LASTS = timedelta(minutes=10)
"""How long the one person who probes an expired conflict may take: several calls and a retry of each."""

NIGHTS_APART = timedelta(hours=20)
"""Two reads this far apart are reads of two nights; the nightly timer may run twice in one night."""

REJECTION_HOLDS = timedelta(days=7)
"""How long a plan that Graph rejected stays out of calls although the product still lists it; tried again weekly."""


class Pair(NamedTuple):
    """Two SKUs, the smaller id first."""

    one: SkuId
    two: SkuId

    @classmethod
    def of(cls, a: SkuId, b: SkuId) -> Pair:
        return cls(a, b) if a < b else cls(b, a)


@dataclass(frozen=True, slots=True)
class ObservedConflict:
    """A rejection of one product because of another: the plans that Graph named, its text, and when.

    `probed_at`: when one person began to try the pair again after the conflict had expired.
    """

    pair: Pair
    plans: Plans
    text: str
    at: datetime
    probed_at: datetime | None = None

    def holds_at(self, now: datetime) -> bool:
        return now < self.at + CONFLICT_HOLDS

    def can_be_probed(self, now: datetime) -> bool:
        return self.probed_at is None or now >= self.probed_at + PROBE_LASTS

    def is_between(self, one: Plans, two: Plans) -> bool:
        """Whether the named plans are on in two licenses, at least one other plan in each."""
        first, second = self.plans & one, self.plans & two
        return bool(first and second) and len(first | second) > 1


@dataclass(frozen=True, slots=True)
class SeenPlan:
    """A plan as the nightly reads of its product found it. `missing_since`, `missing_again`: the first read without it,
    and a read of a later night. `rejected_at`: when Graph rejected a call that named it. `returned_at`: when a retired
    plan was listed again."""

    plan: ServicePlan
    missing_since: datetime | None = None
    missing_again: datetime | None = None
    rejected_at: datetime | None = None
    returned_at: datetime | None = None

    @property
    def is_retired(self) -> bool:
        return self.missing_again is not None or self.rejected_at is not None


@dataclass(frozen=True, slots=True)
class SeenProduct:
    """A product with each plan that any nightly read found in it."""

    sku_id: SkuId
    part_number: str
    plans: Mapping[ServicePlanId, SeenPlan] = field(default_factory=dict)

    def retired(self, listed: Plans) -> Plans:
        """Plans to leave out of calls and comparisons. `listed`: what the product has now. A plan that is listed again
        is in use again at once, unless it was listed too when Graph rejected it."""
        return frozenset(
            plan_id
            for plan_id, seen in self.plans.items()
            if seen.is_retired and (plan_id not in listed or seen.missing_since is None)
        )

    def returned_after(self, at: datetime) -> Plans:
        """Plans that were retired and came back after a time."""
        return frozenset(
            plan_id for plan_id, seen in self.plans.items() if seen.returned_at is not None and seen.returned_at > at
        )


def after_nightly_read(
    seen: SeenProduct | None, sku: SubscribedSku, now: datetime, turned_off: Plans = NO_PLANS
) -> SeenProduct:
    """The product after a complete read of it. A read without the product proves nothing of its plans and must not be
    passed here. `turned_off`: plans that groups turn off in it, which it had once."""
    known = {plan_id: SeenPlan(ServicePlan(plan_id, plan_id)) for plan_id in turned_off}
    known |= seen.plans if seen else {}
    listed = {plan.service_plan_id: plan for plan in sku.service_plans}
    plans = {plan_id: _listed(known.get(plan_id), plan, now) for plan_id, plan in listed.items()}
    plans.update({plan_id: _unlisted(one, now) for plan_id, one in known.items() if plan_id not in listed})
    return SeenProduct(sku.sku_id, sku.sku_part_number, plans)


def _listed(seen: SeenPlan | None, plan: ServicePlan, now: datetime) -> SeenPlan:
    seen = seen or SeenPlan(plan)
    was_away = seen.missing_since is not None
    rejected_at = seen.rejected_at
    if rejected_at is not None and (was_away or now >= rejected_at + REJECTION_HOLDS):
        rejected_at = None
    came_back = seen.is_retired and rejected_at is None
    return SeenPlan(plan, rejected_at=rejected_at, returned_at=now if came_back else seen.returned_at)


def _unlisted(seen: SeenPlan, now: datetime) -> SeenPlan:
    if seen.missing_since is None:
        return replace(seen, missing_since=now)
    if seen.missing_again is None and now >= seen.missing_since + NIGHTS_APART:
        return replace(seen, missing_again=now)
    return seen


def after_rejection(seen: SeenProduct | None, sku_id: SkuId, plans: Plans, listed: Plans, now: datetime) -> SeenProduct:
    """The product after Graph rejected plans of it. `listed`: the plans that the product had then."""
    seen = seen or SeenProduct(sku_id, sku_id)
    known = {plan_id: seen.plans.get(plan_id) or SeenPlan(ServicePlan(plan_id, plan_id)) for plan_id in plans}
    rejected = {
        plan_id: replace(one, rejected_at=now, missing_since=None if plan_id in listed else one.missing_since or now)
        for plan_id, one in known.items()
    }
    return replace(seen, plans={**seen.plans, **rejected})


@dataclass(frozen=True, slots=True)
class ProductFacts:
    """All observations. `conflicts` hold now; `expired` ones must be probed."""

    products: Mapping[SkuId, SeenProduct] = field(default_factory=dict)
    conflicts: Mapping[Pair, ObservedConflict] = field(default_factory=dict)
    expired: Mapping[Pair, ObservedConflict] = field(default_factory=dict)

    @classmethod
    def at(
        cls, products: Mapping[SkuId, SeenProduct], conflicts: Mapping[Pair, ObservedConflict], now: datetime
    ) -> ProductFacts:
        """The observations as they count at a time."""
        holding = {pair: each for pair, each in conflicts.items() if each.holds_at(now)}
        return cls(products, holding, {pair: each for pair, each in conflicts.items() if pair not in holding})

    def retired(self, sku_id: SkuId, listed: Plans) -> Plans:
        seen = self.products.get(sku_id)
        return seen.retired(listed) if seen else NO_PLANS

    def returned_after(self, sku_id: SkuId, at: datetime) -> Plans:
        seen = self.products.get(sku_id)
        return seen.returned_after(at) if seen else NO_PLANS


NOTHING_OBSERVED = ProductFacts()
