"""Previews that approve the removals they showed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.approval_rules import Rules
from shared.domain.errors import ApprovalDenied
from shared.domain.initiator import Initiator, InitiatorKind
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.read_models import AuditFilter
from shared.handlers.operations import approvals
from shared.handlers.operations.accept import accept
from tests.support.runs import MIA, NOA, SMALL, TEAM, Run, user


async def test_a_preview_approves_what_it_showed_and_nobody_else() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    preview = await run.finish(await run.ask(remove=[SMALL], preview=True))
    operation = await run.ask(remove=[SMALL], preview_id=preview.id)
    ended = await run.finish(operation, approve=False)
    assert (ended.state, ended.totals.applied) == (OperationState.COMPLETE, 30)
    assert all(run.licenses(each) == set() for each in people)


async def test_a_preview_older_than_an_hour_approves_nothing() -> None:
    run = Run()
    people = run.people(30)
    await run.change([SMALL])
    preview = await run.finish(await run.ask(remove=[SMALL], preview=True))
    run.later(minutes=61)
    ended = await run.finish(await run.ask(remove=[SMALL], preview_id=preview.id), approve=False)
    assert ended.state is OperationState.AWAITING_APPROVAL
    assert all(run.licenses(each) == {"SMALL"} for each in people)


APP = Initiator("app", "HR robot", InitiatorKind.APP)


async def previewed(run: Run, size: int, actor: Initiator) -> Operation:
    """Remove the license from `size` people, with the preview that the same caller requested before."""
    run.people(size)
    await run.change([SMALL])
    request = OperationRequest(Target(TEAM), actor, LicenseChange(remove=(SMALL.sku_id,)))
    preview = await run.finish(await accept(run.world, replace(request, preview=True)))
    return await run.finish(await accept(run.world, replace(request, preview_id=preview.id)), approve=False)


async def test_a_preview_of_an_application_approves_nothing() -> None:
    run = Run()
    operation = await previewed(run, 75, APP)
    assert operation.state is OperationState.AWAITING_APPROVAL
    assert all(run.licenses(user(n)) == {"SMALL"} for n in range(1, 76))
    await approvals.approve(run.world, operation.id, operation.checksum, MIA)
    await run.work_off()
    assert not any(run.licenses(user(n)) for n in range(1, 76))


@pytest.mark.parametrize(("size", "state"), [(50, OperationState.COMPLETE), (51, OperationState.AWAITING_APPROVAL)])
async def test_a_preview_approves_at_most_as_many_people_as_need_no_second_person(
    size: int, state: OperationState
) -> None:
    run = Run()
    operation = await previewed(run, size, MIA)
    assert operation.state is state
    if state is OperationState.AWAITING_APPROVAL:
        with pytest.raises(ApprovalDenied, match="You requested this, and 51 people would lose some"):
            await approvals.approve(run.world, operation.id, operation.checksum, MIA)
        assert (await run.finish(operation)).approved_by == NOA


async def test_who_approved_by_a_preview_is_named_in_the_operation_and_in_the_audit_log() -> None:
    run = Run()
    operation = await previewed(run, 30, MIA)
    assert operation.approved_by == MIA
    now = run.fakes.clock.now()
    entries, _ = await run.world.stores.audit.search(AuditFilter(), now - timedelta(days=1), now, 100)
    assert [
        each.initiator.display_name for each in entries if each.activity == "Approve license removals by preview"
    ] == ["Mia"]


async def test_a_single_approver_approves_the_own_request_after_a_day_with_an_alert(
    caplog: pytest.LogCaptureFixture,
) -> None:
    run = Run()
    run.world = replace(run.world, policy=replace(run.world.policy, approval_rules=Rules(single_approver=True)))
    operation = await previewed(run, 51, MIA)
    with pytest.raises(ApprovalDenied, match="As the single approver you can approve it from 2026-01-06 "):
        await approvals.approve(run.world, operation.id, operation.checksum, MIA)
    run.later(hours=24)
    await approvals.approve(run.world, operation.id, operation.checksum, MIA)
    await run.work_off()
    assert not any(run.licenses(user(n)) for n in range(1, 52))
    assert any(each.startswith("single approver: approved alone operation=") for each in caplog.messages)
    now = run.fakes.clock.now()
    entries, _ = await run.world.stores.audit.search(AuditFilter(), now - timedelta(days=3), now, 200)
    assert "Approve license removals as single approver" in {each.activity for each in entries}
