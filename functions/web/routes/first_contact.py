"""Routes of the first-contact check: start a run, read runs, and take the recording of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from functions.web import answers, first_contact_answers
from functions.web.audit_answers import Json
from functions.web.context import TheInitiator, ThePaging, TheWorld, person_of
from functions.web.names import GroupName, SkuName, UserName
from functions.web.naming import with_ids
from functions.web.requests import OperationIdText, Shape
from functions.web.starting import accepted
from shared.domain.errors import Conflict
from shared.domain.first_contact import Level, RunState
from shared.domain.first_contact_load import USERS
from shared.domain.first_contact_recording import recording
from shared.handlers.operations.first_contact import RunObjects, start

router = APIRouter(prefix="/api/firstContact", tags=["center"])


class FirstContact(Shape):
    """The level of a run. `basic` needs a test user without license, group and role, a test group without licenses
    and members, and a product with an available license. `load` needs 20 such users, and 20 available licenses."""

    level: Annotated[Level, Field(examples=["readOnly"])] = Level.READ_ONLY
    test_user_id: UserName | None = None
    test_group_id: GroupName | None = None
    test_sku_id: SkuName | None = None
    test_user_ids: Annotated[list[UserName], Field(max_length=USERS)] | None = None


@router.post("", status_code=202)
async def start_first_contact(
    request: Request, world: TheWorld, initiator: TheInitiator, body: FirstContact
) -> Response:
    """Check how this tenant behaves. A read-only run sends 60 requests at most. A basic run also makes 12 writes at
    most, to the test user and the test group, and restores both. A load run makes 100 writes at most, to the 20 test
    users, and restores them. Only a person starts a run that writes."""
    if body.level is not Level.READ_ONLY:
        person_of(request)
    body = await with_ids(world, body)
    users = tuple(body.test_user_ids or ())
    objects = RunObjects(body.test_user_id or "", body.test_group_id or "", body.test_sku_id or "", users)
    run = await start(world, body.level, objects, initiator)
    return accepted(f"/api/firstContact/{run.id}", first_contact_answers.run(run))


@router.get("")
async def list_first_contact_runs(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Runs, newest first. They are kept for 90 days."""
    runs, token = await world.stores.first_contact.page(paging.top, paging.after)
    return answers.page(request, map(first_contact_answers.run, runs), token)


@router.get("/{run_id}")
async def get_first_contact_run(world: TheWorld, run_id: OperationIdText) -> Json:
    """One run: its progress, then its verdict on each assumption."""
    return first_contact_answers.whole_run(await first_contact_answers.run_named(world, run_id))


@router.get("/{run_id}/recording")
async def get_first_contact_recording(world: TheWorld, run_id: OperationIdText) -> Json:
    """The recording of a completed run: statuses, codes, known words, forms and times, without any name, ID or
    token of the tenant."""
    run = await first_contact_answers.run_named(world, run_id)
    if run.state is not RunState.COMPLETED:
        raise Conflict(f"The run is {run.state}. A completed run has a recording.")
    return recording(run)
