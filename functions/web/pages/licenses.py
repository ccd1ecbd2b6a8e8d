"""Pages of the products that the tenant has bought: all of them, and one with the groups that give it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.web.context import TheWorld
from functions.web.errors import HttpError
from functions.web.pages.names import group_names
from functions.web.pages.parameters import ROWS, Token
from functions.web.pages.person_words import source_words
from functions.web.pages.rendering import page
from functions.web.requests import Guid
from shared.domain.access import Access
from shared.domain.ids import GroupId, SkuId
from shared.handlers.views import license_center, queries
from shared.handlers.views.product_users import product_users

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request, world: TheWorld) -> Response:
    """The first page that the caller can see. While only Microsoft licenses groups, it shows them with their errors."""
    access = request.scope["principal"].access
    if Access.READ in access and await license_center.has_only_watched_groups(world):
        return RedirectResponse("/nativeGroups", 302)
    first = "/licenses" if Access.READ in access else "/users" if Access.READ_USERS in access else "/onboarding"
    return RedirectResponse(first, 302)


@router.get("/licenses")
async def licenses(request: Request, world: TheWorld) -> Response:
    return page(
        request,
        "licenses.html",
        products=await license_center.products(world),
        named=await license_center.named_with_errors(world),
        names=await queries.sku_names(world),
    )


@router.get("/licenses/{sku_id}")
async def license(request: Request, world: TheWorld, sku_id: Guid, after: Token = None) -> Response:
    found = next((each for each in await license_center.products(world) if each.sku.sku_id == sku_id), None)
    if found is None:
        raise HttpError(404, "NotFound", "The tenant has no such product.")
    groups = [each for each in await license_center.managed_groups(world) if each.assignment.sku(SkuId(sku_id))]
    groups.sort(key=lambda each: -each.status.with_errors)
    users, token = await product_users(world, SkuId(sku_id), ROWS, after)
    native = {
        GroupId(license.state.assigned_by_group)
        for each in users or ()
        for license in each.licenses
        if license.state.assigned_by_group
    }
    known = await group_names(world)
    names = {**await license_center.names_of_groups(world, native - known.keys()), **known}
    return page(
        request,
        "license.html",
        product=found,
        groups=groups,
        users=users,
        token=token,
        first=after is None,
        source_words=lambda license: source_words(license, names),
    )
