"""The published rules between service plans."""

from __future__ import annotations

import re

from shared.domain.catalog import Catalog
from shared.domain.catalog_data import DEPENDENCIES, EXCLUSIONS
from shared.domain.ids import ServicePlanId

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EXCHANGE_P1 = ServicePlanId("9aaf7827-d63c-4b61-89c3-182f06f82e5c")
EXCHANGE_P2 = ServicePlanId("efb87545-963c-4e0d-99df-69c6916d9eb0")
EXCHANGE_KIOSK = ServicePlanId("4a82b400-a79f-41a4-b4e2-e94f5787b113")
EXCHANGE_ESSENTIALS = ServicePlanId("1126bef5-da20-4f07-b45e-ad25d2581aa8")
SHAREPOINT_P1 = ServicePlanId("c7699d2e-19aa-44de-8edf-1736da088ca1")
SHAREPOINT_P2 = ServicePlanId("5dbe027f-2339-4123-9542-606e4d348a72")


class TestTheData:
    def test_every_id_is_a_lower_case_guid(self) -> None:
        ids = [*frozenset().union(*EXCLUSIONS), *DEPENDENCIES, *frozenset().union(*sum(DEPENDENCIES.values(), ()))]
        assert [each for each in ids if not GUID.fullmatch(each)] == []

    def test_every_set_has_two_plans_or_more_and_no_plan_stands_in_two(self) -> None:
        assert min(map(len, EXCLUSIONS)) > 1
        assert sum(map(len, EXCLUSIONS)) == len(frozenset().union(*EXCLUSIONS))

    def test_the_sets_are_those_published(self) -> None:
        assert sorted(map(len, EXCLUSIONS)) == [2, 3, 3, 3, 4, 6, 7, 10]

    def test_essential_and_standard_mailboxes_exclude_each_other_and_plan_two_excludes_neither(self) -> None:
        catalog = Catalog({})
        assert catalog.listed_exclusive(frozenset({EXCHANGE_P1}), frozenset({EXCHANGE_ESSENTIALS}))
        assert catalog.listed_exclusive(frozenset({EXCHANGE_P1}), frozenset({EXCHANGE_P2})) is None

    def test_the_sharepoint_plans_of_e1_and_e3_exclude_each_other(self) -> None:
        assert Catalog({}).listed_exclusive(frozenset({SHAREPOINT_P1}), frozenset({SHAREPOINT_P2}))

    def test_no_plan_needs_itself_and_no_need_is_empty(self) -> None:
        for plan, needs in DEPENDENCIES.items():
            assert needs
            assert all(any_of and plan not in any_of for any_of in needs)

    def test_a_defender_plan_needs_any_exchange_plan(self) -> None:
        (needs,) = DEPENDENCIES[ServicePlanId("8e0c0a52-6a6c-4d40-8370-dd62790dcd70")]
        assert needs == {EXCHANGE_P1, EXCHANGE_P2, EXCHANGE_KIOSK}
