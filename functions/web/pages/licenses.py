"""Pages of the products that the tenant has bought: all of them, and one with the groups that give it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheWorld
from functions.web.errors import HttpError
from functions.web.pages.downloads import file_name, streamed_csv
from functions.web.pages.forms import Form, TheForm
from functions.web.pages.names import group_names
from functions.web.pages.parameters import ROWS, Place, ThePlace, place_of
from functions.web.pages.person_words import source_words
from functions.web.pages.rendering import page, product_name, when
from functions.web.requests import Guid
from shared.domain.ids import GroupId, SkuId
from shared.handlers.views import license_center, queries
from shared.handlers.views.product_users import EVERY_USER, ProductUser, ProductUserFilter, product_users
from shared.handlers.views.queries import LicenseOrigin
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

COLUMNS = ("id", "displayName", "userPrincipalName", "product", "state", "since", "source")
PAGE = 999


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
async def license(request: Request, world: TheWorld, sku_id: Guid, place: ThePlace) -> Response:
    return await _license_page(request, world, SkuId(sku_id), EVERY_USER, place)


@router.post("/licenses/{sku_id}")
async def find_product_users(request: Request, world: TheWorld, sku_id: Guid, form: TheForm) -> Response:
    """Users of the product by name, which a form sends: addresses are logged."""
    return await _license_page(request, world, SkuId(sku_id), _wanted(form), place_of(form))


async def _license_page(
    request: Request, world: World, sku_id: SkuId, wanted: ProductUserFilter, place: Place
) -> Response:
    found, managed, (users, token) = await asyncio.gather(
        _product(world, sku_id),
        license_center.managed_groups(world),
        product_users(world, sku_id, ROWS, place.after, wanted),
    )
    groups = [each for each in managed if each.assignment.sku(sku_id)]
    groups.sort(key=lambda each: -each.status.with_errors)
    names = await _sources(world, users or ())
    named = {"name": wanted.text, "origin": wanted.origin}
    return page(
        request,
        "license.html",
        product=found,
        groups=groups,
        users=users,
        token=token,
        place=place,
        wanted=wanted,
        fields={name: value for name, value in named.items() if value},
        source_words=lambda license: source_words(license, names),
    )


@router.post("/licenses/{sku_id}/users.csv")
async def product_users_csv(world: TheWorld, sku_id: Guid, form: TheForm) -> Response:
    """All users of the product who match, a row for each source of the license."""
    found, wanted = await _product(world, SkuId(sku_id)), _wanted(form)
    name = product_name(sku_id, found.sku.sku_part_number)
    if (await product_users(world, SkuId(sku_id), 1, None))[0] is None:
        raise HttpError(503, "ServiceUnavailable", "Microsoft Graph does not list the users of a product.")
    file = file_name(name, "users", f"{world.clock.now():%Y-%m-%d}")
    return streamed_csv(file, COLUMNS, _pages(world, SkuId(sku_id), name, wanted))


async def _pages(
    world: World, sku_id: SkuId, product: str, wanted: ProductUserFilter
) -> AsyncIterator[list[Sequence[object]]]:
    token: str | None = None
    while True:
        users, token = await product_users(world, sku_id, PAGE, token, wanted)
        names = await _sources(world, users or ())
        yield [
            (
                each.user.id,
                each.user.display_name,
                each.user.user_principal_name,
                product,
                license.state.state,
                when(license.since),
                source_words(license, names),
            )
            for each in users or ()
            for license in each.licenses
        ]
        if token is None:
            return


async def _product(world: World, sku_id: SkuId) -> license_center.ProductView:
    found = next((each for each in await license_center.products(world) if each.sku.sku_id == sku_id), None)
    if found is None:
        raise HttpError(404, "NotFound", "The tenant has no such product.")
    return found


async def _sources(world: World, users: Iterable[ProductUser]) -> dict[GroupId, str]:
    """Names of the groups that the licenses come from."""
    native = {
        GroupId(license.state.assigned_by_group)
        for each in users
        for license in each.licenses
        if license.state.assigned_by_group
    }
    known = await group_names(world)
    return {**await license_center.names_of_groups(world, native - known.keys()), **known}


def _wanted(form: Form) -> ProductUserFilter:
    """Raises HttpError for a source that does not exist."""
    origin = form.get("origin")
    if origin not in ("", *LicenseOrigin):
        raise HttpError(400, "InvalidRequest", f"origin must be one of {', '.join(LicenseOrigin)}.", "origin")
    return ProductUserFilter(form.short("name"), origin)
