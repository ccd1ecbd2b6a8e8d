"""The nightly sync: every managed group against what is recorded, and people whom no group accounts for.

Timers only enqueue: each group becomes an operation with an id made of the day, the rest a message per partition of the
ledger.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.assignment import GroupLicenseAssignment, is_active, wants_sync
from shared.domain.change_messages import Sweep, SyncGroup
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.messages import NOTIFICATIONS
from shared.domain.operation import Target
from shared.handlers.groups.nesting import complete_map
from shared.handlers.membership.needs import Needs
from shared.handlers.operations.sync import SWEEP, SYNC, start
from shared.handlers.reconcile.product_facts import note_products
from shared.ports.messaging import Outgoing

log = logging.getLogger(__name__)

PARTITIONS = "0123456789abcdef"
MAX_SWEPT = 1000
"""Users of one operation of the sweep: it reads each of them with all groups."""


async def sync_all(world: Needs) -> int:
    """The timer: request a sync of every managed group, and the sweep. Two runs in an hour request them once. Returns
    the number of groups to sync. A group with an open operation is synced after it."""
    at = world.clock.now().replace(minute=0, second=0, microsecond=0)
    await complete_map(world)
    assignments = await world.stores.assignments.all()
    groups = [each.group_id for each in assignments if is_active(each)]
    syncs = [SyncGroup(group_id, SYNC, world.clock.now(), at) for group_id in sorted(groups)]
    await world.queue.send(
        [
            *(Outgoing(NOTIFICATIONS, each.encode(), f"sync-{at:%Y%m%d%H}-{each.group_id}") for each in syncs),
            *(Outgoing(NOTIFICATIONS, Sweep(each, at).encode(), f"sweep-{at:%Y%m%d%H}-{each}") for each in PARTITIONS),
        ]
    )
    await note_products(world, await world.directory.subscribed_skus(max_age_s=0.0), assignments)
    await world.stores.health.change(lambda record: replace(record, synced_at=world.clock.now()))
    return len(syncs)


async def sweep(world: Needs, partition: str, at: datetime) -> int:
    """Count the members of each group again. Reconcile users with a managed license or an unresolved write who are
    recorded in no synced group: restored users, leavers of ended assignments, failed removals. Also all users with a
    bridge license, which may have ended: a sync does not see that they left its group. Returns how many."""
    known = {each.group_id: each for each in await world.stores.assignments.all()}
    for group_id in sorted(known):
        if await world.stores.member_counts.recount(group_id, partition):
            log.warning("member counts corrected group=%s partition=%s", group_id, partition)
    synced = [group_id for group_id, assignment in known.items() if is_active(assignment) and wants_sync(assignment)]
    recorded: set[UserId] = set()
    for group_id in synced:
        recorded |= await world.stores.members.recorded(group_id, partition)
    granted, bridged = set[tuple[UserId, SkuId]](), set[UserId]()
    async for user_id, grant in world.stores.grants.partition(partition):
        if grant.source.kind is SourceKind.BRIDGE:
            bridged.add(user_id)
        elif grant.holds_at(world.clock.now()):
            granted.add((user_id, grant.sku_id))
    orphaned = [
        row.user_id
        async for row in world.stores.ledger.partition(partition)
        if row.user_id in bridged or (row.user_id not in recorded and _is_orphaned(row, granted, known))
    ]
    for number, start_at in enumerate(range(0, len(orphaned), MAX_SWEPT)):
        part = tuple(orphaned[start_at : start_at + MAX_SWEPT])
        await start(world, Target(user_ids=part), f"{SWEEP}-{partition}-{number}", at=at)
    return len(orphaned)


def _is_orphaned(
    row: LedgerRow, granted: set[tuple[UserId, SkuId]], known: Mapping[GroupId, GroupLicenseAssignment]
) -> bool:
    """Whether a write is unresolved, or a managed license is neither granted to the user by name nor left alone since
    the groups it came from are paused."""
    return row.intent is not None or any(
        (row.user_id, sku_id) not in granted and not _is_paused(license.sources, known)
        for sku_id, license in row.managed.items()
    )


def _is_paused(sources: Sequence[Source], known: Mapping[GroupId, GroupLicenseAssignment]) -> bool:
    groups = [known.get(source.group_id) for source in sources if source.group_id]
    return bool(groups) and all(group is not None and is_active(group) and not wants_sync(group) for group in groups)
