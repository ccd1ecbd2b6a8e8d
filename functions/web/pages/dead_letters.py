"""The page of failed messages: find them, replay or delete one or all that were found, and see how far that is."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheInitiator, TheWorld
from functions.web.errors import HttpError
from functions.web.pages.forms import Form, TheForm
from functions.web.pages.parameters import ROWS, Place, place_of
from functions.web.pages.rendering import page, see
from functions.web.requests import OperationIdText
from functions.web.searching import MAX_DEAD_LETTER_TEXT, SHOWN_ACTS
from shared.domain.dead_letters import EVERY_DEAD_LETTER, BulkKind, DeadLetterSelection
from shared.domain.read_models import DeadLetterKind
from shared.handlers.messaging import bulk_dead_letters
from shared.handlers.messaging.dead_letters import QUEUES, delete, replay
from shared.ports.world import World

router = APIRouter(include_in_schema=False)


@router.get("/deadLetters")
async def dead_letters(request: Request, world: TheWorld) -> Response:
    return await _page(request, world, EVERY_DEAD_LETTER, {}, Place())


@router.post("/deadLetters")
async def search_dead_letters(request: Request, world: TheWorld, form: TheForm) -> Response:
    """By a form that is sent, because its text can be a name, which an address would write into logs."""
    return await _page(request, world, _wanted(form), _fields(form), place_of(form))


async def _page(
    request: Request, world: World, wanted: DeadLetterSelection, fields: dict[str, str], place: Place
) -> Response:
    dead_letters, token = await world.stores.dead_letters.page(ROWS, place.after, wanted)
    return page(
        request,
        "dead_letters.html",
        dead_letters=dead_letters,
        token=token,
        place=place,
        fields=fields,
        queues=sorted(QUEUES),
        kinds=list(DeadLetterKind),
        number=await world.stores.dead_letters.count(),
        acts=(await world.stores.dead_letters.acts(SHOWN_ACTS))[0],
    )


@router.post("/deadLetters/bulk")
async def begin_bulk(world: TheWorld, initiator: TheInitiator, form: TheForm) -> Response:
    """Replay or delete all that match."""
    try:
        kind = BulkKind(form.one("act"))
    except ValueError as fault:
        raise HttpError(400, "InvalidRequest", "act must be replay or delete.", "act") from fault
    await bulk_dead_letters.begin(world, kind, _wanted(form), initiator)
    return see("/deadLetters", "bulkStarted")


@router.post("/deadLetters/{dead_letter_id}/replay")
async def replay_dead_letter(world: TheWorld, initiator: TheInitiator, dead_letter_id: OperationIdText) -> Response:
    """Send a message back to its queue."""
    await replay(world, dead_letter_id, initiator)
    return see("/deadLetters", "messageReplayed")


@router.post("/deadLetters/{dead_letter_id}/delete")
async def delete_dead_letter(world: TheWorld, initiator: TheInitiator, dead_letter_id: OperationIdText) -> Response:
    """Take a message off the list without sending it."""
    await delete(world, dead_letter_id, initiator)
    return see("/deadLetters", "messageDeleted")


def _fields(form: Form) -> dict[str, str]:
    named = {name: form.get(name) for name in ("queue", "kind", "text", "since", "until")}
    return {name: value for name, value in named.items() if value}


def _wanted(form: Form) -> DeadLetterSelection:
    """Raises HttpError that names the field."""
    queue, kind, text = form.get("queue"), form.get("kind"), form.get("text")
    if queue not in ("", *QUEUES):
        raise HttpError(400, "InvalidRequest", f"queue must be one of {', '.join(sorted(QUEUES))}.", "queue")
    if kind not in ("", *DeadLetterKind):
        raise HttpError(400, "InvalidRequest", f"kind must be one of {', '.join(DeadLetterKind)}.", "kind")
    if len(text) > MAX_DEAD_LETTER_TEXT:
        raise HttpError(400, "InvalidRequest", f"text has more than {MAX_DEAD_LETTER_TEXT} characters.", "text")
    until = _day(form, "until")
    return DeadLetterSelection(queue, kind, text, _day(form, "since"), until + timedelta(days=1) if until else None)


def _day(form: Form, name: str) -> datetime | None:
    text = form.get(name)
    try:
        return datetime.combine(date.fromisoformat(text), time(), UTC) if text else None
    except ValueError as fault:
        raise HttpError(400, "InvalidRequest", f"{name} must be a date such as 2026-01-31.", name) from fault
