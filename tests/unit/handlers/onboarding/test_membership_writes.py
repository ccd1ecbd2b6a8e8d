"""Membership writes that Graph throttles or does not answer."""

from __future__ import annotations

from dataclasses import replace

from shared.domain.first_contact import Level, RunState
from shared.domain.initiator import SYSTEM
from shared.domain.write_results import Throttled, Unanswered
from shared.handlers.operations.first_contact import RunObjects, start
from tests.support.hires import Hires, event
from tests.support.runs import SMALL, TEAM, user
from tests.support.tenant_stage import guid


async def test_throttled_and_unanswered_memberships_are_written_again_once() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    run.memberships.answers[TEAM].extend([(Throttled(30.0), False), (Unanswered("lost"), True)])
    ann = run.directory.add_user(user(1))
    await run.notify(event("joiner", "1", ann, groups=[TEAM]))
    assert await run.state("1") == "Done"
    assert len(run.memberships.log) == 1
    assert run.licenses(ann) == {"SMALL"}


async def test_hr_does_not_change_a_test_user_of_an_open_first_contact_run() -> None:
    run = Hires()
    await run.licensed_team(SMALL)
    ann, ben = run.directory.add_user(user(1), location=None), run.directory.add_user(user(2))
    objects = RunObjects(ann, guid(0x701), SMALL.sku_id)
    begun = await start(run.world, Level.BASIC, objects, SYSTEM)
    run.later(seconds=30)
    await run.send(event("joiner", "1", ann, groups=[TEAM], usageLocation="DE"))
    await run.send(event("joiner", "2", ben, groups=[TEAM]))
    began = run.fakes.clock.now()
    await run.work_off(lambda: (run.fakes.clock.now() - began).total_seconds() > 120)
    assert (run.member(ann), run.member(ben)) == (False, True)
    assert await run.state("1") != "Done"
    found, version = await run.world.stores.first_contact.load(begun.id)
    await run.world.stores.first_contact.save(replace(found, state=RunState.COMPLETED), version)
    await run.wait(minutes=2)
    await run.wait(minutes=2)
    assert (run.member(ann), await run.state("1")) == (True, "Done")
