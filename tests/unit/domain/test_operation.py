"""States of an operation and its totals."""

from __future__ import annotations

from dataclasses import fields

import pytest

from shared.domain.ids import GroupId, OperationId, UserId
from shared.domain.initiator import SYSTEM
from shared.domain.operation import (
    Cause,
    LicenseChange,
    Operation,
    OperationError,
    OperationKind,
    OperationState,
    Target,
    Totals,
)
from tests.support.builders import GROUP_A, NOW

ENDED = [state for state in OperationState if state.is_ended]


def test_complete_cancelled_and_failed_are_ends() -> None:
    assert set(ENDED) == {OperationState.COMPLETE, OperationState.CANCELLED, OperationState.FAILED}


def test_totals_add_up_and_what_remains_is_never_negative() -> None:
    totals = Totals(members=20, due=9, applied=1, unchanged=2, waiting=3, failed=4, skipped=5, wrote=1)
    assert (totals.done, totals.remaining) == (15, 5)
    assert Totals(members=1, applied=2).remaining == 0
    counted = {each.name for each in fields(Totals)} - {"members", "due", "wrote"}
    assert all(Totals(**{name: 1}).done == 1 for name in counted)


def test_an_end_has_its_time_and_keeps_the_reason_it_has() -> None:
    operation = Operation(
        OperationId("op"), OperationKind.ASSIGN, Target(GROUP_A), LicenseChange(), SYSTEM, created_at=NOW
    )
    error = OperationError("Permission", "The app lacks a permission.")
    failed = operation.ended(OperationState.FAILED, NOW, error)
    assert (failed.state, failed.completed_at, failed.progress_at, failed.error) == (
        OperationState.FAILED,
        NOW,
        NOW,
        error,
    )
    assert failed.ended(OperationState.CANCELLED, NOW).error == error
    assert operation.state is OperationState.QUEUED


def test_a_target_is_a_group_or_a_list() -> None:
    assert Target(GroupId("g")).is_group
    assert not Target(user_ids=(UserId("a"),)).is_group


@pytest.mark.parametrize(
    ("stored", "cause"),
    [("request", Cause.REQUEST), ("sweep-0-1", Cause.SWEEP), ("restore", Cause.RESTORE), ("of-old", Cause.OTHER)],
)
def test_programs_see_what_started_an_operation_as_one_of_few_words(stored: str, cause: Cause) -> None:
    assert Cause(stored) is cause
