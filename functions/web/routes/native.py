"""Routes of groups that Microsoft's own licensing licenses: manage them, read them now, diagnose and reprocess
members."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import JSONResponse, Response

from functions.web import answers
from functions.web.audit_answers import Json, moment_text
from functions.web.context import TheInitiator, TheWorld
from functions.web.names import SkuName
from functions.web.naming import TheGroupId, TheUserId, with_ids
from functions.web.requests import Shape, etag_of
from functions.web.starting import accepted
from shared.domain.directory import LicenseError
from shared.domain.ids import GroupId, SkuId
from shared.handlers.membership.native_engine import manage_natively, stop_managing_natively
from shared.handlers.membership.watching import watch_now
from shared.handlers.operations.native_members import diagnose, reprocess_errors
from shared.handlers.views import queries
from shared.ports.stores import StoredAssignment
from shared.ports.world import World

router = APIRouter(prefix="/api/groups/{group_id}", tags=["groups"])


class ErrorsToReprocess(Shape):
    """One cause, one product, or both; without them, all members in error."""

    error: Annotated[LicenseError, Field(examples=["CountViolation"])] | None = None
    sku_id: SkuName | None = None


@router.post("/watch", status_code=202)
async def watch_group(world: TheWorld, group_id: TheGroupId) -> Response:
    """Read all members of a natively licensed group now. They are also read every night, and those in error every
    hour."""
    await watch_now(world, group_id)
    return _accepted(group_id, {"groupId": group_id})


@router.post("/manageNatively")
async def manage_group_natively(world: TheWorld, initiator: TheInitiator, group_id: TheGroupId) -> Response:
    """Let assignLicense of this group change what Microsoft's licensing assigns. No license changes by this request."""
    return await _assignment(world, await manage_natively(world, group_id, initiator))


@router.post("/stopManagingNatively")
async def stop_managing_group_natively(world: TheWorld, initiator: TheInitiator, group_id: TheGroupId) -> Response:
    """Only watch the group again. Its licenses stay as they are."""
    return await _assignment(world, await stop_managing_natively(world, group_id, initiator))


async def _assignment(world: World, stored: StoredAssignment) -> Response:
    shown = answers.assignment(stored.assignment, await queries.sku_names(world))
    return JSONResponse(shown, headers={"ETag": etag_of(stored.assignment.version)})


@router.post("/members/{user_id}/diagnose")
async def diagnose_member(world: TheWorld, initiator: TheInitiator, group_id: TheGroupId, user_id: TheUserId) -> Json:
    """Have Microsoft's licensing process one member again, and keep the reason that Graph gives for an error."""
    row = await diagnose(world, group_id, user_id, initiator)
    return answers.member(row, await queries.sku_names(world))


@router.post("/reprocessLicenseErrors", status_code=202)
async def reprocess_license_errors(
    world: TheWorld, initiator: TheInitiator, group_id: TheGroupId, body: ErrorsToReprocess
) -> Response:
    """Have Microsoft's licensing process all members in error again. Of those who lack a license, as many as there are
    licenses, the longest in error first. The audit log has the start and the result."""
    body = await with_ids(world, body)
    sku_id = SkuId(body.sku_id) if body.sku_id else None
    run = await reprocess_errors(world, group_id, body.error, sku_id, initiator)
    started = {
        "runId": run.run,
        "groupId": run.group_id,
        "error": run.error or None,
        "skuId": run.sku_id or None,
        "startedDateTime": moment_text(run.began),
    }
    return _accepted(group_id, started)


def _accepted(group_id: GroupId, body: Json) -> Response:
    """202: the status of the group shows what is read or processed."""
    return accepted(f"/api/groups/{group_id}/status", body)
