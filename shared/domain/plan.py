"""The plan of one user: what the user should have against what the user has, as one call.

Additions and removals go out together. Only what the ledger proves to be ours is removed or narrowed, and only with two
reads that agree and a permit. Everything that restrains a removal is an input here, whatever caused the look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.catalog import Catalog
from shared.domain.grants import DesiredLicense, desired_licenses
from shared.domain.ledger import not_visible_yet
from shared.domain.model import (
    NO_PLANS,
    AssignedLicense,
    DirectoryUser,
    Grant,
    LedgerRow,
    LicenseAssignmentState,
    LicenseError,
    OwnedLicense,
    Permit,
    Plans,
    SkuId,
    Source,
    SourceKind,
    UserId,
)
from shared.domain.outcomes import Failed, Problem, Result, RetryAt, Skipped, SkipReason, Unchanged, Waiting
from shared.domain.refusals import remedy_for, without

REFUSAL_HOLDS = timedelta(days=7)
"""How long a refusal of the same work is remembered: a cause that Graph does not show is tried again weekly."""

RECHECK = timedelta(seconds=30)
"""When to look again at a write that the directory does not show yet."""

FOREIGN_REMEDY = "Adopt the license, so that it is managed here, or enable the plans where it was given."


class NoteKind(StrEnum):
    """What is worth showing beside the plan."""

    FOREIGN = "givenBySomebodyElse"
    FOREIGN_LACKS_PLANS = "foreignLicenseLacksPlans"
    TURNED_ON_BY_HAND = "plansTurnedOnByHand"
    TURNED_OFF_BY_HAND = "plansTurnedOffByHand"
    SECOND_READ = "secondRead"
    PENDING_APPROVAL = "pendingApproval"
    HELD = "held"
    KEPT_UNTIL_REPLACED = "keptUntilReplaced"
    IN_GRACE = "inGrace"
    DEPENDS_ON_NATIVE = "dependsOnNativeLicensing"
    NOT_VISIBLE_YET = "notVisibleYet"


@dataclass(frozen=True, slots=True)
class Note:
    kind: NoteKind
    sku_id: SkuId
    plans: Plans = NO_PLANS


@dataclass(frozen=True, slots=True)
class PermitRequest:
    """A removal that is due and needs leave: a whole SKU, or `plans` of it, on the allowance of `source`."""

    user_id: UserId
    sku_id: SkuId
    source: Source
    plans: Plans = NO_PLANS


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What planning a user depends on beside user, grants and ledger.

    `denied`: permits asked for and not given, so the removal is held. `closed_skus`: no seat is free. `grace`: how long
    what a source gave stays after it stops giving. `ignore_refusals`: a person asked to try again.
    """

    catalog: Catalog
    now: datetime
    removal_settle: timedelta = timedelta(minutes=1)
    permits: tuple[Permit, ...] = ()
    denied: frozenset[SkuId] = frozenset()
    closed_skus: frozenset[SkuId] = frozenset()
    grace: Mapping[Source, timedelta] = field(default_factory=dict)
    count_inherited: frozenset[SkuId] = frozenset()
    usage_location: str | None = None
    """The location for a user who has none; None: such a user is an error."""
    ignore_refusals: bool = False
    second_read: bool = True
    """False in a preview: a removal is shown at the first read."""


