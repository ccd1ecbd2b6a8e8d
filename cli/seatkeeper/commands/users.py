"""Commands about people."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.commands.groups import Preview, Products, Without, licenses
from seatkeeper.errors import CliError
from seatkeeper.framework import command, group
from seatkeeper.operations import change, follow, show
from seatkeeper.routes import Route
from seatkeeper.session import Session
from seatkeeper.times import since_text

app = group("user", "People: their licenses, apps and history; export and erase.")

User = Annotated[str, typer.Argument(help="Sign-in name, mail, employee ID, full name or ID of a user.")]
Users = Annotated[list[str], typer.Option("--user", help="A user; repeat it for more.")]


@command(app, "search", "user search thiel")
def search_users(session: Session, words: Annotated[str, typer.Argument(help="Words of a name, or an ID.")]) -> None:
    """Find people of the directory."""
    found = session.client.ask(routes.FIND_USERS, body={f.SEARCH: words})[f.VALUE]
    session.output.rows(found, columns.USERS)


@command(app, "show", "user show tara.thiel@contoso.com", "user show 4711 --query 'licenses[].skuPartNumber'")
def show_user(session: Session, user: User) -> None:
    """Products, apps that are off, problems with their remedy, and the last seven days."""
    found = session.client.ask(routes.USER, session.names.user(user))
    session.output.one(found, lambda: _person(session, found))


def _person(session: Session, found: dict[str, Any]) -> None:
    output, names = session.output, session.names
    output.pairs(
        [
            ("User", found[f.UPN]),
            ("Name", found[f.DISPLAY_NAME]),
            ("ID", found[f.ID]),
            ("Usage location", found[f.USAGE_LOCATION]),
            ("Enabled", found["accountEnabled"]),
        ]
    )
    for title, rows, shown in (
        ("Licenses", found["licenses"], columns.user_licenses(names)),
        ("Groups", found[f.GROUPS], columns.user_groups(names)),
        ("Last 7 days", found["history"], columns.ENTRIES),
    ):
        output.heading(title)
        if rows:
            output.rows(rows, shown)
        else:
            output.say("None.")


@command(app, "licenses", "user licenses tara.thiel@contoso.com -o csv")
def user_licenses(session: Session, user: User) -> None:
    """The licenses of a user as the directory has them, each with its source."""
    found = session.client.all(routes.USER_LICENSES, session.names.user(user))
    session.output.rows(found, columns.user_licenses(session.names), "This user has no licenses.")


@command(app, "history", "user history tara.thiel@contoso.com --since 7d")
def history(
    session: Session,
    user: User,
    since: Annotated[str, typer.Option("--since", help="A date, a time, or an age such as 7d or 12h.")] = "",
) -> None:
    """Changes to the licenses of a user, newest first; of the last 31 days without --since."""
    query = {"user": session.names.user(user), "since": since_text(since)}
    session.output.rows(session.client.all(routes.AUDIT, query=query), columns.ENTRIES, "No changes.")


@command(app, "assign", "user assign SPE_E3 --user tara.thiel@contoso.com --user 4711", writes=True)
def assign(session: Session, products: Products, user: Users, without: Without = "", preview: Preview = False) -> int:
    """Assign products to named people. Shows the plan first."""
    body = {"userIds": _ids(session, user), f.ADD: licenses(session, products, without), f.REMOVE: []}
    return change(session, routes.ASSIGN_USERS, (), body, only_preview=preview)


@command(app, "remove", "user remove SPE_E3 --user tara.thiel@contoso.com", writes=True)
def remove(session: Session, products: Products, user: Users, preview: Preview = False) -> int:
    """Remove products that were assigned to people by name."""
    removed = [session.names.product(each) for each in products]
    body = {"userIds": _ids(session, user), f.ADD: [], f.REMOVE: removed}
    return change(session, routes.ASSIGN_USERS, (), body, only_preview=preview)


def _ids(session: Session, people: list[str]) -> list[str]:
    return list(dict.fromkeys(session.names.user(each) for each in people))


@command(app, "reprocess", "user reprocess tara.thiel@contoso.com --yes", writes=True)
def reprocess(session: Session, user: User) -> int:
    """Reconcile a user again. Earlier rejections do not count."""
    user_id = session.names.user(user)
    session.confirm(f"Reprocess {user}?")
    return show(session, follow(session, session.client.ask(routes.REPROCESS_USER, user_id)))


@command(app, "manage", "user manage tara.thiel@contoso.com SPE_E3", writes=True)
def manage(session: Session, user: User, products: Products, preview: Preview = False) -> int:
    """Manage unmanaged licenses that a group of the user also assigns. Apps that are on stay on."""
    return _with_skus(session, routes.MANAGE_USER, user, products, preview)


@command(app, "turn-on-apps", "user turn-on-apps tara.thiel@contoso.com SPE_E3", writes=True)
def turn_on_apps(session: Session, user: User, products: Products, preview: Preview = False) -> int:
    """Turn on missing apps in unmanaged licenses of a user. The licenses stay unmanaged."""
    return _with_skus(session, routes.ENABLE_USER, user, products, preview)


def _with_skus(session: Session, route: Route, user: str, products: list[str], preview: bool) -> int:
    user_id = session.names.user(user)
    body = {"skuIds": [session.names.product(each) for each in products]}
    return change(session, route, (user_id,), body, only_preview=preview)


@command(app, "keep", "user keep tara.thiel@contoso.com SPE_E3 --yes", writes=True)
def keep(session: Session, user: User, products: Products) -> None:
    """Keep licenses that are in a grace period or held, until a person removes them."""
    _decide(session, routes.KEEP_LICENSES, user, products, "Keep", "The licenses stay.")


@command(app, "remove-now", "user remove-now tara.thiel@contoso.com SPE_E3 --yes", writes=True)
def remove_now(session: Session, user: User, products: Products) -> None:
    """Remove licenses that are in a grace period, held or kept, after a second read."""
    text = "The licenses are removed after the removal window and a second read."
    _decide(session, routes.REMOVE_NOW, user, products, "Remove", text)


def _decide(session: Session, route: Route, user: str, products: list[str], verb: str, done: str) -> None:
    user_id = session.names.user(user)
    body = {"skuIds": [session.names.product(each) for each in products]}
    session.confirm(f"{verb} {', '.join(products)} of {user}?")
    session.client.ask(route, user_id, body=body)
    session.output.note(done)


@command(app, "export", "user export tara.thiel@contoso.com > tara.json")
def export(session: Session, user: User) -> None:
    """Everything that is stored about a user, as JSON."""
    session.output.raw(session.client.ask(routes.EXPORT_USER, session.names.user(user)))


@command(app, "erase", "user erase tara.thiel@contoso.com --confirm tara.thiel@contoso.com --yes", writes=True)
def erase(
    session: Session,
    user: User,
    confirm: Annotated[str, typer.Option("--confirm", help="The user once more, since this cannot be undone.")] = "",
) -> None:
    """Erase names, completed HR events and messages of a user. It cannot be undone."""
    user_id = session.names.user(user)
    if confirm.strip().casefold() != user.strip().casefold():
        raise CliError("Erasing cannot be undone. Nothing was done.", f"Add --confirm {user}")
    session.confirm(f"Erase what is stored about {user} ({user_id})?")
    done = session.client.ask(routes.ERASE_USER, user_id)

    def lines() -> None:
        session.output.pairs(
            [*done["erased"].items(), ("Open events", done["openEvents"]), ("Note", done["openEventsKeep"])]
        )

    session.output.one(done, lines)
