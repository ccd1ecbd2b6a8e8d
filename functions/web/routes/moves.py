"""Routes of moves between Microsoft's own group-based licensing and this app."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from functions.web import answers, move_answers
from functions.web.audit_answers import Json
from functions.web.context import TheInitiator, ThePaging, TheWorld
from functions.web.names import UserName
from functions.web.naming import TheGroupId, with_ids
from functions.web.requests import Shape
from functions.web.starting import accepted
from shared.domain.ids import UserId
from shared.domain.move import MOST_CONVERTED, MOST_PILOTS, Direction
from shared.handlers.operations import moves
from shared.handlers.operations.move_report import move_report
from shared.handlers.operations.moves import MoveRequest

USER = "1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"
"""In the description of the API."""

router = APIRouter(prefix="/api/groups/{group_id}/moveLicensing", tags=["groups"])


Percent = Annotated[int, Field(ge=1, le=100)]


class MoveLicensing(Shape):
    """`preview` only counts. `pilot`: users of the first wave, direct members. `waves`: percentages of the members up
    to which each wave after it goes; the last one is 100. `convertDirect`: members whose unmanaged direct licenses end
    in a move to native licensing, once a person has approved its last step."""

    direction: Annotated[Direction, Field(examples=["toDirect"])]
    preview: bool = False
    pilot: Annotated[tuple[UserName, ...], Field(max_length=MOST_PILOTS, examples=[[USER]])] = ()
    waves: Annotated[tuple[Percent, ...], Field(max_length=20, examples=[[10, 50, 100]])] = ()
    convert_direct: Annotated[tuple[UserName, ...], Field(max_length=MOST_CONVERTED, examples=[[USER]])] = ()


class ApproveMove(Shape):
    """`checksum`: that of the move, as it was reviewed."""

    checksum: Annotated[str, Field(min_length=1, max_length=64)]


@router.post("", status_code=202)
async def move_licensing(
    world: TheWorld, initiator: TheInitiator, group_id: TheGroupId, body: MoveLicensing
) -> Response:
    """Move the group's licensing to this app (`toDirect`) or to Microsoft's own licensing (`toNative`), or preview it.
    Nobody loses an app on the way: the other source is there and verified before one ends."""
    body = await with_ids(world, body)
    pilot = tuple(UserId(each) for each in body.pilot)
    convert = tuple(UserId(each) for each in body.convert_direct)
    request = MoveRequest(group_id, body.direction, initiator, body.preview, pilot, tuple(body.waves), convert)
    found = await moves.begin(world, request)
    return accepted(f"/api/groups/{group_id}/moveLicensing", move_answers.move(found))


@router.get("")
async def get_move(world: TheWorld, group_id: TheGroupId) -> Json:
    """The newest move or preview of the group."""
    return move_answers.move(await moves.find(world, group_id))


@router.post("/pause")
async def pause_move(world: TheWorld, initiator: TheInitiator, group_id: TheGroupId) -> Json:
    """Begin nothing new. Members keep both sources."""
    return move_answers.move(await moves.pause(world, group_id, initiator))


@router.post("/resume")
async def resume_move(world: TheWorld, initiator: TheInitiator, group_id: TheGroupId) -> Json:
    """Continue a paused move with fresh reads."""
    return move_answers.move(await moves.resume(world, group_id, initiator))


@router.post("/undo")
async def undo_move(world: TheWorld, initiator: TheInitiator, group_id: TheGroupId) -> Json:
    """Go back to the source from before the move. Possible until its last step has begun."""
    return move_answers.move(await moves.undo(world, group_id, initiator))


@router.post("/approve")
async def approve_move(world: TheWorld, initiator: TheInitiator, group_id: TheGroupId, body: ApproveMove) -> Json:
    """Approve the last step, which ends the former source. All members are verified once more before it."""
    return move_answers.move(await moves.approve(world, group_id, body.checksum, initiator))


@router.get("/report")
async def report_move(request: Request, world: TheWorld, group_id: TheGroupId, paging: ThePaging) -> Json:
    """Each member before the move and now: sources, and the apps that were lost or gained. It is computed from a read
    of today, so it can be repeated."""
    found, rows = await move_report(world, group_id)
    shown, token = answers.part(rows, paging.top, paging.after)
    return {
        **move_answers.report_head(found, rows),
        **answers.page(request, map(move_answers.moved_member, shown), token),
    }
