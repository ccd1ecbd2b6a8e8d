"""Users who are licensed by name have a state and a remedy, like the members of a group."""

from __future__ import annotations

from shared.domain.directory import AssignedLicense, LicenseError
from shared.domain.ids import UserId
from shared.domain.member_status import MemberState
from shared.domain.named_users import NAMED
from shared.domain.operation import LicenseChange, Operation, OperationState, Target
from shared.domain.operation_request import OperationRequest
from shared.domain.outcomes import OutcomeClass
from shared.domain.read_models import MemberRow
from shared.handlers.groups.status import publish_counts
from shared.handlers.operations.accept import accept
from shared.handlers.views import license_center, queries
from tests.support.runs import LARGE, MIA, SMALL, Run, user

EXCLUDES = (
    f"License assignment failed because service plans are mutually exclusive: {LARGE.service_plans[3].service_plan_id}"
)


async def change(run: Run, people: list[UserId], *, add: bool = True, reprocess: bool = False) -> Operation:
    licenses = (AssignedLicense(LARGE.sku_id),) if add else ()
    asked = LicenseChange() if reprocess else LicenseChange(licenses, () if add else (LARGE.sku_id,))
    request = OperationRequest(Target(user_ids=tuple(people)), MIA, asked, reprocess=reprocess)
    return await run.finish(await accept(run.world, request))


async def rows_of(run: Run, people: list[UserId]) -> list[MemberRow]:
    return [row for each in people for row in (await license_center.person(run.world, each)).rows]


async def listed_run() -> tuple[Run, UserId, UserId, Operation]:
    """Two users licensed by name, of whom Graph rejects the first."""
    run = Run()
    rejected, fine = (run.directory.add_user(user(number)) for number in (1, 2))
    run.writer.reject(rejected, EXCLUDES)
    return run, rejected, fine, await change(run, [rejected, fine])


async def test_a_named_user_in_error_has_a_state_and_a_remedy_and_is_listed() -> None:
    run, rejected, fine, operation = await listed_run()
    assert (operation.state, operation.totals.failed) == (OperationState.COMPLETE, 1)
    wrong, right = await rows_of(run, [rejected, fine])
    assert (wrong.group_id, wrong.state, right.state) == (NAMED, MemberState.ERROR, MemberState.ACTIVE)
    (problem,) = wrong.problems
    assert (problem.error, problem.sku_id, bool(problem.remedy)) == (
        LicenseError.MUTUALLY_EXCLUSIVE,
        LARGE.sku_id,
        True,
    )
    assert [row.user_id for row in await license_center.named_with_errors(run.world)] == [rejected]


async def test_the_members_of_the_operation_show_the_error_and_the_remedy() -> None:
    run, rejected, fine, operation = await listed_run()
    members, _ = await queries.planned_members(run.world, operation.id, 50, None)
    found = {each.user_id: each for each in members}
    outcome, row = found[rejected].outcome, found[rejected].row
    assert outcome is not None
    assert row is not None
    assert outcome.outcome is OutcomeClass.FAILED
    assert [each.error for each in row.problems] == [LicenseError.MUTUALLY_EXCLUSIVE]
    assert found[fine].row is None


async def test_an_error_ends_when_the_license_comes_and_the_row_when_it_is_removed() -> None:
    run, rejected, fine, _ = await listed_run()
    await change(run, [rejected], reprocess=True)
    assert [row.state for row in await rows_of(run, [rejected])] == [MemberState.ACTIVE]
    assert await license_center.named_with_errors(run.world) == ()
    await change(run, [rejected, fine], add=False)
    assert [row.state for row in await rows_of(run, [rejected, fine])] == [MemberState.REMOVED] * 2


async def test_the_error_of_a_user_who_is_no_longer_licensed_by_name_ends() -> None:
    run, rejected, fine, _ = await listed_run()
    await change(run, [rejected, fine], add=False)
    assert [row.state for row in await rows_of(run, [rejected, fine])] == [MemberState.REMOVED] * 2
    assert await license_center.named_with_errors(run.world) == ()


async def test_a_user_whom_the_directory_does_not_know_is_listed_too() -> None:
    run = Run()
    gone, fine = user(7), run.directory.add_user(user(2))
    await change(run, [gone, fine])
    (row,) = await license_center.named_with_errors(run.world)
    assert (row.user_id, [each.error for each in row.problems]) == (gone, [LicenseError.NOT_FOUND])


async def test_products_count_users_licensed_by_name() -> None:
    run, _, _, _ = await listed_run()
    await publish_counts(run.world)
    counts = {view.sku.sku_id: view.counts for view in await license_center.products(run.world)}
    assert (counts[LARGE.sku_id].assigned, counts[LARGE.sku_id].errors) == (1, 1)
    assert counts[SMALL.sku_id].errors == 0


async def test_a_reprocess_of_a_user_who_is_not_licensed_by_name_writes_no_row() -> None:
    run = Run()
    (member,) = run.people(1)
    await run.change([SMALL])
    await change(run, [member], reprocess=True)
    assert [row.group_id == NAMED for row in await rows_of(run, [member])] == [False]
