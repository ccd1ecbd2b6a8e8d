"""Licenses as code: files that say what each group assigns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seatkeeper import fields as f
from seatkeeper.errors import CHANGES, OK, CliError, Rejected
from seatkeeper.framework import command
from seatkeeper.session import Session

Folder = Annotated[Path, typer.Argument(help="A folder of YAML files, or one file.")]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", help="Accept a reason against the plan: removals, additions, protected or dependencies."),
]


def add_to(app: typer.Typer) -> None:
    command(app, "validate", "validate licenses/")(validate)
    command(app, "plan", "plan licenses/ -out p.json", "plan licenses/ --allow removals -out p.json")(plan)
    command(app, "apply", "apply p.json --yes", writes=True)(apply)
    command(app, "drift", "drift licenses/")(drift)
    command(
        app,
        "import",
        "import direct > licenses/licenses.yaml",
        "import native > licenses/native.yaml",
        "import native --group SG-LIC-E3 > licenses/native.yaml",
        "import groups.csv > licenses/licenses.yaml",
    )(import_)
    command(app, "schema", "schema > licenses/licenses.v1.json")(schema)


def validate(session: Session, folder: Folder) -> None:
    """Check files without the app: form, names that appear twice, limits. Nothing is sent."""
    from seatkeeper.ascode.reading import read
    from seatkeeper.output import counted

    found = read(folder)
    counts = {"group": len(found.groups), "profile": len(found.profiles), "test": len(found.tests)}
    value = {f"{noun}s": number for noun, number in counts.items()} | {"files": sorted(found.digests)}
    numbers = [counted(number, noun) for noun, number in counts.items() if number or noun != "profile"]
    text = f"Valid: {', '.join(numbers[:-1])} and {numbers[-1]} in {counted(len(found.digests), 'file')}."
    session.output.one(value, lambda: session.output.say(text))


def plan(
    session: Session,
    folder: Folder,
    out: Annotated[Path | None, typer.Option("--out", help="Write the plan to this file, for apply.")] = None,
    allow: Allow = None,
) -> int:
    """Show what the files would change: for whom, with which errors, and which people lose something.

    Exit codes: 0 nothing to change, 1 the files are rejected, 2 changes are pending.
    """
    from seatkeeper.ascode import planfile, showing
    from seatkeeper.ascode.planning import Planner
    from seatkeeper.ascode.reading import read

    if out is not None:
        out.unlink(missing_ok=True)  # a plan that is rejected leaves no older one to apply
    found = Planner(session, allow or ()).plan(read(folder))
    document = {**found.document, "source": folder.as_posix()}
    if found.document:
        session.output.one(document, lambda: showing.plan(session.output, document))
    if found.faults:
        raise Rejected("The files are rejected.", found.faults, "Nothing was sent, and no plan was written.")
    if out is not None:
        planfile.write(document, out)
        session.output.note(f"Apply it: {session.command(f'apply {out}')}")
    return CHANGES if found.changes or found.profiles else OK


def apply(
    session: Session,
    file: Annotated[Path, typer.Argument(help="A plan file.")],
    files: Annotated[Path | None, typer.Option("--files", help="The folder that was planned, if it moved.")] = None,
    checksum: Annotated[str, typer.Option("--checksum", help="Reject any plan but the one with this checksum.")] = "",
) -> int:
    """Carry out exactly a plan, or reject it as stale before anything is sent. After a crash, run it again.

    Exit codes: 0 done, 1 an error or a stale plan, 3 a group waits for an approval.
    """
    from seatkeeper.ascode import planfile, showing
    from seatkeeper.ascode.applying import Applier, exit_code

    document = planfile.load(file)
    if checksum and checksum != document["checksum"]:
        raise Rejected(f"{file} is rejected.", [f"Its checksum is {document['checksum']}."], "Nothing was sent.")
    changed = planfile.changed_files(document, files or Path(document["source"]))
    if changed:
        raise Rejected("The plan is rejected.", changed, "Nothing was sent. Plan again.")
    applier = Applier(session, document)
    previews = applier.check()
    if not document["groups"] and not document["profiles"]:
        session.output.note("The plan has no changes.")
        return OK
    if session.output.is_table:
        showing.plan(session.output, document)
    session.confirm("Apply this plan?")
    results = applier.apply(previews)
    session.output.one([each.shown() for each in results], lambda: showing.applied(session, results))
    return OK if not session.options.wait else exit_code(results)


def drift(session: Session, folder: Folder) -> int:
    """Compare the files with the app. The exit code is 2 if anything differs."""
    from seatkeeper.ascode import showing
    from seatkeeper.ascode.changes import changes_of, differences
    from seatkeeper.ascode.profiles import changes_of as changed_profiles
    from seatkeeper.ascode.reading import read
    from seatkeeper.ascode.resolving import Resolver

    statement = read(folder)
    found = Resolver(session.client, session.names).resolve(statement)
    if found.faults:
        raise Rejected("The files are rejected.", found.faults)
    by_id = {each.id: each for each in found.groups}
    rows: list[dict[str, Any]] = [
        {
            "group": each.name,
            "groupId": each.group_id,
            "differences": differences(each, by_id[each.group_id], session.names),
        }
        for each in changes_of(found.groups)
    ]
    rows += [
        {"profile": each.name, "differences": list(each.lines)}
        for each in changed_profiles(session.client, session.names, found.profiles)
    ]
    for row in found.unnamed if statement.prune else ():
        rows.append(
            {"group": row[f.DISPLAY_NAME], "groupId": row[f.ID], "differences": ["managed, and not in the files"]}
        )
    session.output.one(rows, lambda: showing.drift(session.output, rows))
    return CHANGES if rows else OK


def import_(
    session: Session,
    source: Annotated[str, typer.Argument(help="direct, native, or a CSV file of group, product, disabled apps.")],
    group: Annotated[list[str] | None, typer.Option("--group", help="Only this group; repeat it for more.")] = None,
) -> None:
    """Write YAML: the groups that this app manages with the profiles, groups that Microsoft licenses, or a CSV file."""
    from seatkeeper.ascode import writing
    from seatkeeper.ascode.profiles import in_force
    from seatkeeper.ascode.resolving import Resolver

    names, profiles = session.names, []
    if source == "direct":
        wanted = {names.group(each) for each in group or ()}
        rows = [each for each in names.direct if each[f.ASSIGNED_SKUS] and (not wanted or each[f.ID] in wanted)]
        resolver = Resolver(session.client, names)
        found = writing.of_app(names, {row[f.ID]: resolver.current(row[f.ID]) for row in rows}, rows)
        profiles = [] if group else writing.profiles_of(names, in_force(session.client).values())
    elif source == "native":
        rows = [names.groups_named(names.group(each))[0] for each in group or ()]
        if not rows and not names.native:
            raise CliError("The app has read no group that Microsoft licenses.", "Name one: --group SG-LIC-E3.")
        found = writing.of_native(names, rows or names.native)
    else:
        found = writing.of_csv(Path(source))
    session.output.document(writing.document(found, profiles))


def schema(session: Session) -> None:
    """The JSON Schema of the files, for editors."""
    from seatkeeper.ascode.schema import text

    session.output.document(text())
