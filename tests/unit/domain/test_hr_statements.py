"""Which of a person's HR statements count, by their days and by which is newer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.domain import onboarding_ends as ends
from shared.domain.hr_case import Turn
from shared.domain.hr_state import Employment, HrState, Stamp, Statement
from shared.domain.hr_statements import employment_of, judge
from shared.domain.ids import UserId
from shared.domain.onboarding import (
    HrEvent,
    HrEventType,
    OnboardingRecord,
    OnboardingState,
    PersonRef,
    SourceOrder,
)

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ANN = UserId("1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
J, M, L = HrEventType.JOINER, HrEventType.MOVER, HrEventType.LEAVER
NO = HrEventType.RESCISSION
OPEN, DONE, FAILED = OnboardingState.RECEIVED, OnboardingState.DONE, OnboardingState.FAILED
SUPERSEDED, ASKED = OnboardingState.SUPERSEDED, OnboardingState.NEEDS_DECISION
LATER = 25
"""A day that has not come."""


def said(
    kind: HrEventType, day: int, number: int, state: OnboardingState = OPEN, employment: str = "", **more: object
) -> OnboardingRecord:
    """A statement with a day of November. The higher number is newer."""
    at = datetime(2026, 11, day, tzinfo=UTC)
    event = HrEvent(
        f"{kind}-{day}-{number}",
        "urn:hr",
        kind,
        PersonRef(ANN),
        at,
        at.date(),
        SourceOrder.SEQUENCE,
        employment,
        number,
    )
    return OnboardingRecord(event, "{}", state, NOW, NOW, **more)  # type: ignore[arg-type]


def in_force(start: OnboardingRecord, *, continued: bool = False) -> HrState:
    carried_out = start.statement
    employment = Employment(start=carried_out, job=carried_out, continued=continued)
    return HrState(ANN, {start.event.employment: employment}, "1")


def over(start: OnboardingRecord, end: OnboardingRecord) -> HrState:
    employment = Employment(start=start.statement, job=start.statement, end=end.statement)
    return HrState(ANN, {start.event.employment: employment}, "1")


HIRED = said(J, 1, 1, DONE)
CASES = [
    # A newer statement of the same kind counts, whatever the days.
    (said(L, LATER, 2), [said(L, 26, 3)], in_force(HIRED), Turn.SUPERSEDED),
    (said(L, 26, 3), [said(L, LATER, 2)], in_force(HIRED), Turn.NOW),
    (said(J, LATER, 1), [said(J, 26, 2)], None, Turn.SUPERSEDED),
    (said(M, 10, 2), [said(M, LATER, 3)], in_force(HIRED), Turn.SUPERSEDED),
    (said(L, LATER, 2), [said(L, 10, 3, DONE)], over(HIRED, said(L, 10, 3)), Turn.SUPERSEDED),
    # A move and a leaver.
    (said(M, 10, 3), [said(L, 11, 2)], in_force(HIRED), Turn.NOW),
    (said(M, 11, 3), [said(L, 11, 2)], in_force(HIRED), Turn.ASK),
    (said(M, 12, 3), [said(L, 11, 2)], in_force(HIRED), Turn.ASK),
    (said(M, 12, 2), [said(L, 11, 3)], in_force(HIRED), Turn.SUPERSEDED),
    (said(M, 12, 3), [], over(HIRED, said(L, 11, 2)), Turn.ASK),
    (said(M, 10, 3), [], over(HIRED, said(L, 11, 2)), Turn.ASK),
    (said(M, 12, 2), [], over(HIRED, said(L, 11, 3)), Turn.SUPERSEDED),
    (said(M, 12, 3, decided_by="Mia"), [], over(HIRED, said(L, 11, 2)), Turn.NOW),
    (said(L, 11, 2), [said(M, 12, 3, ASKED)], in_force(HIRED), Turn.AFTER),
    (said(L, 11, 2), [said(M, 12, 3)], in_force(HIRED), Turn.AFTER),
    # A start revokes a leaver once it takes effect.
    (said(J, 12, 3), [said(L, 11, 2)], in_force(HIRED), Turn.NOW),
    (said(L, 11, 2), [said(J, 12, 3)], in_force(HIRED), Turn.AFTER),
    (said(L, 11, 2), [said(J, LATER, 3)], in_force(HIRED), Turn.NOW),
    (said(L, 11, 2), [said(J, 12, 3, FAILED)], in_force(HIRED), Turn.SUPERSEDED),
    (said(L, 13, 2), [said(J, 12, 3, FAILED)], in_force(HIRED), Turn.ASK),
    (said(L, 11, 2), [said(J, LATER, 3, ASKED)], in_force(HIRED), Turn.AFTER),
    (said(J, 1, 1), [said(L, 2, 2)], None, Turn.SUPERSEDED),
    (said(J, 1, 1), [said(L, LATER, 2)], None, Turn.NOW),
    (said(J, 5, 1), [said(L, 2, 2)], None, Turn.NOW),
    (said(J, 5, 1, employment="1"), [said(L, 2, 2, employment="1")], None, Turn.SUPERSEDED),
    (said(J, LATER, 3), [], in_force(HIRED), Turn.ASK),
    (said(J, LATER, 3), [said(L, 24, 2)], in_force(HIRED), Turn.NOW),
    (said(J, LATER, 3), [], over(HIRED, said(L, 11, 2)), Turn.NOW),
    # A leaver and the start in force.
    (said(L, 1, 3), [], in_force(said(J, 2, 2, DONE)), Turn.FORMER),
    (said(L, 1, 1), [], in_force(said(J, 2, 2, DONE)), Turn.FORMER),
    (said(L, 2, 1), [], in_force(said(J, 2, 2, DONE)), Turn.SUPERSEDED),
    (said(L, 3, 1), [], in_force(said(J, 2, 2, DONE)), Turn.ASK),
    (said(L, 2, 3), [], in_force(said(J, 2, 2, DONE)), Turn.NOW),
    (said(L, 2, 3), [], in_force(said(J, 2, 2, DONE), continued=True), Turn.FORMER),
    # A rescission, whichever came first.
    (said(L, 11, 2), [said(NO, 11, 3)], in_force(HIRED), Turn.SUPERSEDED),
    (said(L, 11, 3), [said(NO, 11, 2)], in_force(HIRED), Turn.NOW),
    # Two employments.
    (said(L, 11, 2, employment="1"), [said(J, 11, 3, employment="2")], None, Turn.AFTER),
    (said(L, 11, 2, employment="1"), [said(J, LATER, 3, employment="2")], None, Turn.NOW),
    (said(L, 11, 2), [said(J, 1, 1, employment="2"), said(J, 1, 3, employment="3")], None, Turn.ASK),
]


@pytest.mark.parametrize(("mine", "others", "state", "turn"), CASES)
def test_the_turn_of_a_statement(
    mine: OnboardingRecord, others: list[OnboardingRecord], state: HrState | None, turn: Turn
) -> None:
    assert judge(mine, others, state, NOW).turn is turn


def test_a_start_ends_what_it_makes_obsolete_and_asks_about_what_it_may_not() -> None:
    older, move, left = said(J, LATER, 1), said(M, 10, 2), said(L, 9, 3)
    found = judge(said(J, 12, 4), [older, move, left], None, NOW)
    assert (found.turn, found.replaces, found.supersedes, found.asks) == (Turn.NOW, (older, move), (left,), ())
    fixed_term = said(L, LATER, 3)
    found = judge(said(J, 12, 4), [fixed_term], None, NOW)
    assert (found.supersedes, found.asks) == ((), (fixed_term,))
    found = judge(said(J, 12, 4), [fixed_term], in_force(HIRED), NOW)
    assert (found.supersedes, found.asks, found.on_its_day) == ((fixed_term,), (), True)


def test_two_contents_in_one_place_are_both_asked_about_and_equal_ones_are_one() -> None:
    mine, other = said(M, 12, 2), said(M, 13, 2)
    found = judge(mine, [other], in_force(HIRED), NOW)
    assert (found.turn, found.question, found.asks) == (Turn.ASK, ends.same_order(other.event.id), (other,))
    again = replace(mine, event=replace(mine.event, id="again"), received_at=NOW + timedelta(seconds=1))
    assert judge(again, [mine], in_force(HIRED), NOW).turn is Turn.SUPERSEDED
    assert judge(mine, [again], in_force(HIRED), NOW).turn is Turn.NOW
    chosen = replace(other, decided_by="Mia")
    assert judge(mine, [chosen], in_force(HIRED), NOW).turn is Turn.SUPERSEDED
    assert judge(replace(mine, decided_by="Mia"), [other], in_force(HIRED), NOW).replaces == (other,)


def test_what_is_being_written_is_waited_for() -> None:
    writing = said(J, 1, 1, OnboardingState.WORKING)
    assert judge(said(L, 2, 2), [writing], None, NOW).turn is Turn.AFTER
    done = replace(writing, working_since=NOW)
    assert judge(said(L, 2, 2), [done], None, NOW).supersedes == (done,)


def test_two_statements_of_one_person_never_wait_for_each_other() -> None:
    for kind in (J, M, L):
        for other in (J, M, L):
            for day, other_day in ((1, 2), (2, 1), (1, 1)):
                for number in (1, 3):
                    a, b = said(kind, day, 2), said(other, other_day, number)
                    for state in (None, in_force(said(J, 1, 0, DONE))):
                        turns = {judge(a, [b], state, NOW).turn, judge(b, [a], state, NOW).turn}
                        assert turns != {Turn.AFTER}, (a, b)


def test_one_statement_of_a_circle_supersedes_an_older_one() -> None:
    """Each of three is newer than the one before: one by the order of its source, two by arrival."""
    first, last = said(M, 10, 3), said(M, 11, 2)
    between = replace(said(M, 12, 1), event=replace(said(M, 12, 1).event, source="urn:other"))
    circle = [
        replace(each, received_at=NOW + timedelta(seconds=seconds))
        for seconds, each in enumerate((first, between, last), 1)
    ]
    pairs = zip(circle, [*circle[1:], circle[0]], strict=True)
    assert [two.stamp.is_newer_than(one.stamp) for one, two in pairs] == [True, True, True]
    found = judge(said(M, 10, 1), circle, in_force(HIRED), NOW)
    assert (found.turn, found.other in {each.key for each in circle}) == (Turn.SUPERSEDED, True)


def test_a_start_between_a_leaver_and_a_move_keeps_the_move() -> None:
    for leaver in (said(L, 10, 5), said(L, 10, 1), said(L, 10, 5, DONE), said(L, 10, 1, DONE)):
        found = judge(said(M, LATER, 4), [said(J, LATER, 2), leaver], None, NOW)
        assert (found.turn, found.replaces) == (Turn.AFTER, ()), leaver
    end = judge(said(L, 10, 5), [said(J, LATER, 2), said(M, LATER, 4)], None, NOW)
    assert (end.turn, end.replaces) == (Turn.NOW, ()), "the end of the employment before does not wait for the move"


def test_a_leaver_that_calls_the_start_off_takes_the_move_with_it() -> None:
    start, leaver = said(J, LATER, 2, employment="1"), said(L, 10, 5, employment="1")
    found = judge(said(M, LATER, 4, employment="1"), [start, leaver], None, NOW)
    assert (found.turn, found.other) == (Turn.SUPERSEDED, leaver.key)


def test_a_start_revives_the_moves_that_an_earlier_leaver_superseded() -> None:
    leaver = said(L, 10, 5)
    moves = [said(M, LATER, number, SUPERSEDED, superseded_by=leaver.key) for number in (1, 4)]
    start = said(J, LATER, 2)
    assert judge(start, [leaver, *moves], None, NOW).revives == (moves[1],), "the older one is superseded by the start"
    assert judge(said(J, 9, 2), [leaver, *moves], None, NOW).revives == ()
    other = replace(moves[1], superseded_by="another statement")
    assert judge(start, [leaver, other], None, NOW).revives == ()
    assert judge(start, [leaver, replace(moves[1], body="")], None, NOW).revives == (), "its content was deleted"


def test_a_cancelled_or_superseded_statement_counts_no_more() -> None:
    for state in (OnboardingState.CANCELLED, SUPERSEDED):
        assert judge(said(L, 11, 2), [said(L, 12, 3, state)], in_force(HIRED), NOW).turn is Turn.NOW
    being_undone = said(L, 11, 3, OnboardingState.WORKING, cancelled_by="Mia")
    assert judge(said(M, 12, 4), [being_undone], in_force(HIRED), NOW).turn is Turn.NOW


def test_the_employment_of_a_statement() -> None:
    one, two = said(J, 1, 1, employment="1"), said(J, 1, 2, employment="2")
    assert employment_of(said(L, 2, 3), [], None) == "urn:hr"
    assert employment_of(said(L, 2, 3), [one], None) == one.event.employment
    assert employment_of(said(L, 2, 3), [one, two], None) is None
    assert employment_of(said(L, 2, 3, employment="1"), [two], None) == one.event.employment
    assert employment_of(said(L, 2, 3, employment="1"), [], in_force(HIRED)) == "urn:hr", "a source begins to give ids"
    assert employment_of(said(J, 2, 3, employment="1"), [], in_force(HIRED)) == one.event.employment


def test_a_source_never_means_an_employment_of_another_source() -> None:
    unmanaged = replace(said(L, 2, 3), event=replace(said(L, 2, 3).event, source="urn:other"))
    for known in (HIRED, said(J, 1, 1, DONE, employment="1")):
        assert employment_of(unmanaged, [known], in_force(known)) == "urn:other"
    found = judge(unmanaged, [HIRED], in_force(HIRED), NOW)
    assert (found.turn, found.alone, found.is_unknown) == (Turn.NOW, False, True)


def test_the_order_of_a_source_says_which_is_newer_and_arrival_between_sources() -> None:
    def stamp(place: str, seconds: int, source: str = "urn:hr") -> Stamp:
        return Stamp(source, place, NOW + timedelta(seconds=seconds))

    assert stamp("sequence:2", 0).is_newer_than(stamp("sequence:1", 9))
    assert not stamp("sequence:1", 9).is_newer_than(stamp("sequence:2", 0))
    assert stamp("sequence:1", 9).is_newer_than(stamp("sequence:2", 0, "urn:other"))
    assert stamp("time:1", 9).is_newer_than(stamp("sequence:2", 0)), "the order of the source was changed"
    assert stamp("arrival:", 9).is_newer_than(stamp("arrival:", 0))
    assert stamp("sequence:1", 0).is_tied_with(stamp("sequence:1", 9))
    assert not stamp("sequence:1", 9).is_newer_than(stamp("sequence:1", 0))
    assert not stamp("arrival:", 0).is_tied_with(stamp("arrival:", 0))


def test_a_statement_keeps_its_day_in_the_time_zone_of_its_source() -> None:
    event = replace(HIRED.event, day=date(2026, 11, 2))
    assert replace(HIRED, event=event).statement == Statement(event.key, date(2026, 11, 2), HIRED.stamp)
