"""Service plans that Microsoft took out of a product: no difference, not forgotten, and off again if they come back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.catalog import Catalog
from shared.domain.directory import AssignedLicense, ServicePlan
from shared.domain.ids import NO_PLANS, Plans
from shared.domain.ledger import new_intent, resolve
from shared.domain.plan import plan_user
from shared.domain.plan_draft import NoteKind, PlanContext
from shared.domain.product_facts import ProductFacts, SeenPlan, SeenProduct
from shared.domain.retired_plans import as_stored
from tests.support.builders import (
    DAY,
    E3,
    EXCHANGE_2,
    LONG_AGO,
    MINUTE,
    NOW,
    SHAREPOINT_2,
    SKUS,
    TEAMS,
    context,
    direct,
    grant,
    ledger,
    managed,
    native,
    person,
    plans,
    sku,
)


class TestPlansThatWereRetired:
    def where(self, seen: SeenPlan, *, listed: bool = False, **values: object) -> PlanContext:
        product = SeenProduct(E3, "E3", {seen.plan.service_plan_id: seen})
        skus = SKUS if listed else {**SKUS, E3: sku(E3, "E3", (EXCHANGE_2, SHAREPOINT_2))}
        return context(NOW, catalog=Catalog(skus, (), {}, ProductFacts({E3: product})), **values)

    RETIRED = SeenPlan(ServicePlan(TEAMS, "TEAMS"), LONG_AGO, LONG_AGO + DAY)
    BACK = SeenPlan(ServicePlan(TEAMS, "TEAMS"), returned_at=NOW - MINUTE)

    @pytest.mark.parametrize("shown", [plans(), plans(TEAMS)])
    @pytest.mark.parametrize("wanted", [plans(), plans(TEAMS)])
    def test_are_no_difference_in_either_direction(self, shown: Plans, wanted: Plans) -> None:
        plan = plan_user(
            person(direct(E3, shown)), (grant(E3, wanted),), ledger({E3: managed(wanted)}), self.where(self.RETIRED)
        )
        assert (plan.writes, plan.notes, plan.problems) == (False, (), ())

    def test_stay_in_what_is_stored_when_other_plans_change(self) -> None:
        grants = (grant(E3, plans(TEAMS)),)
        row = ledger({E3: managed(plans(TEAMS, SHAREPOINT_2))})
        plan = plan_user(person(direct(E3, plans(SHAREPOINT_2))), grants, row, self.where(self.RETIRED))
        assert plan.add == (AssignedLicense(E3, plans(TEAMS)),)

    def test_are_nothing_that_an_unmanaged_license_lacks(self) -> None:
        plan = plan_user(person(direct(E3, plans(TEAMS))), (grant(E3),), ledger(), self.where(self.RETIRED))
        assert (plan.problems, [note.kind for note in plan.notes]) == ((), [NoteKind.UNMANAGED])

    def test_one_that_is_back_is_off_again_at_once_without_permit_and_second_read(self) -> None:
        row = ledger({E3: managed(plans(TEAMS), at=LONG_AGO)})
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS)),), row, self.where(self.BACK, listed=True))
        assert (plan.add, plan.notes) == ((AssignedLicense(E3, plans(TEAMS)),), ())
        assert plan.plans_off == {E3: plans(TEAMS)}

    def test_one_that_a_person_turned_on_after_we_wrote_the_license_again_is_theirs(self) -> None:
        row = ledger({E3: managed(plans(TEAMS), at=NOW)})
        plan = plan_user(person(direct(E3)), (grant(E3, plans(TEAMS)),), row, self.where(self.BACK, listed=True))
        assert (plan.writes, [note.kind for note in plan.notes]) == (False, [NoteKind.TURNED_ON_BY_HAND])


class TestWhatTheLedgerIsComparedWith:
    RETIRED = Catalog(
        {**SKUS, E3: sku(E3, "E3", (EXCHANGE_2, SHAREPOINT_2))},
        (),
        {},
        ProductFacts({E3: SeenProduct(E3, "E3", {TEAMS: TestPlansThatWereRetired.RETIRED})}),
    )
    NOT_LISTED = Catalog(RETIRED.skus, (), {})
    """One read of the products without the plan."""
    CATALOGS = pytest.mark.parametrize("catalog", [RETIRED, NOT_LISTED], ids=["retired", "not listed"])

    @CATALOGS
    @pytest.mark.parametrize("shown", [plans(SHAREPOINT_2), plans(SHAREPOINT_2, TEAMS)])
    @pytest.mark.parametrize("stored", [plans(SHAREPOINT_2), plans(SHAREPOINT_2, TEAMS)])
    def test_is_as_stored_whether_graph_shows_the_plan_or_not(
        self, shown: Plans, stored: Plans, catalog: Catalog
    ) -> None:
        user = as_stored(person(direct(E3, shown)), ledger({E3: managed(stored)}), catalog)
        assert user.direct[E3].disabled_plans == (stored if catalog is self.RETIRED else stored | shown)

    def test_other_plans_and_inherited_licenses_are_as_shown(self) -> None:
        rows = (direct(E3, plans(EXCHANGE_2)), native(E3, plans(TEAMS)))
        user = as_stored(person(*rows), ledger({E3: managed(plans(TEAMS))}), self.RETIRED)
        assert user.license_assignment_states == (direct(E3, plans(EXCHANGE_2, TEAMS)), native(E3, plans(TEAMS)))
        assert as_stored(person(*rows), ledger({E3: managed(plans(TEAMS))}), Catalog(SKUS, (), {})) == person(*rows)
        unmanaged = as_stored(person(direct(E3, plans(TEAMS))), ledger(), self.RETIRED)
        assert unmanaged.direct[E3].disabled_plans == NO_PLANS

    def test_of_a_product_that_the_tenant_lost_nothing_is_changed(self) -> None:
        user = person(direct(E3))
        assert as_stored(user, ledger({E3: managed(plans(TEAMS))}), Catalog({}, (), {})) == user

    @CATALOGS
    @pytest.mark.parametrize("shown", [plans(EXCHANGE_2), plans(EXCHANGE_2, TEAMS)])
    def test_a_write_whose_answer_was_lost_is_found_done(self, shown: Plans, catalog: Catalog) -> None:
        before = person(direct(E3, plans(TEAMS)))
        row = ledger({E3: managed(plans(TEAMS))})
        intent = new_intent(before, "c", (AssignedLicense(E3, plans(EXCHANGE_2, TEAMS)),), (), None, {}, NOW)
        row = replace(row, intent=intent)
        after = as_stored(person(direct(E3, shown, at=NOW)), row, catalog)
        assert resolve(row, after, "c", NOW).row.managed[E3].disabled_plans == plans(EXCHANGE_2, TEAMS)

    @CATALOGS
    def test_a_first_write_whose_answer_was_lost_is_found_done(self, catalog: Catalog) -> None:
        intent = new_intent(person(), "c", (AssignedLicense(E3, plans(TEAMS)),), (), None, {}, NOW)
        row = replace(ledger(), intent=intent)
        after = as_stored(person(direct(E3, at=NOW)), row, catalog)
        assert resolve(row, after, "c", NOW).row.managed[E3].disabled_plans == plans(TEAMS)

    def test_a_write_that_was_not_done_leaves_ownership_as_it_was(self) -> None:
        row = ledger({E3: managed(plans(TEAMS))})
        intent = new_intent(person(direct(E3)), "c", (AssignedLicense(E3, plans(EXCHANGE_2)),), (), None, {}, NOW)
        row = replace(row, intent=replace(intent, before={E3: plans(TEAMS)}))
        seen = as_stored(person(direct(E3)), row, self.RETIRED)
        assert resolve(row, seen, "c", NOW + DAY).row.managed == {E3: managed(plans(TEAMS))}
