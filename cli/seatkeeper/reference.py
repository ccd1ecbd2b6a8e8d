"""`python -m seatkeeper.reference > docs/reference/cli.md`: the documentation of every command, from the commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from seatkeeper.app import tree
from seatkeeper.framework import COMMON, WRITING

HEAD = """# Command line

This page is generated from the commands: `make cli-reference`. A test compares them.
[Keep licenses in files](../tutorials/as-code.md) shows the commands that work with files, and
[Get a token](../tokens.md) the sign-in.

Install it with `uv tool install ./cli` or `pipx install ./cli`. Linux and macOS are supported; Windows is NOT RUN.
"""

VARIABLES = {
    "SEATKEEPER_URL": "the address of the app",
    "SEATKEEPER_SCOPE": "the scope of its tokens: `api://CLIENT_ID/.default`; `seatkeeper auth login` stores both",
    "SEATKEEPER_TOKEN": "an access token; without it, azure-identity asks a managed identity, `az`, `azd` and others",
    "SEATKEEPER_EVENT_SOURCE": "the HR system of events that name none",
    "NO_COLOR": "no color; a pipe never has any",
}
CODES = {
    "0": "as wanted",
    "1": "an error",
    "2": "changes are pending, or drift",
    "3": "an operation waits for an approval",
}


def _table(title: str, rows: Mapping[str, str]) -> Iterator[str]:
    yield f"\n| {title} | meaning |\n| --- | --- |"
    yield from (f"| `{name}` | {meaning} |" for name, meaning in rows.items())


def pages() -> str:
    """The whole page."""
    return HEAD + "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield from _table("variable", VARIABLES)
    yield from _table("exit code", CODES)
    yield "\n## Options of all commands"
    yield "\n| option | meaning |\n| --- | --- |"
    first = next(_commands(tree()))[1]
    writing = next(each for _, each in _commands(tree()) if any(param.name == "common_yes" for param in each.params))
    for name in (*COMMON, *WRITING):
        source = first if name in COMMON else writing
        option = next(each for each in source.params if each.name == name)
        suffix = " Only commands that write have it." if name in WRITING else ""
        yield f"| `{', '.join(option.opts)}` | {option.help}{suffix} |"
    noun = ""
    for path, command in _commands(tree()):
        if path[0] != noun and len(path) > 1:
            yield f"\n## {path[0]}"
        elif len(path) == 1 and noun != "-":
            yield "\n## Commands without a noun"
        noun = path[0] if len(path) > 1 else "-"
        yield from _command(path, command)


def _commands(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(node, "commands", None)
    if children is None:
        yield path, node
    for name, child in sorted((children or {}).items(), key=lambda each: (hasattr(each[1], "commands"), 0)):
        yield from _commands(child, (*path, name))


def _command(path: tuple[str, ...], command: Any) -> Iterator[str]:
    text, _, examples = command.help.partition("\n\n\b\n")
    yield f"\n### seatkeeper {' '.join(path)}\n"
    yield text.strip()
    yield "\n```sh"
    yield from (line.strip() for line in examples.splitlines()[1:])
    yield "```"
    own = [each for each in command.params if each.name not in {**COMMON, **WRITING} and each.name != "help"]
    if own:
        yield "\n| | meaning |\n| --- | --- |"
    for each in own:
        is_option = each.param_type_name == "option"
        name = ", ".join((*each.opts, *each.secondary_opts)) if is_option else (each.metavar or each.name).upper()
        yield f"| `{name}` | {each.help} |"


if __name__ == "__main__":
    sys.stdout.write(pages())
