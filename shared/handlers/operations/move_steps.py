"""The steps of a move between native and direct licensing.

A step reads what is there, does its part again if that is not done, advances the row under its ETag, and sends the next
message. So a duplicate, late or lost message changes nothing, and a killed step begins again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import AssignedLicense, DirectoryUser
from shared.domain.errors import (
    BadRequest,
    Conflict,
    NotFound,
    NotOffered,
    PermissionDenied,
    PoisonMessage,
    Unavailable,
)
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.messages import OPERATIONS_BULK, load_object
from shared.domain.move import (
    MOST_CONVERTED,
    SEND_AGAIN,
    Direction,
    Move,
    MovePhase,
    after_verification,
    after_wave,
    ended,
    fault_of,
    not_verified,
    paused,
    pilot_of,
    without_approval,
)
from shared.domain.move_members import (
    MemberMove,
    MoveVerdict,
    count_verdicts,
    first_reasons,
    licenses_needed,
)
from shared.domain.move_report import member_now
from shared.domain.read_models import AuditEntry
from shared.domain.write_results import LicenseCall
from shared.handlers.operations import move_intents
from shared.handlers.operations.move_calls import SHORT_STEP, Result, call, reprocess, twice
from shared.handlers.operations.move_ends import WAITING_STEP, between_reads, end_direct_claim, remove_native
from shared.handlers.operations.move_reads import Judge, MemberPage, checksum_of, member_pages, users_read
from shared.handlers.operations.native_operation import LIST_WAIT
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.enqueue import enqueue
from shared.handlers.reconcile.plan import protection_of
from shared.handlers.reconcile.write_limiter import writing
from shared.ports.messaging import Outgoing

TYPE = "moveStep"
VERSION = 1

WRITING_OFF_STEP = timedelta(minutes=5)
NOT_APPROVED = "Nobody approved the last step in time. Resume the move to verify its members again, or undo it."
WRITING_OFF = "Writing to Microsoft Graph is turned off."

NO_PROGRESS = timedelta(minutes=5)
"""A move that moved less recently gets its step again."""

log = logging.getLogger(__name__)


def is_step(body: bytes) -> bool:
    """Whether a message of the queue is a step of a move."""
    return TYPE.encode() in body and load_object(body, "operations message").get("type") == TYPE


async def send_step(world: Needs, move: Move, wait: timedelta = timedelta(0)) -> None:
    """Send the message for the move's current step."""
    fields = {"v": VERSION, "type": TYPE, "groupId": move.group_id, "moveId": move.id, "step": move.step}
    body = json.dumps(fields, separators=(",", ":")).encode()
    at = world.clock.now() + wait if wait else None
    await world.queue.send([Outgoing(OPERATIONS_BULK, body, f"{move.id}-step-{move.step}", at)])


async def process_step(world: Needs, body: bytes) -> None:
    """Take the step that a message names. Raises PoisonMessage, Unavailable."""
    fields = load_object(body, "operations message")
    try:
        group_id, move_id, step = GroupId(str(fields["groupId"])), str(fields["moveId"]), int(fields["step"])
    except (KeyError, TypeError, ValueError) as fault:
        raise PoisonMessage(f"move message: {fault}") from fault
    move = await world.stores.moves.get(group_id, move_id)
    if move is None or move.phase.is_ended:
        return
    if step == move.step - 1 and not is_waiting(move):
        await send_step(world, move)
        return
    if step != move.step or is_waiting(move):
        return
    try:
        await _keep(world, move, *await _advance(world, move))
    except Conflict:
        again = Outgoing(OPERATIONS_BULK, body, None, world.clock.now() + SHORT_STEP)
        await world.queue.send([again])


def is_waiting(move: Move) -> bool:
    """Whether a person decides when it goes on."""
    return bool(move.paused) or move.phase is MovePhase.APPROVE


async def _keep(world: Needs, before: Move, move: Move, wait: timedelta) -> None:
    now = world.clock.now()
    saved = await world.stores.moves.save(replace(move, step=before.step + 1, progress_at=now))
    if saved.phase.is_ended or (saved.paused and not before.paused):
        await _audit_end(world, saved)
    if not saved.phase.is_ended and not is_waiting(saved):
        await send_step(world, saved, wait)


