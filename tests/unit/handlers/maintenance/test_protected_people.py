"""The list of protected people is read from roles and groups; an incomplete read keeps the last one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.errors import PermissionDenied, Unavailable
from shared.domain.ids import GroupId
from shared.domain.protected_people import ProtectedList
from shared.handlers.maintenance.alerts import check_alerts
from shared.handlers.maintenance.protected_people import read_protected_people
from tests.support.runs import OTHER_TEAM, TEAM, user
from tests.support.worlds import Fakes, fake_world

ADA, BEN, CLEO, DAN, EVE, FAY = (user(n) for n in range(1, 7))
ADMINISTRATOR = ("Global Administrator",)


def tenant() -> Fakes:
    """Ada is an administrator, Ben through a group within a group, Cleo is on the board, Dan is nothing."""
    fakes = fake_world(protected_list_read=False)
    directory = fakes.directory
    for each in (ADA, BEN, CLEO, DAN, EVE, FAY):
        directory.add_user(each)
    directory.add_group("inner", [BEN])
    directory.add_group(TEAM, ["inner"])
    directory.add_group(OTHER_TEAM, [CLEO])
    directory.add_other("app", "servicePrincipal")
    fakes.roles.held = {ADA: ADMINISTRATOR, TEAM: ("User Administrator",), "app": ADMINISTRATOR}
    policy = replace(fakes.world.policy, protected_groups=frozenset({GroupId(OTHER_TEAM)}))
    return replace(fakes, world=replace(fakes.world, policy=policy))


async def stored(fakes: Fakes) -> ProtectedList:
    return await fakes.world.stores.protected_people.load()


async def test_role_holders_members_of_role_groups_and_of_named_groups_are_protected() -> None:
    fakes = tenant()
    assert (await stored(fakes)).read_at is None
    await read_protected_people(fakes.world)
    listed = await stored(fakes)
    assert (listed.read_at, listed.fault) == (fakes.clock.now(), "")
    assert {user_id: each.reasons for user_id, each in listed.people.items()} == {
        ADA: ADMINISTRATOR,
        BEN: (f"User Administrator, by group {TEAM}",),
        CLEO: (f"member of group {OTHER_TEAM}",),
    }


@pytest.mark.parametrize("fault", [PermissionDenied("403"), Unavailable(None, "a page is lost")])
async def test_a_failed_read_keeps_the_last_list_and_raises_an_alert(fault: Exception) -> None:
    fakes = tenant()
    await read_protected_people(fakes.world)
    before = await stored(fakes)
    assert await check_alerts(fakes.world) == ()
    fakes.clock.move(timedelta(days=1))
    fakes.roles.held, fakes.roles.fault = {}, fault
    await read_protected_people(fakes.world)
    after = await stored(fakes)
    assert (after.people, after.read_at, after.fault) == (before.people, before.read_at, str(fault))
    (observed,) = await check_alerts(fakes.world)
    assert observed.startswith("the list of protected people is of 2026-01-05 09:00 and stays in force: ")
    fakes.roles.fault = None
    await read_protected_people(fakes.world)
    assert (await stored(fakes)).fault == ""
    assert await check_alerts(fakes.world) == ()


async def test_members_of_a_role_group_that_cannot_be_read_to_the_end_make_the_read_incomplete() -> None:
    fakes = tenant()
    fakes.directory.cut_members(TEAM, 0)
    await read_protected_people(fakes.world)
    listed = await stored(fakes)
    assert (listed.people, listed.read_at) == ({}, None)
    assert listed.fault
    (observed,) = await check_alerts(fakes.world)
    assert observed.startswith("the list of protected people has not been read, so all removals wait: ")


async def test_a_named_group_that_is_gone_makes_the_read_incomplete() -> None:
    fakes = tenant()
    fakes.directory.remove_group(OTHER_TEAM)
    await read_protected_people(fakes.world)
    assert (await stored(fakes)).read_at is None


async def test_a_list_that_was_read_today_is_not_read_again() -> None:
    fakes = tenant()
    await read_protected_people(fakes.world)
    fakes.roles.held = {BEN: ADMINISTRATOR}
    assert await read_protected_people(fakes.world) is None
    assert ADA in (await stored(fakes)).people
    fakes.clock.move(timedelta(hours=21))
    await read_protected_people(fakes.world)
    assert (await stored(fakes)).people[ADA].until == fakes.clock.now() + timedelta(days=30)
    fakes.clock.move(timedelta(days=31))
    await read_protected_people(fakes.world)
    assert ADA not in (await stored(fakes)).people


async def test_eligible_members_of_a_role_group_are_protected_also_through_a_group_that_is_eligible() -> None:
    fakes = tenant()
    fakes.directory.add_group("circle", [FAY])
    fakes.roles.eligible = {TEAM: {DAN, "circle"}, "circle": {EVE, TEAM}, OTHER_TEAM: {CLEO}}
    await read_protected_people(fakes.world)
    people = (await stored(fakes)).people
    assert people[DAN].reasons == (f"User Administrator, by group {TEAM}",)
    assert people[EVE].reasons == people[FAY].reasons == ("User Administrator, by group circle",)
    assert people[CLEO].reasons == (f"member of group {OTHER_TEAM}",)


@pytest.mark.parametrize("fault", [PermissionDenied("403"), Unavailable(None, "404", rejected=True)])
async def test_eligible_members_that_cannot_be_read_keep_the_last_list_and_raise_an_alert(fault: Exception) -> None:
    fakes = tenant()
    fakes.roles.eligible = {TEAM: {DAN}}
    await read_protected_people(fakes.world)
    fakes.clock.move(timedelta(days=1))
    fakes.roles.eligible, fakes.roles.eligible_fault = {}, fault
    await read_protected_people(fakes.world)
    listed = await stored(fakes)
    assert listed.people[DAN].until is None
    assert listed.fault == str(fault)
    (observed,) = await check_alerts(fakes.world)
    assert observed.endswith(f"stays in force: {fault}")


async def test_switched_off_nothing_is_read_and_nobody_is_alarmed() -> None:
    fakes = tenant()
    policy = replace(fakes.world.policy, protected_roles=False, protected_groups=frozenset())
    world = replace(fakes.world, policy=policy)
    fakes.roles.fault = PermissionDenied("403")
    assert await read_protected_people(world) is None
    assert await check_alerts(world) == ()


async def test_a_role_holder_whose_kind_the_directory_does_not_tell_is_protected_too() -> None:
    fakes = tenant()
    fakes.roles.held = {ADA: ADMINISTRATOR, user(77): ("User Administrator",)}
    await read_protected_people(fakes.world)
    assert {ADA, user(77)} <= (await stored(fakes)).people.keys()
