"""Finding users and groups in Graph: which questions are asked, and which answers can be missing."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest

from shared.adapters.directory import GraphDirectory
from shared.domain.errors import PermissionDenied, Unavailable
from shared.domain.ids import SkuId
from tests.unit.adapters.directory_reads import ids
from tests.unit.adapters.graph_stub import BASE, E3, Answer, StubGraph, error, guid, user

FILTER, SEARCH = r"^/users\?.*\$filter=", r"^/users\?.*\$search="


def found(*numbers: int, **more: Any) -> Answer:
    return Answer({"value": [user(number, **more) for number in numbers]})


async def test_a_name_is_asked_for_by_its_beginning_and_by_its_words(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    stub.on("GET", FILTER, found(2))
    stub.on("GET", SEARCH, found(1, 2, department="Sales", jobTitle="Clerk", mail=None))
    people = await directory.find_users('O\'Neil "Jo" \\ R&D')
    assert [each.id for each in people] == ids(1, 2)
    assert (people[0].department, people[0].job_title, people[0].mail) == ("Sales", "Clerk", "")
    by_filter, by_words = (unquote(each["url"]) for each in stub.items)
    assert "startswith(surname,'O''Neil \"Jo\" \\ R&D') or startswith(userPrincipalName," in by_filter
    assert "employeeId eq 'O''Neil" in by_filter
    assert '$search="displayName:O\'Neil \\"Jo\\" \\\\ R&D"' in by_words
    assert stub.items[1]["headers"] == {"ConsistencyLevel": "eventual"}
    assert len(stub.requests) == 1


async def test_users_by_id_take_one_request_for_hundreds_and_leave_out_who_is_not_there(
    stub: StubGraph, directory: GraphDirectory
) -> None:
    stub.on("GET", FILTER, found(1, 2), found(16))
    people = await directory.users_found(ids(*range(1, 18)))
    assert sorted(people) == ids(1, 2, 16)
    first, second = (unquote(each["url"]) for each in stub.items)
    assert (first.count("'") // 2, len(stub.requests)) == (15, 1)
    assert f"id in ('{guid(16)}','{guid(17)}')" in second
    assert await directory.users_found([]) == {}


async def test_users_by_id_that_cannot_be_read_are_an_error(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.on("GET", FILTER, found(1), Answer(error("x", "y"), 503))
    with pytest.raises(Unavailable):
        await directory.users_found(ids(*range(1, 18)))


async def test_who_has_exactly_the_identifier_is_first(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.on("GET", FILTER, Answer({"value": [user(1, employeeId="47110"), user(2, employeeId="4711")]}))
    stub.on("GET", SEARCH, found())
    assert [each.id for each in await directory.find_users("4711")] == ids(2, 1)


async def test_an_id_is_read_too(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.on("GET", r"^/(users|groups)\?", Answer({"value": []}))
    stub.on("GET", rf"^/users/{guid(7)}\?", Answer(user(7)))
    assert [each.id for each in await directory.find_users(guid(7))] == ids(7)
    assert await directory.find_users(guid(8)) == ()


async def test_a_search_that_graph_rejects_is_left_out(stub: StubGraph, directory: GraphDirectory) -> None:
    stub.on("GET", FILTER, found(3))
    stub.on("GET", SEARCH, Answer(error("Request_UnsupportedQuery", "no"), 400))
    assert [each.id for each in await directory.find_users("u")] == ids(3)


@pytest.mark.parametrize("answer", [Answer(error("x", "y"), 503), Answer(status=0)])
async def test_a_failed_search_or_read_by_id_is_an_error_and_not_an_empty_answer(
    stub: StubGraph, directory: GraphDirectory, answer: Answer
) -> None:
    stub.on("GET", FILTER, found(3))
    stub.on("GET", SEARCH, answer)
    with pytest.raises(Unavailable):
        await directory.find_users("u")
    stub.on("GET", SEARCH, found(3))
    stub.on("GET", rf"^/users/{guid(7)}\?", answer)
    with pytest.raises(Unavailable):
        await directory.find_users(guid(7))


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(error("Authorization_RequestDenied", "no"), 403), PermissionDenied),
        (Answer(error("x", "y"), 503), Unavailable),
        (Answer(status=0), Unavailable),
    ],
)
async def test_a_filter_without_an_answer_is_an_error(
    stub: StubGraph, directory: GraphDirectory, answer: Answer, fault: type[Exception]
) -> None:
    stub.on("GET", FILTER, answer)
    stub.on("GET", SEARCH, found(3))
    with pytest.raises(fault):
        await directory.find_users("u")


NAMELESS = {
    "securityEnabled": True,
    "groupTypes": [],
    "visibility": None,
    "assignedLicenses": [],
    "onPremisesSyncEnabled": None,
    "isAssignableToRole": None,
    "mailEnabled": False,
}
"""A group without ID and name."""


async def test_groups_are_found_by_words_of_their_name(stub: StubGraph, directory: GraphDirectory) -> None:
    rows = [
        {**NAMELESS, "id": guid(number), "displayName": name} for number, name in ((1, "Sales EMEA"), (2, "EMEA all"))
    ]
    stub.on("GET", r"^/groups\?.*\$filter=", Answer({"value": rows[1:]}))
    stub.on("GET", r"^/groups\?.*\$search=", Answer({"value": rows}))
    assert [each.display_name for each in await directory.find_groups("emea")] == ["EMEA all", "Sales EMEA"]
    assert await directory.find_groups("  ") == ()


async def test_groups_are_found_by_their_whole_name(stub: StubGraph, directory: GraphDirectory) -> None:
    rows = [{**NAMELESS, "id": guid(number), "displayName": "O'Brien"} for number in (1, 2)]
    stub.on("GET", r"^/groups\?.*\$filter=displayName", Answer({"value": rows}))
    assert [each.id for each in await directory.groups_named("O'Brien")] == [guid(1), guid(2)]
    assert "displayName eq 'O''Brien'" in unquote(str(stub.requests[0].url))


async def test_users_of_a_product_come_page_by_page(stub: StubGraph, directory: GraphDirectory) -> None:
    link = f"{BASE}/users?$filter=x&$skiptoken=a%2Bb%3D"
    stub.on("GET", r"^/users\?.*\$filter=assignedLicenses", Answer({"value": [user(1)], "@odata.nextLink": link}))
    stub.on("GET", r"^/users\?.*\$skiptoken=a%2Bb%3D$", Answer({"value": [user(2)]}))
    users, token = await directory.holders(SkuId(E3), 1)
    assert ([each.id for each in users], token) == (ids(1), "a+b=")
    users, token = await directory.holders(SkuId(E3), 1, token)
    assert ([each.id for each in users], token) == (ids(2), None)
    assert f"assignedLicenses/any(a:a/skuId eq {E3})" in unquote(str(stub.requests[0].url))
