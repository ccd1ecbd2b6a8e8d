"""The timer that counts what needs a person. Pages read the counts with one request, at any size of tenant."""

from __future__ import annotations

from shared.domain.member_counts import MemberCounts
from shared.domain.named_users import NAMED
from shared.domain.open_items import WAITING_MOVES, OpenItems, errors_by_cause
from shared.domain.operation import OperationState
from shared.handlers.maintenance.needs import Needs

DEAD_LETTERS_MAX_AGE_S = 20.0
"""The timers that count are 25 and 35 seconds apart, so each counts again. Another reader may have counted just now."""

MOST_HR_EVENTS = 1000
"""HR events that are counted: more are shown as this many."""

MOST_WAITING = 100_000
"""Users of one queue that are counted: it takes a hundred requests, and no tenant of the target size has more."""


async def count_open_items(world: Needs) -> OpenItems:
    """Count, and store the counts for the pages if they have changed."""
    stores = world.stores
    lines = await stores.waiting.lines(0.0)
    waiting = {sku_id: await stores.waiting.count(sku_id, MOST_WAITING) for sku_id in sorted(lines)}
    statuses = await stores.group_status.all()
    named = await stores.member_counts.counts(NAMED)
    in_groups = (MemberCounts(causes=each.causes) for each in statuses)
    operations = await stores.operations.open()
    items = OpenItems(
        approvals=sum(each.state is OperationState.AWAITING_APPROVAL for each in operations),
        failed_messages=await stores.dead_letters.count(DEAD_LETTERS_MAX_AGE_S),
        hr_events=await stores.onboarding.count_attention(MOST_HR_EVENTS),
        profiles=len(await stores.profiles.proposals()),
        moves=sum(each.state in WAITING_MOVES for each in await stores.moves.open()),
        waiting={sku_id: number for sku_id, number in waiting.items() if number},
        errors=errors_by_cause((*in_groups, *([named] if named else []))),
        at=world.clock.now(),
    )
    if items != await stores.open_items.get():
        await stores.open_items.save(items)
    return items
