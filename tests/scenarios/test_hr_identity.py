"""Whose account an HR event is about: a weak name never overrules a strong identifier, wherever accounts are looked
for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared.domain.ids import UserId
from shared.domain.initiator import Initiator
from shared.handlers.onboarding import administration
from shared.handlers.onboarding.dry_run import try_event
from tests.support.hires import Hires, event
from tests.support.runs import OTHER_TEAM, TEAM, user

MIA = Initiator("mia", "Mia")


def upn(user_id: UserId) -> str:
    return f"{user_id}@fabrikam.example"


async def two_members() -> tuple[Hires, UserId, UserId]:
    """Ann has employeeId 1, Bob has none; both are licensed by the team, as HR said."""
    run = await Hires.of_two_teams()
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    run.accounts.employee_ids[ann] = "1"
    await run.notify(*(event("joiner", f"j{n}", each, groups=[TEAM]) for n, each in enumerate((ann, bob))))
    return run, ann, bob


def nobody(person: UserId, strong: str) -> dict[str, str]:
    """A person's weak name with a strong identifier of nobody."""
    return {strong: "999" if strong == "employeeId" else user(99), "userPrincipalName": upn(person)}


@pytest.mark.parametrize("strong", ["employeeId", "id"])
async def test_a_leaver_with_the_identifier_of_nobody_takes_nothing_from_the_owner_of_the_name(strong: str) -> None:
    run, ann, bob = await two_members()
    for name, person in (("a", ann), ("b", bob)):
        await run.notify(event("leaver", name, nobody(person, strong), on="2026-01-02", removal="P0D"))
    await run.wait(days=2)
    assert await run.state("a") == "Failed", "the account has another strong identifier"
    assert await run.state("b") == ("NeedsDecision" if strong == "employeeId" else "Failed")
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, {"SMALL"})
    assert "contradicts" in (await run.record("a")).note
    found, _ = await run.world.stores.onboarding.attention(10)
    assert {each.event.id for each in found} == {"a", "b"}
    assert all(each.remedy for each in found)


@pytest.mark.parametrize("strong", ["employeeId", "id"])
async def test_a_waiting_leaver_of_nobody_is_not_pinned_to_the_owner_of_the_name(strong: str) -> None:
    run, ann, bob = await two_members()
    for name, person in (("a", ann), ("b", bob)):
        await run.notify(event("leaver", name, nobody(person, strong), on="2026-02-01", removal="P30D"))
        assert (await run.record(name)).user_id is None
    await run.wait(days=90)
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, {"SMALL"})


@pytest.mark.parametrize("strong", ["employeeId", "id"])
async def test_a_release_of_nobody_releases_no_leaver_of_the_owner_of_the_name(strong: str) -> None:
    run, ann, bob = await two_members()
    for name, person in (("a", ann), ("b", bob)):
        await run.send(event("leaver", name, person, on="2026-01-02", removal="release"))
        await run.send(event("leaver.release", f"r{name}", nobody(person, strong)))
    await run.work_off(lambda: run.done > 60)
    assert (await run.state("a"), await run.state("b")) == ("WaitingForRelease", "WaitingForRelease")
    assert await run.state("ra") == "Failed"
    assert await run.state("rb") == ("NeedsDecision" if strong == "employeeId" else "Failed")
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, {"SMALL"})


@pytest.mark.parametrize("strong", ["employeeId", "id"])
async def test_a_rescission_of_nobody_rescinds_no_leaver_of_the_owner_of_the_name(strong: str) -> None:
    run, ann, _ = await two_members()
    await run.notify(event("leaver", "a", ann, on="2026-01-20", removal="P0D"))
    await run.notify(event("leaver.rescission", "r", nobody(ann, strong)))
    assert await run.state("r") == "Failed"
    await run.wait(days=30)
    assert run.licenses(ann) == set()


@pytest.mark.parametrize("strong", ["employeeId", "id"])
async def test_a_dry_run_says_the_same_as_the_event(strong: str) -> None:
    run, ann, bob = await two_members()
    for person in (ann, bob):
        trial = await try_event(run.world, event("leaver", "x", nobody(person, strong), on="2026-01-02"))
        assert trial.verdict is not None
        asks = person == bob and strong == "employeeId"
        assert str(trial.verdict.state) == ("NeedsDecision" if asks else "Failed")
        assert (trial.lost, trial.groups) == ((), ())
    trial = await try_event(run.world, event("leaver", "x", ann, on="2026-01-02"))
    assert trial.verdict is None
    assert [str(each.outcome) for each in trial.groups] == ["Removed"]


