"""Names of groups, service plans and products, by id."""

from __future__ import annotations

from functions.web.pages.rendering import product_names
from shared.domain.ids import GroupId
from shared.handlers.views import queries
from shared.ports.world import World


async def group_names(world: World) -> dict[GroupId, str]:
    """Names of managed groups as they were when they were last read."""
    return {each.group_id: each.display_name or each.group_id for each in await world.stores.assignments.all()}


async def plan_names(world: World) -> dict[str, str]:
    """Names of service plans by id."""
    skus = await queries.subscribed_skus(world)
    return {plan.service_plan_id: plan.service_plan_name for sku in skus for plan in sku.service_plans}


async def product_words(world: World) -> dict[str, str]:
    """Names of products by SKU, friendly where one is known."""
    known: dict[str, str] = {str(sku_id): name for sku_id, name in (await queries.sku_names(world)).items()}
    return {**known, **product_names()}
