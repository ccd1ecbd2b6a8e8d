"""Commands about operations: what was requested, and how far it is."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from seatkeeper import columns, operations, routes
from seatkeeper import fields as f
from seatkeeper.errors import CliError
from seatkeeper.framework import command, group
from seatkeeper.session import Session

app = group("operation", "Operations: watch, confirm, pause, resume and cancel them.")

Id = Annotated[str, typer.Argument(help="ID of an operation.", metavar="ID")]
Most = Annotated[int, typer.Option("--top", min=1, help="The number of rows to show.")]


@command(app, "list", "operation list --top 20")
def list_operations(
    session: Session,
    top: Most = 50,
    state: Annotated[str, typer.Option("--state", help="Only this state, such as AwaitingApproval.")] = "",
) -> None:
    """Operations, newest first."""
    found = session.client.all(routes.OPERATIONS, query={"$top": min(top, 999)} if not state else None)
    rows = islice((each for each in found if state in ("", each[f.STATE])), top)
    session.output.rows(rows, columns.operations(session.names), "No operations.")


@command(app, "show", "operation show 0199d0f31c2a4b6d8e0f123456789abc")
def show(session: Session, operation: Id) -> None:
    """One operation: state, results, plan."""
    found = session.client.ask(routes.OPERATION, operation)
    operations.show(session, found)


@command(app, "watch", "operation watch 0199d0f31c2a4b6d8e0f123456789abc")
def watch(session: Session, operation: Id) -> int:
    """Follow an operation to its end, with a progress bar. Its end is the exit code."""
    found = session.client.ask(routes.OPERATION, operation)
    return operations.show(session, operations.follow(session, found))


@command(app, "members", "operation members 0199d0f31c2a4b6d8e0f123456789abc -o csv")
def members(session: Session, operation: Id) -> None:
    """The plan of an operation, user by user, and the outcome of each."""
    found = session.client.all(routes.PLANNED_MEMBERS, operation)
    session.output.rows(found, columns.planned(session.names))


@command(app, "errors", "operation errors 0199d0f31c2a4b6d8e0f123456789abc -o csv")
def errors(
    session: Session,
    operation: Id,
    error: Annotated[str, typer.Option("--error", help="Only this error.")] = "",
    product: Annotated[str, typer.Option("--product", help="Only this product.")] = "",
    sort: Annotated[str, typer.Option("--sort", help="error, product or user.")] = "error",
) -> None:
    """The errors that a preview predicts: user, product, cause and remedy."""
    sku_id = session.names.product(product) if product else None
    query = {f.ERROR: error or None, f.SKU_ID: sku_id, "sort": sort}
    found = session.client.all(routes.PREDICTED_ERRORS, operation, query=query)
    session.output.rows(found, columns.PREDICTED, "No errors are expected.")


@command(app, "confirm", "operation confirm 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def confirm(session: Session, operation: Id) -> int:
    """Carry out the change of a group's preview, as it was shown. A change in between rejects it."""
    preview = session.client.ask(routes.OPERATION, operation)
    if not preview[f.PREVIEW]:
        raise CliError(f"{operation} is not a preview.", "Only a preview can be confirmed.")
    group_id = preview[f.TARGET].get(f.GROUP_ID)
    if not group_id:
        raise CliError(
            "A preview of named people does not keep their IDs.", "Run the command of the preview with --yes."
        )
    if preview[f.STATE] != f.COMPLETE:
        raise CliError(f"The preview is {preview[f.STATE]}.", f"Run: seatkeeper operation watch {operation}")
    if session.output.is_table:
        operations.show(session, preview)
    session.confirm("Carry this out?")
    if preview[f.MANAGE]:
        route, body = routes.MANAGE_GROUP, {"skuIds": preview[f.MANAGE]}
    elif preview[f.ENABLE]:
        route, body = routes.ENABLE_GROUP, {"skuIds": preview[f.ENABLE]}
    else:
        route, body = routes.ASSIGN_GROUP, {f.ADD: preview[f.ADD], f.REMOVE: preview[f.REMOVE]}
        if preview[f.KEEP]:
            body[f.KEEP] = True
    return operations.carry_out(session, route, (group_id,), body, preview)


@command(app, "pause", "operation pause 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def pause(session: Session, operation: Id) -> None:
    """Hand out no more work of an operation."""
    session.confirm(f"Pause {operation}?")
    operations.show(session, session.client.ask(routes.PAUSE, operation))


@command(app, "resume", "operation resume 0199d0f31c2a4b6d8e0f123456789abc --yes", writes=True)
def resume(session: Session, operation: Id) -> int:
    """Continue a paused operation."""
    session.confirm(f"Resume {operation}?")
    return operations.show(session, operations.follow(session, session.client.ask(routes.RESUME, operation)))


@command(
    app,
    "cancel",
    "operation cancel 0199d0f31c2a4b6d8e0f123456789abc --yes",
    "operation cancel 0199d0f31c2a4b6d8e0f123456789abc --restore",
    writes=True,
)
def cancel(
    session: Session,
    operation: Id,
    restore: Annotated[
        bool, typer.Option("--restore", help="Also restore the former assignment of the group.")
    ] = False,
) -> int:
    """End an operation. Completed work stays, unless the former assignment is restored."""
    session.confirm(f"Cancel {operation}{' and restore the former assignment' if restore else ''}?")
    found = session.client.ask(routes.CANCEL, operation, body={"assignment": "restore" if restore else "keep"})
    if restore:
        return operations.show(session, operations.follow(session, found))
    operations.show(session, found)
    return 0
