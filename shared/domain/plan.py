"""The plan of one user: what the user should have against what the user has, as one call.

Additions and removals go out together. Only what the ledger proves to be ours is removed or narrowed, and only with two
reads that agree and a permit. Everything that restrains a removal is an input here, whatever caused the look.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.backoff import Backoff
from shared.domain.budget import writes_for
from shared.domain.desired_licenses import DesiredLicense, desired_licenses
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseError, LicenseState
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import NO_PLANS, Plans, SkuId, UserId
from shared.domain.ledger import is_leftover, not_visible_yet
from shared.domain.ledger_row import LedgerRow, OwnedLicense
from shared.domain.outcomes import Failed, Problem, Result, RetryAt, Skipped, SkipReason, Unchanged, Waiting
from shared.domain.plan_draft import Draft, Note, NoteKind, PermitRequest, PlanContext
from shared.domain.removals import (
    grants_that_count,
    grants_that_ended,
    plan_removal,
    plans_to_turn_off,
    wait_for_removals,
)
from shared.domain.withheld import withhold_removals

REFUSAL_HOLDS = timedelta(days=7)
"""How long a refusal of the same work is remembered: a cause that Graph does not show is tried again weekly."""

RECHECK = Backoff(timedelta(seconds=3), timedelta(seconds=30))
"""When to read a user again while the directory does not show a write yet, which mostly lasts for seconds."""

FOREIGN_REMEDY = (
    "Adopt the license: it is managed here from then on, and its other plans stay on. Or enable the missing plans: the "
    "license stays with whoever gave it."
)

IDLE_REMEDY = "Correct or remove that license (its subscription may have lapsed), then reprocess the user."


@dataclass(frozen=True, slots=True)
class UserPlan:
    """One user's call, and what to record beside it."""

    user_id: UserId
    add: tuple[AssignedLicense, ...] = ()
    remove: tuple[SkuId, ...] = ()
    plans_off: Mapping[SkuId, Plans] = field(default_factory=dict)
    foreign: frozenset[SkuId] = frozenset()
    """Of `add`: licenses of somebody else in which a person had plans enabled."""
    usage_location: str | None = None
    sources: Mapping[SkuId, tuple[Source, ...]] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    problems: tuple[Problem, ...] = ()
    waiting: tuple[SkuId, ...] = ()
    wants_permit: tuple[PermitRequest, ...] = ()
    new_grants: tuple[Grant, ...] = ()
    ended_grants: tuple[Grant, ...] = ()
    removal_seen_at: Mapping[str, datetime] = field(default_factory=dict)
    withheld_since: Mapping[SkuId, datetime] = field(default_factory=dict)
    look_again: datetime | None = None
    fingerprint: str = ""

    @property
    def writes(self) -> bool:
        """Whether a call goes out."""
        return bool(self.add or self.remove)

    @property
    def write_count(self) -> int:
        return writes_for(licenses=self.writes, location=self.usage_location is not None)

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


def plan_user(user: DirectoryUser, grants: tuple[Grant, ...], ledger: LedgerRow, context: PlanContext) -> UserPlan:
    """The plan of a user. The ledger row must be resolved and refreshed against the same read (see `ledger`).

    Applying the plan leaves nothing to plan. Nothing unowned is removed or narrowed; nothing is removed without permit.
    """
    counting = grants_that_count(user, grants, ledger, context)
    draft = Draft(
        user,
        ledger,
        context,
        desired_licenses(counting, context.now),
        user.direct,
        frozenset(grant.sku_id for grant in grants if grant.source.kind is SourceKind.GRACE),
    )
    for sku_id in sorted(draft.desired):
        _plan_desired(draft, draft.desired[sku_id])
    unseen = not_visible_yet(ledger, user, context.now)
    for sku_id in sorted(ledger.owned):
        if sku_id not in draft.desired and sku_id in draft.direct:
            plan_removal(draft, sku_id, ledger.owned[sku_id])
        elif sku_id not in draft.desired and sku_id in unseen:
            # What is to go may have been given a moment ago, by a look that knew less than this one.
            _look_again(draft, sku_id, ledger.owned[sku_id].at)
    for sku_id in sorted(draft.ledger.owned.keys() & draft.direct.keys()):
        if draft.ledger.owned[sku_id].unclear:
            draft.note(NoteKind.UNCLEAR, sku_id)
    wait_for_removals(draft)
    fingerprint, due = fingerprint_of(draft), frozenset(draft.remove)
    _leave_out_refused(draft, fingerprint)
    _leave_out_closed_skus(draft)
    location = _usage_location(draft)
    withhold_removals(draft, due)
    return UserPlan(
        user_id=user.id,
        add=tuple(draft.add[sku_id] for sku_id in sorted(draft.add)),
        remove=tuple(sorted(draft.remove)),
        plans_off={sku_id: plans for sku_id, plans in draft.plans_off.items() if sku_id in draft.add},
        foreign=frozenset(draft.enabling & draft.add.keys()),
        usage_location=location,
        sources={sku_id: license.sources for sku_id, license in draft.desired.items()},
        notes=tuple(draft.notes),
        problems=tuple(draft.problems),
        waiting=tuple(draft.waiting),
        wants_permit=tuple(draft.wants),
        new_grants=tuple(draft.new_grants),
        ended_grants=grants_that_ended(draft, grants),
        removal_seen_at=dict(draft.seen),
        withheld_since=dict(draft.withheld),
        look_again=draft.look_again,
        fingerprint=fingerprint,
    )


