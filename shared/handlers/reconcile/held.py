"""Licenses that a user keeps only because their removal is not permitted yet, by the group they came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.domain.grant import SourceKind
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.removals import valid_permits
from shared.handlers.reconcile.state import Case

HeldBy = Mapping[GroupId, Mapping[UserId, frozenset[SkuId]]]
"""What waits for leave, by the group that a license came from, and by user."""


def held_by_group(cases: Iterable[Case]) -> HeldBy:
    """What the allowance of a group did not permit to be removed from these users, now or at an earlier look."""
    found: dict[GroupId, dict[UserId, frozenset[SkuId]]] = {}
    for case in cases:
        for sku_id in _held(case) & case.row.owned.keys():
            for source in case.row.owned[sku_id].sources[:1]:
                if source.kind is SourceKind.GROUP:
                    mine = found.setdefault(GroupId(source.id), {})
                    mine[case.user_id] = mine.get(case.user_id, frozenset()) | {sku_id}
    return found


def _held(case: Case) -> frozenset[SkuId]:
    if case.context is None or case.plan is None:
        return frozenset()
    over, context = case.plan.ended_grants, case.context
    held = {grant.sku_id for grant in case.grants if grant.source.kind is SourceKind.HELD and grant not in over}
    owned = case.row.owned
    permitted = {s for s in held & owned.keys() if valid_permits(case.user_id, s, owned[s], context)}
    return context.denied | (held - permitted - set(case.plan.remove))
