"""Plans, ends and differences as people read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seatkeeper.ascode.applying import Applied
from seatkeeper.ascode.profiles import PROPOSED, Sent
from seatkeeper.operations import summary
from seatkeeper.output import Output, counted
from seatkeeper.session import Session

SHOWN = 10
"""People of a group that are named in the terminal. The plan file names all of them."""

ERRORS = {
    "MutuallyExclusiveViolation": ("conflict", "conflicts"),
    "UniquenessViolation": ("duplicate address", "duplicate addresses"),
    "ProhibitedInUsageLocationViolation": ("usage location", "usage locations"),
    "DependencyViolation": ("missing dependency", "missing dependencies"),
    "CountViolation": ("missing license", "missing licenses"),
    "Other": ("outside this app", "outside this app"),
}

Json = Mapping[str, Any]


def plan(output: Output, document: Json) -> None:
    """A plan: products of each group, then the people who would lose something, then one line of totals."""
    for row in document["groups"]:
        _section(output, row["displayName"], row["lines"])
        _group(output, row)
    for row in document["profiles"]:
        _section(output, f"Profile {row['name']}", row["lines"])
    for line in document["notChanged"]:
        output.note(f"Not changed: {line}")
    output.say()
    output.say(total_line(document))


def _section(output: Output, heading: str, lines: Sequence[str]) -> None:
    output.heading(heading)
    for line in lines:
        output.say(f"  {line}")


def _group(output: Output, row: Json) -> None:
    output.say(f"  {_numbers(row)}")
    for product, by in row["short"].items():
        output.say(f"  {product} is short by {counted(by, 'license')}.")
    for warning in row["warnings"]:
        output.say(f"  Warning: {warning}")
    losing = row["losing"]
    for each in losing[:SHOWN]:
        output.say(f"  {each['userPrincipalName']} loses {', '.join(each['loses'])}")
    if len(losing) > SHOWN:
        output.say(f"  and {len(losing) - SHOWN:,} more, all named in the plan file")
    losing_apps = row.get("losingApps", len(losing))
    if losing_apps != len(losing):
        output.say(
            f"  {losing_apps:,} of these {len(losing):,} people lose an app that no other license assigns. "
            "An approval counts only them."
        )


def _numbers(row: Json) -> str:
    parts = [f"+{count:,} {name}" for name, count in row["assign"].items()]
    parts += [f"-{count:,} {name}" for name, count in row["remove"].items()]
    parts += [f"~{row['appsOff']:,} with apps turned off"] if row["appsOff"] else []
    parts += [f"{counted(row['keeping'], 'member', 'keeps', 'keep')} the licenses"] if row["keeping"] else []
    parts += [f"{row['failing']:,} would fail"] if row["failing"] else []
    parts += [f"{row['waiting']:,} would wait for a license"] if row["waiting"] else []
    return f"{counted(row['members'], 'member')}: {', '.join(parts) or 'nothing to assign or remove'}"


def total_line(document: Json) -> str:
    """The plan in one line."""
    totals = document["totals"]
    profiles = f"{counted(totals['profiles'], 'profile')} to save."
    if not totals["groups"] and totals["profiles"]:
        return f"Plan: {profiles}"
    if not totals["groups"]:
        return f"Plan: no changes. {counted(document['unchanged'], 'group', 'is', 'are')} as the files say."
    errors = ", ".join(f"{count:,} {_error(name, count)}" for name, count in totals["errors"].items())
    waiting = f", {totals['waiting']:,} would wait" if totals["waiting"] else ""
    stopped = f" {counted(totals['noLongerManaged'], 'group', 'is', 'are')} not managed any more."
    return (
        f"Plan: {totals['assign']:,} to assign, {totals['remove']:,} to remove, {totals['failing']:,} would fail"
        f"{f' ({errors})' if errors else ''}{waiting}. "
        f"{totals['losing']:,} {'person' if totals['losing'] == 1 else 'people'} would lose something. "
        f"{counted(totals['needApproval'], 'group', 'needs', 'need')} an approval."
        f"{stopped if totals['noLongerManaged'] else ''}{f' {profiles}' if totals['profiles'] else ''}"
    )


def _error(name: str, count: int) -> str:
    one, many = ERRORS.get(name, (name, name))
    return one if count == 1 else many


def applied(session: Session, results: Sequence[Applied | Sent]) -> None:
    """The end of each group and profile."""
    output = session.output
    for each in results:
        if isinstance(each, Sent):
            output.say(f"Profile {each.name}: {each.state}{f'. {each.note}' if each.note else ''}")
            if each.state == PROPOSED:
                output.say(f"  Next: {session.command(f'profile proposal {each.name}')}")
            continue
        end = summary(each.operation) if each.operation is not None else f"not carried out. {each.note}"
        output.say(f"{each.name}: {end}")
        if each.operation is not None and each.operation["state"] == "AwaitingApproval":
            output.say("  Next: " + session.command(f"approval show {each.operation['id']}"))


def drift(output: Output, rows: Sequence[Json]) -> None:
    """What differs between the files and the app."""
    for row in rows:
        heading = row["group"] if "group" in row else f"Profile {row['profile']}"
        _section(output, heading, row["differences"])
    output.say()
    profiles = sum("profile" in row for row in rows)
    kinds = [
        counted(number, noun) for number, noun in ((len(rows) - profiles, "group"), (profiles, "profile")) if number
    ]
    output.say(f"Drift: {' and '.join(kinds)} {'differs' if len(rows) == 1 else 'differ'}." if rows else "No drift.")
