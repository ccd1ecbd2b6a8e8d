"""Members and status of groups over the API."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from shared.domain.directory import LicenseError
from shared.domain.grant import Source, SourceKind
from shared.domain.group_status import GroupState, GroupStatus
from shared.domain.ids import SkuId, UserId
from shared.domain.member_status import MemberState
from shared.domain.outcomes import Problem
from shared.domain.pending_removal import Hold, HoldKind, PendingRemoval, ScopeState
from shared.domain.permit import Claim
from shared.domain.read_models import MemberRow
from tests.support.api_calls import E3, GROUP, READER, USERS, assigned, client, error_of
from tests.support.worlds import Fakes, fake_world


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
                "heldBackBy": [],
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
            rejected = await api.get(f"/api/groups/{GROUP}/members?state=Lost")
        assert found == ids[1::2]
        assert (rejected.status_code, error_of(rejected)["target"]) == (400, "state")

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
            source, now = Source(SourceKind.GROUP, GROUP), fakes.world.clock.now()
            people = [UserId(str(uuid.UUID(int=number))) for number in range(7)]
            rows = [PendingRemoval(Claim(source), each, SkuId(E3), now, allowed_at=now) for each in people]
            hold = Hold(now, "The group reads as empty.", HoldKind.GROUP_EMPTY)
            await fakes.world.stores.removals.save(str(source), ScopeState(hold), None, rows)
            after = (await api.get(f"/api/groups/{GROUP}/status")).json()
        assert (before["status"], before["operationId"]) == ("In progress", operation["id"])
        assert (after["status"], after["counts"]) == ("Errors and issues", {"Active": 998, "Error": 2})
        assert after["removalAllowance"] == {
            "used": 7,
            "limit": 20,
            "period": "P1D",
            "pending": 0,
            "decidedDateTime": None,
            "heldBecause": "The group reads as empty.",
            "heldKind": "groupEmpty",
        }
