"""How long the record of a user is kept who is deleted, or of whom it proves nothing any more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.ids import GroupId
from shared.domain.ledger import denied, is_spent, new_intent, refresh
from shared.domain.ledger_row import LastResult, LedgerRow, ObservedEvent, RejectionRecord
from tests.support.builders import DAY, E3, LONG_AGO, MINUTE, NOW, USER, VISIO, direct, ledger, managed, person

SECOND = timedelta(seconds=1)
INTENT = new_intent(person(), "cause", (AssignedLicense(E3),), (), None, {}, NOW)
DATED = LedgerRow(USER, denied_since=NOW)


class TestADeletedUser:
    row = replace(
        ledger({E3: managed()}),
        intent=INTENT,
        unseen={VISIO: managed()},
        waiting_since={VISIO: NOW},
        gone_since={E3: NOW},
    )

    def test_keeps_licenses_and_open_writes_while_it_can_be_restored_and_waits_no_more(self) -> None:
        gone = denied(self.row, NOW)
        assert gone == replace(self.row, denied_since=NOW, waiting_since={})
        assert denied(replace(gone, waiting_since={E3: NOW}), NOW + 35 * DAY - SECOND) == gone

    def test_has_nothing_that_is_needed_after_that(self) -> None:
        gone = denied(replace(self.row, denied_since=NOW), NOW + 35 * DAY)
        assert gone == LedgerRow(USER, denied_since=NOW, gone_since={E3: NOW})

    def test_that_is_restored_is_a_user_like_any_other(self) -> None:
        row = replace(ledger({E3: managed()}), denied_since=LONG_AGO)
        assert refresh(row, person(direct(E3)), NOW) == ledger({E3: managed()})


class TestARecord:
    @pytest.mark.parametrize(
        "row",
        [
            replace(DATED, managed={E3: managed()}),
            replace(DATED, intent=INTENT),
            replace(DATED, waiting_since={E3: LONG_AGO}),
            replace(DATED, unseen={E3: managed()}),
        ],
        ids=["managed license", "open write", "waiting user", "lost write"],
    )
    def test_that_is_needed_is_kept_however_old_it_is(self, row: LedgerRow) -> None:
        assert not is_spent(row, NOW + 365 * DAY)

    @pytest.mark.parametrize(
        "row",
        [
            LedgerRow(USER, last_result=LastResult("id", "cause", NOW)),
            LedgerRow(USER, denied_since=NOW),
            LedgerRow(USER, removal_seen_at={str(E3): LONG_AGO, str(VISIO): NOW}),
            LedgerRow(USER, gone_since={E3: NOW}),
            LedgerRow(USER, removed_at={E3: NOW}),
            LedgerRow(USER, rejections={E3: RejectionRecord("f", LicenseError.OTHER, "", NOW)}),
            LedgerRow(USER, observed={GroupId("sales"): ObservedEvent(came=True, at=NOW)}),
        ],
        ids=["last write", "deleted", "removal seen", "missing", "removed", "rejected", "event"],
    )
    def test_that_nobody_needs_is_kept_until_its_newest_time_is_too_old(self, row: LedgerRow) -> None:
        assert not is_spent(row, NOW)
        assert is_spent(row, NOW + SECOND)

    def test_is_as_old_as_the_newest_of_its_times(self) -> None:
        row = LedgerRow(USER, last_result=LastResult("id", "cause", LONG_AGO), gone_since={E3: NOW + MINUTE})
        assert not is_spent(row, NOW + MINUTE)
        assert is_spent(row, NOW + 2 * MINUTE)

    def test_without_any_time_is_kept(self) -> None:
        assert not is_spent(LedgerRow(USER), NOW)
