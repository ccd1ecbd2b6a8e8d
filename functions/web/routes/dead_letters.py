"""Routes of dead letters: list, search, replay and delete them, one or all of a filter."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, Field
from starlette.requests import Request
from starlette.responses import Response

from functions.web import answers
from functions.web.audit_answers import Json, initiated, moment_text
from functions.web.context import TheInitiator, ThePaging, TheWorld, requires
from functions.web.requests import Corrected, OperationIdText, Shape
from functions.web.searching import MAX_DEAD_LETTER_TEXT
from functions.web.starting import accepted
from shared.domain.access import Access
from shared.domain.dead_letters import BulkAct, BulkKind, DeadLetterSelection
from shared.domain.messages import ONBOARDING
from shared.domain.read_models import DeadLetter, DeadLetterKind
from shared.handlers.messaging import bulk_dead_letters
from shared.handlers.messaging.dead_letters import dead_letter_of, delete, replay
from shared.handlers.onboarding.corrections import replay_corrected

router = APIRouter(prefix="/api/deadLetters", tags=["dead letters"])

Queue = Literal["members", "members-bulk", "operations", "operations-bulk", "notifications", "onboarding", "jobs", ""]


Moment = Annotated[AwareDatetime, Field(examples=["2026-01-31T08:00:00Z"])]


class DeadLetterFilter(Shape):
    """A filter of dead letters. Absent fields match everything; `text` is part of the reason or of the message."""

    queue: Queue = ""
    kind: DeadLetterKind | None = None
    text: Annotated[str, Field(max_length=MAX_DEAD_LETTER_TEXT, examples=["HiddenMembership"])] = ""
    since: Moment | None = None
    until: Moment | None = None

    def value(self) -> DeadLetterSelection:
        since: datetime | None = self.since
        return DeadLetterSelection(self.queue, str(self.kind or ""), self.text.strip(), since, self.until)


class BulkRequest(DeadLetterFilter):
    """The action on all dead letters that match."""

    action: BulkKind


@router.get("")
async def list_dead_letters(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Failed messages with the reason, newest first."""
    dead_letters, token = await world.stores.dead_letters.page(paging.top, paging.after)
    return answers.page(request, map(_one_dead_letter, dead_letters), token)


@router.post("/search")
async def search_dead_letters(request: Request, world: TheWorld, body: DeadLetterFilter, paging: ThePaging) -> Json:
    """Those of a queue, kind or time, or with a text, which can be a name and so is not part of the address. If few of
    very many match, a page can be short and still have a next one."""
    dead_letters, token = await world.stores.dead_letters.page(paging.top, paging.after, body.value())
    return answers.page(request, map(_one_dead_letter, dead_letters), token)


@router.post("/bulk", status_code=202)
async def begin_bulk(world: TheWorld, initiator: TheInitiator, body: BulkRequest) -> Response:
    """Replay or delete all current dead letters that match. It continues automatically, also after a restart."""
    begun = await bulk_dead_letters.begin(world, body.action, body.value(), initiator)
    return accepted(f"/api/deadLetters/bulk/{begun.id}", _bulk(begun))


@router.get("/bulk")
async def list_bulk(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Bulk actions on dead letters, newest first."""
    found, token = await world.stores.dead_letters.acts(paging.top, paging.after)
    return answers.page(request, map(_bulk, found), token)


@router.get("/bulk/{bulk_id}")
async def get_bulk(world: TheWorld, bulk_id: OperationIdText) -> Json:
    """The progress of one bulk action."""
    return _bulk(await bulk_dead_letters.find(world, bulk_id))


@router.post("/{dead_letter_id}/replay", status_code=204)
async def replay_dead_letter(
    request: Request,
    world: TheWorld,
    initiator: TheInitiator,
    dead_letter_id: OperationIdText,
    body: Corrected | None = None,
) -> None:
    """Send a message back to its queue as it was. With a body, send that instead: a corrected job or HR event counts as
    the caller's own. For an HR event, the caller needs Onboarding.Write too and must be bound to its source."""
    if body is None:
        await replay(world, dead_letter_id, initiator)
        return
    if (await dead_letter_of(world, dead_letter_id)).queue == ONBOARDING:
        requires(request, Access.WRITE_HR)
    await replay_corrected(world, dead_letter_id, body.message, initiator)


@router.delete("/{dead_letter_id}", status_code=204)
async def delete_dead_letter(world: TheWorld, initiator: TheInitiator, dead_letter_id: OperationIdText) -> None:
    """Delete a message without sending it."""
    await delete(world, dead_letter_id, initiator)


def _one_dead_letter(dead_letter: DeadLetter) -> Json:
    """A failed message, with its body as text."""
    return {
        "id": dead_letter.id,
        "queue": dead_letter.queue,
        "kind": dead_letter.kind,
        "reason": dead_letter.reason,
        "createdDateTime": moment_text(dead_letter.at),
        "body": dead_letter.body.decode("utf-8", "replace"),
        "complete": dead_letter.whole,
    }


def _bulk(act: BulkAct) -> Json:
    """A bulk action and its progress."""
    wanted = act.wanted
    return {
        "id": act.id,
        "action": act.kind,
        "queue": wanted.queue,
        "kind": wanted.kind,
        "text": wanted.text,
        "sinceDateTime": moment_text(wanted.since),
        "untilDateTime": moment_text(wanted.until),
        **initiated(act.initiator),
        "state": "running" if act.is_open else "complete",
        "done": act.done,
        "notReplayable": act.left,
        "createdDateTime": moment_text(act.created_at),
        "completedDateTime": moment_text(act.completed_at),
    }
