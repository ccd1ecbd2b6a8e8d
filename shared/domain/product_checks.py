"""Faults of the products of a request, and warnings for its preview.

Only what the tenant itself says of a product is wrong. The lists that Microsoft publishes about pairs of service plans
are not kept current (learn.microsoft.com/entra/identity/users/licensing-service-plan-reference), so they only warn, and
Graph decides for each user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense
from shared.domain.errors import AssignmentError
from shared.domain.ids import NO_PLANS, Plans, SkuId


def check_products(requested: Sequence[AssignedLicense], catalog: Catalog, before: Mapping[SkuId, Plans]) -> None:
    """Raises AssignmentError with every fault of the products that a request adds or changes. `before`: the disabled
    plans that the products have now; one of those that left its product since is no fault of the request."""
    counts = Counter(license.sku_id for license in requested)
    faults = [
        f"addLicenses lists SKU {catalog.name(sku_id)} {number} times; list each SKU once."
        for sku_id, number in sorted(counts.items())
        if number > 1
    ]
    for license in requested:
        faults += _faults(license, catalog, before.get(license.sku_id, NO_PLANS))
    if faults:
        raise AssignmentError("InvalidLicenses", faults)


def _faults(license: AssignedLicense, catalog: Catalog, before: Plans) -> list[str]:
    sku = catalog.skus.get(license.sku_id)
    if sku is None:
        return [f"SKU {license.sku_id} is not a license of this tenant."]
    name = sku.sku_part_number
    if sku.applies_to.lower() == "company":
        return [f"SKU {name} applies to the company and cannot be assigned to users."]
    allowed = catalog.ever_listed(license.sku_id) | before
    faults = [f"Service plan {plan} is not part of {name}." for plan in sorted(license.disabled_plans - allowed)]
    if sku.plan_ids and sku.plan_ids <= license.disabled_plans:
        faults.append(f"SKU {name} would be left with no service plan. Leave at least one of its plans on.")
    return faults


def warnings_of(licenses: Sequence[AssignedLicense], changed: Collection[SkuId], catalog: Catalog) -> tuple[str, ...]:
    """What Microsoft's lists say against licenses that are given together, for those that a request changes, and what
    the tenant's own subscriptions say."""
    return (
        *_subscriptions(licenses, changed, catalog),
        *_exclusions(licenses, changed, catalog),
        *_dependencies(licenses, changed, catalog),
    )


def _subscriptions(licenses: Sequence[AssignedLicense], changed: Collection[SkuId], catalog: Catalog) -> list[str]:
    found = [catalog.not_assignable(license.sku_id) for license in licenses if license.sku_id in changed]
    return [f"{text} Its members will be in error until the subscription is active." for text in found if text]


def _exclusions(licenses: Sequence[AssignedLicense], changed: Collection[SkuId], catalog: Catalog) -> list[str]:
    found = []
    for one, two in combinations(sorted(licenses, key=lambda license: license.sku_id), 2):
        if one.sku_id not in changed and two.sku_id not in changed:
            continue
        names = f"{catalog.name(one.sku_id)} and {catalog.name(two.sku_id)}"
        if catalog.conflict(one, two):
            found.append(f"Graph has rejected {names} together in this tenant.")
        elif pair := catalog.listed_exclusive(catalog.on(one), catalog.on(two)):
            plans = " and ".join(catalog.plan_name(plan) for plan in pair)
            found.append(
                f"Microsoft lists {names} as exclusive ({plans}). Graph decides: "
                "a member for whom it rejects one of them will be in error."
            )
    return found


def _dependencies(licenses: Sequence[AssignedLicense], changed: Collection[SkuId], catalog: Catalog) -> list[str]:
    present = NO_PLANS.union(*(catalog.on(license) for license in licenses))
    found = []
    for license in licenses:
        if license.sku_id not in changed:
            continue
        for plan in sorted(catalog.on(license), key=catalog.plan_name):
            if missing := catalog.missing(plan, present):
                needs = ", ".join(sorted(catalog.plan_name(each) for each in missing))
                found.append(
                    f"Microsoft says that {catalog.plan_name(plan)} of {catalog.name(license.sku_id)} needs one of "
                    f"{needs}, which these products do not turn on. Graph decides: "
                    "a member without any of them will be in error."
                )
    return found
