"""Delta: what changed in the watched groups since the last time, whether or not a notification came.

Groups are asked about in slices of at most 50 (learn.microsoft.com/graph/api/group-delta). A slice whose groups change,
or whose token Graph does not know any more, starts from now, and its managed groups are read whole.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from shared.domain.change_messages import ReadDelta, split
from shared.domain.errors import TokenExpired, Unavailable
from shared.domain.ids import GroupId
from shared.domain.membership_changes import GroupChange, merged
from shared.domain.messages import NOTIFICATIONS
from shared.handlers.groups.nesting import complete_map, watched_groups
from shared.handlers.membership.needs import Needs
from shared.handlers.operations.sync import DELTA, sync_soon
from shared.ports.membership_stores import DeltaSlice
from shared.ports.messaging import Outgoing

SLICE = 50
MAX_PAGES = 2000
"""Pages of one round: Graph spreads big changes over many, and a chain that does not end is a fault."""

log = logging.getLogger(__name__)


async def slices_of(world: Needs) -> dict[int, tuple[GroupId, ...]]:
    """The watched groups by slice: a group stays in its slice while it is watched, new ones fill free places."""
    watched = await watched_groups(world, 0.0)
    wanted = set(watched.managed)
    found: dict[int, list[GroupId]] = {}
    for known in await world.stores.deltas.all():
        found[known.number] = [group_id for group_id in known.group_ids if group_id in wanted]
        wanted.difference_update(known.group_ids)
    number = 0
    for group_id in sorted(wanted):
        while len(found.get(number, [])) >= SLICE:
            number += 1
        found.setdefault(number, []).append(group_id)
    return {number: tuple(sorted(groups)) for number, groups in sorted(found.items())}


async def ask_for_deltas(world: Needs) -> int:
    """The timer: one message per slice. Returns how many."""
    await complete_map(world)
    slices, now = await slices_of(world), world.clock.now()
    await world.queue.send([Outgoing(NOTIFICATIONS, ReadDelta(number, now).encode()) for number in slices])
    return len(slices)


async def read_delta(world: Needs, number: int) -> None:
    """Queue what changed in the groups of a slice, and have managed groups read whole whose changes up to now nobody
    has told. What fails is made good by the timer's next round, since the link is kept last."""
    wanted = (await slices_of(world)).get(number, ())
    known = await world.stores.deltas.get(number)
    if not wanted:
        await world.stores.deltas.remove(number)
        return
    untold = frozenset(wanted) - frozenset(known.group_ids if known else ())
    if known is not None:
        try:
            await _read(world, known)
        except TokenExpired as fault:
            log.warning("delta of slice %d starts anew: %s", number, fault)
            untold = frozenset(wanted)
    if known is None or untold or known.group_ids != wanted:
        await _start(world, number, wanted, untold)


async def _start(world: Needs, number: int, groups: Sequence[GroupId], untold: frozenset[GroupId]) -> None:
    """From now on. The link is got before the groups are read whole, so that nothing falls between the two, and kept
    after that is asked for, so that a repeat asks again."""
    link = await world.changes.delta_from_now(groups)
    watched = await watched_groups(world, 0.0)
    for group_id in sorted(frozenset().union(*(watched.roots(each) for each in untold))):
        await sync_soon(world, group_id, DELTA)
    await world.stores.deltas.save(DeltaSlice(number, tuple(groups), link, world.clock.now()))


async def _read(world: Needs, known: DeltaSlice) -> None:
    """All pages, merged by group, queued; only then the link for the next time is kept."""
    changes: list[GroupChange] = []
    link, last = known.link, None
    for _ in range(MAX_PAGES):
        page = await world.changes.delta(link)
        changes += page.changes
        if page.delta_link is not None:
            last = page.delta_link
            break
        link = page.next_link or ""
    if last is None:
        raise Unavailable(None, f"delta of slice {known.number}: the pages do not come to an end")
    concerned = [change for change in merged(changes) if change.group_id in known.group_ids]
    messages = list(split(concerned, world.clock.now(), "delta"))
    if messages:
        await world.queue.send([Outgoing(NOTIFICATIONS, message.encode()) for message in messages])
    await world.stores.deltas.save(DeltaSlice(known.number, known.group_ids, last, world.clock.now()))
