"""Seal and plan: read every user of an operation to the last page, plan each from that read, and keep both.

The sealed pages are the preview, the dry run, and the list and number behind an approval.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.domain import ledger
from shared.domain.catalog import Catalog
from shared.domain.errors import NotFound
from shared.domain.grants import exclusion_of, group_grants
from shared.domain.model import (
    AssignedLicense,
    DirectoryUser,
    Grant,
    GroupId,
    GroupLicenseAssignment,
    LedgerRow,
    MemberState,
    Permit,
    SkuId,
    Source,
    SourceKind,
    UserId,
)
from shared.domain.operation import Operation, OperationState, PlanSummary, Totals
from shared.domain.outcomes import OutcomeClass, Skipped, Unchanged, classify
from shared.domain.plan import NoteKind, PlanContext, UserPlan, plan_user
from shared.domain.sealing import LEFT, PlannedAction, SealedPage, pages_of, partition_of
from shared.handlers.looking import TenantFacts, context_for, giving_groups, tenant_facts
from shared.handlers.recording import owes, relevant, state_of
from shared.handlers.requests import changed
from shared.handlers.watching import keep_nesting
from shared.ports import UserGone, World

AT_ONCE = 400
"""Users asked for at once; the directory reads them in several batches side by side."""

FEW = 40
"""Users of a ledger partition up to which single reads are cheaper than reading the partition."""

LIST_SOURCE = Source(SourceKind.LIST)

FOREIGN = (NoteKind.FOREIGN, NoteKind.FOREIGN_LACKS_PLANS)

Intents = Mapping[GroupId, GroupLicenseAssignment]
Users = dict[UserId, DirectoryUser | None]


@dataclass(frozen=True, slots=True)
class Sealed:
    """What sealing found. `size`: users the directory showed; `gone`: recorded members who are no users any more."""

    pages: tuple[SealedPage, ...]
    totals: Totals
    summary: PlanSummary
    checksum: str
    size: int
    gone: tuple[UserId, ...] = ()


@dataclass(slots=True)
class _Tally:
    """Counts over all planned users."""

    additions: Counter[SkuId] = field(default_factory=Counter)
    removals: Counter[SkuId] = field(default_factory=Counter)
    seats: Counter[SkuId] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    plans_off: int = 0
    locations: int = 0
    foreign: int = 0
    losing: int = 0

    def count(self, user: DirectoryUser, plan: UserPlan) -> None:
        held = user.held_skus
        self.additions.update(license.sku_id for license in plan.add)
        self.removals.update(plan.remove)
        self.seats.update(license.sku_id for license in plan.add if license.sku_id not in held)
        self.seats.update(sku_id for sku_id in plan.waiting if sku_id not in held)
        self.errors.update(str(problem.error) for problem in plan.problems)
        self.plans_off += bool(plan.plans_off)
        self.locations += plan.usage_location is not None
        self.foreign += any(note.kind in FOREIGN for note in plan.notes)
        self.losing += bool(plan.remove or plan.plans_off)

    def summary(self, catalog: Catalog) -> PlanSummary:
        available = {sku_id: catalog.skus[sku_id].available for sku_id in self.seats if sku_id in catalog.skus}
        return PlanSummary(
            additions=dict(self.additions),
            removals=dict(self.removals),
            plans_off=self.plans_off,
            seats_needed=dict(self.seats),
            seats_available=available,
            usage_locations=self.locations,
            expected_errors=dict(self.errors),
            foreign=self.foreign,
            users_losing=self.losing,
        )


@dataclass(slots=True)
class _Planner:
    """Plans users from the read of the seal: groups are the sealed one and those a license of ours came from."""

    world: World
    operation: Operation
    assignments: Intents
    facts: TenantFacts
    recorded: Mapping[UserId, MemberState]
    says_more: bool = False
    """The intent may say other than when members were recorded: a problem then may be with a product it does not name
    any more."""
    tally: _Tally = field(default_factory=_Tally)
    _contexts: dict[tuple[frozenset[GroupId], str, frozenset[SkuId]], PlanContext] = field(default_factory=dict)
    _shared: dict[PlannedAction, PlannedAction] = field(default_factory=dict)

    def action(
        self, user: DirectoryUser | None, row: LedgerRow, user_grants: tuple[Grant, ...], *, knows_groups: bool
    ) -> PlannedAction:
        """What is expected for a user; `None` could not be read and is looked at by its chunk. `knows_groups`: read
        with all groups; who was read as a member of the sealed one is supposed to be still in those that gave."""
        if user is None:
            return PlannedAction(due=True)
        if not knows_groups:
            user = replace(user, group_ids=user.group_ids | giving_groups(row))
        context = self._context(user, row.usage_location)
        refreshed = ledger.refresh(row, user, context.now)
        grants = (*group_grants(user, self.assignments), *self._user_grants(user_grants))
        plan = plan_user(user, grants, refreshed, context)
        if plan.wants_permit:
            plan = plan_user(user, grants, refreshed, replace(context, permits=_supposed(plan, context)))
        self.tally.count(user, plan)
        held = any(grant.source.kind in (SourceKind.HELD, SourceKind.KEPT) for grant in user_grants)
        action = PlannedAction(
            due=self._is_due(user, row, refreshed, plan, user_grants) or (held and bool(plan.remove)),
            expected=self._expected(user, plan),
            add=plan.add,
            remove=plan.remove,
            plans_off=tuple(AssignedLicense(sku_id, plan.plans_off[sku_id]) for sku_id in sorted(plan.plans_off)),
            usage_location=plan.usage_location,
            notes=tuple(sorted(f"{note.kind} {note.sku_id}" for note in plan.notes)),
            errors=tuple(sorted({f"{each.error} {each.sku_id or ''}".strip() for each in plan.problems})),
        )
        return self._shared.setdefault(action, action)

    def _context(self, user: DirectoryUser, location: str) -> PlanContext:
        place = "known" if user.usage_location else location
        key = (user.group_ids, place, self.facts.seats.closed_to(user.id))
        if key not in self._contexts:
            ignore = self.operation.reprocess
            enable = frozenset(self.operation.change.enable)
            context = context_for(
                user,
                self.assignments,
                self.facts,
                self.world,
                ignore_refusals=ignore,
                enable=enable,
                location=location,
            )
            self._contexts[key] = replace(context, second_read=False)
        return self._contexts[key]

    def _user_grants(self, stored: tuple[Grant, ...]) -> tuple[Grant, ...]:
        """Without what is held, which this operation may come to permit, and without what was kept of a SKU that a
        person now asks to remove or to assign anew; of a preview on a list, with its change."""
        change = self.operation.change
        asked = frozenset((*change.remove, *(license.sku_id for license in change.add)))
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
        if row.intent is not None or refreshed != row or plan.look_again is not None:
            return True
        if plan.writes or plan.new_grants or plan.ended_grants or self._adopts(plan):
            return True
        group_id = self.operation.target.group_id
        if group_id is None or (self.operation.reprocess and (plan.problems or plan.waiting)):
            return bool(plan.problems or plan.waiting)
        assignment = self.assignments.get(group_id) or GroupLicenseAssignment(group_id)
        skus = frozenset(sku.sku_id for sku in assignment.skus)
        result = plan.result()
        waiting = bool(skus.intersection(plan.waiting))
        owing = owes(refreshed, assignment.group_id, (*grants, *plan.new_grants))
        state = state_of(result, user, assignment, relevant(result, skus), waiting=waiting, owes=owing)
        known = self.recorded.get(user.id)
        return known is not state or (self.says_more and known.needs_a_person)

    def _adopts(self, plan: UserPlan) -> bool:
        adopt = self.operation.change.adopt
        return any(note.kind in FOREIGN and note.sku_id in adopt for note in plan.notes)

    def _expected(self, user: DirectoryUser, plan: UserPlan) -> OutcomeClass:
        if plan.writes and not plan.problems and not plan.waiting:
            return OutcomeClass.APPLIED
        result = plan.result()
        assignment = self.assignments.get(self.operation.target.group_id or GroupId(""))
        if isinstance(result, Unchanged) and assignment is not None and assignment.skus:
            reason = exclusion_of(user, assignment)
            return classify(Skipped(reason)) if reason else OutcomeClass.UNCHANGED
        return classify(result)


def _supposed(plan: UserPlan, context: PlanContext) -> tuple[Permit, ...]:
    """Permits as if each wanted one were given: planning shows what would be removed."""
    at = context.now + timedelta(seconds=1)
    return tuple(Permit(r.user_id, r.sku_id, r.source, at, "plan", r.plans) for r in plan.wants_permit)


def listed(grants: Iterable[Grant], operation: Operation) -> tuple[Grant, ...]:
    """A user's grants with the change of an operation on a list of users made."""
    change = operation.change
    touched = {license.sku_id for license in change.add} | set(change.remove)
    kept = tuple(g for g in grants if g.source.kind is not SourceKind.LIST or g.sku_id not in touched)
    return (*kept, *(Grant(license.sku_id, license.disabled_plans, LIST_SOURCE) for license in change.add))


