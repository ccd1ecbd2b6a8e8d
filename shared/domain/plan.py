"""The plan of one user: what the user should have against what the user has, as one call.

Additions and removals go out together. Only what the ledger proves to be ours is removed or narrowed, and only with two
reads that agree and a permit. Everything that restrains a removal is an input here, whatever caused the work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.backoff import Backoff
from shared.domain.budget import writes_for
from shared.domain.desired_licenses import DesiredLicense, desired_licenses
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseError, LicenseState
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.graph_errors import remedy_for
from shared.domain.ids import NO_PLANS, Plans, SkuId, UserId
from shared.domain.keeping_grants import grants_that_count, grants_that_ended, held_in_vain, kept_of_groups
from shared.domain.ledger import is_leftover, not_visible_yet
from shared.domain.ledger_row import LedgerRow, ManagedLicense
from shared.domain.outcomes import Failed, Problem, Result, RetryAt, Skipped, SkipReason, Unchanged, Waiting
from shared.domain.plan_draft import Draft, Note, NoteKind, PermitRequest, PlanContext
from shared.domain.product_facts import Pair
from shared.domain.rejections import still_rejected
from shared.domain.removals import plan_removal, plans_to_turn_off, wait_for_removals
from shared.domain.withheld import withhold_removals
from shared.domain.write_results import NO_CALL, LicenseCall

PROBE_RETRY = timedelta(minutes=1)
"""When to read a user again whose addition waits for another person's probe of the same two products."""

RECHECK = Backoff(timedelta(seconds=3), timedelta(seconds=30))
"""When to read a user again while the directory does not show a write yet, which mostly lasts for seconds."""

WAITS = "the removal waits, and is decided together with the other removals of its group"
"""Shown until the removal window is over, with the time at which it is."""

WAITS_FOR_LIST = (
    "the removal waits until the list of protected people has been read once: grant the permission with "
    "grant-graph-permissions.sh --with protected-people, or set PROTECTED_PEOPLE to off"
)

UNMANAGED_REMEDY = (
    "Manage the license here: its other plans stay on. Or turn on the missing apps: the license stays unmanaged."
)

IDLE_REMEDY = "Correct or remove that license (its subscription may have lapsed), then reprocess the user."


@dataclass(frozen=True, slots=True)
class UserPlan:
    """One user's call, and what to record beside it."""

    user_id: UserId
    add: tuple[AssignedLicense, ...] = ()
    remove: tuple[SkuId, ...] = ()
    plans_off: Mapping[SkuId, Plans] = field(default_factory=dict)
    unmanaged: frozenset[SkuId] = frozenset()
    """Of `add`: unmanaged licenses in which a person had missing apps turned on."""
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
    check_again: datetime | None = None
    wished: LicenseCall = NO_CALL
    """The call before anything was left out that Graph would reject or has rejected."""
    probes: frozenset[Pair] = frozenset()
    """Expired conflicts on which the additions depend: one person tries, the others wait."""

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
        """How the user's part ends, worst first, after `written` (None: no write was planned)."""
        if self.problems:
            return Failed(self.problems)
        if self.waiting:
            return Waiting(self.waiting)
        if self.check_again is not None:
            kinds = {note.kind for note in self.notes}
            if NoteKind.PROTECTION_UNKNOWN in kinds:
                return RetryAt(self.check_again, WAITS_FOR_LIST)
            waits = NoteKind.SECOND_READ in kinds
            return RetryAt(self.check_again, WAITS if waits else "the directory does not show yet what was written")
        if written is not None:
            return written
        return Skipped(SkipReason.HELD) if self.held else Unchanged()


