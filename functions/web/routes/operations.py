"""Routes of operations: read them, read their plan, decide about them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.web import answers, operation_answers, predictions
from functions.web.audit_answers import Json
from functions.web.context import TheInitiator, ThePaging, TheWorld
from functions.web.names import GroupName
from functions.web.naming import optional_group
from functions.web.predictions import TheErrorFilter
from functions.web.requests import Approve, Cancel, CombinePlans, OperationIdText, Since, Until
from functions.web.starting import TheStarter, accepted
from shared.domain.access import Access, who_allows
from shared.domain.ids import OperationId, UserId
from shared.domain.operation import OperationFilter, OperationState
from shared.handlers.operations import approvals, control
from shared.handlers.operations.rollback import cancel_and_restore
from shared.handlers.views import queries
from shared.handlers.views.approvals import waiting_approvals
from shared.handlers.views.combined_plan import combined_plan
from shared.handlers.views.predicted_errors import named, people_named, predicted_errors

router = APIRouter(prefix="/api", tags=["operations"])


async def _id(operation_id: OperationIdText) -> OperationId:
    return OperationId(operation_id)


TheId = Annotated[OperationId, Depends(_id)]


@router.get("/operations")
async def list_operations(
    request: Request,
    world: TheWorld,
    paging: ThePaging,
    state: OperationState | None = None,
    group_id: Annotated[GroupName | None, Query(alias="groupId", description="Operations on this group.")] = None,
    since: Annotated[Since | None, Query(description="Created then or later.")] = None,
    until: Annotated[Until | None, Query(description="Created before. A date means its end.")] = None,
) -> Json:
    """Operations, newest first: all, or those of a state, a group or a time. If few of very many match, a page can be
    short or empty and still have a next one."""
    wanted = OperationFilter(state, await optional_group(world, group_id), since, until)
    found, token = await queries.operations(world, paging.top, paging.after, wanted)
    return answers.page(request, map(operation_answers.operation, found), token)


@router.get("/operations/{operation_id}")
async def get_operation(world: TheWorld, operation_id: TheId) -> Json:
    """One operation."""
    return operation_answers.operation(await queries.operation(world, operation_id))


@router.get("/operations/{operation_id}/members")
async def list_planned_members(
    request: Request,
    world: TheWorld,
    operation_id: TheId,
    paging: ThePaging,
    losing: Annotated[bool, Query(description="Only users who would lose something.")] = False,
) -> Json:
    """The plan of an operation, member by member. Those who would lose something have their names."""
    found, token = await queries.planned_members(world, operation_id, paging.top, paging.after, losing=losing)
    named_ids = [each.user_id for each in found if each.action.removes]
    people, names = await people_named(world, named_ids), await queries.sku_names(world)
    items = (operation_answers.planned_member(each, names, people.get(each.user_id)) for each in found)
    return answers.page(request, items, token)


@router.get("/operations/{operation_id}/predictedErrors")
async def list_predicted_errors(
    request: Request, world: TheWorld, operation_id: TheId, wanted: TheErrorFilter, paging: ThePaging
) -> Json:
    """The errors that a preview predicts, user by user."""
    found = await predicted_errors(world, operation_id, wanted)
    rows, token = answers.part(found, paging.top, paging.after)
    people, names = await named(world, rows), await queries.sku_names(world)
    items = (predictions.user_error(row, people, names) for row in rows)
    return answers.page(request, items, token)


@router.post("/operations/combinedPlan")
async def combine_plans(world: TheWorld, body: CombinePlans) -> Json:
    """The plan of several previews together. A user counts once for each product, and one checksum is over all of
    them. `members`: what each preview plans for the users in `userIds`."""
    found = await combined_plan(world, list(map(OperationId, body.operation_ids)), list(map(UserId, body.user_ids)))
    return operation_answers.combined(found, await queries.sku_names(world))


@router.post("/operations/{operation_id}/approve")
async def approve(world: TheWorld, initiator: TheInitiator, operation_id: TheId, body: Approve) -> Json:
    """Approve the removals that wait; the checksum says which list was reviewed."""
    return operation_answers.operation(await approvals.approve(world, operation_id, body.checksum, initiator))


@router.post("/operations/{operation_id}/review")
async def review(world: TheWorld, initiator: TheInitiator, operation_id: TheId) -> Json:
    """Turn the removals that are held so far into a list that can be approved or rejected."""
    return operation_answers.operation(await approvals.review(world, operation_id, initiator))


@router.post("/operations/{operation_id}/reject")
async def reject(world: TheWorld, initiator: TheInitiator, operation_id: TheId) -> Json:
    """Keep the licenses that would be removed."""
    return operation_answers.operation(await approvals.reject(world, operation_id, initiator))


@router.post("/operations/{operation_id}/pause")
async def pause(world: TheWorld, initiator: TheInitiator, operation_id: TheId) -> Json:
    """Hand out no more work."""
    return operation_answers.operation(await control.pause(world, operation_id, initiator))


@router.post("/operations/{operation_id}/resume")
async def resume(world: TheWorld, initiator: TheInitiator, operation_id: TheId) -> Json:
    """Continue a paused operation."""
    return operation_answers.operation(await control.resume(world, operation_id, initiator))


@router.post("/operations/{operation_id}/cancel")
async def cancel(
    world: TheWorld, starter: TheStarter, initiator: TheInitiator, operation_id: TheId, body: Cancel | None = None
) -> Response:
    """End an operation; completed work stays. With `restore`, a new operation (202, Location) restores the former
    assignment of the group, also the options that the operation has set."""
    if body is None or body.assignment == "keep":
        return JSONResponse(operation_answers.operation(await control.cancel(world, operation_id, initiator)))
    starter.check_options(await queries.operation(world, operation_id))
    restoring = await cancel_and_restore(world, operation_id, initiator)
    return accepted(f"/api/operations/{restoring.id}", operation_answers.operation(restoring))


@router.get("/approvals")
async def list_approvals(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Operations that wait for a person to approve or reject their removals. Each shows its requester, the protected
    people who would lose licenses, the possible approvers, and what happens without a decision."""
    roles = who_allows(Access.APPROVE, request.app.state.doors().sign_in.directory_roles)
    found, token = answers.part(await waiting_approvals(world), paging.top, paging.after)
    return answers.page(request, (operation_answers.approval(each, *roles) for each in found), token)
