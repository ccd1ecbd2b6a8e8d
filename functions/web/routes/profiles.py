"""Routes of profiles: what jobs need, and versions that wait for the approval of another person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import AfterValidator, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.web import answers
from functions.web.audit_answers import Json, moment_text
from functions.web.audit_answers import initiator as initiator_answer
from functions.web.context import TheInitiator, ThePaging, ThePerson, TheWorld
from functions.web.names import GroupName
from functions.web.naming import with_ids
from functions.web.requests import LicenseRequest, Shape, country
from functions.web.starting import accepted
from shared.domain.errors import NotFound
from shared.domain.hr_events import ATTRIBUTES, MAX_GROUPS, MAX_PROFILES, MAX_TEXT
from shared.domain.ids import GroupId
from shared.domain.profile_changes import Proposal, changes, reasons_to_approve
from shared.domain.profiles import Profile
from shared.handlers.onboarding import profiles
from shared.handlers.onboarding.profiles import Waiting
from shared.ports.world import World

router = APIRouter(prefix="/api/onboarding", tags=["onboarding"])

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


class ProfileRequest(Shape):
    """Groups and licenses that a job brings."""

    display_name: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    match: Condition = Condition()
    groups: Annotated[tuple[GroupName, ...], Field(max_length=MAX_GROUPS)] = ()
    licenses: Annotated[tuple[LicenseRequest, ...], Field(max_length=MAX_PROFILES)] = ()
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


class ReadVersion(Shape):
    """The version of the proposal that was read."""

    version: Annotated[str, Field(min_length=1, max_length=128, examples=['W/"4"'])]


@router.get("/profiles")
async def list_profiles(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """The groups and licenses that jobs need."""
    found, token = answers.part(tuple(await world.stores.profiles.all()), paging.top, paging.after)
    return answers.page(request, map(_profile, found), token)


@router.get("/profiles/{profile_name}")
async def get_profile(world: TheWorld, profile_name: Name) -> Response:
    """One profile, with its ETag."""
    return _with_etag(await profiles.profile_of(world, profile_name), 200)


@router.put("/profiles/{profile_name}")
async def put_profile(
    world: TheWorld,
    person: ThePerson,
    profile_name: Name,
    body: ProfileRequest,
    if_match: Annotated[str | None, Header(max_length=128)] = None,
) -> Response:
    """Create or replace a profile; with If-Match only the version that was read. It counts for people from their next
    event on. 202 if another person must approve it, because it changes more than the display name."""
    profile = (await with_ids(world, body)).value(profile_name)
    saved = await profiles.save_profile(world, profile, person, if_match)
    return await _proposed(world, saved) if isinstance(saved, Proposal) else _with_etag(saved, 200)


@router.delete("/profiles/{profile_name}", status_code=202)
async def delete_profile(world: TheWorld, person: ThePerson, profile_name: Name) -> Response:
    """Propose that a profile is deleted, which another person must approve; 204 if it assigns nothing and is deleted at
    once. People keep its groups and licenses until they move or leave."""
    proposed = await profiles.remove_profile(world, profile_name, person)
    return await _proposed(world, proposed) if proposed is not None else Response(status_code=204)


async def _proposed(world: World, proposed: Proposal) -> Response:
    name = proposed.profile.name
    waiting = await _waiting(world, name)
    return accepted(f"/api/onboarding/proposals/{name}", _proposal(waiting))


async def _waiting(world: World, name: str) -> Waiting:
    """The version of a profile that waits. Raises NotFound."""
    for each in await profiles.proposals(world):
        if each.proposal.profile.name == name:
            return each
    raise NotFound(f"No version of profile {name} waits for an approval.")


@router.get("/proposals")
async def list_proposals(request: Request, world: TheWorld, paging: ThePaging) -> Json:
    """Versions of profiles that wait for the approval of another person."""
    found, token = answers.part(tuple(await profiles.proposals(world)), paging.top, paging.after)
    return answers.page(request, map(_proposal, found), token)


@router.get("/proposals/{profile_name}")
async def get_proposal(world: TheWorld, profile_name: Name) -> Json:
    """The version of a profile that waits for the approval of another person; 404 once it is decided."""
    return _proposal(await _waiting(world, profile_name))


@router.post("/proposals/{profile_name}/approve")
async def approve_proposal(world: TheWorld, initiator: TheInitiator, profile_name: Name, body: ReadVersion) -> Response:
    """Put the proposed version into force that was read; 204 if it deletes the profile."""
    saved = await profiles.approve_profile(world, profile_name, body.version, initiator)
    return _with_etag(saved, 200) if saved is not None else Response(status_code=204)


@router.post("/proposals/{profile_name}/reject", status_code=204)
async def reject_proposal(world: TheWorld, initiator: TheInitiator, profile_name: Name, body: ReadVersion) -> None:
    """Drop the proposed version that was read."""
    await profiles.reject_profile(world, profile_name, body.version, initiator)


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
        "expiresDateTime": moment_text(waiting.expires_at),
        "deletes": proposal.deletes,
        "reasons": list(reasons_to_approve(before, proposal.after)),
        "changes": [{"field": name, "before": old, "after": new} for name, old, new in changes(before, proposal.after)],
        "profile": _profile(proposal.profile),
        "inForce": _profile(before) if before else None,
    }


def _with_etag(profile: Profile, status: int) -> Response:
    return JSONResponse(_profile(profile), status, {"ETag": profile.version or ""})
