"""How a command is declared: a typed function, with an example in its help and the options that all commands have."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from seatkeeper.output import Format
from seatkeeper.session import Session

Command = Callable[..., int | None]

Output = Annotated[Format, typer.Option("--output", "-o", help="table, json, csv or tsv.")]
Query = Annotated[str, typer.Option("--query", help="A JMESPath expression that chooses what is shown.")]
Url = Annotated[str, typer.Option("--url", help="The address of the app, in place of SEATKEEPER_URL.")]
Local = Annotated[bool, typer.Option("--local", help="Use the stack that make run has started.")]
As = Annotated[str, typer.Option("--as", help="With --local: sign in as this directory role.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Confirm without a question.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Do not wait for the end of an operation.")]

COMMON: dict[str, tuple[Any, Any]] = {
    "common_output": (Output, Format.TABLE),
    "common_query": (Query, ""),
    "common_url": (Url, ""),
    "common_local": (Local, False),
    "common_role": (As, ""),
}
WRITING: dict[str, tuple[Any, Any]] = {"common_yes": (Yes, False), "common_no_wait": (NoWait, False)}


def group(name: str, text: str) -> typer.Typer:
    """Commands about one noun."""
    return typer.Typer(name=name, help=text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def command(
    app: typer.Typer, name: str, *examples: str, writes: bool = False, about: str = ""
) -> Callable[[Command], Command]:
    """Add a command. Its function takes the session first and can return an exit code. `writes`: it also has `--yes`
    and `--no-wait`."""
    common = {**COMMON, **(WRITING if writes else {})}

    def decorate(function: Command) -> Command:
        hints = get_type_hints(function, include_extras=True)
        own = [
            each.replace(annotation=hints[each.name])
            for each in list(inspect.signature(function).parameters.values())[1:]
        ]
        shared = [
            inspect.Parameter(each, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
            for each, (hint, default) in common.items()
        ]
        context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

        @wraps(function)
        def called(context: typer.Context, **given: Any) -> int | None:
            session: Session = context.obj
            _apply(session, {each: given.pop(each) for each in common})
            return function(session, **given)

        parameters = [
            context,
            *(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own),
            *shared,
        ]
        # Typer reads the parameters from here. mypy does not know the attribute.
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {each.name: each.annotation for each in parameters}
        del called.__wrapped__
        lines = "\n".join(f"  seatkeeper {each}" for each in examples)
        text = inspect.cleandoc(function.__doc__ or about)
        app.command(name, help=f"{text}\n\n\b\n{'Examples' if len(examples) > 1 else 'Example'}:\n{lines}")(called)
        return called

    return decorate


def _apply(session: Session, given: dict[str, Any]) -> None:
    options, output = session.options, session.output
    output.format = given["common_output"]
    output.query = given["common_query"]
    options.url = given["common_url"]
    options.local = given["common_local"]
    options.role = given["common_role"]
    options.yes = given.get("common_yes", False)
    options.wait = not given.get("common_no_wait", False)
