"""The queue `notifications`: from "something has changed" to reconciled users and synced groups."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta

from shared.domain.backoff import Backoff
from shared.domain.change_messages import (
    GroupsChanged,
    LifecycleHappened,
    ReadDelta,
    ReprocessErrors,
    Sweep,
    SyncGroup,
    WatchGroup,
    decode_change,
)
from shared.domain.errors import Conflict, PermissionDenied, Unavailable
from shared.domain.grant import Grant, SourceKind
from shared.domain.ids import GroupId, UserId
from shared.domain.ledger_row import LedgerRow
from shared.domain.membership_changes import GroupChange, Hierarchy
from shared.domain.messages import NOTIFICATIONS
from shared.domain.trace_context import followed
from shared.handlers.groups.nesting import add_nested, hierarchy_with
from shared.handlers.membership.delta import read_delta
from shared.handlers.membership.needs import Needs
from shared.handlers.membership.nightly_sync import sweep
from shared.handlers.membership.subscription import take_lifecycle
from shared.handlers.membership.watching import watch_group
from shared.handlers.operations.native_members import reprocess_step
from shared.handlers.operations.sync import DELTA, NESTED, TRY_SYNC_FOR, is_read_since, sync_group, sync_soon
from shared.handlers.reconcile.enqueue import enqueue
from shared.ports.messaging import Outgoing

TRY_SYNC_AGAIN = Backoff(timedelta(seconds=5), timedelta(minutes=1))
"""A group on which an operation is open is synced after it: that operation may have read it before the change."""

ROUND = timedelta(minutes=5)
"""The interval of the timer's delta queries."""

log = logging.getLogger(__name__)

Expected = dict[UserId, dict[GroupId, bool]]


async def process_notifications(world: Needs, body: bytes) -> None:
    """Do what one message asks. Raises PoisonMessage for an unreadable body, Unavailable when a dependency is away."""
    message = decode_change(body)
    match message:
        case GroupsChanged():
            followed(message.traceparent)
            await _take_groups(world, message)
        case LifecycleHappened():
            if await take_lifecycle(world, message.subscription_id, message.event):
                await sync_all_soon(world)
        case ReadDelta():
            await _read_delta(world, message)
        case SyncGroup():
            await _sync(world, message)
        case Sweep():
            await sweep(world, message.partition, message.at)
        case WatchGroup():
            await watch_group(world, message)
        case ReprocessErrors():
            await reprocess_step(world, message)


async def _read_delta(world: Needs, message: ReadDelta) -> None:
    """Work that fails until the timer's next query is left to that query. Otherwise messages would pile up."""
    try:
        await read_delta(world, message.number)
    except (Unavailable, PermissionDenied) as fault:
        if message.asked_at is None or world.clock.now() < message.asked_at + ROUND:
            raise
        log.warning("delta of slice %d waits for the next round: %s", message.number, fault)


async def _take_groups(world: Needs, message: GroupsChanged) -> None:
    """Reconcile users who were added or removed. If a group was added or removed, sync the managed groups above it."""
    watched = await hierarchy_with(world, [change.group_id for change in message.changes])
    changes = [change for change in message.changes if watched.concerns(change.group_id)]
    kinds = await world.directory.kinds(sorted({member for change in changes for member in change.members}))
    await _watch_changed(world, [change for change in changes if change.group_id in watched.native], kinds)
    changes = [change for change in changes if watched.concerns_managed(change.group_id)]
    users = await _without_those_of_hr(world, _expected(changes, kinds))
    cause = f"{message.cause}:{message.at.isoformat()}"
    await enqueue(world, users, cause, expects=users, changed_at=message.at, traceparent=message.traceparent)
    for change in changes:
        came = [m for m, there in change.members.items() if there is not False and kinds.get(m) == "group"]
        if came:
            await add_nested(world, change.group_id, map(GroupId, came))
    for group_id in sorted(_to_sync(changes, kinds, watched)):
        await sync_soon(world, group_id, NESTED)


async def _watch_changed(world: Needs, changes: Iterable[GroupChange], kinds: Mapping[str, str | None]) -> None:
    """Read the changed members of watched groups; the whole group if groups came or went, or the group itself."""
    now = world.clock.now()
    for change in changes:
        whole = change.deleted or not change.members or any(kinds.get(each) == "group" for each in change.members)
        named = () if whole else tuple(each for each in sorted(change.members) if kinds.get(each) in ("user", None))
        if whole or named:
            message = WatchGroup(change.group_id, now, members=named)
            await world.queue.send([Outgoing(NOTIFICATIONS, message.encode())])


def _expected(changes: Iterable[GroupChange], kinds: Mapping[str, str | None]) -> Expected:
    """The users to reconcile, with their expected memberships. An id that the directory does not have was most likely a
    user."""
    users: Expected = {}
    for change in changes:
        for member, came in change.members.items():
            if kinds.get(member) in ("user", None):
                said = users.setdefault(member, {})
                if came is not None:
                    said[change.group_id] = came
    return users


async def _without_those_of_hr(world: Needs, users: Expected) -> Expected:
    """Skip members whom an HR event has just added. That event licenses them, and they are reconciled when its grant
    ends. Two reconciliations at once would both reserve writes, and one would not use them. Users with an observed
    removal within the last ten minutes, which the ledger stores, are not skipped."""
    came = [user_id for user_id, said in users.items() if said and all(said.values())]
    if not came:
        return users
    grants = await world.stores.grants.of_users(came)
    put_in = [user_id for user_id in came if users[user_id].keys() <= _groups_hr_wrote(grants.get(user_id, ()), world)]
    rows = await world.stores.ledger.rows(put_in) if put_in else {}
    left_to_hr = {user_id for user_id in put_in if not _has_left(rows[user_id], users[user_id])}
    return {user_id: said for user_id, said in users.items() if user_id not in left_to_hr}


def _groups_hr_wrote(grants: Iterable[Grant], world: Needs) -> set[str]:
    now = world.clock.now()
    return {grant.source.id for grant in grants if grant.source.kind is SourceKind.JOINED and grant.holds_at(now)}


def _has_left(row: LedgerRow, groups: Iterable[GroupId]) -> bool:
    return any(not row.observed[group_id].came for group_id in groups if group_id in row.observed)


def _to_sync(changes: Iterable[GroupChange], kinds: Mapping[str, str | None], watched: Hierarchy) -> set[GroupId]:
    found: set[GroupId] = set()
    for change in changes:
        roots = watched.roots(change.group_id)
        if change.deleted or any(kinds.get(member) == "group" for member in change.members):
            found |= roots
        elif not change.members and change.group_id in roots:
            # A change without members may be a restored group; one that is only renamed costs a reading.
            found.add(change.group_id)
    return found


async def sync_all_soon(world: Needs) -> None:
    """Changes may have been lost: every managed group is read again."""
    for assignment in await world.stores.assignments.all():
        if assignment.skus:
            await sync_soon(world, assignment.group_id, DELTA)


async def _sync(world: Needs, message: SyncGroup) -> None:
    if await is_read_since(world, message.group_id, message.asked_at):
        return
    try:
        await sync_group(world, message.group_id, message.cause, at=message.at)
    except Conflict:
        now = world.clock.now()
        waited = now - message.asked_at
        if waited < TRY_SYNC_FOR:
            again = now + TRY_SYNC_AGAIN.after(waited)
            await world.queue.send([Outgoing(NOTIFICATIONS, message.encode(), at=again)])
