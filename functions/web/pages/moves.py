"""The page of a group's move between Microsoft's own group-based licensing and this app."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheInitiator, TheWorld
from functions.web.errors import HttpError
from functions.web.pages.downloads import csv_text, download, file_name
from functions.web.pages.forms import TheForm
from functions.web.pages.rendering import page, product_name, see
from functions.web.requests import Guid
from shared.domain.assignment import is_active
from shared.domain.errors import NotFound
from shared.domain.ids import GroupId
from shared.domain.move import Direction
from shared.domain.move_report import MoveReportRow
from shared.handlers.operations import moves
from shared.handlers.operations.move_report import move_report
from shared.handlers.operations.moves import MoveRequest
from shared.handlers.views import queries

router = APIRouter(include_in_schema=False)

_DIRECTION: TypeAdapter[Direction] = TypeAdapter(Direction)
COLUMNS = (
    *("id", "displayName", "userPrincipalName", "outcome", "nestedOnly"),
    *("before", "now", "lostPlans", "gainedPlans"),
)


@router.get("/groups/{group_id}/move")
async def move_page(request: Request, world: TheWorld, group_id: Guid) -> Response:
    """Preview, progress and the acts on the move."""
    key = GroupId(group_id)
    try:
        move = await moves.find(world, key)
    except NotFound:
        move = None
    group = await world.directory.group(key)
    stored = await world.stores.assignments.get(key)
    is_direct = stored is not None and is_active(stored.assignment)
    return page(
        request,
        "move.html",
        group=group,
        move=move,
        possible=Direction.TO_NATIVE if is_direct else Direction.TO_DIRECT,
        names=await queries.sku_names(world),
    )


@router.post("/groups/{group_id}/move")
async def begin_move(world: TheWorld, initiator: TheInitiator, group_id: Guid, form: TheForm) -> Response:
    """Preview a move, or start one."""
    try:
        direction = _DIRECTION.validate_python(form.get("direction"))
    except ValidationError as fault:
        raise HttpError(400, "InvalidRequest", "direction must be toDirect or toNative.") from fault
    request = MoveRequest(GroupId(group_id), direction, initiator, preview=bool(form.get("preview")))
    await moves.begin(world, request)
    return see(f"/groups/{group_id}/move")


@router.post("/groups/{group_id}/move/pause")
async def pause(world: TheWorld, initiator: TheInitiator, group_id: Guid) -> Response:
    await moves.pause(world, GroupId(group_id), initiator)
    return see(f"/groups/{group_id}/move")


@router.post("/groups/{group_id}/move/resume")
async def resume(world: TheWorld, initiator: TheInitiator, group_id: Guid) -> Response:
    await moves.resume(world, GroupId(group_id), initiator)
    return see(f"/groups/{group_id}/move")


@router.post("/groups/{group_id}/move/undo")
async def undo(world: TheWorld, initiator: TheInitiator, group_id: Guid) -> Response:
    await moves.undo(world, GroupId(group_id), initiator)
    return see(f"/groups/{group_id}/move")


@router.post("/groups/{group_id}/move/approve")
async def approve(world: TheWorld, initiator: TheInitiator, group_id: Guid, form: TheForm) -> Response:
    await moves.approve(world, GroupId(group_id), form.get("checksum") or "", initiator)
    return see(f"/groups/{group_id}/move")


@router.get("/groups/{group_id}/move/report.csv")
async def report_csv(world: TheWorld, group_id: Guid) -> Response:
    """Each member before the move and now."""
    move, rows = await move_report(world, GroupId(group_id))
    name = file_name(move.display_name or group_id, "move", f"{world.clock.now():%Y-%m-%d}")
    return download(name, csv_text(COLUMNS, map(_cells, rows)), "text/csv")


def _cells(row: MoveReportRow) -> tuple[object, ...]:
    def sources(products: object) -> str:
        found = dict(products) if isinstance(products, dict) else {}
        return "; ".join(f"{product_name(sku)}: {' and '.join(sorted(each))}" for sku, each in sorted(found.items()))

    return (
        row.user_id,
        row.display_name,
        row.user_principal_name,
        row.outcome,
        "yes" if row.nested else "",
        sources(row.before),
        sources(row.after),
        sources(row.lost),
        sources(row.gained),
    )
