"""The audit log: searched on a page, and downloaded as CSV and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web import audit_answers
from functions.web.context import TheWorld
from functions.web.pages.downloads import streamed, streamed_csv
from functions.web.pages.forms import Form, TheForm
from functions.web.pages.names import group_names, product_words
from functions.web.pages.parameters import ROWS, Place, ThePlace, place_of
from functions.web.pages.rendering import page, when
from functions.web.searching import AuditSearch, TheAuditSearch
from shared.domain.read_models import AuditEntry, AuditFilter
from shared.handlers.views import license_center
from shared.ports.world import World

router = APIRouter(include_in_schema=False)

ACTIVITIES = (
    "Set group license",
    "Start applying group based license to users",
    "Finish applying group based license to users",
    "Change user license",
    "Set license properties",
    "Approve license removals",
    "Reject license removals",
    "Adopt user license",
)
"""Activities that are offered for a search; any part of any other can be typed."""

AUDIT_COLUMNS = (
    "at",
    "activity",
    "kind",
    "initiatorId",
    "appId",
    "initiatedBy",
    "channel",
    "claimedBy",
    "result",
    "user",
    "group",
    "operation",
    "before",
    "after",
    "detail",
)


@router.get("/audit")
async def audit(request: Request, world: TheWorld, search: TheAuditSearch, place: ThePlace) -> Response:
    return await _page(request, world, search, place)


@router.post("/audit")
async def find_entries(request: Request, world: TheWorld, form: TheForm) -> Response:
    """By names, which a form sends: addresses are logged. Users and groups can be named as people name them."""
    return await _page(request, world, _search_of(form), place_of(form))


def _search_of(form: Form) -> AuditSearch:
    user, group, initiator, activity = map(form.short, ("user", "group", "initiatedBy", "activity"))
    return AuditSearch(
        AuditFilter(user.lower(), group.lower(), initiator, activity), form.get("since"), form.get("until")
    )


async def _page(request: Request, world: World, search: AuditSearch, place: Place) -> Response:
    """Downloads and further pages have the ids that were found."""
    asked = {"user": search.wanted.user_id, "group": search.wanted.group_id}
    groups = await group_names(world)
    search, unknown = await search.resolved(world, groups)
    entries, token = ((), None) if unknown else await search.page(world, ROWS, place.after)
    return page(
        request,
        "audit.html",
        entries=entries,
        search=search,
        asked=asked,
        unknown=unknown,
        fields=search.parameters(),
        token=token,
        place=place,
        people=await license_center.names_of(world, sorted({each.user_id for each in entries if each.user_id})),
        groups=groups,
        products=await product_words(world),
        activities=ACTIVITIES,
    )


@router.get("/audit.csv")
async def audit_csv(world: TheWorld, search: TheAuditSearch) -> Response:
    return await _csv(world, search)


@router.post("/audit.csv")
async def found_csv(world: TheWorld, form: TheForm) -> Response:
    return await _csv(world, _search_of(form))


async def _csv(world: World, search: AuditSearch) -> Response:
    pages = await search.pages(world)
    return streamed_csv("audit.csv", AUDIT_COLUMNS, (map(_audit_cells, entries) async for entries in pages))


@router.get("/audit.jsonl")
async def audit_jsonl(world: TheWorld, search: TheAuditSearch) -> Response:
    return await _jsonl(world, search)


@router.post("/audit.jsonl")
async def found_jsonl(world: TheWorld, form: TheForm) -> Response:
    return await _jsonl(world, _search_of(form))


async def _jsonl(world: World, search: AuditSearch) -> Response:
    pages = await search.pages(world)
    lines = ("".join(map(_line, entries)) async for entries in pages)
    return streamed("audit.jsonl", lines, "application/jsonl")


def _line(entry: AuditEntry) -> str:
    return json.dumps(audit_answers.audit_entry(entry)) + "\n"


def _audit_cells(entry: AuditEntry) -> Sequence[str]:
    by = entry.initiator
    return (
        when(entry.at),
        entry.activity,
        by.kind,
        by.id,
        by.app_id,
        by.display_name,
        by.channel,
        by.claimed_by,
        entry.result,
        entry.user_id or "",
        entry.group_id or "",
        entry.operation_id or "",
        entry.before,
        entry.after,
        entry.detail,
    )
