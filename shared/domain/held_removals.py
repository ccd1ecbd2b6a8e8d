"""Licenses that users keep only because their removal waits for a person, by the approval that decides about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from shared.domain.grant import SourceKind
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.pending_removal import TENANT
from shared.domain.permit import claims_of
from shared.domain.reconciliation import Attempted
from shared.domain.removals import lacking_claims

HeldBy = Mapping[GroupId | None, Mapping[UserId, frozenset[SkuId]]]
"""Licenses that wait for an approval, by group and by user. The key None is the approval of the whole tenant. It has
removals above the tenant's allowance, licenses that no group assigned, and licenses about which only a person decides,
such as those of protected people."""


def held_removals(users: Iterable[Attempted]) -> HeldBy:
    """Licenses of these users that the allowance did not let go, now or at an earlier read. A license that several
    groups assigned waits for each of them."""
    found: dict[GroupId | None, dict[UserId, frozenset[SkuId]]] = {}
    for each in users:
        by_tenant = _held_by_tenant(each)
        # A license that an administrator has removed meanwhile needs no decision.
        there = each.user.direct.keys() if each.user is not None else frozenset()
        for sku_id in _held(each) & each.row.managed.keys() & there:
            groups = _groups(each, sku_id)
            for group_id in {None} if groups and sku_id in by_tenant else groups:
                mine = found.setdefault(group_id, {})
                mine[each.user_id] = mine.get(each.user_id, frozenset()) | {sku_id}
    return found


def _groups(attempted: Attempted, sku_id: SkuId) -> set[GroupId | None]:
    """The groups whose approvals decide: those that the user left. If the user left none, any of them may have changed
    its plans."""
    context, plan = attempted.planned.context, attempted.plan
    if context is None or plan is None:
        return set()
    managed = attempted.row.managed[sku_id]
    left = tuple(source for source in managed.sources if source not in plan.sources.get(sku_id, ()))
    managed = replace(managed, sources=left or managed.sources)
    claims = lacking_claims(attempted.user_id, sku_id, managed, context)
    if not claims and sku_id in _asked(attempted):
        claims = claims_of(managed.sources, context.assignments)
    return {claim.source.group_id for claim in claims}


def _held_by_tenant(attempted: Attempted) -> frozenset[SkuId]:
    grants = attempted.planned.grants
    stored = {g.sku_id for g in grants if g.source.kind is SourceKind.HELD and g.source.id == TENANT}
    context = attempted.planned.context
    return frozenset(stored | (context.held_by_tenant if context else frozenset()))


def _held(attempted: Attempted) -> frozenset[SkuId]:
    plan, context = attempted.plan, attempted.planned.context
    if context is None or plan is None:
        return frozenset()
    grants = attempted.planned.grants
    held = {g.sku_id for g in grants if g.source.kind is SourceKind.HELD and g not in plan.ended_grants}
    undecided = {request.sku_id for request in plan.wants_permit}
    return context.denied | _asked(attempted) | (held - set(plan.remove) - undecided)


def _asked(attempted: Attempted) -> frozenset[SkuId]:
    """Removals that this plan holds, whatever older permits say."""
    grants = attempted.plan.new_grants if attempted.plan else ()
    return frozenset(grant.sku_id for grant in grants if grant.source.kind is SourceKind.HELD)