async def _audit_end(world: Needs, move: Move) -> None:
    """The end of a move, or that it paused itself. Previews are only read."""
    if move.phase in (MovePhase.PREVIEW, MovePhase.COUNT) or (move.phase is MovePhase.FAILED and not move.pages):
        return
    activity = f"Move group licensing: {move.state}"
    detail = move.paused or move.problem or f"members {move.members}, nested only {move.nested}"
    result = "failure" if move.phase is MovePhase.FAILED else "success"
    entry = AuditEntry(
        f"{move.id}-{move.state}-{move.step}",
        world.clock.now(),
        activity,
        move.initiator,
        result,
        group_id=move.group_id,
        detail=detail,
    )
    await world.stores.audit.append([entry])


async def _advance(world: Needs, move: Move) -> Result:
    try:
        if move.phase is not MovePhase.COUNT and not (await writing(world)).is_on:
            return replace(move, problem=WRITING_OFF), WRITING_OFF_STEP
        moved, wait = await _step(world, move)
        return (replace(moved, problem="") if moved.problem == move.problem and moved.problem else moved), wait
    except NotFound:
        return _stopped(world, move, "The group does not exist any more.")
    except (BadRequest, NotOffered, PermissionDenied) as fault:
        return _stopped(world, move, str(fault))


def _stopped(world: Needs, move: Move, why: str) -> Result:
    """A preview fails; a move waits for a person."""
    if move.phase is MovePhase.COUNT:
        return ended(move, MovePhase.FAILED, world.clock.now(), why), timedelta(0)
    return paused(move, why), timedelta(0)


async def _step(world: Needs, move: Move) -> Result:
    match move.phase:
        case MovePhase.COUNT:
            counted = await _count(world, move, keep=False)
            return ended(counted, MovePhase.PREVIEW, world.clock.now()), timedelta(0)
        case MovePhase.PREPARE:
            return await _prepare(world, move)
        case MovePhase.FOLLOW:
            to_native = move.heading is Direction.TO_NATIVE
            return await (end_direct_claim(world, move) if to_native else remove_native(world, move))
        case _:
            pass
    assignment = await _assignment(world, move)
    if not move.undoing:
        group = await world.native.licensed_group(move.group_id)
        fault = fault_of(move, assignment, group.group.native_skus)
        if fault:
            return twice(move, fault)
    if move.phase is MovePhase.WAVES:
        return await _wave(world, move, assignment)
    return await _verify(world, move, assignment)


async def _assignment(world: Needs, move: Move) -> GroupLicenseAssignment:
    stored = await world.stores.assignments.get(move.group_id)
    return stored.assignment if stored else GroupLicenseAssignment(move.group_id)


async def _count(world: Needs, move: Move, *, keep: bool) -> Move:
    """Read all members: the counts of a preview, and with `keep` the stored pages of how they were."""
    protection, now = await protection_of(world), world.clock.now()
    judge = await Judge.of(world, move, await _assignment(world, move))
    skus = {sku.sku_id: sku.available for sku in await world.directory.subscribed_skus(0.0)}
    judged, pages, protected, nested = list[MemberMove](), 0, 0, 0
    licenses: dict[SkuId, int] = {each.sku_id: 0 for each in move.products}
    newly, ids, unmanaged = 0, list[UserId](), list[UserId]()
    async for page in member_pages(world, move.group_id):
        judged += await judge.judge(page)
        if move.direction is Direction.TO_NATIVE:
            unmanaged += await judge.unmanaged(page)
        protected += sum(protection.protects(user.id, now) for user in page.users)
        if page.nested:
            nested += len(page.users)
        else:
            ids += [user.id for user in page.users]
        counted = page.users if move.direction is Direction.TO_DIRECT or not page.nested else ()
        needed = licenses_needed(counted, move.products, skus).licenses
        licenses = {sku_id: count + needed.get(sku_id, 0) for sku_id, count in licenses.items()}
        newly += sum(bool(_lacks(user, move.products)) for user in counted)
        if keep:
            members = [member_now(each, move.group_id, move.products, nested=page.nested) for each in page.users]
            await world.stores.moves.write_page(move, pages, members)
            pages += 1
    return replace(
        move,
        members=len(judged),
        nested=nested,
        protected=protected,
        newly_licensed=newly,
        needed=replace(licenses_needed((), move.products, skus), licenses=licenses),
        verdicts=count_verdicts(judged),
        pilot=_pilot(move, ids),
        unmanaged=_unmanaged(move, unmanaged),
        pages=pages,
    )


