"""The license rules on values: whatever is asked for, no state results that could not exist."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from local.tenant.directory.catalog import Catalog
from local.tenant.directory.model import AssignedLicense, LicenseRow, Subscription, assigned_skus, net_licenses
from local.tenant.licensing.rules import Change, Licensee, Rejection, Rules, apply_change, enabled_plans
from tests.unit.local.tenant.calls import (
    ANALYTICS,
    E1,
    E3,
    E5,
    EMS,
    EXCHANGE_1,
    EXCHANGE_P2_PLAN,
    F3,
    PROJECT,
    TEAMS_PLAN,
)

CATALOG = Catalog()
RULES = Rules(CATALOG, {})
SKUS = (E1, E3, E5, F3, EMS, PROJECT, ANALYTICS, EXCHANGE_1)
SHARED_PLANS = (TEAMS_PLAN, EXCHANGE_P2_PLAN)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    chosen = draw(st.lists(st.sampled_from(SKUS), unique=True, max_size=3))
    add = tuple(
        AssignedLicense(
            sku,
            tuple(
                plan for plan in draw(st.sets(st.sampled_from(SHARED_PLANS))) if plan in CATALOG.products[sku].plan_ids
            ),
        )
        for sku in chosen
    )
    return Change(add, tuple(draw(st.lists(st.sampled_from(SKUS), unique=True, max_size=2))))


@settings(max_examples=60, deadline=None)
@given(st.lists(changes(), max_size=12), st.integers(0, 1))
def test_no_sequence_of_changes_leads_to_a_state_that_may_not_exist(asked: list[Change], seats: int) -> None:
    managed = {sku: Subscription(sku, seats if sku == E5 else 1) for sku in SKUS}
    rows: tuple[LicenseRow, ...] = ()
    for now, change in enumerate(asked):
        after = apply_change(change, Licensee(rows, "DE"), managed, RULES, float(now))
        if isinstance(after, Rejection):
            assert after.message
            continue
        for sku in SKUS:
            managed[sku].consumed += (sku in assigned_skus(after)) - (sku in assigned_skus(rows))
            assert 0 <= managed[sku].consumed <= managed[sku].enabled
        assert {row.sku_id for row in rows} - set(change.remove) <= {row.sku_id for row in after}
        plans = enabled_plans(after, CATALOG)
        assert all(len(plans & pair) <= 1 for pair in CATALOG.exclusions(RULES.exclusions))
        for rule in CATALOG.dependencies:
            assert not rule.documented or rule.dependent not in plans or plans.intersection(rule.any_of)
        assert {row.sku_id: row.disabled for row in after}.items() >= dict(change.add).items()
        rows = after


def test_the_net_license_has_a_plan_off_only_where_every_source_has_it_off() -> None:
    rows = (
        LicenseRow(E3, (TEAMS_PLAN, EXCHANGE_P2_PLAN), None, "Active", "None", 1.0),
        LicenseRow(E3, (TEAMS_PLAN,), "g", "Active", "None", 1.0),
        LicenseRow(EMS, (), "g", "Error", "CountViolation", 1.0),
    )
    assert net_licenses(rows) == [AssignedLicense(E3, (TEAMS_PLAN,))]
    assert assigned_skus(rows) == {E3}


def test_checks_come_in_a_fixed_order() -> None:
    managed = {sku: Subscription(sku, 0) for sku in SKUS}
    conflict = Change((AssignedLicense(E1, ()), AssignedLicense(E3, ())), ())
    for user, text in (
        (Licensee((), None, proxy_clash=True), "usage location"),
        (Licensee((), "DE", proxy_clash=True), "available licenses"),
    ):
        rejection = apply_change(conflict, user, managed, RULES, 1.0)
        assert isinstance(rejection, Rejection)
        assert text in rejection.message
    for subscription in managed.values():
        subscription.enabled = 1
    rejection = apply_change(conflict, Licensee((), "DE", proxy_clash=True), managed, RULES, 1.0)
    assert isinstance(rejection, Rejection)
    assert "mutually exclusive" in rejection.message
