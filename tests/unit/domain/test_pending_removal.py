"""Removals that wait are counted together: all that are asked for go, or none."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.grant import Source, SourceKind
from shared.domain.ids import SkuId, UserId
from shared.domain.pending_removal import (
    DAY,
    HELD_WITHOUT_APPROVAL,
    WAITS_AT_MOST,
    GroupNow,
    Hold,
    HoldKind,
    PendingRemoval,
    ScopeState,
    decide,
    decide_for_tenant,
    removal_limit,
    span,
    undecided,
    used,
)
from shared.domain.permit import Claim
from tests.support.builders import E3, E5, FROM_A, FROM_B, HOUR, MINUTE, NOW, TEAMS, plans

CLAIM = Claim(FROM_A, 3)
SECOND = timedelta(seconds=1)
FRESH = ScopeState()


def someone(number: int) -> UserId:
    return UserId(f"{number:08x}-0000-4000-8000-000000000000")


def due(number: int, sku: SkuId = E3, *, since: datetime = NOW - 5 * MINUTE, claim: Claim = CLAIM) -> PendingRemoval:
    return PendingRemoval(claim, someone(number), sku, since)


def let_go(number: int, ago: timedelta, sku: SkuId = E3) -> PendingRemoval:
    return replace(due(number, sku, since=NOW - ago - 5 * MINUTE), allowed_at=NOW - ago)


def people(first: int, last: int) -> list[PendingRemoval]:
    return [due(number) for number in range(first, last + 1)]


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, 20), (1000, 20), (1049, 20), (1050, 21), (2000, 40), (10_000, 200), (10_050, 200), (500_000, 200)],
)
def test_the_limit_is_the_larger_of_20_and_2_percent_and_at_most_200(size: int, expected: int) -> None:
    assert removal_limit(size, 20, 2.0, 200) == expected


class TestTheGroup:
    def test_lets_all_go_that_fit_and_none_of_one_more(self) -> None:
        asked = people(1, 20)
        decision = decide(FRESH, asked, asked, 20, GroupNow(members=100), NOW)
        assert decision.allowed == tuple(replace(each, allowed_at=NOW) for each in asked)
        assert (decision.reason, decision.state) == ("", FRESH)
        asked = people(1, 21)
        decision = decide(FRESH, asked, asked, 20, GroupNow(members=100), NOW)
        assert decision.allowed == ()
        assert decision.state.hold == Hold(NOW, decision.reason, HoldKind.ALLOWANCE)
        assert decision.reason == "21 of 100 members left within 1 s. 20 removals in a day need no approval."

    def test_says_how_many_there_were_although_the_group_was_read_again_since(self) -> None:
        asked = people(1, 100)
        decision = decide(FRESH, asked, asked, 20, GroupNow(members=110, others=100), NOW)
        assert decision.reason.startswith("100 of 200 members left within 1 s.")

    def test_counts_those_that_are_not_asked_for_yet_however_young(self) -> None:
        asked, young = people(1, 5), [due(number, since=NOW - SECOND) for number in range(6, 22)]
        assert decide(FRESH, [*asked, *young], asked, 20, GroupNow(), NOW).allowed == ()
        assert len(decide(FRESH, [*asked, *young[:-1]], asked, 20, GroupNow(), NOW).allowed) == 5

    def test_counts_each_product_of_a_person_and_none_twice(self) -> None:
        asked = [*people(1, 10), *(due(number, E5) for number in range(1, 11))]
        again = [due(number, since=NOW - HOUR) for number in range(1, 11)]
        assert len(decide(FRESH, [*asked, *again], asked, 20, GroupNow(), NOW).allowed) == 20
        assert decide(FRESH, [*asked, *again], asked, 19, GroupNow(), NOW).allowed == ()

    def test_counts_what_went_in_the_last_day_and_nothing_older(self) -> None:
        for ago, goes in ((DAY - SECOND, False), (DAY, True)):
            gone = [let_go(number, ago) for number in range(1, 20)]
            asked = people(30, 31)
            decision = decide(FRESH, [*gone, *asked], asked, 20, GroupNow(members=300), NOW)
            assert bool(decision.allowed) is goes
        gone = [let_go(number, HOUR) for number in range(1, 20)]
        decision = decide(FRESH, gone, people(30, 31), 20, GroupNow(members=300), NOW)
        assert decision.reason == (
            "2 of 300 members left within 1 s. 20 removals in a day need no approval, and 19 were used in the last "
            "24 hours."
        )

    def test_lets_go_again_what_it_let_go_before_the_process_died_and_counts_it_once(self) -> None:
        asked = people(1, 20)
        before = [replace(each, allowed_at=NOW - MINUTE) for each in asked]
        decision = decide(FRESH, before, asked, 20, GroupNow(), NOW)
        assert (decision.allowed, decision.reason) == ((), "")
        assert used(before, NOW) == 20

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"claim": Claim(FROM_A, 4)}, id="the group has changed since"),
            pytest.param({"plans": plans(TEAMS)}, id="other plans"),
            pytest.param({"since": NOW - 6 * MINUTE}, id="the person came back and left again"),
            pytest.param({"sku_id": E5}, id="another product"),
        ],
    )
    def test_decides_anew_about_anything_else(self, other: dict[str, object]) -> None:
        before = replace(due(1), allowed_at=NOW - MINUTE)
        asked = [replace(due(1), **other)]  # type: ignore[arg-type]
        decision = decide(FRESH, [before], asked, 20, GroupNow(), NOW)
        assert [each.allowed_at for each in decision.allowed] == [NOW]

    def test_counts_members_who_are_missing_and_have_not_been_told_of(self) -> None:
        asked = people(1, 3)
        missing = frozenset(someone(number) for number in range(2, 21))
        assert len(decide(replace(FRESH, missing=missing), asked, asked, 20, GroupNow(), NOW).allowed) == 3
        missing |= {someone(21)}
        decision = decide(replace(FRESH, missing=missing), asked, asked, 20, GroupNow(members=50), NOW)
        assert decision.reason == "21 of 50 members left within 1 s. 20 removals in a day need no approval."

    @pytest.mark.parametrize(
        ("group", "reason", "kind"),
        [
            (GroupNow(exists=False), "The group was deleted.", HoldKind.GROUP_DELETED),
            (GroupNow(is_empty=True), "The group reads as empty.", HoldKind.GROUP_EMPTY),
            (
                GroupNow(is_empty=True, members=60),
                "60 of 60 members left: the group reads as empty.",
                HoldKind.GROUP_EMPTY,
            ),
            (GroupNow(lost_its_rule=True), "The group lost its membership rule.", HoldKind.RULE_LOST),
        ],
    )
    def test_holds_everything_at_once_if_something_is_wrong_with_it(
        self, group: GroupNow, reason: str, kind: HoldKind
    ) -> None:
        for asked in ([], people(1, 1)):
            assert decide(FRESH, people(1, 1), asked, 20, group, NOW) == decide(
                FRESH, people(1, 1), asked, 20, group, NOW
            )
            decision = decide(FRESH, people(1, 1), asked, 20, group, NOW)
            assert (decision.allowed, decision.reason, decision.state.hold) == ((), reason, Hold(NOW, reason, kind))
            assert decision.state.held_kind(NOW) is kind
            assert decision.state.held_kind(NOW + HELD_WITHOUT_APPROVAL) is None

    def test_stays_held_until_its_approval_is_open_and_is_decided_again_if_none_opens(self) -> None:
        held = ScopeState(Hold(NOW, "Why."))
        asked = people(1, 1)
        within = decide(held, asked, asked, 20, GroupNow(), NOW + HELD_WITHOUT_APPROVAL - SECOND)
        assert (within.allowed, within.reason, within.state) == ((), "Why.", held)
        assert decide(held, asked, asked, 20, GroupNow(), NOW + HELD_WITHOUT_APPROVAL).allowed != ()

    def test_says_within_which_time_people_left(self) -> None:
        asked = [due(number, since=NOW - number * SECOND) for number in range(1, 42)]
        assert decide(FRESH, asked, asked, 40, GroupNow(members=2000), NOW).reason == (
            "41 of 2,000 members left within 40 s. 40 removals in a day need no approval."
        )

    def test_of_named_users_says_nothing_of_members(self) -> None:
        asked = [due(number, claim=Claim(Source(SourceKind.LIST))) for number in (1, 2)]
        reason = decide(FRESH, asked, asked, 1, GroupNow(), NOW).reason
        assert reason == "2 people would lose a license. 1 removal in a day need no approval."


class TestTheTenant:
    def test_counts_people_and_not_licenses(self) -> None:
        asked = [due(number, sku) for number in range(1, 6) for sku in (E3, E5)]
        assert len(decide_for_tenant(FRESH, asked, asked, 5, NOW).allowed) == 10
        decision = decide_for_tenant(FRESH, asked, asked, 4, NOW)
        assert (decision.allowed, decision.state.hold) == ((), Hold(NOW, decision.reason, HoldKind.TENANT_ALLOWANCE))

    def test_counts_people_of_all_groups_those_who_wait_and_those_of_the_last_day(self) -> None:
        other = [due(number, claim=Claim(FROM_B)) for number in range(11, 14)]
        gone = [let_go(number, DAY - SECOND) for number in (21, 22)]
        old = [let_go(number, DAY) for number in (31, 32)]
        asked = people(1, 2)
        assert len(decide_for_tenant(FRESH, [*other, *gone, *old, *asked], asked, 7, NOW).allowed) == 2
        decision = decide_for_tenant(FRESH, [*other, *gone, *old, *asked], asked, 6, NOW)
        assert decision.reason == (
            "5 people of 2 groups would lose licenses, and 2 lost some in the last 24 hours. "
            "The tenant allows 6 in a day."
        )

    def test_lets_somebody_lose_more_who_counts_already(self) -> None:
        gone = [let_go(number, HOUR) for number in range(1, 6)]
        assert decide_for_tenant(FRESH, gone, [due(1, E5)], 5, NOW).allowed != ()
        assert decide_for_tenant(FRESH, gone, [due(1, E5), due(6)], 5, NOW).allowed == ()


def test_what_nobody_decided_counts_for_a_week() -> None:
    rows = [due(1, since=NOW - WAITS_AT_MOST + SECOND), due(2, since=NOW - WAITS_AT_MOST), let_go(3, HOUR)]
    assert [each.user_id for each in undecided(rows, NOW)] == [someone(1)]


def test_after_an_outage_of_a_day_what_waited_is_decided_together() -> None:
    old = [due(number, since=NOW - 25 * HOUR) for number in range(1, 31)]
    assert decide(FRESH, old, old[:2], 20, GroupNow(members=100), NOW).reason != ""
    assert decide_for_tenant(FRESH, old, old[:2], 20, NOW).reason != ""


def test_what_was_let_go_waits_no_more_although_it_was_noted_earlier_too() -> None:
    noted, gone = due(1, since=NOW - 40 * HOUR), let_go(1, 30 * HOUR)
    assert undecided([noted, gone], NOW) == ()


@pytest.mark.parametrize(
    ("time", "text"),
    [(0, "1 s"), (40, "40 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (90_000, "25 h")],
)
def test_a_span_is_written_for_people(time: int, text: str) -> None:
    assert span(time * SECOND) == text
