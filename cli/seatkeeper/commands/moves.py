"""Commands that move a group between Microsoft's own group-based licensing and this app."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from seatkeeper import fields as f
from seatkeeper import routes
from seatkeeper.errors import ERROR, OK, WAITS
from seatkeeper.framework import command, group
from seatkeeper.output import Column
from seatkeeper.routes import Route
from seatkeeper.session import Session

app = group("move", "Move groups between Microsoft's own group-based licensing and this app.")

FIRST_PAUSE_S, MOST_PAUSE_S = 0.5, 10.0
ENDED = ("preview", "done", "undone", "failed")
STOPS = (*ENDED, "paused", "awaitingApproval")


class Target(StrEnum):
    DIRECT = "direct"
    NATIVE = "native"


VERDICTS: Mapping[str, str] = {
    "ready": "Lose nothing",
    "waits": "Wait for the other source",
    "blocked": "Cannot be moved",
    "nothingActive": "Nothing Active",
    "nestedOnly": "Only in nested groups",
}
"""What the next step means for a member, in the words of the page."""

Move = Mapping[str, Any]
Group = Annotated[str, typer.Argument(help="Name or ID of a group.")]
To = Annotated[Target, typer.Option("--to", help="direct: to this app. native: to Microsoft's own licensing.")]
Convert = Annotated[
    list[str], typer.Option("--convert", help="A member whose unmanaged direct license ends too; can be repeated.")
]
Pilot = Annotated[list[str], typer.Option("--pilot", help="A user of the first wave; can be repeated.")]


@command(app, "preview", "move preview SG-LIC-E3 --to direct")
def preview(session: Session, group: Group, to: To) -> int:
    """Count what a move would do. Nothing is changed."""
    group_id = session.names.group(group)
    found = session.client.ask(routes.MOVE, group_id, body={"direction": _direction(to), "preview": True})
    return _show(session, _followed(session, group_id, found))


@command(
    app,
    "start",
    "move start SG-LIC-E3 --to direct --pilot ada@contoso.com",
    "move start SG-LIC-E3 --to native --yes --no-wait",
    writes=True,
)
def start(
    session: Session,
    group: Group,
    to: To,
    pilot: Pilot = [],  # noqa: B006 - Typer copies it
    convert: Convert = [],  # noqa: B006 - Typer copies it
) -> int:
    """Start a move. It stops for the approval of its last step, and when members cannot be moved."""
    group_id = session.names.group(group)
    users = [session.names.user(each) for each in pilot]
    source = "this app" if to is Target.DIRECT else "Microsoft's own licensing"
    session.confirm(f"Move the licensing of {session.names.group_label(group_id)} to {source}?")
    body: dict[str, Any] = {"direction": _direction(to), "pilot": users}
    if convert:
        body["convertDirect"] = [session.names.user(each) for each in convert]
    found = session.client.ask(routes.MOVE, group_id, body=body)
    return _show(session, _followed(session, group_id, found))


@command(app, "show", "move show SG-LIC-E3")
def show_move(session: Session, group: Group) -> int:
    """The newest move or preview of a group."""
    return _show(session, session.client.ask(routes.MOVE_STATE, session.names.group(group)))


@command(app, "pause", "move pause SG-LIC-E3 --yes", writes=True)
def pause(session: Session, group: Group) -> int:
    """Begin nothing new. Members keep both sources."""
    code = _act(session, group, routes.PAUSE_MOVE, "Pause the move of {}?", wait=False)
    return OK if code == ERROR else code


@command(app, "resume", "move resume SG-LIC-E3 --yes", writes=True)
def resume(session: Session, group: Group) -> int:
    """Continue a paused move with fresh reads."""
    return _act(session, group, routes.RESUME_MOVE, "Resume the move of {}?")


@command(app, "undo", "move undo SG-LIC-E3 --yes", writes=True)
def undo(session: Session, group: Group) -> int:
    """Go back to the source from before the move. Possible until its last step has begun."""
    return _act(session, group, routes.UNDO_MOVE, "Undo the move of {}?")


@command(app, "approve", "move approve SG-LIC-E3 --yes", writes=True)
def approve(session: Session, group: Group) -> int:
    """Approve the last step, which ends the former source. All members are verified once more before it."""
    group_id = session.names.group(group)
    found = session.client.ask(routes.MOVE_STATE, group_id)
    question = f"{found['members']:,} members were verified twice. End the former source of {{}}?"
    return _act(session, group, routes.APPROVE_MOVE, question, {"checksum": found["checksum"] or "none"})


@command(app, "report", "move report SG-LIC-E3", "move report SG-LIC-E3 -o csv")
def report(session: Session, group: Group) -> None:
    """Each member before the move and now, computed from a read of today."""
    names = session.names
    session.output.rows(
        list(session.client.all(routes.MOVE_REPORT, session.names.group(group))),
        [
            Column("User", lambda row: row[f.UPN] or row[f.ID]),
            Column("Outcome", "outcome"),
            Column("Before", lambda row: _sources(names, row["sourcesBefore"])),
            Column("Now", lambda row: _sources(names, row["sourcesAfter"])),
            Column("Lost apps", lambda row: _apps(names, row["lostPlans"])),
            Column("Nested only", "nested"),
            Column("ID", f.ID, wide=110, keep=True),
        ],
        "The group has no members.",
    )


def _direction(to: Target) -> str:
    return "toDirect" if to is Target.DIRECT else "toNative"


def _act(
    session: Session,
    group: str,
    route: Route,
    question: str,
    body: Mapping[str, Any] | None = None,
    *,
    wait: bool = True,
) -> int:
    group_id = session.names.group(group)
    session.confirm(question.format(session.names.group_label(group_id)))
    found = session.client.ask(route, group_id, body=body)
    return _show(session, _followed(session, group_id, found) if wait else found)


def _followed(session: Session, group_id: str, move: Move) -> Move:
    """The move when it has ended or waits for a person."""
    pause = FIRST_PAUSE_S
    while session.options.wait and move[f.STATE] not in STOPS:
        session.surroundings.sleep(pause)
        pause = min(MOST_PAUSE_S, pause * 1.4)
        move = session.client.ask(routes.MOVE_STATE, group_id)
    return move


def _show(session: Session, move: Move) -> int:
    session.output.one(move, lambda: _lines(session, move))
    if move[f.STATE] == "awaitingApproval":
        return WAITS
    return ERROR if move[f.STATE] in ("failed", "paused") else OK


def _lines(session: Session, move: Move) -> None:
    names = session.names
    needed = [f"{names.product_label(each[f.SKU_ID])}: {each['needed']}" for each in move["licensesNeeded"]]
    session.output.pairs(
        [
            ("Move", move[f.ID]),
            ("Group", names.group_label(move[f.GROUP_ID])),
            ("Direction", move["direction"]),
            ("State", move[f.STATE]),
            ("Paused because", move["pausedReason"]),
            ("Problem", move["problem"]),
            ("Products", [names.product_label(each[f.SKU_ID]) for each in move["licenses"]]),
            ("Members", move[f.MEMBERS]),
            *((VERDICTS.get(name, name), count) for name, count in move["verdicts"].items() if count),
            ("Unmanaged direct licenses", len(move["unmanagedMembers"]) or None),
            ("To convert", len(move["convertDirect"]) or None),
            ("Newly licensed", move["newlyLicensedMembers"]),
            ("Licenses needed", needed),
            ("Removals that failed", move["removalErrors"] or None),
            ("Checksum", move["checksum"]),
        ]
    )


def _sources(names: Any, products: list[Mapping[str, Any]]) -> list[str]:
    return [f"{names.product_label(each[f.SKU_ID])}: {' and '.join(each['sources'])}" for each in products]


def _apps(names: Any, products: list[Mapping[str, Any]]) -> list[str]:
    return [names.app_label(each[f.SKU_ID], plan) for each in products for plan in each["servicePlanIds"]]
