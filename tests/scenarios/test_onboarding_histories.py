"""Histories of HR events that ended wrong in some draft: events in the wrong order, at the same moment, of a name that
is somebody else's by now, taken back half-way."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.directory import AssignedLicense, LicenseAssignmentState, ReadFailed
from shared.domain.errors import Conflict
from shared.domain.hr_intake import open_keys
from shared.domain.initiator import Initiator, queue_sender
from shared.domain.messages import ONBOARDING
from shared.domain.onboarding import GroupOutcome, LicenseOutcome, SourceOrder
from shared.domain.operation import LicenseChange, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.write_results import Rejected, Throttled
from shared.handlers.onboarding import administration, records
from shared.handlers.onboarding.onboarding_queue import Onboarding
from shared.handlers.operations.accept import accept
from tests.support.hires import Hires, event
from tests.support.runs import EXTRA, LARGE, MAIL, OTHER_TEAM, SMALL, TEAM, user

MIA = Initiator("mia", "Mia")


def outcomes(items: object) -> dict[str, str]:
    return {getattr(each, "group_id", None) or each.sku_id: str(each.outcome) for each in items}  # type: ignore[attr-defined]


async def test_a_leaver_that_came_before_its_joiner_and_the_account_counts_when_the_joiner_comes() -> None:
    run = await Hires.of_two_teams()
    run.order_by(SourceOrder.SEQUENCE)
    who = {"employeeId": "7"}
    await run.notify(event("leaver", "gone", who, on="2026-01-01", sequence=2, removal="P0D"))
    assert await run.state("gone") == "DoneWithErrors"
    ann = run.directory.add_user(user(1))
    run.accounts.employee_ids[ann] = "7"
    await run.notify(event("joiner", "came", who, on="2025-12-01", sequence=1, groups=[TEAM]))
    assert await run.state("came") == "Superseded"
    assert run.licenses(ann) == set()
    await run.notify(event("joiner", "again", who, on="2026-01-02", sequence=3, groups=[TEAM]))
    assert await run.state("again") == "Done"
    assert run.licenses(ann) == {"SMALL"}


async def test_of_a_request_without_times_the_later_event_of_the_same_day_counts() -> None:
    for first, second, licensed in (("joiner", "leaver", set()), ("leaver", "joiner", {"SMALL"})):
        run = await Hires.of_two_teams()
        ann = run.directory.add_user(user(1))
        events = []
        for name, kind in (("1", first), ("2", second)):
            data = {"groups": [TEAM]} if kind == "joiner" else {"removal": "P0D"}
            events.append({k: v for k, v in event(kind, name, ann, **data).items() if k != "time"})
        receipts = await records.accept(run.world, events, queue_sender("onboarding", ""))
        await records.resume(run.world, open_keys(receipts))
        await run.work_off()
        assert run.licenses(ann) == licensed
        assert await run.state("2") in ("Done", "DoneWithErrors")


async def test_a_joiner_cannot_be_cancelled_while_its_membership_is_being_written() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    rejected: list[str] = []

    async def cancel() -> None:
        with pytest.raises(Conflict) as caught:
            await administration.cancel(run.world, (await run.record("1")).key, MIA)
        rejected.append(str(caught.value))

    run.memberships.meanwhile.append(cancel)
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    assert "cannot be cancelled any more" in rejected[0]
    assert await run.state("1") == "Done"


async def test_what_is_cancelled_before_its_membership_is_written_writes_none() -> None:
    run = await Hires.of_two_teams()
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    run.memberships.answers[TEAM].append((Throttled(30.0), False))
    await run.send(event("joiner", "1", ann, groups=[TEAM]))
    await run.work_off(lambda: not run.memberships.answers[TEAM])
    assert await run.state("1") == "Received"
    await administration.cancel(run.world, (await run.record("1")).key, MIA)
    await run.notify(event("joiner", "2", bob, groups=[TEAM]))
    assert (await run.state("1"), await run.state("2")) == ("Cancelled", "Done")
    assert not run.member(ann)
    assert run.licenses(ann) == set()


async def test_a_leaver_waits_for_a_joiner_whose_membership_is_being_written_and_takes_it_back() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    seen: list[str] = []

    async def leave() -> None:
        leaver = event("leaver", "2", ann, on="2026-01-02", removal="P0D")
        await run.onboarders[0].take(json.dumps(leaver).encode())
        seen.append(await run.state("2"))

    run.later(days=5)
    run.memberships.meanwhile.append(leave)
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    assert seen == ["WaitingForEarlierEvent"]
    assert await run.state("2") == "Done"
    assert not run.member(ann)
    assert run.licenses(ann) == set()


async def test_a_leaver_leaves_a_group_that_a_lagging_replica_does_not_show_yet() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    run.directory.make_stale(ann)
    await run.send(event("joiner", "1", ann, groups=[TEAM]))
    await run.work_off(lambda: "SMALL" in run.licenses(ann))
    run.later(seconds=1)
    await run.send(event("leaver", "2", ann, on="2026-01-01", removal="P0D", sequence=1))
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: clock.now() - start > timedelta(seconds=20))
    assert not run.member(ann)
    run.directory.make_fresh(ann)
    await run.work_off()
    assert run.licenses(ann) == set()
    assert await run.state("2") == "Done"


async def test_a_leaver_by_name_is_of_the_account_that_had_the_name_when_the_event_came() -> None:
    run = await Hires.of_two_teams()
    old = run.directory.add_user(user(1))
    upn = f"{old}@fabrikam.example"
    await run.notify(event("joiner", "1", old, groups=[TEAM]))
    await run.notify(event("leaver", "2", {"userPrincipalName": upn}, on="2026-01-02", removal="P30D"))
    assert (await run.record("2")).user_id == old
    new = run.directory.add_user(user(2))
    run.directory.change_user(replace(run.directory.truth(old), user_principal_name="old@fabrikam.example"))
    run.directory.change_user(replace(run.directory.truth(new), user_principal_name=upn))
    await run.notify(event("joiner", "3", new, on="2026-01-10", groups=[TEAM]))
    await run.wait(days=40)
    assert await run.state("2") == "Done"
    assert (run.licenses(old), run.licenses(new)) == (set(), {"SMALL"})


async def test_a_leaver_by_name_takes_nothing_from_an_account_made_after_it_came() -> None:
    run = await Hires.of_two_teams()
    new = user(1)
    who = {"userPrincipalName": f"{new}@fabrikam.example"}
    await run.notify(event("leaver", "1", who, on="2026-01-02", removal="P30D"))
    run.later(days=10)
    run.directory.add_user(new, groups=[TEAM])
    run.accounts.created[new] = run.fakes.clock.now()
    await run.reconcile(new)
    await run.wait(days=40)
    record = await run.record("1")
    assert str(record.state) == "Failed"
    assert "created after the event" in record.note
    assert run.licenses(new) == {"SMALL"}


async def test_of_a_leaver_whose_account_is_deleted_meanwhile_nothing_is_left_to_do() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    run.accounts.employee_ids[ann] = "7"
    await run.notify(event("leaver", "1", {"employeeId": "7"}, on="2026-01-02", removal="P30D"))
    run.directory.delete_user(ann)
    await run.wait(days=40)
    record = await run.record("1")
    assert (str(record.state), record.note) == ("Done", "The account is gone, and its licenses with it.")


async def test_an_account_that_cannot_be_read_for_an_hour_is_not_one_that_does_not_exist() -> None:
    run = await Hires.of_two_teams()
    policy = replace(run.world.policy, account_wait_s=0.0)
    run.onboarders = [Onboarding(replace(run.world, policy=policy))] * 2
    ann = run.directory.add_user(user(1))
    run.directory.fail_read(ann, ReadFailed("503"), times=100)
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    assert await run.state("1") == "Done"
    assert run.licenses(ann) == {"SMALL"}


async def test_a_license_that_a_left_group_gave_natively_is_gone_before_the_leaver_is_done() -> None:
    run = Hires()
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM, OTHER_TEAM))
    rows = [LicenseAssignmentState(sku.sku_id, assigned_by_group=TEAM) for sku in (SMALL, EXTRA)]
    ann = run.directory.add_user(user(1), rows=rows, groups=[TEAM])
    await run.send(event("leaver", "1", ann, removal="P0D"))
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: clock.now() - start > timedelta(minutes=2))
    record = await run.record("1")
    assert str(record.state) == "Working"
    assert set(outcomes(record.licenses).values()) == {LicenseOutcome.PENDING}
    truth = run.directory.truth(ann)
    left = tuple(row for row in truth.license_assignment_states if row.sku_id != SMALL.sku_id)
    run.directory.change_user(replace(truth, license_assignment_states=left))
    await run.work_off()
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    assert outcomes(record.licenses) == {SMALL.sku_id: LicenseOutcome.REMOVED, EXTRA.sku_id: LicenseOutcome.KEPT}


async def test_a_usage_location_that_is_rejected_is_shown_and_the_rest_is_done() -> None:
    run = await Hires.of_two_teams()
    ann, bob = run.directory.add_user(user(1), location="FR"), run.directory.add_user(user(2), location="FR")
    run.writer.reject_location(ann, "Insufficient privileges")
    for name, person in (("1", ann), ("2", bob)):
        await run.notify(event("joiner", name, person, groups=[TEAM], usageLocation="NL"))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    assert record.note == "The usage location NL was rejected: Insufficient privileges"
    assert "User.ReadWrite.All" in record.remedy
    assert run.licenses(ann) == {"SMALL"}
    assert await run.state("2") == "Done"
    assert run.directory.truth(bob).usage_location == "NL"


async def test_of_two_licenses_each_has_its_own_end() -> None:
    run = Hires()
    await run.licensed_team(SMALL, EXTRA)
    run.directory.add_sku(replace(EXTRA, enabled=0))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    record = await run.record("1")
    assert str(record.state) == "DoneWithErrors"
    assert record.note == "1 license waiting for a seat."
    ends = {SMALL.sku_id: LicenseOutcome.ASSIGNED, EXTRA.sku_id: LicenseOutcome.WAITING}
    assert outcomes(record.licenses) == ends
    assert [bool(each.remedy) for each in sorted(record.licenses, key=lambda each: each.outcome)] == [False, True]


async def test_a_move_shows_which_group_of_the_old_job_stays_because_hr_did_not_put_the_person_there() -> None:
    run = await Hires.of_two_teams()
    await run.profile("sales", match={"department": ("Sales",)}, groups=(TEAM,))
    ann, bob = run.directory.add_user(user(1), groups=[TEAM]), run.directory.add_user(user(2))
    await run.reconcile(ann)
    for name, person in (("1", ann), ("2", bob)):
        await run.notify(event("joiner", name, person, attributes={"department": "Sales"}))
        await run.notify(event("mover", f"m{name}", person, on="2026-01-01", sequence=1, groups=[OTHER_TEAM]))
    kept, moved = await run.record("m1"), await run.record("m2")
    assert outcomes(kept.groups) == {TEAM: GroupOutcome.KEPT, OTHER_TEAM: GroupOutcome.ADDED}
    assert (str(kept.state), str(moved.state)) == ("DoneWithErrors", "Done")
    assert "before HR said so" in next(each.text for each in kept.groups if each.group_id == TEAM)
    assert (run.member(ann), run.member(bob)) == (True, False)


async def test_a_mover_changes_products_in_one_call_with_the_same_plans_off() -> None:
    run = Hires()
    for group, sku in ((TEAM, SMALL), (OTHER_TEAM, LARGE)):
        change = LicenseChange((AssignedLicense(sku.sku_id, frozenset({MAIL})),), ())
        await run.finish(await accept(run.world, OperationRequest(Target(group), MIA, change)))
        await run.name_by_events(group)
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    for name, person in (("1", ann), ("2", bob)):
        await run.notify(event("joiner", name, person, groups=[TEAM]))
    before = len(run.writer.log)
    await run.notify(event("mover", "3", ann, sequence=1, groups=[OTHER_TEAM]))
    plans = frozenset({MAIL})
    calls = [entry for entry in run.writer.log[before:] if entry.operation == "assignLicense"]
    assert [(entry.before, entry.after) for entry in calls] == [({SMALL.sku_id: plans}, {LARGE.sku_id: plans})]
    assert await run.state("3") == "Done"
    assert run.directory.licenses(bob) == {SMALL.sku_id: plans}


async def test_a_lead_time_takes_a_joiner_up_before_the_start_and_no_other_kind() -> None:
    run = await Hires.of_two_teams()
    policy = replace(run.world.policy, onboarding_lead_s=14 * 86400.0)
    run.onboarders = [Onboarding(replace(run.world, policy=policy))] * 2
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    await run.send(
        event("joiner", "1", ann, on="2026-02-01", groups=[TEAM]),
        event("mover", "2", bob, on="2026-02-01", groups=[TEAM]),
    )
    await run.work_off()
    await run.wait(days=12)
    assert (await run.state("1"), await run.state("2")) == ("Scheduled", "Scheduled")
    await run.wait(days=5)
    assert (await run.state("1"), await run.state("2")) == ("Done", "Scheduled")


async def test_an_account_that_is_missing_in_the_lead_time_is_looked_for_ever_more_seldom() -> None:
    run = await Hires.of_two_teams()
    policy = replace(run.world.policy, onboarding_lead_s=14 * 86400.0)
    run.onboarders = [Onboarding(replace(run.world, policy=policy))] * 2
    await run.send(event("joiner", "1", {"employeeId": "7"}, on="2026-01-15", groups=[TEAM]))
    clock, start = run.fakes.clock, run.fakes.clock.now()
    await run.work_off(lambda: clock.now() - start > timedelta(days=2))
    assert await run.state("1") == "WaitingForAccount"
    assert run.done < 250
    ann = run.directory.add_user(user(1))
    run.accounts.employee_ids[ann] = "7"
    await run.work_off()
    assert await run.state("1") == "Done"


async def test_messages_are_scheduled_for_the_next_day_only_and_what_is_later_is_a_row() -> None:
    run = await Hires.of_two_teams()
    people = [run.directory.add_user(user(n)) for n in range(1, 8)]
    days = ("2026-01-06", "2026-01-07", "2026-01-08", "2026-03-01", "2026-12-01", "2027-06-01")
    await run.send(*(event("joiner", day, p, on=day, groups=[TEAM]) for day, p in zip(days, people, strict=False)))
    await run.send(event("leaver", "l", people[6], on="2026-06-01", removal="P30D"))
    waiting = [message for message in run.fakes.queue.messages if message.queue == ONBOARDING]
    run.fakes.queue.messages.clear()
    for message in waiting:
        await run.deliver(message)
    now = run.fakes.clock.now()
    ahead = [message.at - now for message in run.fakes.queue.messages if message.at is not None]
    assert 0 < len(ahead) < len(waiting)
    assert max(ahead) <= timedelta(days=1)
    assert {await run.state(name) for name in (*days[2:], "l")} == {"Scheduled"}
    run.fakes.queue.messages.clear()
    await run.wait(days=600)
    assert {await run.state(name) for name in (*days, "l")} <= {"Done", "DoneWithErrors"}


async def test_a_group_that_rejects_a_leaver_is_shown_and_the_others_are_left() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM, OTHER_TEAM]))
    run.memberships.answers[TEAM].append((Rejected(403, "Authorization_RequestDenied", "Denied"), False))
    await run.notify(event("leaver", "2", ann, on="2026-01-01", sequence=1, removal="P0D"))
    record = await run.record("2")
    assert str(record.state) == "DoneWithErrors"
    assert outcomes(record.groups) == {TEAM: GroupOutcome.REJECTED, OTHER_TEAM: GroupOutcome.REMOVED}
    assert run.member(ann)
    assert run.licenses(ann) == set(), "whom HR reported as a leaver is not licensed by a membership that stays"