def _plan_desired(draft: Draft, wanted: DesiredLicense) -> None:
    sku_id = wanted.sku_id
    direct = draft.direct.get(sku_id)
    owned = draft.ledger.owned.get(sku_id)
    idle = draft.user.assigned.get(sku_id)
    if direct is None and idle is not None and owned is None:
        _plan_foreign_that_does_not_count(draft, wanted, idle.state)
    elif direct is None:
        _plan_addition(draft, wanted)
    elif owned is None and is_leftover(draft.ledger, sku_id, direct, draft.context.now):
        _look_again(draft, sku_id, draft.ledger.removed_at[sku_id])
    elif owned is None:
        _plan_foreign(draft, wanted, direct.disabled_plans)
    elif wanted.adds:
        _plan_service_plans(draft, wanted, direct.disabled_plans, owned)


def _plan_foreign(draft: Draft, wanted: DesiredLicense, current: Plans) -> None:
    """A license that somebody else gave is left as it is; plans that it lacks are for a person to decide."""
    sku_id = wanted.sku_id
    lacking = current - wanted.given_disabled if wanted.adds else NO_PLANS
    draft.note(NoteKind.FOREIGN_LACKS_PLANS if lacking else NoteKind.FOREIGN, sku_id, lacking)
    if lacking and sku_id in draft.context.enable:
        draft.add[sku_id] = AssignedLicense(sku_id, current - lacking)
        draft.enabling.add(sku_id)
    elif lacking:
        names = ", ".join(sorted(draft.context.catalog.plan_name(plan) for plan in lacking))
        text = f"The license was given by somebody else and lacks service plans that the group grants: {names}."
        draft.problems.append(Problem(LicenseError.OTHER, text, FOREIGN_REMEDY, sku_id))


def _plan_foreign_that_does_not_count(draft: Draft, wanted: DesiredLicense, state: LicenseState) -> None:
    """A license of somebody else that is there and that the user has not got: to assign it would take it over."""
    if wanted.adds:
        draft.note(NoteKind.FOREIGN, wanted.sku_id)
        text = f"The license was given by somebody else and is in state {state}."
        draft.problems.append(Problem(LicenseError.OTHER, text, IDLE_REMEDY, wanted.sku_id))


def _plan_addition(draft: Draft, wanted: DesiredLicense) -> None:
    sku_id = wanted.sku_id
    if not wanted.adds:
        return
    if sku_id in not_visible_yet(draft.ledger, draft.user, draft.context.now):
        _look_again(draft, sku_id, draft.ledger.owned[sku_id].at)
        return
    if sku_id in draft.context.count_inherited and _inherits(draft.user, wanted):
        draft.note(NoteKind.DEPENDS_ON_NATIVE, sku_id)
        return
    draft.add[sku_id] = AssignedLicense(sku_id, wanted.given_disabled)


def _look_again(draft: Draft, sku_id: SkuId, since: datetime) -> None:
    """What was written at `since` does not show yet."""
    now = draft.context.now
    draft.note(NoteKind.NOT_VISIBLE_YET, sku_id)
    draft.again(now + RECHECK.after(now - since))


def _inherits(user: DirectoryUser, wanted: DesiredLicense) -> bool:
    rows = user.inherited.get(wanted.sku_id, ())
    return bool(rows) and frozenset.intersection(*(row.disabled_plans for row in rows)) <= wanted.given_disabled


def _plan_service_plans(draft: Draft, wanted: DesiredLicense, current: Plans, owned: OwnedLicense) -> None:
    """Plans of a license that is ours: missing ones go on at once, superfluous ones off like a removal."""
    sku_id = wanted.sku_id
    turn_on = current - wanted.given_disabled
    if turn_on - owned.disabled_plans:
        draft.note(NoteKind.TURNED_OFF_BY_HAND, sku_id, turn_on - owned.disabled_plans)
    off_now = plans_to_turn_off(draft, wanted, current, owned)
    if turn_on or off_now:
        draft.add[sku_id] = AssignedLicense(sku_id, (current & wanted.given_disabled) | off_now)
        if off_now:
            draft.plans_off[sku_id] = off_now


def _leave_out_closed_skus(draft: Draft) -> None:
    for sku_id in sorted(draft.add):
        if sku_id in draft.context.closed_skus and sku_id not in draft.user.held_skus:
            draft.drop(sku_id)
            draft.waiting.append(sku_id)


def _leave_out_refused(draft: Draft, fingerprint: str) -> None:
    """The same work is not refused again: what Graph refused of the same plan on the same state stays refused."""
    if draft.context.ignore_refusals:
        return
    for sku_id, record in sorted(draft.ledger.refusals.items()):
        fresh = draft.context.now < record.at + REFUSAL_HOLDS
        if record.fingerprint != fingerprint or not fresh or (sku_id not in draft.add and sku_id not in draft.remove):
            continue
        draft.drop(sku_id)
        draft.problems.append(Problem(record.error, record.text, remedy_for(record.error), sku_id))


def fingerprint_of(draft: Draft) -> str:
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


def _usage_location(draft: Draft) -> str | None:
    """The location to set before the call; without one to set, every addition is left out with an error."""
    if draft.user.usage_location or not draft.add:
        return None
    if draft.context.usage_location:
        return draft.context.usage_location
    for sku_id in sorted(draft.add):
        draft.drop(sku_id)
    error = LicenseError.PROHIBITED_IN_USAGE_LOCATION
    text = (
        "The user has no usage location, and there is no default: the group's assignment requires one, or the "
        "organization's country is not known."
    )
    draft.problems.append(Problem(error, text, "Set the user's usage location, then reprocess the user."))
    return None
