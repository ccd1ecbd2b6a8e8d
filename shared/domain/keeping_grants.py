"""Grants that only keep a license (`Source.keeps`): which of them count, and which are over.

In grace, a license stays until a time, or until another one takes its place. Held, it stays until a permit comes. Kept,
it stays as a person decided. That ends when a person decides otherwise, or when a group or HR assigns all of it again.
A license of a group that is not managed any more is kept too; that also ends when HR reports that the person leaves.
"""

from __future__ import annotations

from shared.domain.assignment import AssignmentState
from shared.domain.bridges import has_ended
from shared.domain.desired_licenses import DesiredLicense, desired_licenses
from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.grant import Grant, SourceKind, is_blocked, kept_of_group
from shared.domain.ids import NO_PLANS, SkuId, UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.permit import assignment_of, claims_of
from shared.domain.plan_draft import Draft, PlanContext
from shared.domain.removals import is_in_the_way, needs_no_permit, valid_permits


def kept_of_groups(
    user: DirectoryUser, grants: tuple[Grant, ...], ledger: LedgerRow, context: PlanContext
) -> tuple[Grant, ...]:
    """New grants that keep licenses from groups that are no longer managed, with every app that is on.

    They are made from the ledger, so they include licenses that no snapshot shows: in grace, held, or written by a
    worker with the former assignment. A person with *Do not license* gets none.
    """
    if is_blocked(grants, context.now):
        return ()
    found = [
        Grant(sku_id, NO_PLANS, kept_of_group(assignment.group_id))
        for sku_id, managed in sorted(ledger.managed.items())
        if sku_id in user.direct
        for source in managed.sources
        if (assignment := assignment_of(source, context.assignments)) is not None
        and assignment.state is AssignmentState.NOT_MANAGED
    ]
    return tuple(grant for grant in found if grant not in grants)


def grants_that_count(
    user: DirectoryUser, grants: tuple[Grant, ...], ledger: LedgerRow, context: PlanContext
) -> tuple[Grant, ...]:
    """Without grace that ends early because the license is in the way of a desired SKU, so that both go in one call.
    Also without grants that held a license until a permit came or kept it until a person decided otherwise, and without
    bridges that have ended."""
    if any(has_ended(grant, user, context.assignments) for grant in grants):
        grants = tuple(grant for grant in grants if not has_ended(grant, user, context.assignments))
    if not any(grant.source.keeps for grant in grants):
        return grants
    lasting = tuple(grant for grant in grants if grant.source.kind is not SourceKind.GRACE)
    desired = desired_licenses(lasting, context.now)
    direct = user.direct

    def counts(grant: Grant) -> bool:
        if grant.source.kind is SourceKind.GRACE:
            row = direct.get(grant.sku_id)
            wanted = [AssignedLicense(each.sku_id, each.given_disabled) for each in desired.values() if each.adds]
            return row is None or not is_in_the_way(row, wanted, direct, context.catalog)
        if grant.source.kind is SourceKind.HELD:
            return not _permits_some(user.id, grant.sku_id, ledger, context)
        if grant.source.kind is SourceKind.KEPT:
            by_hr = grant.source.is_kept_of_group
            return not _permits_some(user.id, grant.sku_id, ledger, context, by_approval=True, or_hr=by_hr)
        return True

    return tuple(grant for grant in grants if counts(grant))


def _permits_some(
    user_id: UserId,
    sku_id: SkuId,
    ledger: LedgerRow,
    context: PlanContext,
    *,
    by_approval: bool = False,
    or_hr: bool = False,
) -> bool:
    """Whether a permit names a claim of the license as it is now; the other claims are then decided too. `or_hr`: a
    permit of a leaver counts like an approval."""
    managed = ledger.managed.get(sku_id)
    if managed is None:
        return False
    claims = claims_of(managed.sources, context.assignments)
    given = valid_permits(user_id, sku_id, managed, context)
    return any(
        permit.claims & claims
        for permit in given
        if permit.by_approval or not by_approval or (or_hr and permit.source.kind is SourceKind.HR)
    )


def held_in_vain(draft: Draft, grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """Held grants of licenses whose plans all stay on by other licenses: an approval would have nothing to decide."""
    return tuple(g for g in grants if g.source.kind is SourceKind.HELD and needs_no_permit(draft, g.sku_id))


def grants_that_ended(draft: Draft, grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """Held, grace and kept grants that have ended: the license is removed, or another grant gives it. Held grants also
    end if a person decided to keep the license. Also memberships that the app wrote and that have long been visible."""
    settled = tuple(
        grant for grant in grants if grant.source.kind is SourceKind.JOINED and not grant.holds_at(draft.context.now)
    )
    user, assignments = draft.user, draft.context.assignments
    bridges = [grant for grant in grants if has_ended(grant, user, assignments)]
    settled += tuple(each for each in bridges if each.sku_id in draft.remove or each.sku_id not in draft.direct)
    ending = tuple(grant for grant in grants if grant.source.keeps)
    if not ending:
        return settled
    lasting = desired_licenses((grant for grant in grants if not grant.source.keeps), draft.context.now)
    kept = {grant.sku_id for grant in ending if grant.source.kind is SourceKind.KEPT}
    return (
        *settled,
        *(
            grant
            for grant in ending
            if _is_over(draft, grant, lasting.get(grant.sku_id))
            or (grant.source.kind is SourceKind.HELD and grant.sku_id in kept)
        ),
    )


def _is_over(draft: Draft, grant: Grant, otherwise: DesiredLicense | None) -> bool:
    """`otherwise`: the SKU as the user would have it without what is held or in grace."""
    sku_id = grant.sku_id
    if sku_id in draft.remove or (sku_id not in draft.direct and sku_id not in draft.ledger.managed):
        return True
    if grant.source.kind is SourceKind.KEPT:
        return not grant.holds_at(draft.context.now) or _is_given_again(draft, grant, otherwise)
    if otherwise is None or not otherwise.adds:
        return False
    if grant.source.kind is SourceKind.HELD or otherwise.given_disabled <= grant.disabled_plans:
        return True
    pending = sku_id in draft.settling or sku_id in draft.awaiting_permit
    return not grant.holds_at(draft.context.now) and not pending


def _is_given_again(draft: Draft, grant: Grant, otherwise: DesiredLicense | None) -> bool:
    """Whether every plan that is on of a kept license is assigned without the decision, so that it decides nothing."""
    if otherwise is None or not otherwise.adds:
        return False
    row = draft.direct.get(grant.sku_id)
    off = grant.disabled_plans | (row.disabled_plans if row is not None else frozenset())
    return otherwise.given_disabled <= off
