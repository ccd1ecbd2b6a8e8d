"""Facts about the tenant's products that the answers for one user show."""

from __future__ import annotations

from collections.abc import Mapping

from shared.domain.ids import Plans, SkuId
from shared.domain.product_facts import Pair
from shared.domain.reconciliation import Attempted


def retired_plans(attempted: Attempted) -> Mapping[SkuId, Plans]:
    """Disabled plans that Graph has proven not to be part of their product: it rejected the license with them and
    accepted it without."""
    if not attempted.wrote or attempted.retry is not None:
        return {}
    failed = attempted.rejections.keys() | set(attempted.waiting)
    return {sku_id: plans for sku_id, plans in attempted.rejected_plans.items() if sku_id not in failed}


def probed(attempted: Attempted) -> frozenset[Pair]:
    """Expired conflicts that this user has shown not to exist any more: both licenses are there now."""
    there = attempted.user.assigned_skus if attempted.user is not None and attempted.wrote else frozenset()
    probes = attempted.plan.probes if attempted.plan is not None else frozenset()
    return frozenset(pair for pair in probes if pair.one in there and pair.two in there)


def has_shown_facts(attempted: Attempted) -> bool:
    """Whether the answers for this user show a fact about the tenant's products."""
    return bool(attempted.conflicts or retired_plans(attempted) or probed(attempted))
