"""Due users: a user is reconciled when the grace period, or another grant with an end, is over."""

from __future__ import annotations

from collections.abc import Iterable

from shared.domain.grant import Grant
from shared.domain.ids import UserId
from shared.handlers.reconcile.enqueue import enqueue
from shared.handlers.reconcile.needs import Needs
from shared.ports.membership_stores import Due

AT_ONCE = 1000
"""Entries of one run of the timer; the next run takes the rest."""


async def note_ends(world: Needs, grants: Iterable[tuple[UserId, Grant]]) -> None:
    """Have users reconciled when these grants end. Stored before the grants: an extra entry costs only a read."""
    await world.stores.due.put(
        Due(grant.until, user_id, grant.sku_id) for user_id, grant in grants if grant.until is not None
    )


async def reconcile_due_users(world: Needs) -> int:
    """The timer: queue due users for reconciliation. They are sent first and deleted from the list second."""
    entries = await world.stores.due.until(world.clock.now(), AT_ONCE)
    users = {entry.user_id for entry in entries}
    if entries:
        await enqueue(world, users, f"due:{entries[0].at.isoformat()}")
        await world.stores.due.remove(entries)
    return len(users)
