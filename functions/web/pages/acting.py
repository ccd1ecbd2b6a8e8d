"""What a person does on the page: choose licenses, preview, confirm, decide. Every POST ends with a redirect."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheActor, TheWorld
from functions.web.errors import HttpError
from functions.web.pages.forms import Form, TheForm
from functions.web.pages.rendering import fragment, page, see
from functions.web.shapes import Guid, OperationIdText, OptionsPatch, guid
from functions.web.starting import Starter, TheStarter
from shared.domain.catalog import Catalog
from shared.domain.errors import AssignmentError, BadRequest
from shared.domain.model import (
    AssignedLicense,
    GroupId,
    GroupLicenseAssignment,
    OperationId,
    ServicePlanId,
    SkuId,
    SwitchedOffPlan,
    UserId,
)
from shared.domain.operation import LicenseChange, Target
from shared.handlers import center, control, ending, queries
from shared.handlers.letters import replay
from shared.handlers.requests import OperationRequest, accept, changed, set_options
from shared.ports import World

router = APIRouter(include_in_schema=False)

MAX_TRIES = 5


@router.get("/groups/{group_id}/assign")
async def choose(request: Request, world: TheWorld, group_id: Guid) -> Response:
    """The assign dialog: products and service plans of one group."""
    group = await world.directory.group(GroupId(group_id))
    stored = await world.stores.assignments.get(group.id)
    products = [view.sku for view in await center.products(world)]
    return page(
        request,
        "assign.html",
        group=group,
        hindrance=center.hindrance(group),
        products=products,
        assignment=stored.assignment if stored else None,
    )


@router.post("/groups/{group_id}/assign")
async def preview(world: TheWorld, starter: TheStarter, group_id: Guid, form: TheForm) -> Response:
    """Preview what was chosen: nothing is written before it is confirmed."""
    change = await chosen(world, GroupId(group_id), form)
    operation = await accept(world, replace(_asked(starter, group_id), change=change, preview=True))
    return see(f"/operations/{operation.id}")


@router.post("/groups/{group_id}/assign/check")
async def check(world: TheWorld, group_id: Guid, form: TheForm) -> Response:
    """What is wrong with a choice, and which plans would be switched off, while it is being made."""
    stored = await world.stores.assignments.get(GroupId(group_id))
    assignment = stored.assignment if stored else GroupLicenseAssignment(GroupId(group_id))
    catalog = Catalog({sku.sku_id: sku for sku in await queries.subscribed_skus(world)})
    fault = ""
    off: tuple[tuple[SkuId, SwitchedOffPlan], ...] = ()
    try:
        change = await chosen(world, GroupId(group_id), form)
        off = tuple(
            (sku.sku_id, plan) for sku in changed(assignment, change, catalog).skus for plan in sku.switched_off
        )
    except (BadRequest, AssignmentError) as found:
        fault = str(found)
    except HttpError as found:
        fault = "" if found.code == "NothingToChange" else found.message
    return fragment("warnings.html", fault=fault, off=off, plan_name=catalog.plan_name)


async def chosen(world: World, group_id: GroupId, form: Form) -> LicenseChange:
    """The change a form asks for: ticked products with the plans that are not ticked off, and those no longer ticked.

    Raises HttpError where nothing would change.
    """
    stored = await world.stores.assignments.get(group_id)
    now = {sku.sku_id: sku.requested_disabled_plans for sku in stored.assignment.skus} if stored else {}
    catalog = {sku.sku_id: sku for sku in await queries.subscribed_skus(world)}
    wanted: dict[SkuId, frozenset[ServicePlanId]] = {}
    for text in form.all("sku"):
        sku_id = SkuId(_guid(text, "sku"))
        if sku_id not in catalog:
            raise HttpError(400, "InvalidRequest", f"The tenant has no product {sku_id}.", "sku")
        on = {ServicePlanId(_guid(plan, "plan")) for plan in form.all(f"plan-{sku_id}")}
        shown = {plan.service_plan_id for plan in catalog[sku_id].service_plans if plan.applies_to == "User"}
        wanted[sku_id] = frozenset(shown - on)
    add = tuple(AssignedLicense(sku, off) for sku, off in wanted.items() if sku not in now or now[sku] != off)
    remove = tuple(sorted(now.keys() - wanted.keys()))
    if not add and not remove:
        raise HttpError(400, "NothingToChange", "Nothing was changed: tick a product, or change its service plans.")
    return LicenseChange(add, remove)


def _guid(text: str, name: str) -> str:
    try:
        return guid(text)
    except ValueError as fault:
        raise HttpError(400, "InvalidRequest", f"{name} {fault}", name) from fault


@router.post("/operations/{operation_id}/confirm")
async def confirm(world: TheWorld, starter: TheStarter, operation_id: OperationIdText, form: TheForm) -> Response:
    """Do what a preview has shown; its checksum approves the removals it showed."""
    shown = await queries.operation(world, OperationId(operation_id))
    if not shown.preview or shown.checksum != form.one("checksum"):
        raise HttpError(409, "ChecksumMismatch", "The preview is a different one; look at it again.")
    request = starter.request(shown.target)
    operation = await accept(world, replace(request, change=shown.change, preview_id=shown.id))
    return see(f"/operations/{operation.id}")


@router.post("/operations/{operation_id}/{act}")
async def decide(world: TheWorld, actor: TheActor, operation_id: OperationIdText, act: str, form: TheForm) -> Response:
    """Approve, reject, review, pause, resume or cancel."""
    key = OperationId(operation_id)
    match act:
        case "approve":
            await control.approve(world, key, form.one("checksum"), actor)
        case "reject":
            await control.reject(world, key, actor)
        case "review":
            await control.review(world, key, actor)
        case "pause":
            await control.pause(world, key, actor)
        case "resume":
            await control.resume(world, key, actor)
        case "cancel":
            await control.cancel(world, key, actor)
        case _:
            raise HttpError(404, "NotFound", "There is no such act.")
    return see(f"/operations/{key}")


@router.post("/groups/{group_id}/reprocess")
async def reprocess_group(world: TheWorld, starter: TheStarter, group_id: Guid) -> Response:
    """Look at every member again."""
    operation = await accept(world, replace(_asked(starter, group_id), reprocess=True))
    return see(f"/operations/{operation.id}")


@router.post("/groups/{group_id}/options")
async def options(world: TheWorld, actor: TheActor, group_id: Guid, form: TheForm) -> Response:
    """Set the options of an assignment; what a form leaves unticked is off."""
    days = form.get("grace_days", "0") or "0"
    location = form.get("usage_location").upper() or None
    try:
        body = OptionsPatch.model_validate(
            {
                "usageLocation": location,
                "requireUsageLocation": form.has("require_usage_location"),
                "includeGuests": form.has("include_guests"),
                "includeDisabledAccounts": form.has("include_disabled_accounts"),
                "grace": f"P{int(days)}D",
                "excludedGroups": form.get("excluded_groups").split(),
            }
        )
    except ValueError as fault:
        raise HttpError(400, "InvalidRequest", f"The options cannot be set: {str(fault)[:300]}") from fault
    shown = form.one("version")
    stored = await queries.assignment(world, GroupId(group_id))
    if shown != str(stored.assignment.version):
        raise HttpError(
            409, "Conflict", "Somebody else has changed the assignment meanwhile; look at it again.", "version"
        )
    await set_options(
        world, GroupId(group_id), body.applied_to(stored.assignment.options), actor, stored.assignment.version
    )
    return see(f"/groups/{group_id}")


@router.post("/users/{user_id}/reprocess")
async def reprocess_user(world: TheWorld, starter: TheStarter, user_id: Guid) -> Response:
    """Look at one user again."""
    request = starter.request(Target(user_ids=(UserId(user_id),)))
    operation = await accept(world, replace(request, reprocess=True))
    return see(f"/operations/{operation.id}")


@router.post("/users/{user_id}/keep")
async def keep(world: TheWorld, actor: TheActor, user_id: Guid, form: TheForm) -> Response:
    """Let a user keep a license that is in grace or held."""
    await ending.keep_licenses(world, UserId(user_id), [SkuId(_guid(form.one("sku"), "sku"))], actor)
    return see(f"/users/{user_id}")


@router.post("/users/{user_id}/remove")
async def remove_now(world: TheWorld, actor: TheActor, user_id: Guid, form: TheForm) -> Response:
    """Remove a license that is in grace, held or kept."""
    await ending.remove_licenses_now(world, UserId(user_id), [SkuId(_guid(form.one("sku"), "sku"))], actor)
    return see(f"/users/{user_id}")


@router.post("/health/replay/{letter_id}")
async def replay_letter(world: TheWorld, actor: TheActor, letter_id: OperationIdText) -> Response:
    """Send a message that could not be done back to its queue."""
    await replay(world, letter_id, actor)
    return see("/health")


@router.post("/groups/{group_id}/{foreign}")
async def take_over(
    world: TheWorld, starter: TheStarter, group_id: Guid, foreign: Literal["adopt", "enable"], form: TheForm
) -> Response:
    """Preview: manage members' licenses that somebody else gave, or turn on plans in them that the group grants."""
    return await _foreign(world, starter, Target(group_id=GroupId(group_id)), foreign, form)


@router.post("/users/{user_id}/{foreign}")
async def take_over_of_user(
    world: TheWorld, starter: TheStarter, user_id: Guid, foreign: Literal["adopt", "enable"], form: TheForm
) -> Response:
    """The same for one user."""
    return await _foreign(world, starter, Target(user_ids=(UserId(user_id),)), foreign, form)


async def _foreign(world: World, starter: Starter, target: Target, foreign: str, form: Form) -> Response:
    skus = (SkuId(_guid(form.one("sku"), "sku")),)
    change = LicenseChange(adopt=skus) if foreign == "adopt" else LicenseChange(enable=skus)
    operation = await accept(world, replace(starter.request(target), change=change, preview=True))
    return see(f"/operations/{operation.id}")


def _asked(starter: Starter, group_id: str) -> OperationRequest:
    return starter.request(Target(group_id=GroupId(group_id)))
