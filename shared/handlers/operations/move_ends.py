"""The last step of a move: the source that is left ends, and is followed until it has ended for everybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

from shared.domain.backoff import Backoff
from shared.domain.change_messages import WatchGroup
from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import GroupId, UserId
from shared.domain.messages import NOTIFICATIONS
from shared.domain.move import CONVERT_FOR, SEND_AGAIN, VERIFY_AGAIN, Move, MovePhase, ended, to_remove
from shared.domain.move_members import native_rows
from shared.domain.native_handover import covers_all, to_convert
from shared.domain.write_results import LicenseCall
from shared.handlers.operations import move_intents
from shared.handlers.operations.move_calls import Result, call, reprocess
from shared.handlers.operations.move_reads import MemberPage, ending_licenses, member_pages, users_read
from shared.handlers.operations.native_members import BATCH
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.sync import SYNC, sync_soon
from shared.handlers.reconcile.enqueue import enqueue
from shared.ports.messaging import Outgoing

WAITING_STEP = Backoff(timedelta(seconds=5), timedelta(minutes=1), share=0.2)
"""Time to the next read of members who wait."""

MOST_FORMER = 1000
"""Former members who are read one by one at the end."""


async def remove_native(world: Needs, move: Move) -> Result:
    """Remove the native licenses from the group, read that they are gone, and follow until no member has a license from
    the group. A removal that fails for a member is an error until it succeeds."""
    going = set(to_remove(move))
    group = await world.native.licensed_group(move.group_id)
    left = sorted(going & {each.sku_id for each in group.group.native_skus})
    if left:
        return await call(world, replace(move, verified=()), LicenseCall((), tuple(left)))
    members, failed, still = 0, list[UserId](), 0
    async for page in _all_concerned(world, move):
        members += len(page.users)
        for user in page.users:
            rows = [row for sku_id, row in native_rows(user, move.group_id).items() if sku_id in going]
            still += bool(rows)
            if any(row.error and row.error != "None" for row in rows):
                failed.append(user.id)
    move = replace(move, members=members, errors=len(failed))
    now = world.clock.now()
    if still:
        move = replace(move, verified=())
        if failed and (move.reprocessed_at is None or now - move.reprocessed_at >= SEND_AGAIN):
            return await reprocess(world, move, failed)
        return move, WAITING_STEP.after(now - (move.removing_at or now))
    if not move.verified:
        # One read without the licenses is no proof: a lagging replica can show it.
        return replace(move, verified=(now,)), between_reads(world)
    await move_intents.end_direct_move(world, move)
    await sync_soon(world, move.group_id, SYNC)
    return ended(move, MovePhase.UNDONE if move.undoing else MovePhase.DONE, now), timedelta(0)


def between_reads(world: Needs) -> timedelta:
    """Between two verifying reads; as with removals, settings can shorten it."""
    return min(VERIFY_AGAIN, timedelta(seconds=world.policy.removal_window_s))


async def _all_concerned(world: Needs, move: Move) -> AsyncIterator[MemberPage]:
    """All members, and those who left since the move began: the license of a leaver can be stuck too."""
    left: set[UserId] = set()
    async for before in world.stores.moves.pages(move):
        left |= {each.user_id for each in before}
    async for page in member_pages(world, move.group_id):
        left -= {user.id for user in page.users}
        yield page
    former = sorted(left)[:MOST_FORMER]
    for start in range(0, len(former), BATCH):
        yield MemberPage(await users_read(world, former[start : start + BATCH], with_groups=False))


async def end_direct_claim(world: Needs, move: Move) -> Result:
    """End the group's direct claim. Members whom native licensing does not cover keep their direct licenses by name.
    Before that, listed unmanaged licenses end."""
    if waits := await _convert(world, move):
        return waits
    staying: list[UserId] = []
    async for page in member_pages(world, move.group_id):
        users = {user.id: user for user in page.users if page.nested or not _covered(user, move)}
        ledger = await world.stores.ledger.rows(list(users)) if users else {}
        kept: list[tuple[UserId, Grant]] = []
        for user_id in sorted(users):
            row = ledger.get(user_id)
            ending = ending_licenses(row, move.group_id) if row else frozenset()
            kept += [(user_id, _by_name(each)) for each in move.products if each.sku_id in ending]
        await world.stores.grants.put(kept)
        staying += sorted({user_id for user_id, _ in kept})
    version = await move_intents.end_native_move(world, move)
    await enqueue(world, staying, f"move-{move.id}", intent_versions={move.group_id: version})
    await _watch(world, move.group_id)
    phase = MovePhase.UNDONE if move.undoing else MovePhase.DONE
    return ended(replace(move, errors=0), phase, world.clock.now()), timedelta(0)


async def _convert(world: Needs, move: Move) -> Result | None:
    """How the step waits for the members to convert; None: nothing can be converted any more."""
    if not move.convert or move.undoing:
        return None
    now, skus = world.clock.now(), [each.sku_id for each in move.products]
    if move.sent_at is None:
        version = await move_intents.set_wave(world, move)
        await enqueue(world, move.convert, f"move-{move.id}", intent_versions={move.group_id: version})
        return replace(move, sent_at=now, intent_version=version), WAITING_STEP.shortest
    users = await users_read(world, move.convert)
    left = [user.id for user in users if move.group_id in user.group_ids and to_convert(user, move.group_id, skus, ())]
    if not left or now - (move.removing_at or now) >= CONVERT_FOR:
        return None
    if now - move.sent_at >= SEND_AGAIN:
        await enqueue(world, left, f"move-{move.id}", intent_versions={move.group_id: move.intent_version})
        return replace(move, sent_at=now), WAITING_STEP.shortest
    return move, WAITING_STEP.after(now - move.sent_at)


def _covered(user: DirectoryUser, move: Move) -> bool:
    return covers_all(user, move.group_id, move.products)


def _by_name(license: AssignedLicense) -> Grant:
    return Grant(license.sku_id, license.disabled_plans, Source(SourceKind.LIST))


async def _watch(world: Needs, group_id: GroupId) -> None:
    """The members' rows come from reading native licensing now."""
    await world.queue.send([Outgoing(NOTIFICATIONS, WatchGroup(group_id, world.clock.now()).encode())])
