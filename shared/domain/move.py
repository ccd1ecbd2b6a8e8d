"""A move of a group between Microsoft's own group-based licensing and this app: its state and its steps.

Each step reads the members and decides by what it read, so a repeated, late or lost step changes nothing. A wave ends
when none of its members waits. After the last wave, two complete reads in a row must show that no member would lose
a service plan. Then a person approves, and the source that is left ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.assignment import Enforcement, Engine, GroupLicenseAssignment
from shared.domain.directory import AssignedLicense
from shared.domain.errors import BadRequest, StateConflict
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.move_members import MoveVerdict, Needed
from shared.domain.native_handover import EVERYBODY, NativeHandover
from shared.domain.operation import Approval

PILOT_SIZE = 5
"""Pilot users if the request names none."""

MOST_PILOTS = 20
"""Pilot users that a request can name: one batch of reads."""

MOST_CONVERTED = 1000
"""Members with an unmanaged license whom a move lists, and whom a request can convert."""

CONVERT_FOR = timedelta(hours=1)
"""How long the last step waits for unmanaged licenses to go. Those that are left stay direct, and the report has
them."""

WAVES = (10, 50, EVERYBODY)
"""Percent of the members up to which each wave after the pilot goes, unless the request says otherwise."""

VERIFICATIONS = 2
VERIFY_AGAIN = timedelta(minutes=1)
"""Between two verifications, so that two different moments are read."""

SEND_AGAIN = timedelta(minutes=10)
"""Waiting members are sent to be reconciled again after this time: a message can be lost."""


class Direction(StrEnum):
    TO_DIRECT = "toDirect"
    TO_NATIVE = "toNative"

    @property
    def opposite(self) -> Direction:
        return Direction.TO_NATIVE if self is Direction.TO_DIRECT else Direction.TO_DIRECT


class MovePhase(StrEnum):
    """Where a move is. PREVIEW, DONE, UNDONE and FAILED take no more steps."""

    COUNT = "count"
    """The members are read for a preview."""
    PREVIEW = "preview"
    PREPARE = "prepare"
    WAVES = "waves"
    VERIFY = "verify"
    APPROVE = "approve"
    FINAL = "final"
    FOLLOW = "follow"
    """The native licenses of the group were removed, and Microsoft's licensing processes the members."""
    DONE = "done"
    UNDONE = "undone"
    FAILED = "failed"

    @property
    def is_ended(self) -> bool:
        return self in (MovePhase.PREVIEW, MovePhase.DONE, MovePhase.UNDONE, MovePhase.FAILED)


@dataclass(frozen=True, slots=True)
class Move:
    """One row per move. `version` is the ETag of the stored row, None before it is stored.

    `step` numbers the messages: one with another number returns. `products`: the snapshot of what moves, with the plans
    that are off. `native_added`: native licenses of the group that the move itself assigned.
    """

    id: str
    group_id: GroupId
    direction: Direction
    initiator: Initiator
    created_at: datetime
    phase: MovePhase = MovePhase.PREPARE
    step: int = 0
    undoing: bool = False
    paused: str = ""
    """Why it is paused; empty: it is not."""
    paused_by: Initiator | None = None
    accepted: str = ""
    """Blocked members of this wave were seen by the person who resumed: they do not pause it again."""
    display_name: str = ""
    products: tuple[AssignedLicense, ...] = ()
    former: GroupLicenseAssignment | None = None
    """The group's assignment before the move; an undone move restores it."""
    native_added: tuple[SkuId, ...] = ()
    pilot: tuple[UserId, ...] = ()
    waves: tuple[int, ...] = WAVES
    wave: int = 0
    """0: the pilot users. Then the position in `waves`, from 1."""
    convert: tuple[UserId, ...] = ()
    """Members whose unmanaged direct licenses end in the last step, as the request lists them."""
    unmanaged: tuple[UserId, ...] = ()
    """Members with an unmanaged direct license of a product, at the start; at most `MOST_CONVERTED`."""
    intent_version: int = 0
    sent_at: datetime | None = None
    """When the members of the wave were last sent to be reconciled."""
    reprocessed_at: datetime | None = None
    """When Microsoft's licensing last processed all members with an error again."""
    reprocessed_to: UserId | None = None
    """While that takes several steps: the last processed member, by ID."""
    verified: tuple[datetime, ...] = ()
    checksum: str = ""
    """Of the members and verdicts that the last verification read; an approval names it."""
    approvals: tuple[Approval, ...] = ()
    """Those so far. The last one that is needed sets `approved_by` too."""
    approved_by: Initiator | None = None
    approved_at: datetime | None = None
    removing_at: datetime | None = None
    """When the last step began; from then on the move cannot be undone."""
    members: int = 0
    nested: int = 0
    protected: int = 0
    verdicts: Mapping[MoveVerdict, int] = field(default_factory=dict)
    """Counts of the last complete read."""
    newly_licensed: int = 0
    """Members who have none of a product from any source, and get it through the move."""
    needed: Needed = field(default_factory=lambda: Needed({}, {}))
    pages: int = 0
    """Stored pages of the members as they were at the start."""
    errors: int = 0
    """Members whose native licenses could not be removed yet."""
    problem: str = ""
    progress_at: datetime | None = None
    completed_at: datetime | None = None
    version: str | None = None

    @property
    def heading(self) -> Direction:
        """Where it goes now: the opposite while it is undone."""
        return self.direction.opposite if self.undoing else self.direction

    @property
    def percent(self) -> int:
        """The share of the members whose turn it is, beside the pilot users."""
        return 0 if self.wave == 0 else self.waves[min(self.wave, len(self.waves)) - 1]

    @property
    def is_last_wave(self) -> bool:
        return self.wave >= len(self.waves)

    @property
    def handover(self) -> NativeHandover:
        """The members whose direct licenses end, while it goes to native. Unmanaged ones end in the last step."""
        converted = self.convert if self.removing_at is not None and not self.undoing else ()
        return NativeHandover(frozenset(self.pilot), self.percent, frozenset(converted))

    @property
    def can_be_undone(self) -> bool:
        """Until its last step; what the last step ended is moved back by a new move."""
        return not self.phase.is_ended and not self.undoing and self.removing_at is None and self.phase is not _COUNT

    @property
    def state(self) -> str:
        """One word for a person."""
        if self.phase.is_ended:
            return str(self.phase)
        if self.paused:
            return "paused"
        if self.phase is MovePhase.APPROVE:
            return "awaitingApproval"
        return "undoing" if self.undoing else "inProgress"


