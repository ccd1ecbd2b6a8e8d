"""From assignments and grants to what a user should have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.assignment import (
    AssignmentOptions,
    AssignmentState,
    Enforcement,
    GroupLicenseAssignment,
    SkuAssignment,
)
from shared.domain.desired_licenses import desired_licenses, exclusion_of, group_grants
from shared.domain.directory import DirectoryUser
from shared.domain.grant import Source, SourceKind
from shared.domain.outcomes import SkipReason
from tests.support.builders import (
    DAY,
    E3,
    E5,
    EXCHANGE_2,
    FROM_A,
    FROM_B,
    GROUP_A,
    GROUP_B,
    NOW,
    TEAMS,
    grant,
    person,
    plans,
)

ASSIGNED = {
    GROUP_A: GroupLicenseAssignment(GROUP_A, (SkuAssignment(E3, plans(TEAMS)), SkuAssignment(E5, plans()))),
    GROUP_B: GroupLicenseAssignment(GROUP_B, (SkuAssignment(E3, plans(EXCHANGE_2)),)),
}


def test_a_member_gets_a_grant_for_each_product_of_each_managed_group() -> None:
    user = person(groups=(GROUP_B, GROUP_A, type(GROUP_A)("unmanaged")))
    assert group_grants(user, ASSIGNED) == (
        grant(E3, plans(TEAMS)),
        grant(E5),
        grant(E3, plans(EXCHANGE_2), FROM_B),
    )
    assert group_grants(person(), ASSIGNED) == ()


def test_an_ended_assignment_grants_nothing_and_a_cancelled_product_only_keeps() -> None:
    ended = {GROUP_A: replace(ASSIGNED[GROUP_A], state=AssignmentState.ENDED)}
    assert group_grants(person(groups=[GROUP_A]), ended) == ()
    sku = SkuAssignment(E3, plans(), enforcement=Enforcement.CANCELLED)
    cancelled = {GROUP_A: GroupLicenseAssignment(GROUP_A, (sku, SkuAssignment(E5, plans())))}
    assert [each.adds for each in group_grants(person(groups=[GROUP_A]), cancelled)] == [False, True]


def test_a_paused_product_still_counts_for_single_members() -> None:
    sku = SkuAssignment(E3, plans(), enforcement=Enforcement.PAUSED)
    assignments = {GROUP_A: GroupLicenseAssignment(GROUP_A, (sku,))}
    assert [each.adds for each in group_grants(person(groups=[GROUP_A]), assignments)] == [True]


@pytest.mark.parametrize(
    ("user", "options", "reason"),
    [
        (person(user_type="Guest"), AssignmentOptions(include_guests=False), SkipReason.GUEST),
        (person(user_type="guest"), AssignmentOptions(include_guests=False), SkipReason.GUEST),
        (person(enabled=False), AssignmentOptions(include_disabled_accounts=False), SkipReason.ACCOUNT_DISABLED),
        (person(groups=[GROUP_B]), AssignmentOptions(excluded_groups=frozenset({GROUP_B})), SkipReason.EXCLUDED),
        (person(user_type="Guest", enabled=False, groups=[GROUP_B]), AssignmentOptions(), None),
        (
            person(),
            AssignmentOptions(
                include_guests=False, include_disabled_accounts=False, excluded_groups=frozenset({GROUP_B})
            ),
            None,
        ),
    ],
)
def test_guests_disabled_accounts_and_excluded_groups_count_unless_the_options_say_otherwise(
    user: DirectoryUser, options: AssignmentOptions, reason: SkipReason | None
) -> None:
    assignment = replace(ASSIGNED[GROUP_A], options=options)
    assert exclusion_of(user, assignment) is reason
    member = replace(user, group_ids=user.group_ids | {GROUP_A})
    assert bool(group_grants(member, {GROUP_A: assignment})) is (reason is None)


def test_an_exclusion_of_one_group_does_not_take_what_another_gives() -> None:
    excluding = replace(ASSIGNED[GROUP_A], options=AssignmentOptions(excluded_groups=frozenset({GROUP_B})))
    user = person(groups=[GROUP_A, GROUP_B])
    assert group_grants(user, {**ASSIGNED, GROUP_A: excluding}) == (grant(E3, plans(EXCHANGE_2), FROM_B),)


def test_the_union_has_every_source_once_and_is_off_only_where_all_are() -> None:
    grants = (grant(E3, plans(TEAMS, EXCHANGE_2), FROM_B), grant(E3, plans(TEAMS)), grant(E3, plans(TEAMS)))
    wanted = desired_licenses(grants, NOW)[E3]
    assert (wanted.disabled_plans, wanted.sources, wanted.adds) == (plans(TEAMS), (FROM_A, FROM_B), True)


def test_a_grant_holds_until_its_end_and_not_at_it() -> None:
    assert desired_licenses([grant(E3, until=NOW)], NOW) == {}
    assert E3 in desired_licenses([grant(E3, until=NOW + DAY)], NOW)


@pytest.mark.parametrize(
    ("kind", "adds"),
    [
        (SourceKind.GROUP, True),
        (SourceKind.LIST, True),
        (SourceKind.HR, True),
        (SourceKind.JOINED, True),
        (SourceKind.KEPT, False),
        (SourceKind.HELD, False),
        (SourceKind.GRACE, False),
    ],
)
def test_only_what_gives_adds_and_the_rest_keeps(kind: SourceKind, adds: bool) -> None:
    assert desired_licenses([grant(E3, source=Source(kind, "x"))], NOW)[E3].adds is adds


def test_a_membership_that_hr_has_written_is_recorded_as_the_groups_whether_a_read_shows_it_or_not() -> None:
    joined = grant(E3, source=Source(SourceKind.JOINED, GROUP_A))
    assert desired_licenses([joined], NOW)[E3].sources == (FROM_A,)
    assert desired_licenses([joined, grant(E3), grant(E3, source=FROM_B)], NOW)[E3].sources == (FROM_A, FROM_B)


def test_what_only_keeps_does_not_decide_what_is_given() -> None:
    kept = grant(E3, source=Source(SourceKind.KEPT, "x"))
    for grants in ((kept, grant(E3, plans(TEAMS))), (grant(E3, plans(TEAMS)), kept)):
        wanted = desired_licenses(grants, NOW)[E3]
        assert (wanted.disabled_plans, wanted.given_disabled) == (plans(), plans(TEAMS))


def test_while_an_assignment_is_cancelled_no_plan_of_it_goes_off_by_another_group() -> None:
    grants = (grant(E3, plans(TEAMS), adds=False), grant(E3, plans(TEAMS), FROM_B))
    wanted = desired_licenses(grants, NOW)[E3]
    assert (wanted.disabled_plans, wanted.given_disabled) == (plans(), plans(TEAMS))
