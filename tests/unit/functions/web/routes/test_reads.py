"""What the HTTP API shows: assignments, operations and their plans, groups, members, users, products."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.allowance import AllowanceState, take
from shared.domain.directory import AssignedLicense, LicenseAssignmentState, LicenseError
from shared.domain.grant import Grant, Source, SourceKind
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import UserId
from shared.domain.ledger_row import LedgerRow, OwnedLicense
from shared.domain.member_status import MemberState
from shared.domain.operation import OperationState, Phase, PlanSummary
from shared.domain.outcomes import ChunkOutcome, OutcomeClass, Problem
from shared.domain.read_models import AuditEntry, MemberRow
from shared.domain.snapshot_pages import PlannedAction, pages_of
from shared.handlers.membership.subscription import keep_subscription
from shared.ports.world import World
from tests.support.api_calls import (
    ASSIGN_E3,
    CHAT,
    E3,
    E5,
    GROUP,
    OTHER_GROUP,
    READER,
    USERS,
    WRITER,
    assigned,
    client,
    error_of,
    insert,
    small_tenant,
)
from tests.support.worlds import Fakes, fake_world


@pytest.fixture
def fakes() -> Fakes:
    return small_tenant()


@pytest.fixture
def world(fakes: Fakes) -> World:
    return fakes.world


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

    async def test_a_reused_key_is_no_failed_precondition(self, world: World) -> None:
        url = f"/api/groups/{GROUP}/assignLicense"
        headers = {**WRITER, "idempotency-key": "k-1", "if-match": 'W/"0"'}
        async with client(world, headers=headers) as api:
            first = await api.post(url, json=ASSIGN_E3)
            other = await api.post(url, json={**ASSIGN_E3, "options": {"priority": 1}})
        assert (first.status_code, other.status_code, error_of(other)["code"]) == (202, 409, "Conflict")

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
        assert (again.status_code, again.json()["state"]) == (200, "Cancelled")

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
        assert [answer.status_code for answer in (wrong, missing, right)] == [400, 400, 200]
        assert (right.json()["approvedBy"], right.json()["state"]) == ("ada@fabrikam.example", "ProcessingInProgress")
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

    async def test_members_of_one_state_are_paged(self, fakes: Fakes) -> None:
        await assigned(fakes.world)
        ids = sorted(str(uuid.uuid4()) for _ in range(6))
        states = [MemberState.ACTIVE, MemberState.PENDING] * 3
        rows = [member_row(UserId(each), state) for each, state in zip(ids, states, strict=True)]
        await fakes.world.stores.members.record(rows)
        url: str | None = f"/api/groups/{GROUP}/members?state=Pending&$top=2"
        found: list[str] = []
        async with client(fakes.world, headers=READER) as api:
            for _ in range(5):
                answer = (await api.get(url)).json() if url else {"value": []}
                found += [each["id"] for each in answer["value"]]
                url = answer.get("@odata.nextLink")
            refused = await api.get(f"/api/groups/{GROUP}/members?state=Lost")
        assert found == ids[1::2]
        assert (refused.status_code, error_of(refused)["target"]) == (400, "state")

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

    async def test_a_license_that_ends_says_when_and_a_person_decides_about_it(self, fakes: Fakes) -> None:
        now = fakes.world.clock.now()
        user = UserId("2d0c3a5e-8a44-4f77-a5a1-2f2f3b4c5d6e")
        fakes.directory.add_user(user, has=[AssignedLicense(E3)])
        owned = OwnedLicense(frozenset(), now, (Source(SourceKind.GROUP, GROUP),))
        await fakes.world.stores.ledger.write([LedgerRow(user, owned={E3: owned})])
        ends = now + timedelta(days=30)
        grace = Grant(E3, frozenset(), Source(SourceKind.GRACE), ends)
        await fakes.world.stores.grants.put([(user, grace)])
        async with client(fakes.world) as api:
            (shown,) = (await api.get(f"/api/users/{user}/licenses")).json()["value"]
            refused = await api.post(f"/api/users/{user}/keepLicenses", json={"skuIds": [E5]})
            kept = await api.post(f"/api/users/{user}/keepLicenses", json={"skuIds": [E3]})
            (after,) = (await api.get(f"/api/users/{user}/licenses")).json()["value"]
            going = await api.post(f"/api/users/{user}/removeLicensesNow", json={"skuIds": [E3]})
        assert (shown["ending"], shown["removalDateTime"]) == ("grace", ends.isoformat().replace("+00:00", "Z"))
        assert (refused.status_code, error_of(refused)["code"]) == (400, "LicenseNotEnding")
        assert (kept.status_code, after["ending"], after["removalDateTime"]) == (204, "kept", None)
        assert going.status_code == 202
        assert len(fakes.sent()) == 2

    async def test_readers_see_the_subscription_without_its_secret(self, fakes: Fakes) -> None:
        async with client(fakes.world, headers=READER) as api:
            before = (await api.get("/api/changeFeed")).json()
            made = await keep_subscription(fakes.world)
            answer = await api.get("/api/changeFeed")
        assert made is not None
        assert (before["expected"], before["subscription"], before["lastDeltaDateTime"]) == (True, None, None)
        shown = answer.json()["subscription"]
        assert (shown["id"], shown["lastNotificationDateTime"]) == (made.id, None)
        assert shown["expirationDateTime"] > shown["createdDateTime"]
        assert made.client_state not in answer.text

    async def test_products_groups_and_people_are_found(self, fakes: Fakes) -> None:
        await assigned(fakes.world)
        async with client(fakes.world, headers=READER) as api:
            licenses = (await api.get("/api/licenses")).json()["value"]
            managed = (await api.get("/api/groups")).json()["value"]
            found = (await api.get("/api/groups?search=no-such-name")).json()["value"]
            person = (await api.get(f"/api/users/{USERS[0]}")).json()
            nobody = await api.get("/api/users?search=")
        assert (licenses[0]["displayName"], licenses[0]["groups"][0]["id"]) == ("Microsoft 365 E3", GROUP)
        assert licenses[1]["groups"] == []
        assert [(each["id"], each["assignedSkuIds"]) for each in managed] == [(GROUP, [E3])]
        assert (found, person["licenses"], nobody.status_code) == ([], [], 400)

    async def test_the_audit_log_is_searched_by_what_an_entry_names(self, fakes: Fakes) -> None:
        await assigned(fakes.world)
        async with client(fakes.world, headers=READER) as api:
            all_of_it = (await api.get("/api/audit")).json()["value"]
            of_group = (await api.get(f"/api/audit?group={GROUP.upper()}&activity=set")).json()["value"]
            of_nobody = (await api.get("/api/audit?actor=nobody")).json()["value"]
            too_many = await api.get("/api/audit?$top=1000")
        assert {each["groupId"] for each in all_of_it} == {GROUP}
        assert [each["activityDisplayName"] for each in of_group] == ["Set group license"]
        assert (of_nobody, too_many.status_code) == ([], 400)

    async def test_the_audit_log_is_paged_and_searched_by_time(self, fakes: Fakes) -> None:
        now = fakes.clock.now()
        entries = [AuditEntry(f"{n}", now - timedelta(days=n), "Act & more", "me", "success") for n in range(60)]
        await fakes.world.stores.audit.append(entries)
        async with client(fakes.world, headers=READER) as api:
            first = (await api.get("/api/audit?$top=20&activity=act%20%26")).json()
            second = (await api.get(first["@odata.nextLink"])).json()
            day = f"{now - timedelta(days=40):%Y-%m-%d}"
            of_day = (await api.get(f"/api/audit?since={day}&until={day}")).json()
            refused = [
                await api.get(f"/api/audit?{query}")
                for query in ("since=soon", "since=2001-01-01", "since=2026-01-03&until=2026-01-01", "until=9999-12-31")
            ]
            foreign = await api.get("/api/audit?$skiptoken=m-1")
        assert [each["id"] for each in first["value"] + second["value"]] == [str(n) for n in range(32)]
        assert "@odata.nextLink" not in second
        assert [each["id"] for each in of_day["value"]] == ["40"]
        assert [error_of(answer)["target"] for answer in refused] == ["since", "since", "since", "until"]
        assert error_of(foreign)["target"] == "$skiptoken"
