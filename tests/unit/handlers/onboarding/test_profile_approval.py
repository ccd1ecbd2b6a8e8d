"""A change of a profile that could give more is in force only after another person has approved it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.approval_rules import Rules
from shared.domain.directory import AssignedLicense
from shared.domain.errors import ApprovalDenied, BadRequest, Conflict, NotFound
from shared.domain.initiator import Initiator
from shared.domain.profile_changes import Proposal
from shared.domain.profiles import Profile
from shared.domain.read_models import AuditFilter
from shared.handlers.onboarding.profiles import (
    approve_profile,
    drop_expired,
    proposals,
    reject_profile,
    remove_profile,
    save_profile,
)
from tests.support.api_calls import another, claims_of, session
from tests.support.hires import Hires, event
from tests.support.hr_calls import call
from tests.support.runs import OTHER_TEAM, SMALL, TEAM, user

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
    await run.notify(event("joiner", "1", one, attributes=SALES))
    assert not run.member(one)
    with pytest.raises(ApprovalDenied, match="another person"):
        await approve_profile(run.world, "sales", first.version or "", ANN)
    await approve_profile(run.world, "sales", first.version or "", BEA)
    await run.notify(event("joiner", "2", two, attributes=SALES))
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
    deletion = await remove_profile(run.world, "sales", ANN)
    assert deletion is not None
    await approve_profile(run.world, "sales", deletion.version or "", BEA)
    assert [each.proposal.profile.name for each in await proposals(run.world)] == ["labs"]


async def test_a_proposal_that_nobody_approves_is_dropped_after_30_days() -> None:
    run = Hires()
    found = await proposed(run, TEAM)
    run.fakes.clock.move(30 * DAY)
    with pytest.raises(NotFound):
        await approve_profile(run.world, "sales", found.version or "", BEA)
    assert await proposals(run.world) == ()
    reader = session(claims_of(roles=["Licensing.Read"]))
    for path in ("/onboarding/profiles", "/api/onboarding/proposals"):
        assert "sales" not in (await call(run, "GET", path, reader)).text
    assert len(await run.world.stores.profiles.proposals()) == 1, "a read writes nothing"
    newer = await proposed(run, TEAM, name="labs")
    assert await drop_expired(run.world) == 1
    assert await run.world.stores.profiles.proposals() == (newer,)
    assert await run.world.stores.profiles.all() == ()
    assert await drop_expired(run.world) == 0


async def test_a_proposal_that_comes_while_an_older_one_is_decided_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ann proposes again between the read and the write of Bea's decision."""
    run = Hires()
    profiles = run.world.stores.profiles
    withdraw = profiles.withdraw
    newer: list[Proposal] = []
    groups = [[TEAM, OTHER_TEAM], [OTHER_TEAM]]

    async def late(proposal: Proposal) -> None:
        if not newer:
            newer.append(await proposed(run, *groups.pop(0)))
        await withdraw(proposal)

    first = await proposed(run, TEAM)
    monkeypatch.setattr(type(profiles), "withdraw", lambda _, proposal: late(proposal))
    with pytest.raises(Conflict):
        await reject_profile(run.world, "sales", first.version or "", BEA)
    assert await profiles.proposals() == tuple(newer)
    second, *_ = newer
    newer.clear()
    await approve_profile(run.world, "sales", second.version or "", BEA)
    assert [each.groups for each in await profiles.all()] == [(TEAM, OTHER_TEAM)]
    assert await profiles.proposals() == tuple(newer)


async def test_a_profile_that_was_changed_after_the_read_is_not_deleted() -> None:
    run = Hires()
    writer = {**session(claims_of(roles=["Licensing.Configure"])), "sec-fetch-site": "same-origin"}
    await run.profile("empty")
    (seen,) = await run.world.stores.profiles.all()
    await save_profile(run.world, replace(seen, display_name="Changed"), ANN, None)
    (now,) = await run.world.stores.profiles.all()
    path = "/api/onboarding/profiles/empty"
    stale = await call(run, "DELETE", path, {**writer, "if-match": seen.version or ""})
    assert stale.status_code == 412
    assert await run.world.stores.profiles.all() == (now,)
    assert (await call(run, "DELETE", path, {**writer, "if-match": now.version or ""})).status_code == 204
    assert await run.world.stores.profiles.all() == ()


