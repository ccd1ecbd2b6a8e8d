"""Which groups HR may write to, by the setting and by what was in use before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from shared.domain.hr_groups import ACCEPTED_FOR, FormerUse, former_groups, hr_groups, warnings_of
from shared.domain.ids import GroupId
from shared.domain.profiles import Profile

NOW = datetime(2026, 12, 1, tzinfo=UTC)
SALES, LABS, BOARD = GroupId("g-sales"), GroupId("g-labs"), GroupId("g-board")
FORMER = FormerUse(NOW, frozenset({SALES, LABS}))


def test_the_setting_alone_counts_if_there_is_one_also_if_it_names_no_group() -> None:
    assert hr_groups(frozenset({BOARD}), FORMER, NOW).groups == {BOARD}
    assert hr_groups(frozenset(), FORMER, NOW).groups == frozenset()


def test_without_the_setting_the_groups_of_former_profiles_count_for_30_days_and_then_none() -> None:
    late = NOW + ACCEPTED_FOR - timedelta(seconds=1)
    assert hr_groups(None, FORMER, late).groups == {SALES, LABS}
    assert hr_groups(None, FORMER, NOW + ACCEPTED_FOR).groups == frozenset()
    assert hr_groups(None, FormerUse(NOW, former_groups(())), NOW).groups == frozenset()


def test_a_rejection_names_the_group_the_setting_and_the_remedy() -> None:
    allowed = hr_groups(frozenset({SALES}), FORMER, NOW)
    assert allowed.why_not(SALES) == ("", "")
    text, remedy = allowed.why_not(BOARD)
    assert BOARD in text
    assert "ONBOARDING_GROUPS" in text
    assert "adds the group to ONBOARDING_GROUPS" in remedy


def test_an_administrator_is_warned_of_the_end_and_of_profiles_that_cannot_be_carried_out() -> None:
    profiles = (Profile("sales", groups=(SALES,)), Profile("board", groups=(SALES, BOARD)), Profile("none"))
    assert warnings_of(profiles, None, FORMER, NOW) == [
        "ONBOARDING_GROUPS is absent: groups of existing profiles are accepted until 2026-12-31, and then none",
        "profiles name groups that ONBOARDING_GROUPS does not: board",
    ]
    assert warnings_of(profiles, frozenset({SALES, BOARD}), FORMER, NOW) == []
    late = NOW + ACCEPTED_FOR
    assert warnings_of(profiles, None, FORMER, late) == [
        "profiles name groups that ONBOARDING_GROUPS does not: board, sales"
    ]
