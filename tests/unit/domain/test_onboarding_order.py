"""When an event is worked on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.ids import UserId
from shared.domain.onboarding import HrEvent, HrEventType, OnboardingRecord, OnboardingState, PersonRef
from shared.domain.onboarding_order import Waits, removal_due, starts_at

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ANN = UserId("1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
DAY = timedelta(days=1)
WAITS = Waits(lead=14 * DAY, account=14 * DAY, removal=30 * DAY)


def event(kind: HrEventType, after: timedelta | None = None, *, on_release: bool = False) -> HrEvent:
    values = {"removal_after": after, "removal_on_release": on_release}
    return HrEvent("1", "urn:hr", kind, PersonRef(ANN), NOW, NOW.date(), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "on_release", "released", "days"),
    [(None, False, False, 30), (timedelta(0), False, False, 0), (None, True, False, None), (None, True, True, 0)],
)
def test_when_a_leavers_licenses_are_removed(
    after: timedelta | None, on_release: bool, released: bool, days: int | None
) -> None:
    leaver = event(HrEventType.LEAVER, after, on_release=on_release)
    due = removal_due(leaver, released, timedelta(days=30))
    assert due == (None if days is None else NOW + timedelta(days=days))


@pytest.mark.parametrize(
    ("kind", "on_its_day", "start"),
    [
        (HrEventType.JOINER, False, NOW - 14 * DAY),
        (HrEventType.JOINER, True, NOW),
        (HrEventType.MOVER, False, NOW),
        (HrEventType.LEAVER, False, NOW + 30 * DAY),
        (HrEventType.RELEASE, False, NOW - DAY),
        (HrEventType.RESCISSION, False, NOW - DAY),
    ],
)
def test_when_an_event_is_worked_on(kind: HrEventType, on_its_day: bool, start: datetime) -> None:
    record = OnboardingRecord(event(kind), "{}", OnboardingState.RECEIVED, NOW - DAY, NOW - DAY)
    assert starts_at(record, WAITS, on_its_day=on_its_day) == start


@pytest.mark.parametrize(
    ("day", "own", "on_release", "after"),
    [
        (NOW, timedelta(0), False, DAY),
        (NOW - 365 * DAY, timedelta(0), False, DAY),
        (NOW - 365 * DAY, None, False, DAY),
        (NOW, None, True, DAY),
        (NOW, 3 * DAY, False, 3 * DAY),
        (NOW + 7 * DAY, timedelta(0), False, 7 * DAY),
    ],
)
def test_a_leaver_keeps_the_licenses_for_a_minimum_from_the_arrival_whatever_the_event_says(
    day: datetime, own: timedelta | None, on_release: bool, after: timedelta
) -> None:
    leaver = replace(event(HrEventType.LEAVER, own, on_release=on_release), effective_at=day)
    record = OnboardingRecord(leaver, "{}", OnboardingState.RECEIVED, NOW, NOW, released=on_release)
    assert starts_at(record, replace(WAITS, minimum=DAY)) == NOW + after
