"""When a managed license may be removed: grace first, then two reads that agree, a window apart, then a permit.

Whole SKUs and single service plans follow the same rules. What replaces something that may not go yet waits with it. A
removal that keeps every enabled plan on, such as an upgrade, needs the two reads and no permit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from shared.domain.catalog import Catalog
from shared.domain.desired_licenses import DesiredLicense
from shared.domain.directory import AssignedLicense, LicenseAssignmentState
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, Plans, ServicePlanId, SkuId, UserId
from shared.domain.ledger_row import ManagedLicense, sku_of
from shared.domain.permit import (
    BEFORE_ANY_LICENSE,
    PERMIT_HOLDS,
    Claim,
    Permit,
    assignment_of,
    claims_of,
    not_carried_out,
)
from shared.domain.plan_draft import Draft, NoteKind, PermitRequest, PlanContext

LIST_RETRY = timedelta(minutes=10)
"""When to read a user again whose removal waits for the list of protected people: its timer runs this often."""

NO_CLAIMS: frozenset[Claim] = frozenset()


def plan_removal(draft: Draft, sku_id: SkuId, managed: ManagedLicense) -> None:
    """A managed license that no grant gives. Its grace ends early only in the call that adds what it is in the way
    of."""
    grace = _grace(draft, sku_id, managed.sources)
    swapped = is_in_the_way(draft.direct[sku_id], draft.add.values(), draft.direct, draft.context.catalog)
    in_grace = bool(grace) or sku_id in draft.in_grace
    if grace:
        _give_grace(draft, sku_id, grace)
    elif in_grace and not swapped:
        draft.note(NoteKind.IN_GRACE, sku_id)
    if (swapped or not in_grace) and _whole_may_go(draft, sku_id, managed):
        draft.remove.add(sku_id)


def plans_to_turn_off(draft: Draft, wanted: DesiredLicense, current: Plans, managed: ManagedLicense) -> Plans:
    """Superfluous plans of a managed license that can be turned off now.

    A plan we had written off and that is on now was turned on by a person: off again only by an approval. One that
    Microsoft had taken out of the product, and that is back, is off again at once, because it was never granted.
    """
    sku_id, catalog = wanted.sku_id, draft.context.catalog
    turn_off = wanted.disabled_plans - current - catalog.retired(sku_id)
    if not turn_off:
        return NO_PLANS
    back = turn_off & managed.disabled_plans & catalog.returned_after(sku_id, managed.at)
    by_hand = (turn_off & managed.disabled_plans) - back
    approved = _named(draft, sku_id, managed, _ended_of_plans(draft, wanted, managed), by_hand, by_approval=True)
    if by_hand - approved:
        draft.note(NoteKind.TURNED_ON_BY_HAND, sku_id, by_hand - approved)
    app_turned_on = turn_off - managed.disabled_plans
    grace = _grace(draft, sku_id, tuple(source for source in managed.sources if source not in wanted.sources))
    if app_turned_on and grace:
        _give_grace(draft, sku_id, grace, app_turned_on)
        app_turned_on = NO_PLANS
    return back | (by_hand & approved) | _plans_that_may_go(draft, wanted, managed, app_turned_on)


def _grace(draft: Draft, sku_id: SkuId, sources: tuple[Source, ...]) -> timedelta:
    """The longest grace of the sources; none where a grace was given already, which may be over."""
    if sku_id in draft.graced:
        return timedelta(0)
    return max((draft.context.grace.get(source, timedelta(0)) for source in sources), default=timedelta(0))


def _give_grace(draft: Draft, sku_id: SkuId, grace: timedelta, plans: Plans = NO_PLANS) -> None:
    disabled = draft.direct[sku_id].disabled_plans
    draft.new_grants.append(Grant(sku_id, disabled, Source(SourceKind.GRACE), draft.context.now + grace))
    draft.note(NoteKind.IN_GRACE, sku_id, plans)


def _whole_may_go(draft: Draft, sku_id: SkuId, managed: ManagedLicense) -> bool:
    plans = draft.context.catalog.plans(sku_id)
    ended = claims_of(managed.sources, draft.context.assignments)
    since = _due_since(draft, str(sku_id), ended)
    ripe = _is_ripe(draft, str(sku_id), since)
    loses = not needs_no_permit(draft, sku_id)
    lacking = lacking_claims(draft.user.id, sku_id, managed, draft.context) if loses else NO_CLAIMS
    unknown = loses and _waits_for_list(draft)
    held = bool(lacking) and sku_id in draft.context.denied
    if held:
        draft.hold(sku_id)
    elif lacking and not unknown:
        by_person = managed.unclear or draft.context.protected
        draft.wants.append(PermitRequest(draft.user.id, sku_id, lacking, since, ripe=ripe, by_person=by_person))
    if unknown and not held:
        _wait_for_list(draft, sku_id, plans)
        return False
    if not ripe and not held:
        draft.note(NoteKind.SECOND_READ, sku_id)
        draft.settling[sku_id] = plans
        draft.again(since + draft.context.removal_window)
    elif lacking:
        draft.awaiting_permit[sku_id] = plans
    return ripe and not lacking


def _plans_that_may_go(draft: Draft, wanted: DesiredLicense, managed: ManagedLicense, plans: Plans) -> Plans:
    sku_id = wanted.sku_id
    ended = _ended_of_plans(draft, wanted, managed)
    since = {plan: _due_since(draft, f"{sku_id}/{plan}", ended) for plan in sorted(plans)}
    ripe = frozenset(plan for plan in plans if _is_ripe(draft, f"{sku_id}/{plan}", since[plan]))
    staying = frozenset(plan for plan in plans if not managed.unclear and _stay_on(draft, sku_id, frozenset({plan})))
    permitted = staying | _named(draft, sku_id, managed, ended, plans)
    lacking = plans - permitted
    held = lacking if sku_id in draft.context.denied else NO_PLANS
    unknown = plans - staying - held if _waits_for_list(draft) else NO_PLANS
    if held:
        draft.note_held(sku_id, held)
    elif lacking and not unknown:
        due, by_person = max(since[plan] for plan in lacking), managed.unclear or draft.context.protected
        draft.wants.append(
            PermitRequest(draft.user.id, sku_id, ended, due, lacking, lacking <= ripe, by_person=by_person)
        )
    if unknown:
        _wait_for_list(draft, sku_id, unknown)
        return staying & ripe
    young = plans - ripe - held
    if young:
        draft.note(NoteKind.SECOND_READ, sku_id, young)
        draft.settling[sku_id] = young
        draft.again(max(since[plan] for plan in young) + draft.context.removal_window)
    if awaiting := lacking - young:
        draft.awaiting_permit[sku_id] = awaiting
    return permitted & ripe


def _waits_for_list(draft: Draft) -> bool:
    """Whether removals must wait, because the protected people have not been read. A preview shows the removals."""
    return not draft.context.protection_known and draft.context.second_read


def _wait_for_list(draft: Draft, sku_id: SkuId, plans: Plans) -> None:
    draft.note(NoteKind.PROTECTION_UNKNOWN, sku_id)
    draft.settling[sku_id] = plans
    draft.again(draft.context.now + LIST_RETRY)


def _due_since(draft: Draft, key: str, ended: frozenset[Claim]) -> datetime:
    """Since when the removal is due: from its first read, and not before the claims that ended came to be as they are.
    After a newer request on the group it is a new removal, although the license was to go before."""
    context = draft.context
    draft.seen[key] = _seen_before(draft, key) or context.now
    groups = [assignment_of(claim.source, context.assignments) for claim in ended]
    return max([draft.seen[key], *(group.changed_at for group in groups if group and group.changed_at)])


def _seen_before(draft: Draft, key: str) -> datetime | None:
    """When the removal was first read as due; None: not yet, or only before writing was turned on."""
    seen, since = draft.ledger.removal_seen_at.get(key), draft.context.writing_since
    return None if seen is not None and since is not None and seen < since else seen


def _is_ripe(draft: Draft, key: str, since: datetime) -> bool:
    """Whether the removal was due at an earlier read too, and its window is over."""
    context = draft.context
    was_seen = _seen_before(draft, key) is not None
    return not context.second_read or (was_seen and context.now >= since + context.removal_window)


def _ended_of_plans(draft: Draft, wanted: DesiredLicense, managed: ManagedLicense) -> frozenset[Claim]:
    """The claims that kept unwanted plans on: those of the sources that the user left. If the user left none, it is the
    claim of the group that changed last, because the others had let go before."""
    assignments = draft.context.assignments
    left = [source for source in managed.sources if source not in wanted.sources]
    if left:
        return claims_of(left, assignments)
    groups = [source for source in wanted.sources if source.group_id]
    if not groups:
        return claims_of(managed.sources, assignments)

    def changed_at(source: Source) -> tuple[datetime, Source]:
        assignment = assignment_of(source, assignments)
        sku = assignment.sku(wanted.sku_id) if assignment else None
        return (sku.changed_at if sku and sku.changed_at else BEFORE_ANY_LICENSE, source)

    return claims_of([max(groups, key=changed_at)], assignments)


def needs_no_permit(draft: Draft, sku_id: SkuId) -> bool:
    """Whether a license can go without any loss. Of an unclear one, only a person decides."""
    managed, direct = draft.ledger.managed.get(sku_id), draft.direct.get(sku_id)
    if managed is None or managed.unclear or direct is None:
        return False
    return _stay_on(draft, sku_id, draft.context.catalog.plans(sku_id) - direct.disabled_plans)


def _stay_on(draft: Draft, sku_id: SkuId, plans: Plans) -> bool:
    """Whether all these plans stay on for the user by other licenses: then nothing is lost, and no permit is needed.

    Only licenses count that are to stay: wanted ones, unmanaged ones, and inherited ones.
    """
    context, on = draft.context, set[ServicePlanId]()
    for other, row in draft.direct.items():
        wanted = draft.desired.get(other)
        is_managed = other in draft.ledger.managed
        if other == sku_id or (is_managed and (wanted is None or not wanted.adds)):
            continue
        off = draft.add[other].disabled_plans if other in draft.add else row.disabled_plans
        on |= context.catalog.plans(other) - (off | wanted.disabled_plans if wanted and is_managed else off)
    for other in draft.add.keys() - draft.direct.keys() - {sku_id}:
        on |= context.catalog.plans(other) - draft.add[other].disabled_plans
    for other, rows in draft.user.inherited.items():
        for each in rows:
            on |= context.catalog.plans(other) - each.disabled_plans
    return bool(plans) and plans <= on


def _named(
    draft: Draft,
    sku_id: SkuId,
    managed: ManagedLicense,
    ended: frozenset[Claim],
    plans: Plans,
    *,
    by_approval: bool = False,
) -> Plans:
    """The plans that permits name for every claim that ended. `by_approval`: only those of a person count."""
    permits = valid_permits(draft.user.id, sku_id, managed, draft.context)
    permits = [permit for permit in permits if permit.by_approval or not by_approval]

    def is_named(plan: ServicePlanId) -> bool:
        named = (permit.claims for permit in permits if not permit.plans or plan in permit.plans)
        return not ended.difference(*named)

    return frozenset(plan for plan in plans if is_named(plan))


def valid_permits(user_id: UserId, sku_id: SkuId, managed: ManagedLicense, context: PlanContext) -> list[Permit]:
    """Permits of this user for this SKU, given not too long ago, without what later writes have done (see
    `not_carried_out`). An unclear license goes by an approval alone, and that of a protected person by one that was
    given for a protected person."""
    return [
        permit
        for given in context.permits
        if given.sku_id == sku_id
        and given.user_id == user_id
        and given.claims
        and (permit := not_carried_out(given, managed))
        and (permit.by_person or not managed.unclear)
        and (permit.for_protected or not context.protected)
        and context.now <= permit.at + PERMIT_HOLDS
    ]


def lacking_claims(user_id: UserId, sku_id: SkuId, managed: ManagedLicense, context: PlanContext) -> frozenset[Claim]:
    """The claims of a license that no valid permit for the whole SKU names, so that its removal would wait for them."""
    permits = valid_permits(user_id, sku_id, managed, context)
    return claims_of(managed.sources, context.assignments).difference(
        *(permit.claims for permit in permits if not permit.plans)
    )


def wait_for_removals(draft: Draft) -> None:
    """An addition waits for a removal that it replaces and that may not go out yet, so that both go in one call. Every
    other removal that it replaces waits with it. For a pair that is only listed as exclusive, it waits for the second
    read and not for a person's decision."""
    pending = {**draft.settling, **draft.awaiting_permit}
    if not pending:
        return
    for sku_id in sorted(draft.add.keys() - draft.direct.keys()):
        held_by = [other for other in pending if other != sku_id and _meets(draft, sku_id, other, pending[other])]
        if not held_by:
            continue
        draft.drop(sku_id)
        waits_for_permit = any(other in draft.awaiting_permit for other in held_by)
        draft.note(NoteKind.PENDING_APPROVAL if waits_for_permit else NoteKind.AFTER_REMOVAL, sku_id)


