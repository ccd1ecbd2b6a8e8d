"""Microsoft's group-based licensing as the adapter reads it, under each switch of the simulated tenant, and the number
of requests that watching costs."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from local.tenant.directory.directory import Directory
from local.tenant.directory.model import AssignedLicense, Group, LicenseRow, User
from shared.adapters.directory import GraphDirectory
from shared.adapters.graph import GraphClient
from shared.adapters.native_licensing import GraphNativeLicensing
from shared.domain.errors import NotFound, NotOffered, PermissionDenied
from shared.domain.ids import GroupId, UserId
from shared.domain.write_results import Accepted, Rejected
from shared.handlers.membership.notifications_queue import process_notifications
from shared.handlers.membership.watching import watch_all, watch_errors
from shared.ports.world import World
from tests.support.tenant_stage import ALL, ANNA, BEN, E3, E5, F3, NATIVE, NATIVE_GROUP, NO_GROUP, TenantStage, guid
from tests.support.worlds import Fakes, fake_world

A_NIGHT, AN_HOUR = 130, 10
CROWD = GroupId(guid(0x300))


async def switch(stage: TenantStage, **settings: Any) -> None:
    await stage.control("PATCH", "settings", settings)


async def in_error(stage: TenantStage) -> set[UserId]:
    """The group gives E5, of which there is one license, to two members."""
    group = {"id": NATIVE_GROUP, "members": [NATIVE, ANNA], "assignedLicenses": [{"skuId": E5}]}
    await stage.control("POST", "objects", {"groups": [group]})
    users = stage.tenant.state.directory.users
    wrong = {UserId(one) for one in (NATIVE, ANNA) if any(row.error != "None" for row in users[one].rows)}
    assert len(wrong) == 1
    return wrong


@pytest.mark.parametrize(
    "settings", [{}, {"licenseCountFilter": False}, {"licenseCountFilter": False, "licensedFilter": False}]
)
async def test_licensed_groups_are_found_by_each_way_that_graph_offers(
    on_tenant: TenantStage, settings: Mapping[str, Any]
) -> None:
    await switch(on_tenant, **settings)
    (found,) = await on_tenant.native.licensed_groups()
    assert (found.group.id, [each.sku_id for each in found.group.native_skus]) == (NATIVE_GROUP, [F3])
    assert found.processing == "ProcessingComplete"


async def test_many_licensed_groups_come_over_several_pages(on_tenant: TenantStage) -> None:
    groups = [{"id": guid(0x1000 + each), "assignedLicenses": [{"skuId": F3}], "members": []} for each in range(1100)]
    await on_tenant.control("POST", "objects", {"groups": groups})
    assert len(await on_tenant.native.licensed_groups()) == 1101


@pytest.mark.parametrize(("shape", "shown"), [("object", "ProcessingComplete"), ("text", "ProcessingComplete")])
async def test_the_processing_state_is_read_in_each_shape(on_tenant: TenantStage, shape: str, shown: str) -> None:
    await switch(on_tenant, processingState=shape)
    (found,) = await on_tenant.native.licensed_groups()
    assert found.processing == shown


async def test_direct_members_come_with_times_and_nested_groups(on_tenant: TenantStage) -> None:
    pages = [page async for page in on_tenant.native.members(ALL)]
    assert {user.id for page in pages for user in page.users} == {ANNA, BEN}
    assert [group for page in pages for group in page.nested] == [GroupId(guid(0x101))]
    (native,) = [user async for page in on_tenant.native.members(NATIVE_GROUP) for user in page.users]
    assert native.license_assignment_states[0].last_updated is not None
    with pytest.raises(NotFound):
        _ = [page async for page in on_tenant.native.members(NO_GROUP)]


@pytest.mark.parametrize("states", ["null", "absent", "rejected"])
async def test_where_states_cannot_be_selected_members_are_not_offered_and_those_in_error_are_read(
    on_tenant: TenantStage, states: str
) -> None:
    wrong = await in_error(on_tenant)
    await switch(on_tenant, memberStates=states)
    with pytest.raises(NotOffered):
        _ = [page async for page in on_tenant.native.members(NATIVE_GROUP)]
    found = await on_tenant.native.in_error(NATIVE_GROUP)
    assert {user.id for user in found} == wrong
    assert all(user.license_assignment_states for user in found)


async def test_without_user_permission_the_error_names_it(on_tenant: TenantStage) -> None:
    await switch(on_tenant, permissionsFromToken=False, permissions={"product": ["Group.Read.All"]})
    with pytest.raises(PermissionDenied, match=r"User\.Read\.All"):
        _ = [page async for page in on_tenant.native.members(NATIVE_GROUP)]


async def test_members_in_error_who_cannot_be_read_one_by_one_are_a_missing_permission(on_tenant: TenantStage) -> None:
    await in_error(on_tenant)
    await switch(
        on_tenant, memberStates="absent", permissionsFromToken=False, permissions={"product": ["Group.Read.All"]}
    )
    with pytest.raises(PermissionDenied, match=r"User\.Read\.All"):
        await on_tenant.native.in_error(NATIVE_GROUP)


async def test_a_reprocess_gives_the_whole_reason_or_the_license(on_tenant: TenantStage) -> None:
    (wrong,) = await in_error(on_tenant)
    answers = await on_tenant.native.reprocess([wrong], urgent=True)
    rejected = answers[wrong]
    assert isinstance(rejected, Rejected)
    assert "does not have any available licenses" in rejected.message
    on_tenant.tenant.state.directory.subscriptions[E5].enabled = 9
    assert isinstance((await on_tenant.native.reprocess([wrong], urgent=False))[wrong], Accepted)
    assert await on_tenant.native.in_error(NATIVE_GROUP) == ()


class Counting(GraphClient):
    """A client of Graph that counts its requests."""

    sent = 0

    async def send(self, path: str, *rest: Any, **more: Any) -> Any:
        self.sent += 1
        return await super().send(path, *rest, **more)


def crowd(directory: Directory, members: int, wrong: int) -> None:
    """A licensed group, the first of its members in error."""
    group, now = Group(CROWD, "Everybody", time.time()), time.time()
    group.licenses = (AssignedLicense(E3, ()),)
    group.processing_state = "ProcessingComplete"
    directory.add(group)
    fine = (LicenseRow(E3, (), CROWD, "Active", "None", now),)
    short = (LicenseRow(E3, (), CROWD, "Error", "CountViolation", now),)
    people = [User(guid(0x100000 + n), f"User {n}", f"u{n}@x.example", now) for n in range(members)]
    for number, user in enumerate(people):
        user.usage_location = "DE"
        user.rows = short if number < wrong else fine
    directory.load_users(people)
    directory.load_members(group, people)
    directory.recount_units()


async def requests_of(step: Callable[[World], Awaitable[int]], fakes: Fakes, graph: Counting) -> int:
    """How many requests a timer and the messages that it sends need."""
    graph.sent = 0
    await step(fakes.world)
    while fakes.queue.messages:
        await process_notifications(fakes.world, fakes.queue.messages.pop(0).body)
    fakes.clock.move(timedelta(hours=1))
    return graph.sent


def watching(stage: TenantStage) -> tuple[Fakes, Counting]:
    """The app on tables in memory, with a client that counts."""
    graph = Counting(stage.graph.base_url, stage.graph._scope, stage.graph._credential_factory)
    directory, fakes = GraphDirectory(graph), fake_world()
    world = replace(fakes.world, directory=directory, native=GraphNativeLicensing(graph, directory))
    return replace(fakes, world=world), graph


async def test_a_hundred_thousand_members_with_500_errors_cost_at_most_130_requests_a_night_and_10_an_hour(
    on_tenant: TenantStage,
) -> None:
    state = on_tenant.tenant.state
    crowd(state.directory, 100_000, 500)
    fakes, graph = watching(on_tenant)
    assert await requests_of(watch_all, fakes, graph) <= A_NIGHT
    counts = await fakes.world.stores.member_counts.count(CROWD)
    assert (counts.members, counts.states["Error"]) == (100_000, 500)
    assert await requests_of(watch_errors, fakes, graph) <= AN_HOUR
    for number in range(200):
        user = state.directory.users[guid(0x100000 + number)]
        user.rows = tuple(row._replace(state="Active", error="None") for row in user.rows)
    assert await requests_of(watch_errors, fakes, graph) <= AN_HOUR
    await graph.close()


async def test_where_licenses_of_members_are_not_shown_only_members_in_error_are_read(on_tenant: TenantStage) -> None:
    crowd(on_tenant.tenant.state.directory, 3_000, 500)
    await switch(on_tenant, memberStates="absent")
    fakes, graph = watching(on_tenant)
    # Of two groups: the list of those in error, twice because its first answer lacks their licenses; 25 batches of 20.
    assert await requests_of(watch_all, fakes, graph) <= 40
    counts = await fakes.world.stores.member_counts.count(CROWD)
    assert (counts.members, counts.states) == (500, {"Error": 500})
    status = await fakes.world.stores.group_status.get(CROWD)
    assert status is not None
    assert status.errors_only
    await graph.close()


async def test_the_enabled_plans_of_users_follow_their_licenses_after_a_while(on_tenant: TenantStage) -> None:
    sku = next(each for each in await on_tenant.directory.subscribed_skus() if each.sku_id == F3)
    shown = await on_tenant.native.enabled_plans([UserId(NATIVE), UserId(BEN), UserId(guid(0x999))])
    assert shown[UserId(NATIVE)] >= {each.service_plan_id for each in sku.service_plans if each.applies_to == "User"}
    assert UserId(guid(0x999)) not in shown
    await on_tenant.control("POST", "objects", {"users": [{"id": guid(0x301), "licenses": [{"skuId": F3}]}]})
    await switch(on_tenant, assignedPlansLagSeconds=600.0)
    assert await on_tenant.native.enabled_plans([UserId(guid(0x301))]) == {UserId(guid(0x301)): frozenset()}
