"""Routes of groups: license them, and read the assignment, the progress and members with a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.web import answers
from functions.web.audit_answers import Json
from functions.web.context import IfMatch, TheInitiator, ThePaging, TheWorld
from functions.web.names import SkuName
from functions.web.naming import TheGroupId, optional_sku, with_ids
from functions.web.requests import (
    AssignLicenseToGroup,
    OptionsPatch,
    Shape,
    UnmanagedLicenses,
    etag_of,
)
from functions.web.starting import TheStarter
from shared.domain.directory import LicenseError
from shared.domain.ids import SkuId
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, Target
from shared.domain.read_models import MemberFilter, MemberRow
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.views import queries
from shared.handlers.views.license_center import MAX_SEARCH
from shared.ports.stores import StoredAssignment
from shared.ports.world import World

router = APIRouter(prefix="/api/groups", tags=["groups"])


@router.post("/{group_id}/assignLicense", status_code=202)
async def assign_license(
    world: TheWorld,
    starter: TheStarter,
    group_id: TheGroupId,
    body: AssignLicenseToGroup,
    if_match: IfMatch,
    preview: bool = False,
) -> Response:
    """Change the licenses of the group's members; `preview=true` only plans. Options in the body are set with it, the
    others stay."""
    body = await with_ids(world, body)
    request = replace(
        starter.request(Target(group_id=group_id)),
        change=body.change(),
        options=body.options.value() if body.options else None,
        preview=preview,
        if_match=if_match,
        other_changes=body.others(),
    )
    return await starter.start(request, body.approved_preview)


@router.post("/{group_id}/reprocessLicenseAssignment", status_code=202)
async def reprocess(starter: TheStarter, group_id: TheGroupId) -> Response:
    """Reconcile every member; earlier rejections do not count."""
    return await starter.start(replace(starter.request(Target(group_id=group_id)), reprocess=True))


@router.post("/{group_id}/adoptLicenses", status_code=202)
async def adopt_group_licenses(
    world: TheWorld, starter: TheStarter, group_id: TheGroupId, body: UnmanagedLicenses, preview: bool = False
) -> Response:
    """Manage members' unmanaged licenses that the group also assigns; apps that are on stay on."""
    request = replace(
        starter.request(Target(group_id=group_id)),
        change=LicenseChange(manage=(await with_ids(world, body)).skus()),
        preview=preview,
    )
    return await starter.start(request)


@router.post("/{group_id}/enableServicePlans", status_code=202)
async def enable_group_service_plans(
    world: TheWorld, starter: TheStarter, group_id: TheGroupId, body: UnmanagedLicenses, preview: bool = False
) -> Response:
    """Turn on missing apps of the group in members' unmanaged licenses, which stay unmanaged."""
    request = replace(
        starter.request(Target(group_id=group_id)),
        change=LicenseChange(enable=(await with_ids(world, body)).skus()),
        preview=preview,
    )
    return await starter.start(request)


@router.get("/{group_id}/licenseAssignment")
async def get_assignment(world: TheWorld, group_id: TheGroupId) -> Response:
    """The assignment of the group, with its options."""
    return await _assignment(world, await queries.assignment(world, group_id))


@router.patch("/{group_id}/licenseAssignment")
async def patch_assignment(
    world: TheWorld, initiator: TheInitiator, group_id: TheGroupId, body: OptionsPatch, if_match: IfMatch
) -> Response:
    """Change options of the assignment; the others stay. Without If-Match it is merged into whatever is there."""
    options = (await with_ids(world, body)).value()
    return await _assignment(world, await set_options(world, group_id, options, initiator, if_match))


async def _assignment(world: World, stored: StoredAssignment) -> Response:
    found = stored.assignment
    names = await queries.sku_names(world)
    return JSONResponse(answers.assignment(found, names), headers={"ETag": etag_of(found.version)})


@router.get("/{group_id}/status")
async def get_status(world: TheWorld, group_id: TheGroupId) -> Json:
    """The status of a group, with counts of members by state and by product."""
    return answers.group_status(await queries.group_status(world, group_id))


class FindMembers(Shape):
    """The beginning of a name or sign-in name; at most 100 are found."""

    search: Annotated[str, Field(min_length=1, max_length=MAX_SEARCH, examples=["Ada"])]


class FindMembersInState(FindMembers):
    """Members by name, all or those in one state."""

    state: MemberState | None = None


class FindMembersWithErrors(FindMembers):
    """Members by name with an error, or with one problem."""

    error: LicenseError | None = None
    sku_id: SkuName | None = None


@router.get("/{group_id}/members")
async def list_members(
    request: Request,
    world: TheWorld,
    group_id: TheGroupId,
    paging: ThePaging,
    state: MemberState | None = None,
) -> Json:
    """Every recorded member with its state, or those in one state."""
    rows, token = await queries.members(world, group_id, paging.top, paging.after, state)
    return await _members(request, world, rows, token)


@router.post("/{group_id}/members/search")
async def find_members(
    request: Request, world: TheWorld, group_id: TheGroupId, body: FindMembersInState, paging: ThePaging
) -> Json:
    """Recorded members by name. The name is in the body, since addresses are logged."""
    wanted = MemberFilter(body.search.strip())
    rows, token = await queries.members(world, group_id, paging.top, paging.after, body.state, wanted)
    return await _members(request, world, rows, token)


@router.post("/{group_id}/membersWithLicenseErrors/search")
async def find_members_with_errors(
    request: Request, world: TheWorld, group_id: TheGroupId, body: FindMembersWithErrors, paging: ThePaging
) -> Json:
    """Members in error or waiting for a license by name. The name is in the body, since addresses are logged."""
    body = await with_ids(world, body)
    wanted = MemberFilter(body.search.strip(), body.error or "", body.sku_id or "")
    rows, token = await queries.members_with_errors(world, group_id, paging.top, paging.after, wanted)
    return await _members(request, world, rows, token)


@router.get("/{group_id}/membersWithLicenseErrors")
async def list_members_with_license_errors(
    request: Request,
    world: TheWorld,
    group_id: TheGroupId,
    paging: ThePaging,
    error: LicenseError | None = None,
    sku_id: Annotated[SkuName | None, Query(alias="skuId")] = None,
) -> Json:
    """Members in error or waiting for a license, each problem with its remedy. If few of very many have the problem,
    a page can be short or empty and still have a next one."""
    wanted = MemberFilter("", error or "", await optional_sku(world, sku_id) or "")
    rows, token = await queries.members_with_errors(world, group_id, paging.top, paging.after, wanted)
    return await _members(request, world, rows, token)


async def _members(request: Request, world: World, rows: Sequence[MemberRow], token: str | None) -> Json:
    names = await _names(world, rows)
    return answers.page(request, (answers.member(row, names) for row in rows), token)


async def _names(world: World, rows: Sequence[MemberRow]) -> Mapping[SkuId, str]:
    return await queries.sku_names(world) if any(row.problems for row in rows) else {}
