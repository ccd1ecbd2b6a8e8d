"""The audit log: searched on a page, and downloaded as CSV and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from functions.web import audit_answers
from functions.web.context import TheWorld
from functions.web.pages.downloads import MAX_ROWS, csv_text, download
from functions.web.pages.names import group_names, product_words
from functions.web.pages.parameters import ROWS, Token
from functions.web.pages.rendering import page, when
from functions.web.searching import TheAuditSearch
from shared.domain.read_models import AuditEntry
from shared.handlers.views import license_center

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
async def audit(request: Request, world: TheWorld, search: TheAuditSearch, after: Token = None) -> Response:
    """Users and groups may be named as people name them; downloads have the id that was found."""
    asked = {"user": search.wanted.user_id, "group": search.wanted.group_id}
    groups = await group_names(world)
    search, unknown = await search.resolved(world, groups)
    entries, token = ((), None) if unknown else await search.page(world, ROWS, after)
    return page(
        request,
        "audit.html",
        entries=entries,
        search=search,
        asked=asked,
        unknown=unknown,
        query=urlencode(search.parameters()),
        token=token,
        people=await license_center.names_of(world, sorted({each.user_id for each in entries if each.user_id})),
        groups=groups,
        products=await product_words(world),
        activities=ACTIVITIES,
    )


@router.get("/audit.csv")
async def audit_csv(world: TheWorld, search: TheAuditSearch) -> Response:
    rows = map(_audit_cells, await search.all(world, MAX_ROWS))
    return download("audit.csv", csv_text(AUDIT_COLUMNS, rows), "text/csv")


@router.get("/audit.jsonl")
async def audit_jsonl(world: TheWorld, search: TheAuditSearch) -> Response:
    entries = await search.all(world, MAX_ROWS)
    lines = "".join(json.dumps(audit_answers.audit_entry(entry)) + "\n" for entry in entries)
    return download("audit.jsonl", lines, "application/jsonl")


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
