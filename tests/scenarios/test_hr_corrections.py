"""What HR corrects: dates that move, jobs that change before the first day, ends that are taken back, and people with
two employments. In each case, the person has what HR's newest statements say, and no statement ends silently."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain.directory import AssignedLicense
from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.domain.onboarding import SourceOrder
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.onboarding_queue import Onboarding
from tests.support.hires import Hires, event
from tests.support.runs import EXTRA, OTHER_TEAM, TEAM, user

MIA = Initiator("mia", "Mia")


async def hired(run: Hires, number: int = 1, **data: object) -> UserId:
    """A person who has been in the team since the year before."""
    ann = run.directory.add_user(user(number))
    await run.notify(event("joiner", f"hired-{number}", ann, on="2025-01-01", groups=[TEAM], **data))
    assert run.licenses(ann) == {"SMALL"}
    return ann


async def settled(run: Hires, *people: UserId) -> None:
    """Reads of the people until nothing changes any more."""
    for minutes in (12, 2):
        run.later(minutes=minutes)
        await run.reconcile(*people, cause=f"later-{run.done}")


async def listed(run: Hires) -> set[str]:
    """Events in the list of those that need a person."""
    found, _ = await run.world.stores.onboarding.attention(100)
    return {each.event.id for each in found}


async def test_a_leaving_date_that_is_extended_removes_nothing_on_the_first_date() -> None:
    run = await Hires.of_two_teams()
    ann, bob = await hired(run, 1), await hired(run, 2)
    await run.notify(event("leaver", "a1", ann, on="2026-03-01", removal="P0D"))
    await run.notify(event("leaver", "b1", bob, on="2026-06-01", removal="P0D"))
    await run.notify(event("leaver", "a2", ann, on="2026-06-01", removal="P0D"))
    await run.notify(event("leaver", "b2", bob, on="2026-03-01", removal="P0D"))
    assert (await run.state("a1"), await run.state("b1")) == ("Superseded", "Superseded")
    await run.wait(days=60)
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, set())
    await run.wait(days=100)
    await settled(run, ann, bob)
    assert run.licenses(ann) == set()


async def test_a_start_that_is_postponed_licenses_on_the_new_day_only() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, on="2026-02-01", groups=[TEAM]))
    await run.notify(event("joiner", "2", ann, on="2026-04-01", groups=[TEAM]))
    await run.wait(days=40)
    assert run.licenses(ann) == set()
    assert await run.state("1") == "Superseded"
    await run.wait(days=60)
    assert run.licenses(ann) == {"SMALL"}
    assert await run.state("2") == "Done"


async def test_a_start_that_is_brought_forward_licenses_once() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, on="2026-04-01", groups=[OTHER_TEAM]))
    await run.notify(event("joiner", "2", ann, on="2026-02-01", groups=[TEAM]))
    await run.wait(days=40)
    assert run.licenses(ann) == {"SMALL"}
    await run.wait(days=60)
    assert (run.licenses(ann), run.member(ann, OTHER_TEAM)) == ({"SMALL"}, False)


@pytest.mark.parametrize("kind", ["joiner", "mover"])
async def test_a_job_that_is_corrected_before_the_first_day_gives_only_the_new_one(kind: str) -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, on="2026-02-01", groups=[TEAM]))
    await run.notify(event(kind, "2", ann, on="2026-02-01", groups=[OTHER_TEAM]))
    await run.wait(days=40)
    await settled(run, ann)
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (False, True)
    assert run.licenses(ann) == {"LARGE"}


async def test_a_leaver_who_left_earlier_and_came_back_does_not_leave_on_the_first_date() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("leaver", "later", ann, on="2026-06-01", removal="P0D"))
    await run.notify(event("leaver", "now", ann, on="2026-01-05", removal="P0D"))
    await settled(run, ann)
    assert run.licenses(ann) == set()
    await run.notify(event("joiner", "again", ann, on="2026-01-05", groups=[TEAM]))
    assert run.licenses(ann) == {"SMALL"}
    await run.wait(days=200)
    await settled(run, ann)
    assert run.licenses(ann) == {"SMALL"}
    assert await run.state("later") == "Superseded"


async def test_a_leaver_that_is_dated_back_takes_effect_now() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("mover", "m", ann, on="2026-01-02", groups=[OTHER_TEAM]))
    await run.notify(event("leaver", "l", ann, on="2025-12-15", removal="P0D"))
    await settled(run, ann)
    assert await run.state("l") == "Done"
    assert (run.licenses(ann), run.member(ann, OTHER_TEAM)) == (set(), False)


async def test_a_leaver_before_the_start_in_force_is_recorded_and_removes_nothing() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("leaver", "l", ann, on="2024-12-31", removal="P0D"))
    await settled(run, ann)
    record = await run.record("l")
    assert str(record.state) == "Done"
    assert "an employment before the one that started" in record.note
    assert run.licenses(ann) == {"SMALL"}


async def test_a_move_after_a_leaver_that_was_carried_out_asks_and_licenses_nobody() -> None:
    run = await Hires.of_two_teams()
    ann, bob = await hired(run, 1), await hired(run, 2)
    for name, person in (("a", ann), ("b", bob)):
        await run.notify(event("leaver", f"{name}-left", person, on="2026-01-02", removal="P0D"))
        await run.send(event("mover", f"{name}-moved", person, on="2026-01-04", groups=[OTHER_TEAM]))
        await worked(run)
        assert await run.state(f"{name}-moved") == "NeedsDecision"
    assert await listed(run) == {"a-moved", "b-moved"}
    assert (run.licenses(ann), run.licenses(bob)) == (set(), set())
    await administration.decide(run.world, (await run.record("a-moved")).key, MIA, carry_out=True)
    await administration.decide(run.world, (await run.record("b-moved")).key, MIA, carry_out=False)
    await run.work_off()
    assert (await run.state("a-moved"), await run.state("b-moved")) == ("Done", "Cancelled")
    assert (run.licenses(ann), run.licenses(bob)) == ({"LARGE"}, set())
    assert await listed(run) == set()


async def worked(run: Hires, *, hours: float = 1) -> None:
    """Whatever falls due within a time, for records that ask again for ever."""
    clock = run.fakes.clock
    end = clock.now() + timedelta(hours=hours)
    await run.work_off(lambda: not any(each.at is None or each.at <= end for each in run.fakes.queue.messages))


@pytest.mark.parametrize("carry_out", [True, False])
async def test_a_move_on_or_after_the_last_day_asks_and_the_removal_waits(carry_out: bool) -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("leaver", "l", ann, on="2026-01-10", removal="P0D"))
    await run.send(event("mover", "m", ann, on="2026-01-10", groups=[OTHER_TEAM]))
    await worked(run)
    assert await run.state("m") == "NeedsDecision"
    await run.wait(days=10)
    assert run.licenses(ann) == {"SMALL"}, "the removal waits for the answer"
    assert await run.state("l") == "WaitingForEarlierEvent"
    await administration.decide(run.world, (await run.record("m")).key, MIA, carry_out=carry_out)
    await run.work_off()
    await settled(run, ann)
    assert run.licenses(ann) == ({"LARGE"} if carry_out else set())
    assert await run.state("l") == ("Superseded" if carry_out else "Done")


async def test_a_move_before_the_last_day_is_done_and_the_leaver_stays_in_force() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("leaver", "l", ann, on="2026-03-01", removal="P0D"))
    await run.notify(event("mover", "m", ann, on="2026-01-02", groups=[OTHER_TEAM]))
    await settled(run, ann)
    assert run.licenses(ann) == {"LARGE"}
    await run.wait(days=70)
    await settled(run, ann)
    assert (await run.state("m"), await run.state("l")) == ("Done", "Done")
    assert run.licenses(ann) == set()


@pytest.mark.parametrize("day", ["2026-01-20", "2026-01-08"])
async def test_a_rehire_into_another_job_while_the_leaver_waits_leaves_the_old_job(day: str) -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("leaver", "l", ann, on="2026-01-15", removal="P30D"))
    await run.notify(event("joiner", "again", ann, on=day, groups=[OTHER_TEAM]))
    await run.wait(days=20)
    await settled(run, ann)
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (False, True)
    await run.wait(days=60)
    await settled(run, ann)
    assert run.licenses(ann) == {"LARGE"}
    assert (await run.state("l"), await run.state("again")) == ("Superseded", "Done")


async def test_an_end_and_a_later_start_both_take_effect_on_their_days() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("leaver", "l", ann, on="2026-03-01", removal="P0D"))
    await run.notify(event("joiner", "again", ann, on="2026-09-01", groups=[OTHER_TEAM]))
    await run.wait(days=70)
    await settled(run, ann)
    assert run.licenses(ann) == set()
    await run.wait(days=200)
    assert run.licenses(ann) == {"LARGE"}


async def test_a_cancelled_leaver_revives_the_start_that_it_superseded() -> None:
    run = await Hires.of_two_teams()
    run.order_by(SourceOrder.SEQUENCE)
    who = {"employeeId": "7"}
    await run.send(event("joiner", "j", who, on="2026-01-04", sequence=1, groups=[TEAM]))
    await worked(run)
    await run.send(event("leaver", "l", who, on="2026-01-04", sequence=2, removal="release"))
    await worked(run)
    assert await run.state("j") == "Superseded"
    await administration.cancel(run.world, (await run.record("l")).key, MIA)
    ann = run.directory.add_user(user(1))
    run.accounts.employee_ids[ann] = "7"
    await run.work_off()
    assert (await run.state("l"), await run.state("j")) == ("Cancelled", "Done")
    assert run.licenses(ann) == {"SMALL"}


async def test_a_cancelled_leaver_does_not_let_the_older_date_remove_anything() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("leaver", "old", ann, on="2026-01-10", removal="P0D"))
    await run.notify(event("leaver", "new", ann, on="2026-06-01", removal="P0D"))
    await run.wait(days=20)
    await administration.cancel(run.world, (await run.record("new")).key, MIA)
    await worked(run)
    assert await run.state("old") == "NeedsDecision"
    assert run.licenses(ann) == {"SMALL"}
    assert await listed(run) == {"old"}


@pytest.mark.parametrize("first", ["leaver", "rescission"])
async def test_a_rescinded_leaver_removes_nothing_whichever_came_first(first: str) -> None:
    run = await Hires.of_two_teams()
    run.order_by(SourceOrder.SEQUENCE)
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "j", ann, on="2025-01-01", sequence=1, groups=[TEAM]))
    leaver = event("leaver", "l", ann, on="2026-01-10", sequence=2, removal="P0D")
    rescission = event("leaver.rescission", "r", ann, sequence=3)
    for each in (leaver, rescission) if first == "leaver" else (rescission, leaver):
        await run.send(each)
        await worked(run)
    await run.work_off()
    await run.wait(days=20)
    await settled(run, ann)
    assert (await run.state("l"), await run.state("r")) == ("Superseded", "Done")
    assert run.licenses(ann) == {"SMALL"}


async def test_a_rescission_gives_back_what_a_leaver_took() -> None:
    run = await Hires.of_two_teams()
    await run.profile("desk", match={"department": ("*",)}, licenses=(AssignedLicense(EXTRA.sku_id),))
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "j", ann, groups=[TEAM], attributes={"department": "x"}))
    await run.notify(event("leaver", "l", ann, on="2026-01-02", removal="P0D"))
    await settled(run, ann)
    assert run.licenses(ann) == set()
    await run.notify(event("leaver.rescission", "r", ann))
    await settled(run, ann)
    assert run.licenses(ann) == {"SMALL", "EXTRA"}
    assert (await run.state("l"), await run.state("r")) == ("Cancelled", "Done")
    await run.notify(event("mover", "m", ann, on="2026-01-05", groups=[OTHER_TEAM]))
    assert (await run.state("m"), run.member(ann, TEAM)) == ("Done", False)


async def test_a_rescission_without_a_leaver_fails_in_the_end_and_is_listed() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("leaver.rescission", "r", ann))
    record = await run.record("r")
    assert str(record.state) == "Failed"
    assert "No leaver event" in record.note
    assert await listed(run) == {"r"}


@pytest.mark.parametrize("order", [("end", "start"), ("start", "end")])
async def test_a_contractor_who_becomes_an_employee_on_one_day_is_never_without(order: tuple[str, str]) -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run, employmentId="C-1")
    events = {
        "end": event("leaver", "end", ann, on="2026-01-10", removal="P0D", employmentId="C-1"),
        "start": event("joiner", "start", ann, on="2026-01-10", employmentId="E-1", groups=[OTHER_TEAM]),
    }
    await run.notify(*(events[name] for name in order))
    await run.wait(days=6)
    await settled(run, ann)
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (False, True)
    assert run.licenses(ann) == {"LARGE"}
    assert (await run.state("end"), await run.state("start")) == ("Done", "Done")
    for entry in run.writer.log:
        assert not entry.before or entry.after, "a moment without any license"


async def test_two_jobs_on_one_day_without_employment_ids_leave_the_new_one() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.notify(event("joiner", "start", ann, on="2026-01-05", groups=[OTHER_TEAM]))
    await run.notify(event("leaver", "end", ann, on="2026-01-05", removal="P0D"))
    await settled(run, ann)
    assert run.licenses(ann) == {"LARGE"}
    assert await run.state("end") == "Done"


async def test_the_end_of_one_of_two_employments_leaves_what_both_give_and_what_hr_did_not() -> None:
    run = await Hires.of_two_teams()
    await run.profile("desk", match={"department": ("*",)}, licenses=(AssignedLicense(EXTRA.sku_id),))
    ann = run.directory.add_user(user(1))
    data: dict[str, Any] = {"attributes": {"department": "x"}}
    await run.notify(event("joiner", "1", ann, employmentId="1", groups=[TEAM], **data))
    await run.notify(event("joiner", "2", ann, employmentId="2", groups=[TEAM, OTHER_TEAM], **data))
    await run.notify(event("leaver", "end-2", ann, on="2026-01-05", removal="P0D", employmentId="2"))
    await settled(run, ann)
    assert run.licenses(ann) == {"SMALL", "EXTRA"}
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (True, False)
    await run.notify(event("leaver", "end-1", ann, on="2026-01-05", removal="P0D", employmentId="1"))
    await settled(run, ann)
    assert (run.licenses(ann), run.member(ann, TEAM)) == (set(), False)
    assert (await run.state("end-2"), await run.state("end-1")) == ("Done", "Done")


async def test_a_leaver_that_names_no_employment_of_several_asks() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run, employmentId="1")
    await run.notify(event("joiner", "2", ann, employmentId="2", groups=[OTHER_TEAM]))
    await run.send(event("leaver", "l", ann, on="2026-01-05", removal="P0D"))
    await worked(run)
    assert await run.state("l") == "NeedsDecision"
    assert run.licenses(ann) == {"SMALL", "LARGE"}


async def test_a_start_that_moves_after_it_was_carried_out_removes_nothing_and_asks() -> None:
    run = await Hires.of_two_teams()
    ann = await hired(run)
    await run.send(event("joiner", "2", ann, on="2026-03-01", groups=[OTHER_TEAM]))
    await worked(run)
    assert await run.state("2") == "NeedsDecision"
    assert run.licenses(ann) == {"SMALL"}
    await administration.decide(run.world, (await run.record("2")).key, MIA, carry_out=True)
    await run.work_off()
    assert await run.state("2") == "Scheduled"
    await run.wait(days=70)
    await settled(run, ann)
    assert run.licenses(ann) == {"LARGE"}


async def test_two_statements_with_one_place_in_the_order_ask_and_the_chosen_one_counts() -> None:
    run = await Hires.of_two_teams()
    run.order_by(SourceOrder.SEQUENCE)
    ann = run.directory.add_user(user(1))
    await run.send(
        event("joiner", "1", ann, on="2026-01-04", sequence=5, groups=[TEAM]),
        event("joiner", "2", ann, on="2026-01-04", sequence=5, groups=[OTHER_TEAM]),
    )
    await worked(run)
    assert (await run.state("1"), await run.state("2")) in (("Done", "NeedsDecision"), ("NeedsDecision",) * 2)


async def test_two_statements_with_one_place_before_their_day_both_wait_for_the_choice() -> None:
    run = await Hires.of_two_teams()
    run.order_by(SourceOrder.TIME)
    ann = run.directory.add_user(user(1))
    await run.send(
        event("joiner", "1", ann, on="2026-02-01", groups=[TEAM]),
        event("joiner", "2", ann, on="2026-02-01", groups=[OTHER_TEAM]),
    )
    await worked(run, hours=7)
    assert (await run.state("1"), await run.state("2")) == ("NeedsDecision", "NeedsDecision")
    await administration.decide(run.world, (await run.record("2")).key, MIA, carry_out=True)
    await run.work_off()
    await run.wait(days=40)
    assert (await run.state("1"), await run.state("2")) == ("Superseded", "Done")
    assert run.licenses(ann) == {"LARGE"}


async def test_an_end_after_a_start_that_was_corrected_before_its_day_asks() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, on="2026-02-01", groups=[TEAM]))
    await run.notify(event("leaver", "l", ann, on="2026-06-01", removal="P0D"))
    await run.notify(event("joiner", "2", ann, on="2026-02-15", groups=[TEAM]))
    await run.wait(days=50)
    assert run.licenses(ann) == {"SMALL"}
    assert await run.state("l") == "NeedsDecision"
    await administration.decide(run.world, (await run.record("l")).key, MIA, carry_out=True)
    await run.work_off()
    await run.wait(days=120)
    await settled(run, ann)
    assert run.licenses(ann) == set()


async def test_a_start_in_the_lead_time_leaves_the_old_job_on_the_day_and_not_before() -> None:
    run = await Hires.of_two_teams()
    policy = replace(run.world.policy, onboarding_lead_s=14 * 86400.0)
    run.onboarders = [Onboarding(replace(run.world, policy=policy))] * 2
    ann = await hired(run)
    await run.notify(event("leaver", "l", ann, on="2026-01-31", removal="P30D"))
    await run.notify(event("joiner", "2", ann, on="2026-02-01", groups=[OTHER_TEAM]))
    await run.wait(days=20)
    await settled(run, ann)
    assert run.licenses(ann) == {"SMALL"}
    await run.wait(days=10)
    await settled(run, ann)
    assert run.licenses(ann) == {"LARGE"}
