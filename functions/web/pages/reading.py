"""Pages to look at: licenses, a license, groups, a group, operations, approvals, a user, the audit log, health."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from functions.web.answers import ORIGIN_WORDS
from functions.web.context import TheWorld
from functions.web.errors import HttpError
from functions.web.pages.rendering import HEADERS, HERE, fragment, page, product_names
from functions.web.requests import Guid, OperationIdText
from functions.web.searching import Shown, TheAuditSearch, TheMemberFilter, member_query, shown_members
from shared.domain.ids import GroupId, OperationId, SkuId, UserId
from shared.domain.operation import is_collecting
from shared.handlers.views import health, license_center, queries
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

ROWS = 50
SHOWN_OPERATIONS = 30
STATIC = {
    "site.css": "text/css; charset=utf-8",
    "site.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""The files that are served; any other name is not found."""

ACTIVITIES = (
    "Set group license",
    "Start applying group based license to users",
    "Finish applying group based license to users",
    "Change user license",
    "Set license properties",
    "Approve license removals",
    "Reject license removals",
    "Adopt user license",
)
"""Activities that are offered for a search; any part of any other can be typed."""

Text = Annotated[str, Query(max_length=license_center.MAX_SEARCH)]
Token = Annotated[str | None, Query(min_length=1, max_length=2048)]


@router.get("/")
async def home() -> Response:
    return RedirectResponse("/licenses", 302)


@router.get("/static/{name}")
async def static(name: str) -> Response:
    """Style and script of the page; they hold no data."""
    if name not in STATIC:
        raise HttpError(404, "NotFound", "There is no such file.")
    body = (HERE / "static" / name).read_bytes()
    return Response(body, 200, {**HEADERS, "Cache-Control": "public, max-age=3600"}, STATIC[name])


@router.get("/licenses")
async def licenses(request: Request, world: TheWorld) -> Response:
    return page(request, "licenses.html", products=await license_center.products(world))


@router.get("/licenses/{sku_id}")
async def license(request: Request, world: TheWorld, sku_id: Guid) -> Response:
    found = next((each for each in await license_center.products(world) if each.sku.sku_id == sku_id), None)
    if found is None:
        raise HttpError(404, "NotFound", "The tenant has no such product.")
    groups = [each for each in await license_center.managed_groups(world) if each.assignment.sku(SkuId(sku_id))]
    groups.sort(key=lambda each: -each.with_errors)
    return page(request, "license.html", product=found, groups=groups)


@router.get("/groups")
async def groups(request: Request, world: TheWorld, search: Text = "", sku: Text = "") -> Response:
    """Groups that give licenses, and those found by name; `sku`: the product that is to be assigned to one."""
    found = await license_center.find_groups(world, search) if search.strip() else None
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
    key = GroupId(group_id)
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
        query=member_query(show, wanted),
        names=await queries.sku_names(world),
        plans=await plan_names(world),
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


@router.get("/operations")
async def operations(request: Request, world: TheWorld, after: Token = None) -> Response:
    found, token = await queries.operations(world, SHOWN_OPERATIONS, after)
    return page(request, "operations.html", operations=found, token=token, groups=await group_names(world))


@router.get("/operations/{operation_id}")
async def operation(request: Request, world: TheWorld, operation_id: OperationIdText, after: Token = None) -> Response:
    found = await queries.operation(world, OperationId(operation_id))
    members, token = await queries.planned_members(world, found.id, ROWS, after)
    shown = [each for each in members if each.action.due or found.preview]
    return page(
        request,
        "operation.html",
        operation=found,
        now=world.clock.now(),
        collecting=is_collecting(found),
        members=shown,
        people=await license_center.names_of(world, [each.user_id for each in shown]),
        token=token,
        names=await queries.sku_names(world),
        products=await product_words(world),
        groups=await license_center.named(world, await group_names(world), found.target.group_id),
    )


@router.get("/operations/{operation_id}/progress")
async def progress(world: TheWorld, operation_id: OperationIdText) -> Response:
    """The live part of an operation's page."""
    found = await queries.operation(world, OperationId(operation_id))
    return fragment("progress.html", operation=found, now=world.clock.now())


@router.get("/approvals")
async def approvals(request: Request, world: TheWorld) -> Response:
    waiting = await queries.approvals(world)
    shown = [(each, is_collecting(each)) for each in waiting]
    return page(request, "approvals.html", approvals=shown, groups=await group_names(world))


@router.get("/users")
async def users(request: Request, world: TheWorld, search: Text = "") -> Response:
    found = await license_center.find_users(world, search) if search.strip() else None
    return page(request, "users.html", search=search, found=found)


@router.get("/users/{user_id}")
async def user(request: Request, world: TheWorld, user_id: Guid) -> Response:
    found = await license_center.person(world, UserId(user_id))
    return page(
        request,
        "user.html",
        person=found,
        history=await license_center.history(world, found.user.id),
        names=await queries.sku_names(world),
        products=await product_words(world),
        native=await license_center.names_of_groups(
            world, (GroupId(each.state.assigned_by_group) for each in found.licenses if each.state.assigned_by_group)
        ),
        people={found.user.id: found.user.display_name},
        groups=found.names,
        origins=ORIGIN_WORDS,
    )


@router.get("/audit")
async def audit(request: Request, world: TheWorld, search: TheAuditSearch, after: Token = None) -> Response:
    """Users and groups may be named as people name them; downloads have the id that was found."""
    asked = {"user": search.wanted.user_id, "group": search.wanted.group_id}
    groups = await group_names(world)
    search, unknown = await search.resolved(world, groups)
    entries, token = ((), None) if unknown else await search.page(world, ROWS, after)
    return page(
        request,
        "audit.html",
        entries=entries,
        search=search,
        asked=asked,
        unknown=unknown,
        query=urlencode(search.parameters()),
        token=token,
        people=await license_center.names_of(world, sorted({each.user_id for each in entries if each.user_id})),
        groups=groups,
        products=await product_words(world),
        activities=ACTIVITIES,
    )


@router.get("/health")
async def health_page(request: Request, world: TheWorld) -> Response:
    return page(request, "health.html", found=await health.health(world), now=world.clock.now())


@router.get("/health/queues")
async def queues(world: TheWorld) -> Response:
    """The live part of the health page: what waits in the queues, and how much of the write quota is used."""
    looks = await health.queue_looks(world)
    return fragment("queues.html", looks=looks, writes=await health.write_use(world), now=world.clock.now())


async def group_names(world: TheWorld) -> dict[GroupId, str]:
    """Names of managed groups as they were when they were last read."""
    return {each.group_id: each.display_name or each.group_id for each in await world.stores.assignments.all()}


async def plan_names(world: TheWorld) -> dict[str, str]:
    """Names of service plans by id."""
    skus = await queries.subscribed_skus(world)
    return {plan.service_plan_id: plan.service_plan_name for sku in skus for plan in sku.service_plans}


async def product_words(world: TheWorld) -> dict[str, str]:
    """Names of products by SKU, friendly where one is known."""
    known: dict[str, str] = {str(sku_id): name for sku_id, name in (await queries.sku_names(world)).items()}
    return {**known, **product_names()}
