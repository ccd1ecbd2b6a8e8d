"""Which groups an HR event can name."""

from __future__ import annotations

from typing import Any

from shared.domain.directory import DirectoryGroup
from shared.domain.ids import GroupId
from shared.domain.onboarding import GroupOutcome
from tests.support.hires import Hires, event, outcomes
from tests.support.runs import SMALL, TEAM, user


async def test_only_managed_groups_and_groups_of_profiles_can_be_named_by_an_event() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    secret = run.directory.add_group("00000000-0000-0000-0000-00000000aaaa")
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, groups=[TEAM, secret]))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    assert outcomes(record.groups) == {TEAM: GroupOutcome.ADDED, secret: GroupOutcome.REFUSED}
    assert not run.member(ann, secret)
    assert run.licenses(ann) == {"SMALL"}


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
    await run.tell(event("joiner", "1", ann, attributes={"country": "NL"}))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    for result, word in zip(sorted(record.groups, key=lambda each: each.group_id), kinds, strict=True):
        assert result.outcome is GroupOutcome.REFUSED
        assert word in result.text
        assert result.remedy
    assert not run.memberships.log
