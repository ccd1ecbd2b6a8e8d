"""Groups that HR may write to, named by an administrative unit: its groups are read when they are used."""

from __future__ import annotations

import pytest

from shared.domain.errors import BadRequest, NotFound, PermissionDenied, Unavailable
from shared.domain.ids import GroupId
from shared.domain.onboarding import GroupOutcome
from shared.domain.profiles import Profile
from shared.handlers.maintenance.alerts import check_alerts
from shared.handlers.onboarding.hr_scope import writable
from shared.handlers.onboarding.profiles import save_profile
from tests.support.hires import Hires, event, outcomes
from tests.support.runs import MIA, OTHER_TEAM, TEAM, user

UNIT, OTHER_UNIT = "unit-1", "unit-2"


async def of_units(*units: str, named: frozenset[GroupId] = frozenset()) -> Hires:
    """Both teams; the first is in the first unit, and a group of nobody in the second."""
    run = await Hires.of_two_teams()
    run.directory.units = {UNIT: {TEAM}, OTHER_UNIT: {GroupId("third")}}
    run.set_policy(onboarding_groups=named, onboarding_units=frozenset(units))
    return run


async def groups(run: Hires) -> frozenset[GroupId]:
    return (await writable(run.world)).groups


async def test_a_joiner_gets_the_groups_of_the_unit_and_no_other() -> None:
    run = await of_units(UNIT)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM, OTHER_TEAM))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, attributes={"department": "Sales"}))
    assert outcomes((await run.record("1")).groups) == {TEAM: GroupOutcome.ADDED, OTHER_TEAM: GroupOutcome.REJECTED}
    with pytest.raises(BadRequest, match="ONBOARDING_GROUPS"):
        await save_profile(run.world, Profile("other", groups=(OTHER_TEAM,)), MIA, None)


async def test_named_groups_and_those_of_several_units_count_together() -> None:
    run = await of_units(UNIT, OTHER_UNIT, named=frozenset({OTHER_TEAM}))
    assert await groups(run) == {TEAM, GroupId("third"), OTHER_TEAM}


async def test_the_unit_is_read_again_after_an_hour() -> None:
    run = await of_units(UNIT)
    assert await groups(run) == {TEAM}
    run.directory.units[UNIT] = {OTHER_TEAM}
    run.later(minutes=59)
    assert await groups(run) == {TEAM}
    run.later(minutes=1)
    assert await groups(run) == {OTHER_TEAM}


@pytest.mark.parametrize("fault", [PermissionDenied("403"), NotFound("404"), Unavailable(None, "a page is lost")])
async def test_a_unit_that_cannot_be_read_keeps_the_last_list_of_all_units_with_a_warning(fault: Exception) -> None:
    run = await of_units(UNIT, OTHER_UNIT)
    assert await groups(run) == {TEAM, GroupId("third")}
    run.directory.units[UNIT] = set()
    run.directory.unit_faults[OTHER_UNIT] = fault
    run.later(hours=2)
    assert await groups(run) == {TEAM, GroupId("third")}
    (observed,) = [text for text in await check_alerts(run.world) if "administrative" in text]
    assert observed.startswith("HR is limited: the groups of administrative units are of 2026-01-05 09:")
    assert observed.endswith(str(fault))
    run.directory.unit_faults.clear()
    assert await groups(run) == {TEAM, GroupId("third")}, "a failed read is tried again after ten minutes"
    run.later(minutes=10)
    assert await groups(run) == {GroupId("third")}
    assert [text for text in await check_alerts(run.world) if "administrative" in text] == []


async def test_until_the_unit_has_been_read_once_events_wait_and_then_go_on() -> None:
    run = await of_units(UNIT)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,))
    run.directory.unit_faults[UNIT] = PermissionDenied("403")
    ann = run.directory.add_user(user(1))
    await run.send(event("joiner", "1", ann, attributes={"department": "Sales"}))
    start = run.fakes.clock.now()
    await run.work_off(lambda: (run.fakes.clock.now() - start).total_seconds() > 3600)
    assert not run.member(ann)
    assert not (await run.record("1")).state.is_ended
    (observed,) = [text for text in await check_alerts(run.world) if "administrative" in text]
    assert observed == "HR is limited: the groups of administrative units have not been read, so HR events wait: 403"
    run.directory.unit_faults.clear()
    run.later(minutes=10)
    await run.work_off()
    assert run.member(ann)


async def test_the_last_list_does_not_count_for_another_unit() -> None:
    run = await of_units(UNIT)
    assert await groups(run) == {TEAM}
    run.set_policy(onboarding_units=frozenset({OTHER_UNIT}))
    run.directory.unit_faults[OTHER_UNIT] = Unavailable(None, "away")
    with pytest.raises(Unavailable):
        await groups(run)
