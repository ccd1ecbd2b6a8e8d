"""Routes of HR onboarding: events in, their status, and what people decide."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from functions.web import answers
from functions.web.audit_answers import Json, hr_event
from functions.web.context import TheInitiator, ThePaging, TheWorld
from functions.web.errors import HttpError, fault_at
from functions.web.hr_access import must_be_own
from functions.web.requests import OperationIdText, Shape
from functions.web.starting import accepted
from shared.domain.access import Access
from shared.domain.caller_limits import Kind
from shared.domain.hr_intake import Receipt, open_keys
from shared.domain.onboarding import OnboardingRecord
from shared.handlers import onboarding
from shared.handlers.onboarding import administration, records
from shared.handlers.onboarding.announced import announced_leavers, approve_announced
from shared.handlers.onboarding.dry_run import try_event
from shared.handlers.onboarding.records import MAX_BATCH

router = APIRouter(prefix="/api/onboarding", tags=["onboarding"])

SCHEMA = Path(onboarding.__file__).parents[2] / "schemas" / "onboarding.v1.json"


class ReadList(Shape):
    """The checksum of the leavers that were read."""

    checksum: Annotated[str, Field(min_length=1, max_length=128)]


class Decision(Shape):
    """The answer to a statement that needs a decision."""

    decision: Literal["carryOut", "dismiss"]


@lru_cache(maxsize=1)
def _schema() -> Json:
    schema: Json = json.loads(SCHEMA.read_text())
    return schema


async def _body(request: Request) -> object:
    """The JSON of the body, whatever its media type: CloudEvents have their own. Raises HttpError."""
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as fault:
        raise HttpError(400, "InvalidJson", f"The body is not JSON: {fault}.") from fault


TheBody = Annotated[Any, Depends(_body)]

_ONE = {"application/cloudevents+json": {"schema": {"type": "object"}}}
_MANY = {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": MAX_BATCH}
_TAKES_ONE = {"requestBody": {"required": True, "content": _ONE}}
_TAKES = {
    "requestBody": {"required": True, "content": {**_ONE, "application/cloudevents-batch+json": {"schema": _MANY}}}
}


@router.post("", status_code=202, openapi_extra=_TAKES)
async def receive_events(request: Request, world: TheWorld, initiator: TheInitiator, body: TheBody) -> Response:
    """Accept one HR event, or an array of up to 1,000. Each valid event is stored at once. `faults` names each wrong
    field by position and value. 400 if no event was accepted."""
    values = body if isinstance(body, list) else [body]
    if not 0 < len(values) <= MAX_BATCH:
        raise HttpError(400, "InvalidRequest", f"The batch holds {len(values)} events, must hold 1 to {MAX_BATCH}.")
    await request.app.state.doors().limits.admit(initiator.id, Kind.HR_EVENTS, len(values))
    receipts = await records.accept(world, values, initiator)
    await records.resume(world, open_keys(receipts))
    taken = [_taken(each.position, each.record) for each in receipts if each.record and not each.taken]
    faults = [fault for each in receipts for fault in _faults(each)]
    if not taken:
        first = faults[0]
        only_conflicts = all(each.taken for each in receipts)
        status, code = (409, "Conflict") if only_conflicts else (400, "InvalidEvent")
        raise HttpError(status, code, str(first["message"]), str(first["target"]), details=faults)
    location = str(taken[0]["location"]) if len(values) == 1 else "/api/onboarding"
    return accepted(location, {"value": taken, "faults": faults})


def _taken(position: int, record: OnboardingRecord) -> Json:
    location = f"/api/onboarding/{record.key}"
    return {
        "position": position,
        "id": record.key,
        "eventId": record.event.id,
        "state": str(record.state),
        "location": location,
    }


def _faults(receipt: Receipt) -> list[Json]:
    if receipt.taken:
        reason = receipt.reason
        event_id = receipt.record.event.id if receipt.record else ""
        return [{**fault_at("id", reason, "Conflict"), "position": receipt.position, "value": json.dumps(event_id)}]
    return [
        {**fault_at(each.field, str(each), "InvalidEvent"), "position": receipt.position, "value": each.value}
        for each in receipt.faults
    ]


@router.get("/schema")
async def get_onboarding_schema() -> Json:
    """JSON Schema of an HR event."""
    return _schema()


@router.get("")
async def list_onboarding(
    request: Request,
    world: TheWorld,
    paging: ThePaging,
    attention: Annotated[bool, Query(description="Only what needs a person.")] = False,
) -> Json:
    """Events with their results, newest first."""
    read = world.stores.onboarding.attention if attention else world.stores.onboarding.newest
    records, token = await read(paging.top, paging.after)
    return answers.page(request, map(hr_event, records), token)


@router.post("/dryRun", openapi_extra=_TAKES_ONE)
async def dry_run(world: TheWorld, body: TheBody) -> Json:
    """The result that an event would have for its person, with reasons; nothing is written. `state`: the end of an
    event that would not be carried out, or that it would need a decision."""
    trial = await try_event(world, body)
    verdict = trial.verdict
    return {
        "state": str(verdict.state) if verdict else None,
        "note": (verdict.note if verdict else trial.note) or None,
        "remedy": (verdict.remedy if verdict else "") or None,
        "accounts": [
            {"id": each.id, "userPrincipalName": each.user_principal_name, "accountEnabled": each.account_enabled}
            for each in trial.accounts
        ],
        "profiles": [
            {"name": match.profile.name, "displayName": match.profile.display_name, "reason": match.because}
            for match in trial.wanted.matches
        ],
        "unknownProfiles": list(trial.wanted.unknown),
        "usageLocation": trial.wanted.usage_location or None,
        "groups": [
            {"groupId": each.group_id, "outcome": str(each.outcome), "text": each.text, "remedy": each.remedy}
            for each in trial.groups
        ],
        "licenses": [
            {"skuId": sku_id, "sources": [str(source) for source in sources], "alreadyAssigned": sku_id in trial.has}
            for sku_id, sources in trial.licenses.items()
        ],
        "removedLicenses": list(trial.lost),
    }


@router.get("/held")
async def get_held_leavers(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Leavers above the allowance of a day. They wait for a person's decision. `count` and `checksum` are of all pages;
    another checksum on a later page means that the list changed."""
    held = await administration.held_leavers(world)
    found, token = answers.part(held.records, paging.top, paging.after)
    return {
        "count": len(held.records),
        "allowedWithin24Hours": held.allowed,
        "checksum": held.checksum,
        **answers.page(request, map(hr_event, found), token),
    }


