"""The page of the first-contact check: the newest run with its verdicts, earlier runs, and a form that starts one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from functions.web import first_contact_answers
from functions.web.context import TheInitiator, TheWorld, person_of
from functions.web.pages.forms import TheForm
from functions.web.pages.rendering import page, see
from functions.web.requests import OperationIdText
from shared.domain.first_contact import Level, Verdict
from shared.domain.first_contact_assumptions import BY_NUMBER
from shared.handlers.operations.first_contact import RunObjects, start

router = APIRouter(include_in_schema=False)

ORDER = (Verdict.OTHERWISE, Verdict.AS_ASSUMED, Verdict.UNKNOWN, Verdict.NOT_TRIED)


@router.get("/firstContact")
async def first_contact(
    request: Request, world: TheWorld, run: Annotated[OperationIdText | None, Query()] = None
) -> Response:
    """The chosen run, or the newest one."""
    runs = await world.stores.first_contact.newest(first_contact_answers.SHOWN)
    shown = await first_contact_answers.run_named(world, run) if run else next(iter(runs), None)
    rows = [] if shown is None else [first_contact_answers.row(each.number, shown) for each in shown.findings]
    rows.sort(key=lambda each: (ORDER.index(Verdict(each["verdict"])), each["number"]))
    load = None if shown is None else first_contact_answers.load(shown)
    return page(request, "first_contact.html", runs=runs, shown=shown, rows=rows, assumptions=BY_NUMBER, load=load)


@router.post("/firstContact")
async def start_run(request: Request, world: TheWorld, initiator: TheInitiator, form: TheForm) -> Response:
    """Start a read-only run, a load run if the form names several users, or a basic run if it names other objects. Only
    a person starts one that writes."""
    users = tuple(form.get("users", "").replace(",", " ").lower().split())
    user, group, sku = (form.get(name, "").strip().lower() for name in ("user", "group", "sku"))
    objects = RunObjects(user, group, sku, users)
    level = Level.READ_ONLY if objects == RunObjects() else Level.LOAD if users else Level.BASIC
    if level is not Level.READ_ONLY:
        person_of(request)
    await start(world, level, objects, initiator)
    return see("/firstContact", "firstContact")
