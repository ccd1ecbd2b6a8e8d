"""Reading users from Graph: complete or failed, never empty by mistake."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.domain.directory import LicenseState, NotAUser, ReadFailed, UserGone
from shared.domain.errors import LicensingError, Unavailable
from shared.domain.ids import UserId
from tests.unit.adapters.directory_reads import GET, GROUP, GROUPS_OF, THROTTLED, all_members, ids, present
from tests.unit.adapters.graph_stub import E3, E5, PLAN, Answer, StubGraph, error, guid, state, user


async def test_a_user_comes_with_states_and_all_groups(stub: StubGraph, directory: GraphDirectory) -> None:
    rows = (
        state(E3.upper(), disabledPlans=[PLAN.upper()]),
        state(E5, assignedByGroup=GROUP.upper(), state="Error", error="CountViolation"),
        state(E5, state="SomethingNew", error=None, lastUpdatedDateTime="2026-02-03T09:15:02.1234567Z"),
    )
    stub.people(user(1, *rows), user(2, usageLocation=None, userType="Guest"), groups=(guid(0xB).upper(), GROUP))
    reads = await directory.users(ids(1, 2))
    one, two = present(reads[UserId(guid(1))]), present(reads[UserId(guid(2))])
    direct, inherited, new = one.license_assignment_states
    assert (direct.sku_id, direct.disabled_plans, direct.assigned_by_group) == (E3, frozenset({PLAN}), None)
    assert (direct.error, direct.last_updated) == (None, datetime(2026, 2, 3, 9, 15, 2, tzinfo=UTC))
    assert (inherited.assigned_by_group, inherited.state, inherited.error) == (GROUP, "Error", "CountViolation")
    assert new.state is LicenseState.OTHER
    assert one.group_ids == {GROUP, guid(0xB)}
    assert two.is_guest
    assert two.usage_location is None
    assert two.license_assignment_states == ()


async def test_twenty_users_are_two_requests(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.people(*(user(number) for number in range(90)))
    assert len(await directory.users(ids(*range(20)))) == 20
    assert len(stub.requests) == 2
    reads = await directory.users(ids(*range(90)), with_groups=False)
    assert list(reads) == ids(*range(90))
    assert all(present(read).id == user_id for user_id, read in reads.items())
    assert len(stub.requests) == 2 + 5


async def test_an_id_given_twice_is_read_once(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.people(user(1))
    assert list(await directory.users(ids(1, 1))) == ids(1)
    assert len(stub.items) == 2


WITHOUT_STATES: dict[str, Any] = {k: v for k, v in user(1).items() if k != "licenseAssignmentStates"}


@pytest.mark.parametrize(
    "broken",
    [
        {GET: Answer(status=0)},
        {GROUPS_OF: Answer(status=0)},
        {GET: Answer(WITHOUT_STATES)},
        {GET: Answer(user(1, licenseAssignmentStates=None))},
        {GET: Answer(user(1, assignedLicenses=None))},
        {GET: Answer(user(1, accountEnabled=None))},
        {GET: Answer(user(1, state(disabledPlans=None)))},
        {GET: Answer(user(1, {k: v for k, v in state().items() if k != "assignedByGroup"}))},
        {GET: Answer(user(1, state(skuId=None)))},
        {GET: Answer(user(1, {**state(), "lastUpdatedDateTime": "yesterday"}))},
        {GET: Answer(None)},
        {GET: Answer([])},
        {GROUPS_OF: Answer({"value": None})},
        {GROUPS_OF: Answer({})},
        {GROUPS_OF: Answer(None)},
        {GROUPS_OF: Answer({"value": [None]})},
        {GROUPS_OF: Answer(error("Directory_ResultSizeLimitExceeded", "too many groups"), 400)},
        {GROUPS_OF: Answer(error("Request_ResourceNotFound", "not there yet"), 404)},
        {GET: Answer(error("Service", "oops"), 500)},
    ],
)
async def test_an_incomplete_read_of_one_user_fails_and_leaves_the_others(
    stub: StubGraph, directory: GraphDirectory, broken: Mapping[str, Answer]
) -> None:
    stub.people(user(1), user(2, state()))
    for pattern, answer in broken.items():
        stub.on("GET" if pattern is GET else "POST", pattern.format(guid(1)), answer)
    reads = await directory.users(ids(1, 2))
    assert isinstance(reads[UserId(guid(1))], ReadFailed)
    assert present(reads[UserId(guid(2))]).direct.keys() == {E3}


@pytest.mark.parametrize("pattern", [GET, GROUPS_OF])
async def test_a_throttled_item_says_when_to_read_again(
    stub: StubGraph, directory: GraphDirectory, pattern: str
) -> None:
    stub.people(user(1), user(2))
    stub.on("GET" if pattern is GET else "POST", pattern.format(guid(1)), THROTTLED)
    reads = await directory.users(ids(1, 2))
    failed = reads[UserId(guid(1))]
    assert isinstance(failed, ReadFailed)
    assert (failed.retry_after_s, failed.rejected) == (17.5, False)
    present(reads[UserId(guid(2))])


async def test_an_item_without_permission_is_a_denied_read(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.people(user(1), user(2))
    denied = Answer(error("Authorization_RequestDenied", "Insufficient privileges"), 403)
    stub.on("GET", GET.format(guid(1)), denied)
    reads = await directory.users(ids(1, 2))
    failed = reads[UserId(guid(1))]
    assert isinstance(failed, ReadFailed)
    assert (failed.denied, failed.rejected) == (True, False)
    assert "Insufficient privileges" in failed.why
    present(reads[UserId(guid(2))])


@pytest.mark.parametrize(
    ("status", "code"), [(403, "Authorization_RequestDenied"), (400, "BadRequest"), (405, "Request_BadRequest")]
)
async def test_a_rejected_batch_is_a_rejected_read_of_every_user(
    stub: StubGraph, directory: GraphDirectory, status: int, code: str
) -> None:
    """A rejected read is an attempt: after eight of them the user is shown as an error. A missing permission is waited
    for."""
    stub.whole = [Answer(error(code, "no"), status)] * 2
    reads = await directory.users(ids(1, 2))
    assert [isinstance(read, ReadFailed) and (read.denied, read.rejected) for read in reads.values()] == [
        (status == 403, status != 403)
    ] * 2


async def test_a_batch_with_throttled_items_may_be_a_424_as_a_whole(stub: StubGraph, directory: GraphDirectory) -> None:
    whole = {"responses": [{"id": "0", "status": 429, "headers": {"Retry-After": "3"}, "body": {}}]}
    stub.whole = [Answer(whole, 424)]
    reads = await directory.users(ids(1), with_groups=False)
    failed = reads[UserId(guid(1))]
    assert isinstance(failed, ReadFailed)
    assert failed.retry_after_s == 3


async def test_an_id_given_twice_in_the_answer_is_a_failed_read(stub: StubGraph, directory: GraphDirectory) -> None:
    item = {"id": "0", "status": 200, "headers": {}, "body": user(1)}
    stub.whole = [Answer({"responses": [item, {**item, "body": user(2)}]})]
    reads = await directory.users(ids(1), with_groups=False)
    assert isinstance(reads[UserId(guid(1))], ReadFailed)


@pytest.mark.parametrize("body", [{}, {"responses": None}, b"<html>"])
async def test_a_batch_answer_without_responses_is_an_outage(
    stub: StubGraph, directory: GraphDirectory, body: Any
) -> None:
    stub.whole = [Answer(body)] * 2
    with pytest.raises(Unavailable):
        await directory.users(ids(1, 2))


async def test_a_batch_address_that_is_not_found_is_an_outage_and_no_missing_user(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    stub.whole = [Answer(None, 404)] * 2
    with pytest.raises(Unavailable):
        await directory.users(ids(1, 2))


async def test_what_is_no_user_is_named_and_what_is_nowhere_is_gone(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.people(user(1))
    device, replicating = guid(3), guid(4)
    kinds = [
        {"@odata.type": "#microsoft.graph.device", "id": device.upper()},
        {"@odata.type": "#microsoft.graph.user", "id": replicating},
    ]
    stub.on("POST", r"^/directoryObjects/getByIds\?\$select=id$", Answer({"value": kinds}))
    reads = await directory.users(ids(1, 2, 3, 4))
    present(reads[UserId(guid(1))])
    assert reads[UserId(guid(2))] == UserGone()
    assert reads[UserId(device)] == NotAUser("device")
    assert isinstance(reads[UserId(replicating)], ReadFailed)


@pytest.mark.parametrize(
    ("answer", "rejected"),
    [(Answer({}), False), (Answer(None, 404), True)],
)
async def test_a_user_is_not_gone_when_nobody_says_what_the_id_is(
    stub: StubGraph, directory: GraphDirectory, answer: Answer, rejected: bool
) -> None:
    stub.people(user(1))
    stub.on("POST", "getByIds", answer)
    reads = await directory.users(ids(1, 2))
    present(reads[UserId(guid(1))])
    failed = reads[UserId(guid(2))]
    assert isinstance(failed, ReadFailed)
    assert failed.rejected is rejected


@pytest.mark.parametrize(
    "answer", [Answer(error("Authorization_RequestDenied", "no"), 403), Answer(error("Request_BadRequest", "no"), 400)]
)
async def test_where_get_by_ids_is_rejected_ids_are_read_one_by_one(
    stub: StubGraph, directory: GraphDirectory, answer: Answer
) -> None:
    """Whether getByIds needs Directory.Read.All is not certain (microsoft-graph-docs-contrib #8798)."""
    stub.people(user(1))
    stub.on("POST", "getByIds", answer)
    gone = Answer(error("Request_ResourceNotFound", "no"), 404)
    for number, there in ((2, ""), (3, "groups"), (4, "users")):
        for path in ("users", "groups"):
            found = Answer({"id": guid(number)}) if path == there else gone
            stub.on("GET", rf"^/{path}/{guid(number)}\?\$select=id$", found)
    assert await directory.kinds([guid(2), guid(3), guid(4)]) == {guid(2): None, guid(3): "group", guid(4): "user"}
    reads = await directory.users(ids(1, 2, 3))
    present(reads[UserId(guid(1))])
    assert (reads[UserId(guid(2))], reads[UserId(guid(3))]) == (UserGone(), NotAUser("group"))


@pytest.mark.parametrize(("status", "asked"), [(403, 2), (400, 4)])
async def test_a_missing_permission_for_get_by_ids_is_tried_again_after_an_hour(
    stub: StubGraph, graph: GraphClient, caplog: pytest.LogCaptureFixture, status: int, asked: int
) -> None:
    """Most tenants reject it always. A 400 can be about these ids, so the next ones are asked for in any case."""
    now = [100.0]
    directory = GraphDirectory(graph, monotonic=lambda: now[0])
    stub.on("POST", "getByIds", Answer(error("Authorization_RequestDenied", "no"), status))
    for path in ("users", "groups"):
        stub.on("GET", rf"^/{path}/{guid(2)}\?", Answer(error("Request_ResourceNotFound", "no"), 404))
    for at in (100.0, 160.0, 3699.0, 3701.0):
        now[0] = at
        assert await directory.kinds([guid(2)]) == {guid(2): None}
    assert sum("getByIds" in str(each.url) for each in stub.requests) == asked
    assert len([each for each in caplog.records if "getByIds" in each.getMessage()]) == asked


@pytest.mark.parametrize(("status", "rejected"), [(403, True), (503, False)])
async def test_a_rejected_read_of_one_id_is_not_taken_for_nothing(
    stub: StubGraph, directory: GraphDirectory, status: int, rejected: bool
) -> None:
    stub.people(user(1))
    stub.on("POST", "getByIds", Answer(error("Authorization_RequestDenied", "no"), 403))
    stub.on("GET", rf"^/groups/{guid(2)}\?\$select=id$", Answer(error("Some", "no"), status))
    reads = await directory.users(ids(1, 2))
    present(reads[UserId(guid(1))])
    failed = reads[UserId(guid(2))]
    assert isinstance(failed, ReadFailed)
    assert failed.rejected is rejected


async def test_graph_away_is_unavailable_with_the_time_to_wait(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.whole = [Answer(None, 503, {"Retry-After": "60"})] * 2
    with pytest.raises(Unavailable) as caught:
        await directory.users(ids(1, 2))
    assert caught.value.retry_after_s == 60


@pytest.mark.parametrize("raised", [httpx.ConnectError("no route"), httpx.ReadTimeout("silent")])
async def test_every_read_of_the_directory_raises_the_projects_own_errors(
    stub: StubGraph, directory: GraphDirectory, raised: Exception
) -> None:
    stub.whole = [raised] * 100
    for read in (
        directory.organization(),
        directory.subscribed_skus(),
        directory.group(GROUP),
        directory.users(ids(1, 2)),
        all_members(directory),
    ):
        with pytest.raises(LicensingError):
            await read