async def seal(world: World, operation: Operation, known: Intents) -> Sealed:
    """Read, plan and describe every user of the operation. Nothing is written.

    Raises what reading raises: only a reading that reached its last page returns.
    """
    facts = await tenant_facts(world, operation.created_at)
    assignments = intents_with(operation, known, facts.catalog)
    group_id = operation.target.group_id
    recorded = await world.stores.members.states(group_id) if group_id else {}
    users = await (
        _group_users(world, operation, group_id) if group_id else _read_users(world, operation.target.user_ids)
    )
    left = {u for u, state in recorded.items() if u not in users and state is not MemberState.REMOVED}
    gone: list[UserId] = []
    leavers = await _read_users(world, sorted(left), gone)
    says_more = operation.change.changes_intent and not await _says_what_was_done(world, operation, assignments)
    planner = _Planner(world, operation, assignments, facts, recorded, says_more)
    actions: dict[UserId, PlannedAction] = {}
    async for user_id, row, grants in _with_records(world, [*users, *leavers]):
        read = users[user_id] if user_id in users else leavers[user_id]
        knows_groups = group_id is None or user_id in leavers
        action = planner.action(read, row, grants, knows_groups=knows_groups)
        actions[user_id] = replace(action, due=True, notes=(*action.notes, LEFT)) if user_id in leavers else action
    pages = tuple(pages_of(actions.items(), world.policy.chunk_size))
    return Sealed(
        pages=pages,
        totals=_totals(actions.values()),
        summary=planner.tally.summary(facts.catalog),
        checksum=checksum_of(operation, pages),
        size=len(users),
        gone=tuple(gone),
    )


