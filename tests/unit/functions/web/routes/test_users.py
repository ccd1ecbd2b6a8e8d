"""Users, products and the change feed over the API."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.directory import AssignedLicense, LicenseAssignmentState
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.ids import UserId
from shared.domain.ledger_row import LedgerRow, ManagedLicense
from shared.handlers.membership.subscription import renew_subscription
from tests.support.api_calls import E3, E5, GROUP, OTHER_GROUP, READER, USERS, client, error_of
from tests.support.worlds import Fakes


class TestUsersAndProducts:
    async def test_each_license_of_a_user_says_where_it_comes_from(self, fakes: Fakes) -> None:
        now = fakes.world.clock.now()
        inherited = LicenseAssignmentState(E5, frozenset(), assigned_by_group=OTHER_GROUP)
        user = UserId("2d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
        fakes.directory.add_user(user, has=[AssignedLicense(E3), AssignedLicense(E5)], rows=[inherited])
        managed = ManagedLicense(frozenset(), now, (Source(SourceKind.GROUP, GROUP),))
        await fakes.world.stores.ledger.write([LedgerRow(user, managed={E3: managed})])
        async with client(fakes.world, headers=READER) as api:
            found = (await api.get(f"/api/users/{user}/licenses")).json()["value"]
        assert [(each["skuPartNumber"], each["source"], each["assignedByGroup"]) for each in found] == [
            ("SPE_E3", "managed", None),
            ("SPE_E5", "direct", None),
            ("SPE_E5", "nativeGroup", OTHER_GROUP),
        ]
        assert found[0]["grantedBy"] == [{"kind": "group", "id": GROUP}]

    async def test_a_user_who_cannot_be_read_is_no_user_without_licenses(self, fakes: Fakes) -> None:
        fakes.directory.fail_read(USERS[0])
        async with client(fakes.world, headers=READER) as api:
            failed = await api.get(f"/api/users/{USERS[0]}/licenses")
            read = await api.get(f"/api/users/{USERS[0]}/licenses")
        assert (failed.status_code, read.status_code, read.json()["value"]) == (503, 200, [])

    async def test_products_come_with_their_seats(self, fakes: Fakes) -> None:
        async with client(fakes.world, headers=READER) as api:
            found = (await api.get("/api/subscribedSkus")).json()["value"]
        assert [(each["skuPartNumber"], each["prepaidUnits"]["enabled"]) for each in found] == [
            ("SPE_E3", 100),
            ("SPE_E5", 100),
        ]
        assert found[0]["availableUnits"] == 100 - found[0]["consumedUnits"]

    async def test_a_license_that_ends_says_when_and_a_person_decides_about_it(self, fakes: Fakes) -> None:
        now = fakes.world.clock.now()
        user = UserId("2d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
        fakes.directory.add_user(user, has=[AssignedLicense(E3)])
        managed = ManagedLicense(frozenset(), now, (Source(SourceKind.GROUP, GROUP),))
        await fakes.world.stores.ledger.write([LedgerRow(user, managed={E3: managed})])
        ends = now + timedelta(days=30)
        grace = Grant(E3, frozenset(), Source(SourceKind.GRACE), ends)
        await fakes.world.stores.grants.put([(user, grace)])
        async with client(fakes.world) as api:
            (shown,) = (await api.get(f"/api/users/{user}/licenses")).json()["value"]
            rejected = await api.post(f"/api/users/{user}/keepLicenses", json={"skuIds": [E5]})
            kept = await api.post(f"/api/users/{user}/keepLicenses", json={"skuIds": [E3]})
            (after,) = (await api.get(f"/api/users/{user}/licenses")).json()["value"]
            going = await api.post(f"/api/users/{user}/removeLicensesNow", json={"skuIds": [E3]})
        assert (shown["keptReason"], shown["removalDateTime"]) == ("grace", ends.isoformat().replace("+00:00", "Z"))
        assert (rejected.status_code, error_of(rejected)["code"]) == (400, "LicenseNotEnding")
        assert (kept.status_code, after["keptReason"], after["removalDateTime"]) == (204, "kept", None)
        assert going.status_code == 202
        assert len(fakes.sent()) == 2

    async def test_readers_see_the_subscription_without_its_secret(self, fakes: Fakes) -> None:
        async with client(fakes.world, headers=READER) as api:
            before = (await api.get("/api/changeFeed")).json()
            made = await renew_subscription(fakes.world)
            answer = await api.get("/api/changeFeed")
        assert made is not None
        assert (before["expected"], before["subscription"], before["lastDeltaDateTime"]) == (True, None, None)
        shown = answer.json()["subscription"]
        assert (shown["id"], shown["lastNotificationDateTime"]) == (made.id, None)
        assert shown["expirationDateTime"] > shown["createdDateTime"]
        assert made.client_state not in answer.text
