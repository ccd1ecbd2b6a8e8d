"""An app whose token has permissions to read alone: it previews and watches, and writes when a token can."""

from __future__ import annotations

import pytest

from shared.bootstrap import App, SignIn
from shared.domain.errors import BadRequest
from shared.domain.operation import OperationState
from shared.handlers.operations.writing import turn_on
from shared.handlers.reconcile.write_limiter import Pacer, writing
from tests.support.runs import MIA, SMALL, Run

READS = frozenset({"LicenseAssignment.Read.All", "User.Read.All", "Group.Read.All"})


async def test_it_previews_and_writes_nothing_until_a_token_has_the_permission() -> None:
    run = Run()
    people = run.people(3)
    run.fakes.permissions.append(READS)
    preview = await run.finish(await run.ask([SMALL], preview=True))
    assert (preview.state, preview.plan.additions) == (OperationState.COMPLETE, {SMALL.sku_id: 3})
    operation = await run.finish(await run.ask([SMALL]))
    assert run.writer.calls == []
    rows = await run.world.stores.ledger.rows(people)
    assert all(row.intent is None for row in rows.values())
    with pytest.raises(BadRequest) as fault:
        await turn_on(run.world, MIA)
    assert fault.value.code == "ReadOnly"

    run.fakes.permissions.append(READS | {"LicenseAssignment.ReadWrite.All"})
    run.later(minutes=10)
    await App(run.world, SignIn(False, "tenant")).watchdog()
    assert (await run.finish(operation)).state is OperationState.COMPLETE
    assert [run.licenses(each) for each in people] == [{"SMALL"}] * 3


async def test_a_worker_that_learns_it_meanwhile_charges_nothing() -> None:
    run = Run()
    pacer = Pacer(run.world)
    assert (await pacer.charge(urgent=True, writes=1)).charged
    run.fakes.permissions.append(READS)
    slot = await pacer.charge(urgent=True, writes=1)
    assert (slot.charged, slot.is_off) == (False, True)
    run.later(seconds=6)
    assert not (await pacer.writing()).is_on


@pytest.mark.parametrize("roles", [None, frozenset({"User.ReadWrite.All"}), frozenset({"Directory.ReadWrite.All"})])
async def test_other_tokens_leave_it_to_setting_and_switch(roles: frozenset[str] | None) -> None:
    run = Run()
    run.fakes.permissions.append(roles)
    found = await writing(run.world)
    assert (found.is_on, found.is_read_only) == (True, False)
