"""A person's decisions about a license that will end (in grace, or held without a permit): keep it, or remove it now.
Returning to a group needs no decision: it ends the grace period automatically."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from shared.domain.approval_rules import Approver, Request, denial, needs_another, request_of, ruling
from shared.domain.assignment import GroupLicenseAssignment
from shared.domain.audit import user_act
from shared.domain.errors import ApprovalDenied, BadRequest, raise_all
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.operation import Operation, PlanSummary, is_collecting, waits_for_a_person
from shared.domain.pending_removal import TENANT
from shared.domain.permit import Permit, claims_of
from shared.domain.read_models import AuditEntry
from shared.handlers.operations.needs import Needs
from shared.handlers.operations.own_requests import count_own
from shared.handlers.operations.requesters import requesters
from shared.handlers.reconcile.enqueue import enqueue


async def keep_licenses(world: Needs, user_id: UserId, sku_ids: Sequence[SkuId], initiator: Initiator) -> None:
    """Let a user keep licenses that are in grace or held, until a person asks for their removal.

    Raises BadRequest for a SKU that is neither; then nothing is done.
    """
    ending = await _ending(world, user_id, sku_ids)
    source = Source(SourceKind.KEPT, initiator.id.replace("-", ""))
    known = (await world.stores.permits.of_users([user_id])).get(user_id, ())
    await world.stores.permits.put(
        Permit.void(user_id, each.sku_id, each.source, "kept") for each in known if each.sku_id in ending
    )
    kept = [replace(grants[0], source=source, until=None) for grants in ending.values()]
    await world.stores.grants.put((user_id, grant) for grant in kept)
    over = [grant for grants in ending.values() for grant in grants if grant.source.kind is not SourceKind.KEPT]
    await world.stores.grants.remove((user_id, grant) for grant in over)
    await _done(world, user_id, sku_ids, initiator, "Keep user license")


async def remove_licenses_now(world: Needs, user_id: UserId, sku_ids: Sequence[SkuId], initiator: Initiator) -> None:
    """Remove managed licenses that are in grace, held or kept, without waiting and outside the removal allowance; two
    reads must still agree that nothing grants them.

    Raises BadRequest for a SKU that is none of these, and ApprovalDenied if another person must approve what this
    one has requested. Nothing is done then.
    """
    ending = await _ending(world, user_id, sku_ids)
    now = world.clock.now()
    managed = (await world.stores.ledger.rows([user_id]))[user_id].managed
    assignments = {each.group_id: each for each in await world.stores.assignments.all()}
    for sku_id in ending:
        groups = [assignments[each.group_id] for each in managed[sku_id].sources if each.group_id in assignments]
        for operation in await _open_approvals(world, user_id, groups):
            await _must_not_be_own(world, operation, sku_id, initiator)
    await _must_not_be_too_many(world, initiator)
    await world.stores.permits.put(
        Permit(
            user_id,
            sku_id,
            Source(SourceKind.LIST),
            now,
            initiator.key,
            claims_of(managed[sku_id].sources, assignments),
            by_approval=True,
        )
        for sku_id in ending
    )
    # A grace that is over, also where there was none: the removal that follows gives none.
    over = [replace(grants[0], source=Source(SourceKind.GRACE), until=now) for grants in ending.values()]
    await world.stores.grants.put((user_id, grant) for grant in over)
    await _done(world, user_id, sku_ids, initiator, "Remove user license now")


async def _must_not_be_too_many(world: Needs, initiator: Initiator) -> None:
    """A removal of one user is a request that the person approves alone, so it counts like one. Raises
    ApprovalDenied."""
    request = Request(initiator.id, world.clock.now(), 1, protected=False)
    before = await count_own(world, request, initiator.id)
    request = replace(request, before=before)
    if needs_another(request, world.policy.approval_rules):
        remedy = "Request the removal for the users together."
        raise ApprovalDenied(f"{denial(Approver.REQUESTER, request)} {remedy}")


async def _open_approvals(world: Needs, user_id: UserId, groups: Iterable[GroupLicenseAssignment]) -> list[Operation]:
    """Approvals that wait for a person and can concern a license of the user: of its groups, of named users, and of the
    tenant."""
    named = {each.open_approval for each in groups if each.open_approval}
    for scope in (str(Source(SourceKind.LIST)), TENANT):
        named |= (await world.stores.removals.state(scope)).state.approvals
    found = [await world.stores.operations.get(each) for each in sorted(named)]
    return [
        each
        for each in found
        if each is not None
        and waits_for_a_person(each)
        and (each.target.is_group or not each.target.user_ids or user_id in each.target.user_ids)
    ]


async def _must_not_be_own(world: Needs, operation: Operation, sku_id: SkuId, initiator: Initiator) -> None:
    """Who cannot approve a list must not remove its people one by one. A list that is only collected does not say yet
    how many users lose something, so what the person has requested waits until it is reviewed. Raises
    ApprovalDenied."""
    if is_collecting(operation):
        asked = replace(operation, plan=PlanSummary(removals={sku_id: 1}, plans_off=1))
        if initiator.id in await requesters(world, asked):
            text = "You requested this removal, and it is held with others. Review the list on the page Approvals."
            raise ApprovalDenied(f"{text} For many people, another person must approve it.")
        return
    if sku_id not in operation.plan.removals and not operation.plan.plans_off:
        return
    behind = await requesters(world, operation)
    request = request_of(operation, behind, initiator.id)
    found = ruling(initiator.id, request, world.clock.now(), world.policy.approval_rules).approver
    if not found.may_approve:
        raise ApprovalDenied(denial(found, request))


async def _ending(world: Needs, user_id: UserId, sku_ids: Sequence[SkuId]) -> dict[SkuId, list[Grant]]:
    """The grants by which the user still has each license."""
    row = (await world.stores.ledger.rows([user_id]))[user_id]
    grants = (await world.stores.grants.of_users([user_id])).get(user_id, ())
    found = {sku_id: [grant for grant in grants if grant.sku_id == sku_id and grant.source.keeps] for sku_id in sku_ids}
    text = f"The license {{}} of user {user_id} is not a managed license in grace, held or kept."
    wrong = [sku_id for sku_id, those in found.items() if sku_id not in row.managed or not those]
    raise_all([BadRequest("LicenseNotEnding", text.format(sku_id), "skuIds") for sku_id in wrong])
    return found


async def _done(world: Needs, user_id: UserId, sku_ids: Sequence[SkuId], initiator: Initiator, activity: str) -> None:
    """Write the decision to the audit log, and reconcile the user."""
    token = world.token()
    entry: AuditEntry = user_act(activity, user_id, sku_ids, initiator, world.clock.now(), token)
    await world.stores.audit.append([entry])
    await enqueue(world, [user_id], f"decision:{token}")
