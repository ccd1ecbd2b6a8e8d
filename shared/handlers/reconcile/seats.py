"""Seats: the waiting users of each product, and the timer that assigns freed licenses to the first of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta

from shared.domain.assignment import AssignmentState, Enforcement, GroupLicenseAssignment
from shared.domain.ids import SkuId
from shared.domain.ledger_row import LedgerRow
from shared.handlers.reconcile.enqueue import enqueue
from shared.handlers.reconcile.needs import Needs
from shared.ports.stores import InLine

log = logging.getLogger(__name__)

LINE_LENGTH = 5000
"""How far a line is read; those behind are called by the next minute's look."""

CAUSE = "seats"

ORPHANED_AFTER = timedelta(minutes=15)
"""A place is written before the ledger row that it is the index of. One without such a row is left alone for this long:
its worker may be about to write the row. A function can take ten minutes."""


async def assign_freed_licenses(world: Needs) -> int:
    """The timer: reconcile the first users of each queue while licenses are available. Returns how many.

    A queue that only paused assignments need is skipped.
    """
    lines = await world.stores.waiting.lines(0.0)
    if not lines:
        return 0
    known = await world.stores.assignments.all()
    called = 0
    for sku in await world.directory.subscribed_skus(0.0):
        if sku.sku_id in lines and sku.available > 0 and not _is_paused(sku.sku_id, known):
            called += await _call(world, sku.sku_id, min(LINE_LENGTH, sku.available))
        elif sku.sku_id in lines and sku.available <= 0:
            log.warning("seats are short: users wait and no license is available sku=%s", sku.sku_part_number)
    return called


def _is_paused(sku_id: SkuId, known: Iterable[GroupLicenseAssignment]) -> bool:
    asking = [
        sku.enforcement
        for assignment in known
        if assignment.state is AssignmentState.ACTIVE
        for sku in assignment.skus
        if sku.sku_id == sku_id
    ]
    return bool(asking) and Enforcement.ENFORCED not in asking


async def _call(world: Needs, sku_id: SkuId, seats_free: int) -> int:
    """Have the users at the head of a line reconciled. A place that a crash left without a ledger row goes in time."""
    head = await world.stores.waiting.first(sku_id, seats_free)
    if not head:
        await world.stores.waiting.close(sku_id)
        return 0
    rows = await world.stores.ledger.rows(sorted({entry.user_id for entry in head}))
    orphaned = [entry for entry in head if not _waits(rows[entry.user_id], entry)]
    long_ago = world.clock.now() - ORPHANED_AFTER
    await world.stores.waiting.leave(entry for entry in orphaned if entry.since < long_ago)
    users = {entry.user_id for entry in head if entry not in orphaned}
    await enqueue(world, users, f"{CAUSE}:{sku_id}")
    return len(users)


def _waits(row: LedgerRow, entry: InLine) -> bool:
    return row.waiting_since.get(entry.sku_id) == entry.since
