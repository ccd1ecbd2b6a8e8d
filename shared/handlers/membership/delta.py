"""Delta: what changed in the watched groups since the last time, whether or not a notification came.

`domain/delta_slices.py` decides what is kept of a slice of groups, and how long it waits after a rejection.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from shared.domain.change_messages import ReadDelta, split
from shared.domain.delta_slices import DeltaSlice
from shared.domain.errors import Conflict, PermissionDenied, TokenExpired, Unavailable
from shared.domain.ids import GroupId
from shared.domain.membership_changes import GroupChange, merged
from shared.domain.messages import NOTIFICATIONS
from shared.handlers.groups.nesting import complete_map, group_hierarchy
from shared.handlers.membership.canary import note_canary
from shared.handlers.membership.needs import Needs
from shared.handlers.operations.sync import DELTA, is_read_since, sync_group
from shared.ports.messaging import Outgoing

SLICE = 50
MAX_PAGES = 2000
"""Pages of one round: Graph spreads big changes over many, and a chain that does not end is a fault."""

ENUMERATES_FOR = timedelta(minutes=2)
"""One round's share of an enumeration, which the next one continues: well inside the five minutes of a message lock."""

log = logging.getLogger(__name__)


async def slices_of(world: Needs) -> dict[int, tuple[GroupId, ...]]:
    """The watched groups and the canary group by slice: a group stays in its slice while it is watched, new ones fill
    free places."""
    watched = await group_hierarchy(world, 0.0)
    wanted = {*watched.managed, *([world.policy.canary_group] if world.policy.canary_group else [])}
    found: dict[int, list[GroupId]] = {}
    for known in await world.stores.deltas.all():
        mine = (*known.group_ids, *(each for each in known.enumerated if each not in known.group_ids))
        found[known.number] = [group_id for group_id in mine if group_id in wanted][:SLICE]
        wanted.difference_update(found[known.number])
    number = 0
    for group_id in sorted(wanted):
        while len(found.get(number, [])) >= SLICE:
            number += 1
        found.setdefault(number, []).append(group_id)
    return {number: tuple(sorted(groups)) for number, groups in sorted(found.items())}


async def query_deltas(world: Needs) -> int:
    """The timer: one message per slice. Returns how many."""
    await complete_map(world)
    slices, now = await slices_of(world), world.clock.now()
    await world.queue.send([Outgoing(NOTIFICATIONS, ReadDelta(number, now).encode()) for number in slices])
    return len(slices)


async def read_delta(world: Needs, number: int) -> None:
    """Queue what changed in the groups of a slice, get a link for new groups, and start the syncs that it waits for.

    What fails is made good by the timer's next round, since each step is kept only after what it leads to. The groups
    to be read completely are part of the slice, not messages: there is never more than one waiting read of a group.
    """
    wanted = (await slices_of(world)).get(number, ())
    known = await world.stores.deltas.get(number) or DeltaSlice(number)
    if not wanted:
        await world.stores.deltas.remove(number)
        return
    known = await _with_changes_read(world, known, wanted)
    if not known.reports(wanted) and known.may_enumerate(world.clock.now()):
        known = await _with_link(world, known, wanted)
    await _start_syncs(world, known)


async def _with_changes_read(world: Needs, known: DeltaSlice, wanted: tuple[GroupId, ...]) -> DeltaSlice:
    """The slice after its changes were queued; one whose link was rejected has none."""
    if not known.link:
        return known
    try:
        link = await _queue_changes(world, known)
    except (TokenExpired, PermissionDenied) as fault:
        if isinstance(fault, PermissionDenied):
            # Of this link alone, or of the app. Without the permission a new enumeration is denied too, and then the
            # link is kept for the day on which it is granted.
            await world.changes.delta(world.changes.enumeration(wanted))
        return await _after_rejection(world, known.rejected(str(fault), world.clock.now()))
    return await _kept(world, known.reported(link, wanted, world.clock.now()))


