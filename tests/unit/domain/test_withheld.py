"""A removal waits for every reason for which the desired license that overlaps it is not there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.directory import DirectoryUser, LicenseState
from shared.domain.ids import SkuId
from shared.domain.ledger_row import LedgerRow
from shared.domain.permit import PERMIT_HOLDS
from shared.domain.plan import UserPlan, plan_user
from shared.domain.plan_draft import NoteKind
from shared.domain.withheld import WITHHELD_FOR
from tests.support.builders import (
    DAY,
    E3,
    E5,
    HOUR,
    MINUTE,
    NOW,
    VISIO,
    context,
    direct,
    grant,
    ledger,
    managed,
    native,
    permit,
    person,
)

SECOND = timedelta(seconds=1)
BEFORE = {str(sku): NOW - DAY for sku in (E3, VISIO)}
OWNING = ledger({E3: managed(), VISIO: managed()}, seen=BEFORE)
"""E3 and VISIO are ours and due to go; E5, which has all of E3's plans, is desired."""

LATE = replace(OWNING, managed={**OWNING.managed, E5: managed(at=NOW - MINUTE)})
LEFTOVER = replace(OWNING, removed_at={E5: NOW - MINUTE})

MISSING = {
    "assigned by us a moment ago and not shown": (person(direct(E3), direct(VISIO)), LATE),
    "removed by us a moment ago and still shown": (person(direct(E3), direct(VISIO), direct(E5)), LEFTOVER),
    "assigned by others in a state that does not count": (
        person(direct(E3), direct(VISIO), direct(E5, state=LicenseState.DISABLED)),
        OWNING,
    ),
}


def planned(user: DirectoryUser, row: LedgerRow, **values: frozenset[SkuId]) -> UserPlan:
    where = replace(context(permits=tuple(permit(sku) for sku in (E3, VISIO))), **values)  # type: ignore[arg-type]
    return plan_user(user, (grant(E5),), row, where)


def kept(plan: UserPlan) -> set[SkuId]:
    return {note.sku_id for note in plan.notes if note.kind is NoteKind.KEPT_UNTIL_REPLACED}


@pytest.mark.parametrize("case", MISSING)
def test_the_overlapping_license_waits_and_the_other_goes(case: str) -> None:
    plan = planned(*MISSING[case])
    assert (plan.add, plan.remove, kept(plan)) == ((), (VISIO,), {E3})
    assert plan.withheld_since == {E3: NOW}


@pytest.mark.parametrize("there", [direct(E5), native(E5)])
def test_when_the_desired_license_shows_from_any_source_both_go(there: object) -> None:
    user = person(direct(E3), direct(VISIO), there)  # type: ignore[arg-type]
    plan = planned(user, OWNING, count_inherited=frozenset({E5}))
    assert (plan.remove, plan.withheld_since) == (tuple(sorted((E3, VISIO))), {})


def test_a_license_that_no_seat_is_free_for_keeps_the_one_that_it_replaces() -> None:
    plan = planned(person(direct(E3), direct(VISIO)), OWNING, closed_skus=frozenset({E5}))
    assert (plan.remove, plan.withheld_since) == ((VISIO,), {E3: NOW})


class TestAfterADay:
    user, row = MISSING["assigned by others in a state that does not count"]

    def waiting(self, for_: timedelta) -> LedgerRow:
        return replace(self.row, withheld_since={E3: NOW - for_})

    def test_a_person_is_asked_and_not_before(self) -> None:
        asked = [
            [request.sku_id for request in planned(self.user, self.waiting(each)).wants_permit if request.by_person]
            for each in (WITHHELD_FOR - SECOND, WITHHELD_FOR)
        ]
        assert asked == [[], [E3]]

    def going(self, waiting_for: timedelta, approved_at: datetime) -> bool:
        approved = replace(permit(E3, at=approved_at, by_approval=True), given_by="Mia")
        where = context(permits=(permit(E3), approved))
        return E3 in plan_user(self.user, (grant(E5),), self.waiting(waiting_for), where).remove

    def test_what_was_approved_as_part_of_a_swap_does_not_let_it_go_alone(self) -> None:
        assert self.going(WITHHELD_FOR + HOUR, NOW - HOUR)
        assert not self.going(WITHHELD_FOR + HOUR, NOW - HOUR - SECOND)

    def test_an_approval_that_holds_no_more_does_not_let_it_go_alone(self) -> None:
        assert self.going(10 * DAY, NOW - PERMIT_HOLDS)
        assert not self.going(10 * DAY, NOW - PERMIT_HOLDS - SECOND)

    def test_without_an_answer_it_is_held_and_the_time_is_not_forgotten(self) -> None:
        row = self.waiting(WITHHELD_FOR)
        plan = planned(self.user, row, denied=frozenset({E3}))
        assert [each.sku_id for each in plan.new_grants] == [E3]
        again = plan_user(self.user, (grant(E5), *plan.new_grants), row, context())
        assert (again.remove, again.withheld_since) == ((), {E3: NOW - WITHHELD_FOR})