async def _says_what_was_done(world: World, operation: Operation, assignments: Intents) -> bool:
    """Whether the intent to plan by is the one that the last request before this one completed."""
    group_id = operation.target.group_id
    ours = assignments.get(group_id) if group_id else None
    if group_id is None or ours is None:
        return False
    versions = await world.stores.assignments.history(group_id)
    before = next((each.operation_id for each in versions if each.operation_id != operation.id), None)
    last = await world.stores.operations.get(before) if before else None
    if last is None or last.state is not OperationState.COMPLETE:
        return False
    return any(each.version == last.intent_version and _said(each) == _said(ours) for each in versions)


def _said(assignment: GroupLicenseAssignment) -> object:
    skus = {sku.sku_id: (sku.disabled_plans, sku.enforcement) for sku in assignment.skus}
    return skus, assignment.options, assignment.state


def intents_with(operation: Operation, known: Intents, catalog: Catalog) -> Intents:
    """The assignments to plan by: of a preview, with its change merged in."""
    group_id = operation.target.group_id
    if group_id is None or not operation.preview or not (operation.change.add or operation.change.remove):
        return known
    assignment = known.get(group_id) or GroupLicenseAssignment(group_id)
    return {**known, group_id: changed(assignment, operation.change, catalog)}


async def _group_users(world: World, operation: Operation, group_id: GroupId) -> Users:
    """All users in the group. Names are left out: they are not needed, and there may be hundreds of thousands.

    A group that is gone has none where a person takes its licenses away; otherwise it is an error, and all is held.
    """
    groups = frozenset({group_id})
    users: Users = {}
    nested: set[GroupId] = set()
    began = world.clock.now()
    try:
        async for page in world.directory.member_pages(group_id, nested):
            for user in page:
                users[user.id] = replace(user, group_ids=groups, display_name="", user_principal_name="")
    except NotFound:
        if not operation.change.remove or operation.change.add:
            raise
    if not operation.preview:
        await keep_nesting(world, group_id, nested, began)
    return users


