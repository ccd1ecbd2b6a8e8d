"""A change of a profile that could give more is in force only after another person has approved it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.approval_rules import Rules
from shared.domain.errors import ApprovalDenied, BadRequest, Conflict, NotFound
from shared.domain.initiator import Initiator
from shared.domain.profile_changes import Proposal
from shared.domain.profiles import Profile
from shared.handlers.onboarding.profiles import (
    approve_profile,
    proposals,
    reject_profile,
    remove_profile,
    save_profile,
)
from tests.support.hires import Hires, event
from tests.support.hr_calls import call
from tests.support.runs import OTHER_TEAM, TEAM, user

ANN, BEA = Initiator("ann", "Ann"), Initiator("bea", "Bea")
DAY = timedelta(days=1)
SALES = {"department": "Sales"}


async def proposed(run: Hires, *groups: str, name: str = "sales") -> Proposal:
    profile = Profile(name, match={"department": ("Sales",)}, groups=groups)  # type: ignore[arg-type]
    found = await save_profile(run.world, profile, ANN, None)
    assert isinstance(found, Proposal)
    return found


async def test_a_proposed_version_gives_nothing_until_another_person_approves_it() -> None:
    run = Hires()
    one, two = (run.directory.add_user(user(number)) for number in (1, 2))
    first = await proposed(run, TEAM)
    await run.tell(event("joiner", "1", one, attributes=SALES))
    assert not run.member(one)
    with pytest.raises(ApprovalDenied, match="another person"):
        await approve_profile(run.world, "sales", first.version or "", ANN)
    await approve_profile(run.world, "sales", first.version or "", BEA)
    await run.tell(event("joiner", "2", two, attributes=SALES))
    assert run.member(two)
    assert await proposals(run.world) == ()
    second = await proposed(run, TEAM, OTHER_TEAM)
    assert [each.groups for each in await run.world.stores.profiles.all()] == [(TEAM,)]
    await reject_profile(run.world, "sales", second.version or "", BEA)
    assert [each.groups for each in await run.world.stores.profiles.all()] == [(TEAM,)]
    with pytest.raises(NotFound):
        await approve_profile(run.world, "sales", second.version or "", BEA)


async def test_exactly_the_version_that_was_seen_is_approved_and_only_on_the_profile_as_it_was() -> None:
    run = Hires()
    seen = await proposed(run, TEAM)
    other = await proposed(run, TEAM, name="labs")
    newer = await proposed(run, TEAM, OTHER_TEAM)
    with pytest.raises(Conflict, match="Another version"):
        await approve_profile(run.world, "sales", seen.version or "", BEA)
    await run.profile("sales", groups=(TEAM,))
    with pytest.raises(Conflict, match="was changed after"):
        await approve_profile(run.world, "sales", newer.version or "", BEA)
    run.set_policy(onboarding_groups=frozenset({OTHER_TEAM}))
    with pytest.raises(BadRequest, match="ONBOARDING_GROUPS"):
        await approve_profile(run.world, "labs", other.version or "", BEA)
    await remove_profile(run.world, "sales", ANN)
    assert [each.proposal.profile.name for each in await proposals(run.world)] == ["labs"]


async def test_a_proposal_that_nobody_approves_is_dropped_after_30_days() -> None:
    run = Hires()
    found = await proposed(run, TEAM)
    run.fakes.clock.move(30 * DAY)
    with pytest.raises(NotFound):
        await approve_profile(run.world, "sales", found.version or "", BEA)
    assert await run.world.stores.profiles.proposals() == ()
    assert await run.world.stores.profiles.all() == ()


async def test_a_single_approver_approves_after_a_day_with_an_alert(caplog: pytest.LogCaptureFixture) -> None:
    run = Hires()
    run.set_policy(approval_rules=Rules(single_approver=True))
    found = await proposed(run, TEAM)
    with pytest.raises(ApprovalDenied, match="As the single approver you can approve it from"):
        await approve_profile(run.world, "sales", found.version or "", ANN)
    run.fakes.clock.move(DAY)
    await approve_profile(run.world, "sales", found.version or "", replace(ANN, id="ANN"))
    assert "single approver: approved alone" in caplog.text


async def test_the_page_shows_who_proposed_what_and_another_person_decides_there() -> None:
    from tests.support.api_calls import another, claims_of, session

    run = Hires()
    await proposed(run, TEAM)
    reader = session(claims_of(roles=["Licensing.Read"]))
    shown = (await call(run, "GET", "/onboarding/profiles", reader)).text
    for text in ("Proposed by Ann", TEAM, "it adds groups", "dropped on"):
        assert text in shown
    assert "/approve" not in shown
    bea = {**session(another(claims_of(roles=["Licensing.Approve"]))), "sec-fetch-site": "same-origin"}
    (waiting,) = await proposals(run.world)
    assert "/onboarding/profiles/sales/approve" in (await call(run, "GET", "/onboarding/profiles", bea)).text
    form = {"version": waiting.proposal.version or ""}
    assert (await call(run, "POST", "/onboarding/profiles/sales/approve", bea, data=form)).status_code == 303
    assert [each.groups for each in await run.world.stores.profiles.all()] == [(TEAM,)]
