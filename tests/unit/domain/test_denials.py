"""How long work waits for a permission that is missing or granted too late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.budget import BudgetState
from shared.domain.denials import GRANT_WAIT, Right, after_denial, concerns_everybody, retry_at, waits_until
from shared.domain.write_results import Accepted, Rejected, Throttled, WriteResult
from tests.support.builders import NOW

DENIED = Rejected(403, "Authorization_RequestDenied", "Insufficient privileges.")
BAD = Rejected(400, "Request_BadRequest", "Something else.")


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([DENIED, DENIED], True),
        ([DENIED], True),
        ([DENIED, Throttled(3.0)], True),
        ([DENIED, Accepted()], False),
        ([DENIED, BAD], False),
        ([Throttled(3.0)], False),
        ([], False),
    ],
)
def test_a_denial_concerns_everybody_unless_another_user_of_the_call_was_judged(
    answers: list[WriteResult], expected: bool
) -> None:
    assert concerns_everybody(answers) is expected


def test_the_first_denial_counts_for_each_kind_of_write_and_survives_a_restart() -> None:
    first = after_denial({}, Right.LICENSES, NOW.timestamp())
    again = after_denial(first, Right.LICENSES, NOW.timestamp() + 900)
    assert waits_until(again, Right.LICENSES) == NOW + GRANT_WAIT
    assert waits_until(again, Right.LOCATIONS) is None
    stored = BudgetState.from_json(BudgetState(denied=again).to_json())
    assert stored.denied == first


def test_pauses_grow_to_a_quarter_of_an_hour() -> None:
    assert retry_at(None, NOW) == NOW + timedelta(minutes=1)
    assert retry_at(NOW - timedelta(minutes=5), NOW) == NOW + timedelta(minutes=5)
    assert retry_at(NOW - timedelta(hours=5), NOW) == NOW + timedelta(minutes=15)
