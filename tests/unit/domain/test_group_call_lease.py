"""Who may change the licenses of a group now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.domain.group_call_lease import LEASE, GroupLease

NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def test_a_lease_that_nobody_holds_is_taken_and_survives_storage() -> None:
    assert GroupLease.from_text("") == GroupLease()
    taken = GroupLease().taken_by("one", NOW)
    assert taken == GroupLease("one", NOW + LEASE)
    assert GroupLease.from_text(taken.to_text()) == taken


def test_another_holder_waits_until_it_ends_and_the_same_one_renews_it() -> None:
    lease = GroupLease("one", NOW + LEASE)
    moment = timedelta(seconds=1)
    assert lease.taken_by("two", NOW + LEASE - moment) is None
    assert lease.taken_by("two", NOW + LEASE) == GroupLease("two", NOW + LEASE + LEASE)
    assert lease.taken_by("one", NOW + moment) == GroupLease("one", NOW + moment + LEASE)
