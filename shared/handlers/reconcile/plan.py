"""Plan: from the reads of each user to one call per user, with permits for removals.

Also what planning needs beside the user: products, their seats, and the country for users without a location. Previews
and onboarding plan with the same inputs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain import ledger
from shared.domain.assignment import AssignmentState, GroupLicenseAssignment
from shared.domain.audit import adoption, license_change
from shared.domain.catalog import Catalog
from shared.domain.conversions import with_converted
from shared.domain.desired_licenses import desired_licenses, group_grants
from shared.domain.directory import DirectoryUser, SubscribedSku
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.operation import LicenseChange
from shared.domain.permit import Permit
from shared.domain.plan import plan_user
from shared.domain.plan_draft import PlanContext
from shared.domain.protected_people import ProtectedList, Protection
from shared.domain.reconciliation import Planned, Read, Work
from shared.domain.seats import Seats, seats_of
from shared.handlers.reconcile import permits
from shared.handlers.reconcile.assigned_plans import not_shown
from shared.handlers.reconcile.needs import Needs, PlanNeeds
from shared.handlers.reconcile.product_facts import taken_probes
from shared.handlers.reconcile.read import read_catalog
from shared.handlers.reconcile.seats import LINE_LENGTH

LINES_MAX_AGE_S = 5.0
"""How old the list of products that users wait for can be: within the age of the seats counted by Graph."""

PROTECTED_MAX_AGE_S = 60.0
"""How old the list of protected people can be; it is read from the directory once a day."""

SEATS_MAX_AGE_S = 10.0
"""How old the seat counts may be: a read costs 3 resource units, and Graph rejects what they miss."""


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """The inputs of planning beside the user: products, their seats, the country for users without a location, and the
    protected people."""

    catalog: Catalog
    seats: Seats
    country: str | None
    protection: Protection = field(default_factory=Protection)


async def tenant_facts(world: Needs, since: datetime | None = None) -> TenantFacts:
    """The tenant's products and organization, read within the last seconds, and the products not before `since`."""
    max_age_s = SEATS_MAX_AGE_S
    if since is not None:
        max_age_s = min(max_age_s, max(0.0, (world.clock.now() - since).total_seconds()))
    catalog, organization = await asyncio.gather(read_catalog(world, max_age_s), world.directory.organization())
    seats = await _seats(world, list(catalog.skus.values()))
    return TenantFacts(catalog, seats, organization.country_letter_code, await protection_of(world))


async def protection_of(world: Needs) -> Protection:
    """The protected people, by the list and by the settings."""
    policy = world.policy
    required = policy.protected_list_required
    listed = await world.stores.protected_people.load(PROTECTED_MAX_AGE_S) if required else ProtectedList()
    return Protection(listed, policy.protected_accounts, required)


async def _seats(world: Needs, skus: Sequence[SubscribedSku]) -> Seats:
    """The tenant's seats, with the waiting users.

    The queue is read before the seats are counted. With an older count, licenses that the first users got meanwhile
    would count for later users too. An older queue only makes a user wait a minute longer.
    """
    lines = await world.stores.waiting.lines(LINES_MAX_AGE_S)
    free = {sku.sku_id: sku.available for sku in skus if sku.sku_id in lines and sku.available > 0}
    waiting: dict[SkuId, Sequence[UserId]] = {}
    for sku_id, available in free.items():
        head = await world.stores.waiting.first(sku_id, min(LINE_LENGTH, available + 1))
        waiting[sku_id] = [entry.user_id for entry in head]
    if not any(waiting.values()):
        return seats_of({sku.sku_id: sku.available for sku in skus}, waiting)
    counted = await world.directory.subscribed_skus(0.0)
    # No more seats than were read of the queue: what lies further back is not known.
    known = {sku.sku_id: min(sku.available, free.get(sku.sku_id, sku.available)) for sku in counted}
    return seats_of(known, waiting)


