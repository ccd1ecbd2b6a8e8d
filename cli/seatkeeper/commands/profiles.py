"""Commands about profiles: what a job needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.errors import OK, WAITS, CliError
from seatkeeper.framework import command, group
from seatkeeper.session import Session

app = group("profile", "Profiles: the groups and products that a job needs.")

Name = Annotated[str, typer.Argument(help="Name of a profile.")]


@command(app, "list", "profile list")
def list_profiles(session: Session) -> None:
    """All profiles."""
    session.output.rows(session.client.all(routes.PROFILES), columns.PROFILES, "No profiles.")


@command(app, "show", "profile show sales > sales.json")
def show(session: Session, name: Name) -> None:
    """One profile as JSON."""
    session.output.raw(session.client.ask(routes.PROFILE, name))


@command(app, "save", "profile save sales --file sales.json --yes", writes=True)
def save(
    session: Session,
    name: Name,
    file: Annotated[Path, typer.Option("--file", help="A JSON file, as profile show writes it.")],
) -> int:
    """Create or replace a profile. The exit code is 3 if another person must approve it."""
    try:
        body: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as fault:
        raise CliError(f"{file} cannot be read: {fault.strerror}.") from fault
    except ValueError as fault:
        raise CliError(f"{file} is not a JSON file: {fault}.") from fault
    version = body.pop(f.ETAG, None)
    body.pop("name", None)
    session.confirm(f"Save the profile {name}?")
    found = session.client.ask(routes.SAVE_PROFILE, name, body=body, headers={"if-match": version} if version else None)
    return _saved(session, found)


@command(app, "delete", "profile delete sales --yes", writes=True)
def delete(session: Session, name: Name) -> int:
    """Delete a profile. The exit code is 3 if another person must approve it."""
    session.confirm(f"Delete the profile {name}?")
    return _saved(session, session.client.ask(routes.DELETE_PROFILE, name))


def _saved(session: Session, found: dict[str, Any] | None) -> int:
    if found is None:
        session.output.note("Deleted.")
        return OK
    waits = "proposedBy" in found
    text = f"Another person must approve version {found['version']}." if waits else f"Profile {found['name']} is saved."
    session.output.one(found, lambda: session.output.say(text))
    return WAITS if waits else OK


@command(app, "proposals", "profile proposals")
def proposals(session: Session) -> None:
    """Proposed versions that wait for another person."""
    found = session.client.all(routes.PROPOSALS)
    session.output.rows(found, columns.PROPOSALS, "No version waits for an approval.")


@command(app, "proposal", "profile proposal sales")
def proposal(session: Session, name: Name) -> None:
    """One proposed version: each field before and after, as JSON."""
    session.output.raw(session.client.ask(routes.PROPOSAL, name))


Version = Annotated[str, typer.Option("--version", help="The version that you read, as profile proposals shows it.")]


@command(app, "approve", "profile approve sales --version 'W/\"4\"' --yes", writes=True)
def approve(session: Session, name: Name, version: Version) -> int:
    """Put the proposed version into force. Only another person can do this."""
    session.confirm(f"Approve {version} of the profile {name}?")
    return _saved(session, session.client.ask(routes.APPROVE_PROPOSAL, name, body={"version": version}))


@command(app, "reject", "profile reject sales --version 'W/\"4\"' --yes", writes=True)
def reject(session: Session, name: Name, version: Version) -> None:
    """Drop the proposed version."""
    session.confirm(f"Reject {version} of the profile {name}?")
    session.client.ask(routes.REJECT_PROPOSAL, name, body={"version": version})
    session.output.note("The proposed version was dropped.")
