"""States of an operation and its totals."""

from __future__ import annotations

from dataclasses import fields

import pytest

from shared.domain.ids import GroupId, OperationId, UserId
from shared.domain.operation import (
    LEGAL_MOVES,
    SYSTEM,
    LicenseChange,
    Operation,
    OperationError,
    OperationKind,
    OperationState,
    Target,
    Totals,
    may_move,
)
from tests.support.builders import GROUP_A, NOW

ENDED = [state for state in OperationState if state.is_ended]


def test_complete_cancelled_and_failed_are_ends() -> None:
    assert set(ENDED) == {OperationState.COMPLETE, OperationState.CANCELLED, OperationState.FAILED}


@pytest.mark.parametrize("state", list(OperationState))
def test_an_ended_operation_never_moves_again_and_every_other_can_be_cancelled_and_fail(state: OperationState) -> None:
    moves = [to for to in OperationState if may_move(state, to)]
    if state.is_ended:
        assert moves == []
    else:
        assert {OperationState.CANCELLED, OperationState.FAILED, OperationState.IN_PROGRESS} <= set(moves)
    assert state in LEGAL_MOVES


def test_what_waits_for_a_person_or_is_paused_cannot_complete_by_itself() -> None:
    assert not may_move(OperationState.AWAITING_APPROVAL, OperationState.COMPLETE)
    assert not may_move(OperationState.PAUSED, OperationState.COMPLETE)
    assert not may_move(OperationState.PAUSED, OperationState.AWAITING_APPROVAL)


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
