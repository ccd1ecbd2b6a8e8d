"""The list of assumptions for people is the one that the check uses."""

from __future__ import annotations

from shared.domain.first_contact_assumptions import ASSUMPTIONS, Assumption, Tried
from tests.support.project import ROOT

WORDS = {
    Tried.READ_ONLY: "read-only run",
    Tried.BASIC: "basic run",
    Tried.OUTSIDE: "`first-contact.sh`",
    Tried.LATER: "later run",
    Tried.NOTHING: "nothing yet",
}


def row(each: Assumption) -> str:
    """The row of the document."""
    assumed, others = (", ".join(f"`{position}`" for position in named) for named in (each.assumed, each.others))
    return f"| {each.number} | {each.question} | {assumed} | {others} | {WORDS[each.tried]} | {each.otherwise} |"


def test_the_reference_has_every_assumption_with_its_positions() -> None:
    text = (ROOT / "docs" / "reference" / "first-contact.md").read_text()
    begins = [f"| {each.number} | " for each in ASSUMPTIONS]
    shown = [line for line in text.splitlines() if line.startswith(tuple(begins))]
    assert shown == [row(each) for each in ASSUMPTIONS]
