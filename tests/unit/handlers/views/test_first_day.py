"""The checklist of the first day: open until all is done, and not shown again after that."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.first_day import StepName, StepState
from shared.domain.graph_permissions import PERMISSIONS, Feature
from shared.handlers.membership.nightly_sync import sync_all
from shared.handlers.membership.subscription import renew_subscription
from shared.handlers.operations.writing import turn_off, turn_on
from shared.handlers.views.first_day import first_day_steps, note_complete, open_steps
from shared.handlers.views.health import health
from tests.support.runs import MIA, SMALL, Run

ALL = frozenset(permission for feature, permission in PERMISSIONS if feature is not Feature.ADMINISTRATIVE_UNITS)


async def states(run: Run) -> dict[StepName, StepState]:
    return {each.name: each.state for each in await first_day_steps(run.world)}


async def test_the_steps_of_a_new_deployment_are_done_one_after_the_other() -> None:
    run = Run()
    await turn_off(run.world, MIA)
    expected = dict.fromkeys(StepName, StepState.OPEN) | {StepName.CANARY: StepState.OPTIONAL}
    assert await states(run) == expected
    assert not await note_complete(run.world)

    run.fakes.permissions.append(ALL)
    await renew_subscription(run.world)
    expected |= {StepName.PERMISSIONS: StepState.DONE, StepName.SUBSCRIPTION: StepState.DONE}
    assert await states(run) == expected

    run.people(2)
    await run.change([SMALL], preview=True)
    assert await states(run) == expected | {StepName.PREVIEW: StepState.DONE}
    assert len(await open_steps(run.world)) == len(StepName)
    assert not await note_complete(run.world)

    await turn_on(run.world, MIA)
    assert await note_complete(run.world)
    assert await open_steps(run.world) == ()


async def test_a_completed_list_stays_away_when_something_breaks_later() -> None:
    run = Run()
    run.fakes.permissions.append(ALL)
    await renew_subscription(run.world)
    await run.change([SMALL])
    assert await note_complete(run.world)
    await turn_off(run.world, MIA)
    assert (await states(run))[StepName.WRITING] is StepState.OPEN
    assert await open_steps(run.world) == ()


async def test_health_names_missing_and_excess_permissions_by_the_settings_in_force() -> None:
    run = Run()
    run.fakes.permissions.append(frozenset({*ALL, "Mail.Read"}) - {"Group.Read.All", "RoleManagement.Read.Directory"})
    found = (await health(run.world)).permissions
    assert {each.permission for each in found.missing} == {"Group.Read.All", "RoleManagement.Read.Directory"}
    assert found.excess == ("Mail.Read",)
    assert found.expires_at is not None and found.expires_at > run.world.clock.now()
    policy = replace(run.world.policy, protected_roles=False, onboarding_groups=frozenset())
    found = (await health(replace(run.world, policy=policy))).permissions
    assert {each.permission for each in found.missing} == {"Group.Read.All"}
    assert found.excess == (
        "GroupMember.ReadWrite.All",
        "Mail.Read",
        "PrivilegedEligibilitySchedule.Read.AzureADGroup",
    )


async def test_health_shows_when_the_nightly_sync_last_ran() -> None:
    run = Run()
    assert (await health(run.world)).synced_at is None
    await sync_all(run.world)
    assert (await health(run.world)).synced_at == run.world.clock.now()