def context_for(
    user: DirectoryUser,
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    facts: TenantFacts,
    world: Needs,
    *,
    ignore_rejections: bool = False,
    enable: frozenset[SkuId] = frozenset(),
    location: str = "",
    writing_since: datetime | None = None,
) -> PlanContext:
    """The context of one user's plan, without permits. `location`: for a user without one, before any default."""
    mine = [assignments[group_id] for group_id in sorted(user.group_ids & assignments.keys())]
    active = [assignment for assignment in mine if assignment.state is AssignmentState.ACTIVE and assignment.skus]
    return PlanContext(
        catalog=facts.catalog,
        now=world.clock.now(),
        removal_window=timedelta(seconds=world.policy.removal_window_s),
        assignments=assignments,
        closed_skus=facts.seats.closed_to(user.id),
        grace=_grace(user, assignments),
        count_inherited=_count_inherited(active),
        usage_location=None if user.usage_location else location or default_location(active, facts.country),
        ignore_rejections=ignore_rejections,
        enable=enable,
        writing_since=writing_since,
        protected=facts.protection.protects(user.id, world.clock.now()),
        protection_known=facts.protection.is_known,
    )


def default_location(active: Iterable[GroupLicenseAssignment], country: str | None) -> str | None:
    """The location for a user without one: that of the assignment with the highest priority that sets one, else the
    organization's country. None if every assignment requires the user to have one."""
    options = [a.options for a in sorted(active, key=lambda a: (-a.options.priority, a.group_id))]
    if options and all(option.require_usage_location for option in options):
        return None
    return next((option.usage_location for option in options if option.usage_location), country)


def _grace(user: DirectoryUser, assignments: Mapping[GroupId, GroupLicenseAssignment]) -> dict[Source, timedelta]:
    """By group, for users who leave it. Whom it hands over to native licensing keeps everything, so needs no grace."""
    return {
        Source(SourceKind.GROUP, group_id): assignment.options.grace
        for group_id, assignment in assignments.items()
        if assignment.options.grace and not assignment.is_handed_over(user)
    }


def _count_inherited(active: Sequence[GroupLicenseAssignment]) -> frozenset[SkuId]:
    counting = {sku.sku_id for a in active if a.options.count_inherited for sku in a.skus}
    return frozenset(counting - {sku.sku_id for a in active if not a.options.count_inherited for sku in a.skus})


async def plan(world: PlanNeeds, work: Work, reads: Sequence[Read]) -> list[Planned]:
    """One plan per user, in order, permits for removals drawn. A user that was not read, or is locked, has none."""
    facts = await tenant_facts(world, work.operation.created_at if work.operation else None)
    planned = [await _planned(world, work, read, facts) for read in reads]
    newer = await _newer_assignments(world, work, planned)
    if newer:
        work = replace(work, assignments={**work.assignments, **newer})
        planned = [await _planned(world, work, read, facts) for read in reads]
    lacking = await not_shown(world, work.assignments, planned, facts.catalog)
    for position, each in enumerate(planned):
        if kept := lacking.get(each.read.user_id):
            mine = replace(work, assignments={**work.assignments, **kept})
            planned[position] = await _planned(world, mine, each.read, facts)
    return await _with_probes(world, await _with_permits(world, work, planned))


async def _newer_assignments(
    world: Needs, work: Work, planned: Sequence[Planned]
) -> dict[GroupId, GroupLicenseAssignment]:
    """Assignments that have changed since they were cached, of the groups whose licenses are about to be removed: the
    permits of a superseded operation end at once."""
    due = [each for each in planned if each.plan is not None and (each.plan.removal_seen_at or each.plan.remove)]
    groups = {group for each in due for group in ledger.giving_groups(each.row)}
    found: dict[GroupId, GroupLicenseAssignment] = {}
    for group_id in sorted(groups):
        stored = await world.stores.assignments.get(group_id)
        if stored is not None and stored.assignment != work.assignments.get(group_id):
            found[group_id] = stored.assignment
    return found


async def _planned(world: Needs, work: Work, read: Read, facts: TenantFacts) -> Planned:
    resolved, user = read.resolved, read.user
    audit = (license_change(work.operation, read.user_id, resolved, "success"),) if resolved is not None else ()
    if user is None or read.locked_until is not None:
        return Planned(read, read.row, read.grants, audit=audit)
    asked = work.operation.change if work.operation else LicenseChange()
    context = context_for(
        user,
        work.assignments,
        facts,
        world,
        ignore_rejections=work.operation is not None and work.operation.reprocess,
        enable=frozenset(asked.enable),
        location=read.row.usage_location,
        writing_since=work.writing_since,
    )
    planned = Planned(read, read.row, (*group_grants(user, work.assignments), *read.grants), context, audit=audit)
    converted = with_converted(read.row, user, work.assignments, world.clock.now())
    if converted != read.row:
        gained = {
            sku_id: converted.managed[sku_id].disabled_plans
            for sku_id in converted.managed.keys() - read.row.managed.keys()
        }
        entry = adoption(work.operation, work.cause, user.id, gained, world.clock.now())
        planned = replace(planned, row=converted, audit=(*planned.audit, entry))
    if asked.manage:
        planned = await _adopted(world, work, planned, user, asked.manage)
    return replace(planned, plan=plan_user(user, planned.grants, planned.row, context))


