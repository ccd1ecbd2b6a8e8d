"""Which SKU of a rejected call is dropped, and which other SKUs are dropped with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseError
from shared.domain.graph_errors import Rejection
from shared.domain.ids import NO_PLANS, Plans, SkuId
from shared.domain.write_results import LicenseCall


def skus_to_drop(rejection: Rejection, call: LicenseCall, user: DirectoryUser, catalog: Catalog) -> tuple[SkuId, ...]:
    """Which SKU of a rejected call to leave out: the one that the text names by id, part number or plans. None if the
    text fits several or none: then each addition is tried alone.

    A text that names plans may also list all SKUs of the call, so there the plans decide first.
    """
    called = [*(license.sku_id for license in call.add), *call.remove]
    named = [sku_id for sku_id in called if sku_id in rejection.sku_ids or rejection.names(catalog.name(sku_id))]
    if rejection.plan_ids:
        meant = _by_plans(rejection, call, user, catalog)
        if len(meant) == 1:
            return meant
        named = [sku_id for sku_id in named if sku_id in meant] if meant else named
    return tuple(named) if len(named) == 1 else ()


def _by_plans(rejection: Rejection, call: LicenseCall, user: DirectoryUser, catalog: Catalog) -> tuple[SkuId, ...]:
    """The SKUs of a call that a text may mean by the plans in it.

    In a conflict, it is an addition that turns on a named plan. It is not the reason if a license that stays has those
    plans on already. In a dependency, it is the addition that lacks something, or else the change that takes it away.
    """
    plans = frozenset(rejection.plan_ids)
    staying = _staying(call, user, catalog)
    meant = tuple(license.sku_id for license in call.add if plans & catalog.on(license))
    if rejection.error is LicenseError.MUTUALLY_EXCLUSIVE and plans & staying:
        new = tuple(license.sku_id for license in call.add if (plans & catalog.on(license)) - staying)
        meant = new or meant
    if meant:
        return meant
    needed = frozenset(rejection.needed_ids) or plans
    direct = user.direct
    narrowed = [
        license.sku_id
        for license in call.add
        if license.sku_id in direct and needed & (license.disabled_plans - direct[license.sku_id].disabled_plans)
    ]
    return tuple(narrowed) + tuple(sku_id for sku_id in call.remove if needed & catalog.plans(sku_id))


def _staying(call: LicenseCall, user: DirectoryUser, catalog: Catalog) -> Plans:
    """Plans that are on before the call and that the call does not take away."""
    removed = frozenset(call.remove)
    changed = {license.sku_id: license for license in call.add}
    on = NO_PLANS
    for row in user.license_assignment_states:
        if not row.state.counts or (row.assigned_by_group is None and row.sku_id in removed):
            continue
        plans = catalog.plans(row.sku_id) - row.disabled_plans
        if row.assigned_by_group is None and row.sku_id in changed:
            plans &= catalog.on(changed[row.sku_id])
        on |= plans
    return on


def without(
    add: Iterable[AssignedLicense],
    remove: Iterable[SkuId],
    dropped: SkuId,
    catalog: Catalog,
    plans_off: Mapping[SkuId, Plans] | None = None,
) -> tuple[tuple[AssignedLicense, ...], tuple[SkuId, ...]]:
    """The call without one SKU. Without an addition, removals that it replaces stay away too. So do licenses in which
    `plans_off` (by SKU) are turned off that it replaces.

    Without a removal, additions that this tenant has shown to conflict with the license that stays are left out, and
    what those were to replace.
    """
    adding, removing = list(add), [sku_id for sku_id in remove if sku_id != dropped]
    leaving = [dropped]
    if dropped not in {license.sku_id for license in adding}:
        stays = AssignedLicense(dropped)
        leaving = [license.sku_id for license in adding if catalog.conflict(license, stays)]
    off = dict(plans_off or {})
    while leaving:
        left = leaving.pop()
        adding = [license for license in adding if license.sku_id != left]
        removing = [sku_id for sku_id in removing if not catalog.replaces(left, sku_id)]
        for sku_id in [each for each in off if each != left and catalog.brings(left, off[each])]:
            del off[sku_id]
            leaving.append(sku_id)
    return tuple(adding), tuple(removing)


def one_by_one(call: LicenseCall, catalog: Catalog, plans_off: Mapping[SkuId, Plans]) -> list[LicenseCall]:
    """The call cut into single SKUs. No license goes before its replacement: a removal goes with the last addition that
    replaces it or is listed as exclusive with it. Licenses in which plans are turned off go last. Products that need a
    plan of another product by Microsoft's list come after it."""
    adding = sorted(
        call.add, key=lambda license: (license.sku_id in plans_off, _needs_others(license, catalog), license.sku_id)
    )
    removals: dict[SkuId, list[SkuId]] = {license.sku_id: [] for license in adding}
    free: list[SkuId] = []
    for sku_id in call.remove:
        successors = [license.sku_id for license in adding if catalog.shares_call(license, sku_id)]
        (removals[successors[-1]] if successors else free).append(sku_id)
    singles = [LicenseCall((license,), tuple(removals[license.sku_id])) for license in adding]
    return singles + [LicenseCall((), (sku_id,)) for sku_id in free]


def _needs_others(license: AssignedLicense, catalog: Catalog) -> bool:
    on = catalog.on(license)
    return any(catalog.missing(plan, on) for plan in on)
