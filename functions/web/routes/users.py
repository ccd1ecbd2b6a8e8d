"""Routes of users and of the tenant: license named users, reconcile one, read licenses, seats, change feed."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from functions.web import answers, audit_answers, health_answers
from functions.web.audit_answers import Json
from functions.web.context import TheInitiator, ThePaging, TheWorld, requires
from functions.web.naming import TheUserId, with_ids
from functions.web.requests import AssignLicenseToUsers, EndingLicenses, UnmanagedLicenses
from functions.web.starting import TheStarter, accepted
from shared.domain.access import Access
from shared.domain.operation import LicenseChange, Target
from shared.handlers.maintenance.person import erase_person, export_person
from shared.handlers.operations import user_decisions
from shared.handlers.views import queries

router = APIRouter(prefix="/api", tags=["users"])

OPEN_KEEP = (
    "Names and attributes of the person, without which the events cannot be carried out. Erase again when they end."
)


@router.post("/users/assignLicense", status_code=202)
async def assign_license_to_users(
    world: TheWorld, starter: TheStarter, body: AssignLicenseToUsers, preview: bool = False
) -> Response:
    """Change the licenses of named users; `preview=true` only plans."""
    body = await with_ids(world, body)
    request = replace(starter.request(Target(user_ids=body.users())), change=body.change(), preview=preview)
    return await starter.start(request, body.approved_preview)


@router.post("/users/{user_id}/reprocessLicenseAssignment", status_code=202)
async def reprocess_user(starter: TheStarter, user_id: TheUserId) -> Response:
    """Reconcile one user; earlier rejections do not count."""
    return await starter.start(replace(starter.request(Target(user_ids=(user_id,))), reprocess=True))


@router.post("/users/{user_id}/adoptLicenses", status_code=202)
async def adopt_user_licenses(
    world: TheWorld, starter: TheStarter, user_id: TheUserId, body: UnmanagedLicenses, preview: bool = False
) -> Response:
    """Manage unmanaged licenses of one user that a group assigns; apps that are on stay on."""
    request = replace(
        starter.request(Target(user_ids=(user_id,))),
        change=LicenseChange(manage=(await with_ids(world, body)).skus()),
        preview=preview,
    )
    return await starter.start(request)


@router.post("/users/{user_id}/enableServicePlans", status_code=202)
async def enable_user_service_plans(
    world: TheWorld, starter: TheStarter, user_id: TheUserId, body: UnmanagedLicenses, preview: bool = False
) -> Response:
    """Turn on missing apps of a group in unmanaged licenses of one user, which stay unmanaged."""
    request = replace(
        starter.request(Target(user_ids=(user_id,))),
        change=LicenseChange(enable=(await with_ids(world, body)).skus()),
        preview=preview,
    )
    return await starter.start(request)


@router.post("/users/{user_id}/keepLicenses", status_code=204)
async def keep_user_licenses(
    world: TheWorld, initiator: TheInitiator, user_id: TheUserId, body: EndingLicenses
) -> None:
    """Let a user keep licenses that are in grace or held, until a person asks for their removal."""
    await user_decisions.keep_licenses(world, user_id, (await with_ids(world, body)).skus(), initiator)


@router.post("/users/{user_id}/removeLicensesNow", status_code=202)
async def remove_user_licenses_now(
    world: TheWorld, initiator: TheInitiator, user_id: TheUserId, body: EndingLicenses
) -> Response:
    """Remove licenses that are in grace, held or kept; they are removed after the removal window and a second read."""
    await user_decisions.remove_licenses_now(world, user_id, (await with_ids(world, body)).skus(), initiator)
    return accepted(f"/api/users/{user_id}")


@router.get("/users/{user_id}/export")
async def export_user(world: TheWorld, user_id: TheUserId) -> Response:
    """Everything that is stored about a user: rows by table, HR events with their raw content, and audit entries about
    the user or of what the user did."""
    parts = audit_answers.person(await export_person(world, user_id))
    return StreamingResponse(parts, 200, media_type="application/json")


@router.post("/users/{user_id}/erase")
async def erase_user(request: Request, world: TheWorld, initiator: TheInitiator, user_id: TheUserId) -> Json:
    """Erase a user's names, member status, HR events that have ended, and kept messages that mention the user. In what
    others need, such as an operation that the user requested, the ID takes the place of the name. It needs
    Licensing.Approve too. What proves which licenses are the app's stays, and so do audit entries, which have IDs only.
    `openEvents` keep the names until they end; then erase again. Nobody can erase their own data."""
    requires(request, Access.APPROVE)
    done = await erase_person(world, user_id, initiator)
    return {
        "erased": dict(done.erased),
        "openEvents": list(done.open_events),
        "openEventsKeep": OPEN_KEEP if done.open_events else None,
    }


@router.get("/users/{user_id}/licenses")
async def list_user_licenses(request: Request, world: TheWorld, user_id: TheUserId, paging: ThePaging) -> Json:
    """The user's licenses as the directory has them, each with where it comes from."""
    found, token = answers.part(await queries.user_licenses(world, user_id), paging.top, paging.after)
    names = await queries.sku_names(world)
    return answers.page(request, (answers.user_license(license, names) for license in found), token)


@router.get("/subscribedSkus")
async def list_subscribed_skus(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """The tenant's products with their licenses, as Graph has them."""
    found, token = answers.part(await queries.subscribed_skus(world), paging.top, paging.after)
    return answers.page(request, map(answers.subscribed_sku, found), token)


@router.get("/changeFeed")
async def get_change_feed(world: TheWorld) -> Json:
    """How membership changes reach the app: the subscription, its last notification, and the last delta query."""
    return health_answers.change_feed(await queries.change_feed(world))