@router.post("/held/approve")
async def approve_held_leavers(world: TheWorld, initiator: TheInitiator, body: ReadList) -> Json:
    """Approve the held leavers that the caller has read."""
    return {"count": await administration.approve_held(world, body.checksum, initiator)}


@router.post("/held/reject")
async def reject_held_leavers(world: TheWorld, initiator: TheInitiator, body: ReadList) -> Json:
    """Cancel the held leavers that the caller has read."""
    return {"count": await administration.reject_held(world, body.checksum, initiator)}


@router.get("/announced")
async def get_announced_leavers(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Leavers that HR announced at least 24 hours ahead, by the day on which their licenses are removed. `count` and
    `checksum` are of all pages."""
    listed = await announced_leavers(world)
    found, token = answers.part(listed.records, paging.top, paging.after)
    return {
        "count": len(listed.records),
        "checksum": listed.checksum,
        **answers.page(request, map(hr_event, found), token),
    }


@router.post("/announced/approve")
async def approve_announced_leavers(world: TheWorld, initiator: TheInitiator, body: ReadList) -> Json:
    """Approve the announced leavers that were read: on their days they are not counted against the allowance. `count`:
    those that need no other approval. A protected person needs the approval of two people."""
    return {"count": await approve_announced(world, body.checksum, initiator)}


@router.get("/{event_key}")
async def get_onboarding(request: Request, world: TheWorld, event_key: OperationIdText) -> Json:
    """One event with its result: every membership and license, and the remedy for each fault."""
    await must_be_own(request, world, event_key, Access.READ_HR)
    return hr_event(await administration.record_of(world, event_key))


@router.post("/{event_key}/cancel")
async def cancel_onboarding(
    request: Request, world: TheWorld, initiator: TheInitiator, event_key: OperationIdText
) -> Json:
    """Cancel an event before it is processed, or a leaver before it is done. A leaver's removals are undone first, and
    the event is Working until then."""
    await must_be_own(request, world, event_key, Access.WRITE)
    return hr_event(await administration.cancel(world, event_key, initiator))


@router.post("/{event_key}/decide", status_code=202)
async def decide_onboarding(
    world: TheWorld, initiator: TheInitiator, event_key: OperationIdText, body: Decision
) -> Response:
    """Answer an event in state NeedsDecision: carry it out, for the account in `candidateId` if any, or dismiss it."""
    carry_out = body.decision == "carryOut"
    decided = await administration.decide(world, event_key, initiator, carry_out=carry_out)
    return accepted(f"/api/onboarding/{event_key}", hr_event(decided))


@router.post("/{event_key}/replay", status_code=202)
async def replay_onboarding(
    request: Request, world: TheWorld, initiator: TheInitiator, event_key: OperationIdText
) -> Response:
    """Process an event again that failed or ended with errors."""
    await must_be_own(request, world, event_key, Access.WRITE)
    return accepted(f"/api/onboarding/{event_key}", hr_event(await administration.replay(world, event_key, initiator)))
