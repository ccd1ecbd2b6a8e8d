"""What profiles give, by attribute or by name."""

from __future__ import annotations

from shared.domain.directory import AssignedLicense
from shared.domain.ids import GroupId, ServicePlanId, SkuId
from shared.domain.profiles import Profile, entitlement

SALES, LABS, ALL = GroupId("g-sales"), GroupId("g-labs"), GroupId("g-all")
E3, VISIO = SkuId("e3"), SkuId("visio")
MAIL, CHAT = ServicePlanId("mail"), ServicePlanId("chat")
PROFILES = (
    Profile("sales", match={"department": ("Sales", "Field *")}, groups=(SALES,), usage_location="DE", priority=1),
    Profile(
        "everybody", match={"country": ("*",)}, groups=(ALL,), licenses=(AssignedLicense(E3),), usage_location="FR"
    ),
    Profile("contractor", match={"employeeType": ("Contractor",)}, groups=(LABS,), exclusive=True, priority=5),
    Profile("by-name", groups=(LABS,), licenses=(AssignedLicense(VISIO, frozenset({MAIL})),), selectable=True),
)


def test_all_profiles_that_match_are_united() -> None:
    found = entitlement(PROFILES, {"department": "sales", "country": "DE"})
    assert found.profiles == ("sales", "everybody")
    assert found.groups == (SALES, ALL)
    assert [grant.sku_id for grant in found.grants] == [E3]
    assert found.usage_location == "DE"
    assert found.matches[0].because == "department 'sales' fits 'Sales'"


def test_a_star_stands_for_the_rest_and_not_for_a_missing_attribute() -> None:
    assert entitlement(PROFILES, {"department": "Field East"}).profiles == ("sales",)
    assert entitlement(PROFILES, {"department": "Salesforce"}).profiles == ()
    assert entitlement(PROFILES, {}).profiles == ()


def test_attributes_compare_in_one_form() -> None:
    for department in ("  SALES ", "\uff33ales", "field\u00a0\u00a0East"):
        assert entitlement(PROFILES, {"department": department}).profiles == ("sales",), department


def test_an_exclusive_profile_counts_alone_among_those_below_it() -> None:
    assert entitlement(PROFILES, {"employeeType": "contractor", "country": "DE"}).profiles == ("contractor",)


def test_profiles_named_by_the_event_count_and_unknown_ones_are_told() -> None:
    found = entitlement(PROFILES, {"country": "DE"}, ("by-name", "nope"), (SALES,), "NL")
    assert found.profiles == ("by-name", "everybody")
    assert found.groups == (LABS, ALL, SALES)
    assert found.unknown == ("nope",)
    assert found.usage_location == "NL"


def test_a_profile_that_is_not_selectable_counts_only_if_it_matches() -> None:
    found = entitlement(PROFILES, {"department": "Sales"}, ("contractor", "sales"))
    assert found.profiles == ("sales",)
    assert found.not_selectable == ("contractor",)
    assert found.groups == (SALES,)


def test_an_event_may_name_groups_of_profiles_that_match_or_are_selectable() -> None:
    found = entitlement(PROFILES, {"department": "Sales"}, groups=(ALL, LABS))
    assert found.nameable == {SALES, LABS}
    assert entitlement(PROFILES[:3], {}).nameable == frozenset()