_COUNT = MovePhase.COUNT


def check_waves(waves: Sequence[int], pilot: Sequence[UserId]) -> tuple[int, ...]:
    """The waves of a request, each of more members than the one before, the last of all. Raises BadRequest."""
    found = tuple(waves) or WAVES
    if list(found) != sorted(set(found)) or found[0] < 1 or found[-1] != EVERYBODY:
        text = f"waves must be rising percentages that end with {EVERYBODY}, such as {', '.join(map(str, WAVES))}."
        raise BadRequest("InvalidWaves", text, "waves")
    if len(pilot) > MOST_PILOTS:
        raise BadRequest("TooManyPilotUsers", f"Name at most {MOST_PILOTS} pilot users.", "pilot")
    return found


def check_convert(direction: Direction, convert: Sequence[UserId]) -> tuple[UserId, ...]:
    """The members to convert, each once. Raises BadRequest."""
    if convert and direction is not Direction.TO_NATIVE:
        text = "convertDirect is for a move to native licensing: no direct license ends in a move to this app."
        raise BadRequest("ConvertsNothing", text, "convertDirect")
    if len(convert) > MOST_CONVERTED:
        text = f"List at most {MOST_CONVERTED:,} members in convertDirect."
        raise BadRequest("TooManyConverted", text, "convertDirect")
    return tuple(sorted(set(convert)))


def products_of(
    direction: Direction, assignment: GroupLicenseAssignment, native: Sequence[AssignedLicense]
) -> tuple[AssignedLicense, ...]:
    """What moves: the group's native licenses, or those that this app assigns. Raises BadRequest if that is nothing, or
    if the other source has something of its own."""
    if direction is Direction.TO_DIRECT:
        if not native:
            text = "The group has no licenses in Microsoft's own group-based licensing."
            raise BadRequest("GroupNotLicensed", text, "group")
        if assignment.skus:
            text = "This app assigns licenses to the group already. Remove them first, or undo the open move."
            raise BadRequest("GroupManagedDirectly", text, "group")
        return tuple(sorted(native, key=lambda each: each.sku_id))
    kept = [each for each in assignment.skus if each.enforcement is not Enforcement.CANCELLED]
    if assignment.engine is not Engine.DIRECT or not kept:
        raise BadRequest("GroupNotManaged", "This app assigns no licenses to the group.", "group")
    if len(kept) != len(assignment.skus):
        text = "An operation of the group was cancelled. Reprocess the group or remove its license first."
        raise BadRequest("AssignmentCancelled", text, "group")
    products = {each.sku_id: AssignedLicense(each.sku_id, each.disabled_plans) for each in kept}
    strange = [each for each in native if products.get(each.sku_id) != each]
    if strange:
        text = (
            "The group has other licenses, or other apps, in Microsoft's own group-based licensing than this app "
            "assigns. Make both the same first."
        )
        raise BadRequest("NativePlansDiffer", text, "group")
    return tuple(products[sku_id] for sku_id in sorted(products))


