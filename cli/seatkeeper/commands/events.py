"""Commands about HR events: send, import, decide."""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.errors import ERROR, OK, WAITS, ApiError, CliError
from seatkeeper.framework import command, group
from seatkeeper.output import Column
from seatkeeper.session import Session

app = group("event", "HR events: joiners, movers and leavers.")

Id = Annotated[str, typer.Argument(help="ID of an event.", metavar="ID")]
EmployeeId = Annotated[str, typer.Option("--employee-id", help="The employee ID of the person.")]
User = Annotated[str, typer.Option("--user", help="The sign-in name of the person.")]
On = Annotated[str, typer.Option("--on", help="The day on which it takes effect.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="An attribute, such as department=Sales; repeat it.")]
Source = Annotated[
    str, typer.Option("--source", help="The HR system that states it, in place of SEATKEEPER_EVENT_SOURCE.")
]
EventId = Annotated[str, typer.Option("--id", help="An ID of its own; made from the content without it.")]
Employment = Annotated[str, typer.Option("--employment-id", help="The employment, if a person can have several.")]
Sequence = Annotated[str, typer.Option("--sequence", help="The order of the source, if it is by sequence.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what the event would do.")]

EXAMPLE = "--employee-id 4711 --on 2026-12-01 --source urn:hr:example"


def _event_command(kind: str, about: str, example: str, without: Collection[str] = ()) -> None:
    """Add the command that sends events of a kind. `without`: parameters that the kind does not have."""

    def send(
        session: Session,
        employee_id: EmployeeId = "",
        user: User = "",
        on: On = "",
        set_: Set = None,
        source: Source = "",
        event_id: EventId = "",
        employment_id: Employment = "",
        sequence: Sequence = "",
        dry_run: DryRun = False,
    ) -> int:
        from seatkeeper.hr_events import event_of, pairs_of

        values = {
            "type": kind,
            "employeeId": employee_id,
            "userPrincipalName": user,
            "effectiveDate": on,
            "employmentId": employment_id,
            "sequence": sequence,
            "id": event_id,
            **pairs_of(set_ or ()),
        }
        event = event_of(values, source_of(session, source))
        if dry_run:
            return _try(session, event)
        session.confirm(f"Send this {kind} event of {employee_id or user} for {on or 'today'}?")
        taken = session.client.ask(routes.SEND_EVENTS, body=event)[f.VALUE][0]
        return _show(session, session.client.ask(routes.EVENT, taken[f.ID]))

    signature = inspect.signature(send)
    kept = [each for name, each in signature.parameters.items() if name not in without]
    # The framework reads the options of a command from here. mypy does not know the attribute.
    send.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    command(app, kind, f"event {kind} {EXAMPLE} {example}", writes=True, about=about)(send)


def source_of(session: Session, source: str) -> str:
    """The HR system of events that name none."""
    return source or session.surroundings.variables.get("SEATKEEPER_EVENT_SOURCE", "")


def _try(session: Session, event: Mapping[str, Any]) -> int:
    found = session.client.ask(routes.DRY_RUN, body=event)
    names = session.names

    def lines() -> None:
        session.output.pairs(
            [
                ("Would end as", found[f.STATE] or "carried out"),
                ("Note", found["note"]),
                ("Remedy", found[f.REMEDY]),
                ("Accounts", [each[f.UPN] for each in found["accounts"]]),
                ("Profiles", [f"{each['name']} ({each['reason']})" for each in found["profiles"]]),
                ("Unknown profiles", found["unknownProfiles"]),
                ("Usage location", found[f.USAGE_LOCATION]),
                *(("Group", f"{names.group_label(each[f.GROUP_ID])}: {each['outcome']}") for each in found[f.GROUPS]),
                *(
                    ("Product", names.product_label(each[f.SKU_ID]) + (" (has it)" if each["hasAlready"] else ""))
                    for each in found["licenses"]
                ),
                ("Would lose", [names.product_label(each) for each in found["removedLicenses"]]),
            ]
        )

    session.output.one(found, lines)
    return ERROR if found[f.STATE] == "Failed" else OK


_event_command("joiner", "An employment starts.", "--set department=Sales --dry-run")
_event_command("mover", "An employment has another department, job or place.", "--set department=Finance --yes")
_event_command("leaver", "An employment ends.", "--dry-run", ["set_"])
_event_command("rescission", "An employment does not end after all.", "--yes", ["set_"])
_event_command("release", "The licenses of a leaver can be removed now.", "--yes", ["set_", "dry_run"])


@command(
    app,
    "import",
    "event import joiners.csv --source urn:hr:example --yes",
    "event import joiners.csv --check",
    writes=True,
)
def import_csv(
    session: Session,
    file: Annotated[Path, typer.Argument(help="A CSV file in UTF-8 with a heading.")],
    source: Source = "",
    check: Annotated[bool, typer.Option("--check", help="Only read the file; nothing is sent.")] = False,
) -> int:
    """Send the events of a CSV file. Bad rows are named; good rows are sent.

    Columns: type, id, source, time, sequence, profiles, userId, employeeId, userPrincipalName, effectiveDate,
    employmentId, usageLocation, and attributes such as department and jobTitle.
    """
    from seatkeeper.hr_events import MOST_ROWS, CsvRow, rows_of

    rows = rows_of(file, source_of(session, source))
    good = [each for each in rows if not each.fault]
    results = [_result(each.line, each.event, "", each.fault) for each in rows if each.fault]
    if good and not check:
        session.confirm(f"Send {len(good):,} events of {file.name}?")
        for start in range(0, len(good), MOST_ROWS):
            part: list[CsvRow] = good[start : start + MOST_ROWS]
            results += _sent(session, part)
    elif check:
        results += [_result(each.line, each.event, "readable", "") for each in good]
    results.sort(key=lambda each: each["line"])
    shown = [
        Column("Line", "line", right=True),
        Column("Result", "result"),
        Column("Fault", "fault"),
    ]
    faulty = [each for each in results if each["fault"]]
    session.output.rows(
        faulty if session.output.is_table else results,
        [*shown, Column("ID", f.ID, wide=columns.WIDE)],
        "No faults.",
    )
    session.output.note(f"{len(results) - len(faulty):,} of {len(results):,} rows were {'read' if check else 'sent'}.")
    return ERROR if faulty else OK


def _result(line: int, event: Mapping[str, Any], result: str, fault: str, event_key: str = "") -> dict[str, Any]:
    return {"line": line, "eventId": event.get(f.ID, ""), "result": result, "fault": fault, f.ID: event_key}


def _sent(session: Session, rows: list[Any]) -> list[dict[str, Any]]:
    try:
        answer = session.client.ask(routes.SEND_EVENTS, body=[row.event for row in rows])
        taken, faults = answer[f.VALUE], answer["faults"]
    except ApiError as fault:
        if not fault.details:
            raise
        taken, faults = [], fault.details
    results = [
        _result(rows[each["position"]].line, rows[each["position"]].event, each[f.STATE], "", each[f.ID])
        for each in taken
    ]
    by_row: dict[int, list[str]] = {}
    for each in faults:
        by_row.setdefault(int(each["position"]), []).append(str(each[f.MESSAGE]))
    return results + [_result(rows[at].line, rows[at].event, "", " ".join(texts)) for at, texts in by_row.items()]


@command(app, "list", "event list --attention", "event list --state Failed -o csv")
def list_events(
    session: Session,
    attention: Annotated[bool, typer.Option("--attention", help="Only events that need a person.")] = False,
    state: Annotated[str, typer.Option("--state", help="Only this state, such as NeedsDecision.")] = "",
    top: Annotated[int, typer.Option("--top", min=1, help="The number of rows to show.")] = 100,
) -> None:
    """Events with their results, newest first."""
    found = session.client.all(routes.EVENTS, query={"attention": attention or None})
    rows = islice((each for each in found if state in ("", each[f.STATE])), top)
    session.output.rows(rows, columns.EVENTS, "No events.")


@command(app, "show", "event show 0199d0f31c2a4b6d8e0f123456789abc")
def show(session: Session, event: Id) -> int:
    """One event: every membership and license, and the remedy for each fault."""
    return _show(session, session.client.ask(routes.EVENT, event))


def _show(session: Session, found: Mapping[str, Any]) -> int:
    names = session.names

    def lines() -> None:
        person = found["person"]
        session.output.pairs(
            [
                ("Event", found[f.ID]),
                ("Type", found["eventType"]),
                ("Person", person[f.UPN] or person[f.EMPLOYEE_ID] or person[f.ID]),
                ("Effective", found["effectiveDateTime"]),
                ("State", found[f.STATE]),
                ("Note", found["note"]),
                ("Remedy", found[f.REMEDY]),
                ("Profiles", found["profiles"]),
                ("Source", found["eventSource"]),
                ("Sent by", found[f.INITIATED_BY][f.DISPLAY_NAME]),
                *(
                    (
                        "Group",
                        " ".join(filter(None, (names.group_label(each[f.GROUP_ID]), each["outcome"], each["text"]))),
                    )
                    for each in found[f.GROUPS]
                ),
                *(
                    (
                        "Product",
                        " ".join(filter(None, (names.product_label(each[f.SKU_ID]), each["outcome"], each["text"]))),
                    )
                    for each in found["licenses"]
                ),
            ]
        )

    session.output.one(found, lines)
    return {"Failed": ERROR, "DoneWithErrors": ERROR, "NeedsDecision": WAITS, "Held": WAITS}.get(found[f.STATE], OK)


@command(app, "cancel", "event cancel 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def cancel(session: Session, event: Id) -> None:
    """End an event before it is processed, or a leaver before it is done."""
    session.confirm(f"Cancel {event}?")
    _show(session, session.client.ask(routes.CANCEL_EVENT, event))


@command(app, "replay", "event replay 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def replay(session: Session, event: Id) -> None:
    """Process an event again that failed or ended with errors."""
    session.confirm(f"Process {event} again?")
    _show(session, session.client.ask(routes.REPLAY_EVENT, event))


@command(app, "decide", "event decide 0199d0f31c2a4b6d8e0f123456789abc --carry-out --yes", writes=True)
def decide(
    session: Session,
    event: Id,
    carry_out: Annotated[bool | None, typer.Option("--carry-out/--dismiss", help="The decision.")] = None,
) -> None:
    """Answer an event that needs a decision."""
    if carry_out is None:
        raise CliError("Name the decision: --carry-out or --dismiss.")
    session.confirm(f"{'Carry out' if carry_out else 'Dismiss'} {event}?")
    body = {"decision": "carryOut" if carry_out else "dismiss"}
    _show(session, session.client.ask(routes.DECIDE_EVENT, event, body=body))


@command(app, "schema", "event schema > onboarding.v1.json")
def schema(session: Session) -> None:
    """The JSON Schema of an event."""
    session.output.document(json.dumps(session.client.ask(routes.EVENT_SCHEMA), indent=2, ensure_ascii=False) + "\n")


Checksum = Annotated[str, typer.Option("--checksum", help="The checksum of the list that you read.")]


def _list(session: Session, found: Mapping[str, Any], empty: str) -> None:
    session.output.rows(found[f.VALUE], columns.EVENTS, empty)
    if found[f.VALUE]:
        session.output.note(f"{found['count']:,} leavers. Checksum: {found[f.CHECKSUM]}")


@command(app, "held", "event held")
def held(session: Session) -> None:
    """Leavers above the allowance of a day, with the checksum to approve them by."""
    _list(session, session.client.whole(routes.HELD), "No leavers are held.")


@command(app, "approve-held", "event approve-held --checksum 9b1f… --yes", writes=True)
def approve_held(session: Session, checksum: Checksum) -> None:
    """Approve the held leavers that were shown."""
    session.confirm("Approve the held leavers?")
    _count(session, session.client.ask(routes.APPROVE_HELD, body={f.CHECKSUM: checksum}), "approved")


@command(app, "reject-held", "event reject-held --checksum 9b1f… --yes", writes=True)
def reject_held(session: Session, checksum: Checksum) -> None:
    """Cancel the held leavers that were shown."""
    session.confirm("Cancel the held leavers?")
    _count(session, session.client.ask(routes.REJECT_HELD, body={f.CHECKSUM: checksum}), "cancelled")


@command(app, "announced", "event announced")
def announced(session: Session) -> None:
    """Leavers that HR announced at least 24 hours ahead, with the checksum to approve them by."""
    _list(session, session.client.whole(routes.ANNOUNCED), "No leavers are announced.")


@command(app, "approve-announced", "event approve-announced --checksum 9b1f… --yes", writes=True)
def approve_announced(session: Session, checksum: Checksum) -> None:
    """Approve the announced leavers that were shown. They do not count against the allowance."""
    session.confirm("Approve the announced leavers?")
    _count(session, session.client.ask(routes.APPROVE_ANNOUNCED, body={f.CHECKSUM: checksum}), "approved")


def _count(session: Session, found: Mapping[str, Any], done: str) -> None:
    session.output.one(found, lambda: session.output.say(f"{found['count']:,} leavers {done}."))
