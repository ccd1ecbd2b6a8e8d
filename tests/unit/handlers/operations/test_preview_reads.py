"""How a preview reads the groups of its members, and what it does without an answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.domain.assignment import OptionsChange
from shared.domain.directory import AssignedLicense, ReadFailed
from shared.domain.errors import Unavailable
from shared.domain.ids import GroupId
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import GroupChange, OperationRequest
from shared.handlers.operations.accept import accept
from tests.support.runs import MIA, OTHER_TEAM, SMALL, TEAM, Run, user

ADD_SMALL = LicenseChange((AssignedLicense(SMALL.sku_id),))
DROP_SMALL = LicenseChange(remove=(SMALL.sku_id,))
THIRD = GroupId("0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d2e51")


async def preview(run: Run, change: LicenseChange, *others: GroupChange) -> Operation:
    request = OperationRequest(Target(TEAM), MIA, change, preview=True, other_changes=others)
    return await run.finish(await accept(run.world, request))


async def two_teams(people: int) -> Run:
    """People of a team that assigns SMALL; the second one is in the other team too."""
    run = Run()
    run.people(people)
    run.directory.join(OTHER_TEAM, user(2))
    await run.change([SMALL])
    run.directory.reads.clear()
    return run


async def test_the_groups_of_many_members_come_from_the_lists_of_the_groups_that_matter() -> None:
    run = await two_teams(30)
    shown = await preview(run, DROP_SMALL, GroupChange(OTHER_TEAM, ADD_SMALL))
    assert shown.plan.users_losing == 29
    assert not any(run.directory.reads)


async def test_of_a_few_members_each_one_is_read_if_there_are_many_lists() -> None:
    run = await two_teams(3)
    others = [run.directory.add_group(GroupId(f"0f5c1d7e-6c0a-4a52-9b0f-3a4b9c1d{n:04d}")) for n in range(40)]
    shown = await preview(run, DROP_SMALL, *(GroupChange(each, ADD_SMALL) for each in (OTHER_TEAM, *others)))
    assert shown.plan.users_losing == 2
    assert {user_id for ids in run.directory.reads for user_id in ids} == {user(1), user(2), user(3)}


async def test_the_members_of_an_excluded_group_are_known_by_its_list() -> None:
    run = await two_teams(30)
    options = OptionsChange({"excluded_groups": frozenset({OTHER_TEAM})})
    request = OperationRequest(Target(TEAM), MIA, ADD_SMALL, preview=True, options=options)
    shown = await run.finish(await accept(run.world, request))
    assert (shown.plan.users_losing, [each for each in run.directory.reads if each]) == (1, [])


async def test_a_group_that_is_gone_has_no_members() -> None:
    run = await two_teams(30)
    shown = await preview(run, DROP_SMALL, GroupChange(THIRD, ADD_SMALL))
    assert (shown.state, shown.plan.users_losing) == (OperationState.COMPLETE, 30)


async def test_a_preview_waits_for_a_user_who_cannot_be_read_now() -> None:
    """Without the user it would show less than the operation does."""
    run = Run()
    run.people(2)
    run.directory.fail_read(user(2), ReadFailed("throttled", 1.0))
    request = OperationRequest(Target(user_ids=(user(1), user(2))), MIA, ADD_SMALL, preview=True)
    shown = await run.finish(await accept(run.world, request))
    assert (shown.state, dict(shown.plan.additions)) == (OperationState.COMPLETE, {SMALL.sku_id: 2})


async def test_a_preview_does_not_wait_for_a_user_whom_graph_rejects() -> None:
    run = Run()
    run.people(2)
    run.directory.fail_read(user(2), ReadFailed("too many groups", rejected=True), times=9)
    request = OperationRequest(Target(user_ids=(user(1), user(2))), MIA, ADD_SMALL, preview=True)
    began = run.world.clock.now()
    shown = await run.finish(await accept(run.world, request))
    assert (shown.state, dict(shown.plan.additions)) == (OperationState.COMPLETE, {SMALL.sku_id: 1})
    assert run.world.clock.now() - began < timedelta(seconds=1)


@pytest.mark.parametrize(("retry_after_s", "warnings"), [(2.0, 0), (None, 1)])
async def test_throttled_addresses_are_waited_for(
    monkeypatch: pytest.MonkeyPatch, retry_after_s: float | None, warnings: int
) -> None:
    from tests.unit.functions.web.pages.test_predicted_errors import MAIL

    run = Run()
    run.people(1)
    run.directory.add_sku(MAIL)
    faults = [Unavailable(retry_after_s, "not now")]
    answered = run.directory.address_holders

    async def first_not(addresses: object) -> object:
        if faults:
            raise faults.pop()
        return await answered(addresses)  # type: ignore[arg-type]  # as it was given

    monkeypatch.setattr(run.directory, "address_holders", first_not)
    shown = await preview(run, LicenseChange((AssignedLicense(MAIL.sku_id),)))
    assert (shown.state, len(shown.plan.warnings)) == (OperationState.COMPLETE, warnings)
