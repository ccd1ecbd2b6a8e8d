"""Which licenses wait for a person, and in whose approval."""

from __future__ import annotations

from shared.domain.attempt import begin
from shared.domain.directory import DirectoryUser, ReadFailed
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.held_removals import HeldBy, held_removals
from shared.domain.ids import NO_PLANS, SkuId
from shared.domain.plan import UserPlan
from shared.domain.reconciliation import Planned, Read, Work
from tests.support.builders import E1, E3, GROUP_A, NOW, USER, context, direct, ledger, managed, person


def held_of(user: DirectoryUser | ReadFailed, *held: SkuId) -> HeldBy:
    """Of a user with these licenses held, all managed for group A."""
    row = ledger({sku_id: managed() for sku_id in held})
    grants = tuple(Grant(sku_id, NO_PLANS, Source(SourceKind.HELD)) for sku_id in held)
    planned = Planned(Read(USER, user, row, row, grants), row, grants, context(), UserPlan(USER))
    return held_removals([begin(Work("op", False, {}, NOW, None, {}), planned)])


def test_a_held_license_waits_for_the_approval_of_its_group() -> None:
    assert held_of(person(direct(E1), direct(E3)), E1, E3) == {GROUP_A: {USER: {E1, E3}}}


def test_a_held_license_that_an_administrator_removed_needs_no_approval() -> None:
    assert held_of(person(direct(E1)), E1, E3) == {GROUP_A: {USER: {E1}}}
    assert held_of(person(), E1) == {}


def test_nothing_is_asked_about_a_user_who_could_not_be_read() -> None:
    assert held_of(ReadFailed("away"), E1) == {}
