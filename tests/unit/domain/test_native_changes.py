"""What a change of a natively licensed group does to its members, and what may be called for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.catalog import Catalog
from shared.domain.directory import (
    AssignedLicense,
    DirectoryUser,
    LicenseAssignmentState,
    LicenseError,
    LicenseState,
)
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import NO_PLANS, Plans, SkuId, UserId
from shared.domain.native_changes import (
    Decision,
    Forecast,
    MemberChange,
    NextCall,
    call_towards,
    decide,
    is_approved,
    is_hurt,
    is_processed,
    products_after,
    shortage,
    takes_away,
    uncovered,
)
from shared.domain.native_progress import READ_BACK_FOR, NativeProgress, NativeStage
from shared.domain.operation import LicenseChange
from shared.domain.permit import Claim
from shared.domain.predicted_errors import likely
from shared.domain.snapshot_pages import PlannedAction
from shared.domain.write_results import LicenseCall
from tests.support.builders import (
    CALLING,
    CATALOG,
    DRAWING,
    E1,
    E3,
    E5,
    EXCHANGE_2,
    EXCLUDING,
    F3,
    GROUP_A,
    NOW,
    SKUS,
    TEAMS,
    VISIO,
    direct,
    native,
    person,
    plan_id,
    plans,
)

CLAIM = Claim(Source(SourceKind.GROUP, GROUP_A))
UPGRADE = LicenseChange((AssignedLicense(E5),), (E3,))
NOTHING: dict[UserId, PlannedAction] = {}


def own(sku: SkuId, disabled: Plans = NO_PLANS, error: str | None = None) -> LicenseAssignmentState:
    """A row of the group."""
    row = native(sku, disabled, group=GROUP_A, state=LicenseState.ERROR if error else LicenseState.ACTIVE)
    return replace(row, error=error)


def member(number: int, *rows: LicenseAssignmentState) -> DirectoryUser:
    return person(*rows, user_id=UserId(f"u{number}"), groups=[GROUP_A])


def with_available(**available: int) -> Catalog:
    """The catalog with so many available licenses of products, by part number."""
    skus = {key: replace(sku, enabled=available.get(sku.sku_part_number, 100)) for key, sku in SKUS.items()}
    return Catalog(skus, EXCLUDING, CATALOG.dependencies)


def forecast(change: LicenseChange, *before: AssignedLicense, catalog: Catalog = CATALOG) -> Forecast:
    return Forecast(GROUP_A, before, change, catalog, NOW)


def approving(user: str, *lost: SkuId, off: tuple[AssignedLicense, ...] = ()) -> dict[UserId, PlannedAction]:
    claims = tuple((sku, (CLAIM,)) for sku in (*lost, *(each.sku_id for each in off)))
    return {UserId(user): PlannedAction(False, remove=lost, plans_off=off, claims=claims)}


def decided(
    change: LicenseChange,
    users: list[DirectoryUser],
    *before: AssignedLicense,
    catalog: Catalog = CATALOG,
    approved: dict[UserId, PlannedAction] = NOTHING,
) -> Decision:
    judge = forecast(change, *before, catalog=catalog)
    return decide([judge.expected(user) for user in users], before, change, catalog, approved)


def test_a_change_replaces_plans_and_a_call_contains_only_what_is_missing() -> None:
    before = (AssignedLicense(E3, plans(TEAMS)), AssignedLicense(VISIO))
    change = LicenseChange((AssignedLicense(E3), AssignedLicense(E5)), (VISIO,))
    after = products_after(before, change)
    assert after == (AssignedLicense(E3), AssignedLicense(E5))
    only = frozenset({E3, E5, VISIO})
    assert call_towards(before, after, CATALOG, only=only) == LicenseCall(
        (AssignedLicense(E3), AssignedLicense(E5)), (VISIO,)
    )
    assert call_towards(after, after, CATALOG, only=only) == LicenseCall((), ())
    foreign = (*after, AssignedLicense(F3))
    assert call_towards(foreign, after, CATALOG, only=only) == LicenseCall((), ())


def test_a_plan_that_left_its_product_is_neither_compared_nor_sent() -> None:
    gone = plan_id(99)
    now, wanted = [AssignedLicense(E3, plans(TEAMS, gone))], [AssignedLicense(E3, plans(TEAMS))]
    assert call_towards(now, wanted, CATALOG, only=frozenset({E3})) == LicenseCall((), ())
    assert call_towards([], now, CATALOG, only=frozenset({E3})) == LicenseCall((AssignedLicense(E3, plans(TEAMS)),), ())
    user = member(1, own(E3, plans(TEAMS)))
    assert is_processed(user, GROUP_A, now, CATALOG, complete=True)
    unknown = SkuId("unknown")
    call = call_towards(
        [AssignedLicense(unknown)], [AssignedLicense(unknown, plans(TEAMS))], CATALOG, only=frozenset({unknown})
    )
    assert call.add == (AssignedLicense(unknown, plans(TEAMS)),)


def test_turning_plans_off_takes_away_and_turning_them_on_does_not() -> None:
    now = (AssignedLicense(E3, plans(TEAMS)),)
    assert not takes_away(LicenseCall((AssignedLicense(E3), AssignedLicense(E5, plans(TEAMS))), ()), now)
    assert takes_away(LicenseCall((AssignedLicense(E3, plans(TEAMS, EXCHANGE_2)),), ()), now)
    assert takes_away(LicenseCall((), (E3,)), now)


def test_an_upgrade_loses_nothing_and_a_downgrade_loses_the_product() -> None:
    up = forecast(UPGRADE, AssignedLicense(E3)).expected(member(1, own(E3)))
    assert (up.needs, up.loses, up.has, up.errors) == ((E5,), (), True, ())
    down = LicenseChange((AssignedLicense(E3),), (E5,))
    assert forecast(down, AssignedLicense(E5)).expected(member(1, own(E5))).loses == ((E5, NO_PLANS),)


def test_what_another_source_assigns_is_not_lost_and_takes_no_second_license() -> None:
    removal = LicenseChange(remove=(E3,))
    judge = forecast(removal, AssignedLicense(E3))
    assert judge.expected(member(1, own(E3), direct(E3))).loses == ()
    assert judge.expected(member(1, own(E3), direct(E3, plans(TEAMS)))).loses == ((E3, NO_PLANS),)
    assert judge.expected(member(1, own(E3), direct(E3, state=LicenseState.ERROR))).loses == ((E3, NO_PLANS),)
    assert forecast(UPGRADE, AssignedLicense(E3)).expected(member(1, own(E3), direct(E5))).needs == ()


def test_plans_that_go_off_are_lost_by_name() -> None:
    change = LicenseChange((AssignedLicense(E3, plans(TEAMS)),))
    found = forecast(change, AssignedLicense(E3)).expected(member(1, own(E3)))
    assert (found.needs, found.loses) == ((), ((E3, plans(TEAMS)),))
    assert forecast(change, AssignedLicense(E3)).expected(member(1, own(E3), direct(E1))).loses == ()


def test_an_expected_error_loses_every_product_of_the_group() -> None:
    """E1 excludes E3. The member has E1 directly, and the group had only Visio."""
    change = LicenseChange((AssignedLicense(E3),))
    found = forecast(change, AssignedLicense(VISIO)).expected(member(1, own(VISIO), direct(E1)))
    assert [each.problem.sku_id for each in found.errors] == [E3]
    assert found.loses == ((VISIO, NO_PLANS),)


def test_a_pair_that_the_member_has_already_is_no_new_error() -> None:
    change = LicenseChange((AssignedLicense(VISIO),))
    found = forecast(change, AssignedLicense(E3)).expected(member(1, own(E3), direct(E1)))
    assert (found.errors, found.loses) == ((), ())


def test_a_member_without_any_product_needs_each_of_them_and_loses_nothing() -> None:
    found = forecast(UPGRADE, AssignedLicense(E3), AssignedLicense(VISIO)).expected(member(1, own(E3, error="Other")))
    assert (found.needs, found.has, found.loses) == ((E5, VISIO), False, ())


def test_a_swap_with_enough_licenses_is_one_call() -> None:
    users = [member(n, own(E3)) for n in range(3)]
    assert decided(UPGRADE, users, AssignedLicense(E3), catalog=with_available(E5=3)).next is NextCall.ALL


def test_with_one_license_too_few_nothing_is_called_while_somebody_has_a_product() -> None:
    users = [member(n, own(E3)) for n in range(3)]
    decision = decided(UPGRADE, users, AssignedLicense(E3), catalog=with_available(E5=2))
    assert (decision.next, decision.short) == (NextCall.WAIT, {E5: 1})
    adding = LicenseChange((AssignedLicense(VISIO),))
    assert decided(adding, users, AssignedLicense(E3), catalog=with_available(VISIO=2)).next is NextCall.WAIT


def test_an_approved_loss_of_a_few_apps_is_no_reason_not_to_wait_for_licenses() -> None:
    """E5 to E3: the members may lose one app, and not the rest with it."""
    users = [member(n, own(E5)) for n in range(2)]
    change = LicenseChange((AssignedLicense(E3),), (E5,))
    approved = {**approving("u0", E5), **approving("u1", E5)}
    catalog = with_available(E3=1)
    assert decided(change, users, AssignedLicense(E5), catalog=catalog, approved=approved).next is NextCall.WAIT
    judge = forecast(change, AssignedLicense(E5), AssignedLicense(E3))
    assert uncovered([judge.reached(users[0])], approved, swap=True) == (UserId("u0"),)


def test_to_lose_a_product_by_an_error_is_another_decision_than_to_lose_it_to_its_replacement() -> None:
    change = LicenseChange((AssignedLicense(E3),), (VISIO,))
    user = member(1, own(VISIO), direct(E1))
    approved = approving("u1", VISIO)
    assert decided(change, [user], AssignedLicense(VISIO), approved=approved).next is NextCall.ASK
    errors = forecast(change, AssignedLicense(VISIO)).expected(user).errors
    named = {key: replace(action, errors=errors) for key, action in approved.items()}
    assert decided(change, [user], AssignedLicense(VISIO), approved=named).next is not NextCall.ASK


def test_the_first_product_of_a_group_does_not_wait_for_licenses() -> None:
    users = [member(n) for n in range(3)]
    decision = decided(LicenseChange((AssignedLicense(E5),)), users, catalog=with_available(E5=2))
    assert (decision.next, decision.short) == (NextCall.ALL, {E5: 1})


def test_a_member_without_products_who_will_have_an_error_makes_the_swap_two_calls() -> None:
    users = [member(1, own(E3)), member(2, own(E3, error="MutuallyExclusiveViolation"), direct(F3))]
    change = LicenseChange((AssignedLicense(E5), AssignedLicense(VISIO)), (E3,))
    catalog = with_available()
    assert forecast(change, AssignedLicense(E3), catalog=catalog).expected(users[1]).errors
    assert decided(change, users, AssignedLicense(E3), catalog=catalog).next is NextCall.ADD


def test_products_that_exclude_each_other_change_places_in_one_call() -> None:
    """E3 and F3 exclude each other: adding F3 first would leave every member without both."""
    users = [member(1, own(E3)), member(2, own(E3, error="MutuallyExclusiveViolation"), direct(E1))]
    change = LicenseChange((AssignedLicense(F3),), (E3,))
    approved = approving("u1", E3)
    assert decided(change, users, AssignedLicense(E3), approved=approved).next is NextCall.ALL


def test_a_removal_asks_until_each_loss_is_approved() -> None:
    users = [member(1, own(E3)), member(2, own(E3))]
    removal = LicenseChange(remove=(E3,))
    asked = decided(removal, users, AssignedLicense(E3), approved=approving("u1", E3))
    assert (asked.next, asked.unapproved) == (NextCall.ASK, (UserId("u2"),))
    both = {**approving("u1", E3), **approving("u2", E3)}
    assert decided(removal, users, AssignedLicense(E3), approved=both).next is NextCall.ALL


@pytest.mark.parametrize(
    ("loses", "approved", "enough"),
    [
        ((), {}, True),
        (((E3, NO_PLANS),), approving("u1", VISIO), False),
        (((E3, NO_PLANS),), approving("u1", off=(AssignedLicense(E3, plans(TEAMS)),)), False),
        (((E3, plans(TEAMS)),), approving("u1", E3), True),
        (((E3, plans(TEAMS)),), approving("u1", off=(AssignedLicense(E3, plans(TEAMS)),)), True),
        (((E3, plans(TEAMS, CALLING)),), approving("u1", off=(AssignedLicense(E3, plans(TEAMS)),)), False),
    ],
)
def test_an_approval_covers_what_it_names(
    loses: tuple[tuple[SkuId, Plans], ...], approved: dict[UserId, PlannedAction], enough: bool
) -> None:
    assert is_approved(MemberChange(UserId("u1"), loses=loses), approved) is enough


def test_after_the_addition_the_removal_waits_for_each_member_without_the_replacement() -> None:
    judge = forecast(UPGRADE, AssignedLicense(E3), AssignedLicense(E5))
    done, not_yet = member(1, own(E3), own(E5)), member(2, own(E3))
    failed = member(3, own(E3, error="Other"), own(E5, error="CountViolation"))
    elsewhere = member(4, own(E3), direct(E5))
    found = [judge.reached(user) for user in (done, not_yet, failed, elsewhere)]
    assert uncovered(found, NOTHING, swap=True) == (UserId("u2"),)
    assert found[1].loses == ((E3, NO_PLANS),)


def test_a_downgrade_that_was_approved_still_waits_for_the_replacement_of_others() -> None:
    change = LicenseChange((AssignedLicense(E3),), (E5,))
    judge = forecast(change, AssignedLicense(E3), AssignedLicense(E5))
    found = [judge.reached(member(1, own(E5), own(E3))), judge.reached(member(2, own(E5)))]
    assert uncovered(found, approving("u1", E5), swap=True) == (UserId("u2"),)


def test_a_member_who_was_approved_to_fail_does_not_hold_up_the_others() -> None:
    """Should Microsoft's licensing leave the former product to a member in error, the approval names that member."""
    judge = forecast(UPGRADE, AssignedLicense(E3), AssignedLicense(E5))
    found = [judge.reached(member(1, own(E3)))]
    errors = (likely(LicenseError.MUTUALLY_EXCLUSIVE, "No.", E5),)
    named = {key: replace(action, errors=errors) for key, action in approving("u1", E3).items()}
    assert uncovered(found, named, swap=True) == ()
    assert uncovered(found, approving("u1", E3), swap=True) == (UserId("u1"),)


