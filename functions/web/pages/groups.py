"""Pages of groups: find and show one, set its options, manage unmanaged licenses. A POST ends with a redirect."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheInitiator, TheWorld
from functions.web.errors import HttpError
from functions.web.pages.error_pages import changed_meanwhile
from functions.web.pages.forms import Form, TheForm
from functions.web.pages.group_options import ShownOptions, options_of
from functions.web.pages.names import plan_names, product_words
from functions.web.pages.parameters import ROWS, Place, Text, ThePlace, place_of
from functions.web.pages.rendering import fragment, page, see
from functions.web.pages.unmanaged import Takeover, preview_takeover
from functions.web.requests import Guid
from functions.web.searching import Shown, TheMemberFilter, member_fields, shown_members
from functions.web.starting import Starter, TheStarter
from shared.domain.assignment import Engine
from shared.domain.directory import LicenseError
from shared.domain.errors import Conflict
from shared.domain.ids import GroupId
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import MemberFilter
from shared.handlers.operations.accept import accept
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.views import license_center, queries
from shared.ports.world import World

router = APIRouter(include_in_schema=False)


@router.get("/groups")
async def groups(request: Request, world: TheWorld, sku: Text = "") -> Response:
    """Groups that assign licenses; `sku`: the product to assign to one."""
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
    place: ThePlace,
    show: Shown = "errors",
) -> Response:
    stored = await world.stores.assignments.get(GroupId(group_id))
    if stored is not None and stored.assignment.engine is not Engine.DIRECT:
        return see(f"/nativeGroups/{group_id}")
    return await _group_page(request, world, GroupId(group_id), show, wanted, place)


@router.post("/groups/{group_id}")
async def find_members(request: Request, world: TheWorld, group_id: Guid, form: TheForm) -> Response:
    """Members by name, which a form sends: addresses are logged."""
    return await _group_page(request, world, GroupId(group_id), *members_of(form), place_of(form))


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
    request: Request, world: World, key: GroupId, show: Shown, wanted: MemberFilter, place: Place
) -> Response:
    status = await _status(world, key)
    rows, token = await shown_members(world, key, ROWS, place.after, show, wanted)
    return page(
        request,
        "group.html",
        **status,
        rows=rows,
        token=token,
        place=place,
        options=ShownOptions.of(status["assignment"].options),
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


@router.post("/groups/{group_id}/reprocess")
async def reprocess_group(world: TheWorld, starter: TheStarter, group_id: Guid) -> Response:
    """Reconcile every member."""
    operation = await accept(world, replace(_asked(starter, group_id), reprocess=True))
    return see(f"/operations/{operation.id}")


@router.post("/groups/{group_id}/stop-managing")
async def stop_managing(world: TheWorld, starter: TheStarter, group_id: Guid) -> Response:
    """Preview: the group is not managed any more, and its members keep their licenses."""
    assignment = (await queries.assignment(world, GroupId(group_id))).assignment
    change = LicenseChange(remove=tuple(sku.sku_id for sku in assignment.skus), keep=True)
    asked = replace(_asked(starter, group_id), change=change, preview=True, if_match=assignment.version)
    operation = await accept(world, asked)
    return see(f"/operations/{operation.id}")


@router.post("/groups/{group_id}/options")
async def options(world: TheWorld, initiator: TheInitiator, group_id: Guid, form: TheForm) -> Response:
    """Set the options of an assignment; what a form leaves unticked is off."""
    wanted, shown = options_of(form), form.one("version")
    if not shown.isdecimal():
        raise changed_meanwhile()
    try:
        await set_options(world, GroupId(group_id), wanted, initiator, int(shown))
    except Conflict as lost:
        raise changed_meanwhile() from lost
    return see(f"/groups/{group_id}", "optionsSaved")


@router.post("/groups/{group_id}/{unmanaged}")
async def take_over(
    world: TheWorld, starter: TheStarter, group_id: Guid, unmanaged: Takeover, form: TheForm
) -> Response:
    """Preview: manage members' unmanaged licenses, or turn on missing apps in them."""
    return await preview_takeover(world, starter, Target(group_id=GroupId(group_id)), unmanaged, form)


def _asked(starter: Starter, group_id: str) -> OperationRequest:
    return starter.request(Target(group_id=GroupId(group_id)))
