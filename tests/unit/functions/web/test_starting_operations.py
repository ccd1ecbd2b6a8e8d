"""Requests that start operations."""

from __future__ import annotations

from dataclasses import replace

import httpx

from shared.domain.ids import OperationId
from shared.domain.messages import OPERATIONS_BULK
from shared.domain.operation import Operation, PlanSummary
from shared.ports.world import World
from tests.support.api_calls import (
    ASSIGN_E3,
    CHAT,
    E3,
    E5,
    GROUP,
    OTHER_GROUP,
    USERS,
    WRITER,
    app_token,
    assigned,
    claims_of,
    client,
    error_of,
    insert,
    token,
)
from tests.support.worlds import Fakes


class TestStarting:
    async def test_an_assignment_is_accepted_as_an_operation_with_a_message(self, fakes: Fakes) -> None:
        async with client(fakes.world) as api:
            answer = await api.post(f"/api/groups/{GROUP.upper()}/assignLicense", json=ASSIGN_E3)
            operation = answer.json()
            read = await api.get(answer.headers["location"])
        assert answer.status_code == 202
        assert answer.headers["location"] == f"/api/operations/{operation['id']}"
        assert read.json() == operation
        assert (operation["kind"], operation["state"]) == ("assign", "QueuedForProcessing")
        assert operation["target"] == {"groupId": GROUP}
        assert operation["initiatedBy"]["displayName"] == "ada@fabrikam.example"
        assert operation["addLicenses"] == [{"skuId": E3, "disabledPlans": [CHAT]}]
        assert [message.queue for message in fakes.sent()] == [OPERATIONS_BULK]

    async def test_the_same_idempotency_key_gives_the_same_operation(self, world: World) -> None:
        first = await assigned(world, key="k-1")
        again = await assigned(world, key='"k-1"')
        other = await assigned(world, key="k-2")
        assert first["id"] == again["id"] != other["id"]

    async def test_an_idempotency_key_used_for_something_else_is_a_conflict(self, world: World) -> None:
        await assigned(world, key="k-1")
        async with client(world, headers={**WRITER, "idempotency-key": "k-1"}) as api:
            url = f"/api/groups/{GROUP}/assignLicense"
            answer = await api.post(url, json={"addLicenses": [{"skuId": E5}], "removeLicenses": []})
            too_long = await api.post(url, json=ASSIGN_E3, headers={"idempotency-key": "k" * 129})
        assert (answer.status_code, error_of(answer)["code"]) == (409, "Conflict")
        assert (too_long.status_code, error_of(too_long)["target"]) == (400, "idempotency-key")

    async def test_a_preview_says_so_and_changes_no_assignment(self, world: World) -> None:
        async with client(world) as api:
            answer = await api.post(f"/api/groups/{GROUP}/assignLicense?preview=true", json=ASSIGN_E3)
            assignment = await api.get(f"/api/groups/{GROUP}/licenseAssignment")
        assert (answer.status_code, answer.json()["preview"]) == (202, True)
        assert assignment.status_code == 404

    async def test_a_list_of_users_is_licensed_with_each_counted_once(self, world: World) -> None:
        async with client(world) as api:
            body = {**ASSIGN_E3, "userIds": [*USERS, USERS[0].upper()]}
            answer = await api.post("/api/users/assignLicense", json=body)
        assert (answer.status_code, answer.json()["target"]) == (202, {"userIds": 2})

    async def test_a_user_and_a_managed_group_can_be_reprocessed(self, world: World) -> None:
        await assigned(world)
        async with client(world) as api:
            group = await api.post(f"/api/groups/{GROUP}/reprocessLicenseAssignment")
            user = await api.post(f"/api/users/{USERS[0]}/reprocessLicenseAssignment")
            unmanaged = await api.post(f"/api/groups/{OTHER_GROUP}/reprocessLicenseAssignment")
        assert [answer.status_code for answer in (group, user, unmanaged)] == [202, 202, 404]
        assert {group.json()["kind"], user.json()["kind"]} == {"reprocess"}

    async def test_what_cannot_be_assigned_is_rejected_with_the_handler_s_words(self, world: World) -> None:
        unknown = "00000000-0000-4000-8000-000000000000"
        async with client(world) as api:
            url = f"/api/groups/{GROUP}/assignLicense"
            answer = await api.post(url, json={"addLicenses": [{"skuId": unknown}], "removeLicenses": []})
        assert answer.status_code == 400
        assert unknown in error_of(answer)["message"]

    async def test_an_approved_preview_needs_its_checksum(self, fakes: Fakes) -> None:
        preview = await insert(fakes.world, preview=True, checksum="abc")
        plain = await insert(fakes.world, checksum="abc")
        async with client(fakes.world) as api:
            url = f"/api/groups/{GROUP}/assignLicense"

            async def approve(operation: Operation, checksum: str) -> httpx.Response:
                approved = {"id": operation.id, "checksum": checksum}
                return await api.post(url, json={**ASSIGN_E3, "approvedPreview": approved})

            wrong, no_preview, right = (
                await approve(preview, "abd"),
                await approve(plain, "abc"),
                await approve(preview, "abc"),
            )
        assert [answer.status_code for answer in (wrong, no_preview, right)] == [409, 409, 202]
        started = await fakes.world.stores.operations.get(OperationId(right.json()["id"]))
        assert started is not None
        assert started.preview_id == preview.id

    async def test_a_preview_with_removals_is_approved_by_a_person_with_the_role_only(self, fakes: Fakes) -> None:
        harmless = await insert(fakes.world, preview=True, checksum="abc")
        taking = await insert(fakes.world, preview=True, checksum="abc", plan=PlanSummary(users_losing=75))
        url = f"/api/groups/{GROUP}/assignLicense"
        body = {"addLicenses": [], "removeLicenses": [E3]}
        callers = {
            "application": app_token(roles=["Licensing.ReadWrite"]),
            "writer": token(claims_of(roles=["Licensing.Write"])),
            "yesterday": token([*claims_of(roles=["Licensing.ReadWrite"]), ("auth_time", "1700000000")]),
            "approver": token(claims_of(roles=["Licensing.Write", "Licensing.Approve"])),
        }
        found = {}
        for name, headers in callers.items():
            async with client(fakes.world, headers=headers) as api:
                approved = {"id": taking.id, "checksum": "abc"}
                rejected = await api.post(url, json={**body, "approvedPreview": approved})
                none_lose = {"id": harmless.id, "checksum": "abc"}
                let = await api.post(url, json={**ASSIGN_E3, "approvedPreview": none_lose})
            code = error_of(rejected)["code"] if rejected.status_code >= 400 else ""
            found[name] = (rejected.status_code, code, let.status_code)
        assert found == {
            "application": (403, "PersonRequired", 202),
            "writer": (403, "Forbidden", 202),
            "yesterday": (401, "SignInTooOld", 202),
            "approver": (202, "", 202),
        }

    async def test_while_the_directory_is_away_the_caller_is_told_when_to_come_back(self, fakes: Fakes) -> None:
        fakes.directory.go_away(12.2)
        async with client(fakes.world) as api:
            answer = await api.post(f"/api/groups/{GROUP}/assignLicense", json=ASSIGN_E3)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "13")
        assert error_of(answer)["code"] == "ServiceUnavailable"

    async def test_a_fault_of_our_own_says_nothing_of_the_inside(self, fakes: Fakes) -> None:
        def break_down() -> str:
            raise RuntimeError("secret detail")

        async with client(replace(fakes.world, token=break_down)) as api:
            answer = await api.post(f"/api/groups/{GROUP}/assignLicense", json=ASSIGN_E3)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert error_of(answer)["code"] == "InternalServerError"
