"""GET /groups/delta: rounds, pages, tokens, lag, replays."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from local.tenant.call import GRAPH
from local.tenant.directory.directory import Directory
from local.tenant.generator.given_objects import place_objects
from local.tenant.http.batch import answer_batch
from local.tenant.http.pipeline import answer
from local.tenant.tenant import Tenant
from tests.support.graph_schema import validate_error
from tests.unit.local.tenant.calls import ANN, BOB, CEM, SALES, a_call, a_tenant, a_user, ask, new_ids

SUPPORT = "22222222-0000-4000-8000-000000000002"
LAB = "33333333-0000-4000-8000-000000000003"
MEMBERS = "/groups/delta?$select=members"
USER = "#microsoft.graph.user"


def two_groups(settings: dict[str, Any] | None = None) -> Tenant:
    groups = [
        {"id": SUPPORT, "displayName": "Support", "members": [ANN]},
        {"id": LAB, "displayName": "Lab", "members": [SUPPORT, BOB]},
    ]
    return a_tenant(settings, groups=groups)


async def get(tenant: Tenant, url: str, **more: Any) -> tuple[int, Any, dict[str, str]]:
    """A GET of an absolute link or of a path, its query decoded as the server does it."""
    parts = urlsplit(url.removeprefix(GRAPH))
    call = a_call(tenant, "GET", parts.path, **more)
    call.query = dict(parse_qsl(parts.query, keep_blank_values=True))
    reply = await answer(tenant, call)
    return reply.status, reply.body, reply.headers


async def pages(tenant: Tenant, url: str, **more: Any) -> list[Any]:
    """All pages of one round; the last one has the deltaLink."""
    found = []
    for _ in range(200):
        status, body, _ = await get(tenant, url, **more)
        assert status == 200, body
        found.append(body)
        assert ("@odata.nextLink" in body) != ("@odata.deltaLink" in body)
        if "@odata.deltaLink" in body:
            return found
        url = body["@odata.nextLink"]
    raise AssertionError("the round has no end")


async def link_of_now(tenant: Tenant, url: str = MEMBERS) -> str:
    return str((await pages(tenant, url))[-1]["@odata.deltaLink"])


def merged(found: list[Any]) -> dict[str, dict[str, bool]]:
    """Group -> member -> whether it is there, over all pages."""
    groups: dict[str, dict[str, bool]] = {}
    for page in found:
        for row in page["value"]:
            members = groups.setdefault(row["id"], {})
            for one in row.get("members@delta", ()):
                members[one["id"]] = "@removed" not in one
    return groups


def join(tenant: Tenant, group: str, member: str) -> None:
    directory = tenant.directory
    assert directory.add_member(directory.groups[group], directory.objects[member], time.time())


def leave(tenant: Tenant, group: str, member: str) -> None:
    directory = tenant.directory
    assert directory.remove_member(directory.groups[group], directory.objects[member], time.time())


async def test_the_first_round_gives_every_group_with_its_direct_members() -> None:
    tenant = two_groups()
    found = await pages(tenant, MEMBERS)
    assert merged(found) == {
        SALES: dict.fromkeys((ANN, BOB, CEM), True),
        SUPPORT: {ANN: True},
        LAB: dict.fromkeys((BOB, SUPPORT), True),
    }
    rows = {row["id"]: row for page in found for row in page["value"]}
    assert {one["@odata.type"] for one in rows[LAB]["members@delta"]} == {USER, "#microsoft.graph.group"}
    assert set(rows[SALES]) == {"id", "members@delta"}


async def test_a_later_round_gives_only_changed_groups_joined_and_left() -> None:
    tenant = two_groups()
    link = await link_of_now(tenant)
    assert merged(await pages(tenant, link)) == {}
    leave(tenant, SALES, ANN)
    join(tenant, SUPPORT, CEM)
    found = await pages(tenant, link)
    assert merged(found) == {SALES: {ANN: False}, SUPPORT: {CEM: True}}
    gone = found[0]["value"][0]["members@delta"]
    assert gone == [{"@odata.type": USER, "id": ANN, "@removed": {"reason": "deleted"}}]
    assert merged(await pages(tenant, str(found[-1]["@odata.deltaLink"]))) == {}


async def test_one_who_left_and_came_back_is_there_and_the_other_way_round_gone() -> None:
    tenant = two_groups()
    link = await link_of_now(tenant)
    leave(tenant, SALES, ANN)
    join(tenant, SALES, ANN)
    join(tenant, SUPPORT, BOB)
    leave(tenant, SUPPORT, BOB)
    assert merged(await pages(tenant, link)) == {SALES: {ANN: True}, SUPPORT: {BOB: False}}


async def test_a_large_group_is_spread_over_pages_with_others_between() -> None:
    people = new_ids(25)
    tenant = two_groups({"deltaPageSize": 12, "deltaPieceSize": 10})
    more = {
        "users": [a_user(one, userPrincipalName=f"{one}@fabrikam.example") for one in people],
        "groups": [{"id": SALES, "displayName": "Sales", "members": people}],
    }
    place_objects(tenant.directory, more, time.time())
    found = await pages(tenant, MEMBERS)
    holding = [number for number, page in enumerate(found) if SALES in {row["id"] for row in page["value"]}]
    assert holding == [0, 2, 3]  # the other two groups lie between
    assert merged(found)[SALES] == dict.fromkeys(people, True)
    assert merged(found)[LAB] == dict.fromkeys((BOB, SUPPORT), True)


async def test_a_round_that_has_begun_does_not_see_what_changes_between_its_pages() -> None:
    tenant = two_groups({"deltaPageSize": 1})
    _, first, _ = await get(tenant, MEMBERS)
    leave(tenant, LAB, BOB)
    rest = await pages(tenant, first["@odata.nextLink"])
    assert merged([first, *rest])[LAB] == {BOB: True, SUPPORT: True}
    assert merged(await pages(tenant, rest[-1]["@odata.deltaLink"])) == {LAB: {BOB: False}}


async def test_the_filter_keeps_to_its_groups_in_every_round() -> None:
    tenant = two_groups()
    url = f"{MEMBERS}&$filter=id eq '{SALES}' or id eq '{LAB.upper()}'"
    found = await pages(tenant, url)
    assert set(merged(found)) == {SALES, LAB}
    for group in (SUPPORT, LAB):
        join(tenant, group, CEM)
    assert merged(await pages(tenant, found[-1]["@odata.deltaLink"])) == {LAB: {CEM: True}}


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("$filter=displayName eq 'Sales'", "Request_UnsupportedQuery"),
        (f"$filter=id eq '{SALES}' and id eq '{LAB}'", "Request_UnsupportedQuery"),
        ("$top=5", "Request_UnsupportedQuery"),
        ("$expand=members", "Request_UnsupportedQuery"),
        ("$select=shoeSize", "Request_BadRequest"),
        ("$deltatoken=nonsense", "Request_BadRequest"),
        ("$deltatoken=bm8", "Request_BadRequest"),
    ],
)
async def test_what_delta_does_not_offer_is_rejected(query: str, code: str) -> None:
    status, body, _ = await get(two_groups(), f"/groups/delta?{query}")
    assert (status, body["error"]["code"]) == (400, code)
    validate_error(body)


async def test_fifty_ids_may_be_asked_for_and_fifty_one_may_not() -> None:
    tenant = two_groups()
    for number, expected in ((50, 200), (51, 400)):
        ids = [SALES, *new_ids(number - 1)]
        status, _, _ = await get(tenant, f"{MEMBERS}&$filter=" + " or ".join(f"id eq '{one}'" for one in ids))
        assert status == expected


async def test_sync_from_now_gives_nothing_but_a_link() -> None:
    tenant = two_groups()
    found = await pages(tenant, f"{MEMBERS}&$deltatoken=latest")
    assert merged(found) == {}
    leave(tenant, SALES, BOB)
    assert merged(await pages(tenant, found[-1]["@odata.deltaLink"])) == {SALES: {BOB: False}}


async def test_a_deleted_group_is_changed_then_whole_again_then_deleted() -> None:
    tenant = two_groups()
    directory, now = tenant.directory, time.time()
    link = await link_of_now(tenant)
    directory.delete_group(directory.groups[SALES], now)
    directory.delete_group(directory.groups[SUPPORT], now)
    found = await pages(tenant, link)
    rows = {row["id"]: row for page in found for row in page["value"]}
    assert rows[SALES] == {"id": SALES, "@removed": {"reason": "changed"}}
    assert merged(found)[LAB] == {SUPPORT: False}
    assert (await ask(tenant, "GET", f"/groups/{SALES}/members"))[0] == 404
    directory.restore_group(directory.groups[SALES], now)
    directory.delete_group(directory.groups[SUPPORT], now, for_good=True)
    found = await pages(tenant, found[-1]["@odata.deltaLink"])
    rows = {row["id"]: row for page in found for row in page["value"]}
    assert merged(found)[SALES] == dict.fromkeys((ANN, BOB, CEM), True)
    assert rows[SUPPORT] == {"id": SUPPORT, "@removed": {"reason": "deleted"}}
    assert not directory.restore_group(directory.groups[SUPPORT], now)


async def test_a_deleted_user_leaves_its_groups_and_comes_back_restored() -> None:
    tenant = two_groups()
    link = await link_of_now(tenant)
    tenant.directory.delete_user(tenant.directory.users[ANN], time.time())
    found = await pages(tenant, link)
    assert merged(found) == {SALES: {ANN: False}, SUPPORT: {ANN: False}}
    tenant.directory.restore_user(tenant.directory.users[ANN], time.time())
    assert merged(await pages(tenant, found[-1]["@odata.deltaLink"])) == {SALES: {ANN: True}, SUPPORT: {ANN: True}}


async def test_without_select_properties_come_too_and_minimal_leaves_out_unchanged_ones() -> None:
    tenant = two_groups()
    link = await link_of_now(tenant, "/groups/delta")
    leave(tenant, SALES, ANN)
    place_objects(tenant.directory, {"groups": [{"id": LAB, "displayName": "Lab 2"}]}, time.time())
    full = {row["id"]: row for row in (await pages(tenant, link))[0]["value"]}
    assert (full[SALES]["displayName"], full[LAB]["displayName"]) == ("Sales", "Lab 2")
    rows = (await pages(tenant, link, headers={"Prefer": "return=minimal"}))[0]["value"]
    small = {row["id"]: row for row in rows}
    assert set(small[SALES]) == {"id", "members@delta"}
    assert small[LAB]["displayName"] == "Lab 2"


async def test_without_members_selected_their_changes_are_no_changes() -> None:
    tenant = two_groups()
    found = await pages(tenant, "/groups/delta?$select=displayName")
    assert all("members@delta" not in row for page in found for row in page["value"])
    leave(tenant, SALES, ANN)
    assert merged(await pages(tenant, found[-1]["@odata.deltaLink"])) == {}


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("410 syncStateNotFound", 410, "syncStateNotFound"),
        ("410 resyncRequired", 410, "resyncRequired"),
        ("400 syncStateNotFound", 400, "syncStateNotFound"),
        ("400 Request_UnsupportedQuery", 400, "Request_UnsupportedQuery"),
        ("400 Request_BadRequest", 400, "Request_BadRequest"),
        ("404 UnknownError", 404, "UnknownError"),
    ],
)
async def test_an_expired_token_is_rejected_and_a_410_says_where_to_start_again(
    how: str, status: int, code: str
) -> None:
    tenant = two_groups({"deltaExpired": how})
    link = await link_of_now(tenant, f"{MEMBERS}&$filter=id eq '{SALES}'")
    tenant.delta_valid_from = time.time()
    got, body, headers = await get(tenant, link)
    assert (got, body["error"]["code"]) == (status, code)
    assert ("Location" in headers) == (status == 410)
    if status == 410:
        assert merged(await pages(tenant, headers["Location"])) == {SALES: dict.fromkeys((ANN, BOB, CEM), True)}


async def test_tokens_end_after_their_life_and_with_their_directory() -> None:
    tenant = two_groups()
    link = await link_of_now(tenant)
    tenant.settings.patch({"deltaTokenSeconds": 0})
    assert (await get(tenant, link))[0] == 400
    tenant.settings.patch({"deltaTokenSeconds": 600})
    assert (await get(tenant, link))[0] == 200
    tenant.replace_directory(Directory(tenant.directory.tenant_id), {})
    assert (await get(tenant, link))[0] == 400


async def test_delta_lags_as_reads_do_and_further_where_told() -> None:
    tenant = two_groups({"staleSeconds": 0.2})
    link = await link_of_now(tenant)
    leave(tenant, SALES, ANN)
    found = await pages(tenant, link)
    assert merged(found) == {}
    tenant.settings.patch({"staleSeconds": 0})
    assert merged(await pages(tenant, found[-1]["@odata.deltaLink"])) == {SALES: {ANN: False}}
    tenant.settings.patch({"deltaLagSeconds": 60})
    leave(tenant, SALES, BOB)
    assert merged(await pages(tenant, link)) == {}


async def test_replays_give_pieces_twice_and_empty_pages_nothing() -> None:
    tenant = two_groups({"deltaReplayShare": 1, "deltaReplayTimes": 1, "deltaEmptyPage": True, "deltaPageSize": 3})
    found = await pages(tenant, MEMBERS)
    assert found[0]["value"] == []
    seen = [row["id"] for page in found for row in page["value"]]
    assert sorted(seen) == sorted([SALES, SUPPORT, LAB] * 2)
    assert merged(found)[SALES] == dict.fromkeys((ANN, BOB, CEM), True)


async def test_who_may_not_read_groups_gets_no_delta_and_hidden_members_need_their_own_permission() -> None:
    hidden = {"id": LAB, "displayName": "Lab", "visibility": "HiddenMembership", "members": [ANN, BOB]}
    tenant = a_tenant(groups=[hidden])
    status, body, _ = await get(tenant, MEMBERS, client="outside")
    assert (status, body["error"]["code"]) == (403, "Authorization_RequestDenied")
    assert merged(await pages(tenant, MEMBERS))[LAB] == {ANN: True, BOB: True}
    seen = merged(await pages(tenant, MEMBERS, client="other"))
    assert (seen[LAB], len(seen[SALES])) == ({}, 3)


async def test_delta_costs_one_unit_and_works_in_a_batch() -> None:
    tenant = two_groups()
    assert "x-ms-resource-unit" not in (await get(tenant, MEMBERS))[2]  # as gromedev/Mgx saw it
    tenant.settings.patch({"deltaUnits": True})
    assert (await get(tenant, MEMBERS))[2]["x-ms-resource-unit"] == "1"
    tenant.settings.patch({"deltaReplayShare": 0})
    requests = [{"id": str(n), "method": "GET", "url": MEMBERS} for n in range(2)]
    reply = await answer_batch(tenant, a_call(tenant, "POST", "/$batch", {"requests": requests}))
    assert [len(one["body"]["value"]) for one in reply.body["responses"]] == [3, 3]


async def test_a_token_made_by_latest_may_never_tell_members_or_be_rejected_with_a_filter() -> None:
    """Live tenants were seen to do the first; nobody has published the second."""
    tenant = two_groups({"deltaLatestMembers": False})
    link = await link_of_now(tenant, f"{MEMBERS}&$deltatoken=latest")
    whole = await link_of_now(tenant)
    leave(tenant, SALES, BOB)
    assert merged(await pages(tenant, link)).get(SALES, {}) == {}
    assert merged(await pages(tenant, whole)) == {SALES: {BOB: False}}
    tenant = two_groups({"deltaLatestFilter": False})
    only = f"{MEMBERS}&$filter=id eq '{SALES}'"
    assert (await get(tenant, f"{only}&$deltatoken=latest"))[0] == 400
    assert (await get(tenant, only))[0] == 200


async def test_each_change_may_be_told_up_to_ten_times_more() -> None:
    tenant = two_groups({"deltaReplayShare": 1.0, "deltaReplayTimes": 10})
    link = await link_of_now(tenant)
    for group, member in ((SALES, BOB), (LAB, BOB)):
        leave(tenant, group, member)
    found = await pages(tenant, link)
    observed = [row["id"] for page in found for row in page["value"]]
    times = [observed.count(one) for one in (SALES, LAB)]
    assert min(times) > 1 and 5 < max(times) <= 11
    assert merged(found) == {SALES: {BOB: False}, LAB: {BOB: False}}
