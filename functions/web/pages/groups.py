"""Pages of groups: find and show one, choose and preview its licenses, set options. A POST ends with a redirect."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheInitiator, TheWorld
from functions.web.errors import HttpError
from functions.web.pages.error_pages import changed_meanwhile
from functions.web.pages.forms import Form, TheForm, guid_of
from functions.web.pages.names import plan_names, product_words
from functions.web.pages.parameters import ROWS, Text, Token
from functions.web.pages.rendering import fragment, page, see
from functions.web.pages.unmanaged import Takeover, preview_takeover
from functions.web.requests import Guid, OptionsPatch
from functions.web.searching import Shown, TheMemberFilter, member_fields, shown_members
from functions.web.starting import Starter, TheStarter
from shared.domain.access import Access
from shared.domain.assignment import AssignmentOptions, GroupLicenseAssignment, OptionsChange
from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.errors import AssignmentError, BadRequest, Conflict
from shared.domain.group_request import changed, warnings
from shared.domain.ids import GroupId, ServicePlanId, SkuId
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import MemberFilter
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.reconcile.read import read_catalog
from shared.handlers.views import license_center, queries
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

Wanted = Annotated[str, Query(max_length=36)]


@router.get("/groups")
async def groups(request: Request, world: TheWorld, sku: Text = "") -> Response:
    """Groups that give licenses; `sku`: the product to assign to one."""
    return await _groups_page(request, world, "", sku)


@router.post("/groups")
async def find_groups(request: Request, world: TheWorld, form: TheForm) -> Response:
    """Groups by name, which a form sends: addresses are logged."""
    return await _groups_page(request, world, form.short("search"), form.get("sku"))


async def _groups_page(request: Request, world: World, search: str, sku: str) -> Response:
    found = await license_center.find_groups(world, search) if search else None
    managed = await license_center.managed_groups(world)
    return page(request, "groups.html", groups=managed, search=search, found=found, sku=sku)


@router.get("/groups/{group_id}")
async def group(
    request: Request,
    world: TheWorld,
    group_id: Guid,
    wanted: TheMemberFilter,
    show: Shown = "errors",
    after: Token = None,
) -> Response:
    return await _group_page(request, world, GroupId(group_id), show, wanted, after)


@router.post("/groups/{group_id}")
async def find_members(request: Request, world: TheWorld, group_id: Guid, form: TheForm) -> Response:
    """Members by name, which a form sends: addresses are logged."""
    return await _group_page(request, world, GroupId(group_id), *members_of(form), form.get("after") or None)


_SHOWN: TypeAdapter[Shown] = TypeAdapter(Shown)
_ERROR: TypeAdapter[LicenseError | Literal[""]] = TypeAdapter(LicenseError | Literal[""])


def members_of(form: Form) -> tuple[Shown, MemberFilter]:
    """Raises HttpError for a state or problem that does not exist."""
    try:
        show, error = _SHOWN.validate_python(form.get("show", "errors")), _ERROR.validate_python(form.get("error"))
    except ValidationError as fault:
        raise HttpError(400, "InvalidRequest", "show must be a state, errors or all, and error a problem.") from fault
    return show, MemberFilter(form.short("name"), error, form.get("product").lower())


async def _group_page(
    request: Request, world: World, key: GroupId, show: Shown, wanted: MemberFilter, after: str | None
) -> Response:
    status = await _status(world, key)
    rows, token = await shown_members(world, key, ROWS, after, show, wanted)
    return page(
        request,
        "group.html",
        **status,
        rows=rows,
        token=token,
        show=show,
        wanted=wanted,
        fields=member_fields(show, wanted),
        query=urlencode(member_fields(show, wanted)),
        names=await queries.sku_names(world),
        plans=await plan_names(world),
        products=await product_words(world),
        excluded=await license_center.names_of_groups(world, status["assignment"].options.excluded_groups),
    )


@router.get("/groups/{group_id}/live")
async def group_live(world: TheWorld, group_id: Guid) -> Response:
    """The live part of a group's page: its status, and how far open operations are."""
    return fragment("group_status.html", **await _status(world, GroupId(group_id)))


async def _status(world: World, group_id: GroupId) -> dict[str, Any]:
    stored = await queries.assignment(world, group_id)
    operations = [each for each in await world.stores.operations.open() if each.target.group_id == group_id]
    return {
        "assignment": stored.assignment,
        "view": await queries.group_status(world, group_id),
        "operations": [each for each in operations if not each.preview],
        "now": world.clock.now(),
    }


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
    if form.has("with_options"):
        starter.require(Access.CONFIGURE)
    assignment, catalog = await _shown(world, GroupId(group_id))
    request = replace(
        _asked(starter, group_id),
        change=chosen(assignment, catalog, form),
        options=_options(form) if form.has("with_options") else None,
        preview=True,
        if_match=assignment.version,
    )
    operation = await _accepted(world, request)
    return see(f"/operations/{operation.id}")


