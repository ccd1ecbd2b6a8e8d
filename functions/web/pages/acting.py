"""What a person does on the page: choose licenses, preview, confirm, decide. Every POST ends with a redirect."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheActor, TheWorld
from functions.web.errors import HttpError
from functions.web.pages.forms import Form, TheForm
from functions.web.pages.rendering import fragment, page, see
from functions.web.requests import Guid, OperationIdText, OptionsPatch, guid
from functions.web.starting import Starter, TheStarter
from shared.domain.assignment import AssignmentOptions, GroupLicenseAssignment, SwitchedOffPlan
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense
from shared.domain.errors import AssignmentError, BadRequest, Conflict
from shared.domain.ids import GroupId, OperationId, ServicePlanId, SkuId, UserId
from shared.domain.operation import LicenseChange, Target
from shared.handlers.messaging.dead_letters import replay
from shared.handlers.operations import control, user_decisions
from shared.handlers.operations.accept import OperationRequest, accept
from shared.handlers.operations.assignment_changes import changed, set_options
from shared.handlers.operations.rollback import cancel_and_restore
from shared.handlers.views import license_center, queries
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

Wanted = Annotated[str, Query(max_length=36)]


@router.get("/groups/{group_id}/assign")
async def choose(request: Request, world: TheWorld, group_id: Guid, sku: Wanted = "") -> Response:
    """The assign dialog: products and service plans of one group; `sku`: the product that is ticked already."""
    group = await world.directory.group(GroupId(group_id))
    stored = await world.stores.assignments.get(group.id)
    products = [view.sku for view in await license_center.products(world)]
    return page(
        request,
        "assign.html",
        group=group,
        hindrance=license_center.hindrance(group),
        products=products,
        assignment=stored.assignment if stored else None,
        wanted=sku,
        options=AssignmentOptions(),
        excluded={},
    )


@router.post("/groups/{group_id}/assign")
async def preview(world: TheWorld, starter: TheStarter, group_id: Guid, form: TheForm) -> Response:
    """Preview what was chosen: nothing is written before it is confirmed."""
    change = await chosen(world, GroupId(group_id), form)
    if form.has("with_options"):
        change = replace(change, options=_options(form).applied_to(AssignmentOptions()))
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

    Raises HttpError where nothing would change, or where the assignment is not the one that the form showed: what
    somebody else has added meanwhile would look as if it had been unticked.
    """
    stored = await world.stores.assignments.get(group_id)
    if form.one("version") != str(stored.assignment.version if stored else 0):
        raise _changed_meanwhile()
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
    """Do what a preview has shown, once, as long as the group gives what it gave then; the checksum approves the
    removals that were shown."""
    shown = await queries.operation(world, OperationId(operation_id))
    if not shown.preview or shown.checksum != form.one("checksum"):
        raise HttpError(409, "ChecksumMismatch", "The preview is a different one; look at it again.")
    request = replace(
        starter.request(shown.target),
        change=shown.change,
        preview_id=shown.id,
        idempotency_key=f"confirm-{shown.id}",
        if_match=shown.intent_version if shown.target.is_group else None,
    )
    try:
        operation = await accept(world, request)
    except Conflict as lost:
        raise _changed_meanwhile() from lost
    return see(f"/operations/{operation.id}")


def _changed_meanwhile() -> HttpError:
    return HttpError(
        409, "Conflict", "Somebody else has changed the assignment meanwhile; look at it and choose again.", "version"
    )


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
        case "cancel" if form.get("intent") == "former":
            key = (await cancel_and_restore(world, key, actor)).id
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
    body = _options(form)
    shown = form.one("version")
    stored = await queries.assignment(world, GroupId(group_id))
    if shown != str(stored.assignment.version):
        raise _changed_meanwhile()
    await set_options(
        world, GroupId(group_id), body.applied_to(stored.assignment.options), actor, stored.assignment.version
    )
    return see(f"/groups/{group_id}")


def _options(form: Form) -> OptionsPatch:
    """The options of a form. Raises HttpError that names each field that is wrong."""
    days = form.get("grace_days", "0") or "0"
    sent = {
        "usageLocation": form.get("usage_location").upper() or None,
        "requireUsageLocation": form.has("require_usage_location"),
        "includeGuests": form.has("include_guests"),
        "includeDisabledAccounts": form.has("include_disabled_accounts"),
        "countInherited": form.has("count_inherited"),
        "allowNativeOverlap": form.has("allow_native_overlap"),
        "dependencies": form.get("dependencies", "sameGroup"),
        "priority": form.get("priority", "0") or "0",
        "grace": f"P{days}D",
        "excludedGroups": form.get("excluded_groups").split(),
    }
    try:
        return OptionsPatch.model_validate(sent)
    except ValidationError as fault:
        wrong = [f"{each['loc'][0]}: {each['msg'].removeprefix('Value error, ')}" for each in fault.errors()]
        raise HttpError(400, "InvalidRequest", f"The options cannot be set. {'; '.join(wrong)}.") from fault


@router.post("/users/{user_id}/reprocess")
async def reprocess_user(world: TheWorld, starter: TheStarter, user_id: Guid) -> Response:
    """Look at one user again."""
    request = starter.request(Target(user_ids=(UserId(user_id),)))
    operation = await accept(world, replace(request, reprocess=True))
    return see(f"/operations/{operation.id}")


@router.post("/users/{user_id}/keep")
async def keep(world: TheWorld, actor: TheActor, user_id: Guid, form: TheForm) -> Response:
    """Let a user keep a license that is in grace or held."""
    await user_decisions.keep_licenses(world, UserId(user_id), [SkuId(_guid(form.one("sku"), "sku"))], actor)
    return see(f"/users/{user_id}")


@router.post("/users/{user_id}/remove")
async def remove_now(world: TheWorld, actor: TheActor, user_id: Guid, form: TheForm) -> Response:
    """Remove a license that is in grace, held or kept."""
    await user_decisions.remove_licenses_now(world, UserId(user_id), [SkuId(_guid(form.one("sku"), "sku"))], actor)
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
