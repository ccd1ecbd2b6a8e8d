"""Removal permits and kept grants: what an approval writes, and what a rejection writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from shared.domain.approval_rules import needs_another, request_of
from shared.domain.catalog import Catalog
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import NO_PLANS, OperationId, Plans, SkuId, UserId
from shared.domain.initiator import InitiatorKind
from shared.domain.operation import EXPIRED, Operation, is_for_tenant
from shared.domain.pending_removal import TENANT
from shared.domain.permit import BY_ALLOWANCE, Claim, Permit
from shared.domain.snapshot_pages import PlannedAction
from shared.handlers.operations.needs import Needs
from shared.handlers.reconcile.grant_expiry import note_ends

PREVIEW_HOLDS = timedelta(hours=1)
"""How long a preview that a person has seen approves the removals it showed."""

GRANTS_AT_ONCE = 500
"""Users whose grants are read together."""


def list_grant(sku_id: SkuId) -> Grant:
    """The grant of an operation on named users, as far as its key goes."""
    return Grant(sku_id, frozenset(), Source(SourceKind.LIST))


async def snapshot_removals(world: Needs, operation: Operation) -> AsyncIterator[tuple[UserId, PlannedAction]]:
    """The users of the snapshot of an operation for whom a removal was planned."""
    for number in range(operation.pages):
        page = await world.stores.snapshots.page(operation.id, operation.snapshot_id, number)
        for position, user_id in enumerate(page.user_ids):
            action = page.action(position)
            if action.removes:
                yield user_id, action


async def write_permits(world: Needs, operation: Operation) -> None:
    """A permit for each removal of the snapshot, naming the claims that had ended by then; after an approval by
    preview, only for what that preview had shown."""
    now = world.clock.now()
    by_approval = operation.approved_by is not None
    given_by = operation.approved_by.key if operation.approved_by else BY_ALLOWANCE
    source = source_of(operation)
    shown: Mapping[UserId, PlannedAction] | None = None
    preview = await approved_by_preview(world, operation)
    if preview is not None and not operation.approvals:
        shown = {user_id: each async for user_id, each in snapshot_removals(world, preview)}
    permits: list[Permit] = []
    protected = frozenset(operation.plan.protected)
    async for user_id, action in snapshot_removals(world, operation):
        for sku_id, ended in action.claims:
            claims = decided_claims(operation, sku_id, ended, by_approval=by_approval)
            plans = action.plans_losing(sku_id)
            if shown is not None:
                plans = _shown_of(plans, sku_id, shown.get(user_id))
            if not claims or plans is None:
                continue
            asked = sku_id in operation.change.remove and not operation.initiator.is_app_itself
            # Who names the users has decided about each of them.
            by_request = asked and operation.initiator.kind is InitiatorKind.USER and not operation.target.is_group
            by = operation.initiator.key if by_request and not by_approval else given_by
            knowing = operation.approved_by is not None and user_id in protected
            permits.append(Permit(user_id, sku_id, source, now, by, claims, plans, by_approval or asked, knowing))
    await world.stores.permits.put(permits)
    # Permitted removals wait no longer with the others of the source and of the tenant.
    for scope in (str(source), TENANT):
        await world.stores.removals.drop(scope, ((permit.user_id, permit.sku_id) for permit in permits))


def _shown_of(plans: Plans | None, sku_id: SkuId, shown: PlannedAction | None) -> Plans | None:
    """The plans of a removal that a preview had shown; no plans: the whole license. None: nothing, or only plans of a
    license that is due to be removed as a whole by now."""
    listed = shown.plans_losing(sku_id) if shown is not None and sku_id in dict(shown.claims) else None
    if not listed or plans is None:
        return plans if listed is not None else None
    return (plans & listed) or None


def decided_claims(
    operation: Operation, sku_id: SkuId, ended: Iterable[Claim], *, by_approval: bool = True
) -> frozenset[Claim]:
    """Of the claims of a removal that ended: those about which an operation decides.

    An operation on a group permits that group's claims, one on named users permits theirs: what another group assigned
    too is for that group to decide. Every claim is named by the approval of the tenant, and by a person who approves
    the removal of a product from named users.
    """
    named = by_approval and not operation.target.is_group and sku_id in operation.change.remove
    if named or is_for_tenant(operation):
        return frozenset(ended)
    return frozenset(claim for claim in ended if claim.source == source_of(operation))


async def void_permits(world: Needs, operation: Operation) -> None:
    """Cancelled: what is not removed by now is for the allowance, or a person, to permit again."""
    if operation.plan.users_losing:
        void = [each async for each in _void(world, operation, source_of(operation), "cancelled")]
        await world.stores.permits.put(void)


async def void_list_permits(world: Needs, users: Sequence[UserId], given: Collection[SkuId]) -> None:
    """Named users are given SKUs again: permits to remove them that an operation on a list of users gave are over."""
    for start in range(0, len(users) if given else 0, GRANTS_AT_ONCE):
        stored = await world.stores.permits.of_users(users[start : start + GRANTS_AT_ONCE])
        await world.stores.permits.put(
            Permit.void(permit.user_id, permit.sku_id, permit.source, "given again")
            for permits in stored.values()
            for permit in permits
            if permit.sku_id in given and permit.source.kind is SourceKind.LIST
        )


async def _void(world: Needs, operation: Operation, source: Source, by: str) -> AsyncIterator[Permit]:
    """Permits that permit nothing, in the place of those for the removals in the snapshot of an operation."""
    async for user_id, action in snapshot_removals(world, operation):
        for sku_id in sorted(action.skus_losing):
            yield Permit.void(user_id, sku_id, source, by)


def source_of(operation: Operation) -> Source:
    """Whose allowance and permits an operation uses."""
    group_id = operation.target.group_id
    if group_id:
        return Source(SourceKind.GROUP, group_id)
    return Source(SourceKind.HELD, TENANT) if is_for_tenant(operation) else Source(SourceKind.LIST)


async def write_kept(world: Needs, operation: Operation) -> None:
    """Rejected: every license in the list is kept for its user, until a person requests its removal again. After an
    expired approval, it is kept for the same time again.

    Permits of an earlier decision are overwritten, because they must not outlive this one.
    """
    expired = operation.error is not None and operation.error.code == EXPIRED
    by = operation.cancel_requested_by
    decided_by = "expired" if expired else (by.id if by else "system")
    until = world.clock.now() + timedelta(seconds=world.policy.approval_expires_s) if expired else None
    catalog = Catalog({sku.sku_id: sku for sku in await world.directory.subscribed_skus()})
    kept: list[tuple[UserId, Grant]] = []
    async for user_id, action in snapshot_removals(world, operation):
        kept += [(user_id, replace(grant, until=until)) for grant in _kept(action, catalog, decided_by)]
    await note_ends(world, kept)
    await world.stores.grants.put(kept)
    await world.stores.permits.put([each async for each in _void(world, operation, source_of(operation), "rejected")])


def _kept(action: PlannedAction, catalog: Catalog, decided_by: str) -> Iterator[Grant]:
    """Of a license that was to go all plans that are on stay on, of a narrowed one those that were to go off."""
    source = Source(SourceKind.KEPT, decided_by.replace("-", ""))
    for sku_id in action.remove:
        yield Grant(sku_id, NO_PLANS, source)
    for off in action.plans_off:
        yield Grant(off.sku_id, catalog.plans(off.sku_id) - off.disabled_plans, source)


async def ask_again(world: Needs, operation: Operation) -> None:
    """A person asks again for SKUs whose removal was rejected once: what was kept then is not an answer any more."""
    asked = {*operation.change.remove, *(license.sku_id for license in operation.change.add)}
    if not asked or operation.initiator.is_app_itself:
        return
    concerned = [user_id async for user_id, action in snapshot_removals(world, operation) if asked & action.skus_losing]
    for start in range(0, len(concerned), GRANTS_AT_ONCE):
        stored = await world.stores.grants.of_users(concerned[start : start + GRANTS_AT_ONCE])
        await world.stores.grants.remove(
            (user_id, grant)
            for user_id, grants in stored.items()
            for grant in grants
            if grant.source.kind is SourceKind.KEPT and grant.sku_id in asked
        )


async def approved_by_preview(world: Needs, operation: Operation) -> Operation | None:
    """The preview that approves this operation's removals: same person, change and intent, at most an hour old.

    An application approves nothing, and a person only what needs no other one.
    """
    preview_id: OperationId | None = operation.preview_id
    if preview_id is None or operation.initiator.kind is not InitiatorKind.USER:
        return None
    if needs_another(request_of(operation), world.policy.approval_rules):
        return None
    preview = await world.stores.operations.get(preview_id)
    if preview is None or not preview.preview or not preview.snapshot_id or not preview.plan.users_losing:
        return None
    same = (
        preview.initiator.id == operation.initiator.id
        and preview.target == operation.target
        and preview.change == operation.change
        and operation.created_at - preview.created_at <= PREVIEW_HOLDS
        and (not operation.target.is_group or preview.intent_version + 1 == operation.intent_version)
    )
    return preview if same else None