async def _adopted(
    world: Needs, work: Work, planned: Planned, user: DirectoryUser, sku_ids: Sequence[SkuId]
) -> Planned:
    """With unmanaged licenses made managed. The grants that keep their extra plans on are written first: the ledger row
    is not written before them, and without them those plans would be turned off."""
    now = world.clock.now()
    row, kept = ledger.with_managed(planned.row, user, sku_ids, desired_licenses(planned.grants, now), now)
    await world.stores.grants.put((user.id, grant) for grant in kept)
    managed = {sku_id: row.managed[sku_id].disabled_plans for sku_id in row.managed.keys() - planned.row.managed.keys()}
    entries = (adoption(work.operation, work.cause, user.id, managed, now),) if managed else ()
    return replace(planned, row=row, grants=(*planned.grants, *kept), audit=(*planned.audit, *entries))


async def _with_permits(world: Needs, work: Work, planned: Sequence[Planned]) -> list[Planned]:
    """Planned again with permits where a removal is due: first those that exist, then from the allowances."""
    concerned = [each.read.user_id for each in planned if each.plan is not None and _may_need_permits(work, each)]
    if not concerned:
        return list(planned)
    known = await world.stores.permits.of_users(concerned)
    again = {
        each.read.user_id: _permitted(each, known.get(each.read.user_id, ()))
        for each in planned
        if each.read.user_id in concerned
    }
    wants = [r for each in again.values() if each.plan for r in each.plan.wants_permit if not r.by_person]
    drawn = await permits.draw(world, wants, work.assignments) if wants else permits.Drawn()
    for user_id, each in again.items():
        if each.plan is not None and each.plan.wants_permit:
            mine = tuple(permit for permit in drawn.permits if permit.user_id == user_id)
            denied = frozenset(sku_id for who, sku_id in drawn.held if who == user_id)
            by_tenant = frozenset(sku_id for who, sku_id in drawn.held_by_tenant if who == user_id)
            # What only a person decides says nothing about its group: it waits with the tenant, whose approval leaves
            # the allowances of groups as they are.
            by_person = frozenset(r.sku_id for r in each.plan.wants_permit if r.by_person and r.ripe)
            permitted = (*known.get(user_id, ()), *mine)
            again[user_id] = _permitted(each, permitted, denied | by_person, by_tenant | by_person)
    return [again.get(each.read.user_id, each) for each in planned]


async def _with_probes(world: Needs, planned: Sequence[Planned]) -> list[Planned]:
    """Planned again without additions that wait until another person has tried an expired conflict."""
    if not any(each.plan is not None and each.plan.probes for each in planned):
        return list(planned)
    taken = await taken_probes(world, planned)
    return [
        _replanned(each, replace(each.context, taken_probes=pairs))
        if each.context is not None and (pairs := taken.get(each.read.user_id))
        else each
        for each in planned
    ]


def _may_need_permits(work: Work, planned: Planned) -> bool:
    """Whether permits must be read: a removal is due, or was held or rejected before, and a newer permit may allow it.
    Also if a removal was due or approved before, since its permit may have to end."""
    if planned.plan is not None and planned.plan.wants_permit:
        return True
    approved = work.operation is not None and work.operation.approved_by is not None
    return approved or bool(planned.read.stored.removal_seen_at) or any(grant.source.keeps for grant in planned.grants)


def _replanned(planned: Planned, context: PlanContext) -> Planned:
    if planned.read.user is None:
        return planned
    return replace(planned, context=context, plan=plan_user(planned.read.user, planned.grants, planned.row, context))


def _permitted(
    planned: Planned,
    given: tuple[Permit, ...],
    denied: frozenset[SkuId] = frozenset(),
    by_tenant: frozenset[SkuId] = frozenset(),
) -> Planned:
    if planned.context is None:
        return planned
    context = replace(planned.context, permits=given, denied=denied, held_by_tenant=by_tenant)
    return _replanned(planned, context)
