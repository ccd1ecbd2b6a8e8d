"""The download of a group's members: all that the page shows, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from fastapi import APIRouter
from starlette.responses import Response

from functions.web.context import TheWorld
from functions.web.pages.downloads import file_name, streamed_csv
from functions.web.pages.forms import TheForm
from functions.web.pages.groups import members_of
from functions.web.pages.labels import MEMBER_WORDS
from functions.web.pages.rendering import product_name, when
from functions.web.requests import Guid
from functions.web.searching import Shown, TheMemberFilter, shown_members
from shared.domain.ids import GroupId, SkuId
from shared.domain.read_models import MemberFilter, MemberRow
from shared.handlers.views import queries
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

COLUMNS = ("id", "displayName", "userPrincipalName", "state", "since", "product", "error", "message", "remedy")
PAGE = 999

Names = Mapping[SkuId, str]


@router.get("/groups/{group_id}/members.csv")
async def members_csv(world: TheWorld, group_id: Guid, wanted: TheMemberFilter, show: Shown = "errors") -> Response:
    """A row for each problem of a member, and one row for a member without a problem."""
    return await _members_csv(world, group_id, show, wanted)


@router.post("/groups/{group_id}/members.csv")
async def found_members_csv(world: TheWorld, group_id: Guid, form: TheForm) -> Response:
    """Members by name."""
    return await _members_csv(world, group_id, *members_of(form))


async def _members_csv(world: World, group_id: Guid, show: Shown, wanted: MemberFilter) -> Response:
    group = (await queries.assignment(world, GroupId(group_id))).assignment
    names = await queries.sku_names(world)
    of = {"errors": "errors and waiting", "all": "members"}.get(show) or MEMBER_WORDS.get(show, show)
    name = file_name(group.display_name or group_id, of, f"{world.clock.now():%Y-%m-%d}")
    return streamed_csv(name, COLUMNS, _pages(world, group.group_id, show, wanted, names))


async def _pages(
    world: World, group_id: GroupId, show: Shown, wanted: MemberFilter, names: Names
) -> AsyncIterator[list[Sequence[object]]]:
    token: str | None = None
    while True:
        rows, token = await shown_members(world, group_id, PAGE, token, show, wanted)
        yield [cells for row in rows for cells in cells_of(row, names)]
        if token is None:
            return


def cells_of(row: MemberRow, names: Names) -> Iterator[Sequence[object]]:
    """The lines of one member: one for each problem, or one for a member without a problem."""
    member = (row.user_id, row.display_name, row.user_principal_name, row.state)
    for problem in row.problems:
        product = product_name(problem.sku_id, names.get(problem.sku_id, "")) if problem.sku_id else ""
        yield (*member, when(row.waiting_since or row.since), product, problem.error, problem.text, problem.remedy)
    if not row.problems:
        products = "; ".join(product_name(sku_id, names.get(sku_id, "")) for sku_id in row.sku_ids)
        yield (*member, when(row.since), products, "", "", "")
