"""A person's decisions about a license that will end (in grace, or held without a permit): keep it, or remove it now.
Returning to a group needs no decision: it ends the grace period automatically."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared.domain.audit import user_act
from shared.domain.errors import BadRequest
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import SkuId, UserId
from shared.domain.initiator import Initiator
from shared.domain.permit import Permit, claims_of
from shared.domain.read_models import AuditEntry
from shared.handlers.operations.needs import Needs
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

    Raises BadRequest for a SKU that is none of these; then nothing is done.
    """
    ending = await _ending(world, user_id, sku_ids)
    now = world.clock.now()
    owned = (await world.stores.ledger.rows([user_id]))[user_id].owned
    assignments = {each.group_id: each for each in await world.stores.assignments.all()}
    await world.stores.permits.put(
        Permit(
            user_id,
            sku_id,
            Source(SourceKind.LIST),
            now,
            initiator.key,
            claims_of(owned[sku_id].sources, assignments),
            by_approval=True,
        )
        for sku_id in ending
    )
    # A grace that is over, also where there was none: the removal that follows gives none.
    over = [replace(grants[0], source=Source(SourceKind.GRACE), until=now) for grants in ending.values()]
    await world.stores.grants.put((user_id, grant) for grant in over)
    await _done(world, user_id, sku_ids, initiator, "Remove user license now")


async def _ending(world: Needs, user_id: UserId, sku_ids: Sequence[SkuId]) -> dict[SkuId, list[Grant]]:
    """The grants by which the user still has each license."""
    row = (await world.stores.ledger.rows([user_id]))[user_id]
    grants = (await world.stores.grants.of_users([user_id])).get(user_id, ())
    found = {sku_id: [grant for grant in grants if grant.sku_id == sku_id and grant.source.keeps] for sku_id in sku_ids}
    for sku_id, those in found.items():
        if sku_id not in row.owned or not those:
            text = f"The license {sku_id} of user {user_id} is not a managed license in grace, held or kept."
            raise BadRequest("LicenseNotEnding", text, "skuIds")
    return found


async def _done(world: Needs, user_id: UserId, sku_ids: Sequence[SkuId], initiator: Initiator, activity: str) -> None:
    """Write the decision to the audit log, and reconcile the user."""
    token = world.token()
    entry: AuditEntry = user_act(activity, user_id, sku_ids, initiator, world.clock.now(), token)
    await world.stores.audit.append([entry])
    await enqueue(world, [user_id], f"decision:{token}")
