"""Commands that show what the demo has shown, for a running `make run`. A test runs each of them."""

from __future__ import annotations

from typing import NamedTuple

PROGRAM = ".venv/bin/seatkeeper"


class NextStep(NamedTuple):
    """Arguments of the command line, what they do, and the exit code in the generated tenant."""

    arguments: tuple[str, ...]
    text: str
    code: int = 0

    @property
    def command(self) -> str:
        """The command as it is typed."""
        words = (f"'{each}'" if " " in each else each for each in self.arguments)
        return " ".join((PROGRAM, *words, "--local"))


def next_steps(group: str, sku: str) -> tuple[NextStep, ...]:
    """Assign the product to the group, then show the result in four ways."""
    return (
        NextStep(
            ("group", "assign", group, sku, "--yes"),
            "assign it, in about two minutes; exit code 1: some members have an error",
            1,
        ),
        NextStep(("group", "show", group), "the products and status of the group"),
        NextStep(("group", "errors", group), "each member with an error, and the remedy"),
        NextStep(("product", "list", "--short"), "products without an available license"),
        NextStep(("operation", "list", "--top", "5"), "what was requested, and the result"),
    )
