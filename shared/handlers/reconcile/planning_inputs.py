"""What planning needs beside the user: products, their seats, and the country for users without a location."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.assignment import AssignmentState, GroupLicenseAssignment
from shared.domain.catalog import Catalog
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import GroupId, SkuId
from shared.domain.plan import PlanContext
from shared.domain.seats import Seats
from shared.handlers.reconcile.seats import seats
from shared.ports.world import World

SEATS_MAX_AGE_S = 10.0
"""How old the seat counts may be: a read costs 3 resource units, and Graph refuses what they miss."""


@dataclass(frozen=True, slots=True)
class TenantFacts:
    """What planning needs beside the user: the products, their seats, and the country for users without a location."""

    catalog: Catalog
    seats: Seats
    country: str | None


async def tenant_facts(world: World, since: datetime | None = None) -> TenantFacts:
    """The tenant's products and organization, read within the last seconds, and the products not before `since`."""
    max_age_s = SEATS_MAX_AGE_S
    if since is not None:
        max_age_s = min(max_age_s, max(0.0, (world.clock.now() - since).total_seconds()))
    skus, organization = await asyncio.gather(
        world.directory.subscribed_skus(max_age_s), world.directory.organization()
    )
    catalog = Catalog({sku.sku_id: sku for sku in skus})
    return TenantFacts(catalog, await seats(world, skus), organization.country_letter_code)


def context_for(
    user: DirectoryUser,
    assignments: Mapping[GroupId, GroupLicenseAssignment],
    facts: TenantFacts,
    world: World,
    *,
    ignore_refusals: bool = False,
    enable: frozenset[SkuId] = frozenset(),
    location: str = "",
) -> PlanContext:
    """The context of one user's plan, without permits. `location`: for a user without one, before any default."""
    mine = [assignments[group_id] for group_id in sorted(user.group_ids & assignments.keys())]
    active = [assignment for assignment in mine if assignment.state is AssignmentState.ACTIVE and assignment.skus]
    return PlanContext(
        catalog=facts.catalog,
        now=world.clock.now(),
        removal_settle=timedelta(seconds=world.policy.removal_settle_s),
        closed_skus=facts.seats.closed_to(user.id),
        grace=_grace(assignments),
        count_inherited=_count_inherited(active),
        usage_location=None if user.usage_location else location or default_location(active, facts.country),
        ignore_refusals=ignore_refusals,
        enable=enable,
    )


def default_location(active: Iterable[GroupLicenseAssignment], country: str | None) -> str | None:
    """The location for a user without one: of the assignment with the highest priority that sets one, else the
    organization's country; None where every assignment requires the user to have one."""
    options = [a.options for a in sorted(active, key=lambda a: (-a.options.priority, a.group_id))]
    if options and all(option.require_usage_location for option in options):
        return None
    return next((option.usage_location for option in options if option.usage_location), country)


def _grace(assignments: Mapping[GroupId, GroupLicenseAssignment]) -> dict[Source, timedelta]:
    return {
        Source(SourceKind.GROUP, group_id): assignment.options.grace
        for group_id, assignment in assignments.items()
        if assignment.options.grace
    }


def _count_inherited(active: Sequence[GroupLicenseAssignment]) -> frozenset[SkuId]:
    counting = {sku.sku_id for a in active if a.options.count_inherited for sku in a.skus}
    return frozenset(counting - {sku.sku_id for a in active if not a.options.count_inherited for sku in a.skus})
