"""What permits permit, and what later writes leave of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.ids import NO_PLANS, Plans
from shared.domain.ledger import accepted, new_intent
from shared.domain.ledger_row import LedgerRow, ManagedLicense
from shared.domain.permit import PERMIT_HOLDS, Permit, not_carried_out
from shared.domain.removals import valid_permits
from tests.support.builders import (
    DAY,
    E3,
    E5,
    EXCHANGE_2,
    FROM_A,
    MINUTE,
    NOW,
    SHAREPOINT_2,
    TEAMS,
    USER,
    VISIO,
    context,
    direct,
    ledger,
    managed,
    permit,
    person,
    plans,
)


def test_a_void_permit_in_the_place_of_one_that_permits_the_removal_permits_nothing() -> None:
    license = managed(at=NOW - timedelta(days=365))
    hr_state = permit(E3)
    assert valid_permits(USER, E3, license, context(permits=(hr_state,))) == [hr_state]
    void = Permit.void(hr_state.user_id, hr_state.sku_id, hr_state.source, "cancelled")
    assert valid_permits(USER, E3, license, context(permits=(void,))) == []
    assert (void.user_id, void.sku_id, void.source) == (USER, E3, FROM_A)
    assert (void.given_by, void.by_approval) == ("cancelled", False)


BEFORE = plans(SHAREPOINT_2)
"""What is off in E3 as the permit is given."""


def written(*steps: Plans | None) -> ManagedLicense:
    """The license after writes, a minute apart, from the time of the permit on. None: it was removed."""
    row = ledger({E3: managed(BEFORE), VISIO: managed()})
    current: Plans | None = BEFORE
    for number, off in enumerate(steps):
        row = write(row, current, off, number)
        current = off
    return row.managed[E3]


def write(row: LedgerRow, before: Plans | None, after: Plans | None, number: int) -> LedgerRow:
    user, at = person(*([] if before is None else [direct(E3, before)])), NOW + number * MINUTE
    add = () if after is None else (AssignedLicense(E3, after),)
    intent = new_intent(user, f"{number}", add, (E3,) if after is None else (), None, {E3: (FROM_A,)}, at)
    return accepted(replace(row, intent=intent), at)


NAMED = plans(TEAMS, EXCHANGE_2)


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ((), NAMED),
        ((NO_PLANS,), NAMED),
        ((NO_PLANS, BEFORE, NO_PLANS), NAMED),
        ((plans(TEAMS),), plans(EXCHANGE_2)),
        ((NO_PLANS, plans(TEAMS)), plans(EXCHANGE_2)),
        ((plans(TEAMS, EXCHANGE_2),), NO_PLANS),
        ((plans(TEAMS), NO_PLANS), NO_PLANS),
        ((None, BEFORE), NO_PLANS),
        ((NO_PLANS, None, BEFORE, NO_PLANS), NO_PLANS),
    ],
    ids=[
        "no write",
        "another plan on",
        "another plan on, off and on",
        "one off",
        "another plan on, then one off",
        "both off",
        "one off and on again",
        "the license assigned again",
        "the license assigned again, then another plan on",
    ],
)
def test_a_permit_for_plans_loses_what_went_and_ends_if_one_of_them_is_assigned_again(
    steps: tuple[Plans | None, ...], left: Plans
) -> None:
    rest = not_carried_out(permit(E3, disabling=NAMED), written(*steps))
    assert (rest.plans if rest else NO_PLANS) == left


@pytest.mark.parametrize(("steps", "holds"), [((), True), ((NO_PLANS,), False), ((None, BEFORE), False)])
def test_a_permit_for_a_whole_license_ends_with_the_next_write_of_it(
    steps: tuple[Plans | None, ...], holds: bool
) -> None:
    assert bool(not_carried_out(permit(E3), written(*steps))) is holds


def test_only_plans_of_the_changed_license_are_remembered_and_no_longer_than_a_permit_holds() -> None:
    first = write(ledger({E3: managed(BEFORE), E5: managed()}), BEFORE, NO_PLANS, 0)
    assert (dict(first.managed[E3].changes), first.managed[E3].since) == ({NOW: BEFORE}, managed().at)
    assert first.managed[E5] == managed()
    minutes = (PERMIT_HOLDS + DAY) // MINUTE
    later = write(first, NO_PLANS, plans(TEAMS), minutes).managed[E3]
    assert (dict(later.changes), later.since) == ({NOW + minutes * MINUTE: plans(TEAMS)}, managed().at)