@dataclass(frozen=True, slots=True)
class UserPlan:
    """One user's call, and what to record beside it."""

    user_id: UserId
    add: tuple[AssignedLicense, ...] = ()
    remove: tuple[SkuId, ...] = ()
    plans_off: Mapping[SkuId, Plans] = field(default_factory=dict)
    usage_location: str | None = None
    sources: Mapping[SkuId, tuple[Source, ...]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    problems: tuple[Problem, ...] = ()
    waiting: tuple[SkuId, ...] = ()
    wants_permit: tuple[PermitRequest, ...] = ()
    new_grants: tuple[Grant, ...] = ()
    ended_grants: tuple[Grant, ...] = ()
    removal_seen_at: Mapping[str, datetime] = field(default_factory=dict)
    look_again: datetime | None = None
    fingerprint: str = ""

    @property
    def writes(self) -> bool:
        """Whether a call goes out."""
        return bool(self.add or self.remove)

    @property
    def held(self) -> bool:
        return any(note.kind in (NoteKind.HELD, NoteKind.PENDING_APPROVAL) for note in self.notes)

    def result(self, written: Result | None = None) -> Result:
        """How the user's part ends, worst first, after `written` (None: nothing was to be written)."""
        if self.problems:
            return Failed(self.problems)
        if self.waiting:
            return Waiting(self.waiting)
        if self.look_again is not None:
            return RetryAt(self.look_again, "a removal is decided by a second read")
        if written is not None:
            return written
        return Skipped(SkipReason.HELD) if self.held else Unchanged()


@dataclass(slots=True)
class _Draft:
    """The plan while it is made."""

    user: DirectoryUser
    ledger: LedgerRow
    context: PlanContext
    desired: dict[SkuId, DesiredLicense]
    direct: dict[SkuId, LicenseAssignmentState]
    graced: frozenset[SkuId]
    add: dict[SkuId, AssignedLicense] = field(default_factory=dict)
    remove: set[SkuId] = field(default_factory=set)
    plans_off: dict[SkuId, Plans] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    waiting: list[SkuId] = field(default_factory=list)
    wants: list[PermitRequest] = field(default_factory=list)
    new_grants: list[Grant] = field(default_factory=list)
    seen: dict[str, datetime] = field(default_factory=dict)
    look_again: datetime | None = None
    settling: set[SkuId] = field(default_factory=set)
    awaiting_permit: set[SkuId] = field(default_factory=set)

    def note(self, kind: NoteKind, sku_id: SkuId, plans: Plans = NO_PLANS) -> None:
        self.notes.append(Note(kind, sku_id, plans))

    def again(self, at: datetime) -> None:
        self.look_again = at if self.look_again is None else max(self.look_again, at)

    def drop(self, sku_id: SkuId) -> None:
        """Leave a SKU out, and with it every removal it was to replace."""
        add, remove = without(tuple(self.add.values()), tuple(sorted(self.remove)), sku_id, self.context.catalog)
        for kept in sorted(self.remove.difference(remove)):
            self.note(NoteKind.KEPT_UNTIL_REPLACED, kept)
        self.add = {license.sku_id: license for license in add}
        self.remove = set(remove)


def plan_user(user: DirectoryUser, grants: tuple[Grant, ...], ledger: LedgerRow, context: PlanContext) -> UserPlan:
    """The plan of a user. The ledger row must be resolved and refreshed against the same read (see `ledger`).

    Applying the plan leaves nothing to plan. Nothing unowned is removed or narrowed; nothing is removed without permit.
    """
    counting = _without_ended(user, grants, ledger, context)
    draft = _Draft(
        user,
        ledger,
        context,
        desired_licenses(counting, context.now),
        user.direct,
        frozenset(grant.sku_id for grant in grants if grant.source.kind is SourceKind.GRACE),
    )
    for sku_id in sorted(draft.desired):
        _plan_desired(draft, draft.desired[sku_id])
    for sku_id in sorted(ledger.owned):
        if sku_id not in draft.desired and sku_id in draft.direct:
            _plan_removal(draft, sku_id, ledger.owned[sku_id])
    _wait_for_removals(draft)
    _leave_out_closed_skus(draft)
    fingerprint = fingerprint_of(draft)
    _leave_out_refused(draft, fingerprint)
    location = _usage_location(draft)
    return UserPlan(
        user_id=user.id,
        add=tuple(draft.add[sku_id] for sku_id in sorted(draft.add)),
        remove=tuple(sorted(draft.remove)),
        plans_off={sku_id: plans for sku_id, plans in draft.plans_off.items() if sku_id in draft.add},
        usage_location=location,
        sources={sku_id: license.sources for sku_id, license in draft.desired.items()},
        notes=tuple(draft.notes),
        problems=tuple(draft.problems),
        waiting=tuple(draft.waiting),
        wants_permit=tuple(draft.wants),
        new_grants=tuple(draft.new_grants),
        ended_grants=_ended_grants(draft, grants),
        removal_seen_at=dict(draft.seen),
        look_again=draft.look_again,
        fingerprint=fingerprint,
    )


def _plan_desired(draft: _Draft, wanted: DesiredLicense) -> None:
    sku_id = wanted.sku_id
    direct = draft.direct.get(sku_id)
    owned = draft.ledger.owned.get(sku_id)
    if direct is None:
        _plan_addition(draft, wanted)
    elif owned is None:
        lacking = direct.disabled_plans - wanted.disabled_plans
        draft.note(NoteKind.FOREIGN_LACKS_PLANS if lacking else NoteKind.FOREIGN, sku_id, lacking)
        if lacking:
            names = ", ".join(sorted(draft.context.catalog.plan_name(plan) for plan in lacking))
            text = f"The license was given by somebody else and lacks service plans that the group grants: {names}."
            draft.problems.append(Problem(LicenseError.OTHER, text, FOREIGN_REMEDY, sku_id))
    elif wanted.adds:
        _plan_service_plans(draft, wanted, direct.disabled_plans, owned)


def _plan_addition(draft: _Draft, wanted: DesiredLicense) -> None:
    sku_id = wanted.sku_id
    if not wanted.adds:
        return
    if sku_id in not_visible_yet(draft.ledger, draft.user, draft.context.now):
        draft.note(NoteKind.NOT_VISIBLE_YET, sku_id)
        draft.again(draft.context.now + RECHECK)
        return
    if sku_id in draft.context.count_inherited and _inherits(draft.user, wanted):
        draft.note(NoteKind.DEPENDS_ON_NATIVE, sku_id)
        return
    draft.add[sku_id] = AssignedLicense(sku_id, wanted.disabled_plans)


def _inherits(user: DirectoryUser, wanted: DesiredLicense) -> bool:
    rows = user.inherited.get(wanted.sku_id, ())
    return bool(rows) and frozenset.intersection(*(row.disabled_plans for row in rows)) <= wanted.disabled_plans


def _plan_service_plans(draft: _Draft, wanted: DesiredLicense, current: Plans, owned: OwnedLicense) -> None:
    """Plans of a license that is ours: missing ones go on at once, superfluous ones off like a removal.

    A plan we had written off and that is on now was turned on by a person: off again only by an approval.
    """
    sku_id = wanted.sku_id
    turn_on = current - wanted.disabled_plans
    turn_off = wanted.disabled_plans - current
    by_hand = turn_off & owned.disabled_plans
    if turn_on - owned.disabled_plans:
        draft.note(NoteKind.TURNED_OFF_BY_HAND, sku_id, turn_on - owned.disabled_plans)
    approved = _approved_plans(draft.context.permits, sku_id, owned)
    if by_hand - approved:
        draft.note(NoteKind.TURNED_ON_BY_HAND, sku_id, by_hand - approved)
    off_now: Plans = by_hand & approved
    ours = turn_off - owned.disabled_plans
    if ours and _removal_is_due(draft, sku_id, owned, ours):
        off_now |= ours
    if turn_on or off_now:
        draft.add[sku_id] = AssignedLicense(sku_id, (current & wanted.disabled_plans) | off_now)
        if off_now:
            draft.plans_off[sku_id] = off_now


def _approved_plans(permits: tuple[Permit, ...], sku_id: SkuId, owned: OwnedLicense) -> Plans:
    plans = [p.plans for p in permits if p.sku_id == sku_id and p.by_approval and p.at > owned.at]
    return NO_PLANS.union(*plans)


def _plan_removal(draft: _Draft, sku_id: SkuId, owned: OwnedLicense) -> None:
    """A license of ours that no grant asks for: grace first, then two reads, then a permit."""
    grace = max((draft.context.grace.get(source, timedelta(0)) for source in owned.sources), default=timedelta(0))
    succeeded = _is_succeeded(draft.direct, sku_id, draft.desired, draft.context.catalog)
    if grace and sku_id not in draft.graced and not succeeded:
        plans = draft.direct[sku_id].disabled_plans
        draft.new_grants.append(Grant(sku_id, plans, Source(SourceKind.GRACE), draft.context.now + grace))
        draft.note(NoteKind.IN_GRACE, sku_id)
        return
    if _removal_is_due(draft, sku_id, owned, NO_PLANS):
        draft.remove.add(sku_id)


def _removal_is_due(draft: _Draft, sku_id: SkuId, owned: OwnedLicense, plans: Plans) -> bool:
    """Whether a removal may go out now: the second of two reads that agree, and a permit for it."""
    context = draft.context
    key = f"{sku_id}/plans" if plans else str(sku_id)
    first_seen = draft.ledger.removal_seen_at.get(key, context.now)
    draft.seen[key] = first_seen
    if context.second_read and context.now < first_seen + context.removal_settle:
        draft.note(NoteKind.SECOND_READ, sku_id, plans)
        draft.again(first_seen + context.removal_settle)
        draft.settling.add(sku_id)
        return False
    if any(p.sku_id == sku_id and p.at > owned.at and plans <= (p.plans or plans) for p in context.permits):
        return True
    if sku_id in context.denied:
        if not plans:
            direct = draft.direct[sku_id]
            draft.new_grants.append(Grant(sku_id, direct.disabled_plans, Source(SourceKind.HELD)))
        draft.note(NoteKind.HELD, sku_id, plans)
    else:
        source = owned.sources[0] if owned.sources else Source(SourceKind.LIST)
        draft.wants.append(PermitRequest(draft.user.id, sku_id, source, plans))
    draft.awaiting_permit.add(sku_id)
    return False


def _wait_for_removals(draft: _Draft) -> None:
    """An addition that replaces or conflicts with a removal that may not go out yet waits, so both go in one call."""
    pending = {sku_id for sku_id in draft.settling | draft.awaiting_permit if sku_id not in draft.desired}
    for sku_id in sorted(draft.add):
        held_by = [other for other in pending if draft.context.catalog.overlaps(sku_id, other)]
        if not held_by or sku_id in draft.direct:
            continue
        del draft.add[sku_id]
        if any(other in draft.awaiting_permit for other in held_by):
            draft.note(NoteKind.PENDING_APPROVAL, sku_id)
        else:
            draft.note(NoteKind.SECOND_READ, sku_id)


def _leave_out_closed_skus(draft: _Draft) -> None:
    for sku_id in sorted(draft.add):
        if sku_id in draft.context.closed_skus and sku_id not in draft.user.held_skus:
            draft.drop(sku_id)
            draft.waiting.append(sku_id)


def _leave_out_refused(draft: _Draft, fingerprint: str) -> None:
    """The same work is not refused again: what Graph refused of the same plan on the same state stays refused."""
    if draft.context.ignore_refusals:
        return
    for sku_id, record in sorted(draft.ledger.refusals.items()):
        fresh = draft.context.now < record.at + REFUSAL_HOLDS
        if record.fingerprint != fingerprint or not fresh or (sku_id not in draft.add and sku_id not in draft.remove):
            continue
        draft.drop(sku_id)
        draft.problems.append(Problem(record.error, record.text, remedy_for(record.error), sku_id))


def fingerprint_of(draft: _Draft) -> str:
    """16 hex digits over the wished call and the state it meets: the same digits mean the same work."""
    rows = sorted(
        (row.sku_id, row.assigned_by_group or "", row.state, sorted(row.disabled_plans))
        for row in draft.user.license_assignment_states
    )
    add = [(sku_id, sorted(draft.add[sku_id].disabled_plans)) for sku_id in sorted(draft.add)]
    if not add and not draft.remove:
        return ""
    text = repr((rows, add, sorted(draft.remove), draft.user.usage_location))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _usage_location(draft: _Draft) -> str | None:
    """The location to set before the call; without one to set, every addition is left out with an error."""
    if draft.user.usage_location or not draft.add:
        return None
    if draft.context.usage_location:
        return draft.context.usage_location
    for sku_id in sorted(draft.add):
        draft.drop(sku_id)
    error = LicenseError.PROHIBITED_IN_USAGE_LOCATION
    text = "The user has no usage location, and the assignment says that one is required."
    draft.problems.append(Problem(error, text, "Set the user's usage location, then reprocess the user."))
    return None


def _without_ended(
    user: DirectoryUser, grants: tuple[Grant, ...], ledger: LedgerRow, context: PlanContext
) -> tuple[Grant, ...]:
    """Grants that still count: grace ends when a desired SKU conflicts with or replaces the license, so that both go in
    one call; what was held stops being held when there is a permit."""
    if not any(grant.source.kind in (SourceKind.GRACE, SourceKind.HELD) for grant in grants):
        return grants
    lasting = tuple(grant for grant in grants if grant.source.kind is not SourceKind.GRACE)
    desired = desired_licenses(lasting, context.now)
    direct = user.direct

    def counts(grant: Grant) -> bool:
        if grant.source.kind is SourceKind.GRACE:
            return not _is_succeeded(direct, grant.sku_id, desired, context.catalog)
        if grant.source.kind is SourceKind.HELD:
            owned = ledger.owned.get(grant.sku_id)
            return owned is None or not any(p.sku_id == grant.sku_id and p.at > owned.at for p in context.permits)
        return True

    return tuple(grant for grant in grants if counts(grant))


def _ended_grants(draft: _Draft, grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """Held and grace grants that are over: the license is removed now, or something gives it again."""
    over = draft.remove | {sku_id for sku_id, wanted in draft.desired.items() if wanted.adds}
    kinds = (SourceKind.GRACE, SourceKind.HELD)
    return tuple(grant for grant in grants if grant.source.kind in kinds and grant.sku_id in over)


def _is_succeeded(
    direct: Mapping[SkuId, LicenseAssignmentState],
    old: SkuId,
    desired: Mapping[SkuId, DesiredLicense],
    catalog: Catalog,
) -> bool:
    """Whether a desired SKU conflicts with `old`, or brings at least half of the plans that `old` has on."""
    row = direct.get(old)
    old_plans = catalog.plans(old) - (row.disabled_plans if row else NO_PLANS)
    for sku_id, wanted in desired.items():
        if sku_id == old or not wanted.adds:
            continue
        new_plans = catalog.plans(sku_id) - wanted.disabled_plans
        if catalog.conflict(old_plans | new_plans) or 2 * len(old_plans & new_plans) >= len(old_plans) > 0:
            return True
    return False
