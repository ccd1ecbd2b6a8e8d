"""The expected result for each user of an operation, and the counts over all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.domain import ledger
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.bridges import groups_of_bridges
from shared.domain.catalog import Catalog
from shared.domain.desired_licenses import exclusion_of, group_grants
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseError
from shared.domain.grant import Grant, Source, SourceKind, is_blocked
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.ledger import giving_groups
from shared.domain.ledger_row import LedgerRow
from shared.domain.member_status import is_inside, no_seat_problem, owes, relevant, state_of
from shared.domain.named_users import NAMED, assignment_by_name
from shared.domain.operation import Operation, PlanSummary
from shared.domain.outcomes import OutcomeClass, Problem, Skipped, Unchanged, classify
from shared.domain.permit import Claim, Permit
from shared.domain.plan import UserPlan, plan_user
from shared.domain.plan_draft import NoteKind, PermitRequest, PlanContext
from shared.domain.predicted_errors import SHORT_TEXT, PredictedError, likely, predicted_rejections
from shared.domain.read_models import ShownMember
from shared.domain.removals import settled_sources
from shared.domain.retired_plans import as_stored
from shared.domain.snapshot_pages import PlannedAction
from shared.domain.write_results import LicenseCall
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.permit_writes import decided_claims
from shared.handlers.reconcile.plan import TenantFacts, context_for

LIST_SOURCE = Source(SourceKind.LIST)

UNMANAGED = (NoteKind.UNMANAGED, NoteKind.UNMANAGED_LACKS_PLANS)

Intents = Mapping[GroupId, GroupLicenseAssignment]


@dataclass(slots=True)
class Tally:
    """Counts over all planned users."""

    additions: Counter[SkuId] = field(default_factory=Counter)
    removals: Counter[SkuId] = field(default_factory=Counter)
    seats: Counter[SkuId] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    failing: int = 0
    waiting: int = 0
    plans_off: int = 0
    locations: int = 0
    unmanaged: int = 0
    losing: int = 0
    keeping: int = 0
    protected: list[UserId] = field(default_factory=list)
    """Protected people among those who lose something."""
    exclusive: Counter[tuple[SkuId, SkuId]] = field(default_factory=Counter)
    """Users by pairs of exclusive products: the added product, and the present one."""

    def count(self, user: DirectoryUser, plan: UserPlan, *, loses: bool, protected: bool) -> None:
        self.additions.update(license.sku_id for license in plan.add)
        self.removals.update(plan.remove)
        self.seats.update(seats_for(user, plan))
        self.plans_off += bool(plan.plans_off)
        self.locations += plan.usage_location is not None
        self.keeping += any(grant.source.is_kept_of_group for grant in plan.new_grants)
        self.unmanaged += any(note.kind in UNMANAGED for note in plan.notes)
        if loses:
            self.losing += 1
            if protected:
                self.protected.append(user.id)

    def count_errors(self, action: PlannedAction) -> None:
        failing = [each for each in action.errors if not each.waits]
        self.errors.update(str(each.problem.error) for each in failing)
        self.failing += bool(failing)
        self.waiting += not failing and bool(action.errors)
        added = {license.sku_id for license in action.add}
        self.exclusive.update(
            (each.problem.sku_id, sku_id)
            for each in failing
            if each.problem.error is LicenseError.MUTUALLY_EXCLUSIVE and each.problem.sku_id is not None
            for sku_id in each.because
            if sku_id not in added
        )

    def summary(self, catalog: Catalog, warnings: Sequence[str] = ()) -> PlanSummary:
        available = {sku_id: catalog.skus[sku_id].available for sku_id in self.seats if sku_id in catalog.skus}
        return PlanSummary(
            additions=dict(self.additions),
            removals=dict(self.removals),
            plans_off=self.plans_off,
            seats_needed=dict(self.seats),
            seats_available=available,
            usage_locations=self.locations,
            expected_errors=dict(self.errors),
            users_failing=self.failing,
            users_waiting=self.waiting,
            unmanaged=self.unmanaged,
            users_losing=self.losing,
            users_keeping=self.keeping,
            protected=tuple(sorted(self.protected)),
            warnings=(*warnings, *self._warnings(catalog)),
        )

    def _warnings(self, catalog: Catalog) -> Iterable[str]:
        for (new, old), number in sorted(self.exclusive.items()):
            members = f"{number:,} members have" if number != 1 else "1 member has"
            yield (
                f"{members} {catalog.name(old)}, which is listed as exclusive with {catalog.name(new)}, or was "
                "rejected together with it. Graph decides; whom it rejects will be in error."
            )


def seats_for(user: DirectoryUser, plan: UserPlan) -> tuple[SkuId, ...]:
    """The products of which the user needs another license."""
    wanted = (*(license.sku_id for license in plan.add), *plan.waiting)
    return tuple(sku_id for sku_id in wanted if sku_id not in user.assigned_skus)


@dataclass(slots=True)
class Planner:
    """Plans users from the read of the snapshot: groups are the one of the operation and those a managed license came
    from.
    """

    world: Needs
    operation: Operation
    assignments: Intents
    facts: TenantFacts
    recorded: Mapping[UserId, ShownMember]
    shown_before: Mapping[UserId, int]
    """Of members recorded in error or waiting: what they are shown, as `shown_as_number` puts it."""
    taken: frozenset[UserId] = frozenset()
    """Users whose sign-in name is an address of another object."""
    tally: Tally = field(default_factory=Tally)
    _contexts: dict[tuple[frozenset[GroupId], str, frozenset[SkuId], bool], PlanContext] = field(default_factory=dict)
    _shared: dict[PlannedAction, PlannedAction] = field(default_factory=dict)
    _rejections: dict[tuple[object, ...], tuple[PredictedError, ...]] = field(default_factory=dict)
    _seats: dict[UserId, tuple[SkuId, ...]] = field(default_factory=dict)

    def action(
        self, user: DirectoryUser | None, row: LedgerRow, user_grants: tuple[Grant, ...], *, knows_groups: bool
    ) -> PlannedAction:
        """The expected action for a user; `None` could not be read and is reconciled by its chunk. `knows_groups`: read
        with all groups; a user read as a member of the group of the operation is assumed to be still in those that
        gave, and in those of bridges."""
        if user is None:
            return PlannedAction(due=True)
        if not knows_groups:
            user = replace(user, group_ids=user.group_ids | giving_groups(row) | groups_of_bridges(user_grants))
        user = as_stored(user, row, self.facts.catalog)
        context = self._context(user, row.usage_location)
        refreshed = ledger.refresh(row, user, context.now)
        grants = (*group_grants(user, self.assignments), *self._user_grants(user_grants))
        plan = plan_user(user, grants, refreshed, context)
        decided = [each for each in plan.wants_permit if decided_claims(self.operation, each.sku_id, each.claims)]
        claims = tuple((each.sku_id, tuple(sorted(each.claims))) for each in decided)
        if plan.wants_permit:
            plan = plan_user(user, grants, refreshed, replace(context, permits=_supposed(plan, context)))
        remove, plans_off = _decided_removals(plan, decided)
        self.tally.count(user, plan, loses=bool(claims), protected=context.protected)
        errors = self._errors(user, plan)
        if seats := seats_for(user, plan):
            self._seats[user.id] = seats
        held = any(grant.source.kind in (SourceKind.HELD, SourceKind.KEPT) for grant in user_grants)
        notes = {f"{note.kind} {note.sku_id}" for note in plan.notes} | _still_held(plan, user_grants, claims)
        action = PlannedAction(
            due=self._is_due(user, row, refreshed, plan, user_grants) or (held and bool(remove)),
            expected=_with_errors(self._expected(user, plan, blocked=is_blocked(user_grants, context.now)), errors),
            add=plan.add,
            remove=remove,
            plans_off=plans_off,
            usage_location=plan.usage_location,
            notes=tuple(sorted(notes)),
            errors=errors,
            claims=claims,
        )
        return self._shared.setdefault(action, action)

    def _errors(self, user: DirectoryUser, plan: UserPlan) -> tuple[PredictedError, ...]:
        """Errors of the plan, and those that Graph will probably answer with. Equal users are judged once."""
        call = LicenseCall(plan.add, plan.remove)
        is_taken = user.id in self.taken
        key = (user.license_assignment_states, call, frozenset(plan.plans_off.items()), is_taken)
        if key not in self._rejections:
            now, catalog = self.world.clock.now(), self.facts.catalog
            self._rejections[key] = predicted_rejections(
                user, call, plan.plans_off, catalog, now, is_address_taken=is_taken
            )
        known = (*plan.problems, *map(no_seat_problem, plan.waiting))
        return (*(PredictedError(problem) for problem in dict.fromkeys(known)), *self._rejections[key])

    def predicted(self, actions: Mapping[UserId, PlannedAction]) -> dict[UserId, PlannedAction]:
        """The actions with errors of users for whom no license is left, all errors counted.

        Users are processed in the order of their ids, so the first ones get the licenses. A product that is probably
        rejected takes none. As soon as none is left, Graph says only that, whatever it would reject otherwise.
        """
        left = {sku_id: sku.available for sku_id, sku in self.facts.catalog.skus.items()}
        found: dict[UserId, PlannedAction] = {}
        for user_id in sorted(actions):
            action = actions[user_id]
            errors = action.errors
            for sku_id in self._seats.get(user_id, ()):
                mine = [each for each in errors if each.problem.sku_id == sku_id]
                if any(each.waits for each in mine):
                    continue
                if left.get(sku_id, 0) > 0:
                    left[sku_id] -= not mine
                else:
                    others = tuple(each for each in errors if each not in mine)
                    errors = (*others, likely(LicenseError.COUNT_VIOLATION, SHORT_TEXT, sku_id))
            if errors != action.errors:
                action = replace(action, errors=errors, expected=_with_errors(action.expected, errors))
            self.tally.count_errors(action)
            found[user_id] = self._shared.setdefault(action, action)
        return found

    def _context(self, user: DirectoryUser, location: str) -> PlanContext:
        place = "known" if user.usage_location else location
        protected = self.facts.protection.protects(user.id, self.world.clock.now())
        key = (user.group_ids, place, self.facts.seats.closed_to(user.id), protected)
        if key not in self._contexts:
            ignore = self.operation.reprocess
            enable = frozenset(self.operation.change.enable)
            context = context_for(
                user,
                self.assignments,
                self.facts,
                self.world,
                ignore_rejections=ignore,
                enable=enable,
                location=location,
            )
            self._contexts[key] = replace(context, second_read=False)
        return self._contexts[key]

    def _user_grants(self, stored: tuple[Grant, ...]) -> tuple[Grant, ...]:
        """Grants to plan with. Held licenses are left out, because this operation can permit their removal. So are kept
        licenses of a SKU that a person now asks to remove or to assign again. A preview on a list adds its change."""
        change = self.operation.change
        removed = () if change.keep else change.remove
        asked = frozenset((*removed, *(license.sku_id for license in change.add)))
        grants = tuple(
            grant
            for grant in stored
            if grant.source.kind is not SourceKind.HELD
            and not (grant.source.kind is SourceKind.KEPT and grant.sku_id in asked)
        )
        if self.operation.preview and not self.operation.target.is_group:
            return listed(grants, self.operation)
        return grants

    def _is_due(
        self,
        user: DirectoryUser,
        row: LedgerRow,
        refreshed: LedgerRow,
        plan: UserPlan,
        grants: tuple[Grant, ...],
    ) -> bool:
        if row.intent is not None or refreshed != row or plan.check_again is not None:
            return True
        if plan.writes or plan.new_grants or plan.ended_grants or self._adopts(plan):
            return True
        group_id = self.operation.target.group_id or NAMED
        if (plan.problems or plan.waiting) and (group_id == NAMED or self.operation.reprocess):
            return True
        if group_id == NAMED and not self.operation.change.changes_intent and user.id not in self.recorded:
            return False
        assignment = self.assignments.get(group_id) or GroupLicenseAssignment(group_id)
        assignment = assignment_by_name(grants) if group_id == NAMED else assignment
        skus = frozenset(sku.sku_id for sku in assignment.skus)
        no_seat = sorted(skus.intersection(plan.waiting))
        row = ledger.retag(refreshed, settled_sources(plan.sources, plan.removal_seen_at, grants))
        problems = relevant(plan.result(), skus)
        now = self.world.clock.now()
        state = state_of(
            user,
            assignment,
            problems,
            inside=is_inside(user, group_id, grants, now),
            waiting=bool(no_seat),
            owes=owes(row, group_id, user, plan.sources),
            blocked=group_id != NAMED and is_blocked(grants, now),
        )
        row_now = self.recorded.get(user.id)
        if row_now is None or row_now.state is not state:
            return True
        # Another worker, killed after the license was written, or an administrator may have changed what is listed.
        if row_now.sku_ids is not None and set(row_now.sku_ids) != skus & user.direct.keys():
            return True
        shown = (*problems, *map(no_seat_problem, no_seat))
        return state.needs_a_person and self.shown_before.get(user.id) != shown_as_number(shown)

    def _adopts(self, plan: UserPlan) -> bool:
        manage = self.operation.change.manage
        manageable = (*UNMANAGED, NoteKind.UNCLEAR)
        return any(note.kind in manageable and note.sku_id in manage for note in plan.notes)

    def _expected(self, user: DirectoryUser, plan: UserPlan, *, blocked: bool) -> OutcomeClass:
        if plan.writes and not plan.problems and not plan.waiting:
            return OutcomeClass.APPLIED
        result = plan.result()
        assignment = self.assignments.get(self.operation.target.group_id or GroupId(""))
        if isinstance(result, Unchanged) and assignment is not None and assignment.skus:
            reason = exclusion_of(user, assignment, blocked=blocked)
            return classify(Skipped(reason)) if reason else OutcomeClass.UNCHANGED
        return classify(result)


def _with_errors(expected: OutcomeClass, errors: Iterable[PredictedError]) -> OutcomeClass:
    """The outcome of a user with these errors; what is expected without them counts if there are none."""
    waits = [each.waits for each in errors]
    if not waits:
        return expected
    return OutcomeClass.WAITING if all(waits) else OutcomeClass.FAILED


def shown_as_number(problems: Iterable[Problem]) -> int:
    """A number for what a member is shown to meet; never stored, for Python salts it per process."""
    return hash(frozenset((problem.error, problem.sku_id, problem.text) for problem in problems))


def _still_held(plan: UserPlan, grants: Iterable[Grant], claims: Iterable[tuple[SkuId, tuple[Claim, ...]]]) -> set[str]:
    """Notes of removals that are held, and about which an approval of this operation does not decide."""
    held = {grant.sku_id for grant in grants if grant.source.kind is SourceKind.HELD}
    return {f"{NoteKind.HELD} {sku_id}" for sku_id in held.intersection(plan.remove) - {sku_id for sku_id, _ in claims}}


def _decided_removals(
    plan: UserPlan, decided: Iterable[PermitRequest]
) -> tuple[tuple[SkuId, ...], tuple[AssignedLicense, ...]]:
    """The removals to list: those that go at once, and those that stay until their replacement is assigned.

    The approval decides about both. Otherwise the latter would be asked about again as soon as it closes.
    """
    later = [each for each in decided if each.sku_id not in plan.remove and each.sku_id not in plan.plans_off]
    off = {**plan.plans_off, **{each.sku_id: each.plans for each in later if each.plans}}
    remove = {*plan.remove, *(each.sku_id for each in later if not each.plans)}
    return tuple(sorted(remove)), tuple(AssignedLicense(sku_id, off[sku_id]) for sku_id in sorted(off))


def _supposed(plan: UserPlan, context: PlanContext) -> tuple[Permit, ...]:
    """Permits as if each wanted one were given: planning shows what would be removed."""
    at = context.now + timedelta(seconds=1)
    return tuple(
        Permit(each.user_id, each.sku_id, LIST_SOURCE, at, "plan", each.claims, each.plans, True, True)
        for each in plan.wants_permit
    )


def listed(grants: Iterable[Grant], operation: Operation) -> tuple[Grant, ...]:
    """A user's grants with the change of an operation on a list of users made."""
    change = operation.change
    touched = {license.sku_id for license in change.add} | set(change.remove)
    kept = tuple(g for g in grants if g.source.kind is not SourceKind.LIST or g.sku_id not in touched)
    return (*kept, *(Grant(license.sku_id, license.disabled_plans, LIST_SOURCE) for license in change.add))
