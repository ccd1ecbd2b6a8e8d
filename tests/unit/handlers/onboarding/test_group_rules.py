"""Which groups and profiles an HR event can name."""

from __future__ import annotations

from typing import Any

from shared.domain.directory import DirectoryGroup
from shared.domain.ids import GroupId
from shared.domain.onboarding import GroupOutcome
from shared.handlers.onboarding.dry_run import try_event
from tests.support.hires import Hires, event, outcomes
from tests.support.runs import SMALL, TEAM, user


async def test_only_groups_of_profiles_that_match_or_are_selectable_can_be_named_by_an_event() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    secret = run.directory.add_group("00000000-0000-0000-0000-00000000aaaa")
    run.set_policy(onboarding_groups=frozenset({TEAM, secret}))
    await run.profile("board", match={"jobTitle": ("Director",)}, groups=(secret,))
    ann, bob = (run.directory.add_user(user(number)) for number in (1, 2))
    await run.notify(event("joiner", "1", ann, groups=[TEAM, secret]))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    assert outcomes(record.groups) == {TEAM: GroupOutcome.ADDED, secret: GroupOutcome.REJECTED}
    assert not run.member(ann, secret)
    assert run.licenses(ann) == {"SMALL"}
    await run.notify(event("joiner", "2", bob, groups=[secret], attributes={"jobTitle": "Director"}))
    assert run.member(bob, secret)


async def test_a_managed_group_without_a_profile_cannot_be_named_by_an_event() -> None:
    run = Hires()
    await run.change([SMALL])
    ann, bob = (run.directory.add_user(user(number)) for number in (1, 2))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    record = await run.record("1")
    assert [(each.outcome, "No profile" in each.text) for each in record.groups] == [(GroupOutcome.REJECTED, True)]
    await run.name_by_events(TEAM)
    await run.notify(event("joiner", "2", bob, groups=[TEAM]))
    assert (run.member(ann), run.member(bob)) == (False, True)


async def test_a_profile_that_is_not_selectable_cannot_be_named_for_a_person_whom_it_does_not_match() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("board", match={"jobTitle": ("Director",)}, groups=(TEAM,))
    ann, bob, cat = (run.directory.add_user(user(number)) for number in (1, 2, 3))
    clerk, director = {"jobTitle": "Clerk"}, {"jobTitle": "Director"}
    await run.notify(event("joiner", "1", ann, profiles=["board"], attributes=clerk))
    await run.notify(event("joiner", "2", bob, profiles=["board"], attributes=director))
    record = await run.record("1")
    assert (str(record.state), "board" in record.note, bool(record.remedy)) == ("Failed", True, True)
    assert (run.member(ann), run.member(bob)) == (False, True)
    trial = await try_event(run.world, event("joiner", "x", ann, profiles=["board"], attributes=clerk))
    assert trial.verdict is not None
    assert "not selectable" in trial.verdict.note
    await run.profile("desk", groups=(TEAM,), selectable=True)
    await run.notify(event("joiner", "3", cat, profiles=["desk"], attributes=clerk))
    assert run.member(cat)


async def test_groups_whose_members_are_kept_elsewhere_are_reported_with_what_to_do() -> None:
    run = Hires()
    ann = run.directory.add_user(user(1))
    kinds: dict[str, dict[str, Any]] = {
        "follows a rule": {"group_types": ("DynamicMembership",)},
        "on-premises": {"on_premises": True},
        "role-assignable": {"role_assignable": True},
        "Exchange": {"mail_enabled": True},
    }
    ids = []
    for number, options in enumerate(kinds.values()):
        group_id = GroupId(f"00000000-0000-0000-0000-00000000bb0{number}")
        values: dict[str, Any] = {"security_enabled": True, **options}
        run.directory.add_group(group_id, group=DirectoryGroup(group_id, f"Group {number}", **values))
        ids.append(group_id)
    run.set_policy(onboarding_groups=frozenset(ids))
    await run.profile("all", match={"country": ("*",)}, groups=tuple(ids))
    await run.notify(event("joiner", "1", ann, attributes={"country": "NL"}))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    for result, word in zip(sorted(record.groups, key=lambda each: each.group_id), kinds, strict=True):
        assert result.outcome is GroupOutcome.REJECTED
        assert word in result.text
        assert result.remedy
    assert not run.memberships.log
