"""What is observed of products: plans over several nights, rejected plans, and conflicts that expire."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared.domain.directory import SubscribedSku
from shared.domain.ids import NO_PLANS
from shared.domain.product_facts import (
    CONFLICT_HOLDS,
    PROBE_LASTS,
    REJECTION_HOLDS,
    ObservedConflict,
    Pair,
    ProductFacts,
    SeenProduct,
    after_nightly_read,
    after_rejection,
)
from tests.support.builders import DAY, E3, E5, HOUR, NOW, SHAREPOINT_2, SKUS, TEAMS, VISIO, plans

WITHOUT_TEAMS: SubscribedSku = replace(
    SKUS[E3], service_plans=tuple(plan for plan in SKUS[E3].service_plans if plan.service_plan_id != TEAMS)
)
WHOLE, LESS = SKUS[E3].plan_ids, WITHOUT_TEAMS.plan_ids


def after_nights(*nights: tuple[SubscribedSku, timedelta], seen: SeenProduct | None = None) -> SeenProduct:
    for sku, at in nights:
        seen = after_nightly_read(seen, sku, NOW + at)
    assert seen is not None
    return seen


SEEN_ONCE = after_nights((SKUS[E3], timedelta(0)))
MISSING = after_nights((WITHOUT_TEAMS, DAY), seen=SEEN_ONCE)
RETIRED = after_nights((WITHOUT_TEAMS, 2 * DAY), seen=MISSING)


class TestPlans:
    def test_one_read_without_a_plan_proves_nothing(self) -> None:
        assert SEEN_ONCE.retired(WHOLE) == NO_PLANS
        assert MISSING.retired(LESS) == NO_PLANS

    def test_a_read_of_the_same_night_is_no_second_one(self) -> None:
        assert after_nights((WITHOUT_TEAMS, DAY + HOUR), seen=MISSING).retired(LESS) == NO_PLANS

    def test_two_nights_without_it_do(self) -> None:
        assert RETIRED.retired(LESS) == {TEAMS}
        assert RETIRED.returned_after(NOW) == NO_PLANS

    def test_one_that_was_missing_for_one_night_has_not_returned(self) -> None:
        assert after_nights((SKUS[E3], 2 * DAY), seen=MISSING) == SEEN_ONCE

    def test_one_that_is_listed_again_is_in_use_at_once_and_has_returned_that_night(self) -> None:
        assert RETIRED.retired(WHOLE) == NO_PLANS
        back = after_nights((SKUS[E3], 3 * DAY), seen=RETIRED)
        assert back.retired(WHOLE) == NO_PLANS
        assert back.returned_after(NOW) == {TEAMS}
        assert back.returned_after(NOW + 3 * DAY) == NO_PLANS

    def test_one_that_left_before_the_first_night_is_known_from_the_groups_that_turn_it_off(self) -> None:
        off = plans(TEAMS)
        first = after_nightly_read(None, WITHOUT_TEAMS, NOW, off)
        second = after_nightly_read(first, WITHOUT_TEAMS, NOW + DAY, off)
        assert (first.retired(LESS), second.retired(LESS)) == (NO_PLANS, plans(TEAMS))
        assert after_nightly_read(second, SKUS[E3], NOW + 2 * DAY, off).returned_after(NOW) == plans(TEAMS)
        assert after_nightly_read(None, SKUS[E3], NOW, off) == SEEN_ONCE

    def test_a_new_plan_of_a_product_has_not_returned(self) -> None:
        assert after_nights((WITHOUT_TEAMS, timedelta(0)), (SKUS[E3], DAY)).returned_after(NOW) == NO_PLANS

    def test_one_that_graph_rejected_is_out_at_once_although_the_product_lists_it(self) -> None:
        rejected = after_rejection(SEEN_ONCE, E3, plans(TEAMS), WHOLE, NOW)
        assert rejected.retired(WHOLE) == {TEAMS}
        assert after_nights((SKUS[E3], DAY), seen=rejected).retired(WHOLE) == {TEAMS}

    def test_and_is_tried_again_after_a_week_or_when_it_was_missing_and_is_back(self) -> None:
        rejected = after_rejection(SEEN_ONCE, E3, plans(TEAMS), WHOLE, NOW)
        later = after_nights((SKUS[E3], REJECTION_HOLDS), seen=rejected)
        assert (later.retired(WHOLE), later.returned_after(NOW)) == (NO_PLANS, plans(TEAMS))
        back = after_nights((WITHOUT_TEAMS, DAY), (SKUS[E3], 2 * DAY), seen=rejected)
        assert (back.retired(WHOLE), back.returned_after(NOW)) == (NO_PLANS, plans(TEAMS))

    def test_one_that_was_not_listed_when_graph_rejected_it_is_in_use_as_soon_as_it_is_listed(self) -> None:
        rejected = after_rejection(SEEN_ONCE, E3, plans(TEAMS), LESS, NOW)
        assert (rejected.retired(LESS), rejected.retired(WHOLE)) == (plans(TEAMS), NO_PLANS)
        back = after_nights((SKUS[E3], HOUR), seen=rejected)
        assert (back.retired(WHOLE), back.returned_after(NOW)) == (NO_PLANS, plans(TEAMS))

    def test_a_product_that_no_night_has_read_yet_can_have_a_rejected_plan(self) -> None:
        rejected = after_rejection(None, E3, plans(TEAMS), LESS, NOW)
        assert rejected.retired(LESS) == {TEAMS}
        assert after_nights((WITHOUT_TEAMS, DAY), seen=rejected).retired(LESS) == {TEAMS}

    def test_facts_are_asked_by_product(self) -> None:
        facts = ProductFacts({E3: RETIRED, E5: after_nightly_read(None, SKUS[E5], NOW)})
        assert (facts.retired(E3, LESS), facts.retired(E3, WHOLE), facts.retired(VISIO, LESS)) == (
            plans(TEAMS),
            NO_PLANS,
            NO_PLANS,
        )


class TestConflicts:
    CONFLICT = ObservedConflict(Pair.of(VISIO, E3), plans(TEAMS, SHAREPOINT_2), "No.", NOW)

    def test_a_pair_is_the_same_in_either_order(self) -> None:
        assert Pair.of(VISIO, E3) == Pair.of(E3, VISIO) == Pair(E3, VISIO)

    def test_it_holds_for_thirty_days_and_is_then_to_be_probed(self) -> None:
        pair = self.CONFLICT.pair
        for at, holding in ((NOW + CONFLICT_HOLDS - HOUR, True), (NOW + CONFLICT_HOLDS, False)):
            facts = ProductFacts.at({}, {pair: self.CONFLICT}, at)
            assert (pair in facts.conflicts, pair in facts.expired) == (holding, not holding)

    def test_one_probe_at_a_time(self) -> None:
        assert self.CONFLICT.can_be_probed(NOW)
        probing = replace(self.CONFLICT, probed_at=NOW)
        assert not probing.can_be_probed(NOW + PROBE_LASTS - timedelta(seconds=1))
        assert probing.can_be_probed(NOW + PROBE_LASTS)

    def test_it_is_between_licenses_that_have_different_named_plans_on(self) -> None:
        assert self.CONFLICT.is_between(plans(TEAMS), plans(SHAREPOINT_2))
        assert not self.CONFLICT.is_between(plans(TEAMS), plans(TEAMS))
        assert not self.CONFLICT.is_between(plans(TEAMS, SHAREPOINT_2), NO_PLANS)
