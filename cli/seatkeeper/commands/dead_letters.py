"""Commands about dead letters: messages that could not be processed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.errors import CliError
from seatkeeper.framework import command, group
from seatkeeper.session import Session
from seatkeeper.times import since_text

app = group("dead-letter", "Dead letters: messages that could not be processed.")

Id = Annotated[str, typer.Argument(help="ID of a dead letter.", metavar="ID")]
Queue = Annotated[str, typer.Option("--queue", help="Only of this queue, such as members.")]
Kind = Annotated[str, typer.Option("--kind", help="Only of this kind, such as givenUp.")]
Text = Annotated[str, typer.Option("--text", help="Only those with this text in the reason or the message.")]
Since = Annotated[str, typer.Option("--since", help="Only those kept since a time or an age such as 1d.")]


def _wanted(queue: str, kind: str, text: str, since: str) -> dict[str, Any]:
    named = {"queue": queue, "kind": kind, "text": text, "since": since_text(since)}
    return {name: value for name, value in named.items() if value}


@command(app, "list", "dead-letter list --queue onboarding --since 1d")
def list_dead_letters(session: Session, queue: Queue = "", kind: Kind = "", text: Text = "", since: Since = "") -> None:
    """Failed messages with the reason, newest first."""
    wanted = _wanted(queue, kind, text, since)
    found = (
        session.client.search(routes.FIND_DEAD_LETTERS, body=wanted)
        if wanted
        else session.client.all(routes.DEAD_LETTER_COLUMNS)
    )
    session.output.rows(found, columns.DEAD_LETTER_COLUMNS, "No dead letters.")


@command(app, "replay", "dead-letter replay 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def replay(
    session: Session,
    dead_letter: Id,
    corrected: Annotated[Path | None, typer.Option("--corrected", help="A JSON file to send in its place.")] = None,
) -> None:
    """Send a message back to its queue, or a corrected one."""
    body: dict[str, Any] | None = None
    if corrected is not None:
        try:
            body = {"message": json.loads(corrected.read_text(encoding="utf-8"))}
        except (OSError, ValueError) as fault:
            raise CliError(f"{corrected} is not a JSON file: {fault}.") from fault
    session.confirm(f"Replay {dead_letter}{f' as in {corrected}' if corrected else ''}?")
    session.client.ask(routes.REPLAY_DEAD_LETTER, dead_letter, body=body)
    session.output.note("The message was sent.")


@command(app, "delete", "dead-letter delete 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def delete(session: Session, dead_letter: Id) -> None:
    """Take a message off the list without sending it."""
    session.confirm(f"Delete {dead_letter}?")
    session.client.ask(routes.DELETE_DEAD_LETTER, dead_letter)
    session.output.note("The message was deleted.")


@command(app, "replay-all", "dead-letter replay-all --queue members --yes", writes=True)
def replay_all(session: Session, queue: Queue = "", kind: Kind = "", text: Text = "", since: Since = "") -> None:
    """Replay every dead letter that matches and is there now."""
    _bulk(session, "replay", _wanted(queue, kind, text, since))


@command(app, "delete-all", "dead-letter delete-all --kind unreadable --yes", writes=True)
def delete_all(session: Session, queue: Queue = "", kind: Kind = "", text: Text = "", since: Since = "") -> None:
    """Delete every dead letter that matches and is there now."""
    _bulk(session, "delete", _wanted(queue, kind, text, since))


def _bulk(session: Session, act: str, wanted: dict[str, Any]) -> None:
    shown = ", ".join(f"{name} {value}" for name, value in wanted.items()) or "no filter"
    session.confirm(f"{act.capitalize()} all dead letters with {shown}?")
    found = session.client.ask(routes.BULK, body={**wanted, "action": act})
    while session.options.wait and found[f.STATE] == "running":
        session.surroundings.sleep(1.0)
        found = session.client.ask(routes.BULK_ACT, found[f.ID])
    session.output.rows([found], columns.BULK_ACTS)


@command(app, "acts", "dead-letter acts")
def acts(session: Session) -> None:
    """The newest replays and deletions of many messages."""
    session.output.rows(session.client.all(routes.BULK_ACTS), columns.BULK_ACTS, "None yet.")
