"""Which users lack a license, and why, over all groups: a page with a filter, and the same as a file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheWorld
from functions.web.pages.downloads import file_name, streamed_csv
from functions.web.pages.member_export import COLUMNS, PAGE, cells_of
from functions.web.pages.names import group_names, product_words
from functions.web.pages.parameters import ROWS, ThePlace
from functions.web.pages.rendering import page
from functions.web.searching import TheMemberFilter
from shared.domain.read_models import MemberFilter
from shared.handlers.views import queries
from shared.handlers.views.missing_licenses import members_with_errors
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

OfGroup = Annotated[str, Query(max_length=36, pattern="^[0-9a-fA-F-]*$")]


@router.get("/licenseErrors")
async def license_errors(
    request: Request, world: TheWorld, wanted: TheMemberFilter, place: ThePlace, group: OfGroup = ""
) -> Response:
    rows, token = await members_with_errors(world, ROWS, place.after, wanted, group.lower())
    named = {"error": wanted.error, "product": wanted.sku_id, "group": group.lower()}
    fields = {name: value for name, value in named.items() if value}
    return page(
        request,
        "license_errors.html",
        rows=rows,
        token=token,
        wanted=wanted,
        group=group.lower(),
        query=urlencode(fields),
        fields=fields,
        place=place,
        groups=await group_names(world),
        names=await queries.sku_names(world),
        products=await product_words(world),
    )


@router.get("/licenseErrors.csv")
async def license_errors_csv(world: TheWorld, wanted: TheMemberFilter, group: OfGroup = "") -> Response:
    """A row for each problem of a member of a group."""
    name = file_name("License errors", "all groups", f"{world.clock.now():%Y-%m-%d}")
    return streamed_csv(name, ("group", "groupId", *COLUMNS), _pages(world, wanted, group.lower()))


async def _pages(world: World, wanted: MemberFilter, group: str) -> AsyncIterator[list[Sequence[object]]]:
    names, groups = await queries.sku_names(world), await group_names(world)
    token: str | None = None
    while True:
        rows, token = await members_with_errors(world, PAGE, token, wanted, group)
        yield [
            (groups.get(row.group_id, row.group_id), row.group_id, *cells)
            for row in rows
            for cells in cells_of(row, names)
        ]
        if token is None:
            return
