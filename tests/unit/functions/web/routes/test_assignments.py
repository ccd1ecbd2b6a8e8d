"""A group's license assignment and its options over the API."""

from __future__ import annotations

from typing import Any

import pytest

from shared.ports.world import World
from tests.support.api_calls import (
    ASSIGN_E3,
    CHAT,
    E3,
    E5,
    GROUP,
    OTHER_GROUP,
    READER,
    WRITER,
    assigned,
    client,
    error_of,
)
from tests.support.worlds import Fakes


class TestAssignment:
    async def test_the_assignment_shows_what_was_resolved_and_its_etag(self, world: World) -> None:
        await assigned(world)
        async with client(world, headers=READER) as api:
            answer = await api.get(f"/api/groups/{GROUP}/licenseAssignment")
        body = answer.json()
        assert answer.headers["etag"] == body["@odata.etag"] == 'W/"1"'
        assert [(sku["skuPartNumber"], sku["disabledPlans"]) for sku in body["assignedLicenses"]] == [
            ("SPE_E3", [CHAT])
        ]
        assert (body["options"]["includeGuests"], body["options"]["grace"]) == (True, "P0D")

    async def test_an_option_is_changed_and_the_others_stay(self, world: World) -> None:
        await assigned(world)
        url = f"/api/groups/{GROUP}/licenseAssignment"
        async with client(world) as api:
            first = await api.patch(url, json={"includeGuests": False, "grace": "P30D"}, headers={"if-match": 'W/"1"'})
            second = await api.patch(url, json={"usageLocation": "de", "excludedGroups": [OTHER_GROUP.upper()]})
        assert (first.status_code, second.status_code) == (200, 200)
        options = second.json()["options"]
        assert (options["includeGuests"], options["grace"]) == (False, "P30D")
        assert (options["usageLocation"], options["excludedGroups"]) == ("DE", [OTHER_GROUP])
        assert second.headers["etag"] == 'W/"3"'

    async def test_an_outdated_if_match_is_a_failed_precondition(self, world: World) -> None:
        await assigned(world)
        async with client(world, headers={**WRITER, "if-match": 'W/"7"'}) as api:
            patched = await api.patch(f"/api/groups/{GROUP}/licenseAssignment", json={"priority": 1})
            posted = await api.post(f"/api/groups/{GROUP}/assignLicense", json=ASSIGN_E3)
            malformed = await api.post(
                f"/api/groups/{GROUP}/assignLicense", json=ASSIGN_E3, headers={"if-match": "seven"}
            )
        assert [answer.status_code for answer in (patched, posted, malformed)] == [412, 412, 400]
        assert error_of(patched)["code"] == "PreconditionFailed"

    async def test_a_group_is_not_managed_any_more_and_its_members_keep_their_licenses(self, world: World) -> None:
        await assigned(world)
        url = f"/api/groups/{GROUP}/assignLicense"
        body = {"addLicenses": [], "removeLicenses": [E3], "keepLicenses": True}
        async with client(world) as api:
            alone = await api.post(url, json={"addLicenses": [], "removeLicenses": [], "keepLicenses": True})
            both = await api.post(url, json={**body, "addLicenses": [{"skuId": E5}]})
            done = await api.post(url, json=body)
            assignment = (await api.get(f"/api/groups/{GROUP}/licenseAssignment")).json()
        assert [answer.status_code for answer in (alone, both, done)] == [400, 400, 202]
        assert (error_of(both)["code"], error_of(both)["target"]) == ("KeepsNothing", "keepLicenses")
        assert (done.json()["kind"], done.json()["keepLicenses"]) == ("stopManaging", True)
        assert (assignment["state"], assignment["assignedLicenses"]) == ("notManaged", [])

    async def test_options_are_set_with_the_licenses_and_others_stay(self, fakes: Fakes) -> None:
        url = f"/api/groups/{GROUP}"
        body = {**ASSIGN_E3, "options": {"usageLocation": "at", "grace": "P7D"}}
        async with client(fakes.world) as api:
            key = {"idempotency-key": "first"}
            first = await api.post(f"{url}/assignLicense", json=body, headers=key)
            again = await api.post(f"{url}/assignLicense", json=body, headers=key)
            body["options"] = {"usageLocation": "ch"}
            other = await api.post(f"{url}/assignLicense", json=body, headers=key)
            second = await api.post(f"{url}/assignLicense", json=body)
            wrong = await api.post(f"{url}/assignLicense", json={**body, "options": {"grace": "P366D"}})
            options = (await api.get(f"{url}/licenseAssignment")).json()["options"]
            set_entries = (await api.get("/api/audit?activity=properties")).json()["value"]
        assert (first.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert (other.status_code, second.status_code, wrong.status_code) == (409, 202, 400)
        assert error_of(wrong)["target"] == "options.grace"
        assert (options["usageLocation"], options["grace"]) == ("CH", "P7D")
        assert [each["operationId"] is None for each in set_entries] == [True, True]

    @pytest.mark.parametrize(
        "patch",
        [
            {},
            {"includeGuests": None},
            {"usageLocation": "Germany"},
            {"grace": "-P1D"},
            {"grace": "P366D"},
            {"priority": 1001},
            {"dependencies": "anywhere"},
            {"colour": "red"},
        ],
    )
    async def test_options_that_make_no_sense_are_rejected(self, world: World, patch: dict[str, Any]) -> None:
        await assigned(world)
        async with client(world) as api:
            answer = await api.patch(f"/api/groups/{GROUP}/licenseAssignment", json=patch)
        assert answer.status_code == 400
        assert error_of(answer)["code"] == "InvalidRequest"
