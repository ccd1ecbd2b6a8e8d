"""A managed group with members who have unmanaged licenses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from shared.domain.directory import AssignedLicense, LicenseAssignmentState
from shared.domain.ids import ServicePlanId, UserId
from shared.domain.operation import LicenseChange, Operation, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from tests.support.runs import MAIL, MIA, SMALL, TEAM, Run, user

CHAT, FILES = (plan.service_plan_id for plan in SMALL.service_plans[1:])


def give(run: Run, number: int, off: Iterable[ServicePlanId]) -> UserId:
    """A member to whom an administrator has assigned SMALL, with some plans off."""
    member = run.directory.add_user(user(number), groups=[TEAM])
    row = LicenseAssignmentState(SMALL.sku_id, frozenset(off), last_updated=run.world.clock.now())
    run.directory.change_user(replace(run.directory.truth(member), license_assignment_states=(row,)))
    return member


def off(run: Run, member: UserId) -> frozenset[ServicePlanId]:
    """The plans of SMALL that are off for a member."""
    return run.directory.licenses(member)[SMALL.sku_id]


async def ask(run: Run, change: LicenseChange, target: Target | None = None) -> Operation:
    """Request a change, and work it off without an approval."""
    return await run.finish(
        await accept(run.world, OperationRequest(target or Target(TEAM), MIA, change)), approve=False
    )


async def given_group(*disabled: ServicePlanId) -> tuple[Run, UserId, UserId, UserId]:
    """The group grants SMALL. Two members have it managed, of whom the first is returned and the second stays; two have
    it unmanaged, one of them without some plans."""
    run = Run()
    run.directory.add_user(user(23), groups=[TEAM])
    (managed,) = run.people(1)
    same, lacking = give(run, 21, []), give(run, 22, [MAIL, FILES])
    await ask(run, LicenseChange((AssignedLicense(SMALL.sku_id, frozenset(disabled)),)))
    return run, managed, same, lacking
