"""What becomes of a rejected call: the next calls, and what is remembered of the rejection.

A rejected SKU does not block the others. What a rejection shows is kept in the ledger row if the calls that follow it
cannot be made at once: a tenant that takes one write at a time would otherwise reject the first call for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseError
from shared.domain.dropped_skus import one_by_one, skus_to_drop, without
from shared.domain.graph_errors import Advice, Rejection
from shared.domain.ids import NO_PLANS, Plans, SkuId
from shared.domain.ledger_row import LedgerRow, RejectionRecord
from shared.domain.outcomes import Problem
from shared.domain.plan import UserPlan
from shared.domain.product_facts import ObservedConflict, Pair
from shared.domain.reconciliation import Attempted, Planned
from shared.domain.write_results import LicenseCall

ALONE = "alone"
"""In place of a fingerprint: the SKU was rejected together with others, so it goes alone."""

WITHOUT_PLANS = "withoutPlans"
"""In place of a fingerprint: the disabled plans of the record are not part of the product, so they are not named."""


def first_calls(planned: Planned, plan: UserPlan) -> tuple[LicenseCall, ...]:
    """The calls of a plan: one, or each SKU alone if one of them was rejected together with others before."""
    call = LicenseCall(plan.add, plan.remove)
    alone = {sku_id for sku_id, record in planned.row.rejections.items() if record.fingerprint == ALONE}
    if planned.context is None or alone.isdisjoint((*(license.sku_id for license in call.add), *call.remove)):
        return (call,)
    return tuple(one_by_one(call, planned.context.catalog, plan.plans_off))


def rejected_before(row: LedgerRow, plan: UserPlan) -> dict[SkuId, Plans]:
    """Disabled plans of the additions that Graph rejected earlier as not part of their product."""
    added = {license.sku_id for license in plan.add}
    found = {sku_id: record.plans for sku_id, record in row.rejections.items() if record.fingerprint == WITHOUT_PLANS}
    return {sku_id: plans for sku_id, plans in found.items() if sku_id in added}


def unclear_ones(attempted: Attempted) -> dict[SkuId, RejectionRecord]:
    """What to remember for the calls that are still to be made."""
    left = {sku_id for call in attempted.calls for sku_id in (*(each.sku_id for each in call.add), *call.remove)}
    return {sku_id: record for sku_id, record in attempted.unclear.items() if sku_id in left}


def to_send(attempted: Attempted) -> LicenseCall:
    """The next call as it is sent: without plans that have left their product. The intent keeps them, so that a plan
    that comes back is off again."""
    catalog, call = catalog_of(attempted), attempted.calls[0]
    add = []
    for each in call.add:
        gone = catalog.retired(each.sku_id) | attempted.rejected_plans.get(each.sku_id, NO_PLANS)
        add.append(AssignedLicense(each.sku_id, each.disabled_plans - gone) if each.disabled_plans & gone else each)
    return LicenseCall(tuple(add), call.remove)


def with_problem(
    attempted: Attempted, error: LicenseError, text: str, remedy: str, sku_id: SkuId | None = None
) -> Attempted:
    return replace(attempted, problems=(*attempted.problems, Problem(error, text, remedy, sku_id)))


def without_done_removals(attempted: Attempted, rejection: Rejection, now: datetime) -> Attempted:
    """A license to remove no longer exists: it is not managed any more, and the rest of the call is sent. Graph's text
    does not name it, so several removals are sent one by one."""
    call, *later = attempted.calls
    if len(call.remove) > 1:
        others = [LicenseCall((), (sku_id,)) for sku_id in call.remove[1:]]
        attempted = _unclear(attempted, dict.fromkeys(call.remove, NO_PLANS), ALONE, rejection, now)
        return replace(attempted, calls=(LicenseCall(call.add, call.remove[:1]), *others, *later))
    managed = {sku_id: kept for sku_id, kept in attempted.row.managed.items() if sku_id not in call.remove}
    return replace(
        attempted, row=replace(attempted.row, managed=managed), calls=_to_send(LicenseCall(call.add, ()), *later)
    )


def without_rejected_plans(attempted: Attempted, rejection: Rejection, now: datetime) -> Attempted | None:
    """The same call without disabled plans that Graph rejected as not part of their product; None for other reasons.

    The text is not published (MicrosoftDocs/azure-docs 81269 reports "plan does not belong to the subscription").
    It is therefore recognized by the disabled plan that it names. If it names none, disabled plans that the product
    does not list are left out. The result is also None if several products of the call have such a plan and the text
    names none of them. Leaving the plan out of the wrong product would turn on a plan that must be off.
    """
    if rejection.error is not LicenseError.OTHER or rejection.sku_ids or rejection.plan_ids:
        return None
    catalog, known = catalog_of(attempted), attempted.rejected_plans
    found = {}
    for license in to_send(attempted).add:
        named = frozenset(plan for plan in license.disabled_plans if rejection.names(plan))
        if gone := named or license.disabled_plans - catalog.plans(license.sku_id):
            found[license.sku_id] = gone
    meant = _meant_by(rejection, found, catalog)
    rejected = {sku_id: found[sku_id] | known.get(sku_id, NO_PLANS) for sku_id in meant}
    if not rejected:
        return None
    attempted = _unclear(attempted, rejected, WITHOUT_PLANS, rejection, now)
    return replace(attempted, rejected_plans={**known, **rejected})


def _meant_by(rejection: Rejection, found: Mapping[SkuId, Plans], catalog: Catalog) -> Collection[SkuId]:
    """Of products with disabled plans that a text may mean: the only one, the one that the text names, or else those
    that do not list the plan."""
    named = [sku_id for sku_id in found if rejection.names(sku_id) or rejection.names(catalog.name(sku_id))]
    if len(found) == 1 or len(named) == 1:
        return named or found
    return [sku_id for sku_id, plans in found.items() if plans - catalog.plans(sku_id)]


def isolated(attempted: Attempted, rejection: Rejection, now: datetime) -> Attempted:
    """Leave out the SKU that was rejected. If the text fits none or several, each SKU goes alone, an addition with the
    removals that it replaces. A call that cannot be cut further loses its addition."""
    plan, catalog = plan_of(attempted), catalog_of(attempted)
    call, *later = attempted.calls
    alone = one_by_one(call, catalog, plan.plans_off)
    named = skus_to_drop(rejection, call, user_of(attempted), catalog)
    if not named and len(alone) == 1:
        # Nothing is left to cut: what is added was rejected, or the one removal.
        named = tuple([*(license.sku_id for license in call.add), *call.remove][:1])
    if not named:
        # Each product alone: a rejection then names its product, and the other products are assigned.
        skus = (*(license.sku_id for license in call.add), *call.remove)
        attempted = _unclear(attempted, dict.fromkeys(skus, NO_PLANS), ALONE, rejection, now)
        return replace(attempted, calls=(*alone, *later))
    add, remove = call.add, call.remove
    for sku_id in named:
        attempted = _with_rejection(attempted, sku_id, rejection, now)
        add, remove = without(add, remove, sku_id, catalog, plan.plans_off)
        # The license that the product was to replace must stay, or the user would have neither.
        later = _trimmed(attempted, later, sku_id)
    return replace(attempted, calls=_to_send(LicenseCall(add, remove), *later))


def _unclear(
    attempted: Attempted, skus: Mapping[SkuId, Plans], why: str, rejection: Rejection, now: datetime
) -> Attempted:
    records = {
        sku_id: RejectionRecord(why, rejection.error, rejection.text, now, plans) for sku_id, plans in skus.items()
    }
    return replace(attempted, unclear={**attempted.unclear, **records})


def _with_rejection(attempted: Attempted, sku_id: SkuId, rejection: Rejection, now: datetime) -> Attempted:
    if rejection.advice is Advice.WAIT_FOR_SEAT:
        return replace(attempted, waiting=(*attempted.waiting, sku_id))
    named = frozenset((*rejection.plan_ids, *rejection.needed_ids))
    record = RejectionRecord("", rejection.error, rejection.text, now, named)
    failed = with_problem(attempted, rejection.error, rejection.text, rejection.remedy, sku_id)
    return replace(
        failed,
        rejections={**attempted.rejections, sku_id: record},
        conflicts={**attempted.conflicts, **_conflicts(attempted, sku_id, record)},
    )


def _conflicts(attempted: Attempted, sku_id: SkuId, record: RejectionRecord) -> dict[Pair, ObservedConflict]:
    """The licenses of the user because of which Graph rejected an addition: those that have one of the named plans on
    while the addition turns on another."""
    added = [license for license in attempted.calls[0].add if license.sku_id == sku_id]
    if record.error is not LicenseError.MUTUALLY_EXCLUSIVE or not added:
        return {}
    catalog, removed = catalog_of(attempted), attempted.calls[0].remove
    found = {}
    for row in user_of(attempted).license_assignment_states:
        if not row.state.counts or row.sku_id == sku_id or (row.assigned_by_group is None and row.sku_id in removed):
            continue
        pair = Pair.of(sku_id, row.sku_id)
        conflict = ObservedConflict(pair, record.plans, record.text, record.at)
        if conflict.is_between(catalog.on(added[0]), catalog.plans(row.sku_id) - row.disabled_plans):
            found[pair] = conflict
    return found


def _trimmed(attempted: Attempted, calls: Iterable[LicenseCall], dropped: SkuId) -> list[LicenseCall]:
    """The calls still waiting, without removals and plans turned off that a dropped addition was to replace."""
    catalog, off = catalog_of(attempted), plan_of(attempted).plans_off
    replaced = {sku_id for sku_id in off if catalog.brings(dropped, off[sku_id])}
    return list(
        _to_send(
            *(
                LicenseCall(
                    tuple(license for license in call.add if license.sku_id not in replaced),
                    tuple(sku_id for sku_id in call.remove if not catalog.replaces(dropped, sku_id)),
                )
                for call in calls
            )
        )
    )


def _to_send(*calls: LicenseCall) -> tuple[LicenseCall, ...]:
    return tuple(call for call in calls if call.add or call.remove)


def plan_of(attempted: Attempted) -> UserPlan:
    if attempted.plan is None:
        raise ValueError(f"user {attempted.user_id} has no plan to apply")
    return attempted.plan


def user_of(attempted: Attempted) -> DirectoryUser:
    if attempted.user is None:
        raise ValueError(f"user {attempted.user_id} was not read")
    return attempted.user


def catalog_of(attempted: Attempted) -> Catalog:
    """The products the user was planned with."""
    if attempted.planned.context is None:
        raise ValueError(f"user {attempted.user_id} was not planned")
    return attempted.planned.context.catalog
