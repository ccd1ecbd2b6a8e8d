"""Pages of operations and of approvals: what is going on, one operation, and what a person decides about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web import answers, predictions
from functions.web.context import TheInitiator, TheWorld
from functions.web.errors import HttpError
from functions.web.pages.downloads import csv_text, download, streamed_csv
from functions.web.pages.error_pages import changed_meanwhile
from functions.web.pages.forms import TheForm, must_name_people
from functions.web.pages.names import group_names, plan_names, product_words
from functions.web.pages.parameters import ROWS, ThePlace
from functions.web.pages.rendering import fragment, page, product_name, see
from functions.web.predictions import TheErrorFilter
from functions.web.requests import OperationIdText
from functions.web.starting import TheStarter
from shared.domain.access import Access, who_allows
from shared.domain.errors import Conflict, Outdated
from shared.domain.ids import OperationId, UserId
from shared.domain.initiator import Initiator
from shared.domain.operation import Operation, OperationState, is_collecting
from shared.handlers.operations import approvals, control
from shared.handlers.operations.accept import accept
from shared.handlers.operations.rollback import cancel_and_restore
from shared.handlers.views import license_center, queries
from shared.handlers.views.approvals import (
    WaitingApproval,
    described,
    held_so_far,
    moves_waiting,
    waiting_approvals,
    why_not,
)
from shared.handlers.views.predicted_errors import Sort, named, predicted_errors
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

SHOWN_OPERATIONS = 30
MOST_HELD = 100
"""Users of an approval that is not reviewed yet, on its page; the download has all."""
NAMES_AT_ONCE = 100


DONE = {
    "approve": "removalsApproved",
    "reject": "removalsRejected",
    "review": "reviewStarted",
    "pause": "operationPaused",
    "resume": "operationResumed",
    "cancel": "operationCancelled",
}


@router.get("/operations")
async def operations(request: Request, world: TheWorld, place: ThePlace) -> Response:
    found, token = await queries.operations(world, SHOWN_OPERATIONS, place.after)
    return page(request, "operations.html", operations=found, token=token, place=place, groups=await group_names(world))


@router.get("/operations/{operation_id}")
async def operation(request: Request, world: TheWorld, operation_id: OperationIdText, place: ThePlace) -> Response:
    found = await queries.operation(world, OperationId(operation_id))
    members, token = await queries.planned_members(world, found.id, ROWS, place.after)
    shown = [each for each in members if each.action.due or found.preview]
    waiting = await described(world, found) if found.state is OperationState.AWAITING_APPROVAL else None
    initiator: Initiator = request.scope["principal"].initiator
    return page(
        request,
        "operation.html",
        operation=found,
        now=world.clock.now(),
        collecting=is_collecting(found),
        waiting=waiting,
        why_not=await why_not(world, waiting, initiator) if waiting else "",
        members=shown,
        people=await license_center.names_of(world, _named(shown, found, waiting)),
        token=token,
        place=place,
        names=await queries.sku_names(world),
        products=await product_words(world),
        plans=await plan_names(world),
        groups=await license_center.named(world, await group_names(world), found.target.group_id),
    )


def _named(shown: Sequence[queries.PlannedMember], found: Operation, waiting: WaitingApproval | None) -> list[UserId]:
    held = list(waiting.held)[:MOST_HELD] if waiting else []
    return [*(each.user_id for each in shown), *found.plan.protected, *held]


@router.get("/operations/{operation_id}/held.csv")
async def held_csv(world: TheWorld, operation_id: OperationIdText) -> Response:
    """The users whose removals an approval holds before its review."""
    found = await queries.operation(world, OperationId(operation_id))
    held = await held_so_far(world, found) if is_collecting(found) else {}
    names, products = await _names_of(world, list(held)), await queries.sku_names(world)

    async def rows() -> AsyncIterator[list[tuple[object, ...]]]:
        yield [
            (user, names.get(user, ""), sku, product_name(sku, products.get(sku, "")), found.reason)
            for user, skus in held.items()
            for sku in skus
        ]

    return streamed_csv(f"held-{found.id}.csv", ("userId", "name", "skuId", "product", "reason"), rows())


async def _names_of(world: World, users: Sequence[UserId]) -> dict[UserId, str]:
    names: dict[UserId, str] = {}
    for start in range(0, len(users), NAMES_AT_ONCE):
        names |= await license_center.names_of(world, users[start : start + NAMES_AT_ONCE])
    return names


@router.get("/operations/{operation_id}/errors")
async def errors(
    request: Request, world: TheWorld, operation_id: OperationIdText, wanted: TheErrorFilter, place: ThePlace
) -> Response:
    """The errors that a preview predicts."""
    key = OperationId(operation_id)
    found = await predicted_errors(world, key, wanted)
    rows, token = answers.part(found, ROWS, place.after)
    return page(
        request,
        "predicted_errors.html",
        operation=await queries.operation(world, key),
        rows=rows,
        total=len(found),
        token=token,
        place=place,
        wanted=wanted,
        query=predictions.query(wanted),
        fields=predictions.parameters(wanted),
        people=await named(world, rows),
        names=await queries.sku_names(world),
        sorts=Sort,
    )


@router.get("/operations/{operation_id}/errors.csv")
async def errors_csv(world: TheWorld, operation_id: OperationIdText, wanted: TheErrorFilter) -> Response:
    """All of them that pass, in a file."""
    found = await predicted_errors(world, OperationId(operation_id), wanted)
    people, names = await named(world, found), await queries.sku_names(world)
    text = csv_text(predictions.COLUMNS, (predictions.cells(row, people, names) for row in found))
    return download(f"predicted-errors-{operation_id}.csv", text, "text/csv")


@router.get("/operations/{operation_id}/progress")
async def progress(world: TheWorld, operation_id: OperationIdText) -> Response:
    """The live part of an operation's page."""
    found = await queries.operation(world, OperationId(operation_id))
    return fragment("progress.html", operation=found, now=world.clock.now())


