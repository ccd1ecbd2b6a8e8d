"""The list of assumptions for people is the one that the check uses."""

from __future__ import annotations

from local.tenant.profile import SWITCHES
from shared.domain.first_contact_assumptions import ASSUMPTIONS, Assumption, Tried
from tests.support.project import ROOT

WORDS = {
    Tried.READ_ONLY: "read-only run",
    Tried.BASIC: "basic run",
    Tried.OUTSIDE: "`first-contact.sh`",
    Tried.LATER: "later run",
    Tried.LOAD: "load run",
    Tried.NOTHING: "nothing: [why](#not-tested)",
}


def row(each: Assumption) -> str:
    """The row of the document."""
    assumed, others = (", ".join(f"`{position}`" for position in named) for named in (each.assumed, each.others))
    return f"| {each.number} | {each.question} | {assumed} | {others} | {WORDS[each.tried]} | {each.otherwise} |"


def test_the_reference_has_every_assumption_with_its_positions() -> None:
    text = (ROOT / "docs" / "reference" / "first-contact.md").read_text()
    listed, reasons = text.split("## Not tested")
    begins = tuple(f"| {each.number} | " for each in ASSUMPTIONS)
    assert [line for line in listed.splitlines() if line.startswith(begins)] == [row(each) for each in ASSUMPTIONS]
    untested = [each.number for each in ASSUMPTIONS if each.tried is Tried.NOTHING]
    assert [int(line.split("|")[1]) for line in reasons.splitlines() if line.startswith(begins)] == untested


def test_blind_checks_draw_every_switch_that_a_run_can_see_at_will() -> None:
    """16, 17, 18 and 52 show only if Graph throttles, and 26 takes minutes."""
    tested = {each.number for each in ASSUMPTIONS if each.tried in (Tried.READ_ONLY, Tried.BASIC, Tried.LOAD)}
    assert set(SWITCHES) == (tested | {13}) - {16, 17, 18, 26, 52}
