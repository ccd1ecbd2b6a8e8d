"""The machine's clock against the Date header of Graph's answers."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.bootstrap import SystemClock


def header(ahead: timedelta) -> str:
    return format_datetime(datetime.now(UTC) - ahead, usegmt=True)


@pytest.mark.parametrize("seconds", [90, -90])
def test_a_large_difference_is_known_and_logged_once_in_five_minutes(
    seconds: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SystemClock()
    assert clock.ahead() is None
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.compare(header(timedelta(seconds=seconds)))
    ahead = clock.ahead()
    assert ahead is not None
    assert abs(ahead.total_seconds() - seconds) < 3
    assert len([each for each in caplog.records if "the clock is wrong" in each.message]) == 1


def test_a_right_clock_and_a_header_that_is_no_date_are_no_reason_to_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = SystemClock()
    with caplog.at_level(logging.WARNING):
        clock.compare(header(timedelta(0)))
        clock.compare("yesterday")
        clock.compare("")
    assert caplog.records == []
    assert clock.ahead() is None
