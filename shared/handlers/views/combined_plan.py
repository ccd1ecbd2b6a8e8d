"""The plan of several previews together: licenses and people counted once, and one checksum over all."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from shared.domain.errors import BadRequest
from shared.domain.ids import OperationId, SkuId, UserId
from shared.domain.operation import Operation, OperationState
from shared.domain.snapshot_pages import SnapshotPage
from shared.handlers.views import queries
from shared.handlers.views.needs import Needs
from shared.handlers.views.queries import PlannedMember

READS_AT_ONCE = 10


@dataclass(slots=True)
class CombinedPlan:
    """`additions` and `removals`: users by product. `members`: what each preview plans for the users asked about."""

    checksum: str
    additions: Mapping[SkuId, int] = field(default_factory=dict)
    removals: Mapping[SkuId, int] = field(default_factory=dict)
    users_losing: int = 0
    members: list[tuple[OperationId, PlannedMember]] = field(default_factory=list)


async def combined_plan(
    world: Needs, operation_ids: Sequence[OperationId], user_ids: Sequence[UserId] = ()
) -> CombinedPlan:
    """The plan of these previews. Raises NotFound, and BadRequest for an operation that is not a complete preview."""
    previews = [await queries.operation(world, each) for each in dict.fromkeys(operation_ids)]
    for each in previews:
        if not each.preview or each.state is not OperationState.COMPLETE:
            raise BadRequest("NotAPreview", f"Operation {each.id} is not a complete preview.", "operationIds")
    added: dict[SkuId, set[UserId]] = defaultdict(set)
    removed: dict[SkuId, set[UserId]] = defaultdict(set)
    losing: set[UserId] = set()
    asked = set(user_ids)
    members: list[tuple[OperationId, PlannedMember]] = []
    async for preview, page in _pages(world, previews):
        for user_id, index in zip(page.user_ids, page.action_of, strict=True):
            action = page.actions[index]
            for license in action.add:
                added[license.sku_id].add(user_id)
            for sku_id in action.remove:
                removed[sku_id].add(user_id)
            if action.removes:
                losing.add(user_id)
            if user_id in asked:
                members.append((preview.id, PlannedMember(user_id, action, None)))
    return CombinedPlan(checksum_over(previews), _counts(added), _counts(removed), len(losing), members)


def checksum_over(previews: Sequence[Operation]) -> str:
    """64 hex digits over the checksums of previews, whatever their order."""
    lines = sorted(f"{each.target.group_id or ''} {each.checksum}" for each in previews)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def _pages(world: Needs, previews: Sequence[Operation]) -> AsyncIterator[tuple[Operation, SnapshotPage]]:
    """The snapshot pages of all previews, some read at a time."""
    wanted = [(preview, number) for preview in previews for number in range(preview.pages)]
    for start in range(0, len(wanted), READS_AT_ONCE):
        part = wanted[start : start + READS_AT_ONCE]
        reads = (world.stores.snapshots.page(each.id, each.snapshot_id, number) for each, number in part)
        for (preview, _), page in zip(part, await asyncio.gather(*reads), strict=True):
            yield preview, page


def _counts(users: Mapping[SkuId, set[UserId]]) -> dict[SkuId, int]:
    return {sku_id: len(users[sku_id]) for sku_id in sorted(users)}
