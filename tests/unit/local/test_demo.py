"""What the demo prints about members with a problem."""

from __future__ import annotations

import io

from rich.console import Console

from local.demo import EXAMPLES, MAIN_GROUP, WIDTH, Problem, _show_errors, _show_next, by_cause
from local.next_steps import next_steps

REMEDY = "Remove the other license, or disable one of the conflicting service plans in the group's assignment."
WAITING = [Problem(f"waiting.{n}", "Waiting", "CountViolation", "Buy licenses.") for n in range(2)]
CONFLICTS = [Problem(f"rosalinde.wohlgemuth-{n}", "Error", "MutuallyExclusive", REMEDY) for n in range(7)]


def shown(problems: list[Problem]) -> str:
    out = io.StringIO()
    _show_errors(Console(file=out, width=WIDTH), problems)
    _show_next(Console(file=out, width=WIDTH))
    return out.getvalue()


def test_problems_are_grouped_by_cause_with_the_largest_group_first() -> None:
    groups = by_cause([WAITING[0], *CONFLICTS, WAITING[1]])
    assert [(cause.error, len(users)) for cause, users in groups] == [("MutuallyExclusive", 7), ("CountViolation", 2)]


def test_each_cause_shows_five_users_at_most_and_the_number_of_the_others() -> None:
    text = " ".join(shown([*WAITING, *CONFLICTS]).split())
    assert text.count("rosalinde") == EXAMPLES == 5
    assert "rosalinde.wohlgemuth-4, and 2 more" in text
    assert "Users: waiting.0, waiting.1 " in text


def test_no_line_is_longer_than_eighty_columns_and_no_word_is_broken() -> None:
    lines = shown([*WAITING, *CONFLICTS]).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert " ".join(" ".join(lines).split()).count(REMEDY) == 1


def test_the_output_ends_with_the_address_and_the_role_and_then_commands() -> None:
    after = shown(WAITING).partition("See it yourself")[2]
    run, address, stop = after.splitlines()[1:4]
    assert "make run" in run
    assert "http://127.0.0.1:7071" in address
    assert "Global Administrator" in address
    assert "Ctrl-C" in stop
    assert after.count("seatkeeper") == len(next_steps(MAIN_GROUP, "SPE_E3"))
