"""Corrections that come when the statement before them is being carried out, or was: nobody loses what HR's newest
statement leaves, and what was taken can still be given back."""

from __future__ import annotations

import json

import pytest

from shared.domain.ids import UserId
from shared.domain.initiator import Initiator, queue_sender
from shared.domain.onboarding import SourceOrder
from shared.domain.write_results import Rejected, Throttled
from shared.handlers.onboarding import administration, records
from tests.support.hires import Hires, event
from tests.support.runs import OTHER_TEAM, TEAM, user

MIA = Initiator("mia", "Mia")


async def two_hired(**data: object) -> tuple[Hires, UserId, UserId]:
    run = await Hires.of_two_teams()
    people = [run.directory.add_user(user(number)) for number in (1, 2)]
    for number, person in enumerate(people, 1):
        await run.notify(event("joiner", f"hired-{number}", person, on="2025-01-01", groups=[TEAM], **data))
    return run, people[0], people[1]


async def worked(run: Hires, *, seconds: float = 3600.0) -> None:
    """Whatever falls due within a time."""
    end = run.fakes.clock.now().timestamp() + seconds
    await run.work_off(
        lambda: not any(each.at is None or each.at.timestamp() <= end for each in run.fakes.queue.messages)
    )


async def settled(run: Hires, *people: UserId) -> None:
    for minutes in (12, 2):
        run.later(minutes=minutes)
        await run.reconcile(*people, cause=f"later-{run.done}")


def leaver(name: str, person: UserId, on: str, **data: object) -> dict[str, object]:
    return event("leaver", name, person, on=on, **{"removal": "P0D", **data})


@pytest.mark.parametrize("state", ["Working", "Done"])
async def test_a_rescission_gives_back_what_an_end_took_whose_day_was_corrected(state: str) -> None:
    run, ann, bob = await two_hired()
    run.directory.join(OTHER_TEAM, ann)  # by hand
    await run.reconcile(ann)
    await run.send(leaver("a1", ann, "2026-01-02"), leaver("b1", bob, "2026-01-02"))
    await worked(run, seconds=10 if state == "Working" else 3600)
    assert await run.state("a1") == state
    await run.notify(leaver("a2", ann, "2026-01-03"), leaver("b2", bob, "2026-01-03"))
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == (set(), set())
    await run.notify(event("leaver.rescission", "r", ann))
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL", "LARGE"}, set())
    assert (run.member(ann, TEAM), run.member(ann, OTHER_TEAM)) == (True, True)


async def test_an_end_that_moves_into_the_future_while_it_is_carried_out_is_taken_back() -> None:
    run, ann, bob = await two_hired()
    await run.send(leaver("a1", ann, "2026-01-02"), leaver("b1", bob, "2026-01-02"))
    await worked(run, seconds=10)
    assert await run.state("a1") == "Working"
    await run.send(*[leaver("a2", ann, "2026-06-01")] * 2)
    await worked(run)
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, set())
    assert (await run.state("a1"), await run.state("a2")) == ("Cancelled", "Scheduled")
    await run.wait(days=200)
    await settled(run, ann)
    assert run.licenses(ann) == set()


@pytest.mark.parametrize("carry_out", [True, False])
async def test_an_end_that_moves_into_the_future_after_it_was_carried_out_asks(carry_out: bool) -> None:
    run, ann, bob = await two_hired()
    await run.notify(leaver("a1", ann, "2026-01-02"), leaver("b1", bob, "2026-01-02"))
    await run.send(leaver("a2", ann, "2026-06-01"))
    await worked(run)
    record = await run.record("a2")
    assert (str(record.state), run.licenses(ann)) == ("NeedsDecision", set())
    await administration.decide(run.world, record.key, MIA, carry_out=carry_out)
    await worked(run)
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"} if carry_out else set(), set())
    assert await run.state("a1") == ("Cancelled" if carry_out else "Done")
    await run.wait(days=200)
    await settled(run, ann)
    assert (await run.state("a2"), run.licenses(ann)) == ("Done" if carry_out else "Cancelled", set())


async def test_an_end_is_not_replaced_while_its_memberships_are_written() -> None:
    run, ann, bob = await two_hired()
    run.memberships.meanwhile.append(lambda: run.onboarders[1].take(body(leaver("a2", ann, "2026-06-01"))))
    await run.send(leaver("a1", ann, "2026-01-02"))
    await run.send(leaver("b1", bob, "2026-01-02"))
    await worked(run)
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, set())
    assert (await run.state("a1"), await run.state("a2")) == ("Cancelled", "Scheduled")


