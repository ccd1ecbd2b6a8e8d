"""Pages of users: find one, show the licenses and their reasons, and decide about them."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheInitiator, TheWorld
from functions.web.pages.forms import TheForm, guid_of
from functions.web.pages.names import product_words
from functions.web.pages.person_words import ENTRA, ENTRA_GROUP, M365, events, source_words
from functions.web.pages.rendering import page, see
from functions.web.pages.unmanaged import Takeover, preview_takeover
from functions.web.requests import Guid
from functions.web.starting import TheStarter
from shared.domain.grant import SourceKind
from shared.domain.ids import GroupId, SkuId, UserId
from shared.domain.operation import Target
from shared.domain.pending_removal import TENANT
from shared.handlers.operations import user_decisions
from shared.handlers.operations.accept import accept
from shared.handlers.views import license_center, queries
from shared.handlers.views.approvals import approval_of

router = APIRouter(include_in_schema=False)


@router.get("/users")
async def users(request: Request) -> Response:
    return page(request, "users.html", search="", people=None)


@router.post("/users")
async def find_users(request: Request, world: TheWorld, form: TheForm) -> Response:
    """By a form that is sent: an address with a name would be in access logs, in the history, and in referrers."""
    form.one("search")
    search = form.short("search")
    return page(request, "users.html", search=search, people=await license_center.find_users(world, search))


@router.get("/users/{user_id}")
async def user(request: Request, world: TheWorld, user_id: Guid) -> Response:
    found = await license_center.person(world, UserId(user_id))
    products = await product_words(world)
    entries = await license_center.history(world, found.user.id)
    native = (GroupId(each.state.assigned_by_group) for each in found.licenses if each.state.assigned_by_group)
    groups = {**await license_center.names_of_groups(world, native), **found.names}
    return page(
        request,
        "user.html",
        person=found,
        history=events(entries, found.rows, groups, products),
        names=await queries.sku_names(world),
        products=products,
        groups=groups,
        source_words=source_words,
        portals=[("Microsoft 365 admin center", M365.format(user_id)), ("Microsoft Entra", ENTRA.format(user_id))],
        of_native_group=ENTRA_GROUP,
        approvals={
            each.state.sku_id: await approval_of(
                world,
                (source.group_id for source in each.through if source.group_id),
                by_tenant=each.ending.source.id == TENANT,
            )
            for each in found.licenses
            if each.ending is not None and each.ending.source.kind is SourceKind.HELD
        },
    )


@router.post("/users/{user_id}/reprocess")
async def reprocess_user(world: TheWorld, starter: TheStarter, user_id: Guid) -> Response:
    """Look at one user again."""
    request = starter.request(Target(user_ids=(UserId(user_id),)))
    operation = await accept(world, replace(request, reprocess=True))
    return see(f"/operations/{operation.id}")


@router.post("/users/{user_id}/keep")
async def keep(world: TheWorld, initiator: TheInitiator, user_id: Guid, form: TheForm) -> Response:
    """Let a user keep a license that is in grace or held."""
    await user_decisions.keep_licenses(world, UserId(user_id), [SkuId(guid_of(form.one("sku"), "sku"))], initiator)
    return see(f"/users/{user_id}", "licenseKept")


@router.post("/users/{user_id}/remove")
async def remove_now(world: TheWorld, initiator: TheInitiator, user_id: Guid, form: TheForm) -> Response:
    """Remove a license that is in grace, held or kept."""
    await user_decisions.remove_licenses_now(
        world, UserId(user_id), [SkuId(guid_of(form.one("sku"), "sku"))], initiator
    )
    return see(f"/users/{user_id}", "licenseRemoved")


@router.post("/users/{user_id}/{unmanaged}")
async def take_over_of_user(
    world: TheWorld, starter: TheStarter, user_id: Guid, unmanaged: Takeover, form: TheForm
) -> Response:
    """Preview: manage a user's unmanaged licenses, or turn on missing apps in them."""
    return await preview_takeover(world, starter, Target(user_ids=(UserId(user_id),)), unmanaged, form)