@router.post("/groups/{group_id}/assign/check")
async def check(world: TheWorld, group_id: Guid, form: TheForm) -> Response:
    """Faults of a choice, and warnings that its preview will show, while it is being made."""
    assignment, catalog = await _shown(world, GroupId(group_id))
    fault = ""
    found: tuple[str, ...] = ()
    try:
        change = chosen(assignment, catalog, form)
        found = warnings(changed(assignment, change, catalog), change, catalog)
    except (BadRequest, AssignmentError) as wrong:
        fault = str(wrong)
    except HttpError as wrong:
        fault = "" if wrong.code == "NothingToChange" else wrong.message
    return fragment("warnings.html", fault=fault, warnings=found)


async def _shown(world: World, group_id: GroupId) -> tuple[GroupLicenseAssignment, Catalog]:
    stored = await world.stores.assignments.get(group_id)
    assignment = stored.assignment if stored else GroupLicenseAssignment(group_id)
    return assignment, await read_catalog(world)


def chosen(assignment: GroupLicenseAssignment, catalog: Catalog, form: Form) -> LicenseChange:
    """The change a form asks for: ticked products with the plans that are not ticked off, and those no longer ticked.

    Raises HttpError if nothing would change, or if the assignment is not the one that the form showed. Otherwise a
    product that another person added meanwhile would count as unticked.
    """
    if form.one("version") != str(assignment.version):
        raise changed_meanwhile()
    now = {sku.sku_id: sku.disabled_plans for sku in assignment.skus}
    wanted: dict[SkuId, frozenset[ServicePlanId]] = {}
    for text in form.all("sku"):
        sku_id = SkuId(guid_of(text, "sku"))
        if sku_id not in catalog.skus:
            raise HttpError(400, "InvalidRequest", f"The tenant has no product {sku_id}.", "sku")
        on = {ServicePlanId(guid_of(plan, "plan")) for plan in form.all(f"plan-{sku_id}")}
        shown = {plan.service_plan_id for plan in catalog.skus[sku_id].service_plans if plan.applies_to == "User"}
        # A plan that the form does not show, such as one that left the product, stays as it is.
        wanted[sku_id] = frozenset(shown - on) | (now.get(sku_id, frozenset()) - shown)
    add = tuple(AssignedLicense(sku, off) for sku, off in wanted.items() if sku not in now or now[sku] != off)
    remove = tuple(sorted(now.keys() - wanted.keys()))
    if not add and not remove:
        raise HttpError(400, "NothingToChange", "Nothing was changed: tick a product, or change its service plans.")
    return LicenseChange(add, remove)


@router.post("/groups/{group_id}/reprocess")
async def reprocess_group(world: TheWorld, starter: TheStarter, group_id: Guid) -> Response:
    """Look at every member again."""
    operation = await accept(world, replace(_asked(starter, group_id), reprocess=True))
    return see(f"/operations/{operation.id}")


@router.post("/groups/{group_id}/options")
async def options(world: TheWorld, initiator: TheInitiator, group_id: Guid, form: TheForm) -> Response:
    """Set the options of an assignment; what a form leaves unticked is off."""
    wanted, shown = _options(form), form.one("version")
    if not shown.isdecimal():
        raise changed_meanwhile()
    try:
        await set_options(world, GroupId(group_id), wanted, initiator, int(shown))
    except Conflict as lost:
        raise changed_meanwhile() from lost
    return see(f"/groups/{group_id}")


def _options(form: Form) -> OptionsChange:
    """The options of a form. Raises HttpError that names each field that is wrong."""
    days = form.get("grace_days", "0") or "0"
    sent = {
        "usageLocation": form.get("usage_location").upper() or None,
        "requireUsageLocation": form.has("require_usage_location"),
        "includeGuests": form.has("include_guests"),
        "includeDisabledAccounts": form.has("include_disabled_accounts"),
        "countInherited": form.has("count_inherited"),
        "allowNativeOverlap": form.has("allow_native_overlap"),
        "priority": form.get("priority", "0") or "0",
        "grace": f"P{days}D",
        "excludedGroups": form.get("excluded_groups").split(),
        "removalAllowance": form.get("removal_allowance") or None,
        "removalAllowanceReason": form.get("removal_allowance_reason"),
    }
    try:
        return OptionsPatch.model_validate(sent).value()
    except ValidationError as fault:
        wrong = [f"{each['loc'][0]}: {each['msg'].removeprefix('Value error, ')}" for each in fault.errors()]
        raise HttpError(400, "InvalidRequest", f"The options cannot be set. {'; '.join(wrong)}.") from fault


@router.post("/groups/{group_id}/{foreign}")
async def take_over(world: TheWorld, starter: TheStarter, group_id: Guid, foreign: Takeover, form: TheForm) -> Response:
    """Preview: manage members' unmanaged licenses, or turn on missing apps in them."""
    return await preview_takeover(world, starter, Target(group_id=GroupId(group_id)), foreign, form)


def _asked(starter: Starter, group_id: str) -> OperationRequest:
    return starter.request(Target(group_id=GroupId(group_id)))


async def _accepted(world: World, request: OperationRequest) -> Operation:
    """Accept a request that was made from one version of the assignment. Raises HttpError if it has another now."""
    try:
        return await accept(world, request)
    except Conflict as lost:
        raise changed_meanwhile() from lost
