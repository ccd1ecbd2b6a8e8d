"""Usage locations that are set before a license: missing, invalid, not yet visible, denied."""

from __future__ import annotations

from shared.domain.assignment import AssignmentOptions
from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.operation import LicenseChange, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.handlers.operations.accept import accept
from tests.support.rows import errors
from tests.support.runs import MIA, SMALL, TEAM, Run, user

INVALID_LOCATION = "License assignment cannot be done for user with invalid usage location."


async def test_a_location_we_set_that_graph_does_not_know_yet_is_tried_again() -> None:
    run = Run()
    slow, fine = run.people(2, location=None)
    run.writer.reject(slow, INVALID_LOCATION, times=2)
    ended = await run.change([SMALL])
    assert (ended.totals.applied, run.licenses(slow), run.licenses(fine)) == (2, {"SMALL"}, {"SMALL"})


async def test_a_location_that_stays_invalid_ends_as_that_error_after_a_bounded_number_of_calls() -> None:
    run = Run()
    hopeless, fine = run.people(2, location=None)
    run.writer.reject(hopeless, INVALID_LOCATION, times=50)
    ended = await run.change([SMALL])
    assert (ended.state, ended.totals.failed, ended.totals.applied) == (OperationState.COMPLETE, 1, 1)
    assert await errors(run) == {hopeless: [LicenseError.PROHIBITED_IN_USAGE_LOCATION]}
    assert run.licenses(fine) == {"SMALL"}
    assert run.writer.calls_made <= 10


async def test_a_location_that_was_there_before_and_is_rejected_is_an_error_at_once() -> None:
    run = Run()
    odd, fine = run.people(2)
    run.writer.reject(odd, INVALID_LOCATION, times=50)
    ended = await run.change([SMALL])
    assert (ended.totals.failed, ended.totals.applied, run.licenses(fine)) == (1, 1, {"SMALL"})
    assert await errors(run) == {odd: [LicenseError.PROHIBITED_IN_USAGE_LOCATION]}
    assert run.writer.calls_made == 2


async def test_a_location_that_is_required_and_missing_is_an_error_without_a_call() -> None:
    run = Run()
    nowhere = run.directory.add_user(user(1), location=None, groups=[TEAM])
    fine = run.directory.add_user(user(2), groups=[TEAM])
    options = AssignmentOptions(require_usage_location=True)
    change = LicenseChange((AssignedLicense(SMALL.sku_id),), (), options)
    ended = await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, change)))
    assert (ended.totals.failed, ended.totals.applied, run.licenses(fine)) == (1, 1, {"SMALL"})
    assert await errors(run) == {nowhere: [LicenseError.PROHIBITED_IN_USAGE_LOCATION]}
    assert [set(each) for each in run.writer.calls] == [{fine}]


async def test_the_assignments_location_goes_before_the_organizations() -> None:
    run = Run()
    nowhere, elsewhere = run.people(1, location=None)[0], run.directory.add_user(user(2), location="FR", groups=[TEAM])
    change = LicenseChange((AssignedLicense(SMALL.sku_id),), (), AssignmentOptions(usage_location="CH"))
    await run.finish(await accept(run.world, OperationRequest(Target(TEAM), MIA, change)))
    assert [run.directory.truth(each).usage_location for each in (nowhere, elsewhere)] == ["CH", "FR"]


async def test_a_permission_denied_for_the_location_fails_the_user_and_makes_no_license_call() -> None:
    run = Run()
    denied, fine = run.people(2, location=None)
    run.writer.reject_location(denied, "Insufficient privileges to complete the operation.", times=9)
    ended = await run.change([SMALL])
    assert await errors(run) == {denied: [LicenseError.PERMISSION]}
    assert all(denied not in call for call in run.writer.calls)
    assert (ended.state, ended.totals.applied, ended.totals.failed) == (OperationState.COMPLETE, 1, 1)
    assert run.licenses(fine) == {"SMALL"}
