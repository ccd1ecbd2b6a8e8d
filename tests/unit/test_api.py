"""The HTTP API with fakes behind it: who may, what is refused and how it says so, and what comes back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import azure.functions as func
import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from functions.web.application import ACCESS, MAX_BODY, build
from functions.web.principal import Access
from shared.bootstrap import App, SignIn
from shared.domain.allowance import AllowanceState, take
from shared.domain.messages import OPERATIONS
from shared.domain.model import (
    AssignedLicense,
    GroupId,
    LedgerRow,
    LicenseAssignmentState,
    LicenseError,
    MemberState,
    OperationId,
    OwnedLicense,
    ServicePlan,
    ServicePlanId,
    SkuId,
    Source,
    SourceKind,
    SubscribedSku,
    UserId,
)
from shared.domain.operation import Operation, OperationState, PlanSummary
from shared.domain.outcomes import ChunkOutcome, OutcomeClass, Problem
from shared.domain.records import GroupState, GroupStatus, MemberRow
from shared.domain.sealing import PlannedAction, pages_of
from shared.ports import World
from tests.unit.api_calls import ON, READER, TENANT, WRITER, claims_of, client, session, token
from tests.unit.worlds import Fakes, fake_world

GROUP = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e3f")
OTHER_GROUP = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e40")
USERS = [UserId("1d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e"), UserId("9b1f2e3d-4c5b-4a69-8877-665544332211")]
E3 = SkuId("05e9a617-0261-4cee-bb44-138d3ef5d965")
E5 = SkuId("06ebc4ee-1bb5-47dd-8120-11324bc54e06")
MAIL = ServicePlanId("a23b959c-7ce8-4e57-9140-b90eb88a9e97")
CHAT = ServicePlanId("57ff2da0-773e-42df-b2af-ffb7a2317929")
LOST = OperationId("f" * 32)

ASSIGN_E3 = {"addLicenses": [{"skuId": E3, "disabledPlans": [CHAT]}], "removeLicenses": []}
PATH_VALUES = {"operation_id": LOST, "group_id": GROUP, "user_id": USERS[0]}


@pytest.fixture
def fakes() -> Fakes:
    fakes = fake_world()
    for sku_id, name in ((E3, "SPE_E3"), (E5, "SPE_E5")):
        plans = (ServicePlan(MAIL, "EXCHANGE"), ServicePlan(CHAT, "TEAMS1"))
        fakes.directory.add_sku(SubscribedSku(sku_id, name, plans, enabled=100))
    for user_id in USERS:
        fakes.directory.add_user(user_id)
    fakes.directory.add_group(GROUP, USERS)
    return fakes


@pytest.fixture
def world(fakes: Fakes) -> World:
    return fakes.world


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer, which has Graph's shape."""
    body = answer.json()
    assert set(body) == {"error"}
    error: dict[str, Any] = body["error"]
    assert {"code", "message", "innerError"} <= set(error) <= {"code", "message", "target", "innerError"}
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    return error


