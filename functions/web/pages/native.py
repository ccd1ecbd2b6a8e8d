"""Pages of groups that Microsoft's own group-based licensing licenses: their errors, and the acts on them."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheInitiator, TheWorld
from functions.web.errors import HttpError
from functions.web.pages.forms import TheForm
from functions.web.pages.names import product_words
from functions.web.pages.parameters import ROWS, ThePlace
from functions.web.pages.rendering import page, see
from functions.web.requests import Guid
from functions.web.searching import Shown, TheMemberFilter, member_fields, shown_members
from shared.domain.assignment import Engine
from shared.domain.directory import LicenseError
from shared.domain.ids import GroupId, SkuId, UserId
from shared.handlers.membership.native_engine import manage_natively, stop_managing_natively
from shared.handlers.membership.watching import watch_now
from shared.handlers.operations.native_members import diagnose, reprocess_errors
from shared.handlers.views import license_center, queries
from shared.handlers.views.license_center import ManagedGroup

router = APIRouter(include_in_schema=False)

PATH = "/nativeGroups"
_ERROR: TypeAdapter[LicenseError | None] = TypeAdapter(LicenseError | None)


def watched_first(groups: Sequence[ManagedGroup]) -> list[ManagedGroup]:
    """Groups that Microsoft's licensing licenses, those with most errors first."""
    found = [each for each in groups if each.assignment.engine is not Engine.DIRECT]
    return sorted(found, key=lambda each: (-each.status.with_errors, each.assignment.display_name.casefold()))


@router.get("/nativeGroups")
async def native_groups(request: Request, world: TheWorld) -> Response:
    """All of them, with their errors."""
    return page(request, "native_groups.html", groups=watched_first(await license_center.managed_groups(world)))


@router.get("/nativeGroups/{group_id}")
async def native_group(
    request: Request,
    world: TheWorld,
    group_id: Guid,
    wanted: TheMemberFilter,
    place: ThePlace,
    show: Shown = "errors",
) -> Response:
    """One group with its members, at first those in error."""
    key = GroupId(group_id)
    stored = await queries.assignment(world, key)
    if stored.assignment.engine is Engine.DIRECT:
        return see(f"/groups/{key}")
    rows, token = await shown_members(world, key, ROWS, place.after, show, wanted)
    return page(
        request,
        "native_group.html",
        assignment=stored.assignment,
        view=await queries.group_status(world, key),
        rows=rows,
        token=token,
        place=place,
        show=show,
        wanted=wanted,
        fields=member_fields(show, wanted),
        names=await queries.sku_names(world),
        products=await product_words(world),
    )


@router.post("/groups/{group_id}/watch")
async def watch(world: TheWorld, group_id: Guid) -> Response:
    """Read all members now."""
    await watch_now(world, GroupId(group_id))
    return see(f"{PATH}/{group_id}")


@router.post("/groups/{group_id}/manageNatively")
async def manage(world: TheWorld, initiator: TheInitiator, group_id: Guid) -> Response:
    """Let requests on this app change what Microsoft's licensing assigns."""
    await manage_natively(world, GroupId(group_id), initiator)
    return see(f"{PATH}/{group_id}")


@router.post("/groups/{group_id}/stopManagingNatively")
async def stop_managing(world: TheWorld, initiator: TheInitiator, group_id: Guid) -> Response:
    """Only watch the group again."""
    await stop_managing_natively(world, GroupId(group_id), initiator)
    return see(f"{PATH}/{group_id}")


@router.post("/groups/{group_id}/reprocessErrors")
async def reprocess(world: TheWorld, initiator: TheInitiator, group_id: Guid, form: TheForm) -> Response:
    """Process all members in error again, or those with one error or product."""
    try:
        error = _ERROR.validate_python(form.get("error") or None)
    except ValidationError as fault:
        raise HttpError(400, "InvalidRequest", "error must be a problem of a member.") from fault
    sku_id = SkuId(form.get("product").lower()) if form.get("product") else None
    await reprocess_errors(world, GroupId(group_id), error, sku_id, initiator)
    return see(f"{PATH}/{group_id}")


@router.post("/groups/{group_id}/members/{user_id}/diagnose")
async def diagnose_member(world: TheWorld, initiator: TheInitiator, group_id: Guid, user_id: Guid) -> Response:
    """Process one member again and keep the reason that Graph gives."""
    await diagnose(world, GroupId(group_id), UserId(user_id), initiator)
    return see(f"{PATH}/{group_id}")
