"""Results, their classes, and which outcome of a user is kept."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.ids import UserId
from shared.domain.outcomes import (
    Applied,
    ChunkOutcome,
    Failed,
    OutcomeClass,
    Result,
    RetryAt,
    Skipped,
    SkipReason,
    Unchanged,
    Waiting,
    classify,
    merge,
)
from tests.support.builders import E3, NOW

USER = UserId("a")
RETRY, APPLIED, UNCHANGED = OutcomeClass.RETRY, OutcomeClass.APPLIED, OutcomeClass.UNCHANGED


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (RetryAt(NOW, "later"), RETRY),
        (Failed(()), OutcomeClass.FAILED),
        (Waiting((E3,)), OutcomeClass.WAITING),
        (Skipped(SkipReason.HELD), OutcomeClass.SKIPPED),
        (Applied(), APPLIED),
        (Unchanged(), UNCHANGED),
    ],
)
def test_every_result_has_a_class_and_all_but_retry_end_the_users_part(result: Result, expected: OutcomeClass) -> None:
    assert classify(result) is expected
    assert ChunkOutcome(USER, expected).is_final is not isinstance(result, RetryAt)


def test_the_first_report_is_kept_as_it_is() -> None:
    outcome = ChunkOutcome(USER, RETRY, retry_at=NOW)
    assert merge(None, outcome) is outcome


def test_a_redelivered_chunk_that_finds_nothing_to_do_does_not_turn_applied_into_unchanged() -> None:
    applied = ChunkOutcome(USER, APPLIED, wrote=True)
    assert merge(applied, ChunkOutcome(USER, UNCHANGED)) is applied


def test_a_user_written_to_who_then_needs_nothing_more_is_applied() -> None:
    retry = ChunkOutcome(USER, RETRY, wrote=True, retry_at=NOW)
    assert merge(retry, ChunkOutcome(USER, UNCHANGED)) == ChunkOutcome(USER, APPLIED, wrote=True)
    assert merge(ChunkOutcome(USER, RETRY), ChunkOutcome(USER, UNCHANGED)) == ChunkOutcome(USER, UNCHANGED)


outcomes = st.builds(ChunkOutcome, st.just(USER), st.sampled_from(OutcomeClass), st.booleans())


@settings(max_examples=150, deadline=None)
@given(st.lists(outcomes, min_size=1, max_size=6))
def test_in_any_sequence_the_first_final_outcome_stays_and_a_write_is_never_forgotten(
    reports: list[ChunkOutcome],
) -> None:
    kept: ChunkOutcome | None = None
    for index, report in enumerate(reports):
        final_before = kept is not None and kept.is_final
        before, kept = kept, merge(kept, report)
        assert kept == before if final_before else kept.is_final is report.is_final
        if not final_before:
            assert kept.wrote is any(each.wrote for each in reports[: index + 1])
