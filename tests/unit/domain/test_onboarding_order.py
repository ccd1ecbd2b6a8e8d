"""Which event of a person counts, and when a leaver's licenses are removed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.ids import UserId
from shared.domain.onboarding import HrEvent, HrEventType, OnboardingRecord, OnboardingState, PersonRef, Standing
from shared.domain.onboarding_order import Turn, removal_due, turn_of

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ANN = UserId("1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
J, M, L, R = HrEventType.JOINER, HrEventType.MOVER, HrEventType.LEAVER, HrEventType.RELEASE
OPEN, DONE = OnboardingState.RECEIVED, OnboardingState.DONE


def record(
    kind: HrEventType, day: int, *, sequence: int = 0, state: OnboardingState = OPEN, name: str = ""
) -> OnboardingRecord:
    event = HrEvent(
        name or f"{kind}-{day}-{sequence}",
        "urn:hr",
        kind,
        PersonRef(ANN),
        datetime(2026, 11, day, tzinfo=UTC),
        sequence,
    )
    return OnboardingRecord(event, "{}", state, NOW, NOW)


CASES = [
    (record(J, 1), (), Turn.NOW, 0),
    (record(M, 2), (record(J, 1),), Turn.AFTER, 0),
    (record(M, 2), (record(J, 1, state=DONE),), Turn.NOW, 0),
    (record(J, 1), (record(M, 2),), Turn.NOW, 0),
    (record(J, 1), (record(L, 2),), Turn.SUPERSEDED, 0),
    (record(J, 1), (record(L, 25),), Turn.NOW, 0),
    (record(L, 2), (record(J, 1), record(M, 1, sequence=1)), Turn.NOW, 2),
    (record(J, 5), (record(L, 2),), Turn.NOW, 1),
    (record(M, 2, sequence=1), (record(M, 2, sequence=0),), Turn.AFTER, 0),
    (record(R, 1), (record(L, 2), record(J, 3)), Turn.NOW, 0),
    (record(M, 2), (record(R, 1),), Turn.NOW, 0),
]


@pytest.mark.parametrize(("mine", "others", "turn", "ends"), CASES)
def test_the_turn_of_an_event(
    mine: OnboardingRecord, others: tuple[OnboardingRecord, ...], turn: Turn, ends: int
) -> None:
    taken = turn_of(mine, others, None, NOW)
    assert (taken.turn, len(taken.ends)) == (turn, ends)


def test_what_is_older_than_the_last_event_acted_on_is_superseded_but_not_the_event_itself() -> None:
    old, new = record(M, 2), record(M, 3)
    standing = Standing(ANN, last_key=new.key, last_type=M, last_order=new.order)
    assert turn_of(old, (), standing, NOW).turn is Turn.SUPERSEDED
    assert turn_of(new, (), standing, NOW).turn is Turn.NOW
    assert turn_of(record(M, 3, sequence=1), (), standing, NOW).turn is Turn.NOW


def test_of_one_day_and_sequence_the_event_made_later_counts() -> None:
    early = record(M, 2, name="early")
    late = replace(
        record(M, 2, name="late"), event=replace(record(M, 2, name="late").event, time=NOW + timedelta(seconds=1))
    )
    assert late.order > early.order


def test_two_events_of_one_person_never_wait_for_each_other() -> None:
    for kind in (J, M, L):
        for other in (J, M, L):
            for day, other_day in ((1, 2), (2, 1), (1, 1)):
                a, b = (
                    record(kind, day, name="a"),
                    replace(record(other, other_day, name="b"), received_at=NOW + timedelta(seconds=1)),
                )
                turns = {turn_of(a, (b,), None, NOW).turn, turn_of(b, (a,), None, NOW).turn}
                assert Turn.NOW in turns


@pytest.mark.parametrize(
    ("after", "on_release", "released", "days"),
    [(None, False, False, 30), (timedelta(0), False, False, 0), (None, True, False, None), (None, True, True, 0)],
)
def test_when_a_leavers_licenses_go(
    after: timedelta | None, on_release: bool, released: bool, days: int | None
) -> None:
    event = replace(record(L, 1).event, removal_after=after, removal_on_release=on_release)
    due = removal_due(event, released, timedelta(days=30))
    assert due == (None if days is None else event.effective_at + timedelta(days=days))