def _pilot(move: Move, members: Sequence[UserId]) -> tuple[UserId, ...]:
    """Raises BadRequest for a pilot user who is no direct member."""
    if strangers := sorted(set(move.pilot) - set(members)):
        text = f"Pilot users must be direct members of the group; these are not: {', '.join(strangers)}."
        raise BadRequest("NotAMember", text, "pilot")
    return pilot_of(move.pilot, members)


def _unmanaged(move: Move, found: Sequence[UserId]) -> tuple[UserId, ...]:
    """Raises BadRequest for a member to convert who has no unmanaged license of a product."""
    if strangers := sorted(set(move.convert) - set(found)):
        text = f"These users have no unmanaged direct license of the group's products: {', '.join(strangers[:20])}."
        raise BadRequest("NothingToConvert", text, "convertDirect")
    return tuple(sorted(found)[:MOST_CONVERTED])


def _lacks(user: DirectoryUser, products: Sequence[AssignedLicense]) -> set[SkuId]:
    has = {row.sku_id for row in user.license_assignment_states if row.state.counts}
    return {each.sku_id for each in products} - has


async def _prepare(world: Needs, move: Move) -> Result:
    """First the stored pages, in a step of its own: nothing has changed yet. Then the other source, beside."""
    if not move.pages:
        return await _count(world, move, keep=True), timedelta(0)
    if move.direction is Direction.TO_DIRECT:
        version = await move_intents.begin_direct(world, move)
        return replace(move, phase=MovePhase.WAVES, intent_version=version, sent_at=None), timedelta(0)
    group = await world.native.licensed_group(move.group_id)
    there = {each.sku_id: each for each in group.group.native_skus}
    missing = [each for each in move.products if there.get(each.sku_id) != each]
    if not missing:
        return replace(move, phase=MovePhase.WAVES, sent_at=None), timedelta(0)
    added = tuple(sorted({*move.native_added, *(each.sku_id for each in missing)}))
    if added != move.native_added:
        # Before the call: an undone move removes what it may have added.
        return replace(move, native_added=added), timedelta(0)
    return await call(world, move, LicenseCall(tuple(missing), ()))


async def _wave(world: Needs, move: Move, assignment: GroupLicenseAssignment) -> Result:
    """Send the members of the wave to be reconciled, and read them until none waits."""
    now = world.clock.now()
    if move.sent_at is None:
        version = await move_intents.set_wave(world, move)
        users = [user.id async for page in _pages_of(world, move) for user in page.users]
        await enqueue(world, users, f"move-{move.id}", intent_versions={move.group_id: version})
        return replace(move, sent_at=now, intent_version=version), WAITING_STEP.shortest
    judged = await _judged(world, move, assignment)
    move = _seen(move, judged) if move.is_last_wave else move
    waiting = [each for each in judged if each.verdict is MoveVerdict.WAITS]
    if waiting:
        return await _again(world, move, waiting)
    blocked = _blocked(move, judged)
    if again := _to_reprocess(move, blocked):
        return await reprocess(world, move, again)
    return after_wave(move, len(blocked), first_reasons(blocked)), timedelta(0)


def _blocked(move: Move, judged: Sequence[MemberMove]) -> list[MemberMove]:
    """Members whom a person must help. When a move to direct is undone there are none: members whom native licensing
    does not cover stay direct."""
    stays = move.undoing and move.heading is Direction.TO_NATIVE
    return [] if stays else [each for each in judged if each.verdict is MoveVerdict.BLOCKED]


def _to_reprocess(move: Move, blocked: Sequence[MemberMove]) -> list[UserId]:
    """Members whom Microsoft's licensing has not been asked yet to process again: it does not retry automatically
    (learn.microsoft.com/entra/fundamentals/licensing-groups-resolve-problems)."""
    return [each.user_id for each in blocked if each.by_native and move.reprocessed_at is None]


async def _again(world: Needs, move: Move, waiting: Sequence[MemberMove]) -> Result:
    """Read again later. Members whose turn has come only now are sent at once, all others after a while once more."""
    now, sent_at = world.clock.now(), move.sent_at
    is_due = sent_at is None or now - sent_at >= SEND_AGAIN
    users = [each.user_id for each in waiting if is_due or each.is_new]
    if users:
        versions = {move.group_id: move.intent_version}
        await enqueue(world, users, f"move-{move.id}", intent_versions=versions)
    if sent_at is None or is_due:
        return replace(move, sent_at=now), WAITING_STEP.shortest
    return move, WAITING_STEP.after(now - sent_at)


