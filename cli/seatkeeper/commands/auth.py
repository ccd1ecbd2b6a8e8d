"""Commands about the sign-in."""

from __future__ import annotations

from typing import Annotated

import typer

from seatkeeper import routes
from seatkeeper.errors import CliError
from seatkeeper.framework import command, group
from seatkeeper.session import Session

app = group("auth", "The address of the app, and the sign-in.")


@command(app, "login", "auth login --url https://licensing.contoso.com --scope api://CLIENT_ID/.default")
def login(
    session: Session,
    scope: Annotated[str, typer.Option("--scope", help="The scope of the app: api://CLIENT_ID/.default.")] = "",
) -> None:
    """Store the address and the scope, and try the sign-in of az, azd or a managed identity. No secret is stored."""
    from seatkeeper.sign_in import SCOPE, address, store, stored

    if session.options.local:
        raise CliError("--local needs no login.")
    around = session.surroundings
    base = address(around, session.options.url)
    scope = scope or around.variables.get(SCOPE, "") or stored(around).get("scope", "")
    path = store(around, {"url": base, **({"scope": scope} if scope else {})})
    session.output.note(f"Stored in {path}.")
    _status(session)


@command(app, "status", "auth status")
def status(session: Session) -> None:
    """The address in use, the kind of sign-in, and whether the app accepts it."""
    _status(session)


def _status(session: Session) -> None:
    found = session.signed_in
    writing = session.client.ask(routes.WRITING)
    value = {"url": found.base, "signIn": found.how, "accepted": True, "writing": writing["on"]}
    pairs = [
        ("Address", found.base),
        ("Sign-in", found.how),
        ("Accepted", True),
        ("App writes to Graph", writing["on"]),
    ]
    session.output.one(value, lambda: session.output.pairs(pairs))


@command(app, "logout", "auth logout")
def logout(session: Session) -> None:
    """Forget the stored address and scope. Sign-ins of az and azd stay."""
    session.surroundings.config_file.unlink(missing_ok=True)
    session.output.note("The stored address and scope are deleted.")
