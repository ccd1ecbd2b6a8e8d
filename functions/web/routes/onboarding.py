"""Routes of HR onboarding: events in, their status, profiles, and what people decide."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import AfterValidator, Field
from starlette.responses import JSONResponse, Response

from functions.web import answers
from functions.web.answers import Json
from functions.web.audit_answers import initiator as initiator_answer
from functions.web.audit_answers import moment_text
from functions.web.context import TheInitiator, ThePaging, TheWorld, must_be_person
from functions.web.errors import HttpError
from functions.web.hr_access import must_be_own
from functions.web.requests import AssignedLicenseShape, Guid, OperationIdText, Shape, country
from shared.domain.access import Access
from shared.domain.caller_limits import Kind
from shared.domain.hr_events import ATTRIBUTES, MAX_GROUPS, MAX_PROFILES, MAX_TEXT
from shared.domain.hr_intake import Receipt, open_keys
from shared.domain.ids import GroupId
from shared.domain.onboarding import OnboardingRecord
from shared.domain.onboarding_results import describe
from shared.domain.profile_changes import Proposal, changes, reasons_to_approve
from shared.domain.profiles import Profile
from shared.handlers import onboarding
from shared.handlers.onboarding import administration, profiles, records
from shared.handlers.onboarding.announced import announced_leavers, approve_announced
from shared.handlers.onboarding.dry_run import try_event
from shared.handlers.onboarding.profiles import Waiting
from shared.handlers.onboarding.records import MAX_BATCH
from shared.ports.world import World

router = APIRouter(prefix="/api/onboarding", tags=["onboarding"])

SCHEMA = Path(onboarding.__file__).parents[2] / "schemas" / "onboarding.v1.json"
MAX_VALUES = 50

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class Condition(Shape):
    """Allowed values by attribute; all attributes must fit, `*` at the end of a value stands for any rest."""

    company_name: Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    cost_center: Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    country: Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    department: Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    division: Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    employee_type: Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    job_title: Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    office_location: Annotated[list[Text], Field(min_length=1, max_length=MAX_VALUES)] | None = None

    def value(self) -> dict[str, tuple[str, ...]]:
        given = self.model_dump(by_alias=True, exclude_none=True)
        return {name: tuple(values) for name, values in given.items() if name in ATTRIBUTES}


class ProfileShape(Shape):
    """What a job needs."""

    display_name: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    match: Condition = Condition()
    groups: Annotated[tuple[Guid, ...], Field(max_length=MAX_GROUPS)] = ()
    licenses: Annotated[tuple[AssignedLicenseShape, ...], Field(max_length=MAX_PROFILES)] = ()
    usage_location: Annotated[str, AfterValidator(country)] | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    exclusive: bool = False
    selectable: bool = False

    def value(self, name: str) -> Profile:
        return Profile(
            name=name,
            display_name=self.display_name,
            match=self.match.value(),
            groups=tuple(dict.fromkeys(GroupId(group) for group in self.groups)),
            licenses=tuple(license.value() for license in self.licenses),
            usage_location=self.usage_location or "",
            priority=self.priority,
            exclusive=self.exclusive,
            selectable=self.selectable,
        )


class Seen(Shape):
    """The checksum of the leavers that were read."""

    checksum: Annotated[str, Field(min_length=1, max_length=128)]


class SeenVersion(Shape):
    """The version of the proposal that was read."""

    version: Annotated[str, Field(min_length=1, max_length=128, examples=['W/"4"'])]


class Decided(Shape):
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
    """Take one HR event, or an array of up to 1,000. Each is kept at once; what cannot be read is named by position,
    field and value, and kept too. 400 when none could be taken."""
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
        raise HttpError(status, code, str(first["message"]), str(first["field"]), details=faults)
    headers = {"Location": taken[0]["location"]} if len(values) == 1 else {}
    return JSONResponse({"value": taken, "faults": faults}, 202, headers)


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
        return [{"position": receipt.position, "field": "id", "value": json.dumps(event_id), "message": reason}]
    return [
        {"position": receipt.position, "field": each.field, "value": each.value, "message": str(each)}
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
    """Events and what became of them, newest first."""
    read = world.stores.onboarding.attention if attention else world.stores.onboarding.newest
    records, token = await read(paging.top, paging.after)
    return answers.page(request, map(describe, records), paging.top, token)


@router.post("/dryRun", openapi_extra=_TAKES_ONE)
async def dry_run(world: TheWorld, body: TheBody) -> Json:
    """What an event would bring about for its person, and why; nothing is written. `state`: how the event would end
    without being carried out, or that it would need a decision."""
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
            {"name": match.profile.name, "displayName": match.profile.display_name, "because": match.because}
            for match in trial.wanted.matches
        ],
        "unknownProfiles": list(trial.wanted.unknown),
        "usageLocation": trial.wanted.usage_location or None,
        "groups": [
            {"groupId": each.group_id, "outcome": str(each.outcome), "text": each.text, "remedy": each.remedy}
            for each in trial.groups
        ],
        "licenses": [
            {"skuId": sku_id, "from": [str(source) for source in sources], "hasAlready": sku_id in trial.has}
            for sku_id, sources in trial.licenses.items()
        ],
        "lostLicenses": list(trial.lost),
    }


@router.get("/held")
async def get_held_leavers(world: TheWorld) -> Json:
    """Leavers over the allowance of a day, who wait for a person."""
    held = await administration.held_leavers(world)
    return {
        "count": len(held.records),
        "allowedWithin24Hours": held.allowed,
        "checksum": held.checksum,
        "value": [describe(record) for record in held.records[:MAX_BATCH]],
    }


@router.post("/held/approve")
async def approve_held_leavers(world: TheWorld, initiator: TheInitiator, body: Seen) -> Json:
    """Let the held leavers go that were looked at."""
    return {"count": await administration.approve_held(world, body.checksum, initiator)}


@router.post("/held/reject")
async def reject_held_leavers(world: TheWorld, initiator: TheInitiator, body: Seen) -> Json:
    """Cancel the held leavers that were looked at."""
    return {"count": await administration.reject_held(world, body.checksum, initiator)}


@router.get("/announced")
async def get_announced_leavers(world: TheWorld) -> Json:
    """Leavers that HR announced at least 24 hours ahead, by the day on which their licenses are removed."""
    listed = await announced_leavers(world)
    return {
        "count": len(listed.records),
        "checksum": listed.checksum,
        "value": [describe(record) for record in listed.records[:MAX_BATCH]],
    }


@router.post("/announced/approve")
async def approve_announced_leavers(world: TheWorld, initiator: TheInitiator, body: Seen) -> Json:
    """Approve the announced leavers that were read: on their days they are not counted against the allowance. `count`:
    those that need no other approval. A protected person needs the approval of two people."""
    return {"count": await approve_announced(world, body.checksum, initiator)}


@router.get("/profiles")
async def list_profiles(world: TheWorld) -> Json:
    """What jobs need."""
    return {"value": [_profile(each) for each in await world.stores.profiles.all()]}


@router.get("/profiles/{profile_name}")
async def get_profile(world: TheWorld, profile_name: Name) -> Response:
    """One profile, with its ETag."""
    return _with_etag(await profiles.profile_of(world, profile_name), 200)


@router.put("/profiles/{profile_name}")
async def put_profile(
    request: Request,
    world: TheWorld,
    initiator: TheInitiator,
    profile_name: Name,
    body: ProfileShape,
    if_match: Annotated[str | None, Header(max_length=128)] = None,
) -> Response:
    """Create or replace a profile; with If-Match only the version that was read. People have what it gives from their
    next event on. 202 if another person must approve it, because it changes more than the display name."""
    must_be_person(request, "change a profile")
    saved = await profiles.save_profile(world, body.value(profile_name), initiator, if_match)
    return await _proposed(world, saved) if isinstance(saved, Proposal) else _with_etag(saved, 200)


@router.delete("/profiles/{profile_name}", status_code=202)
async def delete_profile(request: Request, world: TheWorld, initiator: TheInitiator, profile_name: Name) -> Response:
    """Propose that a profile is deleted, which another person must approve; 204 if it gives nothing and is deleted at
    once. People keep what it gave them until they move or leave."""
    must_be_person(request, "delete a profile")
    proposed = await profiles.remove_profile(world, profile_name, initiator)
    return await _proposed(world, proposed) if proposed is not None else Response(status_code=204)


async def _proposed(world: World, proposed: Proposal) -> Response:
    name = proposed.profile.name
    (waiting,) = [each for each in await profiles.proposals(world) if each.proposal.profile.name == name]
    return JSONResponse(_proposal(waiting), 202)


@router.get("/proposals")
async def list_proposals(world: TheWorld) -> Json:
    """Versions of profiles that wait for the approval of another person."""
    return {"value": [_proposal(each) for each in await profiles.proposals(world)]}


@router.post("/proposals/{profile_name}/approve")
async def approve_proposal(world: TheWorld, initiator: TheInitiator, profile_name: Name, body: SeenVersion) -> Response:
    """Put the proposed version into force that was read; 204 if it deletes the profile."""
    saved = await profiles.approve_profile(world, profile_name, body.version, initiator)
    return _with_etag(saved, 200) if saved is not None else Response(status_code=204)


@router.post("/proposals/{profile_name}/reject", status_code=204)
async def reject_proposal(world: TheWorld, initiator: TheInitiator, profile_name: Name, body: SeenVersion) -> None:
    """Drop the proposed version that was read."""
    await profiles.reject_profile(world, profile_name, body.version, initiator)


@router.get("/{event_key}")
async def get_onboarding(request: Request, world: TheWorld, event_key: OperationIdText) -> Json:
    """One event and what became of it: every membership and license, and what to do where something is not right."""
    await must_be_own(request, world, event_key, Access.READ_HR)
    return describe(await administration.record_of(world, event_key))


@router.post("/{event_key}/cancel")
async def cancel_onboarding(
    request: Request, world: TheWorld, initiator: TheInitiator, event_key: OperationIdText
) -> Json:
    """End an event before it is worked on, or a leaver before it is done: what that took is given back first, and the
    event is Working until then."""
    await must_be_own(request, world, event_key, Access.WRITE)
    return describe(await administration.cancel(world, event_key, initiator))


@router.post("/{event_key}/decide", status_code=202)
async def decide_onboarding(
    world: TheWorld, initiator: TheInitiator, event_key: OperationIdText, body: Decided
) -> Json:
    """Answer an event in state NeedsDecision: carry it out, for the account in `candidateId` if any, or dismiss it."""
    carry_out = body.decision == "carryOut"
    return describe(await administration.decide(world, event_key, initiator, carry_out=carry_out))


@router.post("/{event_key}/replay", status_code=202)
async def replay_onboarding(
    request: Request, world: TheWorld, initiator: TheInitiator, event_key: OperationIdText
) -> Json:
    """Begin an event anew that failed or ended with errors, once the cause is repaired."""
    await must_be_own(request, world, event_key, Access.WRITE)
    return describe(await administration.replay(world, event_key, initiator))


def _profile(profile: Profile) -> Json:
    return {
        "name": profile.name,
        "displayName": profile.display_name,
        "match": {name: list(values) for name, values in profile.match.items()},
        "groups": list(profile.groups),
        "licenses": [
            {"skuId": license.sku_id, "disabledPlans": sorted(license.disabled_plans)} for license in profile.licenses
        ],
        "usageLocation": profile.usage_location or None,
        "priority": profile.priority,
        "exclusive": profile.exclusive,
        "selectable": profile.selectable,
        "@odata.etag": profile.version,
    }


def _proposal(waiting: Waiting) -> Json:
    proposal, before = waiting.proposal, waiting.before
    return {
        "name": proposal.profile.name,
        "version": proposal.version,
        "proposedBy": initiator_answer(proposal.by),
        "proposedDateTime": moment_text(proposal.at),
        "expiresDateTime": moment_text(proposal.expires_at),
        "deletes": proposal.deletes,
        "reasons": list(reasons_to_approve(before, proposal.after)),
        "changes": [
            {"field": name, "before": old, "after": new} for name, old, new in changes(before, proposal.after)
        ],
        "profile": _profile(proposal.profile),
        "inForce": _profile(before) if before else None,
    }


def _with_etag(profile: Profile, status: int) -> Response:
    return JSONResponse(_profile(profile), status, {"ETag": profile.version or ""})
