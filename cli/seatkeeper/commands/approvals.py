"""Commands about approvals: removals that wait for a person."""

from __future__ import annotations

from typing import Annotated

import typer

from seatkeeper import columns, operations, routes
from seatkeeper import fields as f
from seatkeeper.commands.operations import Id
from seatkeeper.errors import CliError
from seatkeeper.framework import command, group
from seatkeeper.session import Session

app = group("approval", "Approvals: removals that wait for a person.")


@command(app, "list", "approval list", "approval list --query '[].id'")
def list_approvals(session: Session) -> None:
    """Operations that wait for an approval."""
    found = session.client.all(routes.APPROVALS)
    session.output.rows(found, columns.approvals(session.names), "Nothing waits for an approval.")


@command(
    app,
    "show",
    "approval show 0199d0f31c2a4b6d8e0f123456789abc",
    "approval show 0199d0f31c2a4b6d8e0f123456789abc -o csv",
)
def show(session: Session, operation: Id) -> None:
    """The people of an approval, what each would lose, and the checksum to approve it by."""
    found = session.client.ask(routes.OPERATION, operation)
    rows = session.client.all(routes.PLANNED_MEMBERS, operation, query={f.ONLY_LOSING: True})
    if session.output.is_table:
        operations.show(session, found)
        session.output.heading("People")
    session.output.rows(
        rows, columns.planned(session.names), "The list was not opened yet. Run: seatkeeper approval open ID"
    )


@command(app, "open", "approval open 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def open_list(session: Session, operation: Id) -> None:
    """Turn the removals that are held so far into a list to approve or reject."""
    session.confirm(f"Open the list of {operation}?")
    operations.show(session, session.client.ask(routes.REVIEW, operation))


@command(app, "approve", "approval approve 0199d0f31c2a4b6d8e0f123456789abc --checksum 9b1f… --yes", writes=True)
def approve(
    session: Session,
    operation: Id,
    checksum: Annotated[str, typer.Option("--checksum", help="The checksum of the list that you read.")] = "",
) -> int:
    """Approve the list with the checksum that was shown. Only a person can do this."""
    found = session.client.ask(routes.OPERATION, operation)
    if not checksum:
        if session.options.yes or not session.surroundings.has_person:
            raise CliError("--checksum names the list that you read.", f"Run: seatkeeper approval show {operation}")
        operations.show(session, found)
        checksum = found[f.CHECKSUM] or ""
    session.confirm(f"Approve the removal of licenses from {found[f.PLAN][f.LOSING]:,} people?")
    done = session.client.ask(routes.APPROVE, operation, body={f.CHECKSUM: checksum})
    if done[f.STATE] == f.AWAITING:
        return operations.show(session, done)
    return operations.show(session, operations.follow(session, done))


@command(app, "reject", "approval reject 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def reject(session: Session, operation: Id) -> None:
    """Reject the list: the licenses stay."""
    session.confirm(f"Reject {operation}?")
    operations.show(session, session.client.ask(routes.REJECT, operation))