async def _after_rejection(world: Needs, known: DeltaSlice) -> DeltaSlice:
    level = logging.ERROR if known.is_shown_as_error else logging.WARNING
    observed = (known.number, known.rejections, known.retry_at, known.rejected_because)
    log.log(level, "delta link rejected slice=%d rejections=%d next_at=%s reason=%s", *observed)
    return await _kept(world, known)


async def _with_link(world: Needs, known: DeltaSlice, wanted: tuple[GroupId, ...]) -> DeltaSlice:
    """The slice with a link for all its groups, or with as much of the enumeration as one round may take.

    The enumeration overlaps the old link: that is followed once more when the new one is there, so that nothing falls
    between the two. The members enumerated are not queued: a sync that begins after it reads the same groups with all
    that planning needs, and finds leavers as well.
    """
    until = world.clock.now() + ENUMERATES_FOR
    goes_on = bool(known.enumeration) and set(wanted) <= set(known.enumerated)
    groups = known.enumerated if goes_on else wanted
    link = known.enumeration if goes_on else world.changes.enumeration(groups)
    for _ in range(MAX_PAGES):
        try:
            page = await world.changes.delta(link)
        except TokenExpired as fault:
            rejected = known.enumeration_rejected(str(fault), world.clock.now(), groups)
            return await _after_rejection(world, rejected)
        if page.delta_link is not None:
            known = await _with_changes_read(world, known, wanted)
            return await _kept(world, await _linked(world, known, groups, page.delta_link))
        link = page.next_link or ""
        if world.clock.now() >= until:
            break
    return await _kept(world, known.enumerating(groups, link))


async def _linked(world: Needs, known: DeltaSlice, groups: tuple[GroupId, ...], link: str) -> DeltaSlice:
    untold = set(groups) - set(known.group_ids)
    watched = await group_hierarchy(world, 0.0)
    roots = frozenset[GroupId]().union(*(watched.roots(group_id) for group_id in untold))
    now = world.clock.now()
    return known.linked(groups, link, now).to_read(roots, now)


async def _start_syncs(world: Needs, known: DeltaSlice) -> None:
    """Start a sync of each group that waits for one; a group on which an operation is open waits for the next round."""
    since = known.unread_since
    if since is not None:
        done = [group_id for group_id in sorted(known.unread) if await _is_synced(world, group_id, since)]
        await _kept(world, known.read_by_sync(done))


async def _is_synced(world: Needs, group_id: GroupId, since: datetime) -> bool:
    """Whether a sync that began after a time reads the group, or has; the same one is never started twice."""
    if await is_read_since(world, group_id, since):
        return True
    try:
        await sync_group(world, group_id, DELTA, at=since)
    except Conflict:
        return False
    return True


async def _queue_changes(world: Needs, known: DeltaSlice) -> str:
    """All pages, merged by group, queued. Returns the link for the next time, which is kept only then."""
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
    wanted = {*known.group_ids} - await _canary_alone(world)
    await _queue(world, (change for change in merged(changes) if change.group_id in wanted))
    # Last: trouble with this row must not delay the changes. The same round is then read and queued once more.
    await note_canary(world, [change.group_id for change in changes], in_delta=True)
    return last


async def _canary_alone(world: Needs) -> set[GroupId]:
    """The canary group, if it assigns no licenses: its changes are noted, and concern no user."""
    group_id = world.policy.canary_group
    return {group_id} if group_id and not (await group_hierarchy(world)).concerns(group_id) else set()


async def _queue(world: Needs, changes: Iterable[GroupChange]) -> None:
    messages = list(split(list(changes), world.clock.now(), "delta"))
    if messages:
        await world.queue.send([Outgoing(NOTIFICATIONS, message.encode()) for message in messages])


async def _kept(world: Needs, known: DeltaSlice) -> DeltaSlice:
    await world.stores.deltas.save(known)
    return known
