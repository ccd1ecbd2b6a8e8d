"""Who is protected, why, and until when."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.protected_people import LASTS_AFTER, NAMED, Protected, ProtectedList, Protection
from tests.support.builders import NOW, USER
from tests.support.runs import user

ADA, BEN = user(1), user(2)
DAY = timedelta(days=1)
ADMINISTRATOR = ("Global Administrator",)


def test_protection_lasts_for_30_days_after_the_role_ended_and_begins_anew_with_a_new_role() -> None:
    listed = ProtectedList().refreshed({ADA: ADMINISTRATOR, BEN: ADMINISTRATOR}, NOW)
    listed = listed.refreshed({BEN: ADMINISTRATOR}, NOW + DAY)
    until = NOW + DAY + LASTS_AFTER
    assert listed.people == {ADA: Protected(ADMINISTRATOR, until), BEN: Protected(ADMINISTRATOR)}
    later = listed.refreshed({BEN: ADMINISTRATOR}, NOW + 5 * DAY)
    assert later.people[ADA].until == until, "a later read does not lengthen it"
    protection = Protection(later)
    assert protection.protects(ADA, until - timedelta(seconds=1))
    assert not protection.protects(ADA, until)
    assert later.refreshed({BEN: ADMINISTRATOR}, until).people.keys() == {BEN}
    again = later.refreshed({ADA: ("Global Reader",)}, NOW + 6 * DAY)
    assert again.people[ADA] == Protected(("Global Reader",))


def test_a_named_account_is_protected_without_a_list() -> None:
    protection = Protection(accounts=frozenset({ADA}), required=True)
    assert not protection.is_known
    assert protection.reasons(ADA, NOW) == (NAMED,)
    assert protection.reasons(USER, NOW) == ()


def test_an_empty_list_that_was_read_is_known_and_a_list_that_nobody_wants_too() -> None:
    assert Protection(ProtectedList(read_at=NOW), required=True).is_known
    assert Protection(required=False).is_known


def test_the_list_is_read_once_a_day_and_at_once_after_a_fault() -> None:
    assert ProtectedList().is_due(NOW)
    read = ProtectedList().refreshed({}, NOW)
    assert not read.is_due(NOW + timedelta(hours=19))
    assert read.is_due(NOW + timedelta(hours=20))
    assert ProtectedList(read_at=NOW, fault="403").is_due(NOW)
