"""Pages of the products that the tenant has bought: all of them, and one with the groups that give it."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.web.context import TheWorld
from functions.web.errors import HttpError
from functions.web.pages.rendering import page
from functions.web.requests import Guid
from shared.domain.access import Access
from shared.domain.ids import SkuId
from shared.handlers.views import license_center, queries

router = APIRouter(include_in_schema=False)


@router.get("/")
async def home(request: Request) -> Response:
    """The first page that the caller can see."""
    access = request.scope["principal"].access
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
async def license(request: Request, world: TheWorld, sku_id: Guid) -> Response:
    found = next((each for each in await license_center.products(world) if each.sku.sku_id == sku_id), None)
    if found is None:
        raise HttpError(404, "NotFound", "The tenant has no such product.")
    groups = [each for each in await license_center.managed_groups(world) if each.assignment.sku(SkuId(sku_id))]
    groups.sort(key=lambda each: -each.status.with_errors)
    return page(request, "license.html", product=found, groups=groups)
