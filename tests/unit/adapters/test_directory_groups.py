"""Reading groups and their members from Graph: to the last page, or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from shared.adapters.directory import GraphDirectory
from shared.domain.errors import NotFound, PermissionDenied, Unavailable
from shared.domain.ids import GroupId
from tests.unit.adapters.directory_reads import GET, GROUP, MEMBERS, THROTTLED, all_members, ids, present
from tests.unit.adapters.graph_stub import BASE, E3, E5, PLAN, Answer, StubGraph, error, guid, state, user


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
        Answer(error("UnknownError", ""), 404),
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


async def test_ids_of_members_come_from_all_pages_and_nothing_else_is_asked_for(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    def row(kind: str, number: int) -> dict[str, str]:
        return {"@odata.type": f"#microsoft.graph.{kind}", "id": guid(number).upper()}

    def page(path: str, _: Any) -> Answer:
        if "skiptoken=2" in path:
            return Answer({"value": [row("user", 0xABC)]})
        link = f"{BASE}/groups/{GROUP}/transitiveMembers?$skiptoken=2"
        return Answer({"value": [row("user", 1), row("group", 9)], "@odata.nextLink": link})

    stub.route("GET", MEMBERS, page)
    assert [list(page) async for page in directory.member_ids(GROUP)] == [list(ids(1)), list(ids(0xABC))]
    assert "$select=id&$top=999" in str(stub.requests[0].url)


async def test_ids_of_members_of_a_missing_group_or_a_page_that_is_gone_are_no_empty_group(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    link = f"{BASE}/groups/{GROUP}/transitiveMembers?$skiptoken=2"
    gone, first = Answer(error("Request_ResourceNotFound", "gone"), 404), Answer({"value": [], "@odata.nextLink": link})
    stub.route("GET", MEMBERS, lambda path, _: gone)
    with pytest.raises(NotFound):
        _ = [page async for page in directory.member_ids(GROUP)]
    stub.route("GET", MEMBERS, lambda path, _: gone if "skiptoken" in path else first)
    with pytest.raises(Unavailable):
        _ = [page async for page in directory.member_ids(GROUP)]


async def test_addresses_whose_read_fails_for_users_or_for_groups_are_not_taken_for_free(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    none = Answer({"value": []})
    stub.on("GET", "/users", none, none)
    stub.on("GET", "/groups", Answer(error("Authorization_RequestDenied", "no"), 403), none)
    with pytest.raises(Unavailable):
        await directory.address_holders(["a@x", "b@x"])
