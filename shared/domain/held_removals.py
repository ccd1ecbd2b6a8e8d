"""Licenses that users keep only because their removal is not permitted yet, by the group they came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.domain.grant import SourceKind
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.reconciliation import Attempted
from shared.domain.removals import valid_permits

HeldBy = Mapping[GroupId, Mapping[UserId, frozenset[SkuId]]]
"""What waits for a removal permit, by the group that a license came from, and by user."""


def held_by_group(users: Iterable[Attempted]) -> HeldBy:
    """What the allowance of a group did not permit to be removed from these users, now or at an earlier read."""
    found: dict[GroupId, dict[UserId, frozenset[SkuId]]] = {}
    for each in users:
        for sku_id in _held(each) & each.row.owned.keys():
            for source in each.row.owned[sku_id].sources[:1]:
                if source.kind is SourceKind.GROUP:
                    mine = found.setdefault(GroupId(source.id), {})
                    mine[each.user_id] = mine.get(each.user_id, frozenset()) | {sku_id}
    return found


def _held(attempted: Attempted) -> frozenset[SkuId]:
    plan, context, owned = attempted.plan, attempted.planned.context, attempted.row.owned
    if context is None or plan is None:
        return frozenset()
    grants = attempted.planned.grants
    held = {g.sku_id for g in grants if g.source.kind is SourceKind.HELD and g not in plan.ended_grants}
    permitted = {s for s in held & owned.keys() if valid_permits(attempted.user_id, s, owned[s], context)}
    asked = {grant.sku_id for grant in plan.new_grants if grant.source.kind is SourceKind.HELD}
    return context.denied | asked | (held - permitted - set(plan.remove))
