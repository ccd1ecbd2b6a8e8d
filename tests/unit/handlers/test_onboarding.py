"""Joiners, movers and leavers, from the event on the queue to the person's licenses."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense, DirectoryGroup
from shared.domain.ids import GroupId
from shared.domain.onboarding import GroupOutcome, LicenseOutcome
from shared.ports.graph_writes import Rejected, Throttled, Unanswered
from tests.support.fakes_directory import BEGINNING
from tests.support.hires import EXTRA, LARGE, OTHER_TEAM, SMALL, TEAM, Hires, event
from tests.support.runs import user


def outcomes(items: Any) -> dict[str, str]:
    return {getattr(each, "group_id", None) or each.sku_id: str(each.outcome) for each in items}


async def test_a_joiner_is_put_into_the_groups_of_the_profile_and_licensed_at_once() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,), usage_location="FR")
    ann = run.directory.add_user(user(1), location=None)
    await run.tell(event("joiner", "1", ann, attributes={"department": "Sales"}))
    record = await run.record("1")
    assert str(record.state) == "Done", record
    assert run.member(ann)
    assert run.licenses(ann) == {"SMALL"}
    assert run.directory.truth(ann).usage_location == "FR"
    assert outcomes(record.groups) == {TEAM: GroupOutcome.ADDED}
    assert outcomes(record.licenses) == {SMALL.sku_id: LicenseOutcome.ASSIGNED}
    assert record.profiles == ("sales",)
    assert [each["data"]["state"] for each in run.results] == ["Done"]


async def test_a_membership_that_the_directory_does_not_show_yet_gives_its_licenses_all_the_same() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann = run.directory.add_user(user(1))
    run.directory.make_stale(ann)
    await run.send(event("joiner", "1", ann, groups=[TEAM]))
    await run.work_off(lambda: "SMALL" in run.licenses(ann))
    assert run.licenses(ann) == {"SMALL"}
    assert run.fakes.clock.now() - BEGINNING < timedelta(seconds=30)
    run.directory.make_fresh(ann)
    await run.work_off()
    run.later(minutes=11)
    await run.look_at(ann)
    run.later(minutes=2)
    await run.look_at(ann)
    assert run.licenses(ann) == {"SMALL"}
    assert await run.state("1") == "Done"


async def test_a_profile_gives_licenses_of_its_own_that_no_sync_takes_away() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("desk", match={"jobTitle": ("Clerk*",)}, licenses=(AssignedLicense(EXTRA.sku_id),))
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, attributes={"jobTitle": "clerk II"}))
    assert run.licenses(ann) == {"EXTRA"}
    run.later(hours=1)
    await run.look_at(ann, cause="sync-1")
    run.later(hours=1)
    await run.look_at(ann, cause="sync-2")
    assert run.licenses(ann) == {"EXTRA"}


async def test_a_joiner_whose_account_appears_days_later_is_licensed_then() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.send(event("joiner", "1", {"employeeId": "e-1"}, groups=[TEAM]))
    clock = run.fakes.clock
    await run.work_off(lambda: clock.now() > BEGINNING + timedelta(days=3))
    assert await run.state("1") == "WaitingForAccount"
    assert "Waits for the account" in (await run.record("1")).note
    ann = run.directory.add_user(user(1))
    run.accounts.employee_ids[ann] = "E-1"
    run.fakes.queue.messages.clear()
    await run.wait(minutes=17)
    assert await run.state("1") == "Done"
    assert run.licenses(ann) == {"SMALL"}


async def test_a_joiner_whose_account_never_comes_fails_with_a_remedy_and_can_be_replayed() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.tell(event("joiner", "1", {"userPrincipalName": "ann@fabrikam.example"}, groups=[TEAM]))
    record = await run.record("1")
    assert str(record.state) == "Failed"
    assert "No account fitted upn:ann@fabrikam.example" in record.note
    assert "replay" in record.remedy
    assert [each["data"]["state"] for each in run.results] == ["Failed"]


async def test_a_start_in_the_future_waits_as_a_row_and_survives_the_loss_of_every_message() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann = run.directory.add_user(user(1))
    await run.send(event("joiner", "1", ann, on="2026-05-04", groups=[TEAM]))
    await run.work_off()
    assert await run.state("1") == "Scheduled"
    run.fakes.queue.messages.clear()
    await run.wait(days=100)
    assert not run.member(ann)
    await run.wait(days=20)
    assert await run.state("1") == "Done"
    assert run.licenses(ann) == {"SMALL"}


async def test_a_disabled_account_that_was_there_before_is_not_taken_for_a_joiner_by_its_name_alone() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    old = run.directory.add_user(user(1), enabled=False)
    run.accounts.created[old] = run.fakes.clock.now().replace(year=2024)
    upn = f"{old}@fabrikam.example"
    await run.tell(event("joiner", "1", {"userPrincipalName": upn}, groups=[TEAM]))
    record = await run.record("1")
    assert str(record.state) == "Failed"
    assert "former employee" in record.note
    assert not run.member(old)
    await run.tell(event("joiner", "2", old, groups=[TEAM]))
    assert await run.state("2") == "Done"


async def test_names_that_fit_two_accounts_are_refused() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    run.accounts.employee_ids = {ann: "7", bob: "7"}
    await run.tell(event("joiner", "1", {"employeeId": "7"}, groups=[TEAM]))
    await run.tell(event("joiner", "2", {"employeeId": "7", "id": ann}, groups=[TEAM]))
    for name in ("1", "2"):
        record = await run.record(name)
        assert str(record.state) == "Failed"
        assert "2 accounts" in record.note
    assert not run.memberships.log


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
    await run.profile("all", match={"country": ("*",)}, groups=tuple(ids))
    await run.tell(event("joiner", "1", ann, attributes={"country": "NL"}))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    for result, word in zip(sorted(record.groups, key=lambda each: each.group_id), kinds, strict=True):
        assert result.outcome is GroupOutcome.REFUSED
        assert word in result.text
        assert result.remedy
    assert not run.memberships.log


async def test_an_event_without_a_profile_that_matches_does_nothing_and_says_so() -> None:
    run = Hires()
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, attributes={"department": "Unknown"}))
    await run.tell(event("joiner", "2", ann, profiles=["missing"]))
    assert "No profile matches" in (await run.record("1")).note
    assert "no profile missing" in (await run.record("2")).note
    assert [str((await run.record(name)).state) for name in ("1", "2")] == ["Failed", "Failed"]


async def test_a_joiner_without_a_free_seat_ends_with_that_error_and_its_remedy() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    run.directory.add_sku(replace(SMALL, enabled=0))
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, groups=[TEAM]))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    assert outcomes(record.licenses) == {SMALL.sku_id: LicenseOutcome.WAITING}
    assert record.licenses[0].remedy


async def test_a_mover_is_in_the_new_groups_before_leaving_the_old_and_is_never_without() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.license_other(LARGE)
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,))
    await run.profile("labs", match={"department": ("Labs",)}, groups=(OTHER_TEAM,))
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, attributes={"department": "Sales"}))
    run.later(days=30)
    await run.tell(event("mover", "2", ann, on="2026-01-20", attributes={"department": "Labs"}))
    assert await run.state("2") == "Done", await run.record("2")
    assert not run.member(ann, TEAM)
    assert run.member(ann, OTHER_TEAM)
    adds = [(change.group_id, change.add) for change in run.memberships.log]
    assert adds == [(TEAM, True), (OTHER_TEAM, True), (TEAM, False)]
    run.later(minutes=15)
    await run.look_at(ann)
    run.later(minutes=2)
    await run.look_at(ann)
    assert run.licenses(ann) == {"LARGE"}
    for entry in run.writer.log:
        if entry.user_id == ann and entry.before:
            assert entry.after, "a moment without any license"


async def test_a_mover_keeps_the_old_groups_while_a_new_one_cannot_be_given() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.license_other(LARGE)
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, groups=[TEAM]))
    run.memberships.answers[OTHER_TEAM].append((Rejected(403, "Authorization_RequestDenied", "Denied"), False))
    run.later(days=30)
    await run.tell(event("mover", "2", ann, on="2026-01-20", groups=[OTHER_TEAM]))
    record = await run.record("2")
    assert str(record.state) == "DoneWithErrors"
    assert run.member(ann, TEAM)
    assert outcomes(record.groups) == {OTHER_TEAM: GroupOutcome.REFUSED, TEAM: GroupOutcome.KEPT}
    assert run.licenses(ann) == {"SMALL"}


async def test_a_move_takes_nobody_out_of_groups_that_hr_did_not_put_them_in() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.license_other(LARGE)
    ann = run.directory.add_user(user(1), groups=[TEAM])
    await run.look_at(ann)
    await run.tell(event("mover", "1", ann, groups=[OTHER_TEAM]))
    assert run.member(ann, TEAM)
    assert run.licenses(ann) == {"SMALL", "LARGE"}


async def test_a_leaver_loses_what_is_ours_after_the_delay_and_not_before() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    await run.profile("desk", match={"department": ("*",)}, licenses=(AssignedLicense(EXTRA.sku_id),))
    ann = run.directory.add_user(user(1), has=[AssignedLicense(LARGE.sku_id)])
    await run.tell(event("joiner", "1", ann, groups=[TEAM], attributes={"department": "x"}))
    assert run.licenses(ann) == {"SMALL", "EXTRA", "LARGE"}
    await run.tell(event("leaver", "2", ann, on="2026-01-10", removal="P10D"))
    assert await run.state("2") == "Scheduled"
    await run.wait(days=12)
    assert run.licenses(ann) == {"SMALL", "EXTRA", "LARGE"}
    await run.wait(days=4)
    record = await run.record("2")
    assert not run.member(ann)
    assert run.licenses(ann) == {"LARGE"}
    assert outcomes(record.licenses) == {
        SMALL.sku_id: LicenseOutcome.REMOVED,
        EXTRA.sku_id: LicenseOutcome.REMOVED,
        LARGE.sku_id: LicenseOutcome.KEPT,
    }
    assert str(record.state) == "DoneWithErrors"
    assert record.permitted_by == "allowance"


async def test_a_leaver_on_release_waits_for_the_release_also_when_it_came_first() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    people = [run.directory.add_user(user(n)) for n in (1, 2)]
    await run.tell(*(event("joiner", f"j{n}", each, groups=[TEAM]) for n, each in enumerate(people)))
    await run.send(event("leaver", "1", people[0], on="2026-01-02", removal="release"))
    await run.work_off()
    assert await run.state("1") == "WaitingForRelease"
    await run.tell(event("leaver.release", "2", people[0]))
    assert (await run.state("1"), await run.state("2")) == ("Done", "Done")
    await run.send(
        event("leaver.release", "4", people[1]), event("leaver", "3", people[1], on="2026-01-02", removal="release")
    )
    await run.work_off()
    assert (await run.state("3"), await run.state("4")) == ("Done", "Done")
    assert [run.licenses(each) for each in people] == [set(), set()]


async def test_a_grace_of_the_group_does_not_delay_a_leaver_again() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    options = AssignmentOptions(grace=timedelta(days=30))
    await run.world.stores.assignments.save(replace(stored.assignment, options=options, version=9), stored.etag)
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, groups=[TEAM]))
    await run.tell(event("leaver", "2", ann, on="2026-01-02", removal="P0D"))
    assert run.licenses(ann) == set()
    assert await run.state("2") == "Done"


async def test_throttled_and_unanswered_memberships_are_written_again_once() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    run.memberships.answers[TEAM].extend([(Throttled(30.0), False), (Unanswered("lost"), True)])
    ann = run.directory.add_user(user(1))
    await run.tell(event("joiner", "1", ann, groups=[TEAM]))
    assert await run.state("1") == "Done"
    assert len(run.memberships.log) == 1
    assert run.licenses(ann) == {"SMALL"}
