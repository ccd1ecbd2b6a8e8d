"""Routes of products, and the one search for people, groups and products."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request

from functions.web import answers
from functions.web.audit_answers import Json
from functions.web.context import ThePaging, TheWorld
from functions.web.naming import TheSkuId
from functions.web.pages.rendering import product_name
from functions.web.pages.search import find_products
from functions.web.requests import Shape
from shared.domain.access import Access
from shared.domain.errors import BadRequest, NotFound
from shared.handlers.views import license_center, queries
from shared.handlers.views.product_users import ProductUser, product_users

router = APIRouter(prefix="/api", tags=["licenses"])


class Search(Shape):
    """A name or part of it, a userPrincipalName, mail, employee ID, object ID, skuPartNumber or skuId."""

    search: Annotated[str, Field(min_length=1, max_length=license_center.MAX_SEARCH, examples=["Ada"])]


@router.post("/search")
async def search_everything(request: Request, world: TheWorld, body: Search) -> Json:
    """Users, groups and products by name, ID or another identifier, at most 25 of each. The text is in the body,
    because addresses are logged. A caller who can read only people finds only people."""
    text = body.search.strip()
    if Access.READ not in request.scope["principal"].access:
        users = await license_center.find_users(world, text)
        return {"users": [answers.found_user(each) for each in users], "groups": [], "licenses": []}
    users, groups, skus = await asyncio.gather(
        license_center.find_users(world, text), license_center.find_groups(world, text), find_products(world, text)
    )
    return {
        "users": [answers.found_user(each) for each in users],
        "groups": [answers.found_group(each) for each in groups],
        "licenses": [
            {
                "skuId": sku.sku_id,
                "skuPartNumber": sku.sku_part_number,
                "displayName": product_name(sku.sku_id, sku.sku_part_number),
            }
            for sku in skus
        ],
    }


@router.get("/licenses")
async def list_licenses(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """The tenant's products by friendly name: licenses in total, assigned, available and expired, waiting users, and
    the groups that assign each."""
    found, token = answers.part(await license_center.products(world), paging.top, paging.after)
    return answers.page(request, map(_product, found), token)


@router.get("/licenses/{sku_id}")
async def get_license(world: TheWorld, sku_id: TheSkuId) -> Json:
    """One product."""
    for view in await license_center.products(world):
        if view.sku.sku_id == sku_id:
            return _product(view)
    raise NotFound(f"The tenant has no product {sku_id}.")


@router.get("/licenses/{sku_id}/users")
async def list_license_users(request: Request, world: TheWorld, sku_id: TheSkuId, paging: ThePaging) -> Json:
    """Users who have a product from any source, each license with its source."""
    users, token = await product_users(world, sku_id, paging.top, paging.after)
    if users is None:
        raise BadRequest("NotOffered", "Microsoft Graph does not list the users of a product in this tenant.")
    names = await queries.sku_names(world)
    return answers.page(request, (_user(each, names) for each in users), token)


def _product(view: license_center.ProductView) -> Json:
    sku = view.sku
    return {
        "skuId": sku.sku_id,
        "skuPartNumber": sku.sku_part_number,
        "displayName": product_name(sku.sku_id, sku.sku_part_number),
        "capabilityStatus": sku.capability_status,
        "total": sku.enabled + sku.warning,
        "assigned": sku.consumed_units,
        "available": sku.available,
        "expired": sku.warning,
        "waiting": view.counts.waiting,
        "errors": view.counts.errors,
        "shortBy": view.short_by,
        "groups": [{"id": each.group_id, "displayName": each.display_name} for each in view.groups],
    }


def _user(found: ProductUser, names: answers.Names) -> Json:
    return {
        "id": found.user.id,
        "displayName": found.user.display_name,
        "userPrincipalName": found.user.user_principal_name,
        "accountEnabled": found.user.account_enabled,
        "licenses": [answers.user_license(each, names) for each in found.licenses],
    }
