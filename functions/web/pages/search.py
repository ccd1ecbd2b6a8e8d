"""The one search box of the page: people, groups and products by whatever is known of them."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheWorld
from functions.web.pages.forms import TheForm
from functions.web.pages.rendering import page, product_name, see
from shared.domain.access import Access
from shared.domain.directory import SubscribedSku
from shared.handlers.views import license_center, queries
from shared.ports.world import World

router = APIRouter(include_in_schema=False)


@router.get("/search")
async def search(request: Request) -> Response:
    return page(request, "search.html", search="", people=None, groups=(), products=())


@router.post("/search")
async def find(request: Request, world: TheWorld, form: TheForm) -> Response:
    """By a form, because addresses are logged. A single result is opened: of a group without licenses, the dialog that
    assigns some."""
    form.one("search")
    text = form.short("search")
    people = await license_center.find_users(world, text)
    groups: tuple[license_center.FoundGroup, ...] = ()
    products: tuple[SubscribedSku, ...] = ()
    if Access.READ in request.scope["principal"].access:
        groups, products = await asyncio.gather(license_center.find_groups(world, text), find_products(world, text))
    can_assign = Access.WRITE_GROUPS in request.scope["principal"].access
    found = [
        *(f"/users/{each.id}" for each in people),
        *(_address(each, can_assign=can_assign) for each in groups),
        *(f"/licenses/{each.sku_id}" for each in products),
    ]
    if len(found) == 1 and found[0]:
        return see(found[0])
    return page(request, "search.html", search=text, people=people, groups=groups, products=products)


def _address(found: license_center.FoundGroup, *, can_assign: bool) -> str:
    """The page of a group; empty if it has none that the caller can use."""
    if found.managed:
        return f"/groups/{found.group.id}"
    return f"/groups/{found.group.id}/assign" if can_assign and not found.hindrance else ""


async def find_products(world: World, text: str) -> tuple[SubscribedSku, ...]:
    """Products with every word of the text in their friendly name or part number, or with this ID."""
    words = text.casefold().split()
    found = []
    for sku in await queries.subscribed_skus(world):
        names = f"{product_name(sku.sku_id, sku.sku_part_number)} {sku.sku_part_number}".casefold()
        if sku.sku_id == text.lower() or all(word in names for word in words):
            found.append(sku)
    return tuple(sorted(found, key=lambda sku: product_name(sku.sku_id, sku.sku_part_number)))
