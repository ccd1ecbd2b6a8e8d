"""Downloads: the audit log and a group's members, as CSV that a spreadsheet opens safely, and as JSON lines."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from fastapi import APIRouter
from starlette.responses import Response

from functions.web.context import TheWorld
from functions.web.pages.rendering import HEADERS, when
from functions.web.requests import Guid
from functions.web.searching import Shown, TheAuditSearch, TheMemberFilter, shown_members
from shared.domain.ids import GroupId
from shared.domain.read_models import AuditEntry

router = APIRouter(include_in_schema=False)

MAX_ROWS = 10_000
"""Rows of one download; the API pages through more."""

_FORMULA = re.compile(r"""(^|[;,|\t\r\n])(?=["'\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])""")
"""Where a spreadsheet may find the beginning of a formula (owasp.org/www-community/attacks/CSV_Injection): at the
beginning of a cell, behind quotes and blanks, and after what it may take for the end of a cell, since programs of other
languages part cells by semicolons. Full-width signs count too."""


@router.get("/audit.csv")
async def audit_csv(world: TheWorld, search: TheAuditSearch) -> Response:
    rows = map(_audit_cells, await search.all(world, MAX_ROWS))
    return download("audit.csv", csv_text(AUDIT_COLUMNS, rows), "text/csv")


@router.get("/audit.jsonl")
async def audit_jsonl(world: TheWorld, search: TheAuditSearch) -> Response:
    entries = await search.all(world, MAX_ROWS)
    lines = "".join(json.dumps({**asdict(entry), "at": entry.at.isoformat()}) + "\n" for entry in entries)
    return download("audit.jsonl", lines, "application/jsonl")


@router.get("/groups/{group_id}/members.csv")
async def members_csv(world: TheWorld, group_id: Guid, wanted: TheMemberFilter, show: Shown = "errors") -> Response:
    rows, token = await shown_members(world, GroupId(group_id), 999, None, show, wanted)
    found = list(rows)
    while token is not None and len(found) < MAX_ROWS:
        rows, token = await shown_members(world, GroupId(group_id), 999, token, show, wanted)
        found += rows
    cells = (
        (row.user_id, row.display_name, row.user_principal_name, row.state, problem.error, problem.text, problem.remedy)
        for row in found
        for problem in (row.problems or (None,))
        if problem is not None
    )
    plain = (
        (row.user_id, row.display_name, row.user_principal_name, row.state, "", "", "")
        for row in found
        if not row.problems
    )
    return download("members.csv", csv_text(MEMBER_COLUMNS, [*cells, *plain]), "text/csv")


AUDIT_COLUMNS = ("at", "activity", "actor", "result", "user", "group", "operation", "before", "after", "detail")
MEMBER_COLUMNS = ("id", "displayName", "userPrincipalName", "state", "error", "message", "remedy")


def _audit_cells(entry: AuditEntry) -> Sequence[str]:
    return (
        when(entry.at),
        entry.activity,
        entry.actor,
        entry.result,
        entry.user_id or "",
        entry.group_id or "",
        entry.operation_id or "",
        entry.before,
        entry.after,
        entry.detail,
    )


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV whose cells no spreadsheet takes for formulas; it begins with a mark by which they see that it is UTF-8."""
    out = io.StringIO("\ufeff")
    out.seek(0, io.SEEK_END)
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([safe(str(cell)) for cell in row] for row in rows)
    return out.getvalue()


def safe(cell: str) -> str:
    """The cell with an apostrophe before each formula, as which it is shown and not run."""
    return _FORMULA.sub(r"\1'", cell)


def download(name: str, text: str, kind: str) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.encode(), 200, headers, f"{kind}; charset=utf-8")