def plan_user(user: DirectoryUser, grants: tuple[Grant, ...], ledger: LedgerRow, context: PlanContext) -> UserPlan:
    """The plan of a user. The ledger row must be resolved and refreshed against the same read (see `ledger`).

    Applying the plan leaves nothing to plan. Nothing unowned is removed or narrowed; nothing is removed without permit.
    """
    stored, kept = grants, kept_of_groups(user, grants, ledger, context)
    grants = (*stored, *kept)
    counting = grants_that_count(user, grants, ledger, context)
    graces = [grant for grant in grants if grant.source.kind is SourceKind.GRACE]
    draft = Draft(
        user,
        ledger,
        context,
        desired_licenses(counting, context.now),
        user.direct,
        frozenset(grant.sku_id for grant in graces),
        frozenset(grant.sku_id for grant in graces if grant.holds_at(context.now)),
    )
    for sku_id in sorted(draft.desired):
        _plan_desired(draft, draft.desired[sku_id])
    unseen = _unseen(draft)
    for sku_id in sorted(ledger.managed):
        if sku_id not in draft.desired and sku_id in draft.direct:
            plan_removal(draft, sku_id, ledger.managed[sku_id])
        elif sku_id not in draft.desired and sku_id in unseen:
            # A stale read may have assigned this license a moment ago.
            _check_again(draft, sku_id, ledger.managed[sku_id].at)
    for sku_id in sorted(draft.ledger.managed.keys() & draft.direct.keys()):
        if draft.ledger.managed[sku_id].unclear:
            draft.note(NoteKind.UNCLEAR, sku_id)
    _leave_out_what_cannot_be_assigned(draft)
    wait_for_removals(draft)
    wished, due = _call(draft), frozenset(draft.remove)
    _leave_out_rejected(draft, wished)
    _leave_out_probed(draft)
    _leave_out_closed_skus(draft)
    location = _usage_location(draft)
    withhold_removals(draft, due)
    if in_vain := held_in_vain(draft, grants):
        without = plan_user(user, tuple(grant for grant in stored if grant not in in_vain), ledger, context)
        return replace(without, ended_grants=(*without.ended_grants, *in_vain))
    ended = grants_that_ended(draft, grants)
    draft.new_grants += [grant for grant in kept if grant in counting and grant not in ended]
    return UserPlan(
        user_id=user.id,
        add=tuple(draft.add[sku_id] for sku_id in sorted(draft.add)),
        remove=tuple(sorted(draft.remove)),
        plans_off={sku_id: plans for sku_id, plans in draft.plans_off.items() if sku_id in draft.add},
        unmanaged=frozenset(draft.enabling & draft.add.keys()),
        usage_location=location,
        sources={sku_id: license.sources for sku_id, license in draft.desired.items()},
        notes=tuple(draft.notes),
        problems=tuple(draft.problems),
        waiting=tuple(draft.waiting),
        wants_permit=tuple(draft.wants),
        new_grants=tuple(
            grant
            for grant in draft.new_grants
            if grant.source.kind is not SourceKind.GRACE or grant.sku_id not in draft.remove
        ),
        ended_grants=tuple(grant for grant in ended if grant not in kept),
        removal_seen_at=dict(draft.seen),
        withheld_since=dict(draft.withheld),
        check_again=draft.check_again,
        wished=wished,
        probes=frozenset(draft.probes),
    )


def _plan_desired(draft: Draft, wanted: DesiredLicense) -> None:
    sku_id = wanted.sku_id
    direct = draft.direct.get(sku_id)
    managed = draft.ledger.managed.get(sku_id)
    idle = draft.user.assigned.get(sku_id)
    if direct is None and idle is not None and managed is None:
        _plan_unmanaged_that_does_not_count(draft, wanted, idle.state)
    elif direct is None:
        _plan_addition(draft, wanted)
    elif managed is None and is_leftover(draft.ledger, sku_id, direct, draft.context.now):
        _check_again(draft, sku_id, draft.ledger.removed_at[sku_id])
    elif managed is None:
        _plan_unmanaged(draft, wanted, direct.disabled_plans)
    elif wanted.adds:
        _plan_service_plans(draft, wanted, direct.disabled_plans, managed)


def _plan_unmanaged(draft: Draft, wanted: DesiredLicense, current: Plans) -> None:
    """An unmanaged license is not changed. A person decides about the plans that it lacks."""
    sku_id = wanted.sku_id
    retired = draft.context.catalog.retired(sku_id)
    lacking = current - wanted.given_disabled - retired if wanted.adds else NO_PLANS
    draft.note(NoteKind.UNMANAGED_LACKS_PLANS if lacking else NoteKind.UNMANAGED, sku_id, lacking)
    if lacking and sku_id in draft.context.enable:
        draft.add[sku_id] = AssignedLicense(sku_id, current - lacking)
        draft.enabling.add(sku_id)
    elif lacking:
        names = ", ".join(sorted(draft.context.catalog.plan_name(plan) for plan in lacking))
        text = f"The license was assigned outside this app and lacks service plans that the group grants: {names}."
        draft.problems.append(Problem(LicenseError.OTHER, text, UNMANAGED_REMEDY, sku_id))


def _plan_unmanaged_that_does_not_count(draft: Draft, wanted: DesiredLicense, state: LicenseState) -> None:
    """An unmanaged license that exists in a state that does not count. Assigning it would make it managed."""
    if wanted.adds:
        draft.note(NoteKind.UNMANAGED, wanted.sku_id)
        text = f"The license was assigned outside this app and is in state {state}."
        draft.problems.append(Problem(LicenseError.OTHER, text, IDLE_REMEDY, wanted.sku_id))


