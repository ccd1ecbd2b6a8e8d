"""Reading the directory: complete or failed, never empty by mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.domain.directory import DirectoryUser, LicenseState, NotAUser, ReadFailed, UserGone, UserRead
from shared.domain.errors import LicensingError, NotFound, PermissionDenied, Unavailable
from shared.domain.ids import GroupId, UserId
from tests.unit.adapters.graph_stub import BASE, E3, E5, PLAN, Answer, StubGraph, error, guid, state, user

GROUP = GroupId(guid(0xA))
MEMBERS = rf"^/groups/{GROUP}/transitiveMembers"
GET = r"^/users/{}\?"
GROUPS_OF = r"^/users/{}/getMemberGroups$"
THROTTLED = Answer(error("TooManyRequests", "later"), 429, {"Retry-After": "17.5"})


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def stub() -> StubGraph:
    return StubGraph()


@pytest.fixture
async def graph(stub: StubGraph) -> AsyncIterator[GraphClient]:
    client = stub.client()
    yield client
    await client.close()


@pytest.fixture
def directory(graph: GraphClient) -> GraphDirectory:
    return GraphDirectory(graph)


def ids(*numbers: int) -> list[UserId]:
    return [UserId(guid(number)) for number in numbers]


def present(read: UserRead) -> DirectoryUser:
    assert isinstance(read, DirectoryUser), read
    return read


async def all_members(directory: GraphDirectory) -> list[DirectoryUser]:
    return [each async for page in directory.member_pages(GROUP) for each in page]


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
    assert (failed.retry_after_s, failed.refused) == (17.5, False)
    present(reads[UserId(guid(2))])


async def test_a_refused_item_is_a_refused_read(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.people(user(1), user(2))
    denied = Answer(error("Authorization_RequestDenied", "Insufficient privileges"), 403)
    stub.on("GET", GET.format(guid(1)), denied)
    reads = await directory.users(ids(1, 2))
    failed = reads[UserId(guid(1))]
    assert isinstance(failed, ReadFailed)
    assert failed.refused
    assert "Insufficient privileges" in failed.why
    present(reads[UserId(guid(2))])


async def test_a_refused_batch_is_a_refused_read_of_every_user(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.whole = [Answer(error("Authorization_RequestDenied", "no"), 403)] * 2
    reads = await directory.users(ids(1, 2))
    assert [isinstance(read, ReadFailed) and read.refused for read in reads.values()] == [True, True]


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
    ("answer", "refused"),
    [(Answer(error("Authorization_RequestDenied", "no"), 403), True), (Answer({}), False), (Answer(None, 404), False)],
)
async def test_a_user_is_not_gone_when_nobody_says_what_the_id_is(
    stub: StubGraph, directory: GraphDirectory, answer: Answer, refused: bool
) -> None:
    stub.people(user(1))
    stub.on("POST", "getByIds", answer)
    reads = await directory.users(ids(1, 2))
    present(reads[UserId(guid(1))])
    failed = reads[UserId(guid(2))]
    assert isinstance(failed, ReadFailed)
    assert failed.refused is refused


async def test_graph_away_is_unavailable_with_the_time_to_wait(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.whole = [Answer(None, 503, {"Retry-After": "60"})] * 2
    with pytest.raises(Unavailable) as caught:
        await directory.users(ids(1, 2))
    assert caught.value.retry_after_s == 60


async def test_members_come_from_all_pages_and_only_users(stub: StubGraph, directory: GraphDirectory) -> None:
    def page(path: str, _: Any) -> Answer:
        if "skiptoken=2" in path:
            return Answer({"value": [], "@odata.nextLink": f"{BASE}/groups/{GROUP}/transitiveMembers?$skiptoken=3"})
        if "skiptoken=3" in path:
            return Answer({"value": [user(0xABC, state(E5), id=guid(0xABC).upper())]})
        others = [{"@odata.type": f"#microsoft.graph.{kind}", "id": guid(9)} for kind in ("group", "device")]
        link = f"{BASE}/groups/{GROUP}/transitiveMembers?$skiptoken=2"
        return Answer({"value": [user(1, state()), *others, user(2, state())], "@odata.nextLink": link})

    stub.route("GET", MEMBERS, page)
    pages = [page async for page in directory.member_pages(GROUP)]
    assert [[each.id for each in page] for page in pages] == [ids(1, 2), [], ids(0xABC)]
    one, two = pages[0]
    assert one.license_assignment_states is two.license_assignment_states
    assert one.license_assignment_states[0].last_updated is None
    assert pages[2][0].direct.keys() == {E5}
    asked = str(stub.requests[0].url)
    assert "$top=999" in asked
    assert "microsoft.graph.user" not in asked


async def test_states_of_members_that_differ_are_not_shared(stub: StubGraph, directory: GraphDirectory) -> None:
    rows = [
        user(1, state()),
        user(2, state(disabledPlans=[PLAN])),
        user(3, state(assignedByGroup=GROUP)),
        user(4, state(state="Error", error="CountViolation")),
        user(5, state(), state(E5)),
        user(6),
    ]
    stub.on("GET", MEMBERS, Answer({"value": rows}))
    found = await all_members(directory)
    assert len({each.license_assignment_states for each in found}) == 6
    stub.people(*rows)
    read = await directory.users(ids(1, 2, 3, 4, 5, 6), with_groups=False)
    for each in found:
        alone = present(read[each.id]).license_assignment_states
        assert [(s.sku_id, s.disabled_plans, s.assigned_by_group, s.state, s.error) for s in alone] == [
            (s.sku_id, s.disabled_plans, s.assigned_by_group, s.state, s.error) for s in each.license_assignment_states
        ]


async def test_a_next_link_to_another_host_ends_the_reading_and_gets_no_token(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    link = "https://elsewhere.example/v1.0/groups/x/transitiveMembers?$skiptoken=2"
    stub.on("GET", MEMBERS, Answer({"value": [user(1)], "@odata.nextLink": link}))
    with pytest.raises(Unavailable, match=r"elsewhere\.example"):
        await all_members(directory)
    assert {each.url.host for each in stub.requests} == {"graph.example"}


LINK = f"{BASE}/groups/{GROUP}/transitiveMembers?$skiptoken=2"


@pytest.mark.parametrize(
    "second",
    [
        Answer({}),
        Answer({"value": None}),
        Answer(b""),
        Answer(error("Directory_ExpiredPageToken", "expired"), 400),
        Answer(None, 410),
        Answer({"value": [user(2)], "@odata.nextLink": LINK}),
        Answer({"value": [user(2)], "@odata.nextLink": 7}),
        Answer({"value": [{"id": guid(2)}]}),
        Answer({"value": [None]}),
        Answer({"value": [user(2, state(disabledPlans=None))]}),
        Answer(None, 429, {"Retry-After": "100"}),
    ],
)
async def test_members_that_break_off_raise_and_do_not_end(
    stub: StubGraph, directory: GraphDirectory, second: Answer
) -> None:
    stub.on("GET", MEMBERS, Answer({"value": [user(1)], "@odata.nextLink": LINK}), second)
    with pytest.raises(Unavailable):
        await all_members(directory)


async def test_pages_that_go_round_in_a_circle_raise(stub: StubGraph, directory: GraphDirectory) -> None:
    def page(path: str, _: Any) -> Answer:
        other = 1 if "skiptoken=2" in path else 2
        link = f"{BASE}/groups/{GROUP}/transitiveMembers?$skiptoken={other}"
        return Answer({"value": [user(other)], "@odata.nextLink": link})

    stub.route("GET", MEMBERS, page)
    with pytest.raises(Unavailable, match="end"):
        await all_members(directory)


@pytest.mark.parametrize("name", ["accountEnabled", "userPrincipalName"])
async def test_members_without_their_properties_name_the_permission(
    stub: StubGraph, directory: GraphDirectory, name: str
) -> None:
    thin = {**dict.fromkeys(user(1)), "@odata.type": "#microsoft.graph.user", "id": guid(2)}
    stub.on("GET", MEMBERS, Answer({"value": [user(1), thin]}))
    with pytest.raises(PermissionDenied, match=r"User\.Read\.All"):
        await all_members(directory)
    stub.on("GET", MEMBERS, Answer({"value": [user(1), user(2, **{name: None})]}))
    with pytest.raises(PermissionDenied, match=rf"{name}.*User\.Read\.All"):
        await all_members(directory)


async def test_where_members_come_without_states_each_user_is_read(stub: StubGraph, directory: GraphDirectory) -> None:
    people = [user(number, state()) for number in range(1, 26)]
    stub.people(*people)
    thin = [{k: v for k, v in row.items() if k != "licenseAssignmentStates"} for row in people]
    stub.on("GET", MEMBERS, Answer({"value": thin}))
    found = await all_members(directory)
    assert [each.id for each in found] == ids(*range(1, 26))
    assert all(each.direct.keys() == {E3} and each.group_ids == frozenset() for each in found)
    assert len(stub.requests) == 1 + 2


async def test_where_states_cannot_be_selected_on_members_each_user_is_read(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    stub.people(user(1, state()))

    def page(path: str, _: Any) -> Answer:
        if "licenseAssignmentStates" in path:
            return Answer(error("Request_UnsupportedQuery", "cannot be selected"), 400)
        return Answer({"value": [{k: v for k, v in user(1).items() if k != "licenseAssignmentStates"}]})

    stub.route("GET", MEMBERS, page)
    assert [each.direct.keys() for each in await all_members(directory)] == [{E3}]


async def test_a_member_that_cannot_be_read_alone_ends_the_reading(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.people(user(1), user(2))
    stub.on("GET", GET.format(guid(2)), THROTTLED)
    thin = [{k: v for k, v in user(n).items() if k != "licenseAssignmentStates"} for n in (1, 2)]
    stub.on("GET", MEMBERS, Answer({"value": thin}))
    with pytest.raises(Unavailable) as caught:
        await all_members(directory)
    assert caught.value.retry_after_s == 17.5


async def test_members_of_no_group_are_not_found(directory: GraphDirectory) -> None:
    with pytest.raises(NotFound):
        await all_members(directory)


GROUP_ROW: dict[str, Any] = {
    "id": GROUP.upper(),
    "displayName": "Sales",
    "securityEnabled": True,
    "groupTypes": ["DynamicMembership"],
    "visibility": None,
    "onPremisesSyncEnabled": None,
    "isAssignableToRole": None,
    "mailEnabled": False,
    "assignedLicenses": [{"skuId": E3, "disabledPlans": [PLAN]}],
}


async def test_a_group_comes_with_what_decides_whether_it_may_be_managed(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    hidden = {**GROUP_ROW, "visibility": "HiddenMembership", "assignedLicenses": []}
    stub.on("GET", rf"^/groups/{GROUP}\?", Answer(GROUP_ROW), Answer(hidden))
    group = await directory.group(GROUP)
    assert (group.id, group.group_types, group.hidden_membership) == (GROUP, ("DynamicMembership",), False)
    assert [(each.sku_id, each.disabled_plans) for each in group.native_skus] == [(E3, frozenset({PLAN}))]
    assert (await directory.group(GROUP)).hidden_membership
    with pytest.raises(NotFound):
        await directory.group(GroupId(guid(0xF)))


@pytest.mark.parametrize("name", ["securityEnabled", "groupTypes", "assignedLicenses", "displayName"])
async def test_a_group_without_a_property_is_not_taken_for_one(
    stub: StubGraph, directory: GraphDirectory, name: str
) -> None:
    stub.on("GET", rf"^/groups/{GROUP}\?", Answer({**GROUP_ROW, name: None}))
    with pytest.raises(Unavailable, match=name):
        await directory.group(GROUP)


SKU_ROW: dict[str, Any] = {
    "skuId": E3.upper(),
    "skuPartNumber": "SPE_E3",
    "appliesTo": "User",
    "capabilityStatus": "Enabled",
    "consumedUnits": 412,
    "prepaidUnits": {"enabled": 450, "suspended": 5, "warning": 25, "lockedOut": 1},
    "servicePlans": [
        {
            "servicePlanId": PLAN.upper(),
            "servicePlanName": "EXCHANGE_S_ENTERPRISE",
            "appliesTo": "User",
            "provisioningStatus": "Success",
        }
    ],
}


async def test_products_are_read_again_when_they_are_older_than_asked(stub: StubGraph, graph: GraphClient) -> None:
    ticks = Ticks()
    directory = GraphDirectory(graph, monotonic=ticks)
    later = {**SKU_ROW, "consumedUnits": 413}
    stub.on("GET", r"^/subscribedSkus\?", Answer({"value": [SKU_ROW]}), Answer({"value": [later]}))
    (sku,) = await directory.subscribed_skus()
    assert (sku.sku_id, sku.available, sku.suspended, sku.locked_out) == (E3, 63, 5, 1)
    assert sku.plan_ids == {PLAN}
    ticks.now = 29.0
    assert (await directory.subscribed_skus(30.0))[0].consumed_units == 412
    assert (await directory.subscribed_skus(10.0))[0].consumed_units == 413
    assert len(stub.requests) == 2


@pytest.mark.parametrize("body", [{}, {"value": None}, {"value": [{**SKU_ROW, "prepaidUnits": None}]}])
async def test_products_that_are_not_complete_raise(
    stub: StubGraph, directory: GraphDirectory, body: dict[str, Any]
) -> None:
    stub.on("GET", r"^/subscribedSkus\?", Answer(body))
    with pytest.raises(Unavailable):
        await directory.subscribed_skus()


async def test_the_organization_is_read_once_an_hour(stub: StubGraph, graph: GraphClient) -> None:
    ticks = Ticks()
    directory = GraphDirectory(graph, monotonic=ticks)
    row = {"id": guid(7), "displayName": "Fabrikam", "countryLetterCode": None}
    stub.on("GET", r"^/organization\?", Answer({"value": [row]}), Answer({"value": []}))
    assert (await directory.organization()).country_letter_code is None
    ticks.now = 3599.0
    assert (await directory.organization()).display_name == "Fabrikam"
    ticks.now = 3601.0
    with pytest.raises(Unavailable):
        await directory.organization()


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
