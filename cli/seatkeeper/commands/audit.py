"""Commands about the audit log."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any

import typer

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.errors import ERROR, OK
from seatkeeper.framework import command, group
from seatkeeper.names import is_guid
from seatkeeper.session import Session
from seatkeeper.times import since_text

app = group("audit", "The audit log: who changed what, and whether the log is unchanged.")

Since = Annotated[str, typer.Option("--since", help="A date, a time, or an age such as 7d.")]
Until = Annotated[str, typer.Option("--until", help="A date or a time.")]


@command(
    app,
    "search",
    "audit search --group SG-LIC-E3 --since 7d",
    "audit search --by ada --activity 'Set group license' -o csv",
)
def search(
    session: Session,
    user: Annotated[str, typer.Option("--user", help="Entries about this user.")] = "",
    group: Annotated[str, typer.Option("--group", help="Entries about this group.")] = "",
    by: Annotated[str, typer.Option("--by", help="Entries of this person or app: an ID or a part of the name.")] = "",
    activity: Annotated[str, typer.Option("--activity", help="Entries of this activity.")] = "",
    since: Since = "",
    until: Until = "",
    top: Annotated[int, typer.Option("--top", min=1, help="The number of rows to show.")] = 100,
) -> None:
    """Entries that match, newest first; of the last 31 days without --since."""
    names = session.names
    named: dict[str, Any] = {
        "user": names.user(user) if user else "",
        "group": names.group(group) if group else "",
        f.INITIATED_BY: by,
        "activity": activity,
        "since": since_text(since),
        "until": since_text(until),
    }
    wanted = {name: value for name, value in named.items() if value}
    in_body = bool(by) and not is_guid(by)
    found = (
        session.client.search(routes.FIND_AUDIT, body=wanted)
        if in_body
        else session.client.all(routes.AUDIT, query={**wanted, "$top": min(top, 999)})
    )
    session.output.rows(islice(found, top), columns.ENTRIES, "No entries match.")


@command(app, "verify", "audit verify --since 2026-11-01 --until 2026-11-30")
def verify(session: Session, since: Since = "", until: Until = "") -> int:
    """Compare the log with its digests, hour by hour. The exit code is 1 if anything differs."""
    query = {"from": since_text(since), "to": since_text(until)}
    found = session.client.ask(routes.VERIFY_AUDIT, query=query)

    def lines() -> None:
        for fault in found["faults"]:
            session.output.say(f"Fault: {fault}")
        session.output.rows(found["hours"], columns.HOURS, "No hour was closed in this time.")
        session.output.note("Verified." if found["verified"] else "The log is not as it was recorded.")

    session.output.one(found, lines)
    return OK if found["verified"] else ERROR


@command(app, "message", "audit message 0199d0f31c2a4b6d8e0f123456789abc")
def message(session: Session, entry: Annotated[str, typer.Argument(metavar="ID", help="ID of an entry.")]) -> None:
    """The message that a person replayed, and the corrected one, if any."""
    session.output.raw(session.client.ask(routes.AUDIT_MESSAGE, entry))
