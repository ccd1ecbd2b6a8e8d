"""Moves between native and direct licensing: verdicts, states, and that no step takes a plan from anybody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.assignment import Enforcement, Engine, GroupLicenseAssignment, SkuAssignment
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState, LicenseState
from shared.domain.errors import BadRequest
from shared.domain.ids import NO_PLANS, GroupId, UserId
from shared.domain.initiator import Initiator
from shared.domain.move import (
    Direction,
    Move,
    MovePhase,
    after_verification,
    after_wave,
    check_waves,
    fault_of,
    products_of,
    resumed,
    undone,
)
from shared.domain.move_members import Facts, MoveVerdict, licenses_needed, to_direct, to_native
from shared.domain.move_report import MoveOutcome, member_now, report_row
from shared.domain.native_handover import NativeHandover, share_of
from tests.support.builders import CATALOG, E3, GROUP_A, GROUP_B, NOW, TEAMS, VISIO, direct, native, person, plans

PRODUCTS = (AssignedLicense(E3), AssignedLicense(VISIO))
MOVE = Move("a" * 32, GROUP_A, Direction.TO_DIRECT, Initiator("mia", "Mia"), NOW, products=PRODUCTS)


def inherited(*skus: str, state: LicenseState = LicenseState.ACTIVE) -> list[LicenseAssignmentState]:
    return [native(sku, group=GROUP_A, state=state) for sku in (skus or (E3, VISIO))]  # type: ignore[arg-type]


def verdict_direct(user: DirectoryUser, **facts: object) -> MoveVerdict:
    return to_direct(user, GROUP_A, PRODUCTS, CATALOG, Facts(**facts)).verdict  # type: ignore[arg-type]


def verdict_native(user: DirectoryUser, **facts: object) -> MoveVerdict:
    return to_native(user, GROUP_A, PRODUCTS, CATALOG, Facts(**facts)).verdict  # type: ignore[arg-type]


def test_a_member_is_ready_for_direct_only_with_every_plan_of_every_active_native_license() -> None:
    assert verdict_direct(person(*inherited())) is MoveVerdict.WAITS
    assert verdict_direct(person(*inherited(), direct(E3))) is MoveVerdict.WAITS
    assert verdict_direct(person(*inherited(), direct(E3, plans(TEAMS)), direct(VISIO))) is MoveVerdict.WAITS
    assert verdict_direct(person(*inherited(), direct(E3), direct(VISIO))) is MoveVerdict.READY
    assert verdict_direct(person(*inherited(state=LicenseState.ERROR))) is MoveVerdict.NOTHING_ACTIVE
    idle = direct(VISIO, state=LicenseState.DISABLED)
    assert verdict_direct(person(*inherited(), direct(E3), idle)) is MoveVerdict.WAITS
    assert verdict_direct(person(*inherited()), reason="lacks apps") is MoveVerdict.BLOCKED
    assert verdict_direct(person(*inherited()), excluded=True) is MoveVerdict.BLOCKED


def test_licenses_of_another_group_do_not_count_for_a_move() -> None:
    other = [native(E3, group=GROUP_B), native(VISIO, group=GROUP_B)]
    assert verdict_direct(person(*other)) is MoveVerdict.NOTHING_ACTIVE
    assert verdict_native(person(*other, direct(E3), direct(VISIO))) is MoveVerdict.WAITS


def test_a_member_is_ready_for_native_when_it_covers_all_and_no_license_of_the_group_is_left() -> None:
    both = (direct(E3), direct(VISIO))
    assert verdict_native(person(*both)) is MoveVerdict.WAITS
    assert verdict_native(person(*both, *inherited(E3))) is MoveVerdict.WAITS
    assert verdict_native(person(*both, *inherited()), ending=frozenset({E3})) is MoveVerdict.WAITS
    assert verdict_native(person(*both, *inherited()), ending=frozenset({E3}), reason="by hand") is MoveVerdict.BLOCKED
    assert verdict_native(person(*both, *inherited())) is MoveVerdict.READY
    assert verdict_native(person(*inherited())) is MoveVerdict.READY
    for state in (LicenseState.ERROR, LicenseState.ACTIVE_WITH_ERROR):
        assert verdict_native(person(*both, *inherited(state=state))) is MoveVerdict.BLOCKED
    less = [native(E3, plans(TEAMS), group=GROUP_A), native(VISIO, group=GROUP_A)]
    assert verdict_native(person(*both, *less)) is MoveVerdict.BLOCKED
    assert verdict_native(person()) is MoveVerdict.NOTHING_ACTIVE


def test_a_group_grants_nothing_to_a_covered_user_whose_turn_it_is() -> None:
    skus = tuple(SkuAssignment(each.sku_id, each.disabled_plans) for each in PRODUCTS)
    group = GroupLicenseAssignment(GROUP_A, skus, handover=NativeHandover(percent=100))
    covered = person(*inherited(), groups=[GROUP_A])
    assert group.is_handed_over(covered)
    assert not replace(group, handover=None).is_handed_over(covered)
    assert not replace(group, handover=NativeHandover()).is_handed_over(covered)
    assert replace(group, handover=NativeHandover(frozenset({covered.id}))).is_handed_over(covered)
    assert not group.is_handed_over(person(*inherited(E3), groups=[GROUP_A]))


def test_shares_are_spread_and_waves_only_grow() -> None:
    people = [UserId(f"{number:032x}") for number in range(2000)]
    assert 120 < sum(share_of(each) < 10 for each in people) < 280
    for each in people[:200]:
        turns = [NativeHandover(percent=percent).includes(each) for percent in (0, 10, 50, 100)]
        assert turns == sorted(turns)
        assert turns[-1]


def test_waves_and_pilot_users_are_checked() -> None:
    assert check_waves((), ()) == (10, 50, 100)
    for wrong in ((50, 10, 100), (10, 50), (10, 10, 100)):
        with pytest.raises(BadRequest, match="rising"):
            check_waves(wrong, ())
    with pytest.raises(BadRequest, match="at most 20"):
        check_waves((), [UserId(str(number)) for number in range(21)])


def test_what_moves_is_what_the_source_assigns_and_nothing_else_may_be_there() -> None:
    empty = GroupLicenseAssignment(GROUP_A, engine=Engine.WATCHED)
    assert products_of(Direction.TO_DIRECT, empty, PRODUCTS) == tuple(sorted(PRODUCTS, key=lambda each: each.sku_id))
    managed = GroupLicenseAssignment(GROUP_A, (SkuAssignment(E3, NO_PLANS),))
    for direction, assignment, found in (
        (Direction.TO_DIRECT, empty, ()),
        (Direction.TO_DIRECT, managed, PRODUCTS),
        (Direction.TO_NATIVE, empty, PRODUCTS),
        (Direction.TO_NATIVE, managed, PRODUCTS),
        (Direction.TO_NATIVE, managed, (AssignedLicense(E3, plans(TEAMS)),)),
        (Direction.TO_NATIVE, replace(managed, skus=(SkuAssignment(E3, NO_PLANS, Enforcement.CANCELLED),)), ()),
    ):
        with pytest.raises(BadRequest):
            products_of(direction, assignment, found)


def test_a_changed_source_is_noticed() -> None:
    skus = tuple(SkuAssignment(each.sku_id, each.disabled_plans) for each in PRODUCTS)
    group = GroupLicenseAssignment(GROUP_A, skus)
    assert fault_of(MOVE, group, PRODUCTS) == ""
    assert "own group-based licensing" in fault_of(MOVE, group, PRODUCTS[:1])
    assert "this app assigns" in fault_of(MOVE, replace(group, skus=skus[:1]), PRODUCTS)
    assert fault_of(MOVE, None, PRODUCTS)


def test_two_verifications_ask_for_the_approval_and_a_resumed_move_needs_both_again() -> None:
    verifying = replace(MOVE, phase=MovePhase.VERIFY)
    once = after_verification(verifying, NOW, "x")
    assert once.phase is MovePhase.VERIFY
    twice = after_verification(once, NOW + timedelta(minutes=1), "y")
    assert (twice.phase, twice.checksum) == (MovePhase.APPROVE, "y")
    again = resumed(replace(twice, paused="why", approved_by=MOVE.initiator))
    assert (again.phase, again.verified, again.approved_by) == (MovePhase.VERIFY, (), None)
    assert after_verification(replace(once, undoing=True), NOW, "y").phase is MovePhase.FINAL


def test_blocked_members_pause_a_wave_once() -> None:
    pilot = replace(MOVE, phase=MovePhase.WAVES)
    stopped = after_wave(pilot, 2, "no license")
    assert stopped.paused.startswith("2 members cannot be moved: no license")
    assert after_wave(resumed(stopped), 2, "no license").wave == 1
    assert after_wave(replace(pilot, wave=3), 0, "").phase is MovePhase.VERIFY


def test_a_move_can_be_undone_until_its_last_step() -> None:
    going = replace(MOVE, phase=MovePhase.APPROVE, wave=3)
    back = undone(going)
    assert (back.heading, back.phase, back.percent) == (Direction.TO_NATIVE, MovePhase.WAVES, 100)
    for late in (replace(going, removing_at=NOW), back, replace(going, phase=MovePhase.DONE)):
        with pytest.raises(BadRequest):
            undone(late)


def test_licenses_are_needed_for_members_who_have_none_from_any_source() -> None:
    users = [person(*inherited()), person(direct(E3)), person(*inherited(state=LicenseState.ERROR))]
    needed = licenses_needed(users, PRODUCTS, {E3: 5})
    assert (needed.licenses, needed.available) == ({E3: 1, VISIO: 2}, {E3: 5, VISIO: 0})
    assert needed.short == (VISIO,)


def test_the_report_compares_plans_and_not_sources() -> None:
    before = member_now(person(*inherited()), GROUP_A, PRODUCTS)
    now = member_now(person(direct(E3), direct(VISIO)), GROUP_A, PRODUCTS)
    row = report_row(before, now, CATALOG)
    assert (row.outcome, row.before[E3], row.after[E3]) == (
        MoveOutcome.KEPT,
        frozenset({"native"}),
        frozenset({"direct"}),
    )
    less = member_now(person(direct(E3, plans(TEAMS)), direct(VISIO)), GROUP_A, PRODUCTS)
    assert report_row(before, less, CATALOG).lost == {E3: plans(TEAMS)}
    assert report_row(less, before, CATALOG).outcome is MoveOutcome.GAINED
    assert report_row(before, None, CATALOG).outcome is MoveOutcome.LEFT
    assert report_row(None, now, CATALOG).outcome is MoveOutcome.JOINED
    nobody = member_now(person(), GROUP_A, PRODUCTS)
    assert report_row(nobody, nobody, CATALOG).outcome is MoveOutcome.NOTHING_ACTIVE
    with pytest.raises(ValueError, match="needs a read"):
        report_row(None, None, CATALOG)


STATES = st.sampled_from(list(LicenseState))
OFF = st.sampled_from([NO_PLANS, plans(TEAMS)])
ROW = st.builds(
    LicenseAssignmentState,
    st.sampled_from([E3, VISIO]),
    OFF,
    st.sampled_from([None, GROUP_A, GROUP_B]),
    STATES,
)
ROWS = st.lists(ROW, max_size=6, unique_by=lambda row: (row.sku_id, row.assigned_by_group))


def on(rows: tuple[LicenseAssignmentState, ...]) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for row in rows:
        if row.state.counts:
            found[row.sku_id] = found.get(row.sku_id, NO_PLANS) | (CATALOG.plans(row.sku_id) - row.disabled_plans)
    return found


def without(user: DirectoryUser, source: GroupId | None) -> tuple[LicenseAssignmentState, ...]:
    return tuple(row for row in user.license_assignment_states if row.assigned_by_group != source)


@given(ROWS)
def test_the_end_of_the_source_takes_no_plan_from_a_member_of_whom_the_verdict_says_so(
    rows: list[LicenseAssignmentState],
) -> None:
    user = person(*rows)
    safe = (MoveVerdict.READY, MoveVerdict.NOTHING_ACTIVE)
    if verdict_direct(user) in safe:
        assert on(without(user, GROUP_A)) == on(user.license_assignment_states)


@given(ROWS)
def test_a_handed_over_user_keeps_every_plan_that_the_group_assigns(rows: list[LicenseAssignmentState]) -> None:
    skus = tuple(SkuAssignment(each.sku_id, each.disabled_plans) for each in PRODUCTS)
    group = GroupLicenseAssignment(GROUP_A, skus, handover=NativeHandover(percent=100))
    user = person(*rows)
    if group.is_handed_over(user):
        after = on(without(user, None))
        for each in PRODUCTS:
            assert CATALOG.on(each) <= after.get(each.sku_id, NO_PLANS)
