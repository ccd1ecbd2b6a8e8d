"""Routes of operations: read them, read their plan, decide about them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.web import answers, operation_answers, predictions
from functions.web.audit_answers import Json
from functions.web.context import TheInitiator, ThePaging, TheWorld
from functions.web.predictions import TheErrorFilter
from functions.web.requests import Approve, Cancel, OperationIdText
from functions.web.starting import TheStarter
from shared.domain.access import Access, who_allows
from shared.domain.ids import OperationId
from shared.handlers.operations import approvals, control
from shared.handlers.operations.rollback import cancel_and_restore
from shared.handlers.views import queries
from shared.handlers.views.approvals import waiting_approvals
from shared.handlers.views.predicted_errors import named, people_named, predicted_errors

router = APIRouter(prefix="/api", tags=["operations"])


async def _id(operation_id: OperationIdText) -> OperationId:
    return OperationId(operation_id)


TheId = Annotated[OperationId, Depends(_id)]


@router.get("/operations")
async def list_operations(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Operations, newest first."""
    found, token = await queries.operations(world, paging.top, paging.after)
    return answers.page(request, map(operation_answers.operation, found), paging.top, token)


@router.get("/operations/{operation_id}")
async def get_operation(world: TheWorld, operation_id: TheId) -> Json:
    """One operation."""
    return operation_answers.operation(await queries.operation(world, operation_id))


@router.get("/operations/{operation_id}/members")
async def list_planned_members(request: Request, world: TheWorld, operation_id: TheId, paging: ThePaging) -> Json:
    """The plan of an operation, member by member. Those who would lose something have their names."""
    found, token = await queries.planned_members(world, operation_id, paging.top, paging.after)
    losing = [each.user_id for each in found if each.action.removes]
    people, names = await people_named(world, losing), await queries.sku_names(world)
    items = (operation_answers.planned_member(each, names, people.get(each.user_id)) for each in found)
    return answers.page(request, items, paging.top, token)


@router.get("/operations/{operation_id}/predictedErrors")
async def list_predicted_errors(
    request: Request, world: TheWorld, operation_id: TheId, wanted: TheErrorFilter, paging: ThePaging
) -> Json:
    """The errors that a preview predicts, user by user."""
    found = await predicted_errors(world, operation_id, wanted)
    rows, token = predictions.part(found, paging.top, paging.after)
    people, names = await named(world, rows), await queries.sku_names(world)
    items = (predictions.user_error(row, people, names) for row in rows)
    return answers.page(request, items, paging.top, token, predictions.parameters(wanted))


@router.post("/operations/{operation_id}/approve")
async def approve(world: TheWorld, initiator: TheInitiator, operation_id: TheId, body: Approve) -> Json:
    """Let the removals go that wait for approval; the checksum says which list was reviewed."""
    return operation_answers.operation(await approvals.approve(world, operation_id, body.checksum, initiator))


@router.post("/operations/{operation_id}/review")
async def review(world: TheWorld, initiator: TheInitiator, operation_id: TheId) -> Json:
    """Seal the list of held removals that an operation has collected, so that it can be approved or rejected."""
    return operation_answers.operation(await approvals.review(world, operation_id, initiator))


@router.post("/operations/{operation_id}/reject")
async def reject(world: TheWorld, initiator: TheInitiator, operation_id: TheId) -> Json:
    """Keep what was to be removed."""
    return operation_answers.operation(await approvals.reject(world, operation_id, initiator))


@router.post("/operations/{operation_id}/pause")
async def pause(world: TheWorld, initiator: TheInitiator, operation_id: TheId) -> Json:
    """Stop handing out work."""
    return operation_answers.operation(await control.pause(world, operation_id, initiator))


@router.post("/operations/{operation_id}/resume")
async def resume(world: TheWorld, initiator: TheInitiator, operation_id: TheId) -> Json:
    """Go on with a paused operation."""
    return operation_answers.operation(await control.resume(world, operation_id, initiator))


@router.post("/operations/{operation_id}/cancel")
async def cancel(
    world: TheWorld, starter: TheStarter, initiator: TheInitiator, operation_id: TheId, body: Cancel | None = None
) -> Response:
    """End an operation; what was done stays done. With the intent `former` a new operation (202, Location) makes the
    group's intent what it was before, also the options that the operation has set."""
    if body is None or body.intent == "keep":
        return JSONResponse(operation_answers.operation(await control.cancel(world, operation_id, initiator)))
    starter.check_options(await queries.operation(world, operation_id))
    restoring = await cancel_and_restore(world, operation_id, initiator)
    return JSONResponse(operation_answers.operation(restoring), 202, {"Location": f"/api/operations/{restoring.id}"})


@router.get("/approvals")
async def list_approvals(request: Request, world: TheWorld) -> Json:
    """Operations that wait for a person to approve or reject their removals: who requested each, which protected people
    would lose licenses, who can approve, and what happens without a decision."""
    roles = who_allows(Access.APPROVE, request.app.state.doors().sign_in.directory_roles)
    return {"value": [operation_answers.approval(found, *roles) for found in await waiting_approvals(world)]}