async def test_a_move_is_not_replaced_while_its_memberships_are_written_nor_once_they_are() -> None:
    run, ann, bob = await two_hired()
    run.memberships.meanwhile.append(
        lambda: run.onboarders[1].take(body(event("mover", "a2", ann, on="2026-06-01", groups=[TEAM])))
    )
    await run.send(event("mover", "a1", ann, on="2026-01-02", groups=[OTHER_TEAM]))
    await run.send(event("mover", "b1", bob, on="2026-01-02", groups=[OTHER_TEAM]))
    await worked(run)
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == ({"LARGE"}, {"LARGE"})
    assert (await run.state("a1"), await run.state("a2")) == ("Done", "Scheduled")


async def test_an_end_cut_off_in_the_middle_is_taken_back_by_a_rescission_that_waits_behind_it() -> None:
    run, ann, _ = await two_hired()
    run.order_by(SourceOrder.SEQUENCE)
    run.directory.join(OTHER_TEAM, ann)
    run.memberships.answers[OTHER_TEAM].append((Throttled(30.0, "Tenant_Application/Write"), False))
    await run.send(leaver("l", ann, "2026-01-02", sequence=2))
    await worked(run, seconds=5)
    assert (await run.state("l"), run.member(ann, TEAM)) == ("Received", False)
    rescission = event("leaver.rescission", "r", ann, sequence=3)
    await records.accept(run.world, [rescission], queue_sender("onboarding", ""))
    run.later(seconds=40)
    await worked(run)
    await run.send(rescission)
    await worked(run)
    await settled(run, ann)
    assert run.member(ann, TEAM)
    assert (await run.state("l"), await run.state("r")) == ("Cancelled", "Done")


@pytest.mark.parametrize("kind", ["mover", "joiner"])
async def test_a_job_cut_off_in_the_middle_is_finished_although_the_next_one_is_known(kind: str) -> None:
    run = await Hires.of_two_teams()
    people = [run.directory.add_user(user(number)) for number in (1, 2)]
    for number, person in enumerate(people, 1):
        await run.notify(event("joiner", f"hired-{number}", person, on="2025-01-01", groups=[TEAM]))
    ann, bob = people
    run.memberships.answers[TEAM].append((Throttled(120.0, "Tenant_Application/Write"), False))
    await run.send(event(kind, "a1", ann, on="2026-01-02", groups=[OTHER_TEAM]))
    await worked(run, seconds=5)
    assert (await run.state("a1"), run.member(ann, OTHER_TEAM), run.member(ann, TEAM)) == ("Received", True, True)
    await run.send(event(kind, "a2", ann, on="2026-06-01", groups=[TEAM]))
    await worked(run)
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == ({"LARGE"}, {"SMALL"})
    assert await run.state("a1") == "Done"
    assert await run.state("a2") == ("Scheduled" if kind == "mover" else "NeedsDecision")


async def test_a_move_before_the_next_start_does_not_wait_for_it() -> None:
    run, ann, bob = await two_hired()
    for name, person in (("a", ann), ("b", bob)):
        await run.notify(leaver(f"{name}-end", person, "2026-01-10"))
        await run.notify(event("joiner", f"{name}-start", person, on="2026-03-01", groups=[TEAM]))
    await run.notify(event("mover", "a-moved", ann, on="2026-01-04", groups=[OTHER_TEAM]))
    await settled(run, ann, bob)
    assert (await run.state("a-moved"), run.licenses(ann), run.licenses(bob)) == ("Done", {"LARGE"}, {"SMALL"})
    await run.wait(days=8)
    await settled(run, ann)
    assert run.licenses(ann) == set()
    await run.wait(days=60)
    await settled(run, ann)
    assert run.licenses(ann) == {"SMALL"}


async def test_a_rescission_after_its_leaver_was_cancelled_by_a_person_does_not_take_back_the_next_one() -> None:
    run, ann, bob = await two_hired()
    await run.notify(leaver("a1", ann, "2026-02-01"), leaver("b1", bob, "2026-02-01"))
    await administration.cancel(run.world, (await run.record("a1")).key, MIA)
    await run.send(event("leaver.rescission", "ra", ann))
    await worked(run)
    assert await run.state("ra") == "Done"
    await run.notify(leaver("a2", ann, "2026-01-08"))
    await run.wait(days=4)
    await settled(run, ann, bob)
    assert (await run.state("a2"), run.licenses(ann), run.licenses(bob)) == ("Done", set(), {"SMALL"})


