"""Searches for products, groups and people, and the audit log, over the API."""

from __future__ import annotations

from datetime import timedelta

from shared.domain.initiator import SYSTEM
from shared.domain.messages import JOBS, ONBOARDING
from shared.domain.read_models import AuditEntry, DeadLetter
from tests.support.api_calls import E3, GROUP, READER, USERS, assigned, claims_of, client, error_of, token
from tests.support.job_messages import assign
from tests.support.worlds import Fakes


class TestCenter:
    async def test_products_groups_and_people_are_found(self, fakes: Fakes) -> None:
        await assigned(fakes.world)
        async with client(fakes.world, headers=READER) as api:
            licenses = (await api.get("/api/licenses")).json()["value"]
            managed = (await api.get("/api/groups")).json()["value"]
            found = (await api.post("/api/groups/search", json={"search": "no-such-name"})).json()["value"]
            person = (await api.get(f"/api/users/{USERS[0]}")).json()
            nobody = await api.post("/api/users/search", json={"search": ""})
        assert (licenses[0]["displayName"], licenses[0]["groups"][0]["id"]) == ("Microsoft 365 E3", GROUP)
        assert licenses[1]["groups"] == []
        assert [(each["id"], each["assignedSkuIds"]) for each in managed] == [(GROUP, [E3])]
        assert (found, person["licenses"], nobody.status_code) == ([], [], 400)

    async def test_the_audit_log_is_searched_by_what_an_entry_names(self, fakes: Fakes) -> None:
        await assigned(fakes.world)
        async with client(fakes.world, headers=READER) as api:
            all_of_it = (await api.get("/api/audit")).json()["value"]
            of_group = (await api.get(f"/api/audit?group={GROUP.upper()}&activity=set")).json()["value"]
            of_nobody = (await api.post("/api/audit/search", json={"initiatedBy": "nobody"})).json()["value"]
            too_many = await api.get("/api/audit?$top=1000")
        assert {each["groupId"] for each in all_of_it} == {GROUP}
        assert [each["activityDisplayName"] for each in of_group] == ["Set group license"]
        assert (of_nobody, too_many.status_code) == ([], 400)

    async def test_the_audit_log_is_paged_and_searched_by_time(self, fakes: Fakes) -> None:
        now = fakes.clock.now()
        entries = [AuditEntry(f"{n}", now - timedelta(days=n), "Act & more", SYSTEM, "success") for n in range(60)]
        await fakes.world.stores.audit.append(entries)
        async with client(fakes.world, headers=READER) as api:
            first = (await api.get("/api/audit?$top=20&activity=act%20%26")).json()
            second = (await api.get(first["@odata.nextLink"])).json()
            day = f"{now - timedelta(days=40):%Y-%m-%d}"
            of_day = (await api.get(f"/api/audit?since={day}&until={day}")).json()
            rejected = [
                await api.get(f"/api/audit?{query}")
                for query in ("since=soon", "since=2001-01-01", "since=2026-01-03&until=2026-01-01", "until=9999-12-31")
            ]
            unmanaged = await api.get("/api/audit?$skiptoken=m-1")
        assert [each["id"] for each in first["value"] + second["value"]] == [str(n) for n in range(32)]
        assert "@odata.nextLink" not in second
        assert [each["id"] for each in of_day["value"]] == ["40"]
        assert [error_of(answer)["target"] for answer in rejected] == ["since", "since", "since", "until"]
        assert error_of(unmanaged)["target"] == "$skiptoken"


class TestDeadLetters:
    async def test_a_corrected_hr_event_is_sent_only_by_who_may_send_hr_events(self, fakes: Fakes) -> None:
        dead_letters = [
            DeadLetter(f"{n}" * 32, queue, b"{}", "broken", fakes.clock.now())
            for n, queue in enumerate((ONBOARDING, JOBS), 1)
        ]
        for dead_letter in dead_letters:
            await fakes.world.stores.dead_letters.keep(dead_letter)
        body = {"message": assign(groupId=GROUP)}
        async with client(fakes.world, headers=token(claims_of(roles=["Licensing.Write"]))) as api:
            rejected, job = [await api.post(f"/api/deadLetters/{each.id}/replay", json=body) for each in dead_letters]
            assert len(await fakes.world.stores.operations.open()) == 1
            as_it_was = await api.post(f"/api/deadLetters/{dead_letters[0].id}/replay")
        assert (rejected.status_code, job.status_code, as_it_was.status_code) == (403, 204, 204)
        assert "Onboarding.Write" in error_of(rejected)["message"]
