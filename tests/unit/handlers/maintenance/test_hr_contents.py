"""What HR wrote about a person is deleted 30 days after its event ended; what became of the event stays."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared.domain.errors import BadRequest
from shared.domain.onboarding import OnboardingState
from shared.handlers.maintenance.retention import forget_old
from shared.handlers.onboarding import administration
from tests.support.api_calls import claims_of, client, token
from tests.support.hires import DAY, Hires, event, team
from tests.support.runs import MIA, TEAM, user

UPN = "ann@contoso.example"
WHO = {"employeeId": "4711"}
"""The account's other name becomes known when the event is matched."""
HR_READER = token(claims_of(roles=["Onboarding.Read"]))


async def stored(run: Hires) -> str:
    """Everything that the tables of HR events hold."""
    rows = [row async for row in run.fakes.tables.query("onboarding", "", to_partition="~")]
    return " ".join(str({name: value for name, value in row.items() if name != "etag"}) for row in rows)


async def ann_and_ben() -> Hires:
    """Ann's event is done, Ben's waits for his account."""
    run = await team()
    ann = run.directory.add_user(user(1))
    run.directory.change_user(replace(run.directory.truth(ann), user_principal_name=UPN))
    run.accounts.employee_ids[ann] = "4711"
    run.set_policy(retention_s=365 * 86400.0)
    await run.notify(event("joiner", "ann", WHO, groups=[TEAM], attributes={"jobTitle": "Diver"}, correlationId="x-1"))
    ben = {"userPrincipalName": "ben@contoso.example"}
    await run.send(event("joiner", "ben", ben, on="2026-12-01", attributes={"jobTitle": "Baker"}))
    await run.work_off()
    assert await run.state("ann") == "Done"
    for name in ("employeeId:4711", f"upn:{UPN}"):
        assert len(await run.world.stores.onboarding.of_person([name])) == 1
    return run


async def test_the_content_goes_30_days_after_the_end_and_the_outcome_stays() -> None:
    run = await ann_and_ben()
    run.later(days=29)
    assert (await forget_old(run.world)).contents == 0
    assert "Diver" in await stored(run)
    run.later(days=2)
    assert (await forget_old(run.world)).contents == 1
    left = await stored(run)
    for text in ("Diver", "4711", UPN, "x-1"):
        assert text not in left
    assert "Baker" in left
    record = await run.record("ann")
    assert (record.state, record.user_id, record.event.person.id) == (OnboardingState.DONE, user(1), user(1))
    assert [each.group_id for each in record.groups] == [TEAM]
    assert (await forget_old(run.world)).contents == 0
    by_id, by_name = ([f"id:{user(1)}"], ["employeeId:4711", f"upn:{UPN}"])
    assert [each.key for each in await run.world.stores.onboarding.of_person(by_id)] == [record.key]
    assert await run.world.stores.onboarding.of_person(by_name) == ()
    async with client(run.world, headers=HR_READER) as api:
        shown = (await api.get(f"/api/onboarding/{record.key}")).json()
        page = await api.get(f"/onboarding/{record.key}", headers={"accept": "text/html"})
    assert shown["person"] == {"id": user(1), "employeeId": None, "userPrincipalName": None}
    assert "deleted" in shown["note"]
    assert page.status_code == 200


async def test_the_same_event_again_changes_nothing_and_another_one_under_its_id_is_rejected() -> None:
    run = await ann_and_ben()
    before = await run.record("ann")
    run.later(days=31)
    await forget_old(run.world)
    again = event("joiner", "ann", WHO, groups=[TEAM], attributes={"jobTitle": "Diver"}, correlationId="x-1")
    await run.notify(again)
    assert (await run.record("ann")).completed_at == before.completed_at
    assert (await run.world.stores.dead_letters.page(9))[0] == ()
    await run.notify(event("joiner", "ann", WHO))
    (dead_letter,) = (await run.world.stores.dead_letters.page(9))[0]
    assert "received before with other content" in dead_letter.reason


async def test_an_event_whose_content_was_deleted_cannot_be_replayed() -> None:
    run = await team()
    await run.notify(event("joiner", "nowhere", {"userPrincipalName": "nobody@contoso.example"}, groups=[TEAM]))
    await run.work_off()
    record = await run.record("nowhere")
    assert record.state is OnboardingState.FAILED
    assert "nobody@" in record.note
    run.later(days=20)
    await administration.replay(run.world, record.key, MIA)
    await run.work_off()
    ended = (await run.record("nowhere")).completed_at
    assert ended is not None and record.completed_at is not None and ended > record.completed_at
    run.fakes.clock.move(ended + 29 * DAY - run.world.clock.now())
    assert run.world.clock.now() > record.completed_at + 30 * DAY
    assert (await forget_old(run.world)).contents == 0
    run.fakes.clock.move(ended + 31 * DAY - run.world.clock.now())
    assert (await forget_old(run.world)).contents == 1
    assert "nobody@" not in await stored(run)
    with pytest.raises(BadRequest, match="content of the event was deleted"):
        await administration.replay(run.world, record.key, MIA)


async def test_a_superseded_statement_keeps_its_content_while_it_can_count_again() -> None:
    run = await team()
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "start", ann, groups=[TEAM]))
    await run.send(event("leaver", "first", ann, on="2026-10-01", removal="P7D"))
    await run.send(event("leaver", "second", ann, on="2026-12-01", removal="P9D"))
    await run.work_off()
    assert await run.state("first") == "Superseded"
    run.later(days=60)
    await forget_old(run.world)
    first = await run.record("first")
    assert json.loads(first.body)["data"]["removal"] == "P7D"
    await administration.cancel(run.world, (await run.record("second")).key, MIA)
    await run.work_off()
    assert (await run.record("first")).revived

    await administration.cancel(run.world, first.key, MIA)
    run.later(days=31)
    assert (await forget_old(run.world)).contents >= 2
    assert [(await run.record(name)).body for name in ("start", "first", "second")] == ["", "", ""]