async def test_an_account_that_is_deleted_while_it_is_licensed_ends_its_event_and_is_listed() -> None:
    run, ann, bob = await two_hired()
    await run.send(event("mover", "a", ann, on="2026-01-02", groups=[OTHER_TEAM]))
    await run.send(event("mover", "b", bob, on="2026-01-02", groups=[OTHER_TEAM]))
    await worked(run, seconds=1)
    assert await run.state("a") == "Working"
    run.directory.delete_user(ann)
    await run.work_off()
    assert (await run.state("a"), await run.state("b")) == ("DoneWithErrors", "Done")
    assert (await run.record("a")).remedy


async def test_a_membership_that_cannot_be_given_back_is_an_error_and_a_replay_tries_again() -> None:
    run, ann, bob = await two_hired()
    run.directory.add_user(user(3), groups=[TEAM])
    await run.notify(leaver("a", ann, "2026-01-02"), leaver("b", bob, "2026-01-02"))
    denied = Rejected(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
    run.memberships.answers[TEAM].append((denied, False))
    await run.notify(event("leaver.rescission", "ra", ann))
    await run.notify(event("leaver.rescission", "rb", bob))
    assert (await run.state("a"), await run.state("b")) == ("DoneWithErrors", "Cancelled")
    assert (run.member(ann), run.member(bob)) == (False, True)
    await administration.replay(run.world, (await run.record("a")).key, MIA)
    await run.work_off()
    await settled(run, ann, bob)
    assert (await run.state("a"), run.licenses(ann)) == ("Cancelled", {"SMALL"})


async def test_the_end_of_an_employment_of_which_nothing_is_known_is_not_done_silently() -> None:
    run, ann, bob = await two_hired(employmentId="E-1")
    await run.notify(leaver("a", ann, "2026-01-02", employmentId="E-9"))
    await run.notify(leaver("b", bob, "2026-01-02", employmentId="E-1"))
    await settled(run, ann, bob)
    record = await run.record("a")
    assert (str(record.state), await run.state("b")) == ("DoneWithErrors", "Done")
    assert "employmentId" in record.remedy
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, set())


def body(value: dict[str, object]) -> bytes:
    return json.dumps(value).encode()


@pytest.mark.parametrize("carry_out", [True, False])
async def test_a_move_in_an_employment_that_never_started_asks_and_adds_no_second_job(carry_out: bool) -> None:
    run, ann, bob = await two_hired(employmentId="one")
    moves = ((ann, "ann", "two"), (bob, "bob", "one"))
    await run.notify(
        *(event("mover", name, person, groups=[OTHER_TEAM], employmentId=which) for person, name, which in moves)
    )
    assert (await run.state("ann"), run.licenses(ann)) == ("NeedsDecision", {"SMALL"})
    assert (await run.state("bob"), run.licenses(bob)) == ("Done", {"LARGE"})
    await administration.decide(run.world, (await run.record("ann")).key, MIA, carry_out=carry_out)
    await run.work_off()
    assert run.licenses(ann) == ({"SMALL", "LARGE"} if carry_out else {"SMALL"})


async def test_a_move_in_an_employment_that_never_started_goes_on_when_its_start_comes() -> None:
    run, ann, _ = await two_hired(employmentId="one")
    await run.notify(event("mover", "moved", ann, groups=[OTHER_TEAM], employmentId="two"))
    assert await run.state("moved") == "NeedsDecision"
    await run.notify(event("joiner", "second", ann, on="2025-12-01", groups=[TEAM], employmentId="two"))
    await run.wait(hours=26)
    assert (await run.state("moved"), run.licenses(ann)) == ("Done", {"SMALL", "LARGE"})


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_rescission_that_is_repeated_before_its_leaver_takes_back_one_leaver(at_once: bool) -> None:
    run, ann, bob = await two_hired()
    run.order_by(SourceOrder.ARRIVAL)
    events = [
        event("leaver.rescission", "r1", ann),
        event("leaver.rescission", "r2", ann),
        event("leaver.rescission", "r3", bob),
        leaver("a1", ann, "2026-01-10"),
        leaver("b1", bob, "2026-01-10"),
    ]
    await run.send(*events)
    if not at_once:
        await worked(run, seconds=60)
    await run.send(leaver("a2", ann, "2026-01-12"))
    await worked(run, seconds=60)
    states = {name: await run.state(name) for name in ("r1", "r2", "r3", "a1", "b1", "a2")}
    assert states == {
        "r1": "Superseded",
        "r2": "Done",
        "r3": "Done",
        "a1": "Superseded",
        "b1": "Superseded",
        "a2": "Scheduled",
    }
    await run.work_off()
    await run.wait(days=12)
    await settled(run, ann, bob)
    assert (run.licenses(ann), run.licenses(bob)) == (set(), {"SMALL"})
