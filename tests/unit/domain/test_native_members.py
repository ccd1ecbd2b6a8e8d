"""Rows of watched members: the culprit and the products it holds back, the state, the time, and who is next."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.assignment import Engine, GroupLicenseAssignment, SkuAssignment, is_active, is_watched, wants_sync
from shared.domain.directory import AssignedLicense, DirectoryUser, LicenseAssignmentState, LicenseError, LicenseState
from shared.domain.ids import NO_PLANS, GroupId, SkuId, UserId
from shared.domain.member_counts import counted, counts_of
from shared.domain.member_status import MemberState
from shared.domain.native_members import (
    DIAGNOSE,
    HELD_BACK,
    NOT_ASSIGNED,
    STILL_ASSIGNED,
    next_round,
    unreachable_row,
    watched_row,
)
from shared.domain.read_models import Diagnosis, MemberRow, following

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TEAM, OTHER_TEAM = GroupId("team"), GroupId("other")
SUITE, VISIO, PROJECT = SkuId("suite"), SkuId("visio"), SkuId("project")
WATCHED = GroupLicenseAssignment(TEAM, engine=Engine.WATCHED, native=(AssignedLicense(SUITE), AssignedLicense(VISIO)))


def state(
    sku_id: SkuId, name: str = "Active", error: str | None = None, group: GroupId | None = TEAM, hours: int = 0
) -> LicenseAssignmentState:
    at = NOW - timedelta(hours=hours)
    return LicenseAssignmentState(sku_id, NO_PLANS, group, LicenseState.parse(name), error, at)


def a_user(*rows: LicenseAssignmentState, name: str = "ann") -> DirectoryUser:
    return DirectoryUser(UserId(name), f"{name}@x.example", name, True, "Member", "DE", rows)


def test_the_culprit_has_its_remedy_and_the_products_that_it_holds_back_name_it() -> None:
    user = a_user(
        state(SUITE, "Error", "MutuallyExclusiveViolation", hours=5),
        state(VISIO, "Error", "Other", hours=3),
        state(PROJECT, "Error", "CountViolation", OTHER_TEAM),
    )
    row = watched_row(user, WATCHED, NOW)
    culprit, innocent = row.problems
    assert (row.state, row.engine, row.sku_ids) == (MemberState.ERROR, Engine.WATCHED, ())
    assert (culprit.sku_id, culprit.error, culprit.held_by) == (SUITE, LicenseError.MUTUALLY_EXCLUSIVE, ())
    assert "reprocess" in culprit.remedy
    assert (innocent.sku_id, innocent.held_by, innocent.remedy) == (VISIO, (SUITE,), HELD_BACK)
    assert row.since == NOW - timedelta(hours=5)


def test_a_product_that_the_member_still_has_is_not_called_unassigned() -> None:
    kept = watched_row(
        a_user(state(SUITE, "Error", "CountViolation"), state(VISIO, "ActiveWithError", "Other")), WATCHED, NOW
    )
    lost = watched_row(a_user(state(SUITE, "Error", "CountViolation"), state(VISIO, "Error", "Other")), WATCHED, NOW)
    assert (kept.problems[1].text, lost.problems[1].text) == (STILL_ASSIGNED, NOT_ASSIGNED)


@pytest.mark.parametrize("name", ["Other", "Others", "Unknown", "UnlistedViolation"])
def test_an_error_without_a_reason_asks_for_a_diagnosis_and_keeps_its_name(name: str) -> None:
    row = watched_row(a_user(state(SUITE, "Error", name), state(VISIO, "Error", name)), WATCHED, NOW)
    assert {problem.remedy for problem in row.problems} == {DIAGNOSE}
    assert all(name in problem.text for problem in row.problems)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((state(SUITE), state(VISIO)), MemberState.ACTIVE),
        ((state(SUITE),), MemberState.PENDING),
        ((), MemberState.PENDING),
        ((state(SUITE, group=None), state(VISIO, group=OTHER_TEAM)), MemberState.PENDING),
        ((state(SUITE), state(VISIO, "Disabled")), MemberState.DISABLED),
        ((state(SUITE), state(VISIO, "ActiveWithError", "DependencyViolation")), MemberState.ACTIVE_WITH_ERROR),
        ((state(SUITE), state(VISIO, "Error", "CountViolation")), MemberState.ACTIVE_WITH_ERROR),
        ((state(SUITE, "Error"), state(VISIO, "Error")), MemberState.ERROR),
    ],
)
def test_the_state_follows_the_rows_of_this_group_alone(
    rows: tuple[LicenseAssignmentState, ...], expected: MemberState
) -> None:
    assert watched_row(a_user(*rows), WATCHED, NOW).state is expected


def test_who_left_and_still_has_the_license_stays_listed_with_the_error() -> None:
    stuck = a_user(state(SUITE, "ActiveWithError", "DependencyViolation"))
    row = watched_row(stuck, WATCHED, NOW, inside=False)
    assert (row.state, row.left, row.sku_ids) == (MemberState.ACTIVE_WITH_ERROR, True, (SUITE,))
    assert watched_row(a_user(), WATCHED, NOW, inside=False).state is MemberState.REMOVED


def test_members_are_counted_by_state_and_product_and_no_one_waits() -> None:
    short = watched_row(a_user(state(SUITE, "Error", "CountViolation"), state(VISIO, "Error", "Other")), WATCHED, NOW)
    fine = watched_row(a_user(state(SUITE), state(VISIO), name="bob"), WATCHED, NOW)
    nested = unreachable_row(a_user(name="cem"), WATCHED, NOW)
    counts = counts_of(counted([short, fine, nested]))
    assert counts.states == {"Error": 1, "Active": 1, "Unreachable": 1}
    assert (counts.of(SUITE).assigned, counts.of(SUITE).errors, counts.of(SUITE).waiting) == (1, 1, 0)


def test_a_group_of_another_engine_has_nothing_that_the_direct_engine_assigns() -> None:
    assert is_watched(WATCHED)
    assert not is_active(WATCHED)
    assert not wants_sync(replace(WATCHED, version=3))
    assert WATCHED.sku_ids == (SUITE, VISIO)
    with pytest.raises(ValueError, match="no direct licenses"):
        replace(WATCHED, skus=(SkuAssignment(SUITE, NO_PLANS),))


def test_a_diagnosis_lasts_as_long_as_the_error() -> None:
    wrong = watched_row(a_user(state(SUITE, "Error", "Other")), WATCHED, NOW)
    diagnosed = replace(wrong, diagnosis=Diagnosis("plans a, b are mutually exclusive", NOW))
    assert following(diagnosed, wrong).diagnosis == diagnosed.diagnosis
    other = watched_row(a_user(state(SUITE, "Error", "CountViolation")), WATCHED, NOW)
    assert following(diagnosed, other).diagnosis is None
    fine = watched_row(a_user(state(SUITE), state(VISIO)), WATCHED, NOW)
    assert following(diagnosed, fine).diagnosis is None


def in_error(name: str, hours: int, *skus: SkuId) -> MemberRow:
    rows = [state(sku_id, "Error", "CountViolation", hours=hours) for sku_id in skus]
    return watched_row(a_user(*rows, name=name), WATCHED, NOW)


def test_a_round_takes_as_many_as_licenses_are_left_the_longest_in_error_first() -> None:
    rows = [in_error("new", 1, SUITE), in_error("old", 9, SUITE), in_error("both", 8, SUITE, VISIO)]
    assert [row.user_id for row in next_round(rows, {SUITE: 2, VISIO: 1}, NOW, 20)] == ["old", "both"]
    assert [row.user_id for row in next_round(rows, {SUITE: 2}, NOW, 20)] == ["old", "new"]
    assert next_round(rows, {}, NOW, 20) == ()
    assert len(next_round(rows, {SUITE: 9, VISIO: 9}, NOW, 2)) == 2


def test_a_round_leaves_out_who_was_processed_in_this_run_and_asks_no_license_for_other_errors() -> None:
    tried = replace(in_error("tried", 9, SUITE), diagnosis=Diagnosis("no", NOW))
    before = replace(in_error("before", 9, SUITE), diagnosis=Diagnosis("no", NOW - timedelta(days=1)))
    other = watched_row(a_user(state(SUITE, "Error", "UniquenessViolation"), name="other"), WATCHED, NOW)
    found = next_round([tried, before, other], {SUITE: 5}, NOW, 20)
    assert {row.user_id for row in found} == {"before", "other"}
    assert [row.user_id for row in next_round([tried, other], {}, NOW, 20)] == ["other"]