async def test_proposals_expire_after_the_time_that_the_settings_name_for_approvals() -> None:
    run = Hires()
    run.set_policy(approval_expires_s=2 * DAY.total_seconds())
    now = run.world.clock.now()
    await proposed(run, TEAM)
    run.fakes.clock.move(DAY)
    await proposed(run, TEAM, name="labs")
    shown = {each.proposal.profile.name: each.expires_at for each in await proposals(run.world)}
    assert shown == {"sales": now + 2 * DAY, "labs": now + 3 * DAY}
    run.fakes.clock.move(DAY)
    assert [each.proposal.profile.name for each in await proposals(run.world)] == ["labs"]


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
    run = Hires()
    await proposed(run, TEAM)
    reader = session(claims_of(roles=["Licensing.Read"]))
    shown = (await call(run, "GET", "/onboarding/profiles", reader)).text
    for text in ("Proposed by <bdi>Ann", TEAM, "it adds groups", "dropped on"):
        assert text in shown
    assert "/approve" not in shown
    bea = {**session(another(claims_of(roles=["Licensing.Approve"]))), "sec-fetch-site": "same-origin"}
    (waiting,) = await proposals(run.world)
    assert "/onboarding/profiles/sales/approve" in (await call(run, "GET", "/onboarding/profiles", bea)).text
    form = {"version": waiting.proposal.version or ""}
    assert (await call(run, "POST", "/onboarding/profiles/sales/approve", bea, data=form)).status_code == 303
    assert [each.groups for each in await run.world.stores.profiles.all()] == [(TEAM,)]


async def test_licenses_priority_and_exclusive_change_only_with_another_person() -> None:
    run = Hires()
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,))
    (known,) = await run.world.stores.profiles.all()
    changes = ({"licenses": (AssignedLicense(SMALL.sku_id),)}, {"priority": 9}, {"exclusive": True})
    for change in changes:
        found = await save_profile(run.world, replace(known, **change), ANN, None)
        assert isinstance(found, Proposal)
        assert await run.world.stores.profiles.all() == (known,)
    text = await save_profile(run.world, replace(known, display_name="Sales"), ANN, None)
    assert isinstance(text, Profile)
    assert [each.display_name for each in await run.world.stores.profiles.all()] == ["Sales"]


async def test_a_profile_is_deleted_only_after_another_person_has_approved_it() -> None:
    run = Hires()
    for name in ("sales", "labs"):
        await run.profile(name, match={"department": (name,)}, groups=(TEAM,))
    sales, labs = [await remove_profile(run.world, name, ANN) for name in ("sales", "labs")]
    assert sales is not None and labs is not None
    assert len(await run.world.stores.profiles.all()) == 2
    with pytest.raises(ApprovalDenied, match="another person"):
        await approve_profile(run.world, "sales", sales.version or "", ANN)
    assert await approve_profile(run.world, "sales", sales.version or "", BEA) is None
    await reject_profile(run.world, "labs", labs.version or "", BEA)
    assert [each.name for each in await run.world.stores.profiles.all()] == ["labs"]
    assert await proposals(run.world) == ()
    await run.profile("empty")
    assert await remove_profile(run.world, "empty", ANN) is None
    assert [each.name for each in await run.world.stores.profiles.all()] == ["labs"]
    now = run.world.clock.now()
    found, _ = await run.world.stores.audit.search(AuditFilter(activity="onboarding profile"), now - DAY, now + DAY, 99)
    noted = {(each.activity, each.detail): (bool(each.before), bool(each.after)) for each in found}
    assert noted == {
        ("Propose to delete onboarding profile", "sales"): (True, False),
        ("Propose to delete onboarding profile", "labs"): (True, False),
        ("Approve deletion of onboarding profile", "sales"): (True, False),
        ("Reject onboarding profile", "labs"): (True, False),
        ("Delete onboarding profile", "empty"): (True, False),
    }