async def _read_users(world: World, ids: Iterable[UserId], gone: list[UserId] | None = None) -> Users:
    """Each id read with its groups; None where it could not be read. `gone` collects those the directory denies."""
    wanted = list(ids)
    users: Users = {}
    for start in range(0, len(wanted), AT_ONCE):
        reads = await world.directory.users(wanted[start : start + AT_ONCE])
        for user_id, read in reads.items():
            if gone is not None and isinstance(read, UserGone):
                gone.append(user_id)
            else:
                users[user_id] = read if isinstance(read, DirectoryUser) else None
    return users


async def _with_records(
    world: World, user_ids: Iterable[UserId]
) -> AsyncIterator[tuple[UserId, LedgerRow, tuple[Grant, ...]]]:
    """Every user with ledger row and user grants, one partition in memory at a time."""
    by_partition: dict[str, list[UserId]] = defaultdict(list)
    for user_id in user_ids:
        by_partition[partition_of(user_id)].append(user_id)
    for partition in sorted(by_partition):
        wanted = set(by_partition[partition])
        rows, grants = await _records(world, partition, wanted)
        for user_id in sorted(wanted):
            yield user_id, rows.get(user_id) or LedgerRow(user_id), grants.get(user_id, ())


async def _records(
    world: World, partition: str, wanted: set[UserId]
) -> tuple[Mapping[UserId, LedgerRow], Mapping[UserId, tuple[Grant, ...]]]:
    """Ledger rows and grants of some users of a partition: read one by one where they are few, for the partition may
    hold a sixteenth of the tenant."""
    stores = world.stores
    if len(wanted) <= FEW:
        ids = sorted(wanted)
        return await stores.ledger.rows(ids), await stores.grants.of_users(ids)
    rows = {row.user_id: row async for row in stores.ledger.partition(partition) if row.user_id in wanted}
    grants: dict[UserId, tuple[Grant, ...]] = {}
    async for user_id, grant in stores.grants.partition(partition):
        if user_id in wanted:
            grants[user_id] = (*grants.get(user_id, ()), grant)
    return rows, grants


def _totals(actions: Iterable[PlannedAction]) -> Totals:
    """Users who are not due count at once as what they are expected to be."""
    classes: Counter[OutcomeClass] = Counter()
    members = due = 0
    for action in actions:
        members += 1
        if action.due:
            due += 1
        else:
            classes[action.expected] += 1
    return Totals(
        members=members,
        due=due,
        applied=classes[OutcomeClass.APPLIED],
        unchanged=classes[OutcomeClass.UNCHANGED],
        waiting=classes[OutcomeClass.WAITING],
        failed=classes[OutcomeClass.FAILED],
        skipped=classes[OutcomeClass.SKIPPED],
    )


def checksum_of(operation: Operation, pages: Iterable[SealedPage]) -> str:
    """64 hex digits over target and what is planned for whom: what a person approves by."""
    digest = hashlib.sha256(f"{operation.target.group_id}".encode())
    for page in pages:
        digest.update(",".join(page.user_ids).encode())
        digest.update(repr([_described(action) for action in page.actions]).encode())
        digest.update(repr(page.action_of).encode())
    return digest.hexdigest()


def _described(action: PlannedAction) -> tuple[object, ...]:
    add = [(license.sku_id, sorted(license.disabled_plans)) for license in action.add]
    off = [(license.sku_id, sorted(license.disabled_plans)) for license in action.plans_off]
    return (add, action.remove, off)
