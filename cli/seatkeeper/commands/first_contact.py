"""Commands about the first-contact check: whether this tenant behaves as the app assumes."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from seatkeeper import columns, routes
from seatkeeper import fields as f
from seatkeeper.errors import CHANGES, ERROR, OK, CliError
from seatkeeper.framework import command, group
from seatkeeper.session import Session

app = group("first-contact", "The first-contact check: whether this tenant behaves as the app assumes.")

Id = Annotated[str, typer.Argument(help="ID of a run; without one, the newest.", metavar="ID")]
User = Annotated[str, typer.Option("--test-user", help="ID of a test user without license, group and role.")]
Group = Annotated[str, typer.Option("--test-group", help="ID of a test group without licenses and members.")]
Sku = Annotated[str, typer.Option("--test-sku", help="ID of a product with an available license.")]

Users = Annotated[
    list[str] | None, typer.Option("--load-user", help="ID of a test user of a load run; repeat it 20 times.")
]

RUN = "first-contact run --test-user 1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e --test-group"


@command(
    app,
    "run",
    "first-contact run",
    f"{RUN} 0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f --test-sku 05e9a617-0261-4cee-bb44-138d3ef5d965 --yes",
    writes=True,
)
def run(
    session: Session, test_user: User = "", test_group: Group = "", test_sku: Sku = "", load_user: Users = None
) -> int:
    """Start a read-only run, a load run if its users are named, or a basic run.

    A basic run needs a test user, a test group and a product. The exit code is 2 if something differs."""
    given = {"testUserId": test_user, "testGroupId": test_group, "testSkuId": test_sku, "testUserIds": load_user}
    body: dict[str, Any] = {name: value for name, value in given.items() if value}
    body["level"] = "load" if load_user else "basic" if body else "readOnly"
    if body["level"] == "basic":
        session.confirm("Make up to 12 writes to the test user and the test group, and restore both?")
    if body["level"] == "load":
        session.confirm("Make up to 100 writes to the test users, and restore them?")
    found = session.client.ask(routes.START_FIRST_CONTACT, body=body)
    while session.options.wait and found[f.STATE] in ("queued", "running"):
        session.surroundings.sleep(2.0)
        found = session.client.ask(routes.FIRST_CONTACT_RUN, found[f.ID])
    if found[f.STATE] in ("queued", "running"):
        session.output.note(f"Run {found[f.ID]} has started.")
        return OK
    return _show(session, found)


@command(app, "list", "first-contact list")
def list_runs(session: Session) -> None:
    """Runs of the last 90 days, newest first."""
    found = session.client.all(routes.FIRST_CONTACT_RUNS)
    session.output.rows(found, columns.FIRST_CONTACT_RUNS, "No runs yet.")


@command(app, "show", "first-contact show", "first-contact show 0199d0f31c2a4b6d8e0f123456789abc -o json")
def show(session: Session, run_id: Id = "") -> int:
    """One run with its verdicts. The exit code is 2 if something differs from what the app assumes."""
    return _show(session, session.client.ask(routes.FIRST_CONTACT_RUN, _id(session, run_id)))


@command(app, "recording", "first-contact recording > recording.json")
def recording(session: Session, run_id: Id = "") -> None:
    """The recording of a run as JSON, without any name, ID or token of the tenant."""
    found = session.client.ask(routes.FIRST_CONTACT_RECORDING, _id(session, run_id))
    session.output.one(found, lambda: session.output.say(json.dumps(found, indent=2)))


def _id(session: Session, run_id: str) -> str:
    if run_id:
        return run_id
    found = session.client.ask(routes.FIRST_CONTACT_RUNS, query={"$top": 1})[f.VALUE]
    if not found:
        raise CliError("No check has run yet.", "Run one: seatkeeper first-contact run")
    return str(found[0][f.ID])


LOAD = (
    ("Accepted at once", "acceptedAtOnce"),
    ("Rejected as concurrent", "rejectedAsConcurrent"),
    ("Throttled", "throttled"),
    ("Seconds of 1 write", "secondsOfOne"),
    ("Seconds of 20 writes", "secondsOfTwenty"),
)


def _show(session: Session, found: dict[str, Any]) -> int:
    findings, load = found["findings"], found["load"] or {}

    def lines() -> None:
        session.output.pairs(
            [
                ("Run", found[f.ID]),
                ("Level", found["level"]),
                ("State", found[f.STATE]),
                ("Requests", found["requests"]),
                ("Writes", found["writes"]),
                ("Fault", found["fault"]),
                *((name, load[field]) for name, field in LOAD if load),
            ]
        )
        session.output.heading("Assumptions")
        session.output.rows(findings, columns.FINDINGS, "No verdict yet.")
        for each in findings:
            if each["consequence"]:
                session.output.say(f"{each['number']}: {each['question']} {each['consequence']}")
        for each in found["changes"]:
            session.output.say(f"Changed: {each['number']}: {each['before']} is now {each['after']}")

    session.output.one(found, lines)
    if found[f.STATE] == "failed":
        return ERROR
    return CHANGES if any(each["verdict"] == "otherwise" for each in findings) else OK
