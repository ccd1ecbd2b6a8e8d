"""Commands without a noun: search, the escape hatch, completion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from seatkeeper import fields as f
from seatkeeper import routes
from seatkeeper.errors import CliError, UsageFault
from seatkeeper.framework import command
from seatkeeper.output import Column, Format
from seatkeeper.session import Session

METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")
SHELLS = ("bash", "zsh", "fish", "powershell")


def add_to(app: typer.Typer) -> None:
    command(app, "search", "search thiel", "search E3 -o json")(search)
    command(
        app,
        "api",
        "api GET /api/operations --query 'value[].id'",
        'api POST /api/groups/search --body \'{"search": "SG-LIC"}\'',
        writes=True,
    )(api)
    command(app, "completion", "completion bash >> ~/.bashrc", "completion powershell >> $PROFILE")(completion)


def search(session: Session, words: Annotated[str, typer.Argument(help="Words of a name, or an ID.")]) -> None:
    """Find people, groups and products by one text."""
    found = session.client.ask(routes.SEARCH, body={f.SEARCH: words})
    people, groups, products = found["users"], found[f.GROUPS], found["licenses"]
    rows = [
        *({"kind": "user", "name": each[f.DISPLAY_NAME], "detail": each[f.UPN], "id": each[f.ID]} for each in people),
        *(
            {
                "kind": "group",
                "name": each[f.DISPLAY_NAME],
                "detail": "managed" if each[f.MANAGED] else each[f.REASON_NOT_USABLE] or "",
                "id": each[f.ID],
            }
            for each in groups
        ),
        *(
            {"kind": "product", "name": each[f.DISPLAY_NAME], "detail": each[f.PART_NUMBER], "id": each[f.SKU_ID]}
            for each in products
        ),
    ]
    shown = [Column("Kind", "kind"), Column("Name", "name"), Column("Detail", "detail"), Column("ID", "id", keep=True)]
    session.output.rows(rows, shown)


def api(
    session: Session,
    method: Annotated[str, typer.Argument(help="GET, POST, PATCH, PUT or DELETE.")],
    path: Annotated[str, typer.Argument(help="A path, such as /api/operations?$top=5.")],
    body: Annotated[str, typer.Option("--body", help="JSON, or @file; @- reads standard input.")] = "",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="A header, name: value; repeat it.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Read all pages of a list.")] = False,
) -> None:
    """Call any route of the API. The answer is shown as JSON unless -o says otherwise."""
    verb = method.upper()
    if verb not in METHODS:
        raise UsageFault(f"Unknown method {method!r}. Allowed: {', '.join(METHODS)}.")
    headers = dict(_header(each) for each in header or ())
    content = _body(session, body)
    is_read = verb == "GET" or path.partition("?")[0].endswith(("/search", "/dryRun", "/combinedPlan"))
    if not is_read:
        session.confirm(f"{verb} {path}?")
    answer = session.client.call(verb, path, content, headers=headers)
    if every and isinstance(answer, dict) and "@odata.nextLink" in answer:
        while following := answer.pop("@odata.nextLink", None):
            page = session.client.call("GET", following, headers=headers)
            answer = {**page, f.VALUE: [*answer[f.VALUE], *page[f.VALUE]]}
    if answer is None:
        session.output.note("Done. The answer is empty.")
        return
    if session.output.format is Format.TABLE:
        session.output.format = Format.JSON
    session.output.raw(answer)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise UsageFault(f"--header {text!r} must be name: value.")
    return name.strip(), value.strip()


def _body(session: Session, text: str) -> Any:
    if not text:
        return None
    try:
        if text == "@-":
            text = session.surroundings.answers.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError) as fault:
        raise CliError(f"--body is not JSON: {fault}.") from fault


def completion(session: Session, shell: Annotated[str, typer.Argument(help="bash, zsh, fish or powershell.")]) -> None:
    """The completion script of a shell, to add to its profile."""
    from typer._completion_shared import get_completion_script

    if shell not in SHELLS:
        raise UsageFault(f"Unknown shell {shell!r}. Allowed: {', '.join(SHELLS)}.")
    script = get_completion_script(prog_name="seatkeeper", complete_var="_SEATKEEPER_COMPLETE", shell=shell)
    session.output.document(script + "\n")