async def assigned(world: World, body: dict[str, Any] = ASSIGN_E3, **headers: str) -> dict[str, Any]:
    """The operation of an accepted assignLicense."""
    async with client(world) as api:
        answer = await api.post(f"/api/groups/{GROUP}/assignLicense", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    operation: dict[str, Any] = answer.json()
    return operation


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    """Every route the application answers, whatever router it came in by."""
    found: set[tuple[str, str]] = set()
    waiting: list[Any] = list(app.routes)
    while waiting:
        route = waiting.pop()
        if isinstance(route, APIRoute):
            found |= {(method, route.path) for method in route.methods}
        else:
            waiting += route.original_router.routes
    return found


class TestAccess:
    def test_every_route_stands_in_the_table_and_every_row_is_a_route(self, world: World) -> None:
        app = build(lambda: App(world, ON))
        assert routes_of(app) == set(ACCESS)
        documented = {(verb.upper(), path) for path, verbs in app.openapi()["paths"].items() for verb in verbs}
        assert documented == set(ACCESS) - {("GET", "/api/openapi.json")}

    @pytest.mark.parametrize(("method", "path"), sorted(ACCESS))
    async def test_each_route_refuses_who_lacks_its_role(self, world: World, method: str, path: str) -> None:
        url = path.format(**PATH_VALUES)
        lesser = claims_of(roles=["Licensing.Read"] if ACCESS[method, path] is Access.WRITE else ["Onboarding.Write"])
        async with client(world, headers={}) as api:
            nobody = await api.request(method, url)
            reader = await api.request(method, url, headers=token(lesser), json={})
            writer = await api.request(method, url, headers=WRITER, json={})
        assert (nobody.status_code, error_of(nobody)["code"]) == (401, "Unauthorized")
        assert (reader.status_code, error_of(reader)["code"]) == (403, "Forbidden")
        assert writer.status_code not in (401, 403)

    async def test_everything_is_refused_while_platform_authentication_is_off(self, world: World) -> None:
        off = SignIn(platform_authentication=False, tenant_id=TENANT)
        async with client(world, off) as api:
            answers = [await api.get("/api/operations"), await api.get("/api/no-such-route")]
        assert [answer.status_code for answer in answers] == [401, 401]

    async def test_a_write_from_another_site_s_page_is_refused_and_one_from_our_own_accepted(
        self, fakes: Fakes
    ) -> None:
        browser = session(claims_of(roles=["Licensing.ReadWrite"]))
        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(fakes.world, headers=browser) as api:
            foreign = await api.post(url, json=ASSIGN_E3, headers={"sec-fetch-site": "cross-site"})
            assert not await fakes.world.stores.operations.open()
            own = await api.post(url, json=ASSIGN_E3, headers={"sec-fetch-site": "same-origin"})
        assert (foreign.status_code, error_of(foreign)["code"]) == (403, "CrossSiteRequest")
        assert own.status_code == 202


class TestRequests:
    async def bad(self, world: World, body: object, path: str = f"/api/groups/{GROUP}/assignLicense") -> dict[str, Any]:
        async with client(world) as api:
            answer = await api.post(path, json=body)
        assert answer.status_code == 400, answer.text
        return error_of(answer)

    async def test_both_arrays_are_required(self, world: World) -> None:
        assert (await self.bad(world, {"addLicenses": []}))["target"] == "removeLicenses"
        assert (await self.bad(world, {"removeLicenses": []}))["target"] == "addLicenses"

    async def test_a_request_that_changes_nothing_is_refused(self, world: World) -> None:
        assert "both empty" in (await self.bad(world, {"addLicenses": [], "removeLicenses": []}))["message"]

    async def test_a_sku_in_both_arrays_is_refused_whatever_its_case(self, world: World) -> None:
        error = await self.bad(world, {"addLicenses": [{"skuId": E3.upper()}], "removeLicenses": [E3]})
        assert f"SKU {E3} is in addLicenses and in removeLicenses" in error["message"]

    async def test_a_fault_names_the_field_and_what_stood_there(self, world: World) -> None:
        error = await self.bad(world, {"addLicenses": [{"skuId": E3}, {"skuId": "E3"}], "removeLicenses": []})
        assert error["target"] == "addLicenses.1.skuId"
        assert "must be a GUID, not 'E3'" in error["message"]
        plans = {"addLicenses": [{"skuId": E3, "disabledPlans": ["x"]}], "removeLicenses": []}
        assert (await self.bad(world, plans))["target"] == "addLicenses.0.disabledPlans.0"

    async def test_a_misspelt_field_is_refused_and_an_odata_annotation_let_pass(self, world: World) -> None:
        error = await self.bad(world, {**ASSIGN_E3, "addLicences": []})
        assert error["target"] == "addLicences"
        annotated = [{"@odata.type": "#microsoft.graph.assignedLicense", "skuId": E3}]
        await assigned(world, {"addLicenses": annotated, "removeLicenses": []})

    async def test_lists_have_limits_that_the_error_names(self, world: World) -> None:
        many_skus = {"addLicenses": [], "removeLicenses": [E3] * 51}
        assert "at most 50" in (await self.bad(world, many_skus))["message"]
        many_users = {**ASSIGN_E3, "userIds": [USERS[0]] * 5001}
        error = await self.bad(world, many_users, "/api/users/assignLicense")
        assert (error["target"], "at most 5000" in error["message"]) == ("userIds", True)
        none = await self.bad(world, {**ASSIGN_E3, "userIds": []}, "/api/users/assignLicense")
        assert none["target"] == "userIds"

    async def test_bodies_that_are_no_json_object_are_refused(self, world: World) -> None:
        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(world) as api:
            broken = await api.post(url, content=b"{", headers={"content-type": "application/json"})
            text = await api.post(url, content=b"{}", headers={"content-type": "text/plain"})
            array = await api.post(url, json=[])
        assert [answer.status_code for answer in (broken, text, array)] == [400, 400, 400]
        assert error_of(broken)["code"] == "InvalidJson"
        assert "JSON object" in error_of(text)["message"]
        assert "JSON object" in error_of(array)["message"]

    async def test_a_body_over_the_limit_is_refused_with_and_without_its_length(self, world: World) -> None:
        async def pieces() -> Any:
            for _ in range(3):
                yield b" " * (MAX_BODY // 2)

        url = f"/api/groups/{GROUP}/assignLicense"
        async with client(world) as api:
            known = await api.post(url, content=b" " * (MAX_BODY + 1))
            unknown = await api.post(url, content=pieces())
        for answer in (known, unknown):
            assert (answer.status_code, error_of(answer)["code"]) == (413, "RequestTooLarge")

    async def test_ids_in_the_path_and_paging_are_checked(self, world: World) -> None:
        async with client(world) as api:
            answers = [
                await api.get("/api/groups/sales/status"),
                await api.get("/api/operations/42"),
                await api.get("/api/operations?$top=0"),
                await api.get("/api/operations?$top=1000"),
                await api.get(f"/api/operations?$skiptoken={'x' * 2049}"),
            ]
        assert [answer.status_code for answer in answers] == [400] * 5
        assert error_of(answers[2])["target"] == "$top"

    async def test_unknown_things_are_404_and_wrong_methods_405_in_the_same_shape(self, world: World) -> None:
        async with client(world) as api:
            answers = [
                await api.get("/api/nothing"),
                await api.get(f"/api/operations/{LOST}"),
                await api.get(f"/api/groups/{OTHER_GROUP}/licenseAssignment"),
                await api.get(f"/api/groups/{OTHER_GROUP}/status"),
                await api.get(f"/api/groups/{OTHER_GROUP}/members"),
                await api.get(f"/api/users/{GROUP}/licenses"),
                await api.delete("/api/operations"),
            ]
        assert [answer.status_code for answer in answers] == [404] * 6 + [405]
        assert {error_of(answer)["code"] for answer in answers} == {"NotFound", "MethodNotAllowed"}


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
        assert operation["requestedBy"] == "ada@fabrikam.example"
        assert operation["addLicenses"] == [{"skuId": E3, "disabledPlans": [CHAT]}]
        assert [message.queue for message in fakes.sent()] == [OPERATIONS]

    async def test_the_same_idempotency_key_gives_the_same_operation(self, world: World) -> None:
        first = await assigned(world, **{"idempotency-key": "k-1"})
        again = await assigned(world, **{"idempotency-key": '"k-1"'})
        other = await assigned(world, **{"idempotency-key": "k-2"})
        assert first["id"] == again["id"] != other["id"]

    async def test_an_idempotency_key_used_for_something_else_is_a_conflict(self, world: World) -> None:
        await assigned(world, **{"idempotency-key": "k-1"})
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

    async def test_what_cannot_be_assigned_is_refused_with_the_handler_s_words(self, world: World) -> None:
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


async def insert(world: World, **changes: Any) -> Operation:
    """A stored operation that differs from an accepted one as told."""
    operation = await world.stores.operations.get(OperationId((await assigned(world))["id"]))
    assert operation is not None
    operation_id = OperationId(f"{len(await world.stores.operations.open()):012x}" + operation.id[12:])
    return await world.stores.operations.insert(replace(operation, id=operation_id, version=None, **changes))


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
    async def test_options_that_make_no_sense_are_refused(self, world: World, patch: dict[str, Any]) -> None:
        await assigned(world)
        async with client(world) as api:
            answer = await api.patch(f"/api/groups/{GROUP}/licenseAssignment", json=patch)
        assert answer.status_code == 400
        assert error_of(answer)["code"] == "InvalidRequest"


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
        assert again.status_code == 400

    async def test_an_approval_names_the_list_by_its_checksum(self, world: World) -> None:
        waiting = await insert(
            world,
            state=OperationState.AWAITING_APPROVAL,
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
        assert [answer.status_code for answer in (wrong, missing, right)] == [400, 400, 200]
        assert (right.json()["approvedBy"], right.json()["state"]) == ("ada@fabrikam.example", "ProcessingInProgress")
        assert left == []

    async def test_a_rejected_approval_goes_on_to_keep_the_licenses(self, world: World) -> None:
        waiting = await insert(world, state=OperationState.AWAITING_APPROVAL, checksum="abc")
        async with client(world) as api:
            answer = await api.post(f"/api/operations/{waiting.id}/reject")
        assert (answer.status_code, answer.json()["phase"]) == (200, "reject")

    async def test_the_plan_is_shown_member_by_member_with_outcomes(self, world: World) -> None:
        people = [UserId(f"{number:08x}-0000-4000-8000-000000000000") for number in range(1005)]
        due = PlannedAction(due=True, expected=OutcomeClass.APPLIED, add=(AssignedLicense(E3),), notes=("inGrace x",))
        actions = [(user, due if number % 2 else PlannedAction(due=False)) for number, user in enumerate(people)]
        pages = pages_of(actions, world.policy.chunk_size)
        operation = await insert(world, seal_id="s1", pages=len(pages))
        await world.stores.sealed.write(operation.id, "s1", pages)
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


def member_row(user_id: UserId, state: MemberState, problems: Iterable[Problem] = ()) -> MemberRow:
    return MemberRow(
        group_id=GROUP,
        user_id=user_id,
        user_principal_name=f"{user_id[:4]}@fabrikam.example",
        display_name=f"User {user_id[:4]}",
        state=state,
        updated_at=fake_world().world.clock.now(),
        problems=tuple(problems),
        attempts=2,
    )


class TestGroups:
    async def test_members_with_errors_come_with_problem_and_remedy_and_the_others_do_not(self, fakes: Fakes) -> None:
        await assigned(fakes.world)
        problem = Problem(LicenseError.COUNT_VIOLATION, "No seat is free.", "Buy seats.", E3)
        rows = [member_row(USERS[0], MemberState.ACTIVE), member_row(USERS[1], MemberState.ERROR, [problem])]
        await fakes.world.stores.members.record(rows)
        async with client(fakes.world, headers=READER) as api:
            everybody = (await api.get(f"/api/groups/{GROUP}/members")).json()["value"]
            troubled = (await api.get(f"/api/groups/{GROUP}/membersWithLicenseErrors")).json()["value"]
        assert sorted(each["id"] for each in everybody) == sorted(USERS)
        assert [each["id"] for each in troubled] == [USERS[1]]
        assert (troubled[0]["state"], troubled[0]["attempts"]) == ("Error", 2)
        assert troubled[0]["problems"] == [
            {
                "skuId": E3,
                "skuPartNumber": "SPE_E3",
                "error": "CountViolation",
                "message": "No seat is free.",
                "remedy": "Buy seats.",
            }
        ]

    async def test_the_error_list_can_be_read_while_the_directory_is_away(self, fakes: Fakes) -> None:
        await assigned(fakes.world)
        problem = Problem(LicenseError.OTHER, "Refused.", "Ask.", E3)
        await fakes.world.stores.members.record([member_row(USERS[0], MemberState.ERROR, [problem])])
        fakes.directory.go_away()
        async with client(fakes.world, headers=READER) as api:
            answer = await api.get(f"/api/groups/{GROUP}/membersWithLicenseErrors")
        assert answer.status_code == 200
        assert answer.json()["value"][0]["problems"][0]["skuPartNumber"] is None

    async def test_a_group_is_in_progress_until_there_is_a_snapshot(self, fakes: Fakes) -> None:
        operation = await assigned(fakes.world)
        async with client(fakes.world, headers=READER) as api:
            before = (await api.get(f"/api/groups/{GROUP}/status")).json()
            status = GroupStatus(GROUP, GroupState.ERRORS, members=1000, counts={"Active": 998, "Error": 2})
            await fakes.world.stores.group_status.save(status)
            source = str(Source(SourceKind.GROUP, GROUP))
            _, state = take(AllowanceState(), 7, 100, fakes.world.clock.now())
            await fakes.world.stores.permits.save_allowance(source, state.to_json(), None)
            after = (await api.get(f"/api/groups/{GROUP}/status")).json()
        assert (before["status"], before["operationId"]) == ("In progress", operation["id"])
        assert (after["status"], after["counts"]) == ("Errors and issues", {"Active": 998, "Error": 2})
        assert after["removalAllowance"] == {"used": 7, "limit": 100, "period": "P1D"}


class TestUsersAndProducts:
    async def test_each_license_of_a_user_says_where_it_comes_from(self, fakes: Fakes) -> None:
        now = fakes.world.clock.now()
        inherited = LicenseAssignmentState(E5, frozenset(), assigned_by_group=OTHER_GROUP)
        user = UserId("2d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
        fakes.directory.add_user(user, has=[AssignedLicense(E3), AssignedLicense(E5)], rows=[inherited])
        owned = OwnedLicense(frozenset(), now, (Source(SourceKind.GROUP, GROUP),))
        await fakes.world.stores.ledger.write([LedgerRow(user, owned={E3: owned})])
        async with client(fakes.world, headers=READER) as api:
            found = (await api.get(f"/api/users/{user}/licenses")).json()["value"]
        assert [(each["skuPartNumber"], each["source"], each["assignedByGroup"]) for each in found] == [
            ("SPE_E3", "groupBasedLicensing", None),
            ("SPE_E5", "direct", None),
            ("SPE_E5", "nativeGroup", OTHER_GROUP),
        ]
        assert found[0]["through"] == [{"kind": "group", "id": GROUP}]

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


async def test_the_application_answers_behind_azure_s_adapter(world: World) -> None:
    middleware = func.AsgiMiddleware(build(lambda: App(world, ON)))
    request = func.HttpRequest(
        method="POST",
        url=f"https://licensing.example/api/groups/{GROUP}/assignLicense",
        headers={**WRITER, "content-type": "application/json"},
        body=json.dumps(ASSIGN_E3).encode(),
    )
    answer = await middleware.handle_async(request)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/operations/{json.loads(answer.get_body())['id']}"
