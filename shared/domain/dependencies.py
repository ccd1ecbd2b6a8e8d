"""What an assignment means when it is accepted: plans without their prerequisite are switched off, and that is frozen.

The rule of native group-based licensing: a prerequisite counts only in the same group's assignment
(learn.microsoft.com/entra/identity/users/licensing-groups-resolve-problems).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from shared.domain.assignment import DependencyRule, SkuAssignment, SwitchedOffPlan
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense
from shared.domain.errors import AssignmentError
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId


def resolve(
    requested: Sequence[AssignedLicense], catalog: Catalog, rule: DependencyRule, elsewhere: Plans = NO_PLANS
) -> tuple[SkuAssignment, ...]:
    """The SKUs of an assignment with `disabled_plans` as they will be used, sorted by SKU id.

    `elsewhere`: plans other assignments enable, which count with the rule `union`. Raises AssignmentError with every
    fault of the request.
    """
    faults = _faults(requested, catalog)
    usable = {license.sku_id: license for license in reversed(requested) if _is_assignable(license.sku_id, catalog)}
    enabled = {sku_id: catalog.plans(sku_id) - license.disabled_plans for sku_id, license in usable.items()}
    outside = elsewhere if rule is DependencyRule.UNION else NO_PLANS
    off = _switched_off(enabled, outside, catalog)
    resolved = tuple(
        SkuAssignment(
            license.sku_id,
            license.disabled_plans | frozenset(off.keys() & enabled[license.sku_id]),
            license.disabled_plans,
            tuple(SwitchedOffPlan(plan, off[plan]) for plan in sorted(off.keys() & enabled[license.sku_id])),
        )
        for license in sorted(usable.values(), key=lambda license: license.sku_id)
    )
    complete = len(usable) == len({license.sku_id for license in requested})
    faults += [*_without_plans(resolved, catalog, complete=complete), *_conflicts(resolved, catalog)]
    if faults:
        raise AssignmentError("InvalidLicenses", " ".join(faults))
    return resolved


def _is_assignable(sku_id: SkuId, catalog: Catalog) -> bool:
    sku = catalog.skus.get(sku_id)
    return sku is not None and sku.applies_to.lower() != "company"


def _faults(requested: Sequence[AssignedLicense], catalog: Catalog) -> list[str]:
    faults: list[str] = []
    counts = Counter(license.sku_id for license in requested)
    faults += [f"SKU {catalog.name(sku_id)} is given {n} times." for sku_id, n in sorted(counts.items()) if n > 1]
    for license in requested:
        sku = catalog.skus.get(license.sku_id)
        if sku is None:
            faults.append(f"SKU {license.sku_id} is not a license of this tenant.")
            continue
        if sku.applies_to.lower() == "company":
            faults.append(f"SKU {sku.sku_part_number} applies to the company and cannot be assigned to users.")
        foreign = sorted(license.disabled_plans - sku.plan_ids)
        faults += [f"Service plan {plan} is not part of {sku.sku_part_number}." for plan in foreign]
    return faults


def _switched_off(
    enabled: Mapping[SkuId, Plans], outside: Plans, catalog: Catalog
) -> dict[ServicePlanId, tuple[ServicePlanId, ...]]:
    """Plans to switch off and what each lacks; a plan switched off may leave others without their prerequisite."""
    on = NO_PLANS.union(*enabled.values())
    off: dict[ServicePlanId, tuple[ServicePlanId, ...]] = {}
    while True:
        present = (on - off.keys()) | outside
        lacking = {plan: missing for plan in sorted(on - off.keys()) if (missing := _missing(plan, present, catalog))}
        if not lacking:
            return off
        off.update(lacking)


def _missing(plan: ServicePlanId, present: Plans, catalog: Catalog) -> tuple[ServicePlanId, ...]:
    needs = catalog.dependencies.get(plan, ())
    return tuple(sorted(NO_PLANS.union(*(any_of for any_of in needs if not any_of & present))))


def _without_plans(resolved: Sequence[SkuAssignment], catalog: Catalog, *, complete: bool) -> list[str]:
    """SKUs with no plan on. Where the request is not `complete` (a SKU in it cannot be used) a missing prerequisite is
    not told: that SKU may have been meant to bring it."""
    faults = []
    for sku in resolved:
        plans = catalog.plans(sku.sku_id)
        if not plans or plans - sku.disabled_plans or (sku.switched_off and not complete):
            continue
        missing = sorted({catalog.plan_name(plan) for off in sku.switched_off for plan in off.missing})
        why = f" It needs one of {', '.join(missing)} in the same assignment." if missing else ""
        faults.append(f"SKU {catalog.name(sku.sku_id)} would be left with no service plan.{why}")
    return faults


def _conflicts(resolved: Sequence[SkuAssignment], catalog: Catalog) -> list[str]:
    faults = []
    for index, one in enumerate(resolved):
        for two in resolved[index + 1 :]:
            first = catalog.plans(one.sku_id) - one.disabled_plans
            second = catalog.plans(two.sku_id) - two.disabled_plans
            if pair := catalog.clash(first, second):
                names = " and ".join(catalog.plan_name(plan) for plan in pair)
                faults.append(
                    f"SKUs {catalog.name(one.sku_id)} and {catalog.name(two.sku_id)} exclude each other: {names}."
                )
    return faults
