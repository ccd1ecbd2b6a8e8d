"""Sealed pages and their chunks."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.directory import AssignedLicense
from shared.domain.ids import OperationId, UserId
from shared.domain.outcomes import OutcomeClass
from shared.domain.snapshot_pages import (
    PAGE_SIZE,
    Chunk,
    PlannedAction,
    SnapshotPage,
    chunks_of,
    pages_of,
    partition_of,
    pieces,
)
from tests.support.builders import E3, E5

OPERATION = OperationId("op")
DUE = PlannedAction(due=True, expected=OutcomeClass.APPLIED, remove=(E3,))
DONE = PlannedAction(due=False)


def user(number: int) -> UserId:
    """Ids spread over the partitions."""
    return UserId(f"{number * 7919 % 16:x}{number:07x}-0000-0000-0000-000000000000")


def all_chunks(pages: list[SnapshotPage], size: int) -> list[Chunk]:
    return [chunk for page in pages for chunk in chunks_of(OPERATION, page, size)]


def test_a_page_knows_the_action_of_each_user_and_keeps_equal_ones_once() -> None:
    (page,) = pages_of([(user(2), DUE), (user(1), DONE), (user(3), replace(DUE))], 20)
    assert sorted(page.user_ids) == list(page.user_ids)
    assert [page.action(index) for index in range(3)] == [{user(1): DONE}.get(each, DUE) for each in page.user_ids]
    assert len(page.actions) == 2
    assert set(page.due) == {user(2), user(3)}


def test_a_user_read_twice_is_in_the_snapshot_once() -> None:
    pages = pages_of([(user(1), DUE), (user(2), DUE), (user(1), DUE)], 20)
    assert sum(len(page.user_ids) for page in pages) == 2


def test_nobody_is_no_page() -> None:
    assert pages_of([], 20) == []
    assert pieces([], 20) == []


def test_removing_and_turning_plans_off_are_both_removals() -> None:
    assert DUE.removes
    assert PlannedAction(due=True, plans_off=(AssignedLicense(E5, frozenset()),)).removes
    assert not PlannedAction(due=True, usage_location="CH").removes


def test_after_a_restart_in_the_middle_of_a_page_the_chunks_have_the_same_numbers_and_users() -> None:
    """Users who are done by then must not shift the rest: duplicate detection would swallow two hundred of them."""
    planned = [(user(n), DUE) for n in range(2500)]
    first = all_chunks(pages_of(planned, 20), 20)
    again = all_chunks(pages_of(planned, 20), 20)
    assert again == first
    assert again[10:] == first[10:]


def test_pages_hold_a_thousand_and_chunks_are_numbered_through_all_of_them() -> None:
    pages = pages_of([(user(n), DUE if n % 3 else DONE) for n in range(2500)], 20)
    assert [len(page.user_ids) for page in pages] == [PAGE_SIZE, PAGE_SIZE, 500]
    chunks = all_chunks(pages, 20)
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert {chunk.page for chunk in chunks} == {0, 1, 2}


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.integers(0, 100_000).map(user), st.booleans(), max_size=150),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_each_due_user_is_in_exactly_one_chunk_of_one_partition(
    users: dict[UserId, bool], size: int, random: Random
) -> None:
    planned = [(each, DUE if due else DONE) for each, due in users.items()]
    pages = pages_of(planned, size)
    chunks = all_chunks(pages, size)
    chunked = [each for chunk in chunks for each in chunk.user_ids]
    assert sorted(chunked) == sorted(each for each, due in users.items() if due)
    for chunk in chunks:
        assert 0 < len(chunk.user_ids) <= size
        assert len({partition_of(each) for each in chunk.user_ids}) == 1
    random.shuffle(planned)
    assert pages_of(planned, size) == pages
