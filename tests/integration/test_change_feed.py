"""Subscriptions and delta of Graph through the adapter, on the simulated tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.changes import MAX_DELTA_GROUPS, GraphChangeFeed
from shared.domain.errors import BadRequest, NotFound, TokenExpired
from shared.domain.ids import GroupId
from shared.domain.membership_changes import GroupChange, merged
from shared.ports.change_feed import DeltaPage
from tests.support.tenant_stage import ALL, ANNA, BEN, CARA, INNER, TenantStage, guid

DAY = timedelta(days=1)


@pytest.fixture
async def feed(on_tenant: TenantStage) -> GraphChangeFeed:
    await on_tenant.control("PATCH", "settings", {"notificationHttp": True})
    return GraphChangeFeed(on_tenant.directory._graph)  # type: ignore[attr-defined]


async def rounds(feed: GraphChangeFeed, link: str) -> tuple[list[GroupChange], str]:
    """All pages of one round, merged, and the link for the next."""
    found: list[GroupChange] = []
    for _ in range(100):
        page: DeltaPage = await feed.delta(link)
        found += page.changes
        if page.delta_link is not None:
            return merged(found), page.delta_link
        link = page.next_link or ""
    raise AssertionError("delta does not end")


async def linked(feed: GraphChangeFeed, groups: list[GroupId]) -> str:
    """The delta link at the end of an enumeration, which lists all members."""
    members, link = await rounds(feed, feed.enumeration(groups))
    assert {change.group_id for change in members if change.members} == set(groups)
    return link


async def test_a_subscription_is_made_found_renewed_reauthorized_and_removed(feed: GraphChangeFeed, hook: str) -> None:
    until = datetime.now(UTC).replace(microsecond=0) + DAY
    made = await feed.subscribe(f"{hook}/notifications", f"{hook}/lifecycle", "secret", until)
    assert await feed.subscriptions() == (made,)
    assert made.expires_at == until
    await feed.renew(made.id, until + DAY)
    await feed.reauthorize(made.id)
    (renewed,) = await feed.subscriptions()
    assert renewed.expires_at == until + DAY
    for _ in range(2):
        await feed.unsubscribe(made.id)
    assert await feed.subscriptions() == ()
    for gone in (feed.renew(made.id, until), feed.reauthorize(made.id)):
        with pytest.raises(NotFound):
            await gone


async def test_an_address_that_nobody_answers_is_rejected(feed: GraphChangeFeed) -> None:
    with pytest.raises(BadRequest, match="validation"):
        await feed.subscribe("http://127.0.0.1:9/a", "http://127.0.0.1:9/b", "s", datetime.now(UTC) + DAY)


async def test_delta_tells_what_changed_from_now_on_in_the_groups_asked_about(
    feed: GraphChangeFeed, on_tenant: TenantStage
) -> None:
    await on_tenant.control("PATCH", "settings", {"deltaPageSize": 1, "deltaPieceSize": 1, "deltaEmptyPage": True})
    link = await linked(feed, [ALL])
    inner = await linked(feed, [INNER])
    assert (await rounds(feed, link))[0] == []
    await on_tenant.control("POST", "membership", {"add": [[ALL, CARA]], "remove": [[INNER, BEN]]})
    changes, following = await rounds(feed, link)
    assert changes == [GroupChange(ALL, {CARA: True})]
    assert (await rounds(feed, inner))[0] == [GroupChange(INNER, {BEN: False})]
    assert (await rounds(feed, following))[0] == []


@pytest.mark.parametrize("setting", ["deltaLatestMembers", "deltaLatestFilter"])
async def test_links_by_enumeration_tell_members_whatever_the_latest_token_does(
    feed: GraphChangeFeed, on_tenant: TenantStage, setting: str
) -> None:
    await on_tenant.control("PATCH", "settings", {setting: False})
    link = await linked(feed, [ALL, INNER])
    await on_tenant.control("POST", "membership", {"add": [[ALL, CARA]], "remove": [[INNER, BEN]]})
    changes, _ = await rounds(feed, link)
    assert {each.group_id: each.members for each in changes} == {ALL: {CARA: True}, INNER: {BEN: False}}


async def test_changes_told_ten_times_are_merged_into_one(feed: GraphChangeFeed, on_tenant: TenantStage) -> None:
    await on_tenant.control("PATCH", "settings", {"deltaReplayShare": 1.0, "deltaReplayTimes": 10, "deltaPageSize": 1})
    link = await linked(feed, [ALL, INNER])
    await on_tenant.control("POST", "membership", {"add": [[ALL, CARA]], "remove": [[INNER, BEN]]})
    changes, _ = await rounds(feed, link)
    assert {each.group_id: each.members for each in changes} == {ALL: {CARA: True}, INNER: {BEN: False}}


async def test_a_deleted_group_is_told_as_such(feed: GraphChangeFeed, on_tenant: TenantStage) -> None:
    link = await linked(feed, [ALL, INNER])
    await on_tenant.control("DELETE", f"groups/{INNER}")
    changes, _ = await rounds(feed, link)
    assert {change.group_id: change.deleted for change in changes}[INNER]


@pytest.mark.parametrize(
    "answer",
    [
        "410 syncStateNotFound",
        "410 resyncRequired",
        "400 syncStateNotFound",
        "400 Request_UnsupportedQuery",
        "400 Request_BadRequest",
        "404 UnknownError",
    ],
)
async def test_a_token_that_is_forgotten_is_told_apart_from_an_outage(
    feed: GraphChangeFeed, on_tenant: TenantStage, answer: str
) -> None:
    await on_tenant.control("PATCH", "settings", {"deltaExpired": answer})
    link = await linked(feed, [ALL])
    await on_tenant.control("POST", "delta/expire")
    with pytest.raises(TokenExpired):
        await feed.delta(link)


@pytest.mark.parametrize("count", [0, MAX_DELTA_GROUPS + 1])
def test_a_slice_has_at_least_one_and_at_most_fifty_groups(feed: GraphChangeFeed, count: int) -> None:
    with pytest.raises(ValueError, match="groups in one delta"):
        feed.enumeration([GroupId(guid(number)) for number in range(count)])


async def test_ids_are_told_apart_by_what_they_are(on_tenant: TenantStage) -> None:
    unknown = guid(0x999)
    found = await on_tenant.directory.kinds([ANNA, ALL, unknown])
    assert found == {ANNA: "user", ALL: "group", unknown: None}


async def test_groups_inside_a_group_are_found_with_its_members(on_tenant: TenantStage) -> None:
    nested: set[GroupId] = set()
    members = [user.id async for page in on_tenant.directory.member_pages(ALL, nested) for user in page]
    assert INNER in nested
    assert BEN in members
    assert ALL not in nested
