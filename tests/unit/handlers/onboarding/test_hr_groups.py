"""HR alone puts nobody into a group: the setting ONBOARDING_GROUPS is asked at the moment of each write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.errors import BadRequest
from shared.domain.onboarding import GroupOutcome
from shared.domain.profiles import Profile
from shared.handlers.maintenance.alerts import check_alerts
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.hr_scope import writable
from shared.handlers.onboarding.profiles import save_profile
from tests.support.hires import Hires, event, outcomes
from tests.support.runs import MIA, OTHER_TEAM, SMALL, TEAM, user

SALES = {"department": "Sales"}


async def two_teams() -> Hires:
    """A profile with both teams, of which HR may write to the first only."""
    run = await Hires.of_two_teams()
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM, OTHER_TEAM))
    run.set_policy(onboarding_groups=frozenset({TEAM}))
    return run


async def test_a_profile_that_names_another_group_is_rejected_with_name_limit_and_remedy() -> None:
    run = Hires()
    run.set_policy(onboarding_groups=frozenset({TEAM}))
    await run.profile("team", groups=(TEAM,))
    with pytest.raises(BadRequest) as caught:
        await save_profile(run.world, Profile("both", groups=(TEAM, OTHER_TEAM)), MIA, None)
    assert caught.value.code == "GroupNotAllowed"
    for word in ("both", OTHER_TEAM, "ONBOARDING_GROUPS", "add it to the setting"):
        assert word in str(caught.value)
    assert [each.name for each in await run.world.stores.profiles.all()] == ["team"]


async def test_a_joiner_gets_only_the_groups_of_the_setting_whatever_a_stored_profile_says() -> None:
    run = await two_teams()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, attributes=SALES))
    record = await run.record("1")
    assert outcomes(record.groups) == {TEAM: GroupOutcome.ADDED, OTHER_TEAM: GroupOutcome.REJECTED}
    assert str(record.state) == "DoneWithErrors"
    (rejected,) = [each for each in record.groups if each.group_id == OTHER_TEAM]
    assert "ONBOARDING_GROUPS" in rejected.text
    assert rejected.remedy
    assert not run.member(ann, OTHER_TEAM)


async def test_a_stored_event_and_a_replay_are_held_to_the_setting_of_the_moment_of_the_write() -> None:
    run = await Hires.of_two_teams()
    await run.profile("sales", match={"department": ("Sales",)}, groups=(OTHER_TEAM,))
    ann, bob = (run.directory.add_user(user(number)) for number in (1, 2))
    await run.notify(event("joiner", "1", ann, on="2026-03-01", attributes=SALES))
    await run.notify(event("joiner", "2", bob, attributes=SALES))
    run.set_policy(onboarding_groups=frozenset({TEAM}))
    await run.wait(days=90)
    assert await run.state("1") == "DoneWithErrors"
    await administration.replay(run.world, (await run.record("1")).key, MIA)
    await run.work_off()
    assert (run.member(ann, OTHER_TEAM), run.member(bob, OTHER_TEAM)) == (False, True)


async def test_a_mover_is_not_taken_out_of_a_group_that_the_setting_no_longer_names() -> None:
    run = await Hires.of_two_teams()
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,))
    await run.profile("labs", match={"department": ("Labs",)}, groups=(OTHER_TEAM,))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, attributes=SALES))
    run.set_policy(onboarding_groups=frozenset({OTHER_TEAM}))
    await run.notify(event("mover", "2", ann, on="2026-01-02", attributes={"department": "Labs"}))
    record = await run.record("2")
    assert outcomes(record.groups) == {OTHER_TEAM: GroupOutcome.ADDED, TEAM: GroupOutcome.KEPT}
    assert str(record.state) == "DoneWithErrors"
    assert run.member(ann, TEAM)


async def test_a_leaver_stays_in_a_group_that_the_setting_does_not_name_and_loses_the_licenses_all_the_same() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1), groups=[TEAM, OTHER_TEAM])
    await run.reconcile(ann)
    assert run.licenses(ann) == {"SMALL", "LARGE"}
    run.set_policy(onboarding_groups=frozenset({TEAM}))
    await run.notify(event("leaver", "1", ann, on="2026-01-01", removal="P0D"))
    await run.wait(minutes=15)
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (False, True)
    assert run.licenses(ann) == set()


async def test_a_rescinded_leaver_is_given_back_only_groups_of_the_setting() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1), groups=[TEAM, OTHER_TEAM])
    await run.reconcile(ann)
    await run.notify(event("leaver", "1", ann, on="2026-01-01", removal="P0D"))
    assert not run.member(ann, OTHER_TEAM)
    run.set_policy(onboarding_groups=frozenset({TEAM}))
    await run.notify(event("leaver.rescission", "2", ann))
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (True, False)
    assert "could not be given back" in (await run.record("1")).note


async def test_after_an_upgrade_existing_profiles_count_for_30_days_with_a_warning_and_new_ones_do_not() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,))
    run.set_policy(onboarding_groups=None)
    await run.wait()
    await run.profile("late", match={"department": ("Labs",)}, groups=(OTHER_TEAM,))
    ann, bob, cat = (run.directory.add_user(user(number)) for number in (1, 2, 3))
    await run.notify(event("joiner", "1", ann, attributes=SALES))
    await run.notify(event("joiner", "2", bob, attributes={"department": "Labs"}))
    assert (run.member(ann), run.member(bob, OTHER_TEAM)) == (True, False)
    observed = [text for text in await check_alerts(run.world) if "HR is limited" in text]
    assert len(observed) == 2
    assert "accepted until" in observed[0]
    assert "late" in observed[1]
    run.fakes.clock.move(timedelta(days=30))
    await run.notify(event("joiner", "3", cat, attributes=SALES))
    assert not run.member(cat)
    assert (await writable(run.world)).groups == frozenset()


async def test_a_new_deployment_without_the_setting_writes_to_no_group() -> None:
    run = Hires()
    run.set_policy(onboarding_groups=None)
    with pytest.raises(BadRequest, match="ONBOARDING_GROUPS"):
        await save_profile(run.world, Profile("sales", groups=(TEAM,)), MIA, None)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, attributes=SALES))
    assert not run.member(ann)
