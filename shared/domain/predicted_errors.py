"""Errors that a preview predicts: what the plan itself found, and what Graph will probably reject.

Published lists only warn (see `catalog`), so nothing here changes a plan. A prediction says how sure it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseError
from shared.domain.dropped_skus import one_by_one, without
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId
from shared.domain.outcomes import Problem
from shared.domain.write_results import LicenseCall, as_left_by

ADDRESS_TEXT = (
    "Another object already has the user's sign-in name as an address, which the user would get with a mailbox."
)
SHORT_TEXT = "More users need this product than licenses are available; the user will probably wait for one."


class Certainty(StrEnum):
    """How sure a prediction is. `EXPECTED`: this app found the error, or Graph has rejected the same in this tenant.
    `LIKELY`: it follows from a list of Microsoft, from an address of another object, or from the number of licenses."""

    EXPECTED = "expected"
    LIKELY = "likely"


@dataclass(frozen=True, slots=True)
class PredictedError:
    """One error that a user will probably have. `because`: products that are the cause."""

    problem: Problem
    because: tuple[SkuId, ...] = ()
    certainty: Certainty = Certainty.EXPECTED

    @property
    def waits(self) -> bool:
        """Whether the user only waits for a license."""
        return self.problem.error is LicenseError.COUNT_VIOLATION


def likely(error: LicenseError, text: str, sku_id: SkuId, *because: SkuId) -> PredictedError:
    """An error that Graph decides about."""
    return PredictedError(Problem(error, text, remedy_for(error), sku_id), because, Certainty.LIKELY)


def predicted_rejections(
    user: DirectoryUser,
    call: LicenseCall,
    plans_off: Mapping[SkuId, Plans],
    catalog: Catalog,
    now: datetime,
    *,
    is_address_taken: bool = False,
) -> tuple[PredictedError, ...]:
    """The rejections of a user's call that Graph will probably make. The call is cut as after a rejection (see
    `attempt`), so that one error does not hide what becomes of the other products. `is_address_taken`: another object
    has an address that the user would get with a mailbox."""
    found: list[PredictedError] = []
    calls = [call] if call.add or call.remove else []
    while calls:
        call, *calls = calls
        rejected = _rejection(user, call, catalog, now, is_address_taken)
        if rejected is None:
            user = as_left_by(user, call, now)
            continue
        between_additions = not set(rejected.because).isdisjoint(license.sku_id for license in call.add)
        alone = one_by_one(call, catalog, plans_off)
        if between_additions and len(alone) > 1:
            calls = [*alone, *calls]
            continue
        found.append(rejected)
        add, remove = without(call.add, call.remove, rejected.problem.sku_id or SkuId(""), catalog, plans_off)
        if add or remove:
            calls = [LicenseCall(add, remove), *calls]
    return tuple(found)


def needs_address(user: DirectoryUser, licenses: Iterable[AssignedLicense], catalog: Catalog) -> bool:
    """Whether licenses turn a mailbox on for a user without one: Graph then computes the user's addresses."""
    on = _on(user, catalog)
    return any(catalog.mailbox_plans(license) - on for license in licenses)


def _rejection(
    user: DirectoryUser, call: LicenseCall, catalog: Catalog, now: datetime, is_address_taken: bool
) -> PredictedError | None:
    """The first error of a call. Pairs with a license that stays come before pairs within the call."""
    before, after = _on(user, catalog), as_left_by(user, call, now)
    added = {license.sku_id for license in call.add}
    for others in (_staying(after, added), call.add):
        for license in call.add:
            if found := _exclusion(license, others, before, catalog):
                return found
    if found := _dependency(user, after, call, catalog):
        return found
    mailboxes = [license.sku_id for license in call.add if needs_address(user, (license,), catalog)]
    return likely(LicenseError.UNIQUENESS, ADDRESS_TEXT, mailboxes[0]) if is_address_taken and mailboxes else None


def _exclusion(
    license: AssignedLicense, others: tuple[AssignedLicense, ...], before: Plans, catalog: Catalog
) -> PredictedError | None:
    """The error of an addition that excludes licenses of the user: all of them, since each must make way."""
    observed = {other.sku_id: found for other in others if (found := catalog.conflict(license, other))}
    listed = {
        other.sku_id: pair
        for other in others
        if other.sku_id not in observed
        and (pair := catalog.listed_exclusive(catalog.on(license), catalog.on(other), before))
    }
    because = tuple(sorted({*observed, *listed}))
    error = LicenseError.MUTUALLY_EXCLUSIVE
    if observed:
        text = observed[min(observed)].text
        return PredictedError(Problem(error, text, remedy_for(error), license.sku_id), because)
    if listed:
        plans = " and ".join(catalog.plan_name(plan) for plan in listed[min(listed)])
        names = ", ".join(catalog.name(sku_id) for sku_id in because)
        text = f"Microsoft lists {catalog.name(license.sku_id)} and {names} as exclusive ({plans})."
        return likely(error, text, license.sku_id, *because)
    return None


def _dependency(
    user: DirectoryUser, after: DirectoryUser, call: LicenseCall, catalog: Catalog
) -> PredictedError | None:
    """The error of a plan that the call leaves without a plan that it needs."""
    was, on = _on(user, catalog), _on(after, catalog)
    for plan in sorted(on & catalog.dependencies.keys()):
        missing = catalog.missing(plan, on)
        if not missing or (plan in was and catalog.missing(plan, was)):
            continue
        dependents = tuple(sorted(each.sku_id for each in _licenses(after) if plan in catalog.on(each)))
        new = [license.sku_id for license in call.add if plan in catalog.on(license)] if plan not in was else []
        for sku_id in new or _taking(user, call, missing, catalog):
            return likely(LicenseError.DEPENDENCY, _needs(plan, missing, catalog), sku_id, *(() if new else dependents))
    return None


def _needs(plan: ServicePlanId, missing: Plans, catalog: Catalog) -> str:
    names = ", ".join(sorted(catalog.plan_name(each) for each in missing))
    return f"Microsoft says that {catalog.plan_name(plan)} needs one of {names}, which the user would not have."


def _taking(user: DirectoryUser, call: LicenseCall, needed: Plans, catalog: Catalog) -> list[SkuId]:
    """The products of a call that take a needed plan away: removals, and licenses in which it is turned off."""
    direct = user.direct
    narrowed = [
        license.sku_id
        for license in call.add
        if license.sku_id in direct and needed & (license.disabled_plans - direct[license.sku_id].disabled_plans)
    ]
    return [*narrowed, *(sku_id for sku_id in call.remove if needed & catalog.plans(sku_id))]


def _licenses(user: DirectoryUser) -> tuple[AssignedLicense, ...]:
    rows = user.license_assignment_states
    return tuple(AssignedLicense(row.sku_id, row.disabled_plans) for row in rows if row.state.counts)


def _staying(after: DirectoryUser, added: set[SkuId]) -> tuple[AssignedLicense, ...]:
    return tuple(license for license in _licenses(after) if license.sku_id not in added)


def _on(user: DirectoryUser, catalog: Catalog) -> Plans:
    return NO_PLANS.union(*(catalog.on(license) for license in _licenses(user)))
