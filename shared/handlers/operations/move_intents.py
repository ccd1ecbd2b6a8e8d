"""The changes that a move makes to the assignment of its group: at the start, with each wave, and at the end.

Each change can be made again: the second time it finds that nothing is left to change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shared.domain.assignment import (
    AssignmentState,
    Enforcement,
    Engine,
    GroupLicenseAssignment,
    SkuAssignment,
)
from shared.domain.audit import assignment_act, skus_text
from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest, Conflict
from shared.domain.move import Direction, Move, same_licenses
from shared.handlers.operations.needs import Needs

MAX_TRIES = 10

Change = Callable[[GroupLicenseAssignment], GroupLicenseAssignment]


async def begin_direct(world: Needs, move: Move) -> int:
    """The direct claim beside the native licenses. Returns the version of the assignment.

    Until the last wave has begun a sync leaves the group alone; joiners and other single members are processed.
    """
    now = world.clock.now()

    def change(before: GroupLicenseAssignment) -> GroupLicenseAssignment:
        if before.engine is Engine.DIRECT and same_licenses(assigned(before), move.products):
            return before
        if before.skus:
            text = "This app assigns licenses to the group already."
            raise BadRequest("GroupManagedDirectly", text, "group")
        options = replace(before.options, allow_native_overlap=True, count_inherited=False)
        skus = tuple(SkuAssignment(each.sku_id, each.disabled_plans, Enforcement.PAUSED, now) for each in move.products)
        direct = replace(before, engine=Engine.DIRECT, native=(), skus=skus, options=options, changed_at=now)
        return replace(
            direct,
            state=AssignmentState.ACTIVE,
            display_name=move.display_name or before.display_name,
            version=before.version + 1,
            changed_by=move.initiator.display_name,
            changed_by_id=move.initiator.person_id or "",
        )

    return await _change(world, move, "begin", change)


async def set_wave(world: Needs, move: Move) -> int:
    """Whose direct licenses end now: with each wave more members, and no member while the group moves to direct."""
    wanted = move.handover if move.heading is Direction.TO_NATIVE else None

    def change(before: GroupLicenseAssignment) -> GroupLicenseAssignment:
        return before if before.handover == wanted else _next(replace(before, handover=wanted))

    return await _change(world, move, "wave", change)


async def enforce(world: Needs, move: Move) -> int:
    """From the end of the last wave a sync keeps the direct licenses as they should be."""

    def change(before: GroupLicenseAssignment) -> GroupLicenseAssignment:
        skus = tuple(replace(each, enforcement=Enforcement.ENFORCED) for each in before.skus)
        return before if skus == before.skus else _next(replace(before, skus=skus))

    return await _change(world, move, "enforce", change)


async def end_direct_move(world: Needs, move: Move) -> None:
    """This app alone licenses the group now."""
    overlap = move.former.options.allow_native_overlap if move.former else False

    def change(before: GroupLicenseAssignment) -> GroupLicenseAssignment:
        skus = tuple(replace(each, enforcement=Enforcement.ENFORCED) for each in before.skus)
        options = replace(before.options, allow_native_overlap=overlap)
        after = replace(before, skus=skus, options=options, handover=None)
        return before if after == before else replace(_next(after), pauses=before.pauses + 1)

    await _change(world, move, "end", change)


async def end_native_move(world: Needs, move: Move) -> int:
    """The direct claim of the group ends. Returns the version of the assignment.

    An undone move restores the engine that the group had.
    """
    former = move.former
    engine = Engine.NATIVE
    if move.undoing:
        engine = former.engine if former and former.engine is not Engine.DIRECT else Engine.WATCHED
    now = world.clock.now()

    def change(before: GroupLicenseAssignment) -> GroupLicenseAssignment:
        if before.engine is not Engine.DIRECT:
            return before
        options = former.options if move.undoing and former else before.options
        after = replace(before, engine=engine, skus=(), native=move.products, handover=None, options=options)
        return replace(after, version=before.version + 1, state=AssignmentState.ACTIVE, changed_at=now)

    return await _change(world, move, "end", change)


def assigned(assignment: GroupLicenseAssignment) -> tuple[AssignedLicense, ...]:
    """The direct licenses of a group, as they are asked of Graph."""
    return tuple(AssignedLicense(each.sku_id, each.disabled_plans) for each in assignment.skus)


def _next(after: GroupLicenseAssignment) -> GroupLicenseAssignment:
    """A version that keeps the claims: the group assigns the same as before."""
    return replace(after, version=after.version + 1, pauses=after.pauses + 1)


async def _change(world: Needs, move: Move, act: str, change: Change) -> int:
    """Returns the version. Raises Conflict if every try lost a race, and BadRequest from `change`."""
    for _ in range(MAX_TRIES):
        stored = await world.stores.assignments.get(move.group_id)
        before = stored.assignment if stored else GroupLicenseAssignment(move.group_id)
        after = change(before)
        if after == before:
            return before.version
        old, new = (_shown(each) for each in (before, after))
        if old != new:
            act_id = f"{move.id}-{act}-{after.version}"
            now = world.clock.now()
            entry = assignment_act("Move group licensing", move.group_id, move.initiator, now, old, new, act_id)
            await world.stores.audit.append([entry])
        try:
            await world.stores.assignments.save(after, stored.etag if stored else None)
        except Conflict:
            continue
        return after.version
    raise Conflict(f"The license assignment of group {move.group_id} is being changed by others; try again.")


def _shown(assignment: GroupLicenseAssignment) -> str:
    return f"{assignment.engine} {skus_text((*assigned(assignment), *assignment.native))}"
