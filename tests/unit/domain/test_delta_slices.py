"""What a slice of groups keeps after deltas, enumerations and rejections."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.delta_slices import REJECTED_AGAIN, SHOWN_AFTER, DeltaSlice
from tests.support.builders import DAY, GROUP_A, GROUP_B, MINUTE, NOW

LINKED = DeltaSlice(0).linked((GROUP_A, GROUP_B), "/link", NOW)


def rejected(times: int) -> DeltaSlice:
    found = LINKED
    for _ in range(times):
        found = found.linked((GROUP_A, GROUP_B), "/link", NOW).rejected("404", NOW)
    return found


def test_the_first_rejection_is_followed_by_a_new_link_at_once_and_each_further_one_by_a_longer_wait() -> None:
    waits = [each.retry_at - NOW for each in map(rejected, range(1, 12)) if each.retry_at is not None]
    assert waits[:4] == [timedelta(0), 10 * MINUTE, 20 * MINUTE, 40 * MINUTE]
    assert waits == sorted(waits)
    assert waits[-1] == REJECTED_AGAIN.longest
    assert not rejected(2).may_enumerate(NOW + 9 * MINUTE)
    assert rejected(2).may_enumerate(NOW + 10 * MINUTE)


def test_after_three_rejections_in_a_row_the_slice_is_shown_as_an_error_until_a_delta_can_be_read() -> None:
    assert [rejected(times).is_shown_as_error for times in (SHOWN_AFTER - 1, SHOWN_AFTER)] == [False, True]
    linked = rejected(SHOWN_AFTER).linked((GROUP_A, GROUP_B), "/new", NOW)
    assert linked.is_shown_as_error
    read = linked.reported("/next", (GROUP_A, GROUP_B), NOW + DAY)
    assert (read.is_shown_as_error, read.retry_at, read.rejected_because, read.read_at) == (False, None, "", NOW + DAY)


def test_a_link_for_some_of_the_groups_does_not_end_rejected_enumerations() -> None:
    found = LINKED.enumeration_rejected("400", NOW, (GROUP_A, GROUP_B))
    known = DeltaSlice(0, (GROUP_A,), "/link").enumeration_rejected("400", NOW, (GROUP_A, GROUP_B))
    assert (known.reported("/next", (GROUP_A, GROUP_B), NOW).rejections, known.link) == (1, "/link")
    assert found.reported("/next", (GROUP_A, GROUP_B), NOW).rejections == 0


def test_a_rejected_slice_keeps_its_groups_and_reports_none() -> None:
    found = rejected(1)
    assert (found.group_ids, found.enumerated, found.link) == ((), (GROUP_A, GROUP_B), "")
    assert not found.reports((GROUP_A,))


def test_groups_to_read_are_one_set_however_often_they_are_asked_for() -> None:
    found = LINKED.to_read((GROUP_A, GROUP_B), NOW).to_read((GROUP_A,), NOW + MINUTE)
    assert (found.unread, found.unread_since) == (frozenset({GROUP_A, GROUP_B}), NOW + MINUTE)
    half = found.read_by_sync((GROUP_A,))
    assert (half.unread, half.unread_since) == (frozenset({GROUP_B}), NOW + MINUTE)
    assert half.read_by_sync((GROUP_B,)) == LINKED