@router.get("/approvals")
async def approvals_page(request: Request, world: TheWorld) -> Response:
    waiting = await waiting_approvals(world)
    initiator: Initiator = request.scope["principal"].initiator
    return page(
        request,
        "approvals.html",
        approvals=[(each, await why_not(world, each, initiator)) for each in waiting],
        groups=await group_names(world),
        names=await queries.sku_names(world),
        people=await license_center.names_of(world, sorted({user for each in waiting for user in each.protected})),
        moves=await moves_waiting(world),
        roles=who_allows(Access.APPROVE, request.app.state.doors().sign_in.directory_roles),
    )


@router.post("/operations/{operation_id}/confirm")
async def confirm(world: TheWorld, starter: TheStarter, operation_id: OperationIdText, form: TheForm) -> Response:
    """Do what a preview has shown, once, as long as the group gives what it gave then. If the caller can approve, the
    checksum approves the removals that were shown; else removals beyond the allowance wait for an approver."""
    shown = await queries.operation(world, OperationId(operation_id))
    if not shown.preview or shown.checksum != form.one("checksum"):
        raise Outdated("The preview has changed. Read it again.")
    if not shown.target.is_group:
        starter.require(Access.WRITE)
    starter.check_options(shown)
    if starter.can_approve:
        starter.check_removals(shown)
    must_name_people(form, shown.checksum, shown.plan.users_losing)
    request = replace(
        starter.request(shown.target),
        change=shown.change,
        preview_id=shown.id if starter.can_approve or not shown.plan.users_losing else None,
        idempotency_key=f"confirm-{shown.id}",
        if_match=shown.intent_version if shown.target.is_group else None,
    )
    try:
        operation = await accept(world, request)
    except Conflict as lost:
        raise changed_meanwhile() from lost
    return see(f"/operations/{operation.id}")


@router.post("/operations/{operation_id}/{act}")
async def decide(
    world: TheWorld,
    starter: TheStarter,
    initiator: TheInitiator,
    operation_id: OperationIdText,
    act: str,
    form: TheForm,
) -> Response:
    """Approve, reject, review, pause, resume or cancel."""
    key = OperationId(operation_id)
    match act:
        case "approve":
            waiting = await queries.operation(world, key)
            must_name_people(form, waiting.checksum, waiting.plan.users_losing)
            await approvals.approve(world, key, form.one("checksum"), initiator)
        case "reject":
            await approvals.reject(world, key, initiator)
        case "review":
            await approvals.review(world, key, initiator)
        case "pause":
            await control.pause(world, key, initiator)
        case "resume":
            await control.resume(world, key, initiator)
        case "cancel" if form.get("intent") == "former":
            starter.check_options(await queries.operation(world, key))
            key = (await cancel_and_restore(world, key, initiator)).id
        case "cancel":
            await control.cancel(world, key, initiator)
        case _:
            raise HttpError(404, "NotFound", "There is no such act.")
    return see(f"/operations/{key}", DONE[act])