async def test_a_leaver_whose_identifier_the_directory_does_not_know_waits_for_a_person() -> None:
    run, _, bob = await two_members()
    cat = run.directory.add_user(user(3))
    await run.notify(event("joiner", "j3", cat, groups=[TEAM]))
    for name, person in (("b", bob), ("c", cat)):
        await run.notify(event("leaver", name, nobody(person, "employeeId"), on="2026-01-02", removal="P0D"))
    record = await run.record("b")
    assert (record.user_id, record.candidate) == (None, bob)
    await administration.decide(run.world, record.key, MIA, carry_out=True)
    await administration.decide(run.world, (await run.record("c")).key, MIA, carry_out=False)
    await run.work_off()
    assert (await run.state("b"), await run.state("c")) == ("Done", "Cancelled")
    assert (run.licenses(bob), run.licenses(cat)) == (set(), {"SMALL"})
    assert (await run.record("b")).decided_by == "Mia"


async def test_a_question_is_answered_by_the_directory_if_it_knows_the_identifier_later() -> None:
    run, _, bob = await two_members()
    await run.notify(event("leaver", "b", nobody(bob, "employeeId"), on="2026-01-02", removal="P0D"))
    run.accounts.employee_ids[bob] = "999"
    await run.wait(days=2)
    assert await run.state("b") == "Done"
    assert run.licenses(bob) == set()


async def test_starts_and_moves_are_matched_by_name_with_a_note_if_the_account_has_no_employee_id() -> None:
    run, ann, bob = await two_members()
    await run.notify(event("mover", "b", nobody(bob, "employeeId"), on="2026-01-02", groups=[OTHER_TEAM]))
    await run.notify(event("mover", "a", nobody(ann, "employeeId"), on="2026-01-02", groups=[OTHER_TEAM]))
    record = await run.record("b")
    assert str(record.state) == "Done"
    assert "Matched by userPrincipalName alone" in record.note
    assert run.member(bob, OTHER_TEAM)
    assert await run.state("a") == "Failed"
    assert not run.member(ann, OTHER_TEAM)


async def test_a_joiner_of_nobody_does_not_license_a_former_employee() -> None:
    run = await Hires.of_two_teams()
    old, new = run.directory.add_user(user(1), enabled=False), run.directory.add_user(user(2), enabled=False)
    for name, person in (("1", old), ("2", new)):
        run.accounts.created[person] = run.fakes.clock.now()
        await run.notify(event("joiner", name, nobody(person, "employeeId"), groups=[TEAM]))
        assert await run.state(name) == "Failed"
    assert (run.licenses(old), run.licenses(new)) == (set(), set())
    run.accounts.employee_ids[new] = "999"
    await administration.replay(run.world, (await run.record("2")).key, MIA)
    await run.work_off()
    assert await run.state("2") == "Done"


async def test_a_disabled_account_leaves_by_its_name_only_if_a_person_says_so() -> None:
    run, ann, bob = await two_members()
    run.directory.change_user(replace(run.directory.truth(ann), account_enabled=False))
    for name, person in (("a", ann), ("b", bob)):
        await run.notify(event("leaver", name, {"userPrincipalName": upn(person)}, on="2026-01-02", removal="P0D"))
    assert (await run.state("a"), await run.state("b")) == ("NeedsDecision", "Done")
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, set())


async def test_a_name_of_one_account_and_an_identifier_of_another_fit_nobody() -> None:
    run, ann, bob = await two_members()
    who = {"employeeId": "1", "userPrincipalName": upn(bob)}
    await run.notify(event("leaver", "l", who, on="2026-01-02", removal="P0D"))
    await run.notify(event("joiner", "j", who, on="2026-01-02", groups=[OTHER_TEAM]))
    for name in ("l", "j"):
        record = await run.record(name)
        assert str(record.state) == "Failed"
        assert str(ann) in record.note
        assert str(bob) in record.note
    assert (run.licenses(ann), run.licenses(bob)) == ({"SMALL"}, {"SMALL"})


async def test_an_event_that_is_somebody_elses_supersedes_nothing() -> None:
    run, ann, _ = await two_members()
    await run.notify(event("joiner", "next", {"employeeId": "1"}, on="2026-03-01", groups=[OTHER_TEAM]))
    before = await run.state("next")
    await run.notify(event("joiner", "x", nobody(ann, "employeeId"), on="2026-02-01", groups=[OTHER_TEAM]))
    assert await run.state("next") == before
    await run.wait(days=50)
    assert await run.state("x") == "Failed"


async def test_identifiers_compare_in_one_form() -> None:
    run = await Hires.of_two_teams()
    ann = run.directory.add_user(user(1))
    run.accounts.employee_ids[ann] = "e-7"
    who: dict[str, Any] = {"employeeId": " E\uff0d\uff17 ", "userPrincipalName": upn(ann).upper(), "id": None}
    await run.notify(event("joiner", "1", who, groups=[TEAM]))
    assert await run.state("1") == "Done"
    assert run.licenses(ann) == {"SMALL"}
