"""Requests about a move between native and direct licensing: preview, start, pause, resume, undo, approve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.domain.approval_rules import Approver, Given, Request, denial, ruling
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.directory import DirectoryGroup
from shared.domain.errors import ApprovalDenied, BadRequest, Conflict, NotFound, Outdated, StateConflict
from shared.domain.ids import GroupId, UserId, new_id
from shared.domain.initiator import Initiator
from shared.domain.move import (
    Direction,
    Move,
    MovePhase,
    check_convert,
    check_waves,
    paused,
    products_of,
    resumed,
    undone,
)
from shared.domain.operation import Approval
from shared.domain.product_checks import check_products
from shared.domain.read_models import AuditEntry
from shared.handlers.operations.move_steps import send_step
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.own_requests import count_own
from shared.handlers.operations.state_changes import approved_as
from shared.handlers.reconcile.read import read_catalog

MAX_TRIES = 10


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """`pilot`: users of the first wave, all direct members. `waves`: see `domain.move.WAVES`."""

    group_id: GroupId
    direction: Direction
    initiator: Initiator
    preview: bool = False
    pilot: tuple[UserId, ...] = ()
    waves: tuple[int, ...] = ()
    convert: tuple[UserId, ...] = ()
    """Members whose unmanaged direct licenses are converted; only in a move to native licensing."""


async def begin(world: Needs, request: MoveRequest) -> Move:
    """Start a move, or count what it would do. A preview changes nothing.

    Raises BadRequest for a group that cannot be moved, NotFound, and Conflict while another move of the group, or an
    operation on it, is open.
    """
    waves = check_waves(request.waves, request.pilot)
    convert = check_convert(request.direction, request.convert)
    found = await world.native.licensed_group(request.group_id)
    stored = await world.stores.assignments.get(request.group_id)
    assignment = stored.assignment if stored else GroupLicenseAssignment(request.group_id)
    _check_group(found.group)
    products = products_of(request.direction, assignment, found.group.native_skus)
    check_products(products, await read_catalog(world), {each.sku_id: each.disabled_plans for each in products})
    if not request.preview:
        await _check_no_operation(world, request.group_id)
    now = world.clock.now()
    move = Move(
        id=new_id(now, world.token()),
        group_id=request.group_id,
        direction=request.direction,
        initiator=request.initiator,
        created_at=now,
        progress_at=now,
        phase=MovePhase.COUNT if request.preview else MovePhase.PREPARE,
        display_name=found.group.display_name,
        products=products,
        former=assignment,
        pilot=tuple(sorted(set(request.pilot))),
        waves=waves,
        convert=convert,
    )
    move = await world.stores.moves.insert(move)
    if not request.preview:
        await _record(world, move, request.initiator, "Start move of group licensing", str(move.direction))
    await send_step(world, move)
    return move


def _check_group(group: DirectoryGroup) -> None:
    """Native licensing needs a security group (learn.microsoft.com/entra/identity/users/licensing-group-advanced)."""
    if not group.security_enabled:
        text = f"Group {group.display_name} is not security-enabled; licenses can be assigned to security groups only."
        raise BadRequest("GroupNotSecurityEnabled", text, "group")


async def _check_no_operation(world: Needs, group_id: GroupId) -> None:
    for other in await world.stores.operations.open():
        if other.target.group_id == group_id and not other.preview and not other.initiator.is_app_itself:
            raise Conflict(f"Operation {other.id} is open on the group. Wait for its end, or cancel it.")


async def find(world: Needs, group_id: GroupId, move_id: str = "") -> Move:
    """The move with this ID, or the newest one of the group. Raises NotFound."""
    move = await world.stores.moves.get(group_id, move_id)
    if move is None:
        raise NotFound(f"There is no move {move_id} of group {group_id}." if move_id else "The group was never moved.")
    return move


async def pause(world: Needs, group_id: GroupId, initiator: Initiator) -> Move:
    """Nothing new begins. Users who were already sent are finished; joiners and leavers are processed as usual."""

    def stop(move: Move) -> Move:
        if move.phase.is_ended or move.phase is MovePhase.COUNT or move.paused:
            raise _illegal("pause", move)
        return paused(move, f"Paused by {initiator.display_name or initiator.id}.", initiator)

    return await _change(world, group_id, initiator, "Pause move of group licensing", stop, send=False)


async def resume(world: Needs, group_id: GroupId, initiator: Initiator) -> Move:
    """Go on with fresh reads. Blocked members of the wave do not pause it again; the verification still counts them."""

    def go_on(move: Move) -> Move:
        if not move.paused:
            raise _illegal("resume", move)
        return resumed(move)

    return await _change(world, group_id, initiator, "Resume move of group licensing", go_on)


async def undo(world: Needs, group_id: GroupId, initiator: Initiator) -> Move:
    """Go back: each member gets the former source again before the new one ends. Raises StateConflict after the last
    step has begun."""
    return await _change(world, group_id, initiator, "Undo move of group licensing", undone)


async def approve(world: Needs, group_id: GroupId, checksum: str, initiator: Initiator) -> Move:
    """Approve the last step, by the rules of removals. The members are verified once more before it.

    Raises Outdated if the checksum is not that of the verification, ApprovalDenied for a person who cannot approve it.
    """
    found, before = Approver.ANOTHER, 0

    def decide(move: Move) -> Move:
        nonlocal found
        if move.phase is not MovePhase.APPROVE or move.paused:
            raise _illegal("approve", move)
        if checksum != move.checksum:
            raise Outdated("The members of the move have changed. Read it again.")
        request, now = replace(request_of(move), before=before), world.clock.now()
        ruled = ruling(initiator.id, request, now, world.policy.approval_rules)
        found = ruled.approver
        if not found.may_approve:
            raise ApprovalDenied(denial(found, request))
        move = replace(move, approvals=(*move.approvals, Approval(initiator, now)))
        if not ruled.enough:
            return move
        return replace(move, phase=MovePhase.FINAL, approved_by=initiator, approved_at=now)

    known = await find(world, group_id)
    decide(known)  # what cannot be approved is not counted
    before = await count_own(world, request_of(known), initiator.id)
    activity = approved_as(found, "Approve move of group licensing", f"move={known.id}", initiator)
    return await _change(world, group_id, initiator, activity, decide)


def request_of(move: Move) -> Request:
    """All members count as concerned, although the verification found no loss."""
    given = [Given(each.by.id, each.at) for each in move.approvals]
    requester = move.initiator.person_id
    return Request(requester, move.created_at, move.members - move.nested, move.protected > 0, given)


def _illegal(act: str, move: Move) -> StateConflict:
    return StateConflict("IllegalState", f"Cannot {act} a move that is {move.state}.", "move")


async def _change(
    world: Needs,
    group_id: GroupId,
    initiator: Initiator,
    activity: str,
    change: Callable[[Move], Move],
    *,
    send: bool = True,
) -> Move:
    """The move after a person's act. Its step number rises, so that a step which runs now cannot save what it did."""
    for _ in range(MAX_TRIES):
        move = await find(world, group_id)
        after = replace(change(move), step=move.step + 1, progress_at=world.clock.now())
        try:
            saved = await world.stores.moves.save(after)
        except Conflict:
            continue
        await _record(world, saved, initiator, activity)
        if send:
            await send_step(world, saved)
        return saved
    raise Conflict(f"The move of group {group_id} is changing too quickly; try again.")


async def _record(world: Needs, move: Move, initiator: Initiator, activity: str, detail: str = "") -> None:
    now, turn = world.clock.now(), f"{activity.lower().replace(' ', '-')}-{move.step}"
    entry = AuditEntry(
        f"{move.id}-{turn}", now, activity, initiator, "success", group_id=move.group_id, detail=detail or move.id
    )
    await world.stores.audit.append([entry])
