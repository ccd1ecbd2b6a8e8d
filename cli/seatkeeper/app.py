"""The program as a whole: its commands, and how it ends."""

from __future__ import annotations

from functools import cache
from typing import Any

import typer
from typer._click.core import Context
from typer._click.exceptions import ClickException, UsageError

from seatkeeper import __version__
from seatkeeper.errors import ERROR, OK, ApiError, CliError, Rejected
from seatkeeper.output import Format
from seatkeeper.session import Session
from seatkeeper.surroundings import Surroundings

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of other programs."""

LEADING = {"--local": False, "--url": True, "--as": True, "--output": True, "-o": True, "--query": True}
"""Options of all commands, and whether they take a value."""

ABOUT = """License groups, users and joiners of Microsoft 365 from a terminal or a pipeline.

Names or IDs can be used everywhere. Reads never write. Writes show a plan and ask; without a terminal they need --yes.
Exit codes: 0 as wanted, 1 error, 2 changes are pending or drift, 3 waits for an approval.

\b
Examples:
  seatkeeper group list --status error
  seatkeeper group assign SG-LIC-E3 SPE_E3 --without Sway
  seatkeeper plan licenses/ -out p.json
"""


def build() -> typer.Typer:
    """All commands. Nothing but Typer is imported here, so that help appears at once."""
    from seatkeeper.commands import (
        approvals,
        ascode,
        audit,
        auth,
        dead_letters,
        events,
        first_contact,
        general,
        groups,
        health,
        moves,
        operations,
        products,
        profiles,
        users,
    )

    app = typer.Typer(name="seatkeeper", help=ABOUT, no_args_is_help=True, rich_markup_mode=None, add_completion=False)

    @app.callback(invoke_without_command=True)
    def root(
        context: typer.Context,
        version: bool = typer.Option(False, "--version", help="Show the version of this program."),
    ) -> None:
        if version:
            session: Session = context.obj
            session.output.say(f"seatkeeper {__version__}")
            raise typer.Exit(OK)

    modules = (
        auth,
        users,
        groups,
        moves,
        products,
        operations,
        approvals,
        events,
        profiles,
        audit,
        dead_letters,
        health,
        first_contact,
    )
    for module in modules:
        app.add_typer(module.app)
    ascode.add_to(app)
    general.add_to(app)
    return app


@cache
def tree() -> Any:
    """The commands as they are parsed."""
    return typer.main.get_command(build())


def in_place(arguments: list[str]) -> list[str]:
    """The arguments with common options after the command, where people also write them before it."""
    rest, moved = list(arguments), list[str]()
    while rest and rest[0].partition("=")[0] in LEADING:
        takes_value = LEADING[rest[0].partition("=")[0]] and "=" not in rest[0]
        moved += rest[: 1 + takes_value]
        del rest[: 1 + takes_value]
    end = rest.index("--") if "--" in rest else len(rest)
    return [*rest[:end], *moved, *rest[end:]] if rest else []


def run(arguments: list[str], surroundings: Surroundings) -> int:
    """Carry out a command line. Returns the exit code."""
    from typer._completion_classes import completion_init

    completion_init()
    session = Session(surroundings)
    arguments = in_place(arguments)
    arguments = ["--out" + each[4:] if each == "-out" or each.startswith("-out=") else each for each in arguments]
    try:
        code = tree().main(arguments, prog_name="seatkeeper", standalone_mode=False, obj=session)
        if code == INTERRUPTED:
            session.output.note("Stopped. An operation that was started continues.")
        return int(code or OK)
    except UsageError as fault:
        _usage(session, fault)
    except ClickException as fault:
        session.output.note(f"Error: {fault.format_message()}")
    except typer.Exit as ended:
        return int(ended.exit_code)
    except ApiError as fault:
        _api_error(session, fault)
    except CliError as fault:
        _error(session, fault)
    return ERROR


def _usage(session: Session, fault: UsageError) -> None:
    output = session.output
    output.note(f"Error: {fault.format_message()}")
    context: Context | None = fault.ctx
    if context is not None:
        output.note(f"Try: {context.command_path} --help")


def _error(session: Session, fault: CliError) -> None:
    output = session.output
    if output.format is Format.JSON:
        error: dict[str, Any] = {"code": fault.code, "message": fault.message}
        if isinstance(fault, Rejected):
            error["details"] = [{"message": reason} for reason in fault.reasons]
        output.raw_to_err({"error": error})
        return
    output.note(f"Error: {fault.message}")
    for reason in fault.reasons if isinstance(fault, Rejected) else ():
        output.note(f"  - {reason}")
    if fault.hint:
        output.note(fault.hint)


def _api_error(session: Session, fault: ApiError) -> None:
    output = session.output
    if output.format is Format.JSON:
        output.raw_to_err(fault.shown())
        return
    output.note(f"Error: {fault.message}")
    for detail in fault.details:
        place = f"event {int(detail['position']) + 1}, " if "position" in detail else ""
        place += f"{detail['field']}: " if detail.get("field") else ""
        text = str(detail.get("message", ""))
        if not fault.message.endswith(text):
            output.note(f"  - {place}{text}")
    target = f", target: {fault.target}" if fault.target else ""
    output.note(f"Code: {fault.code} (HTTP {fault.status}){target}")
    if fault.request_id:
        output.note(f"Request ID: {fault.request_id}")
    if fault.code == "PersonRequired" and session.options.local and not session.options.role:
        output.note("With --local, sign in as a person: --as 'Global Administrator'")
