"""Pages of HR onboarding: events and what became of them, held leavers, one event; and what a person decides."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web.context import TheInitiator, TheWorld
from functions.web.hr_access import must_be_own
from functions.web.pages.forms import TheForm, must_name_people
from functions.web.pages.parameters import ROWS, ThePlace
from functions.web.pages.rendering import page, see
from functions.web.requests import OperationIdText
from shared.domain.access import Access
from shared.domain.hr_events import Sources, rules_of
from shared.domain.ids import GroupId
from shared.domain.onboarding import HrEvent, OnboardingRecord, OnboardingState
from shared.domain.profile_changes import changes, profile_text, reasons_to_approve
from shared.handlers.onboarding import administration, profiles
from shared.handlers.onboarding.announced import announced_leavers, approve_announced
from shared.handlers.views import license_center, queries
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

SHOWN_HELD, SHOWN_ANNOUNCED = 200, 1000


@router.get("/onboarding")
async def events(request: Request, world: TheWorld, place: ThePlace, attention: bool = False) -> Response:
    """Events, newest first; or only those that need a person."""
    read = world.stores.onboarding.attention if attention else world.stores.onboarding.newest
    records, token = await read(ROWS, place.after)
    held = await administration.held_leavers(world)
    return page(
        request,
        "onboarding.html",
        records=records,
        token=token,
        place=place,
        attention=attention,
        held=held,
        shown=SHOWN_HELD,
        **await _named(world, (*records, *held.records[:SHOWN_HELD])),
    )


@router.get("/onboarding/announced")
async def announced(request: Request, world: TheWorld) -> Response:
    """Leavers that HR announced, by day."""
    listed = await announced_leavers(world)
    return page(
        request,
        "onboarding_announced.html",
        listed=listed,
        shown=SHOWN_ANNOUNCED,
        **await _named(world, listed.records[:SHOWN_ANNOUNCED]),
    )


@router.post("/onboarding/announced/approve")
async def decide_announced(world: TheWorld, initiator: TheInitiator, form: TheForm) -> Response:
    """Permit the announced leavers that were shown."""
    listed = await announced_leavers(world)
    must_name_people(form, listed.checksum, len(listed.records))
    await approve_announced(world, form.one("checksum"), initiator)
    return see("/onboarding/announced", "announcedApproved")


@router.get("/onboarding/profiles")
async def profile_list(request: Request, world: TheWorld) -> Response:
    """Profiles in force, and versions that wait for the approval of another person."""
    waiting = [
        (each, reasons_to_approve(each.before, each.proposal.after), changes(each.before, each.proposal.after))
        for each in await profiles.proposals(world)
    ]
    known = sorted(await world.stores.profiles.all(), key=lambda each: each.name)
    return page(request, "onboarding_profiles.html", waiting=waiting, profiles=known, text_of=profile_text)


@router.post("/onboarding/profiles/{profile_name}/approve")
async def approve_profile(world: TheWorld, initiator: TheInitiator, profile_name: str, form: TheForm) -> Response:
    """Put the proposed version into force that was shown."""
    await profiles.approve_profile(world, profile_name, form.one("version"), initiator)
    return see("/onboarding/profiles", "profileApproved")


@router.post("/onboarding/profiles/{profile_name}/reject")
async def reject_profile(world: TheWorld, initiator: TheInitiator, profile_name: str, form: TheForm) -> Response:
    """Drop the proposed version that was shown."""
    await profiles.reject_profile(world, profile_name, form.one("version"), initiator)
    return see("/onboarding/profiles", "profileRejected")


@router.get("/onboarding/{event_key}")
async def event(request: Request, world: TheWorld, event_key: OperationIdText) -> Response:
    """One event, membership by membership and license by license."""
    record = await administration.record_of(world, event_key)
    names = await queries.sku_names(world)
    return page(
        request,
        "onboarding_event.html",
        record=record,
        names=names,
        groups=await _names(world),
        replayable=administration.can_be_replayed(record),
        cancellable=administration.can_be_cancelled(record),
        undecided=record.state is OnboardingState.NEEDS_DECISION,
        executable=administration.can_be_carried_out(record),
        **await _named(world, [record]),
    )


@router.post("/onboarding/held/{act}")
async def decide_held(
    world: TheWorld, initiator: TheInitiator, act: Literal["approve", "reject"], form: TheForm
) -> Response:
    """Approve or cancel the held leavers that the page showed."""
    if act == "approve":
        held = await administration.held_leavers(world)
        must_name_people(form, held.checksum, len(held.records))
    decide = administration.approve_held if act == "approve" else administration.reject_held
    await decide(world, form.one("checksum"), initiator)
    return see("/onboarding", "heldApproved" if act == "approve" else "heldRejected")


@router.post("/onboarding/{event_key}/{act}")
async def decide(
    request: Request,
    world: TheWorld,
    initiator: TheInitiator,
    event_key: OperationIdText,
    act: Literal["cancel", "replay", "carryOut", "dismiss"],
) -> Response:
    """Cancel an event, begin it again, or answer the question that it asks."""
    if act in ("cancel", "replay"):
        await must_be_own(request, world, event_key, Access.WRITE)
        await (administration.cancel if act == "cancel" else administration.replay)(world, event_key, initiator)
    else:
        await administration.decide(world, event_key, initiator, carry_out=act == "carryOut")
    done = {"cancel": "eventCancelled", "replay": "eventReplayed", "carryOut": "eventCarriedOut"}
    return see(f"/onboarding/{event_key}", done.get(act, "eventDismissed"))


async def _named(world: World, records: Iterable[OnboardingRecord]) -> dict[str, Any]:
    """Names of the accounts of records, and what says whether HR gave a date without a time."""
    accounts = {each for record in records for each in (record.user_id, record.candidate) if each is not None}
    people = await license_center.names_of(world, sorted(accounts))
    return {"people": people, "is_day": partial(_is_day, world.policy.hr_sources)}


def _is_day(sources: Sources, event: HrEvent) -> bool:
    """Whether an event takes effect when its day begins, in the time zone of its source."""
    return event.effective_at.astimezone(rules_of(sources, event.source).zone).time() == time()


async def _names(world: World) -> dict[GroupId, str]:
    return {each.group_id: each.display_name for each in await world.stores.assignments.all(60.0)}
