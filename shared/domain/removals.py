"""When something of ours may go: grace first, then two reads that agree, then a permit.

Whole SKUs and single service plans follow the same rules. What replaces something that may not go yet waits with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.desired_licenses import DesiredLicense, desired_licenses
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, GroupId, Plans, SkuId, UserId
from shared.domain.ledger_row import LedgerRow, OwnedLicense
from shared.domain.permit import Permit
from shared.domain.plan_draft import Draft, NoteKind, PermitRequest, PlanContext

PERMIT_HOLDS = timedelta(days=7)
"""How long a permit holds: an approval of last month must not remove a license after the user came back to need it."""

_ENDING = (SourceKind.GRACE, SourceKind.HELD, SourceKind.KEPT)


def plan_removal(draft: Draft, sku_id: SkuId, owned: OwnedLicense) -> None:
    """A license of ours that no grant asks for. Its grace ends early only in the call that adds what it is in the way
    of."""
    grace = _grace(draft, sku_id, owned.sources)
    swapped = _is_in_the_way(draft.direct[sku_id], draft.add.values(), draft.direct, draft.context.catalog)
    in_grace = bool(grace) or sku_id in draft.in_grace
    if grace:
        _give_grace(draft, sku_id, grace)
    elif in_grace and not swapped:
        draft.note(NoteKind.IN_GRACE, sku_id)
    if (swapped or not in_grace) and _whole_may_go(draft, sku_id, owned):
        draft.remove.add(sku_id)


def plans_to_turn_off(draft: Draft, wanted: DesiredLicense, current: Plans, owned: OwnedLicense) -> Plans:
    """Superfluous plans of a license of ours that may go off now.

    A plan we had written off and that is on now was turned on by a person: off again only by an approval. One that
    Microsoft had taken out of the product, and that is back, is off again at once, because it was never granted.
    """
    sku_id, catalog = wanted.sku_id, draft.context.catalog
    turn_off = wanted.disabled_plans - current - catalog.retired(sku_id)
    if not turn_off:
        return NO_PLANS
    back = turn_off & owned.disabled_plans & catalog.returned_after(sku_id, owned.at)
    by_hand = (turn_off & owned.disabled_plans) - back
    approved = NO_PLANS.union(*(p.plans for p in _permits(draft, sku_id, owned) if p.by_approval))
    if by_hand - approved:
        draft.note(NoteKind.TURNED_ON_BY_HAND, sku_id, by_hand - approved)
    ours = turn_off - owned.disabled_plans
    grace = _grace(draft, sku_id, tuple(source for source in owned.sources if source not in wanted.sources))
    if ours and grace:
        _give_grace(draft, sku_id, grace, ours)
        ours = NO_PLANS
    return back | (by_hand & approved) | _plans_that_may_go(draft, sku_id, owned, ours)


def _grace(draft: Draft, sku_id: SkuId, sources: tuple[Source, ...]) -> timedelta:
    """The longest grace of the sources; none where a grace was given already, which may be over."""
    if sku_id in draft.graced:
        return timedelta(0)
    return max((draft.context.grace.get(source, timedelta(0)) for source in sources), default=timedelta(0))


def _give_grace(draft: Draft, sku_id: SkuId, grace: timedelta, plans: Plans = NO_PLANS) -> None:
    disabled = draft.direct[sku_id].disabled_plans
    draft.new_grants.append(Grant(sku_id, disabled, Source(SourceKind.GRACE), draft.context.now + grace))
    draft.note(NoteKind.IN_GRACE, sku_id, plans)


def _whole_may_go(draft: Draft, sku_id: SkuId, owned: OwnedLicense) -> bool:
    if not _seen_twice(draft, str(sku_id)):
        draft.note(NoteKind.SECOND_READ, sku_id)
        draft.settling[sku_id] = draft.context.catalog.plans(sku_id)
        return False
    if any(not permit.plans for permit in _permits(draft, sku_id, owned)):
        return True
    if sku_id in draft.context.denied:
        draft.new_grants.append(Grant(sku_id, draft.direct[sku_id].disabled_plans, Source(SourceKind.HELD)))
        draft.note(NoteKind.HELD, sku_id)
    else:
        draft.wants.append(PermitRequest(draft.user.id, sku_id, first_source(owned), by_person=owned.unclear))
    draft.awaiting_permit[sku_id] = draft.context.catalog.plans(sku_id)
    return False


def _plans_that_may_go(draft: Draft, sku_id: SkuId, owned: OwnedLicense, plans: Plans) -> Plans:
    seen_twice = frozenset(plan for plan in sorted(plans) if _seen_twice(draft, f"{sku_id}/{plan}"))
    if seen_twice != plans:
        draft.note(NoteKind.SECOND_READ, sku_id, plans - seen_twice)
        draft.settling[sku_id] = plans - seen_twice
    permits = _permits(draft, sku_id, owned)
    permitted = NO_PLANS.union(*(seen_twice & (permit.plans or seen_twice) for permit in permits))
    lacking = seen_twice - permitted
    if lacking:
        if sku_id in draft.context.denied:
            draft.note(NoteKind.HELD, sku_id, lacking)
        else:
            wanted = PermitRequest(draft.user.id, sku_id, first_source(owned), lacking, by_person=owned.unclear)
            draft.wants.append(wanted)
        draft.awaiting_permit[sku_id] = lacking
    return permitted


def _seen_twice(draft: Draft, key: str) -> bool:
    """Whether this is the second of two reads, far enough apart, at which the removal is due."""
    context = draft.context
    seen_before = draft.ledger.removal_seen_at.get(key)
    draft.seen[key] = seen_before or context.now
    second = draft.seen[key] + context.removal_settle
    if not context.second_read or (seen_before is not None and context.now >= second):
        return True
    draft.again(second)
    return False


def first_source(owned: OwnedLicense) -> Source:
    """The source whose removal allowance a removal of the license uses."""
    return owned.sources[0] if owned.sources else Source(SourceKind.LIST)


def _permits(draft: Draft, sku_id: SkuId, owned: OwnedLicense) -> list[Permit]:
    return valid_permits(draft.user.id, sku_id, owned, draft.context)


def valid_permits(user_id: UserId, sku_id: SkuId, owned: OwnedLicense, context: PlanContext) -> list[Permit]:
    """Permits of this user for this SKU, given after the license was and not too long ago. An unclear license
    goes by an approval alone."""
    return [
        permit
        for permit in context.permits
        if permit.sku_id == sku_id
        and permit.user_id == user_id
        and permit.at > owned.at
        and (permit.by_person or not owned.unclear)
        and context.now <= permit.at + PERMIT_HOLDS
    ]


def standing(permits: Iterable[Permit], assignments: Mapping[GroupId, GroupLicenseAssignment]) -> tuple[Permit, ...]:
    """Without permits from before their group gave the SKU, or more of it, again: who approved a removal that was then
    taken back has not approved the next one."""
    return tuple(permit for permit in permits if not _taken_back(permit, assignments))


def _taken_back(permit: Permit, assignments: Mapping[GroupId, GroupLicenseAssignment]) -> bool:
    assignment = assignments.get(GroupId(permit.source.id)) if permit.source.kind is SourceKind.GROUP else None
    given = assignment.sku(permit.sku_id) if assignment else None
    return given is not None and given.given_at is not None and permit.at <= given.given_at


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
        waits_for_leave = any(other in draft.awaiting_permit for other in held_by)
        draft.note(NoteKind.PENDING_APPROVAL if waits_for_leave else NoteKind.SECOND_READ, sku_id)


def _meets(draft: Draft, new: SkuId, old: SkuId, going: Plans) -> bool:
    catalog, license = draft.context.catalog, draft.add[new]
    if old in draft.settling and catalog.listed_exclusive(catalog.on(license), going):
        return True
    if old not in draft.desired:
        return catalog.replaces(new, old)
    conflict = catalog.conflict(license, AssignedLicense(old, draft.direct[old].disabled_plans))
    return catalog.brings(new, going - license.disabled_plans) or bool(conflict and conflict.plans & going)


def grants_that_count(
    user: DirectoryUser, grants: tuple[Grant, ...], ledger: LedgerRow, context: PlanContext
) -> tuple[Grant, ...]:
    """Without grace that ends early because the license is in the way of a desired SKU, so that both go in one call.
    Also without grants that held a license until a permit came or kept it until a person decided otherwise."""
    if not any(grant.source.kind in _ENDING for grant in grants):
        return grants
    lasting = tuple(grant for grant in grants if grant.source.kind is not SourceKind.GRACE)
    desired = desired_licenses(lasting, context.now)
    direct = user.direct

    def counts(grant: Grant) -> bool:
        if grant.source.kind is SourceKind.GRACE:
            row = direct.get(grant.sku_id)
            wanted = [AssignedLicense(each.sku_id, each.given_disabled) for each in desired.values() if each.adds]
            return row is None or not _is_in_the_way(row, wanted, direct, context.catalog)
        if grant.source.kind is SourceKind.HELD:
            owned = ledger.owned.get(grant.sku_id)
            return owned is None or not valid_permits(user.id, grant.sku_id, owned, context)
        if grant.source.kind is SourceKind.KEPT:
            owned = ledger.owned.get(grant.sku_id)
            given = valid_permits(user.id, grant.sku_id, owned, context) if owned else []
            return not any(permit.by_approval for permit in given)
        return True

    return tuple(grant for grant in grants if counts(grant))


def grants_that_ended(draft: Draft, grants: tuple[Grant, ...]) -> tuple[Grant, ...]:
    """Held, grace and kept grants that are over: the license goes or is gone, or something else gives it; held ones
    also when a person has decided to keep the license. And memberships we wrote that are long visible."""
    settled = tuple(
        grant for grant in grants if grant.source.kind is SourceKind.JOINED and not grant.holds_at(draft.context.now)
    )
    ending = tuple(grant for grant in grants if grant.source.kind in _ENDING)
    if not ending:
        return settled
    lasting = desired_licenses((grant for grant in grants if grant.source.kind not in _ENDING), draft.context.now)
    kept = {grant.sku_id for grant in ending if grant.source.kind is SourceKind.KEPT}
    return (
        *settled,
        *(
            grant
            for grant in ending
            if _is_over(draft, grant, lasting.get(grant.sku_id))
            or (grant.source.kind is SourceKind.HELD and grant.sku_id in kept)
        ),
    )


def _is_over(draft: Draft, grant: Grant, otherwise: DesiredLicense | None) -> bool:
    """`otherwise`: the SKU as the user would have it without what is held or in grace."""
    sku_id = grant.sku_id
    if sku_id in draft.remove or (sku_id not in draft.direct and sku_id not in draft.ledger.owned):
        return True
    if otherwise is None or not otherwise.adds or grant.source.kind is SourceKind.KEPT:
        return False
    if grant.source.kind is SourceKind.HELD or otherwise.given_disabled <= grant.disabled_plans:
        return True
    pending = sku_id in draft.settling or sku_id in draft.awaiting_permit
    return not grant.holds_at(draft.context.now) and not pending


def _is_in_the_way(
    old: LicenseAssignmentState,
    additions: Iterable[AssignedLicense],
    direct: Mapping[SkuId, LicenseAssignmentState],
    catalog: Catalog,
) -> bool:
    """Whether Graph has rejected one of the additions because of a license: of this user or of anybody in the tenant
    within the last days. A product that is only listed as exclusive, or shares plans, can stay beside it."""
    license = AssignedLicense(old.sku_id, old.disabled_plans)
    return any(catalog.conflict(new, license) for new in additions if new.sku_id not in direct)
