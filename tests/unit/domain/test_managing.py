"""Unmanaged licenses that a person decides to manage here."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.desired_licenses import desired_licenses
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import Plans
from shared.domain.ledger import with_managed
from shared.domain.ledger_row import ManagedLicense, SeenRow
from tests.support.builders import (
    CALLING,
    E3,
    E5,
    FROM_A,
    FROM_B,
    LONG_AGO,
    NOW,
    PHONE,
    TEAMS,
    VISIO,
    direct,
    grant,
    ledger,
    managed,
    native,
    person,
    plans,
)

HELD = Source(SourceKind.HELD)


def adopted_now(disabled: Plans) -> ManagedLicense:
    """A license adopted at NOW that had been assigned long ago."""
    return ManagedLicense(disabled, NOW, (FROM_A,), seen=SeenRow(LONG_AGO))


def test_a_license_that_a_group_grants_is_managed_with_the_plans_and_sources_it_has_now() -> None:
    desired = desired_licenses((grant(E3, plans(TEAMS)), grant(E3, plans(TEAMS), HELD)), NOW)
    row, kept = with_managed(ledger({E5: managed()}), person(direct(E3, plans(TEAMS))), (E3,), desired, NOW)
    assert row.managed == {E5: managed(), E3: adopted_now(plans(TEAMS))}
    assert kept == ()


def test_service_plans_beyond_the_grants_are_kept_on_without_a_persons_id() -> None:
    desired = desired_licenses((grant(E5, plans(TEAMS, CALLING)),), NOW)
    row, kept = with_managed(ledger(), person(direct(E5, plans(CALLING))), (E5,), desired, NOW)
    assert row.managed == {E5: adopted_now(plans(CALLING))}
    assert kept == (Grant(E5, plans(CALLING), Source(SourceKind.KEPT)),)


def test_service_plans_that_the_grants_turn_on_and_the_license_lacks_keep_nothing() -> None:
    desired = desired_licenses((grant(E3),), NOW)
    _, kept = with_managed(ledger(), person(direct(E3, plans(TEAMS))), (E3,), desired, NOW)
    assert kept == ()


def test_only_licenses_that_are_assigned_granted_and_unmanaged_are_adopted() -> None:
    """E3 is only inherited, E5 not granted, PHONE only held; VISIO comes after them and is adopted."""
    user = person(native(E3), direct(E5), direct(PHONE), direct(VISIO))
    desired = desired_licenses((grant(E3), grant(PHONE, source=HELD), grant(VISIO)), NOW)
    row, kept = with_managed(ledger(), user, (E3, E5, PHONE, VISIO), desired, NOW)
    assert (set(row.managed), kept) == ({VISIO}, ())


def test_a_license_that_is_managed_already_stays_as_it_was_recorded() -> None:
    before = ledger({E3: managed(plans(TEAMS), source=FROM_B)})
    desired = desired_licenses((grant(E3), grant(VISIO)), NOW)
    row, _ = with_managed(before, person(direct(E3), direct(VISIO)), (E3, VISIO), desired, NOW)
    assert row.managed == {E3: managed(plans(TEAMS), source=FROM_B), VISIO: adopted_now(plans())}


def test_an_unclear_license_is_managed_again_as_it_is_now() -> None:
    row = ledger({E3: replace(managed(), unclear=True), VISIO: managed()})
    desired = desired_licenses((grant(E3, plans(TEAMS)), grant(VISIO)), NOW)
    found, _ = with_managed(row, person(direct(E3, plans(TEAMS)), direct(VISIO)), (E3, VISIO), desired, NOW)
    assert found.managed == {E3: adopted_now(plans(TEAMS)), VISIO: managed()}