async def _judged(world: Needs, move: Move, assignment: GroupLicenseAssignment) -> list[MemberMove]:
    judge = await Judge.of(world, move, assignment)
    return [each async for page in _pages_of(world, move) for each in await judge.judge(page)]


async def _pages_of(world: Needs, move: Move) -> AsyncIterator[MemberPage]:
    """The members whose turn it is. The few pilot users are read alone."""
    if move.wave == 0:
        pilot = await users_read(world, move.pilot)
        yield MemberPage([each for each in pilot if move.group_id in each.group_ids])
        return
    handover = move.handover
    async for page in member_pages(world, move.group_id):
        yield MemberPage([user for user in page.users if handover.includes(user.id)], page.nested)


def _seen(move: Move, judged: Sequence[MemberMove]) -> Move:
    """With the counts of a complete read."""
    verdicts = count_verdicts(judged)
    return replace(move, verdicts=verdicts, members=len(judged), nested=verdicts[MoveVerdict.NESTED_ONLY])


async def _verify(world: Needs, move: Move, assignment: GroupLicenseAssignment) -> Result:
    """One complete read in which no member would lose anything; the last step needs one more, after the approval.

    Raises Unavailable while the protected people are not known: the approval depends on them.
    """
    protection, now = await protection_of(world), world.clock.now()
    if not protection.is_known and not move.undoing:
        raise Unavailable(LIST_WAIT.total_seconds(), "the protected people have not been read")
    if move.heading is Direction.TO_DIRECT:
        await move_intents.enforce(world, move)
    judged = await _judged(world, move, assignment)
    protected, approved_for = sum(protection.protects(each.user_id, now) for each in judged), move.protected
    move = replace(_seen(move, judged), protected=protected)
    blocked = _blocked(move, judged)
    if again := _to_reprocess(move, blocked):
        return await reprocess(world, not_verified(move), again)
    if blocked:
        count = f"{len(blocked)} member{'' if len(blocked) == 1 else 's'}"
        return paused(not_verified(move), f"{count} would lose apps: {first_reasons(blocked)}"), timedelta(0)
    waiting = [each for each in judged if each.verdict is MoveVerdict.WAITS]
    if waiting:
        return await _again(world, not_verified(move), waiting)
    if move.phase is MovePhase.VERIFY:
        after = after_verification(
            replace(move, sent_at=None, reprocessed_at=None, reprocessed_to=None),
            now,
            checksum_of(judged, move.convert),
        )
        return after, between_reads(world) if after.phase is MovePhase.VERIFY else timedelta(0)
    expires = timedelta(seconds=world.policy.approval_expires_s)
    is_old = move.approved_at is not None and now - move.approved_at >= expires
    if not move.undoing and (is_old or protected > approved_for):
        return replace(not_verified(without_approval(move)), phase=MovePhase.VERIFY), timedelta(0)
    # Saved before anything ends: from here on the move cannot be undone.
    return replace(move, phase=MovePhase.FOLLOW, removing_at=now, verified=(), sent_at=None), timedelta(0)


async def watch_moves(world: Needs) -> int:
    """The watchdog: moves whose message was lost go on, and requests for approval expire. Returns how many moves were
    sent."""
    now, sent = world.clock.now(), 0
    for move in await world.stores.moves.open():
        await _expire(world, move)
        if is_waiting(move) or now - (move.progress_at or move.created_at) < NO_PROGRESS + WRITING_OFF_STEP:
            continue
        try:
            saved = await world.stores.moves.save(replace(move, step=move.step + 1, progress_at=now))
        except Conflict:
            continue
        log.warning("move stood still and is sent again move=%s phase=%s", saved.id, saved.phase)
        await send_step(world, saved)
        sent += 1
    return sent


async def _expire(world: Needs, move: Move) -> None:
    """Pause a move that waited for its approval as long as an approval may: members keep both sources, and a person who
    resumes it has them verified again."""
    lasts, now = timedelta(seconds=world.policy.approval_expires_s), world.clock.now()
    if move.phase is not MovePhase.APPROVE or move.paused or now - (move.progress_at or move.created_at) < lasts:
        return
    with suppress(Conflict):  # a person has just decided
        expired = replace(paused(move, NOT_APPROVED), step=move.step + 1, progress_at=now)
        await _audit_end(world, await world.stores.moves.save(expired))