def _plan_addition(draft: Draft, wanted: DesiredLicense) -> None:
    sku_id = wanted.sku_id
    if not wanted.adds:
        return
    if sku_id in _unseen(draft):
        _check_again(draft, sku_id, draft.ledger.managed[sku_id].at)
        return
    if sku_id in draft.context.count_inherited and _inherits(draft, wanted):
        draft.note(NoteKind.DEPENDS_ON_NATIVE, sku_id)
        return
    draft.add[sku_id] = AssignedLicense(sku_id, wanted.given_disabled)


def _unseen(draft: Draft) -> frozenset[SkuId]:
    """Licenses written so recently that the directory may not show them yet. A product that left the tenant took its
    licenses with it, so nothing is left to wait for."""
    return not_visible_yet(draft.ledger, draft.user, draft.context.now) & draft.context.catalog.skus.keys()


def _check_again(draft: Draft, sku_id: SkuId, since: datetime) -> None:
    """The write at `since` is not visible yet."""
    now = draft.context.now
    draft.note(NoteKind.NOT_VISIBLE_YET, sku_id)
    draft.again(now + RECHECK.after(now - since))


def _inherits(draft: Draft, wanted: DesiredLicense) -> bool:
    rows = draft.user.inherited.get(wanted.sku_id, ())
    off = frozenset.intersection(*(row.disabled_plans for row in rows)) if rows else NO_PLANS
    return bool(rows) and off - draft.context.catalog.retired(wanted.sku_id) <= wanted.given_disabled


def _plan_service_plans(draft: Draft, wanted: DesiredLicense, current: Plans, managed: ManagedLicense) -> None:
    """Plans of a managed license: missing ones are turned on at once, superfluous ones off like a removal."""
    sku_id = wanted.sku_id
    retired = draft.context.catalog.retired(sku_id)
    turn_on = current - wanted.given_disabled - retired
    if turn_on - managed.disabled_plans:
        draft.note(NoteKind.TURNED_OFF_BY_HAND, sku_id, turn_on - managed.disabled_plans)
    off_now = plans_to_turn_off(draft, wanted, current, managed)
    if turn_on or off_now:
        # Stored plans are never shortened: a retired plan stays off for the day on which it comes back.
        draft.add[sku_id] = AssignedLicense(sku_id, ((current | retired) & wanted.given_disabled) | off_now)
        if off_now:
            draft.plans_off[sku_id] = off_now


def _leave_out_closed_skus(draft: Draft) -> None:
    for sku_id in sorted(draft.add):
        if sku_id in draft.context.closed_skus and sku_id not in draft.user.assigned_skus:
            draft.drop(sku_id)
            draft.waiting.append(sku_id)


def _call(draft: Draft) -> LicenseCall:
    return LicenseCall(tuple(draft.add[sku_id] for sku_id in sorted(draft.add)), tuple(sorted(draft.remove)))


def _leave_out_what_cannot_be_assigned(draft: Draft) -> None:
    """A product that the tenant does not have, or that must not be assigned, is an error of that product alone. A
    license that is there is only left alone if the tenant has no such product, since it may be reduced."""
    for sku_id in sorted(draft.add):
        text = draft.context.catalog.not_assignable(sku_id)
        if text and (sku_id not in draft.user.assigned_skus or sku_id not in draft.context.catalog.skus):
            draft.drop(sku_id)
            error = LicenseError.INVALID_LICENSE
            draft.problems.append(Problem(error, text, remedy_for(error), sku_id))


def _leave_out_rejected(draft: Draft, wished: LicenseCall) -> None:
    """The same work is not rejected again: what Graph rejected of the same work on the same state stays rejected."""
    context = draft.context
    if context.ignore_rejections:
        return
    rejected = still_rejected(draft.ledger.rejections, draft.user, wished, context.catalog, context.now)
    for sku_id, record in rejected.items():
        if sku_id in draft.add or sku_id in draft.remove:
            draft.drop(sku_id)
            draft.problems.append(Problem(record.error, record.text, remedy_for(record.error), sku_id))


def _leave_out_probed(draft: Draft) -> None:
    """Additions whose conflict with a license of the user has expired: one person tries whether it still exists."""
    catalog, context = draft.context.catalog, draft.context
    for sku_id in sorted(draft.add.keys() - draft.direct.keys()):
        staying = [
            AssignedLicense(row.sku_id, row.disabled_plans)
            for row in draft.user.license_assignment_states
            if row.state.counts and row.sku_id not in draft.remove
        ]
        pairs = {found.pair for each in staying if (found := catalog.to_probe(draft.add[sku_id], each))}
        if pairs & context.taken_probes:
            draft.drop(sku_id)
            draft.again(context.now + PROBE_RETRY)
        else:
            draft.probes |= pairs


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