def paused(move: Move, reason: str, by: Initiator | None = None) -> Move:
    return replace(move, paused=reason, paused_by=by)


def resumed(move: Move) -> Move:
    """Going on after a pause. Earlier reads count no more, except that a person has seen the wave's blocked members."""
    phase = move.phase
    if phase in (MovePhase.VERIFY, MovePhase.APPROVE, MovePhase.FINAL):
        phase = MovePhase.VERIFY
    if phase in (MovePhase.WAVES, MovePhase.VERIFY) and move.direction is Direction.TO_NATIVE and not move.undoing:
        phase = MovePhase.PREPARE  # what the group lacks natively is assigned again
    again = replace(_fresh(move), phase=phase, accepted=_wave_name(move), paused="", paused_by=None)
    return again if phase is move.phase else without_approval(again)


def without_approval(move: Move) -> Move:
    """Approvals so far do not count any more."""
    return replace(move, approvals=(), approved_by=None, approved_at=None)


def _fresh(move: Move) -> Move:
    """Without what former reads have shown."""
    return replace(move, verified=(), sent_at=None, reprocessed_at=None, reprocessed_to=None, problem="")


def _wave_name(move: Move) -> str:
    return f"{move.heading}/{move.wave}"


def undone(move: Move) -> Move:
    """Going back: all members in one wave. Raises StateConflict if it is too late."""
    if not move.can_be_undone:
        text = "The move cannot be undone any more. Start a move in the other direction instead."
        raise StateConflict("IllegalState", text, "move")
    back = replace(_fresh(move), undoing=True, paused="", paused_by=None, accepted="")
    return replace(without_approval(back), phase=MovePhase.WAVES, waves=(EVERYBODY,), wave=1)


def after_wave(move: Move, blocked: int, reasons: str) -> Move:
    """The next wave, or the verification: for a wave without waiting members."""
    if blocked and move.accepted != _wave_name(move):
        who = f"{blocked} member{'' if blocked == 1 else 's'}"
        return paused(
            move, f"{who} cannot be moved: {reasons}. Correct this and resume; resuming starts the next wave."
        )
    if move.is_last_wave:
        return replace(_fresh(move), phase=MovePhase.VERIFY)
    return replace(_fresh(move), wave=move.wave + 1)


def after_verification(move: Move, now: datetime, checksum: str) -> Move:
    """One more read has shown that no member loses anything. The second one asks for the approval; what the move itself
    brought about is undone without one."""
    verified = (*move.verified, now)[-VERIFICATIONS:]
    move = replace(move, verified=verified, checksum=checksum)
    if len(verified) < VERIFICATIONS:
        return move
    return replace(move, phase=MovePhase.FINAL if move.undoing else MovePhase.APPROVE)


def not_verified(move: Move) -> Move:
    """A read that found a member who would lose something: both verifications are needed again."""
    return replace(move, verified=())


def ended(move: Move, phase: MovePhase, now: datetime, problem: str = "") -> Move:
    return replace(move, phase=phase, completed_at=now, progress_at=now, problem=problem, paused="", paused_by=None)


def pilot_of(named: Sequence[UserId], members: Sequence[UserId]) -> tuple[UserId, ...]:
    """The pilot users: those named, or a few members whose order says nothing."""
    return tuple(named) or tuple(sorted(members, key=lambda each: each[::-1])[:PILOT_SIZE])


def same_licenses(one: Sequence[AssignedLicense], two: Sequence[AssignedLicense]) -> bool:
    return {(each.sku_id, each.disabled_plans) for each in one} == {(each.sku_id, each.disabled_plans) for each in two}


def to_remove(move: Move) -> tuple[SkuId, ...]:
    """The native licenses that the last step removes from the group, while it goes to direct."""
    return move.native_added if move.undoing else tuple(each.sku_id for each in move.products)


def fault_of(move: Move, assignment: GroupLicenseAssignment | None, native: Sequence[AssignedLicense]) -> str:
    """The change since the start for which the move pauses; empty if there was none. `native`: the group's
    licenses as they were read. Checked until the last step begins."""
    if assignment is None or not same_licenses(_direct(assignment), move.products):
        return "The licenses that this app assigns to the group have changed since the move began."
    if not same_licenses(native, move.products):
        return "The group's licenses in Microsoft's own group-based licensing have changed since the move began."
    return ""


def _direct(assignment: GroupLicenseAssignment) -> tuple[AssignedLicense, ...]:
    return tuple(AssignedLicense(each.sku_id, each.disabled_plans) for each in assignment.skus)
