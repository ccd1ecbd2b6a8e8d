"""Which SKU of a rejected call is dropped, and what stays away with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense
from shared.domain.graph_errors import Refusal
from shared.domain.ids import Plans, SkuId


def skus_to_drop(
    refusal: Refusal, add: Sequence[AssignedLicense], remove: Sequence[SkuId], catalog: Catalog
) -> tuple[SkuId, ...]:
    """Which SKU of a refused call to leave out: the one named; where plans are named, one that contains such a plan, of
    additions the last; none where the text does not say, so that each is to be tried alone.

    A text that names plans may also list all SKUs of the call, so there the plans decide first.
    """
    called = [*(license.sku_id for license in add), *remove]
    named = tuple(sku_id for sku_id in called if sku_id in refusal.sku_ids)
    if not refusal.plan_ids:
        return named
    plans = set(refusal.plan_ids)
    additions = [license.sku_id for license in add if plans & (catalog.plans(license.sku_id) - license.disabled_plans)]
    if additions:
        return (additions[-1],)
    return named[-1:] or tuple(sku_id for sku_id in remove if plans & catalog.plans(sku_id))[-1:]


def without(
    add: Iterable[AssignedLicense],
    remove: Iterable[SkuId],
    dropped: SkuId,
    catalog: Catalog,
    plans_off: Mapping[SkuId, Plans] | None = None,
) -> tuple[tuple[AssignedLicense, ...], tuple[SkuId, ...]]:
    """The call without one SKU. Without an addition, every removal that it may have been to replace stays away too, and
    every license in which `plans_off` (by SKU) are turned off that it was to replace.

    Without a removal, additions that conflict with the license that stays are left out, and what those were to replace.
    """
    adding, removing = list(add), [sku_id for sku_id in remove if sku_id != dropped]
    leaving = [dropped]
    if dropped not in {license.sku_id for license in adding}:
        stays = catalog.plans(dropped)
        leaving = [
            license.sku_id
            for license in adding
            if catalog.clash(stays, catalog.plans(license.sku_id) - license.disabled_plans)
        ]
    off = dict(plans_off or {})
    while leaving:
        left = leaving.pop()
        adding = [license for license in adding if license.sku_id != left]
        removing = [sku_id for sku_id in removing if not catalog.overlaps(left, sku_id)]
        for sku_id in [each for each in off if each != left and catalog.touches(off[each], catalog.plans(left))]:
            del off[sku_id]
            leaving.append(sku_id)
    return tuple(adding), tuple(removing)
