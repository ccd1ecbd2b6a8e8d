"""A permit ends when the claim that it names returns, also if the user is reconciled again later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.grant import Source, SourceKind
from shared.domain.ids import UserId
from shared.domain.messages import ProcessUsers
from shared.domain.permit import Claim, Permit
from tests.support.runs import EXTRA, SMALL, TEAM, Run

SOURCE = Source(SourceKind.GROUP, TEAM)


async def returned() -> tuple[Run, UserId]:
    """A member whose removal was permitted while the member was outside the group. EXTRA is to be assigned again."""
    run = Run()
    (member,) = run.people(1)
    await run.change([SMALL, EXTRA])
    run.later(hours=1)
    row = (await run.world.stores.ledger.rows([member]))[member]
    await run.world.stores.ledger.write([replace(row, removal_seen_at={SMALL.sku_id: run.world.clock.now()})])
    person = run.directory.truth(member)
    states = tuple(each for each in person.license_assignment_states if each.sku_id != EXTRA.sku_id)
    run.directory.change_user(replace(person, license_assignment_states=states))
    stored = await run.world.stores.assignments.get(TEAM)
    assert stored is not None
    claim = Claim(SOURCE, stored.assignment.claim_version)
    permit = Permit(member, SMALL.sku_id, SOURCE, run.world.clock.now(), "mia", frozenset({claim}), by_approval=True)
    await run.world.stores.permits.put([permit])
    return run, member


async def once(run: Run, message: ProcessUsers) -> bool:
    """Process one message; returns whether its user comes back."""
    await run.workers[0].process(message.encode())
    return bool(run.fakes.queue.messages)


async def is_void(run: Run, member: UserId) -> bool:
    (permit,) = (await run.world.stores.permits.of_users([member]))[member]
    return not permit.claims


async def test_the_permit_of_a_member_ends() -> None:
    run, member = await returned()
    assert not await is_void(run, member)
    assert not await once(run, ProcessUsers((member,), "event", bulk=False))
    assert await is_void(run, member)


@pytest.mark.parametrize("fault", ["throttle", "contend", "drop"])
async def test_the_permit_of_a_member_who_is_reconciled_again_later_ends_at_once(fault: str) -> None:
    run, member = await returned()
    getattr(run.writer, fault)(member)
    assert await once(run, ProcessUsers((member,), "event", bulk=False))
    assert await is_void(run, member)


async def test_a_read_that_is_older_than_the_event_ends_no_permit() -> None:
    run, member = await returned()
    left = {member: {TEAM: False}}
    now = run.world.clock.now() + timedelta(seconds=1)
    run.writer.throttle(member)
    assert await once(run, ProcessUsers((member,), "event", bulk=False, expects=left, changed_at=now))
    assert not await is_void(run, member)