def test_licenses_are_counted_over_all_members() -> None:
    found = [MemberChange(UserId(f"u{n}"), needs=(E5,)) for n in range(4)]
    assert shortage(found, with_available(E5=4)) == {}
    assert shortage(found, with_available(E5=1)) == {E5: 3}
    assert shortage([MemberChange(UserId("u"), needs=(SkuId("new"),))], CATALOG) == {SkuId("new"): 1}


@pytest.mark.parametrize(
    ("rows", "complete", "done"),
    [
        ((), True, False),
        ((own(E3),), True, False),
        ((own(E5),), False, True),
        ((own(E5), own(E3)), True, False),
        ((own(E5, plans(TEAMS)),), True, False),
        ((own(E5, error="CountViolation"),), False, True),
        ((own(E5), own(E3, error="DependencyViolation")), False, True),
        ((own(E5), own(E3, error="Other")), False, False),
        ((own(E5), own(E3, error="Other")), True, True),
    ],
)
def test_a_member_is_processed_when_each_row_says_so(
    rows: tuple[LicenseAssignmentState, ...], complete: bool, done: bool
) -> None:
    assert is_processed(member(1, *rows), GROUP_A, [AssignedLicense(E5)], CATALOG, complete=complete) is done


def test_a_member_is_hurt_who_has_nothing_of_the_group_any_more() -> None:
    before = [AssignedLicense(E3)]
    rows = (own(E3, error="Other"), own(E5, error="CountViolation"))
    assert is_hurt(member(1, *rows), GROUP_A, before)
    assert not is_hurt(member(1, *rows, direct(E3)), GROUP_A, before)
    assert not is_hurt(member(1, own(E3), own(E5, error="CountViolation")), GROUP_A, before)
    assert not is_hurt(member(1), GROUP_A, before)


def test_progress_survives_storage_and_a_new_stage_forgets_its_calls() -> None:
    progress = NativeProgress(before=(AssignedLicense(E3, plans(DRAWING, TEAMS)),), checked_at=NOW)
    progress = replace(progress.at(NativeStage.ADD, NOW).called(NOW, "text"), verified_at=NOW)
    assert NativeProgress.from_json(progress.to_json()) == progress
    assert NativeProgress.from_json(NativeProgress().to_json()) == NativeProgress()
    assert progress.may_lag(NOW + READ_BACK_FOR / 2)
    assert not progress.may_lag(NOW + READ_BACK_FOR)
    after = progress.at(NativeStage.APPLY, NOW)
    assert (after.calls, after.called_at, after.added, after.verified_at) == (0, None, True, None)
