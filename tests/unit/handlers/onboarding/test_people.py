"""Which account a joiner gets: missing, late, disabled, ambiguous."""

from __future__ import annotations

from datetime import timedelta

from tests.support.fakes_directory import BEGINNING
from tests.support.hires import Hires, event
from tests.support.runs import SMALL, TEAM, user


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
    await run.notify(event("joiner", "1", {"userPrincipalName": "ann@fabrikam.example"}, groups=[TEAM]))
    record = await run.record("1")
    assert str(record.state) == "Failed"
    assert "No account fitted upn:ann@fabrikam.example" in record.note
    assert "replay" in record.remedy
    assert [each["data"]["state"] for each in run.results] == ["Failed"]


async def test_a_disabled_account_that_was_there_before_is_not_taken_for_a_joiner_by_its_name_alone() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    old = run.directory.add_user(user(1), enabled=False)
    run.accounts.created[old] = run.fakes.clock.now().replace(year=2024)
    upn = f"{old}@fabrikam.example"
    await run.notify(event("joiner", "1", {"userPrincipalName": upn}, groups=[TEAM]))
    record = await run.record("1")
    assert str(record.state) == "Failed"
    assert "former employee" in record.note
    assert not run.member(old)
    await run.notify(event("joiner", "2", old, groups=[TEAM]))
    assert await run.state("2") == "Done"


async def test_names_that_fit_two_accounts_are_rejected() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann, bob = run.directory.add_user(user(1)), run.directory.add_user(user(2))
    run.accounts.employee_ids = {ann: "7", bob: "7"}
    await run.notify(event("joiner", "1", {"employeeId": "7"}, groups=[TEAM]))
    await run.notify(event("joiner", "2", {"employeeId": "7", "id": ann}, groups=[TEAM]))
    for name in ("1", "2"):
        record = await run.record(name)
        assert str(record.state) == "Failed"
        assert "2 accounts" in record.note
    assert not run.memberships.log
