"""Operations and approvals over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.operation import OperationState, Phase, PlanSummary
from shared.domain.outcomes import ChunkOutcome, OutcomeClass
from shared.domain.snapshot_pages import PlannedAction, pages_of
from shared.ports.world import World
from tests.support.api_calls import E3, READER, assigned, client, error_of, insert
from tests.support.worlds import Fakes


class TestOperations:
    async def test_operations_come_newest_first_and_page_by_page(self, fakes: Fakes) -> None:
        ids = []
        for _ in range(3):
            ids.append((await assigned(fakes.world))["id"])
            fakes.clock.move(timedelta(seconds=1))
        seen: list[str] = []
        url = "/api/operations?$top=2"
        async with client(fakes.world, headers=READER) as api:
            while url:
                page = (await api.get(url)).json()
                seen += [each["id"] for each in page["value"]]
                url = page.get("@odata.nextLink", "")
                assert not url or url.startswith("https://licensing.example/api/operations?$top=2&$skiptoken=")
        assert seen == list(reversed(ids))

    async def test_pause_resume_and_cancel_answer_with_the_operation(self, world: World) -> None:
        operation = await assigned(world)
        url = f"/api/operations/{operation['id']}"
        async with client(world) as api:
            states = [(await api.post(f"{url}/{act}")).json()["state"] for act in ("pause", "resume", "cancel")]
            again = await api.post(f"{url}/cancel")
        assert states == ["Paused", "QueuedForProcessing", "Cancelled"]
        assert (again.status_code, again.json()["state"]) == (200, "Cancelled")

    async def test_a_state_that_does_not_allow_an_act_is_a_conflict(self, world: World) -> None:
        operation = await assigned(world)
        url = f"/api/operations/{operation['id']}"
        async with client(world) as api:
            resumed = await api.post(f"{url}/resume")
            reviewed = await api.post(f"{url}/review")
            approved = await api.post(f"{url}/approve", json={"checksum": "abc"})
        assert [answer.status_code for answer in (resumed, reviewed, approved)] == [409, 409, 409]
        for answer in (resumed, reviewed, approved):
            found = answer.json()["error"]
            assert (found["code"], found["target"]) == ("IllegalState", "operation")
            assert [each["code"] for each in found["details"]] == ["IllegalState"]

    async def test_an_approval_names_the_list_by_its_checksum(self, world: World) -> None:
        waiting = await insert(
            world,
            state=OperationState.AWAITING_APPROVAL,
            phase=Phase.APPROVE,
            checksum="abc",
            plan=PlanSummary(removals={E3: 25}, users_losing=25),
        )
        async with client(world) as api:
            approvals = (await api.get("/api/approvals")).json()["value"]
            wrong = await api.post(f"/api/operations/{waiting.id}/approve", json={"checksum": "abd"})
            missing = await api.post(f"/api/operations/{waiting.id}/approve", json={})
            right = await api.post(f"/api/operations/{waiting.id}/approve", json={"checksum": "abc"})
            left = (await api.get("/api/approvals")).json()["value"]
        assert [(each["id"], each["plan"]["removals"]) for each in approvals] == [(waiting.id, {E3: 25})]
        assert [answer.status_code for answer in (wrong, missing, right)] == [409, 400, 200]
        approved = right.json()
        assert approved["approvedBy"]["displayName"] == "ada@fabrikam.example"
        assert approved["state"] == "ProcessingInProgress"
        assert left == []

    async def test_a_rejected_approval_goes_on_to_keep_the_licenses(self, world: World) -> None:
        waiting = await insert(world, state=OperationState.AWAITING_APPROVAL, phase=Phase.APPROVE, checksum="abc")
        async with client(world) as api:
            answer = await api.post(f"/api/operations/{waiting.id}/reject")
        assert (answer.status_code, answer.json()["phase"]) == (200, "reject")

    async def test_the_plan_is_shown_member_by_member_with_outcomes(self, world: World) -> None:
        people = [UserId(f"{number:08x}-0000-4000-8000-000000000000") for number in range(1005)]
        due = PlannedAction(due=True, expected=OutcomeClass.APPLIED, add=(AssignedLicense(E3),), notes=("inGrace x",))
        actions = [(user, due if number % 2 else PlannedAction(due=False)) for number, user in enumerate(people)]
        pages = pages_of(actions, world.policy.chunk_size)
        operation = await insert(world, snapshot_id="s1", pages=len(pages))
        await world.stores.snapshots.write(operation.id, "s1", pages)
        await world.stores.chunks.report(operation.id, 0, [ChunkOutcome(people[1], OutcomeClass.FAILED)])
        seen: list[dict[str, Any]] = []
        url = f"/api/operations/{operation.id}/members?$top=999"
        async with client(world, headers=READER) as api:
            while url:
                page = (await api.get(url)).json()
                assert len(page["value"]) <= 999
                seen += page["value"]
                url = page.get("@odata.nextLink", "")
            none = await api.get(f"/api/operations/{operation.id}/members?$skiptoken=nonsense")
        assert [each["id"] for each in seen] == people
        assert [each["due"] for each in seen[:3]] == [False, True, False]
        assert seen[1]["addLicenses"] == [{"skuId": E3, "disabledPlans": []}]
        assert [each["outcome"] for each in seen[:4]] == [None, "failed", None, None]
        assert (none.status_code, error_of(none)["target"]) == (400, "$skiptoken")