def _meets(draft: Draft, new: SkuId, old: SkuId, going: Plans) -> bool:
    catalog, license = draft.context.catalog, draft.add[new]
    if old in draft.settling and catalog.listed_exclusive(catalog.on(license), going):
        return True
    if old not in draft.desired:
        return catalog.replaces(new, old)
    conflict = catalog.conflict(license, AssignedLicense(old, draft.direct[old].disabled_plans))
    return catalog.brings(new, going - license.disabled_plans) or bool(conflict and conflict.plans & going)


def is_in_the_way(
    old: LicenseAssignmentState,
    additions: Iterable[AssignedLicense],
    direct: Mapping[SkuId, LicenseAssignmentState],
    catalog: Catalog,
) -> bool:
    """Whether Graph has rejected one of the additions because of a license: of this user or of anybody in the tenant
    within the last days. A product that is only listed as exclusive, or shares plans, can stay beside it."""
    license = AssignedLicense(old.sku_id, old.disabled_plans)
    return any(catalog.conflict(new, license) for new in additions if new.sku_id not in direct)


def settled_sources(
    sources: Mapping[SkuId, tuple[Source, ...]], seen: Iterable[str], grants: Iterable[Grant]
) -> dict[SkuId, tuple[Source, ...]]:
    """The sources to record of each license. One that waits to lose something, `seen` to be due or in grace, keeps
    those of the ledger: which of them was left is known nowhere else."""
    waiting = pending_skus(seen) | {grant.sku_id for grant in grants if grant.source.kind is SourceKind.GRACE}
    return {sku_id: each for sku_id, each in sources.items() if sku_id not in waiting}


def pending_skus(seen: Iterable[str]) -> frozenset[SkuId]:
    """The SKUs of removals, or of single plans to turn off, that a ledger row says are due."""
    return frozenset(sku_of(key) for key in seen)
