"""What goes out in one call: grace that makes way, additions that wait for a removal, conflicts that are probed.

In the catalog of the tests, SHAREPOINT_2 (in E3 and E5) and SHAREPOINT_KIOSK (in F3) are listed as exclusive.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense
from shared.domain.grant import Source, SourceKind
from shared.domain.ids import Plans, ServicePlanId, SkuId
from shared.domain.keeping_grants import grants_that_count
from shared.domain.plan import PROBE_RETRY, plan_user
from shared.domain.plan_draft import PlanContext
from shared.domain.product_facts import ObservedConflict, Pair, ProductFacts
from tests.support.builders import (
    CATALOG,
    DAY,
    E1,
    E3,
    E5,
    F3,
    FROM_A,
    MINUTE,
    NOW,
    SHAREPOINT_2,
    SHAREPOINT_KIOSK,
    SKUS,
    VISIO,
    context,
    direct,
    grant,
    ledger,
    managed,
    permit,
    person,
    plans,
)

EARLIER = NOW - MINUTE
HELD, KEPT, IN_GRACE = map(Source, (SourceKind.HELD, SourceKind.KEPT, SourceKind.GRACE))


class TestGraceThatIsInTheWay:
    """A grace ends early only if Graph has rejected the two products together, and only in the call that swaps them."""

    def where(self, one: SkuId, two: SkuId, *named: ServicePlanId, **values: object) -> PlanContext:
        pair = Pair.of(one, two)
        conflict = ObservedConflict(pair, frozenset(named), "No.", NOW)
        catalog = replace(CATALOG, facts=ProductFacts(conflicts={pair: conflict}))
        return context(NOW, catalog=catalog, **values)

    @pytest.mark.parametrize(
        ("old", "off", "new", "new_off", "in_the_way"),
        [
            (F3, plans(), E3, plans(), True),
            (F3, plans(), E3, plans(SHAREPOINT_2), False),
            (E3, plans(SHAREPOINT_2), F3, plans(), False),
            (F3, plans(), E5, plans(), False),
        ],
        ids=["rejected together", "the new plan is off", "the old plan is off", "another product"],
    )
    def test_only_if_the_rejected_plans_are_on_in_both(
        self, old: SkuId, off: Plans, new: SkuId, new_off: Plans, in_the_way: bool
    ) -> None:
        user, row, after = person(direct(old, off)), ledger({old: managed()}), grant(new, new_off)
        where = self.where(F3, E3, SHAREPOINT_2, SHAREPOINT_KIOSK, permits=(permit(old),), grace={FROM_A: DAY})
        grace = grant(old, source=IN_GRACE, until=NOW + DAY)
        counting = grants_that_count(user, (grace, after), row, where)
        assert counting == ((after,) if in_the_way else (grace, after))
        seen = replace(row, removal_seen_at={str(old): EARLIER})
        plan = plan_user(user, (grace, after), seen, where)
        assert (plan.remove, [each.sku_id for each in plan.add]) == ((old,) if in_the_way else (), [new])

    @pytest.mark.parametrize("new", [E5, E1, F3])
    def test_not_for_a_product_with_the_same_plans_or_one_that_is_only_listed_as_exclusive(self, new: SkuId) -> None:
        user, row, after = person(direct(E3)), ledger({E3: managed()}), grant(new)
        plan = plan_user(user, (after,), row, context(grace={FROM_A: DAY}))
        assert [each.until for each in plan.new_grants] == [NOW + DAY]
        assert ([each.sku_id for each in plan.add], plan.remove) == ([new], ())

    def test_it_gets_its_end_although_it_is_in_the_way_and_stays_where_the_other_cannot_be_given(self) -> None:
        row = ledger({F3: managed()}, seen={str(F3): EARLIER})
        where = self.where(
            F3, E3, SHAREPOINT_2, SHAREPOINT_KIOSK,
            permits=(permit(F3),), grace={FROM_A: DAY}, closed_skus=frozenset({E3}),
        )  # fmt: skip
        plan = plan_user(person(direct(F3)), (grant(E3),), row, where)
        assert (plan.remove, plan.add, plan.waiting) == ((), (), (E3,))
        assert [each.until for each in plan.new_grants] == [NOW + DAY]
        swap = plan_user(person(direct(F3)), (grant(E3),), row, replace(where, closed_skus=frozenset()))
        assert (swap.remove, swap.add, swap.new_grants) == ((F3,), (AssignedLicense(E3),), ())

    def test_a_grace_stays_while_the_other_product_is_not_in_the_call(self) -> None:
        """The tenant does not have it any more, so nothing can be swapped."""
        catalog = Catalog({F3: SKUS[F3]}, (), {}, self.where(F3, E3, SHAREPOINT_2, SHAREPOINT_KIOSK).catalog.facts)
        row = ledger({F3: managed()}, seen={str(F3): EARLIER})
        grants = (grant(F3, source=IN_GRACE, until=NOW + DAY), grant(E3))
        plan = plan_user(person(direct(F3)), grants, row, context(catalog=catalog, permits=(permit(F3),)))
        assert (plan.remove, plan.add, plan.ended_grants) == ((), (), ())

    def test_a_grant_that_only_keeps_a_license_or_is_in_grace_itself_is_no_reason(self) -> None:
        where = self.where(F3, E3, SHAREPOINT_2, SHAREPOINT_KIOSK)
        grace = grant(F3, source=IN_GRACE, until=NOW + DAY)
        for other in (grant(E3, source=KEPT), grant(E3, source=IN_GRACE, until=NOW + DAY), grant(F3, source=HELD)):
            assert grants_that_count(person(direct(F3)), (grace, other), ledger(), where) == (grace, other)

    def test_it_is_found_behind_others(self) -> None:
        where = self.where(F3, E3, SHAREPOINT_2, SHAREPOINT_KIOSK)
        grants = (grant(F3, source=HELD), grant(VISIO), grant(E3), grant(F3, source=IN_GRACE, until=NOW + DAY))
        assert grants_that_count(person(direct(F3)), grants, ledger(), where) == grants[:3]

    def test_an_expired_conflict_ends_nothing_and_is_probed_unless_another_person_does(self) -> None:
        facts = self.where(F3, E3, SHAREPOINT_2, SHAREPOINT_KIOSK).catalog.facts
        catalog = replace(CATALOG, facts=ProductFacts(expired=facts.conflicts))
        user, row = person(direct(F3)), ledger({F3: managed()}, seen={str(F3): EARLIER})
        grants = (grant(F3, source=IN_GRACE, until=NOW + DAY), grant(E3))
        where = context(catalog=catalog, permits=(permit(F3),))
        plan = plan_user(user, grants, row, where)
        assert (plan.add, plan.remove, plan.probes) == ((AssignedLicense(E3),), (), frozenset({Pair.of(E3, F3)}))
        waits = plan_user(user, grants, row, replace(where, taken_probes=frozenset({Pair.of(E3, F3)})))
        assert (waits.add, waits.remove, waits.probes) == ((), (), frozenset())
        assert waits.check_again == NOW + PROBE_RETRY


class TestWhatWaitsForARemoval:
    def test_a_product_that_is_only_listed_as_exclusive_waits_for_the_second_read_and_not_for_a_person(self) -> None:
        user, grants = person(direct(F3)), (grant(E3),)
        first = plan_user(user, grants, ledger({F3: managed()}), context())
        assert (first.add, first.check_again) == ((), NOW + MINUTE)
        row = ledger({F3: managed()}, seen={str(F3): EARLIER})
        held = plan_user(user, grants, row, context(denied=frozenset({F3})))
        assert [each.sku_id for each in held.add] == [E3]

    def test_a_product_with_the_same_plans_waits_for_the_person_too(self) -> None:
        row = ledger({E5: managed()}, seen={str(E5): EARLIER})
        held = plan_user(person(direct(E5)), (grant(E3),), row, context(denied=frozenset({E5})))
        assert held.add == ()
