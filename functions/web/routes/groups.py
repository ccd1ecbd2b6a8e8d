"""Routes of groups: license them, and read the assignment, the progress and members with a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.web import answers
from functions.web.audit_answers import Json
from functions.web.context import IfMatch, TheInitiator, ThePaging, TheWorld
from functions.web.requests import (
    DEFAULT_TOP,
    MAX_TOP,
    AssignLicenseToGroup,
    ForeignLicenses,
    Guid,
    OptionsPatch,
    Shape,
    etag_of,
)
from functions.web.searching import NoNames
from functions.web.starting import TheStarter
from shared.domain.directory import LicenseError
from shared.domain.ids import GroupId, SkuId
from shared.domain.member_status import MemberState
from shared.domain.operation import LicenseChange, Target
from shared.domain.read_models import MemberFilter, MemberRow
from shared.handlers.operations.assignment_changes import set_options
from shared.handlers.views import queries
from shared.handlers.views.license_center import MAX_SEARCH
from shared.ports.stores import StoredAssignment
from shared.ports.world import World

router = APIRouter(prefix="/api/groups", tags=["groups"])


async def _id(group_id: Guid) -> GroupId:
    return GroupId(group_id)


TheId = Annotated[GroupId, Depends(_id)]


@router.post("/{group_id}/assignLicense", status_code=202)
async def assign_license(
    starter: TheStarter,
    group_id: TheId,
    body: AssignLicenseToGroup,
    if_match: IfMatch,
    preview: bool = False,
) -> Response:
    """Change what the group's members are licensed with; `preview=true` only says what would happen. Options that are
    given are set with it, the others stay."""
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
async def reprocess(starter: TheStarter, group_id: TheId) -> Response:
    """Look at every member again; refusals of earlier attempts do not count."""
    return await starter.start(replace(starter.request(Target(group_id=group_id)), reprocess=True))


@router.post("/{group_id}/adoptLicenses", status_code=202)
async def adopt_group_licenses(
    starter: TheStarter, group_id: TheId, body: ForeignLicenses, preview: bool = False
) -> Response:
    """Manage members' unmanaged licenses that the group grants; plans that are on stay on."""
    request = replace(
        starter.request(Target(group_id=group_id)), change=LicenseChange(adopt=body.skus()), preview=preview
    )
    return await starter.start(request)


@router.post("/{group_id}/enableServicePlans", status_code=202)
async def enable_group_service_plans(
    starter: TheStarter, group_id: TheId, body: ForeignLicenses, preview: bool = False
) -> Response:
    """Turn on missing apps that the group grants in members' unmanaged licenses, which stay unmanaged."""
    request = replace(
        starter.request(Target(group_id=group_id)), change=LicenseChange(enable=body.skus()), preview=preview
    )
    return await starter.start(request)


@router.get("/{group_id}/licenseAssignment")
async def get_assignment(world: TheWorld, group_id: TheId) -> Response:
    """The assignment of the group, with its options."""
    return await _assignment(world, await queries.assignment(world, group_id))


@router.patch("/{group_id}/licenseAssignment")
async def patch_assignment(
    world: TheWorld, initiator: TheInitiator, group_id: TheId, body: OptionsPatch, if_match: IfMatch
) -> Response:
    """Change options of the assignment; the others stay. Without If-Match it is merged into whatever is there."""
    return await _assignment(world, await set_options(world, group_id, body.value(), initiator, if_match))


async def _assignment(world: World, stored: StoredAssignment) -> Response:
    found = stored.assignment
    names = await queries.sku_names(world)
    return JSONResponse(answers.assignment(found, names), headers={"ETag": etag_of(found.version)})


@router.get("/{group_id}/status")
async def get_status(world: TheWorld, group_id: TheId) -> Json:
    """How far the group is, in the words of the admin center, with counts of members by state."""
    return answers.group_status(await queries.group_status(world, group_id))


class FindMembers(Shape):
    """The beginning of a name or sign-in name; at most 100 are found."""

    search: Annotated[str, Field(min_length=1, max_length=MAX_SEARCH, examples=["Ada"])]
    top: Annotated[int, Field(ge=1, le=MAX_TOP, examples=[100])] = DEFAULT_TOP
    skip_token: Annotated[str, Field(min_length=1, max_length=2048, examples=["0f5c1d7e"])] | None = None


class FindMembersInState(FindMembers):
    """Members by name, all or those in one state."""

    state: MemberState | None = None


class FindMembersWithErrors(FindMembers):
    """Members by name with an error, or with one problem."""

    error: LicenseError | None = None
    sku_id: Guid | None = None


@router.get("/{group_id}/members", dependencies=[NoNames])
async def list_members(
    request: Request,
    world: TheWorld,
    group_id: TheId,
    paging: ThePaging,
    state: MemberState | None = None,
) -> Json:
    """Every recorded member with its state, or those in one state."""
    rows, token = await queries.members(world, group_id, paging.top, paging.after, state)
    return await _members(request, world, paging, rows, token, {"state": str(state)} if state else {})


@router.post("/{group_id}/members/search")
async def find_members(world: TheWorld, group_id: TheId, body: FindMembersInState) -> Json:
    """Recorded members by name. The name is in the body, since addresses are logged."""
    wanted = MemberFilter(body.search.strip())
    rows, token = await queries.members(world, group_id, body.top, body.skip_token, body.state, wanted)
    return await _found(world, rows, token)


@router.post("/{group_id}/membersWithLicenseErrors/search")
async def find_members_with_errors(world: TheWorld, group_id: TheId, body: FindMembersWithErrors) -> Json:
    """Members in error or waiting for a seat by name. The name is in the body, since addresses are logged."""
    wanted = MemberFilter(body.search.strip(), body.error or "", body.sku_id or "")
    rows, token = await queries.members_with_errors(world, group_id, body.top, body.skip_token, wanted)
    return await _found(world, rows, token)


async def _found(world: World, rows: Sequence[MemberRow], token: str | None) -> Json:
    names = await _names(world, rows)
    return {"value": [answers.member(row, names) for row in rows], "skipToken": token}


@router.get("/{group_id}/membersWithLicenseErrors", dependencies=[NoNames])
async def list_members_with_license_errors(
    request: Request,
    world: TheWorld,
    group_id: TheId,
    paging: ThePaging,
    error: LicenseError | None = None,
    sku_id: Annotated[Guid | None, Query(alias="skuId")] = None,
) -> Json:
    """Members in error or waiting for a seat, each problem with its remedy. Where few of very many have the problem
    that is asked for, a page may be short or empty and still have a next one."""
    wanted = MemberFilter("", error or "", sku_id or "")
    rows, token = await queries.members_with_errors(world, group_id, paging.top, paging.after, wanted)
    asked = {name: value for name, value in (("error", wanted.error), ("skuId", wanted.sku_id)) if value}
    return await _members(request, world, paging, rows, token, asked)


async def _members(
    request: Request,
    world: World,
    paging: ThePaging,
    rows: Sequence[MemberRow],
    token: str | None,
    asked: Mapping[str, str],
) -> Json:
    names = await _names(world, rows)
    return answers.page(request, (answers.member(row, names) for row in rows), paging.top, token, asked)


async def _names(world: World, rows: Sequence[MemberRow]) -> Mapping[SkuId, str]:
    return await queries.sku_names(world) if any(row.problems for row in rows) else {}
